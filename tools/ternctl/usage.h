/* tools/ternctl/usage.h: what ternctl can be told: the commands of the admin socket, as their table
 * declares them, and its own live view. Finds a command by the words on the command line and makes a request
 * of the rest.
 *
 * Threads: the main thread.  Memory: commands are constants; a request is the caller's to delete. */
#ifndef TERN_TOOLS_TERNCTL_USAGE_H
#define TERN_TOOLS_TERNCTL_USAGE_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/admin/commands.h"

/* Beyond the switch's commands: what ternctl makes of them by itself. */
enum { USAGE_TOP = ADMIN_COMMAND_COUNT, USAGE_SALVAGE, USAGE_COUNT };

#define USAGE_NAME_BYTES 48

struct usage {
    unsigned id; /* enum admin_command, or one of the above */
    const char *noun;
    const char *verb;      /* empty: the noun says it all */
    const char *arguments; /* as in a usage line: NAME, NAME [DEVICE], FOLDER */
    const char *help;
};

/* Command `id` of 0 .. USAGE_COUNT-1. */
const struct usage *usage_at(unsigned id);
/* "account add" */
void usage_name(const struct usage *command, char *ret_name, size_t name_bytes);
/* The command that the first words name, and how many words that took. 0, or -EINVAL with a sentence in
 * ret_error that names the nearest command. */
int usage_find(unsigned word_count, char *const *words, const struct usage **ret_command, unsigned *ret_words,
               char *ret_error, size_t error_bytes);
/* The request of a command with these arguments. 0; -EINVAL: too few, too many or not what is allowed;
 * -ENOMEM; the errno of getcwd for a FOLDER. ret_error says which. */
int usage_request(const struct usage *command, unsigned argument_count, char *const *arguments,
                  cJSON **ret_request, char *ret_error, size_t error_bytes);

#endif
