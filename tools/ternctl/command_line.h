/* tools/ternctl/command_line.h: the words and options ternctl is called with.
 *
 * Threads: the main thread.  Memory: texts are argv's. */
#ifndef TERN_TOOLS_TERNCTL_COMMAND_LINE_H
#define TERN_TOOLS_TERNCTL_COMMAND_LINE_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#define COMMAND_LINE_WORDS_MAX 6

struct command_line {
    const char *admin;   /* NULL: caller_default_path */
    const char *address; /* NULL: the one the switch listens on */
    bool json, all, prometheus, help, man;
    bool has_timeout;
    uint32_t timeout_ms; /* 0: no limit */
    uint32_t interval_ms;
    uint32_t count; /* 0: no end */
    char *words[COMMAND_LINE_WORDS_MAX];
    unsigned word_count;
};

/* Options may stand before, between and after the words. What is wrong is said on standard error and ends the
 * program with the status of a usage error. */
void command_line_parse(int count, char **arguments, struct command_line *ret_line);
/* The options, for help and manual: ends with an entry of zeros. An option's group says whom it concerns. */
const struct argp_option *command_line_options(void);

#endif
