/* A session that goes to another shard is there what it was here. */
#include <criterion/criterion.h>

#include "tests/support/one_shard.h"

TestSuite(session_move, .timeout = 30);

/* The other shard looked at the clock, had to wait for the processor, and then found the session in a
 * lane. */
Test(session_move, is_neither_late_nor_silent_in_a_turn_that_began_before_it) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_settle();
    one_shard_accept(0, true);
    struct session *moved = session_move_out(session_at(one.shard, 0));
    cr_assert_null(session_at(one.shard, 0));
    uint64_t now_ms = one.shard->now_ms;
    one.shard->now_ms -= 50;
    struct session *session = session_move_in(one.shard, 0, moved);
    session_check_time(session);
    cr_assert_eq(session->state, SESSION_HELLO, "its handshake has only begun");
    session->state = SESSION_OPEN;
    session_check_time(session);
    cr_assert(session->state == SESSION_OPEN && !session->pinged && !session->quiet, "it was just heard");
    session->state = SESSION_HELLO;
    one.shard->now_ms = now_ms;
    one_shard_end();
}
