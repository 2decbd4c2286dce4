/* The key directory: what is handed out is handed out once, whatever happens; what rises does; and the rest
 * of the store knows its records. */
#include <errno.h>

#include "core/frame_keys.h"
#include "storage/check.h"
#include "storage/salvage.h"
#include "tests/support/store_rig.h"

#define KEYS_MAX 20
#define LIST_TEXT "list"

static struct rig rig;
static uint64_t alice, bob;
static uint8_t bobs_code[FRAME_CODE_BYTES];

static int link_key(uint64_t account, const uint8_t *code, uint8_t key) {
    struct request request = {.kind = REQUEST_LINK, .account = account, .key = {key}};
    memcpy(request.code, code, FRAME_CODE_BYTES);
    int status = rig_request(&rig, &request);
    return status ? status : request.device_number;
}

static void begin(void) {
    uint8_t code[FRAME_CODE_BYTES];
    rig_make(&rig);
    rig.config.one_time_keys_max = KEYS_MAX;
    rig_start(&rig);
    cr_assert_eq(rig_account(&rig, "alice", &alice, code), 0);
    cr_assert_eq(link_key(alice, code, 1), 1);
    cr_assert_eq(rig_account(&rig, "bob", &bob, bobs_code), 0);
    cr_assert_eq(link_key(bob, bobs_code, 2), 1);
}

static void no_finding(void *context, const struct check_finding *finding) {
    (void)context;
    cr_assert_fail("%s %s", finding->where, finding->what);
}

static void expect_well(const char *folder) {
    struct check_result result;
    char error[256];
    cr_assert_eq(check_store(folder, no_finding, NULL, &result, error, sizeof(error)), 0, "%s", error);
}

static void end(void) {
    rig_close(&rig);
    expect_well(rig.folder);
    rig_remove(&rig);
}

TestSuite(store_keys, .init = begin, .fini = end, .timeout = 120);

static int simple(uint8_t kind, uint64_t account, uint16_t device, uint64_t value) {
    struct request request = {.kind = kind, .account = account, .device_number = device, .value = value};
    return rig_request(&rig, &request);
}

static void make_keys(uint8_t *keys, uint8_t identity, uint32_t signed_id) {
    memset(keys, identity, FRAME_KEYS_BYTES);
    bytes_put32(keys + FRAME_KEYS_SIGNED_ID, signed_id);
}

/* Puts one-time pre-keys first .. last; what is left is in ret_record. */
static int put_as(uint8_t identity, uint32_t signed_id, uint64_t account, uint32_t first, uint32_t last,
                  struct device_record *ret_record) {
    uint8_t bytes[FRAME_KEYS_BYTES + FRAME_ONE_TIME_MAX * FRAME_ONE_TIME_BYTES] = {0};
    struct request request = {
        .kind = REQUEST_KEYS_PUT, .account = account, .device_number = 1, .bytes = bytes};
    make_keys(bytes, identity, signed_id);
    for (uint32_t id = first; id <= last; id++) {
        uint8_t *one_time = bytes + FRAME_KEYS_BYTES + request.count++ * FRAME_ONE_TIME_BYTES;
        bytes_put32(one_time, id);
        memset(one_time + 4, (int)id, FRAME_ONE_TIME_BYTES - 4);
    }
    int status = rig_request(&rig, &request);
    cr_assert_not_null(request.devices);
    *ret_record = request.devices[0];
    free(request.devices);
    return status;
}

static int put(uint64_t account, uint32_t first, uint32_t last) {
    struct device_record record;
    return put_as(5, 1, account, first, last, &record);
}

/* The id of the one-time pre-key of the account's only row; 0: without; negative errno. */
static int get_from(struct rig *from, uint64_t account, uint64_t asking) {
    struct request request = {.kind = REQUEST_KEYS_GET, .account = account, .other = asking, .value = 1};
    int status = rig_request(from, &request);
    if (status == 0) {
        cr_assert_eq(request.count, 1);
        const uint8_t *one_time = request.bytes + 8 + FRAME_KEYS_BYTES;
        status = (int)frame_one_time_id(one_time);
        cr_assert_eq(one_time[4], (uint8_t)status, "the key is the one of that id");
    }
    free(request.bytes);
    free(request.devices);
    return status;
}

static int get(uint64_t account) {
    return get_from(&rig, account, alice);
}

static void restart(void) {
    rig_close(&rig);
    rig_start(&rig);
}

