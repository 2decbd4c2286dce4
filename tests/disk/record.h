/* tests/disk/record.h: the log that tests/disk/shim.c writes and tests/disk/cuts.c reads.
 *
 * Threads: none.  Memory: the caller's. */
#ifndef TERN_TESTS_DISK_RECORD_H
#define TERN_TESTS_DISK_RECORD_H

#include <stdint.h>

#define DISK_MAGIC 0x4449u
#define DISK_FILES_MAX 16
#define DISK_FAULT_BYTES 64 /* of the file that says which calls shall fail */

enum disk_kind {
    DISK_OPEN = 1,      /* followed by the path: this is what `file` stands for */
    DISK_WRITE,         /* followed by the bytes: may be on the disk from now on, in part */
    DISK_WRITE_DURABLE, /* the write before it, through a descriptor with O_DSYNC, is on the disk */
    DISK_SYNC,          /* an fsync begins */
    DISK_SYNCED,        /* and has ended well: what was written before it began is on the disk */
};

struct disk_record {
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t offset;
    uint32_t file;
    uint32_t bytes; /* that follow */
    uint16_t kind;  /* enum disk_kind */
    uint16_t magic;
    uint32_t spare;
};

#endif
