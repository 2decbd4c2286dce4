/* tools/tern/passphrase.h: passphrases of people: from a file's first line, or typed on the terminal without
 * being seen.
 *
 * Threads: one.  Memory: the caller's, who wipes it. */
#ifndef TERN_TOOLS_TERN_PASSPHRASE_H
#define TERN_TOOLS_TERN_PASSPHRASE_H

#include "tools/client/e2e/lock.h"
#include "tools/tern/options.h"

struct passphrase {
    char text[LOCK_PASSPHRASE_BYTES_MAX + 1];
};

/* The one that opens something, `what` says of what. file: NULL asks on the terminal. EXIT_DONE, or another
 * status after a sentence. */
int passphrase_get(const char *file, const char *what, struct passphrase *ret_passphrase);
/* A new one; on the terminal it is typed twice. */
int passphrase_choose(const char *file, const char *what, struct passphrase *ret_passphrase);
/* The sentence for what lock_open or lock_key said of a passphrase, or NULL where it is not about one. */
const char *passphrase_problem(int error);

#endif
