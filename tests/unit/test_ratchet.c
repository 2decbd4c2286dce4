#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/noise.h"
#include "tests/support/e2e_rig.h"
#include "tools/client/e2e/ratchet.h"

#define TEXT_BYTES 20u
#define SEALED_BYTES (TEXT_BYTES + RATCHET_OVERHEAD_BYTES)

struct sealed {
    uint8_t bytes[SEALED_BYTES];
    uint8_t text[TEXT_BYTES];
};

struct ends {
    uint64_t random;
    struct ratchet alice, bob; /* alice begins */
};

static const uint8_t data[] = {1, 2, 3};

static void begin(struct ends *ends) {
    uint8_t shared[32], prekey[32], prekey_public[32], fresh[32];
    cr_assert_eq(noise_init(), 0);
    ends->random = 1;
    e2e_fill(&ends->random, shared, sizeof(shared));
    e2e_fill(&ends->random, prekey, sizeof(prekey));
    e2e_fill(&ends->random, fresh, sizeof(fresh));
    primitive_public(prekey, prekey_public);
    cr_assert_eq(ratchet_init_initiator(&ends->alice, shared, prekey_public, fresh), 0);
    ratchet_init_responder(&ends->bob, shared, prekey);
}

static int seal(struct ends *ends, struct ratchet *from, struct sealed *ret_sealed) {
    uint8_t nonce[PRIMITIVE_NONCE_BYTES];
    e2e_fill(&ends->random, ret_sealed->text, TEXT_BYTES);
    e2e_fill(&ends->random, nonce, sizeof(nonce));
    return ratchet_seal(from, data, sizeof(data), nonce, ret_sealed->text, TEXT_BYTES, ret_sealed->bytes);
}

static int open_data(struct ends *ends, struct ratchet *at, const struct sealed *sealed,
                     const uint8_t *associated) {
    uint8_t fresh[32], text[SEALED_BYTES];
    size_t bytes = 0;
    e2e_fill(&ends->random, fresh, sizeof(fresh));
    int error = ratchet_open(at, associated, sizeof(data), fresh, sealed->bytes, SEALED_BYTES, text, &bytes);
    if (!error) {
        cr_assert_eq(bytes, TEXT_BYTES);
        cr_assert_arr_eq(text, sealed->text, TEXT_BYTES);
    }
    return error;
}

static int open_sealed(struct ends *ends, struct ratchet *at, const struct sealed *sealed) {
    return open_data(ends, at, sealed, data);
}

/* One message from each to the other: both have moved on to new keys. */
static void round_trip(struct ends *ends) {
    struct sealed sealed;
    cr_assert_eq(seal(ends, &ends->alice, &sealed), 0);
    cr_assert_eq(open_sealed(ends, &ends->bob, &sealed), 0);
    cr_assert_eq(seal(ends, &ends->bob, &sealed), 0);
    cr_assert_eq(open_sealed(ends, &ends->alice, &sealed), 0);
}

static void assert_unchanged(const struct ratchet *ratchet, const struct ratchet *before) {
    static uint8_t now[RATCHET_STATE_BYTES_MAX], then[RATCHET_STATE_BYTES_MAX];
    size_t bytes = ratchet_write(ratchet, now);
    cr_assert_eq(ratchet_write(before, then), bytes);
    cr_assert_arr_eq(now, then, bytes);
}

Test(ratchet, both_ends_move_on_with_every_answer) {
    static struct ends ends;
    uint8_t keys[8][32];
    begin(&ends);
    for (int i = 0; i < 8; i++) {
        round_trip(&ends);
        memcpy(keys[i], ends.alice.state.public_key, 32);
        for (int j = 0; j < i; j++)
            cr_assert_neq(memcmp(keys[i], keys[j], 32), 0);
    }
}

Test(ratchet, messages_open_in_any_order_and_once_each) {
    static struct ends ends;
    static struct sealed sealed[40];
    static const unsigned order[] = {3, 0, 39, 20, 19, 21, 1};
    begin(&ends);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(seal(&ends, &ends.alice, &sealed[i]), 0);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed[order[i]]), 0);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed[order[i]]), -EALREADY);
    cr_assert_eq(ends.bob.kept_count, 40 - 7);
}

Test(ratchet, late_message_of_an_older_chain_opens_once) {
    static struct ends ends;
    struct sealed late, last;
    begin(&ends);
    round_trip(&ends);
    cr_assert_eq(seal(&ends, &ends.alice, &late), 0);
    cr_assert_eq(seal(&ends, &ends.alice, &last), 0);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &last), 0);
    for (int i = 0; i < 3; i++)
        round_trip(&ends);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &late), 0);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &late), -EBADMSG);
    round_trip(&ends);
}