/* --- one-time pre-keys ---------------------------------------------------------------------------------- */

Test(store_keys, each_key_is_handed_out_once_and_then_none) {
    cr_assert_eq(get(bob), -ENODEV, "nothing is published");
    cr_assert_eq(put(bob, 1, 5), 0);
    cr_assert_eq(get(bob), 1);
    restart();
    for (int id = 2; id <= 5; id++)
        cr_assert_eq(get(bob), id);
    cr_assert_eq(get(bob), 0, "the keys come without");
    cr_assert_eq(put(bob, 6, 6), 0);
    cr_assert_eq(get(bob), 6);
}

Test(store_keys, a_key_that_is_put_again_does_not_come_back) {
    struct device_record record;
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(get(bob), 1);
    cr_assert_eq(put_as(5, 1, bob, 1, 3, &record), 0, "the answer may have been lost");
    cr_assert(record.one_time_left == 2 && record.one_time_last == 3 && record.signed_id == 1);
    restart();
    cr_assert_eq(put_as(5, 1, bob, 2, 4, &record), 0);
    cr_assert(record.one_time_left == 3 && record.one_time_last == 4);
    for (int id = 2; id <= 4; id++)
        cr_assert_eq(get(bob), id);
    cr_assert_eq(get(bob), 0);
}

Test(store_keys, more_than_fit_are_refused_whole) {
    struct device_record record;
    cr_assert_eq(put(bob, 1, KEYS_MAX), 0);
    cr_assert_eq(put_as(5, 2, bob, KEYS_MAX + 1, KEYS_MAX + 1, &record), -EDQUOT);
    cr_assert(record.one_time_left == KEYS_MAX && record.one_time_last == KEYS_MAX && record.signed_id == 1);
    cr_assert_eq(get(bob), 1);
    cr_assert_eq(put(bob, KEYS_MAX + 1, KEYS_MAX + 1), 0);
}

Test(store_keys, a_transaction_that_is_lost_hands_nothing_out) {
    cr_assert_eq(put(bob, 1, 3), 0);
    rig_close(&rig);
    rig_open(&rig);
    struct environment *environment = &rig.store->environments[0];
    struct request request = {.kind = REQUEST_KEYS_GET, .account = bob, .other = alice};
    struct map_txn *txn;
    for (int i = 0; i < 2; i++) { /* as a batch that did not fit is tried again */
        cr_assert_eq(map_begin(environment->map, &txn), 0);
        cr_assert_eq(directory_change(environment, txn, &request), 0);
        cr_assert_eq(frame_one_time_id(request.bytes + 8 + FRAME_KEYS_BYTES), 1);
        map_abort(txn);
    }
    free(request.bytes);
    free(request.devices);
    cr_assert_eq(store_start(rig.store), 0);
    cr_assert_eq(get(bob), 1);
}

/* Two that ask at once are in one batch, or in two. */
Test(store_keys, two_that_ask_at_once_get_different_keys) {
    struct request requests[2];
    uint32_t seen = 0;
    struct note note;
    cr_assert_eq(put(bob, 1, KEYS_MAX), 0);
    for (int round = 0; round < KEYS_MAX / 2; round++) {
        for (uint16_t i = 0; i < 2; i++) {
            requests[i] = (struct request){
                .kind = REQUEST_KEYS_GET, .account = bob, .other = alice, .from = (uint16_t)i};
            note = (struct note){.kind = NOTE_REQUEST, .request = &requests[i]};
            rig_post(&rig, i, RIG_SHARDS, &note);
        }
        for (uint32_t i = 0; i < 2; i++) {
            cr_assert(rig_take(&rig, i, RIG_WAIT_MS, &note));
            uint32_t id = frame_one_time_id(requests[i].bytes + 8 + FRAME_KEYS_BYTES);
            cr_assert(id >= 1 && id <= KEYS_MAX && !(seen & 1u << id), "%u comes twice", id);
            seen |= 1u << id;
            free(requests[i].bytes);
            free(requests[i].devices);
        }
    }
    cr_assert_eq(get(bob), 0);
}

Test(store_keys, a_damaged_key_is_passed_over) {
    struct map_txn *txn;
    uint8_t *space;
    cr_assert_eq(put(bob, 1, 2), 0);
    rig_close(&rig);
    rig_open(&rig);
    struct value_key key = value_key_one_time(bob, 1, 1);
    cr_assert_eq(map_begin(rig.store->environments[0].map, &txn), 0);
    cr_assert_eq(map_put(txn, value_key_view(&key), 40, &space), 0);
    memset(space, 0, 40);
    cr_assert_eq(map_commit(txn), 0);
    cr_assert_eq(store_start(rig.store), 0);
    cr_assert_eq(get(bob), 2);
    cr_assert_eq(get(bob), 0);
}

