/* bench/machine.h: what a figure was measured on, and how much of the processors a process used for it.
 *
 * Threads: any.  Memory: texts live inside the struct. */
#ifndef TERN_BENCH_MACHINE_H
#define TERN_BENCH_MACHINE_H

#include <stdint.h>
#include <sys/types.h>

#define MACHINE_TEXT_BYTES 128

struct machine {
    char cpu[MACHINE_TEXT_BYTES];
    char kernel[MACHINE_TEXT_BYTES];
    char system[MACHINE_TEXT_BYTES];
    long cores;
    uint64_t memory_bytes;
};

struct machine_memory {
    uint64_t user_bytes;   /* of the process: anonymous memory in use (RssAnon) */
    uint64_t kernel_bytes; /* of the whole machine: slabs */
    /* That the process handed to write calls, sockets of io_uring not among them; 0 where it can not be seen.
     * Not the kernel's write_bytes: that counts the whole of a large folio again each time a page of it is
     * written. */
    uint64_t written_bytes;
};

/* What can not be found out is "unknown". */
void machine_describe(struct machine *ret_machine);
/* The version of an installed Debian package; "unknown" where there is no such package, or no dpkg. */
void machine_package_version(const char *package, char out[MACHINE_TEXT_BYTES]);
/* Processor time of a process so far, all threads, user and system, in steps of the kernel's clock tick (10
 * ms). 0; -ESRCH: there is none, or it can not be seen. */
int machine_cpu_ns(pid_t pid, uint64_t *ret_ns);
/* What can not be seen is 0. */
void machine_memory(pid_t pid, struct machine_memory *ret_memory);

#endif
