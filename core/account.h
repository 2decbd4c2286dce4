/* core/account.h: the accounts and devices that are at home on a shard, in memory; and which shard that is.
 *
 * Threads: the table is its shard's; account_home is pure.  Memory: a hash table that grows; an account and
 * its devices are one allocation each, freed at removal. */
#ifndef TERN_CORE_ACCOUNT_H
#define TERN_CORE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gate.h"
#include "core/msg.h"
#include "core/outbox.h"
#include "core/rate.h"

struct session;

struct device {
    struct account *account;
    struct session *session; /* logged in, or NULL */
    struct outbox outbox;
    uint8_t key[KEY_BYTES];
    uint64_t created_ms;
    uint64_t last_seen_ms;
    uint64_t epoch, epoch_before; /* of its sessions since the start: the last, and the one before; 0: none */
    uint32_t signed_id;           /* these three as in struct device_record */
    uint32_t one_time_last;
    uint16_t one_time_left;
    uint16_t number;
    uint8_t slot; /* index in account->devices, the bit in message.acked */
    uint8_t flags;
};

struct account {
    uint64_t number;
    uint64_t list_version;     /* of its device list; 0: none */
    struct device **devices;   /* NULL: free slot; none from slots_used on is in use */
    struct device *first[1];   /* devices, while one slot is enough, as for most */
    uint8_t slots, slots_used; /* there are; DEVICES_MAX at most */
    uint64_t *blocks;          /* sorted */
    uint32_t block_count;
    uint16_t device_count; /* not revoked */
    uint8_t flags;
    struct gates gates; /* of messages whose copies for the sender's own devices are not safe yet */
    struct rate messages, bytes;
    uint32_t logins; /* since logins_ms */
    uint64_t logins_ms;
    struct account *removed_next; /* in the shard's list, where it is removed */
    char name[];
};

struct account_table {
    struct account **slots;
    struct account *last; /* found last: what comes in a record is often for one account. NULL: none */
    uint32_t capacity;    /* a power of two, or 0 */
    uint32_t count;
};

/* splitmix64, the hash for accounts: shards and store environments take different bits of it. */
uint64_t account_hash(uint64_t account);
/* Home shard of an account. */
uint32_t account_home(uint64_t account, uint32_t shards);

/* Names are 1 to NAME_BYTES_MAX of a-z 0-9 . _ -, beginning with a letter or digit. */
bool account_name_allowed(const char *name);

struct account *account_find(struct account_table *table, uint64_t number);
/* Nothing of it or its devices, which are all revoked, is connected or on its way any more. */
bool account_is_over(const struct account *account);
int account_insert(struct account_table *table, const struct account_record *record,
                   struct account **ret_account);
void account_remove(struct account_table *table, struct account *account);
void account_table_fini(struct account_table *table);

struct device *account_device(const struct account *account, uint16_t number);
/* Adds a device; -ENOSPC: no slot free, -EEXIST: there already. */
int account_device_add(struct account *account, const struct device_record *record,
                       struct device **ret_device);

/* Notes the epoch of a new session. */
void device_begins_epoch(struct device *device, uint64_t epoch);
/* False: the account has no such device, or that device is known to have another epoch. */
bool account_has_epoch(const struct account *account, uint16_t device_number, uint64_t epoch);

bool account_blocks(const struct account *account, uint64_t other);
int account_block(struct account *account, uint64_t other, bool on); /* 0 or -ENOMEM; idempotent */

#endif
