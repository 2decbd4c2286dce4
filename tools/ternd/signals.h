/* tools/ternd/signals.h: the signals of the daemon, as a descriptor to wait for.
 *
 * Threads: the main thread, before it starts others: they inherit that these signals are blocked.  Memory:
 * none. */
#ifndef TERN_TOOLS_TERND_SIGNALS_H
#define TERN_TOOLS_TERND_SIGNALS_H

/* A descriptor that is readable when SIGTERM, SIGINT or SIGHUP came; negative errno. SIGPIPE is ignored. */
int signals_open(void);
/* The number of the next signal, 0: none. */
int signals_take(int fd);
/* A second after the first call a further SIGTERM or SIGINT ends the process at once, whatever it does, with
 * status 1. */
void signals_end_at_next(void);
/* The same when so many seconds have passed. */
void signals_end_after(unsigned seconds);

#endif
