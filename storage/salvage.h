/* storage/salvage.h: makes a new store of what is whole in a damaged one.
 *
 * Of each environment: the newest commit, walked as far as its pages lead. Where a page or a value is
 * damaged, the records it hides (a range of keys) are looked for in the commit before; what is still missing
 * then in every page of the file that has the form of a leaf, where a record counts for its checksum. Such a
 * page may be old: what was deleted long ago may come back from there. For a message that does no harm, its
 * device knows what it has seen; link codes are therefore taken from the newest commit alone, and one-time
 * pre-keys not at all: their devices bring new ones. Of two versions of one record in such pages the later
 * one counts, as far as it says which that is.
 *
 * Where one of the two roots of the file is damaged, it may have been the newest commit's: then queue entries
 * are taken from all such pages.
 *
 * What the directory lacks then is mended: names of accounts, accounts of names (suspended, since whether
 * they were is not known), and numbers that must not be given out twice.
 *
 * Threads: one.  Memory: the ranges that are damaged. */
#ifndef TERN_STORAGE_SALVAGE_H
#define TERN_STORAGE_SALVAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/describe.h"

#define SALVAGE_KINDS VALUE_KINDS

enum salvage_source { SALVAGE_NEWEST, SALVAGE_BEFORE, SALVAGE_SCAN, SALVAGE_SOURCES };

struct salvage_report {
    uint64_t recovered[SALVAGE_KINDS][SALVAGE_SOURCES]; /* by enum value_kind */
    uint64_t damaged[SALVAGE_KINDS];                    /* values, of which no other version was found */
    uint64_t damaged_pages;
    uint32_t lost_environments; /* files that can't be read at all */
    uint64_t missing;           /* records of the newest commit that were not found, whatever they were */
    uint64_t names_mended, accounts_mended, devices_left_out;
    bool key_missing; /* the store's server.key: put a copy of it into the new folder */
};

/* 0; -ENOENT: no store in `folder`; -EBUSY: a switch uses it; -EEXIST: there is a store in `new_folder`
 * already; others, with a sentence. */
int salvage_store(const char *folder, const char *new_folder, struct salvage_report *ret_report,
                  char *ret_error, size_t error_bytes);

#endif
