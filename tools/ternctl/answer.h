/* tools/ternctl/answer.h: fields of the switch's answers, as the commands read them. A field that is not
 * there, or is of another kind, reads as nothing (0, "", false): an older switch may not have it.
 *
 * Threads: pure.  Memory: texts and lists are the answer's. */
#ifndef TERN_TOOLS_TERNCTL_ANSWER_H
#define TERN_TOOLS_TERNCTL_ANSWER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* A number, or its digits as text, which carry all 64 bits. */
uint64_t answer_number(const cJSON *object, const char *name);
int64_t answer_signed(const cJSON *object,
                      const char *name); /* of a gauge, which may be below 0 for a moment */
const char *answer_text(const cJSON *object, const char *name);
bool answer_flag(const cJSON *object, const char *name);
bool answer_has(const cJSON *object, const char *name);
/* A list, or NULL. */
const cJSON *answer_list(const cJSON *object, const char *name);

#endif
