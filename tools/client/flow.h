/* tools/client/flow.h: flows: how far the messages to each account have been sent in this session;
 * docs/PROTOCOL.md, section 3.1.
 *
 * A session begins with every flow at its lowest message without a sent tick. A refusal puts a flow back
 * there and makes it wait. What a flow sends first in a session, and first after a refusal, carries the flag
 * *first*.
 *
 * Messages of CONTENT_SEALED are sealed before they are sent, as many in one transaction as may go out: a
 * flow that comes to one which is not says so (flows_want_sealing). One that can't be sealed yet holds its
 * flow.
 *
 * Threads: one.  Memory: one entry for each account that anything is out to. */
#ifndef TERN_TOOLS_CLIENT_FLOW_H
#define TERN_TOOLS_CLIENT_FLOW_H

#include "tools/client/peer.h"
#include "tools/client/state_outbox.h"

#define FLOW_OUT_MAX 1024                  /* messages without a sent tick in a session, all flows together */
#define FLOW_GATHER_BYTES_MAX (128u << 10) /* gathered in the peer before more is read from the outbox */
#define FLOW_SEAL_BYTES_MAX (1u << 20)     /* sealed in a transaction */

struct flow {
    uint64_t to;
    uint64_t next;     /* the lowest number not sent in this session, or to be sent again */
    uint64_t retry_ms; /* monotonic: not before; 0: at once */
    uint64_t unsealed; /* the message that has to be sealed before anything more goes out; 0: none is known */
    uint64_t held_ms;  /* monotonic: no message is sealed before; 0: none is held */
    uint32_t out;      /* sent in this session, no tick yet */
    uint32_t ready;    /* sealed, not sent */
    bool is_first;     /* the next message carries the flag */
};

struct flows {
    struct flow *list;
    size_t count, capacity;
    size_t turn; /* which flow goes first, so that one with a large backlog does not hold up the others */
    uint32_t out, ready, out_max;
    uint32_t payload_bytes_max;
};

void flows_init(struct flows *flows);
void flows_fini(struct flows *flows);
/* A session begins; unticked_max and payload_bytes_max as WELCOME says. */
void flows_restart(struct flows *flows, uint32_t unticked_max, uint32_t payload_bytes_max);
/* Finds the accounts that something waits for in the outbox. In a transaction. 0 or -ENOMEM. */
int flows_find(struct flows *flows, struct state *state);
/* Hands messages to the peer, as many as may go out now. In a transaction. 0; -ENOMEM; -EMSGSIZE: the message
 * *ret_large is larger than the switch takes. */
int flows_fill(struct flows *flows, struct state *state, struct peer *peer, uint64_t now_ms,
               struct outgoing *ret_large);
/* A message has to be sealed before anything more goes out. */
bool flows_want_sealing(const struct flows *flows, uint64_t now_ms);
/* Seals what may go out next. In a write transaction, which is to be committed. now_s: UTC. 0, or the
 * transaction's error. */
int flows_seal(struct flows *flows, struct state *state, const struct identity *own, uint64_t now_ms,
               uint64_t now_s);
/* Something that was lacking for sealing may be there. */
void flows_try_again(struct flows *flows);
/* The number below which everything to this account was sent in this session; 0 where nothing was. */
uint64_t flows_below(const struct flows *flows, uint64_t to);
/* So many of them have left the outbox. */
void flows_left(struct flows *flows, uint64_t to, uint32_t count);
/* Refused for now: everything without a tick goes again, retry_ms from now. */
void flows_refused(struct flows *flows, uint64_t to, uint32_t retry_ms, uint64_t now_ms);
/* When the first flow may try again, to send or to seal; UINT64_MAX: none waits. */
uint64_t flows_due_ms(const struct flows *flows);

#endif