/* --- keys ----------------------------------------------------------------------------------------------- */

Test(store_keys, the_identity_stays_and_the_signed_pre_key_rises) {
    struct device_record record;
    cr_assert_eq(put_as(5, 7, bob, 1, 1, &record), 0);
    cr_assert_eq(put_as(6, 8, bob, 2, 2, &record), -ESTALE, "another identity");
    cr_assert_eq(put_as(5, 6, bob, 2, 2, &record), -ESTALE, "an older one");
    cr_assert(record.signed_id == 7 && record.one_time_last == 1, "nothing of it is stored");
    cr_assert_eq(put_as(5, 8, bob, 2, 2, &record), 0);
    restart();
    cr_assert_eq(put_as(5, 7, bob, 3, 3, &record), -ESTALE);
    cr_assert_eq(record.signed_id, 8);
}

Test(store_keys, who_is_blocked_or_asks_for_a_suspended_account_gets_none) {
    cr_assert_eq(put(bob, 1, 3), 0);
    struct request block = {.kind = REQUEST_BLOCK, .account = bob, .other = alice, .value = 1};
    cr_assert_eq(rig_request(&rig, &block), 0);
    cr_assert_eq(get(bob), -EACCES);
    block.value = 0;
    cr_assert_eq(rig_request(&rig, &block), 0);
    cr_assert_eq(simple(REQUEST_ACCOUNT_FLAGS, bob, 0, ACCOUNT_SUSPENDED), 0);
    cr_assert_eq(get(bob), -EPERM);
    cr_assert_eq(simple(REQUEST_ACCOUNT_FLAGS, bob, 0, 0), 0);
    cr_assert_eq(get(bob), 1, "and nothing was taken");
    cr_assert_eq(get(99), -ENOENT);
}

Test(store_keys, one_device_can_be_asked_for_and_the_asking_one_is_left_out) {
    struct request request = {.kind = REQUEST_KEYS_GET, .account = bob, .other = alice, .device_number = 2};
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(rig_request(&rig, &request), -ENODEV);
    cr_assert_eq(get_from(&rig, bob, bob), -ENODEV, "its only device asks");
    free(request.bytes);
    free(request.devices);
    cr_assert_eq(get(bob), 1);
}

Test(store_keys, a_revoked_device_has_no_keys_and_publishes_none) {
    struct device_record record;
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, bob, 1, 0), 0);
    cr_assert_eq(get(bob), -ENODEV);
    struct request request = {.kind = REQUEST_KEYS_PUT, .account = bob, .device_number = 1};
    uint8_t keys[FRAME_KEYS_BYTES];
    make_keys(keys, 5, 1);
    request.bytes = keys;
    cr_assert_eq(rig_request(&rig, &request), -ENODEV);
    rig_close(&rig);
    rig_open(&rig);
    struct map_txn *txn;
    cr_assert_eq(map_begin_read(rig.store->environments[0].map, &txn), 0);
    cr_assert_eq(directory_device(txn, bob, 1, &record), 0);
    map_abort(txn);
    cr_assert(record.signed_id == 0 && record.one_time_left == 0 && record.one_time_last == 3);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

static int put_list(uint64_t version, const char *text, uint64_t *ret_version) {
    struct request request = {.kind = REQUEST_LIST_PUT,
                              .account = bob,
                              .device_number = 1,
                              .first = version,
                              .bytes = (uint8_t *)(uintptr_t)text,
                              .bytes_count = (uint32_t)strlen(text)};
    int status = rig_request(&rig, &request);
    *ret_version = request.value;
    return status;
}

static void expect_list(struct rig *from, uint64_t version, const char *text) {
    struct request request = {.kind = REQUEST_LIST_GET, .account = bob};
    cr_assert_eq(rig_request(from, &request), 0);
    cr_assert(request.value == version && request.bytes_count == strlen(text));
    cr_assert_eq(memcmp(request.bytes, text, request.bytes_count), 0);
    free(request.bytes);
    struct request known = {.kind = REQUEST_LIST_GET, .account = bob, .first = version};
    cr_assert_eq(rig_request(from, &known), 0);
    cr_assert(known.value == version && known.bytes_count == 0 && !known.bytes, "it is known");
}