Test(ratchet, lost_end_of_a_chain_is_kept_when_the_next_one_comes) {
    static struct ends ends;
    struct sealed lost[3], first, answer;
    begin(&ends);
    round_trip(&ends);
    cr_assert_eq(seal(&ends, &ends.alice, &first), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(seal(&ends, &ends.alice, &lost[i]), 0);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &first), 0);
    cr_assert_eq(seal(&ends, &ends.bob, &answer), 0);
    cr_assert_eq(open_sealed(&ends, &ends.alice, &answer), 0);
    cr_assert_eq(ends.bob.kept_count, 0, "nobody knows yet that they are missing");
    round_trip(&ends);
    cr_assert_eq(ends.bob.kept_count, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(open_sealed(&ends, &ends.bob, &lost[i]), 0);
    cr_assert_eq(ends.bob.kept_count, 0);
}

Test(ratchet, failed_open_changes_nothing_whichever_byte_is_wrong) {
    static struct ends ends;
    static struct ratchet before;
    struct sealed skipped, sealed, forged;
    begin(&ends);
    round_trip(&ends);
    cr_assert_eq(seal(&ends, &ends.alice, &skipped), 0);
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), 0);
    const struct sealed *known = &skipped; /* its key is kept; then one that turns the ratchet */
    for (int which = 0; which < 2; which++) {
        before = ends.bob;
        for (size_t i = 0; i < SEALED_BYTES; i++) {
            forged = *known;
            forged.bytes[i] ^= 0x40;
            cr_assert_neq(open_sealed(&ends, &ends.bob, &forged), 0, "byte %zu", i);
            assert_unchanged(&ends.bob, &before);
        }
        static const uint8_t other[] = {1, 2, 4};
        cr_assert_eq(open_data(&ends, &ends.bob, known, other), -EBADMSG);
        assert_unchanged(&ends.bob, &before);
        cr_assert_eq(open_sealed(&ends, &ends.bob, known), 0);
        if (which == 0) {
            cr_assert_eq(seal(&ends, &ends.bob, &skipped), 0);
            cr_assert_eq(open_sealed(&ends, &ends.alice, &skipped), 0);
            cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
            known = &sealed;
        }
    }
}

Test(ratchet, too_far_ahead_is_refused_and_changes_nothing) {
    static struct ends ends;
    static struct ratchet before;
    struct sealed first, sealed;
    begin(&ends);
    cr_assert_eq(seal(&ends, &ends.alice, &first), 0);
    for (unsigned i = 0; i < RATCHET_SKIP_MAX; i++)
        cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    struct sealed last_allowed = sealed;
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    before = ends.bob;
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), -ERANGE);
    assert_unchanged(&ends.bob, &before);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &last_allowed), 0);
    cr_assert_eq(ends.bob.kept_count, RATCHET_KEPT_MAX);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &first), -EALREADY, "the oldest was dropped");
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), 0);
}

Test(ratchet, oldest_kept_keys_are_dropped_for_the_newest) {
    static struct ends ends;
    static struct sealed sealed[RATCHET_KEPT_MAX + 10];
    struct sealed opens;
    begin(&ends);
    for (unsigned i = 0; i < RATCHET_KEPT_MAX + 10; i++) {
        cr_assert_eq(seal(&ends, &ends.alice, &sealed[i]), 0);
        cr_assert_eq(seal(&ends, &ends.alice, &opens), 0);
        cr_assert_eq(open_sealed(&ends, &ends.bob, &opens), 0);
        cr_assert_leq(ends.bob.kept_count, RATCHET_KEPT_MAX);
    }
    for (unsigned i = 0; i < RATCHET_KEPT_MAX + 10; i++)
        cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed[i]), i < 10 ? -EALREADY : 0, "message %u", i);
    cr_assert_eq(ends.bob.kept_count, 0);
}

Test(ratchet, chain_that_lost_too_much_ends_and_the_next_goes_on) {
    static struct ends ends;
    struct sealed sealed, answer;
    begin(&ends);
    round_trip(&ends);
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), 0);
    cr_assert_eq(seal(&ends, &ends.bob, &answer), 0);
    for (unsigned i = 0; i < RATCHET_SKIP_MAX + 1; i++)
        cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    cr_assert_eq(open_sealed(&ends, &ends.alice, &answer), 0);
    round_trip(&ends);
    cr_assert_eq(ends.bob.kept_count, 0);
}

Test(ratchet, who_has_a_copy_of_the_state_loses_track_after_an_answer) {
    static struct ends ends;
    static struct ratchet stolen;
    struct sealed sealed;
    begin(&ends);
    round_trip(&ends);
    stolen = ends.bob;
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    cr_assert_eq(open_sealed(&ends, &stolen, &sealed), 0, "so far the copy is as good");
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), 0);
    round_trip(&ends);
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    cr_assert_eq(open_sealed(&ends, &stolen, &sealed), -EBADMSG);
}

