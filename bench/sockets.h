/* bench/sockets.h: what the kernel takes for a connection's end as ternbench holds it: a TCP socket on
 * loopback in a ring's table, with a multishot receive armed. To be taken off what both ends of a switch's
 * connections took.
 *
 * Threads: the calling one.  Memory: none stays. */
#ifndef TERN_BENCH_SOCKETS_H
#define TERN_BENCH_SOCKETS_H

/* Bytes of slabs for each end; NAN where they can not be measured. */
double sockets_end_bytes(void);

#endif
