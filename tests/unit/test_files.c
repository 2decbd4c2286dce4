/* Files as messages: cut into the outbox of one device, put together in the state of another. */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/client_rig.h"
#include "tools/client/content.h"
#include "tools/client/files.h"

TestSuite(files, .timeout = 120);

#define CONTENT_BYTES 500
#define NAME "a file.txt"

static struct client_rig rig;
static uint8_t data[100000];

static void begin(void) {
    client_rig_begin(&rig);
    srandom(9);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random();
}

static void end(void) {
    client_rig_end(&rig);
}

struct reading {
    size_t at, fails_at;
};

static int read_data(void *context, uint8_t *bytes, size_t count) {
    struct reading *reading = context;
    if (reading->fails_at && reading->at + count > reading->fails_at)
        return -EIO;
    memcpy(bytes, data + reading->at, count);
    reading->at += count;
    return 0;
}

static int send_named(uint64_t size, const char *name, uint32_t content_bytes, size_t fails_at,
                      uint64_t *ret_first, uint64_t *ret_last) {
    struct reading reading = {.fails_at = fails_at};
    struct files_source source = {
        .to = RIG_OTHER, .utc_ms = 5, .name = name, .size = size, .read = read_data, .context = &reading};
    cr_assert_eq(state_begin(rig.state), 0);
    int error = files_add(rig.state, &source, content_bytes, ret_first, ret_last);
    if (error)
        state_end(rig.state);
    else
        cr_assert_eq(state_commit(rig.state), 0);
    return error;
}

static void send_file(uint64_t size, uint64_t *ret_first, uint64_t *ret_last) {
    cr_assert_eq(send_named(size, NAME, CONTENT_BYTES, 0, ret_first, ret_last), 0);
}

/* As if RIG_OTHER had sent what is in the outbox under this number; *change: a byte of it. */
static int take(uint64_t number, uint64_t to, long change) {
    struct outgoing message;
    struct received received = {
        .id = {.from = RIG_OTHER, .from_device = 1, .to = to, .epoch = 7, .number = number},
        .accepted_ms = 1000 + number,
        .is_sealed = true,
        .content_type = INNER_FILE,
    };
    uint8_t content[CONTENT_BYTES];
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_outbox_next(rig.state, RIG_OTHER, number, &message), 0);
    cr_assert_eq(message.number, number);
    cr_assert_eq(message.content_type, CONTENT_SEALED);
    cr_assert_eq(bytes_get16(message.payload), INNER_FILE);
    received.payload_bytes = message.payload_bytes - INNER_TYPE_BYTES;
    cr_assert_leq(received.payload_bytes, CONTENT_BYTES);
    memcpy(content, message.payload + INNER_TYPE_BYTES, received.payload_bytes);
    state_end(rig.state);
    if (change >= 0)
        content[change % received.payload_bytes] ^= (uint8_t)(1u << random() % 8);
    received.payload = content;
    cr_assert_eq(state_begin(rig.state), 0);
    int error = files_take(rig.state, &received, RIG_ACCOUNT);
    cr_assert_eq(state_commit(rig.state), 0);
    return error;
}

static bool next(const struct transfer *after, struct transfer *ret_transfer) {
    const struct transfer none = {0};
    cr_assert_eq(state_look(rig.state), 0);
    int error = files_next(rig.state, after ? after : &none, ret_transfer);
    cr_assert(error == 0 || error == -ENOENT);
    state_end(rig.state);
    return error == 0;
}

static uint64_t newest(void) {
    cr_assert_eq(state_look(rig.state), 0);
    uint64_t position = state_inbox_newest(rig.state);
    state_end(rig.state);
    return position;
}

static void expect_whole(const struct transfer *transfer, uint64_t size) {
    struct disk_view chunk;
    uint8_t hash[FILES_HASH_BYTES];
    cr_assert(transfer->is_whole && !transfer->is_broken);
    cr_assert_eq(transfer->size, size);
    cr_assert_eq(transfer->received, size);
    cr_assert_str_eq(transfer->name, NAME);
    crypto_generichash(hash, sizeof(hash), data, size, NULL, 0);
    cr_assert_eq(memcmp(transfer->hash, hash, sizeof(hash)), 0);
    cr_assert_eq(state_look(rig.state), 0);
    for (uint64_t at = 0; at < size; at += chunk.bytes) {
        cr_assert_eq(files_chunk(rig.state, transfer, at, &chunk), 0);
        cr_assert(chunk.bytes > 0 && chunk.bytes <= size - at);
        cr_assert_eq(memcmp(chunk.at, data + at, chunk.bytes), 0);
    }
    state_end(rig.state);
}

