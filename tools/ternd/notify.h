/* tools/ternd/notify.h: tells systemd (or whoever set NOTIFY_SOCKET) how the switch is, by datagrams as
 * sd_notify(3) describes them. Without NOTIFY_SOCKET nothing happens.
 *
 * Threads: the admin thread.  Memory: none. */
#ifndef TERN_TOOLS_TERND_NOTIFY_H
#define TERN_TOOLS_TERND_NOTIFY_H

void notify_ready(void);
/* A reload begins; notify_ready ends it. */
void notify_reloading(void);
void notify_stopping(void);

#endif
