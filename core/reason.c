#include "core/reason.h"

struct reason_text {
    const char *name;
    const char *help;
};

#define X(number, name, text, help) [number] = {text, help},
static const struct reason_text close_reasons[CLOSE_REASON_COUNT] = {CLOSE_REASONS(X)};
static const struct reason_text refusals[REFUSAL_COUNT] = {REFUSALS(X)};
#undef X

static const struct reason_text unknown = {"unknown", "a reason this version does not know"};

static const struct reason_text *find(const struct reason_text *table, unsigned count, unsigned number) {
    return number < count && table[number].name ? &table[number] : &unknown;
}

const char *close_reason_name(unsigned reason) {
    return find(close_reasons, CLOSE_REASON_COUNT, reason)->name;
}

const char *close_reason_help(unsigned reason) {
    return find(close_reasons, CLOSE_REASON_COUNT, reason)->help;
}

const char *refusal_name(unsigned refusal) {
    return find(refusals, REFUSAL_COUNT, refusal)->name;
}

const char *refusal_help(unsigned refusal) {
    return find(refusals, REFUSAL_COUNT, refusal)->help;
}
