/* tools/tern/ticks.h: what a person sees of a message's receipts: nothing yet, a tick, two ticks, two
 * coloured ones.
 *
 * Threads: one.  Memory: constants. */
#ifndef TERN_TOOLS_TERN_TICKS_H
#define TERN_TOOLS_TERN_TICKS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* flags: enum receipt_flags. Two columns wide. */
void ticks_print(FILE *out, uint8_t flags, bool in_colour);
/* Why a message failed: enum refusal, or OUTBOX_CARRIED. A short name, a sentence. */
const char *ticks_reason_name(uint16_t reason);
const char *ticks_reason_help(uint16_t reason);
const char *ticks_name(uint8_t flags); /* waiting, sent, delivered, read, failed */

#endif
