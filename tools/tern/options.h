/* tools/tern/options.h: the command line of tern: one table of commands, one of options for each, from which
 * the parsing,
 * --help and the manual page come.
 *
 * Threads: one.  Memory: views of the command line. */
#ifndef TERN_TOOLS_TERN_OPTIONS_H
#define TERN_TOOLS_TERN_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

/* What tern exits with; documented in the manual page. */
enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_YET =
        3, /* what was waited for did not come in time; what was to be sent is kept and sent later */
    EXIT_REFUSED = 4,    /* the switch refused it for good, a message failed, or a device is not let in */
    EXIT_NOT_LINKED = 5, /* the home was never linked, or the switch does not accept its device any more */
};

struct options {
    const char *home;
    const char *words[2]; /* URI, or NAME and TEXT */
    unsigned word_count;
    bool json;
    bool offline;
    bool strict;
    bool yes;
    const char *output;
    const char *file;  /* to be sent */
    const char *files; /* folder for those that come */
    const char *passphrase_file;
    const char *new_passphrase_file;
    uint64_t count;     /* 0: no limit */
    int64_t seconds_ms; /* -1: no limit */
    int64_t timeout_ms; /* -1: not given */
    uint8_t wait;       /* enum receipt_flags; 0: not given */
    uint64_t last;
};

struct command {
    const char *name;
    const char *words; /* as the synopsis shows them */
    unsigned words_min, words_max;
    const char *summary;
    const char *text; /* the paragraphs of --help and the manual page */
    const struct argp_option *options;
    int (*run)(const struct options *options);
};

extern const struct command options_commands[];
extern const unsigned options_command_count;
extern const struct argp_option options_home[]; /* every command has it */

/* Parses the words after `tern`; *ret_command is NULL where what was asked for is done (--version and the
 * like). Exits where the command line is wrong or asks for help. */
void options_parse_line(int count, char **words, const struct command **ret_command,
                        struct options *ret_options);

#endif
