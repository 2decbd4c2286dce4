#include <errno.h>

#include "tests/support/store_rig.h"

static struct rig rig;

static void begin(void) {
    rig_make(&rig);
    rig_start(&rig);
}

static void end(void) {
    rig_close(&rig);
    rig_remove(&rig);
}

static void restart(void) {
    rig_close(&rig);
    rig_start(&rig);
}

TestSuite(store_directory, .init = begin, .fini = end, .timeout = 120);

static int lookup(const char *name, uint64_t account, struct request *ret_request) {
    struct request request = {.kind = REQUEST_LOOKUP, .account = account};
    snprintf(request.name, sizeof(request.name), "%s", name);
    int status = rig_request(&rig, &request);
    *ret_request = request;
    return status;
}

static int link_key(uint64_t account, const uint8_t *code, uint8_t key, uint16_t *ret_device) {
    struct request request = {.kind = REQUEST_LINK, .account = account, .key = {key}};
    memcpy(request.code, code, FRAME_CODE_BYTES);
    int status = rig_request(&rig, &request);
    *ret_device = request.device_number;
    return status;
}

static int simple(uint8_t kind, uint64_t account, uint16_t device, uint64_t other, uint64_t value) {
    struct request request = {
        .kind = kind, .account = account, .device_number = device, .other = other, .value = value};
    return rig_request(&rig, &request);
}

Test(store_directory, account_is_found_by_name_and_number_after_a_restart) {
    uint64_t alice, bob;
    uint8_t code[FRAME_CODE_BYTES];
    struct request found;
    cr_assert_eq(rig_account(&rig, "alice", &alice, code), 0);
    cr_assert_eq(rig_account(&rig, "bob.b_b-2", &bob, code), 0);
    cr_assert(alice == 1 && bob == 2);
    restart();
    cr_assert_eq(lookup("alice", 0, &found), 0);
    cr_assert(found.account == alice && found.value == 0);
    cr_assert_eq(lookup("", bob, &found), 0);
    cr_assert_str_eq(found.name, "bob.b_b-2");
    cr_assert_eq(lookup("carol", 0, &found), -ENOENT);
    cr_assert_eq(lookup("", 9, &found), -ENOENT);
}

Test(store_directory, names_that_are_not_allowed_are_refused) {
    static const char *const names[] = {"", "Alice", ".a", "-a", "_a", "a b", "a/b", "\xc3\xa4"};
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cr_assert_eq(rig_account(&rig, names[i], &account, code), -EINVAL, "%s", names[i]);
}

Test(store_directory, taken_name_is_refused_and_numbers_are_never_reused) {
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES];
    struct request found;
    uint16_t device;
    cr_assert_eq(rig_account(&rig, "alice", &account, code), 0);
    cr_assert_eq(link_key(account, code, 1, &device), 0);
    cr_assert_eq(rig_account(&rig, "alice", &account, code), -EEXIST);
    cr_assert_eq(simple(REQUEST_ACCOUNT_REMOVE, account, 0, 0, 0), 0);
    cr_assert_eq(lookup("alice", 0, &found), -ENOENT);
    cr_assert_eq(link_key(account, code, 1, &device), -ENOENT);
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, account, 1, 0, 0), -ENOENT);
    cr_assert_eq(rig_account(&rig, "alice", &account, code), 0);
    cr_assert_eq(account, 2);
}

Test(store_directory, many_accounts_are_added_whole_or_not_at_all) {
    enum { MANY = 1000 };
    static struct account_record records[MANY];
    static uint8_t codes[MANY][FRAME_CODE_BYTES];
    struct request request = {
        .kind = REQUEST_ACCOUNT_ADD, .accounts = records, .codes = codes, .count = MANY};
    struct request found;
    uint16_t device;
    for (uint32_t i = 0; i < MANY; i++)
        snprintf(records[i].name, sizeof(records[i].name), "user%u", i);
    snprintf(records[MANY - 1].name, sizeof(records[0].name), "user3");
    cr_assert_eq(rig_request(&rig, &request), -EEXIST);
    cr_assert_eq(lookup("user0", 0, &found), -ENOENT);
    snprintf(records[MANY - 1].name, sizeof(records[0].name), "last");
    cr_assert_eq(rig_request(&rig, &request), 0);
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert_eq(records[i].account, i + 1);
    cr_assert_eq(link_key(MANY, codes[MANY - 1], 1, &device), 0);
    cr_assert_eq(lookup("last", 0, &found), 0);
    cr_assert_eq(found.account, MANY);
}

