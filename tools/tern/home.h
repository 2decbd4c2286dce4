/* tools/tern/home.h: a command's home folder: opens it, finds accounts by name, and turns what goes wrong
 * into a sentence and an exit status.
 *
 * Threads: one.  Memory: the client's. */
#ifndef TERN_TOOLS_TERN_HOME_H
#define TERN_TOOLS_TERN_HOME_H

#include <limits.h>
#include <signal.h>

#include "tools/client/client.h"
#include "tools/tern/options.h"

#define HOME_ASK_MS 30000 /* for the switch's answer, where no --timeout is given */

extern volatile sig_atomic_t home_stopped; /* SIGINT or SIGTERM came */
void home_catch_signals(void);             /* home_open does it */

/* The home folder that the options name, or the default one. EXIT_DONE, or another status after a
 * sentence. */
int home_folder(const struct options *options, char path[PATH_MAX]);
/* The sentence and the status where the home there can not be opened. */
int home_open_failed(const char *path, int error);
/* Opens the home folder that the options name, or the default one; `link`: it may be new, and needs no
 * identity yet. Asks for the passphrase of a locked one. EXIT_DONE, or another status after a sentence on
 * standard error. */
int home_open(const struct options *options, bool link, struct client **ret_client);
/* Closes and returns the status it was given. */
int home_close(struct client *client, int status);
/* The account of this name, which is asked for where it is not known yet. EXIT_DONE, or after a sentence. */
int home_find(struct client *client, const char *name, int64_t timeout_ms, uint64_t *ret_account);
/* After client_step, client_run or a transaction failed: the sentence and the status. */
int home_failed(struct client *client, int error);
/* A transaction is begun; false after a sentence. */
bool home_begin(struct client *client);

#endif