static void expect_notice(uint64_t position, uint64_t size) {
    struct received message;
    char name[FILES_NAME_BYTES_MAX + 1];
    uint64_t found, unread;
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_inbox_next(rig.state, position, &message), 0);
    cr_assert_eq(message.content_type, INNER_FILE);
    cr_assert(message.is_sealed);
    cr_assert_eq(files_read_notice(&message, &found, name), 0);
    cr_assert_eq(found, size);
    cr_assert_str_eq(name, NAME);
    cr_assert_eq(state_inbox_unread(rig.state, RIG_OTHER, &unread), 0);
    cr_assert_eq(unread, 1, "a file is one message to read");
    state_end(rig.state);
}

Test(files, what_is_cut_is_put_together, .init = begin, .fini = end) {
    const uint64_t room = CONTENT_BYTES - FILES_HEADER_BYTES - sizeof(NAME) + 1;
    uint64_t sizes[] = {0,
                        1,
                        2,
                        room - FILES_HASH_BYTES - 1,
                        room - FILES_HASH_BYTES,
                        room - FILES_HASH_BYTES + 1,
                        room - 1,
                        room,
                        room + 1,
                        2 * room - 50,
                        2 * room,
                        2 * room + 1,
                        sizeof(data)};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t first, last;
        struct transfer transfer, more;
        send_file(sizes[i], &first, &last);
        for (uint64_t number = first; number <= last; number++) {
            cr_assert_eq(newest(), i, "one line for each file, when it is whole");
            cr_assert_eq(take(number, RIG_ACCOUNT, -1), 0);
        }
        cr_assert(next(NULL, &transfer));
        expect_whole(&transfer, sizes[i]);
        cr_assert_eq(newest(), i + 1);
        cr_assert_eq(state_begin(rig.state), 0);
        cr_assert_eq(files_delete(rig.state, &transfer), 0);
        cr_assert_eq(state_commit(rig.state), 0);
        cr_assert_not(next(NULL, &more));
        cr_assert_eq(state_look(rig.state), 0);
        struct disk_view chunk;
        cr_assert_eq(files_chunk(rig.state, &transfer, 0, &chunk), -ENOENT, "its chunks are gone, too");
        state_end(rig.state);
    }
}

Test(files, a_whole_file_is_one_line_in_inbox_and_history, .init = begin, .fini = end) {
    uint64_t first, last, position;
    struct outgoing message;
    send_file(5000, &first, &last);
    cr_assert_gt(last, first + 5);
    for (uint64_t number = first; number <= last; number++)
        take(number, RIG_ACCOUNT, -1);
    expect_notice(1, 5000);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_outbox_history(rig.state, 0, &position, &message), 0);
    cr_assert_eq(message.number, last, "its ticks are the file's");
    cr_assert_eq(message.payload_bytes, strlen("file " NAME ", 5000 bytes"));
    cr_assert_eq(memcmp(message.payload, "file " NAME ", 5000 bytes", message.payload_bytes), 0);
    cr_assert_eq(state_outbox_history(rig.state, position + 1, &position, &message), -ENOENT);
    state_end(rig.state);
}

Test(files, what_misses_a_part_is_seen_and_never_whole, .init = begin, .fini = end) {
    for (int turn = 0; turn < 30; turn++) {
        uint64_t first, last;
        struct transfer transfer;
        struct disk_view chunk;
        send_file(3000, &first, &last);
        uint64_t missing = first + (uint64_t)random() % (last - first); /* any but the last */
        for (uint64_t number = first; number <= last; number++) {
            if (number != missing)
                cr_assert_eq(take(number, RIG_ACCOUNT, -1), 0);
        }
        cr_assert(next(NULL, &transfer));
        cr_assert(transfer.is_broken && !transfer.is_whole);
        cr_assert_eq(transfer.size, 3000);
        cr_assert_eq(newest(), 0);
        cr_assert_eq(take(missing, RIG_ACCOUNT, -1), 0, "it comes too late");
        cr_assert(next(NULL, &transfer) && transfer.is_broken);
        cr_assert_eq(state_begin(rig.state), 0);
        cr_assert_eq(files_chunk(rig.state, &transfer, 0, &chunk), -ENOENT);
        cr_assert_eq(files_delete(rig.state, &transfer), 0);
        cr_assert_eq(state_commit(rig.state), 0);
    }
}

Test(files, one_that_is_under_way_is_seen, .init = begin, .fini = end) {
    uint64_t first, last;
    struct transfer transfer;
    send_file(3000, &first, &last);
    take(first, RIG_ACCOUNT, -1);
    take(first + 1, RIG_ACCOUNT, -1);
    cr_assert(next(NULL, &transfer));
    cr_assert_not(transfer.is_whole || transfer.is_broken);
    cr_assert_str_eq(transfer.name, NAME);
    cr_assert(transfer.received > 400 && transfer.received < 1000 && transfer.size == 3000);
    cr_assert_eq(transfer.begun_ms, 1000 + first);
}

