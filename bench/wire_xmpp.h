/* bench/wire_xmpp.h: an end as an anonymous client of an XMPP server, unencrypted. A receipt is a message
 * back.
 *
 * It reads what these servers send in these runs, not XML in general: a stanza is looked for by its closing
 * tag.
 *
 * Threads: the end's worker's.  Memory: as of plain wires. */
#ifndef TERN_BENCH_WIRE_XMPP_H
#define TERN_BENCH_WIRE_XMPP_H

#include "bench/wire.h"

extern const struct wire wire_xmpp;

#endif
