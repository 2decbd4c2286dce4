/* core/mutant.h: planted faults, to try whether the simulator would notice them. They exist only where
 * TERN_MUTANTS is defined (`make mutants`); in every other build MUTANT() is false, and nothing of them is
 * compiled in.
 *
 * Threads: the simulator's.  Memory: none. */
#ifndef TERN_CORE_MUTANT_H
#define TERN_CORE_MUTANT_H

/* name, what is wrong then */
#define MUTANTS(X)                                                                                           \
    X(tick_before_commit, "the sent tick goes out when a put is asked for, not when it is committed")        \
    X(outbox_dropped, "what a device did not acknowledge is dropped when it disconnects, not spilled")       \
    X(number_reused, "after a restart a queue goes on with the number of its last entry")                    \
    X(receipt_lost, "a receipt that meets a full lane is lost")                                              \
    X(duplicate_forgotten, "a device does not know the last message of a key again")                         \
    X(live_overtakes, "live traffic does not wait for the drain of what is queued")                          \
    X(revoked_served, "a revoked device is still served until the next start")                               \
    X(expires_early, "messages expire twenty seconds early")                                                 \
    X(settled_early, "a receipt counts as settled when it arrives, not when all have it")                    \
    X(put_goes_on, "a put that failed does not stop those behind it")                                        \
    X(deleted_when_sent, "a queue entry is deleted when it is sent, not when it is settled")                 \
    X(refused_not_awaited, "behind a refused message, higher numbers are taken")                             \
    X(resend_skips, "after a reconnect a device begins with the second of its unticked messages")            \
    X(ack_before_commit, "a device acknowledges what it has not committed")                                  \
    X(gate_forgotten, "ticks do not wait for the copies of the sender's other devices")                      \
    X(mark_not_repeated, "a device does not repeat what was not confirmed")                                  \
    X(sender_first, "the sending device learns its tick with the others, not after them")                    \
    X(lane_overtaken, "a note goes into a lane while the outlet keeps older ones")                           \
    X(window_ignored, "a device is sent more than its window")                                               \
    X(buffer_kept, "a receive buffer does not come home when its message is copied out")                     \
    X(neighbours_written, "what goes out beside a message is written over what others hold of its buffer")   \
    X(delete_forgotten, "a delete that the store could not commit is not tried again")                       \
    X(channel_not_kept, "a device does not keep the channel that it has sealed with")                        \
    X(sealed_kept, "a message goes out as it was sealed, though the devices are others by now")              \
    X(doorbell_missed, "a shard goes to sleep without looking at its lanes once more")

#ifdef TERN_MUTANTS
#define X(name, help) MUTANT_##name,
enum mutant { MUTANT_none, MUTANTS(X) MUTANT_COUNT };
#undef X
extern enum mutant mutant_planted; /* the simulator's */
#define MUTANT(name) (__builtin_expect(mutant_planted == MUTANT_##name, 0))
#else
#define MUTANT(name) 0
#endif

#endif
