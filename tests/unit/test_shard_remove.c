/* Accounts that are removed while the switch runs. */
#include <criterion/criterion.h>

#include "tests/support/one_shard.h"

TestSuite(shard_remove, .timeout = 30);

#define ADMIN 2

static int ask_to_remove(uint64_t account) {
    struct request request = {.kind = REQUEST_APPLY_REMOVE, .from = ADMIN, .account = account};
    struct note note = {.kind = NOTE_REQUEST, .request = &request};
    uint32_t from;
    lanes_post(one.lanes, ADMIN, 0, &note);
    lanes_publish(one.lanes, ADMIN, one_ring, NULL);
    one_shard_settle();
    cr_assert(lanes_take(one.lanes, ADMIN, &note, &from));
    cr_assert_eq(note.kind, NOTE_REQUEST_DONE);
    return request.status;
}

static void let_time_pass(void) {
    for (int i = 0; i < 4; i++) {
        one.now_ms += 100;
        one_shard_settle();
    }
}

Test(shard_remove, a_removed_account_is_forgotten_when_nothing_of_it_is_on_its_way) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one_shard_account("carl", NULL);
    one_shard_accept(0, true); /* whoever comes and goes */
    one_shard_cut(0, 0);
    struct account *anna = account_find(&one.shard->accounts, 1);
    struct message_id id = {.from = 1, .from_device = 1, .to = 2, .epoch = 5, .number = 1};
    uint32_t attempt;
    cr_assert_eq(gate_add(&anna->gates, &id, &attempt), 0, "a message of hers whose copies are not safe yet");
    cr_assert_eq(ask_to_remove(1), 0);
    cr_assert_eq(ask_to_remove(1), -ENOENT, "it is gone for everybody");
    cr_assert_eq(ask_to_remove(3), 0);
    let_time_pass();
    cr_assert_eq(account_find(&one.shard->accounts, 1), anna, "not while something of it is on its way");
    cr_assert_null(account_find(&one.shard->accounts, 3));
    cr_assert_neq(shard_next_ms(one.shard), UINT64_MAX, "the shard will look again");
    gate_open(one.shard, &id, attempt, false);
    let_time_pass();
    cr_assert_null(account_find(&one.shard->accounts, 1));
    cr_assert_not_null(account_find(&one.shard->accounts, 2), "others stay");
    cr_assert_eq(one.shard->accounts.count, 1);
    cr_assert_eq(shard_next_ms(one.shard), UINT64_MAX, "nothing is left to look at");
    one_shard_end();
}
