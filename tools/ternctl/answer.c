#include "tools/ternctl/answer.h"

#include <stdlib.h>

#define NUMBER_BOUND 18446744073709551616.0 /* 2^64 */

uint64_t answer_number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItem(object, name);
    if (cJSON_IsString(item))
        return strtoull(item->valuestring, NULL, 10);
    double value = cJSON_IsNumber(item) ? item->valuedouble : 0;
    return value >= 0 && value < NUMBER_BOUND ? (uint64_t)value : 0; /* a conversion beyond is undefined */
}

int64_t answer_signed(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItem(object, name);
    if (cJSON_IsNumber(item) && item->valuedouble < 0)
        return item->valuedouble > -NUMBER_BOUND / 2 ? (int64_t)item->valuedouble : INT64_MIN;
    uint64_t value = answer_number(object, name);
    return value <= INT64_MAX ? (int64_t)value : INT64_MAX;
}

const char *answer_text(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
    return text ? text : "";
}

bool answer_flag(const cJSON *object, const char *name) {
    return cJSON_IsTrue(cJSON_GetObjectItem(object, name));
}

bool answer_has(const cJSON *object, const char *name) {
    return cJSON_GetObjectItem(object, name) != NULL;
}

const cJSON *answer_list(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItem(object, name);
    return cJSON_IsArray(item) ? item : NULL;
}