Test(ratchet, state_knows_nothing_of_what_was_opened) {
    static struct ends ends;
    static struct ratchet later;
    struct sealed sealed[3];
    begin(&ends);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(seal(&ends, &ends.alice, &sealed[i]), 0);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed[2]), 0);
    struct ratchet_kept zeros = {0};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed[i]), 0);
    for (unsigned i = 0; i < RATCHET_KEPT_MAX; i++)
        cr_assert_eq(memcmp(&ends.bob.kept[i], &zeros, sizeof(zeros)), 0);
    ratchet_fini(&ends.bob);
    cr_assert_eq(memcmp(&ends.bob, &later, sizeof(later)), 0, "all of it is wiped");
}

Test(ratchet, responder_seals_nothing_before_it_opened_something) {
    static struct ends ends;
    struct sealed sealed;
    begin(&ends);
    cr_assert_eq(seal(&ends, &ends.bob, &sealed), -EAGAIN);
    round_trip(&ends);
    cr_assert_eq(seal(&ends, &ends.bob, &sealed), 0);
}

Test(ratchet, chain_ends_before_its_numbers_do) {
    static struct ends ends;
    struct sealed sealed;
    begin(&ends);
    ends.alice.state.sent = UINT32_MAX - 1;
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), -EOVERFLOW);
    memset(sealed.bytes + 36, 0xFF, 4);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), -EBADMSG);
}

Test(ratchet, keys_that_force_the_result_are_refused) {
    static struct ends ends;
    static struct ratchet ratchet;
    struct sealed sealed;
    uint8_t zeros[32] = {0};
    begin(&ends);
    cr_assert_eq(ratchet_init_initiator(&ratchet, ends.alice.state.root, zeros, ends.alice.state.secret),
                 -EBADMSG);
    cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    memset(sealed.bytes, 0, 32);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), -EBADMSG);
}

Test(ratchet, short_messages_are_refused) {
    static struct ends ends;
    uint8_t bytes[RATCHET_OVERHEAD_BYTES] = {0}, text[RATCHET_OVERHEAD_BYTES], fresh[32] = {1};
    size_t count = 77;
    begin(&ends);
    for (size_t i = 0; i <= sizeof(bytes); i++)
        cr_assert_eq(ratchet_open(&ends.bob, data, sizeof(data), fresh, bytes, i, text, &count), -EBADMSG);
    cr_assert_eq(count, 77, "written on success only");
}

Test(ratchet, state_goes_through_the_store_at_any_time) {
    static struct ends ends;
    static uint8_t bytes[RATCHET_STATE_BYTES_MAX];
    static struct sealed kept[5];
    begin(&ends);
    for (int i = 0; i < 20; i++) {
        struct ratchet *both[] = {&ends.alice, &ends.bob};
        for (int j = 0; j < 2; j++) {
            size_t count = ratchet_write(both[j], bytes);
            cr_assert_eq(count, ratchet_state_bytes(both[j]));
            ratchet_fini(both[j]);
            cr_assert_eq(ratchet_read(both[j], bytes, count), 0);
        }
        if (i % 4 == 0)
            cr_assert_eq(seal(&ends, &ends.alice, &kept[i / 4]), 0);
        round_trip(&ends);
    }
    for (int i = 0; i < 5; i++)
        cr_assert_eq(open_sealed(&ends, &ends.bob, &kept[i]), 0);
}

Test(ratchet, damaged_state_is_named) {
    static struct ends ends;
    static struct ratchet read;
    static uint8_t bytes[RATCHET_STATE_BYTES_MAX + 1];
    struct sealed sealed;
    begin(&ends);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(seal(&ends, &ends.alice, &sealed), 0);
    cr_assert_eq(open_sealed(&ends, &ends.bob, &sealed), 0);
    size_t count = ratchet_write(&ends.bob, bytes);
    cr_assert_eq(count, RATCHET_FIXED_BYTES + 2 * RATCHET_KEPT_BYTES);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(ratchet_read(&read, bytes, i), -EUCLEAN, "%zu bytes", i);
    cr_assert_eq(ratchet_read(&read, bytes, count + 1), -EUCLEAN);
    bytes[0]++;
    cr_assert_eq(ratchet_read(&read, bytes, count), -EPROTO);
    bytes[0]--;
    bytes[2] = 2; /* receives, and does not send */
    cr_assert_eq(ratchet_read(&read, bytes, count), -EUCLEAN);
    bytes[2] = 3;
    bytes[17] = 0xFF; /* kept keys */
    cr_assert_eq(ratchet_read(&read, bytes, count), -EUCLEAN);
}