Test(files, two_that_come_at_once_do_not_mix, .init = begin, .fini = end) {
    uint64_t first[2], last[2];
    struct transfer transfer, other;
    send_file(3000, &first[0], &last[0]);
    send_file(3000, &first[1], &last[1]);
    for (uint64_t i = 0; i <= last[0] - first[0]; i++) {
        take(first[0] + i, RIG_ACCOUNT, -1);
        take(first[1] + i, RIG_ACCOUNT, -1);
    }
    cr_assert(next(NULL, &transfer));
    cr_assert(next(&transfer, &other));
    expect_whole(&transfer, 3000);
    expect_whole(&other, 3000);
}

Test(files, malformed_parts_are_refused_and_change_nothing, .init = begin, .fini = end) {
    uint64_t first, last;
    struct transfer transfer;
    send_file(3000, &first, &last);
    for (long byte = 16; byte < FILES_HEADER_BYTES; byte++) { /* but for its name and what is in it */
        int error = take(first, RIG_ACCOUNT, byte);
        if (error == 0) { /* another size, of which this may be a part */
            cr_assert(byte >= 16 && byte < 24, "%ld", byte);
            cr_assert(next(NULL, &transfer));
            cr_assert_leq(transfer.size, FILES_BYTES_MAX);
            cr_assert_eq(state_begin(rig.state), 0);
            cr_assert_eq(files_delete(rig.state, &transfer), 0);
            cr_assert_eq(state_commit(rig.state), 0);
        } else {
            cr_assert_eq(error, -EBADMSG);
        }
        cr_assert_not(next(NULL, &transfer));
    }
    cr_assert_eq(newest(), 0);
}

Test(files, a_copy_of_a_file_one_sent_is_a_line_only, .init = begin, .fini = end) {
    uint64_t first, last;
    struct transfer transfer;
    struct received message;
    send_file(3000, &first, &last);
    for (uint64_t number = first; number <= last; number++)
        cr_assert_eq(take(number, 99, -1), 0);
    cr_assert_not(next(NULL, &transfer));
    cr_assert_eq(newest(), 1);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_inbox_next(rig.state, 1, &message), 0);
    cr_assert_eq(message.id.to, 99);
    state_end(rig.state);
}

Test(files, the_oldest_that_is_not_whole_makes_room, .init = begin, .fini = end) {
    struct transfer transfer = {0}, whole = {0};
    uint64_t first, last, firsts[FILES_BROKEN_MAX + 3];
    send_file(1, &first, &last);
    take(first, RIG_ACCOUNT, -1);
    cr_assert(next(NULL, &whole) && whole.is_whole);
    for (size_t i = 0; i < FILES_BROKEN_MAX + 3; i++) {
        send_file(3000, &firsts[i], &last);
        take(firsts[i], RIG_ACCOUNT, -1);
    }
    size_t count = 0;
    bool has_whole = false;
    while (next(&transfer, &transfer)) {
        has_whole |= transfer.is_whole;
        count += !transfer.is_whole;
        if (!transfer.is_whole)
            cr_assert_geq(transfer.begun_ms, 1000 + firsts[3], "the three oldest are gone");
    }
    cr_assert_eq(count, FILES_BROKEN_MAX);
    cr_assert(has_whole, "what is whole stays");
}

Test(files, what_can_not_be_sent_leaves_nothing_in_the_outbox, .init = begin, .fini = end) {
    uint64_t first, last;
    char name[FILES_NAME_BYTES_MAX + 2];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    cr_assert_eq(send_named(FILES_BYTES_MAX + 1, NAME, CONTENT_BYTES, 0, &first, &last), -EFBIG);
    cr_assert_eq(send_named(10, NAME, 60, 0, &first, &last), -EMSGSIZE);
    cr_assert_eq(send_named(10, "", CONTENT_BYTES, 0, &first, &last), -EINVAL);
    cr_assert_eq(send_named(10, name, CONTENT_BYTES, 0, &first, &last), -EINVAL);
    cr_assert_eq(send_named(10000, NAME, CONTENT_BYTES, 5000, &first, &last), -EIO);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_outbox_count(rig.state), 0);
    state_end(rig.state);
    name[FILES_NAME_BYTES_MAX] = 0;
    cr_assert_eq(send_named(10000, name, CONTENT_BYTES, 0, &first, &last), 0);
}
