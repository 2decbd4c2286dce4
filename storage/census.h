/* storage/census.h: the accounts, devices and queues of a store, noted down as a check comes by them in the
 * order of their keys, and asked whether they fit one another.
 *
 * Threads: one.  Memory: heap, until census_fini. */
#ifndef TERN_STORAGE_CENSUS_H
#define TERN_STORAGE_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/msg.h"

struct census_account {
    uint64_t account;
    uint64_t list_version;
    uint16_t device_next;
    bool named; /* its name leads to it */
    bool list_met;
    char name[NAME_BYTES_MAX + 1];
};

struct census_device {
    uint64_t account;
    uint32_t signed_id;
    uint16_t one_time_left, one_time_met;
    uint16_t device;
    bool keys_met;
};

struct census_queue {
    uint64_t account;
    uint32_t environment;
    uint16_t device;
};

struct census {
    struct census_account *accounts;
    struct census_device *devices;
    struct census_queue *queues;
    size_t account_count, account_capacity;
    size_t device_count, device_capacity;
    size_t queue_count, queue_capacity;
};

void census_fini(struct census *census);
/* Each notes one down. 0 or -ENOMEM. */
int census_add_account(struct census *census, const struct account_record *record);
int census_add_device(struct census *census, const struct device_record *record);
/* The same queue again, once for each entry, is noted once. */
int census_add_queue(struct census *census, uint32_t environment, uint64_t account, uint16_t device);

/* NULL, where it is not there. */
struct census_account *census_find_account(const struct census *census, uint64_t account);
bool census_has_device(const struct census *census, uint64_t account, uint16_t device);
/* What is wrong with this record, seen with what was noted down, or NULL. A name is noted down too. */
const char *census_judge_name(struct census *census, const char *name, size_t bytes, uint64_t account);
const char *census_judge_device(const struct census *census, const struct device_record *record);
const char *census_judge_keys(struct census *census, uint64_t account, uint16_t device, uint32_t signed_id);
const char *census_judge_one_time(struct census *census, uint64_t account, uint16_t device);
const char *census_judge_list(struct census *census, uint64_t account, uint64_t version);
/* When all were judged: what an account or device says to have and has not, or NULL. */
const char *census_judge_lack(const struct census_account *account);
const char *census_judge_stock(const struct census_device *device);

#endif
