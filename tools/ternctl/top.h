/* tools/ternctl/top.h: the live view: status and rates, drawn over themselves on a terminal, one line each
 * time where the output is none.
 *
 * Threads: the main thread; takes over SIGINT, SIGTERM and SIGHUP until it returns.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_TOP_H
#define TERN_TOOLS_TERNCTL_TOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/ternctl/caller.h"

struct top_setup {
    FILE *out;
    uint32_t interval_ms;
    uint32_t count; /* views; 0: until it is interrupted */
    uint32_t timeout_ms;
    bool json; /* an object a line */
};

/* 0 after `count` views or when interrupted; negative errno with caller->error set. */
int top_run(struct caller *caller, const struct top_setup *setup);

#endif
