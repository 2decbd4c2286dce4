/* bench/pins.h: which cores the server has and which the load: apart, wherever there are two.
 *
 * Threads: any.  Memory: the caller's. */
#ifndef TERN_BENCH_PINS_H
#define TERN_BENCH_PINS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define PINS_CORES_MAX 64
#define PINS_TEXT_BYTES 256

struct pins {
    bool is_pinned;        /* else nobody is, and the rest says nothing */
    cpu_set_t server, all; /* all: what ternbench was given */
    uint32_t load_count;
    int load[PINS_CORES_MAX];
    char server_text[PINS_TEXT_BYTES], load_text[PINS_TEXT_BYTES]; /* as 0,2-3; "not pinned" */
};

/* server_cores of what there is for the server, the rest for the load; not pinned where nothing would be
 * left. server, load: lists as 0,2-3 that say otherwise, or NULL. 0; -EINVAL: such a list is wrong. */
int pins_choose(struct pins *ret_pins, uint32_t server_cores, const char *server, const char *load);
/* The core of thread `index`, -1 where it is not pinned. */
int pins_load_core(const struct pins *pins, uint32_t index);
/* 0,2-3. 0 or -EINVAL. */
int pins_parse(const char *text, cpu_set_t *ret_cores);

#endif