Test(store_directory, code_links_once_and_again_only_for_the_same_key) {
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES], wrong[FRAME_CODE_BYTES] = {0};
    uint16_t device = 0;
    cr_assert_eq(rig_account(&rig, "alice", &account, code), 0);
    cr_assert_eq(link_key(account, wrong, 1, &device), -EKEYREJECTED);
    cr_assert_eq(link_key(99, code, 1, &device), -ENOENT);
    cr_assert_eq(link_key(account, code, 1, &device), 0);
    cr_assert_eq(device, 1);
    cr_assert_eq(link_key(account, code, 2, &device), -EKEYREJECTED);
    restart();
    cr_assert_eq(link_key(account, code, 1, &device), 0);
    cr_assert_eq(device, 1);
    struct request more = {.kind = REQUEST_CODE_ADD, .account = account, .device_number = 1};
    cr_assert_eq(rig_request(&rig, &more), 0);
    cr_assert_eq(link_key(account, more.code, 2, &device), 0);
    cr_assert_eq(device, 2);
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, account, 1, 0, 0), 0);
    cr_assert_eq(link_key(account, code, 1, &device), -EKEYREJECTED, "revoked");
}

Test(store_directory, admins_codes_are_for_the_first_device_alone) {
    uint64_t account;
    uint8_t first[FRAME_CODE_BYTES];
    uint16_t device;
    cr_assert_eq(rig_account(&rig, "alice", &account, first), 0);
    struct request more = {.kind = REQUEST_CODE_ADD, .account = account};
    cr_assert_eq(rig_request(&rig, &more), 0, "one that was lost is replaced");
    cr_assert_eq(link_key(account, more.code, 1, &device), 0);
    cr_assert_eq(link_key(account, first, 2, &device), -EKEYREJECTED, "what was made before links no second");
    cr_assert_eq(rig_request(&rig, &more), -EEXIST);
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, account, 1, 0, 0), 0);
    cr_assert_eq(link_key(account, first, 2, &device), 0, "no device is left");
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, account, 2, 0, 0), 0);
    restart();
    cr_assert_eq(rig_request(&rig, &more), 0);
    cr_assert_eq(link_key(account, more.code, 3, &device), 0);
    cr_assert_eq(device, 3);
}

Test(store_directory, expired_code_does_not_link) {
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES];
    uint16_t device;
    struct config config = rig.config;
    config.code_ttl_s = 0;
    store_reload(rig.store, &config);
    cr_assert_eq(rig_account(&rig, "alice", &account, code), 0);
    cr_assert_eq(link_key(account, code, 1, &device), -EKEYREJECTED);
}

Test(store_directory, suspended_account_does_not_link) {
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES];
    uint16_t device;
    struct request found;
    cr_assert_eq(rig_account(&rig, "alice", &account, code), 0);
    cr_assert_eq(simple(REQUEST_ACCOUNT_FLAGS, account, 0, 0, ACCOUNT_SUSPENDED), 0);
    cr_assert_eq(link_key(account, code, 1, &device), -EPERM);
    cr_assert_eq(lookup("alice", 0, &found), 0);
    cr_assert_eq(found.value, ACCOUNT_SUSPENDED);
    cr_assert_eq(simple(REQUEST_ACCOUNT_FLAGS, account, 0, 0, 0), 0);
    cr_assert_eq(link_key(account, code, 1, &device), 0);
}

Test(store_directory, account_has_room_for_so_many_devices_and_a_revoked_one_makes_room) {
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES];
    uint16_t device;
    cr_assert_eq(rig_account(&rig, "alice", &account, code), 0);
    cr_assert_eq(link_key(account, code, 1, &device), 0);
    struct request more = {.kind = REQUEST_CODE_ADD, .account = account, .device_number = 1};
    for (uint32_t i = 1; i < DEVICES_MAX; i++) {
        cr_assert_eq(rig_request(&rig, &more), 0);
        cr_assert_eq(link_key(account, more.code, (uint8_t)(i + 1), &device), 0);
        cr_assert_eq(device, i + 1);
    }
    cr_assert_eq(rig_request(&rig, &more), 0);
    cr_assert_eq(link_key(account, more.code, 99, &device), -ENOSPC);
    cr_assert_eq(simple(REQUEST_DEVICE_REVOKE, account, 4, 0, 0), 0);
    cr_assert_eq(link_key(account, more.code, 99, &device), 0);
    cr_assert_eq(device, DEVICES_MAX + 1);
}

Test(store_directory, blocks_have_a_limit_and_are_idempotent) {
    uint64_t accounts[4];
    uint8_t code[FRAME_CODE_BYTES];
    char name[16];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "a%d", i);
        cr_assert_eq(rig_account(&rig, name, &accounts[i], code), 0);
    }
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, accounts[1], 1), 0);
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, accounts[1], 1), 0);
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, accounts[2], 1), 0);
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, accounts[3], 1), -EDQUOT);
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, accounts[1], 0), 0);
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, accounts[1], 0), 0);
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, accounts[3], 1), 0);
    cr_assert_eq(simple(REQUEST_BLOCK, accounts[0], 0, 77, 1), -ENOENT);
}
