#include "storage/census.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"

#define CAPACITY_FIRST 256

void census_fini(struct census *census) {
    free(census->accounts);
    free(census->devices);
    free(census->queues);
    *census = (struct census){0};
}

/* Room for one more of so many bytes. */
static int make_room(void **array, size_t count, size_t *capacity, size_t bytes) {
    if (count < *capacity)
        return 0;
    size_t wanted = *capacity ? *capacity * 2 : CAPACITY_FIRST;
    void *grown = realloc(*array, wanted * bytes);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = wanted;
    return 0;
}

int census_add_account(struct census *census, const struct account_record *record) {
    int error = make_room((void **)&census->accounts, census->account_count, &census->account_capacity,
                          sizeof(*census->accounts));
    if (error)
        return error;
    struct census_account account = {
        .account = record->account, .list_version = record->list_version, .device_next = record->device_next};
    memcpy(account.name, record->name, sizeof(account.name));
    census->accounts[census->account_count++] = account;
    return 0;
}

int census_add_device(struct census *census, const struct device_record *record) {
    int error = make_room((void **)&census->devices, census->device_count, &census->device_capacity,
                          sizeof(*census->devices));
    if (error)
        return error;
    census->devices[census->device_count++] = (struct census_device){.account = record->account,
                                                                     .signed_id = record->signed_id,
                                                                     .one_time_left = record->one_time_left,
                                                                     .device = record->device};
    return 0;
}

int census_add_queue(struct census *census, uint32_t environment, uint64_t account, uint16_t device) {
    const struct census_queue *last = census->queue_count ? &census->queues[census->queue_count - 1] : NULL;
    if (last && last->environment == environment && last->account == account && last->device == device)
        return 0;
    int error = make_room((void **)&census->queues, census->queue_count, &census->queue_capacity,
                          sizeof(*census->queues));
    if (error)
        return error;
    must(census->queues); /* there is room */
    census->queues[census->queue_count++] =
        (struct census_queue){.environment = environment, .account = account, .device = device};
    return 0;
}

static int compare_accounts(const void *left, const void *right) {
    uint64_t a = ((const struct census_account *)left)->account;
    uint64_t b = ((const struct census_account *)right)->account;
    return (a > b) - (a < b);
}

struct census_account *census_find_account(const struct census *census, uint64_t account) {
    struct census_account wanted = {.account = account};
    if (census->account_count == 0)
        return NULL;
    return bsearch(&wanted, census->accounts, census->account_count, sizeof(wanted), compare_accounts);
}

static int compare_devices(const void *left, const void *right) {
    const struct census_device *a = left, *b = right;
    if (a->account != b->account)
        return a->account < b->account ? -1 : 1;
    return (a->device > b->device) - (a->device < b->device);
}

static struct census_device *find_device(const struct census *census, uint64_t account, uint16_t device) {
    struct census_device wanted = {.account = account, .device = device};
    if (census->device_count == 0)
        return NULL;
    return bsearch(&wanted, census->devices, census->device_count, sizeof(wanted), compare_devices);
}

bool census_has_device(const struct census *census, uint64_t account, uint16_t device) {
    return find_device(census, account, device) != NULL;
}

const char *census_judge_name(struct census *census, const char *name, size_t bytes, uint64_t account) {
    struct census_account *found = census_find_account(census, account);
    if (!found)
        return "leads to an account that is not there";
    if (strlen(found->name) != bytes || memcmp(found->name, name, bytes) != 0)
        return "leads to an account that has another name";
    found->named = true;
    return NULL;
}

const char *census_judge_device(const struct census *census, const struct device_record *record) {
    const struct census_account *account = census_find_account(census, record->account);
    if (!account)
        return "belongs to an account that is not there";
    return record->device == 0 || record->device >= account->device_next
               ? "has a number that its account has not given out"
               : NULL;
}

const char *census_judge_keys(struct census *census, uint64_t account, uint16_t device, uint32_t signed_id) {
    struct census_device *found = find_device(census, account, device);
    if (!found)
        return "belong to a device that is not there";
    found->keys_met = true;
    return found->signed_id == signed_id ? NULL : "are not those that their device says it has";
}

const char *census_judge_one_time(struct census *census, uint64_t account, uint16_t device) {
    struct census_device *found = find_device(census, account, device);
    if (!found || !found->keys_met)
        return "belongs to a device that has no keys";
    found->one_time_met++;
    return NULL;
}

const char *census_judge_list(struct census *census, uint64_t account, uint64_t version) {
    struct census_account *found = census_find_account(census, account);
    if (!found)
        return "belongs to an account that is not there";
    found->list_met = true;
    return found->list_version == version ? NULL : "is of another version than its account says";
}

const char *census_judge_lack(const struct census_account *account) {
    return account->list_version && !account->list_met ? "has lost its device list" : NULL;
}

const char *census_judge_stock(const struct census_device *device) {
    if (device->signed_id && !device->keys_met)
        return "has lost its keys";
    return device->one_time_left == device->one_time_met
               ? NULL
               : "has another number of one-time pre-keys than it says";
}
