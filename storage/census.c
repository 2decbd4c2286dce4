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
    struct census_account account = {.account = record->account, .device_next = record->device_next};
    memcpy(account.name, record->name, sizeof(account.name));
    census->accounts[census->account_count++] = account;
    return 0;
}

int census_add_device(struct census *census, const struct device_record *record) {
    int error = make_room((void **)&census->devices, census->device_count, &census->device_capacity,
                          sizeof(*census->devices));
    if (error)
        return error;
    census->devices[census->device_count++] =
        (struct census_device){.account = record->account, .device = record->device};
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

bool census_has_device(const struct census *census, uint64_t account, uint16_t device) {
    struct census_device wanted = {.account = account, .device = device};
    return census->device_count > 0 &&
           bsearch(&wanted, census->devices, census->device_count, sizeof(wanted), compare_devices);
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
