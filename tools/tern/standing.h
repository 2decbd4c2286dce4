/* tools/tern/standing.h: how the account's devices stand to its signed list, in sentences for people: whether
 * this one is on it and why not, and which others are linked at the switch and are not let in.
 *
 * Threads: one.  Memory: nothing is kept. */
#ifndef TERN_TOOLS_TERN_STANDING_H
#define TERN_TOOLS_TERN_STANDING_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "tools/client/pairing.h"

enum standing {
    STANDING_LISTED,
    STANDING_UNKNOWN,   /* no list is known yet, and this device was not let in by another */
    STANDING_WAITS,     /* the device that showed the URI was not there yet */
    STANDING_REFUSED,   /* that device knows of no invitation with this secret */
    STANDING_OTHER_KEY, /* the list is signed by another account key than the one believed */
    STANDING_OFF,       /* there is a list, and this device is not on it */
};

/* In a transaction. */
enum standing standing_of(struct state *state, const struct identity *own);
/* One word, for JSON. Static storage. */
const char *standing_name(enum standing standing);
/* A line about what is the matter and what to do; nothing where the device is listed, or that is not known
 * yet. before: what the line begins with. */
void standing_print(FILE *out, enum standing standing, uint16_t device, const char *before);

/* A line about a stranger (pairing.h), and all of them. In a transaction. */
void standing_print_stranger(FILE *out, uint16_t device, const char *before);
void standing_print_strangers(FILE *out, struct state *state, const char *before);
/* Their numbers, as `strangers`. In a transaction. */
void standing_add_strangers(cJSON *object, struct state *state);

#endif
