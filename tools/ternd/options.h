/* tools/ternd/options.h: the command line of ternd, and with the configuration file what it makes of the
 * settings.
 *
 * Every setting of core/config.h is an option too, with dashes for its underscores. An option wins over the
 * file.
 *
 * Threads: the main thread.  Memory: points into argv; options_fini. */
#ifndef TERN_TOOLS_TERND_OPTIONS_H
#define TERN_TOOLS_TERND_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"

enum options_mode {
    OPTIONS_RUN,
    OPTIONS_CHECK_CONFIG,
    OPTIONS_SAMPLE_CONFIG,
    OPTIONS_MAN,
    OPTIONS_CHECK_STORE,
    OPTIONS_CHECK_STORE_WORKER,
    OPTIONS_SALVAGE_STORE
};

struct option_setting {
    const char *name; /* as in the table */
    const char *value;
};

struct options {
    enum options_mode mode;
    const char *program; /* argv[0] */
    const char *file;    /* NULL: no configuration file */
    const char *folder;  /* of the store to check or to salvage */
    const char *into;    /* the folder of the store that salvaging makes */
    bool json;
    struct option_setting *settings; /* in the order given */
    uint32_t setting_count;
};

/* Reads the command line; prints and ends the process for --help, --version and what is no option. 0 or
 * -ENOMEM. */
int options_read(struct options *options, int argc, char **argv);
void options_fini(struct options *options);
/* Defaults, then the file, then the options, then the checks. 0 or negative errno with a sentence. */
int options_config(const struct options *options, struct config *ret_config, char *ret_error,
                   size_t error_bytes);
/* The manual page, in troff, on standard output. 0 or -EIO. */
int options_print_manual(void);

#endif
