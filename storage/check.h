/* storage/check.h: reads every record of a store and says what is wrong with it and where: pages, checksums,
 * keys, and whether the records fit one another (names and accounts, devices and their accounts, queues and
 * their devices).
 *
 * It reads the files by itself (storage/pages.h), so a damaged one does it no harm; it may run while a switch
 * uses the store, in another process. Then it takes a new snapshot every second, so that the switch can use
 * its freed pages again.
 *
 * Threads: one.  Memory: the accounts and devices of the store while it runs. */
#ifndef TERN_STORAGE_CHECK_H
#define TERN_STORAGE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "storage/describe.h"

struct check_finding {
    uint32_t environment;
    char where[2 * DESCRIBE_BYTES]; /* "queue entry 7 of account 5, device 1" */
    char what[3 * DESCRIBE_BYTES];  /* "is damaged" */
};

struct check_result {
    uint64_t records, findings;
};

/* `found` is called for each finding. 0: all was read, ret_result says how much was wrong; -ENOENT: no such
 * store; negative errno with a sentence. */
int check_store(const char *folder, void (*found)(void *context, const struct check_finding *finding),
                void *context, struct check_result *ret_result, char *ret_error, size_t error_bytes);

#endif
