/* storage/mend.h: makes a directory of which parts are lost one that a switch can work with.
 *
 * Threads: the transaction's.  Memory: none. */
#ifndef TERN_STORAGE_MEND_H
#define TERN_STORAGE_MEND_H

#include <stdint.h>

#include "storage/map.h"
#include "storage/salvage.h"

/* Accounts get their names back; names and devices whose account is lost get one, suspended, where its name
 * is known, and devices where it is not are left out; no number will be given out twice, last_account being
 * the highest there was. Counts in the report what it did. */
int mend_directory(struct map_txn *txn, uint64_t last_account, struct salvage_report *report);

#endif
