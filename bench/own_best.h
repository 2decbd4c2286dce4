/* bench/own_best.h: what the libraries under the switch do at their best, for a ratio within one run.
 *
 * Threads: the calling one.  Memory: none stays. */
#ifndef TERN_BENCH_OWN_BEST_H
#define TERN_BENCH_OWN_BEST_H

#include <sched.h>
#include <stdint.h>

/* Microseconds of processor time of one X25519. */
double own_best_x25519_us(void);
/* LMDB: values of `value_bytes` appended in order of their keys, `batch` for each fsynced commit, for about a
 * second, in a folder beside the switches', on these cores (NULL: any). Puts a second; negative errno where
 * it can not be measured. */
double own_best_lmdb_appends_per_s(uint32_t value_bytes, uint32_t batch, const cpu_set_t *cores);

#endif
