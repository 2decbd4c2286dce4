/* core/crash.h: named moments at which a process ends as kill -9 would end it, so that a test can kill it
 * just there.
 *
 * Only a build with TERN_CRASH_POINTS has them (FLAVOUR=torture): there the environment variable TERN_CRASH,
 * NAME:COUNT, names the point and the pass that ends the process. In every other build a point is nothing.
 *
 * Threads: any.  Memory: none. */
#ifndef TERN_CORE_CRASH_H
#define TERN_CORE_CRASH_H

#include <stdbool.h>

#define CRASH_STATUS 86 /* of a process that ended at its point */

/* name, passes in a busy second or so, moment */
#define CRASH_POINTS(X)                                                                                      \
    X(before_put, 200, "a message or receipt is about to be written into a queue, in its transaction")       \
    X(after_put, 200, "it is written, not committed")                                                        \
    X(before_commit, 30, "a transaction of the store is about to be committed")                              \
    X(after_commit, 30, "it is committed, nobody knows")                                                     \
    X(before_release, 20, "the answers to a commit are about to be posted")                                  \
    X(after_release, 20, "they are posted")                                                                  \
    X(before_receipt, 200, "a receipt is about to be given to the devices of its sender")                    \
    X(after_receipt, 200, "it is in their outboxes")                                                         \
    X(before_confirm, 50, "an acknowledgement is settled, its device is about to be told")                   \
    X(after_confirm, 50, "the confirmation is on its way")                                                   \
    X(before_delete, 50, "what was acknowledged is about to be deleted from a queue, in its transaction")    \
    X(after_delete, 50, "it is deleted, not committed")                                                      \
    X(before_move, 4, "a connection is about to go to its home shard")                                       \
    X(after_move, 4, "it has arrived there")                                                                 \
    X(before_load, 1, "the switch starts and is about to read how far each queue goes")                      \
    X(after_load, 1, "it knows how far each queue goes, and takes no connections yet")                       \
    X(before_number, 4, "an account or device is about to get its number, in its transaction")               \
    X(after_number, 4, "the number is taken, not committed")

/* The same of a client. */
#define CRASH_CLIENT_POINTS(X)                                                                               \
    X(client_before_commit, 30, "a turn's messages, marks or channels are about to be committed")            \
    X(client_after_commit, 30, "they are committed, nobody knows")                                           \
    X(client_before_ack, 20, "items are safe, and about to be acknowledged")                                 \
    X(client_after_send, 30, "bytes were given to the socket")

#define X(name, passes, moment) CRASH_##name,
enum crash_point {
    CRASH_POINTS(X) CRASH_POINT_COUNT,
    CRASH_CLIENT_FIRST = CRASH_POINT_COUNT,
    CRASH_CLIENT_BEFORE = CRASH_CLIENT_FIRST - 1,
    CRASH_CLIENT_POINTS(X) CRASH_POINT_END
};
#define CRASH_CLIENT_COUNT (CRASH_POINT_END - CRASH_CLIENT_FIRST)
#undef X

#ifdef TERN_CRASH_POINTS
void crash_pass(enum crash_point point);
#define crash_point(name) crash_pass(CRASH_##name)
#else
#define crash_point(name) ((void)0)
#endif

/* Whether this build has the points. */
static inline bool crash_points_there(void) {
#ifdef TERN_CRASH_POINTS
    return true;
#else
    return false;
#endif
}

#endif