Test(store_keys, a_list_is_replaced_by_higher_versions_only) {
    uint64_t version;
    struct request none = {.kind = REQUEST_LIST_GET, .account = bob, .first = 7};
    cr_assert_eq(rig_request(&rig, &none), 0);
    cr_assert(none.value == 0 && none.bytes_count == 0);
    cr_assert_eq(put_list(3, "three", &version), 0);
    cr_assert_eq(put_list(3, "three", &version), 0, "the answer may have been lost");
    cr_assert_eq(put_list(3, "other", &version), -ESTALE);
    cr_assert_eq(put_list(2, "two", &version), -ESTALE);
    cr_assert_eq(version, 3);
    expect_list(&rig, 3, "three");
    restart();
    cr_assert_eq(put_list(3, "other", &version), -ESTALE);
    cr_assert_eq(put_list(9, "nine", &version), 0);
    cr_assert_eq(version, 9);
    expect_list(&rig, 9, "nine");
}

Test(store_keys, keys_bring_the_list_along) {
    uint64_t version;
    struct request request = {.kind = REQUEST_KEYS_GET, .account = bob, .other = alice};
    cr_assert_eq(put(bob, 1, 1), 0);
    cr_assert_eq(put_list(4, LIST_TEXT, &version), 0);
    cr_assert_eq(rig_request(&rig, &request), 0);
    cr_assert(request.first == 4 && request.count == 1);
    cr_assert_eq(request.bytes_count, FRAME_KEYS_ROW_BYTES + strlen(LIST_TEXT));
    cr_assert_eq(memcmp(request.bytes + FRAME_KEYS_ROW_BYTES, LIST_TEXT, strlen(LIST_TEXT)), 0);
    free(request.bytes);
    free(request.devices);
}

/* --- codes ---------------------------------------------------------------------------------------------- */

static int code_of(uint64_t account, uint16_t maker, uint8_t *ret_code) {
    struct request request = {.kind = REQUEST_CODE_ADD, .account = account, .device_number = maker};
    int status = rig_request(&rig, &request);
    cr_assert(status || request.value == rig.config.code_ttl_s);
    memcpy(ret_code, request.code, FRAME_CODE_BYTES);
    return status;
}

Test(store_keys, the_code_of_a_device_links_as_long_as_that_device_is_there) {
    uint8_t first[FRAME_CODE_BYTES], second[FRAME_CODE_BYTES];
    cr_assert_eq(code_of(bob, 1, first), 0);
    cr_assert_eq(code_of(bob, 1, second), 0);
    restart();
    cr_assert_eq(link_key(bob, first, 9), 2);
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, bob, 1, 2), 0, "device 2 wants it");
    cr_assert_eq(link_key(bob, second, 10), -EKEYREJECTED);
    cr_assert_eq(link_key(bob, first, 9), 2, "who has linked may ask again");
    cr_assert_eq(code_of(bob, 1, second), -ENODEV);
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, bob, 2, 1), -ENODEV, "a device that is gone has no say");
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, bob, 9, 2), -ENOENT);
}

/* --- the rest of the store ------------------------------------------------------------------------------ */

Test(store_keys, a_removed_account_leaves_nothing) {
    uint64_t version;
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(put_list(1, LIST_TEXT, &version), 0);
    cr_assert_eq(put(alice, 1, 3), 0);
    cr_assert_eq(simple(REQUEST_ACCOUNT_REMOVE, bob, 0, 0), 0);
    rig_close(&rig);
    struct check_result result;
    cr_assert_eq(check_store(rig.folder, no_finding, NULL, &result, rig.error, sizeof(rig.error)), 0);
    cr_assert_eq(result.records, 2 + 4 + 1 + 3, "alice's name, account, device, code and keys");
    rig_start(&rig);
}

/* Queues lie between the parts of the directory. */
Test(store_keys, queues_and_keys_do_not_meet) {
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = bob, .seq = 1}), 0);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = bob, .seq = 2}), 0);
    restart();
    cr_assert_eq(rig_count(&rig, bob, 1), 2);
    cr_assert_eq(counts_get(&rig.store->environments[0].counts, bob, 1), 2, "before the sweep and after");
    cr_assert_eq(get(bob), 1);
    rig_delete(&rig, bob, 1, 1, UINT64_MAX);
    cr_assert_eq(rig_count(&rig, bob, 1), 0);
    cr_assert_eq(get(bob), 2);
}

