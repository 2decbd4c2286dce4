/* tools/ternctl/show.h: what every command that shows an answer to people gets.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_H
#define TERN_TOOLS_TERNCTL_SHOW_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct show {
    FILE *out;
    uint64_t now_ms; /* UTC */
    bool terminal;   /* out is one: remarks for people may go there */
    bool all;        /* stats: also what is zero */
    bool prometheus; /* stats: in the text exposition format */
};

/* Prints an answer that is ok. 0; -EPROTO: it lacks what it should have; -ENOMEM. */
typedef int show_answer(const struct show *show, const cJSON *request, const cJSON *answer);

#endif
