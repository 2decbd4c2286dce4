/* tools/ternd/reload.h: the settings again, while the switch runs.
 *
 * Threads: the admin thread.  Memory: the new settings are kept until the next reload. */
#ifndef TERN_TOOLS_TERND_RELOAD_H
#define TERN_TOOLS_TERND_RELOAD_H

struct daemon;

/* SIGHUP: as `ternctl reload`, and the log has the answer. */
void reload_by_signal(struct daemon *daemon);

#endif