static struct rig fresh_rig(const char *name) {
    struct rig fresh = rig;
    snprintf(fresh.folder, sizeof(fresh.folder), "%.40s/%s", rig.folder, name);
    fresh.store = NULL;
    return fresh;
}

/* It may be handed out after the copy was made. */
static void expect_without_one_time(struct rig *copy) {
    expect_well(copy->folder);
    rig_start(copy);
    cr_assert_eq(get_from(copy, bob, alice), 0);
    expect_list(copy, 4, LIST_TEXT);
    struct device_record record;
    struct rig before = rig;
    rig = *copy;
    cr_assert_eq(put_as(5, 1, bob, 1, 4, &record), 0);
    rig = before;
    cr_assert(record.one_time_left == 1 && record.one_time_last == 4,
              "what was taken once is not taken again");
    rig_close(copy);
}

Test(store_keys, a_backup_has_keys_and_lists_but_no_one_time_keys) {
    uint64_t version;
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(put_list(4, LIST_TEXT, &version), 0);
    struct rig copy = fresh_rig("copy");
    struct request request = {.kind = REQUEST_BACKUP};
    snprintf(request.text, sizeof(request.text), "%s", copy.folder);
    cr_assert_eq(rig_request(&rig, &request), 0);
    cr_assert_eq(get(bob), 1, "the store itself has them");
    expect_without_one_time(&copy);
}

Test(store_keys, salvage_has_keys_and_lists_but_no_one_time_keys) {
    uint64_t version;
    struct salvage_report report;
    char error[256];
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(put_list(4, LIST_TEXT, &version), 0);
    rig_close(&rig);
    struct rig copy = fresh_rig("new");
    cr_assert_eq(salvage_store(rig.folder, copy.folder, &report, error, sizeof(error)), 0, "%s", error);
    cr_assert_eq(report.missing, 0, "they are left out, not lost");
    cr_assert_eq(report.recovered[VALUE_KEYS][SALVAGE_NEWEST], 1);
    cr_assert_eq(report.recovered[VALUE_LIST][SALVAGE_NEWEST], 1);
    expect_without_one_time(&copy);
    rig_start(&rig);
}

static uint32_t findings;

static void count_finding(void *context, const struct check_finding *finding) {
    findings += strstr(finding->where, context) != NULL;
}

static uint64_t check_for(const char *where) {
    struct check_result result;
    char error[256], text[64];
    snprintf(text, sizeof(text), "%s", where);
    findings = 0;
    cr_assert_eq(check_store(rig.folder, count_finding, text, &result, error, sizeof(error)), 0);
    return findings;
}

static void change(const struct value_key *key) {
    struct map_txn *txn;
    cr_assert_eq(map_begin(rig.store->environments[0].map, &txn), 0);
    cr_assert_eq(map_delete(txn, value_key_view(key)), 0);
    cr_assert_eq(map_commit(txn), 0);
}

Test(store_keys, a_check_and_a_salvage_find_what_is_lost) {
    uint64_t version;
    struct salvage_report report;
    char error[256];
    cr_assert_eq(put(bob, 1, 3), 0);
    cr_assert_eq(put(alice, 1, 3), 0);
    cr_assert_eq(put_list(4, LIST_TEXT, &version), 0);
    rig_close(&rig);
    rig_open(&rig);
    struct value_key one_time = value_key_one_time(bob, 1, 2), keys = value_key_keys(alice, 1),
                     list = value_key_account(VALUE_LIST, bob);
    change(&one_time);
    change(&keys);
    change(&list);
    rig_close(&rig);
    cr_assert_eq(check_for("device 1 of account 2"), 1, "has another number than it says");
    cr_assert_eq(check_for("device 1 of account 1"), 1, "has lost its keys");
    cr_assert_eq(check_for("one-time pre-key"), 3, "alice's, of a device without keys");
    cr_assert_eq(check_for("account 2"), 2, "has lost its list");
    struct rig copy = fresh_rig("new");
    cr_assert_eq(salvage_store(rig.folder, copy.folder, &report, error, sizeof(error)), 0, "%s", error);
    expect_well(copy.folder);
    char command[256];
    snprintf(command, sizeof(command), "cd '%s' && mv new/env-0/data.mdb env-0/data.mdb", rig.folder);
    cr_assert_eq(system(command), 0);
    rig_start(&rig);
}
