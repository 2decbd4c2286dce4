/* bench/torture_check.h: compares, when everything is at rest, what all devices sent with what each device's
 * application was given: every message once at each device that it is for, readable there, in order; the
 * ticks true and complete.
 *
 * Threads: the main thread; no device runs.  Memory: a time for each message and each device that is to have
 * it, until it returns. */
#ifndef TERN_BENCH_TORTURE_CHECK_H
#define TERN_BENCH_TORTURE_CHECK_H

#include "bench/torture_device.h"

/* name, help */
#define TORTURE_COUNTS(X)                                                                                    \
    X(sent, "messages handed over to be sent")                                                               \
    X(deliveries, "messages times devices that got them")                                                    \
    X(lost, "messages that a device should have got and did not")                                            \
    X(doubled, "messages that an application was given twice")                                               \
    X(reordered, "messages that came after a later one of the same sender")                                  \
    X(forged, "messages that nobody sent, with another payload, or not encrypted")                           \
    X(unopened, "messages that did not open")                                                                \
    X(alarms, "sentences for people, of which an honest switch gives no cause")                              \
    X(clear, "payloads that lie in the switch's store for all to read")                                      \
    X(unticked, "messages without a sent tick")                                                              \
    X(undelivered, "messages without a delivered tick")                                                      \
    X(unread, "messages without a read tick")                                                                \
    X(failed, "messages that failed")                                                                        \
    X(untrue, "messages whose delivered tick came before any device had them")                               \
    X(unconfirmed, "acknowledgements and read marks that were not confirmed")

#define TORTURE_WRONG_MAX 8 /* sentences that are kept */

struct torture_check {
#define X(name, help) uint64_t name;
    TORTURE_COUNTS(X)
#undef X
    uint32_t wrong_count; /* of the sentences that there were */
    char wrong[TORTURE_WRONG_MAX][TORTURE_PROBLEM_BYTES];
};

__attribute__((format(printf, 2, 3))) void torture_check_wrong(struct torture_check *check,
                                                               const char *format, ...);
/* 0; negative where a home can not be read, with a sentence. */
int torture_check_run(struct torture_check *check, const struct torture_shared *shared,
                      const struct torture_device *devices, uint32_t count);

#endif
