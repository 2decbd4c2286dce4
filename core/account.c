#include "core/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* splitmix64's finalizer: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t account_hash(uint64_t account) {
    uint64_t x = account + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint32_t account_home(uint64_t account, uint32_t shards) {
    return (uint32_t)(account_hash(account) & 0xffffffffu) % shards;
}

bool account_name_allowed(const char *name) {
    size_t bytes = strnlen(name, NAME_BYTES_MAX + 1);
    if (bytes == 0 || bytes > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return true;
}

struct account *account_find(struct account_table *table, uint64_t number) {
    if (table->last && table->last->number == number)
        return table->last;
    if (table->capacity == 0)
        return NULL;
    for (uint64_t at = account_hash(number);; at++) {
        struct account *account = table->slots[at & (table->capacity - 1)];
        if (account && account->number != number)
            continue;
        if (account)
            table->last = account;
        return account;
    }
}

static void table_put(struct account **slots, uint32_t capacity, struct account *account) {
    uint64_t at = account_hash(account->number);
    while (slots[at & (capacity - 1)])
        at++;
    slots[at & (capacity - 1)] = account;
}

static int table_grow(struct account_table *table) {
    uint32_t capacity = table->capacity ? table->capacity * 2 : 64;
    struct account **slots = calloc(capacity, sizeof(struct account *));
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < table->capacity; i++) {
        if (table->slots[i])
            table_put(slots, capacity, table->slots[i]);
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return 0;
}

int account_insert(struct account_table *table, const struct account_record *record,
                   struct account **ret_account) {
    if ((table->count + 1) * 2 > table->capacity) {
        int error = table_grow(table);
        if (error)
            return error;
    }
    size_t name_bytes = strnlen(record->name, NAME_BYTES_MAX);
    struct account *account = calloc(1, sizeof(*account) + name_bytes + 1);
    if (!account)
        return -ENOMEM;
    memcpy(account->name, record->name, name_bytes);
    account->number = record->account;
    account->devices = account->first;
    account->slots = 1;
    account->flags = record->flags;
    account->list_version = record->list_version;
    table_put(table->slots, table->capacity, account);
    table->count++;
    *ret_account = account;
    return 0;
}

static void account_free(struct account *account) {
    for (uint32_t i = 0; i < account->slots_used; i++)
        free(account->devices[i]);
    if (account->devices != account->first)
        free(account->devices);
    gates_fini(&account->gates);
    free(account->blocks);
    free(account);
}

void account_remove(struct account_table *table, struct account *account) {
    uint32_t mask = table->capacity - 1;
    uint32_t hole = (uint32_t)account_hash(account->number) & mask;
    while (table->slots[hole] != account)
        hole = (hole + 1) & mask;
    table->slots[hole] = NULL;
    table->count--;
    if (table->last == account)
        table->last = NULL;
    /* Linear probing without tombstones: what follows in the same run is put in again. */
    for (uint32_t at = (hole + 1) & mask; table->slots[at]; at = (at + 1) & mask) {
        struct account *again = table->slots[at];
        table->slots[at] = NULL;
        table_put(table->slots, table->capacity, again);
    }
    account_free(account);
}

void account_table_fini(struct account_table *table) {
    for (uint32_t i = 0; i < table->capacity; i++) {
        if (table->slots[i])
            account_free(table->slots[i]);
    }
    free(table->slots);
    *table = (struct account_table){0};
}

struct device *account_device(const struct account *account, uint16_t number) {
    for (uint32_t i = 0; i < account->slots_used; i++) {
        if (account->devices[i] && account->devices[i]->number == number)
            return account->devices[i];
    }
    return NULL;
}

/* Revoked, and nothing of it is on its way any more. */
static bool device_is_over(const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    return (device->flags & DEVICE_REVOKED) && !outbox->head && !outbox->unsettled && !outbox->putting &&
           !outbox->purging;
}

bool account_is_over(const struct account *account) {
    for (uint32_t i = 0; i < account->slots_used; i++) {
        if (account->devices[i] && (account->devices[i]->session || !device_is_over(account->devices[i])))
            return false;
    }
    return account->gates.by_id.count == 0;
}

static int grow_slots(struct account *account) {
    uint8_t slots = (uint8_t)(account->slots * 2);
    struct device **devices = calloc(slots, sizeof(struct device *));
    if (!devices)
        return -ENOMEM;
    memcpy(devices, account->devices, account->slots * sizeof(struct device *));
    if (account->devices != account->first)
        free(account->devices);
    account->devices = devices;
    account->slots = slots;
    return 0;
}

/* Revoked devices are kept, to be told so when they come back, until their slot is needed. Messages hold
 * slots only while their targets are pending, and a revoked device's are discharged at once. */
int account_device_add(struct account *account, const struct device_record *record,
                       struct device **ret_device) {
    if (account_device(account, record->device))
        return -EEXIST;
    uint8_t slot = 0;
    while (slot < account->slots_used && account->devices[slot])
        slot++;
    for (uint8_t i = 0; slot == DEVICES_MAX && i < DEVICES_MAX; i++) {
        if (device_is_over(account->devices[i])) {
            free(account->devices[i]);
            account->devices[i] = NULL;
            slot = i;
        }
    }
    if (slot == DEVICES_MAX)
        return -ENOSPC;
    struct device *device = calloc(1, sizeof(*device));
    if (!device || (slot == account->slots && grow_slots(account) < 0)) {
        free(device);
        return -ENOMEM;
    }
    device->account = account;
    device->number = record->device;
    device->flags = record->flags;
    device->created_ms = record->created_ms;
    device->last_seen_ms = record->last_seen_ms;
    device->signed_id = record->signed_id;
    device->one_time_last = record->one_time_last;
    device->one_time_left = record->one_time_left;
    device->slot = slot;
    memcpy(device->key, record->key, KEY_BYTES);
    outbox_init(&device->outbox);
    account->devices[slot] = device;
    if (slot >= account->slots_used)
        account->slots_used = (uint8_t)(slot + 1);
    if (!(device->flags & DEVICE_REVOKED))
        account->device_count++;
    *ret_device = device;
    return 0;
}

void device_begins_epoch(struct device *device, uint64_t epoch) {
    if (device->epoch == epoch)
        return;
    device->epoch_before = device->epoch;
    device->epoch = epoch;
}

bool account_has_epoch(const struct account *account, uint16_t device_number, uint64_t epoch) {
    const struct device *device = account_device(account, device_number);
    if (!device || epoch == 0)
        return false;
    return !device->epoch || device->epoch == epoch || device->epoch_before == epoch;
}

static uint32_t block_position(const struct account *account, uint64_t other) {
    uint32_t low = 0, high = account->block_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (account->blocks[middle] < other)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool account_blocks(const struct account *account, uint64_t other) {
    uint32_t at = block_position(account, other);
    return at < account->block_count && account->blocks[at] == other;
}

int account_block(struct account *account, uint64_t other, bool on) {
    uint32_t at = block_position(account, other);
    bool there = at < account->block_count && account->blocks[at] == other;
    if (there == on)
        return 0;
    size_t after = account->block_count - at;
    if (!on) {
        memmove(account->blocks + at, account->blocks + at + 1, (after - 1) * sizeof(uint64_t));
        account->block_count--;
        return 0;
    }
    uint64_t *blocks = realloc(account->blocks, (account->block_count + 1) * sizeof(uint64_t));
    if (!blocks)
        return -ENOMEM;
    memmove(blocks + at + 1, blocks + at, after * sizeof(uint64_t));
    blocks[at] = other;
    account->blocks = blocks;
    account->block_count++;
    return 0;
}
