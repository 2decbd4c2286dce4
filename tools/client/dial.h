/* tools/client/dial.h: a TCP connection to the switch, without waiting for it: each address of the host in
 * turn.
 *
 * Threads: one.  Memory: the resolver's list, while it connects. */
#ifndef TERN_TOOLS_CLIENT_DIAL_H
#define TERN_TOOLS_CLIENT_DIAL_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#define DIAL_ADDRESS_MS 5000 /* for one address to answer */

struct dial {
    int socket; /* -1: none */
    bool is_open;
    struct addrinfo *list, *at;
    uint64_t give_up_ms; /* the present address */
    char problem[128];
};

void dial_init(struct dial *dial);
void dial_close(struct dial *dial);
/* 0: under way, wait until the socket is writable and call dial_proceed; negative errno: no address can be
 * tried. */
int dial_start(struct dial *dial, const char *host, uint16_t port, uint64_t now_ms);
/* 0: open; -EINPROGRESS: go on waiting (the socket may be another one now); else no address is left. */
int dial_proceed(struct dial *dial, bool is_ready, uint64_t now_ms);
uint64_t dial_due_ms(const struct dial *dial);     /* when to call dial_proceed at the latest */
const char *dial_problem(const struct dial *dial); /* what the last address failed with */

#endif
