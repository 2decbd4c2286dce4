#include "bench/tally.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tally_init(struct tally *tally) {
    memset(tally, 0, sizeof(*tally));
    histogram_init(&tally->to_receive);
    histogram_init(&tally->to_sent);
    histogram_init(&tally->to_delivered);
}

void tally_merge(struct tally *tally, const struct tally *other) {
#define X(name, help) tally->name += other->name;
    TALLY_COUNTS(X)
#undef X
    histogram_merge(&tally->to_receive, &other->to_receive);
    histogram_merge(&tally->to_sent, &other->to_sent);
    histogram_merge(&tally->to_delivered, &other->to_delivered);
    if (other->failed && !tally->failed) {
        tally->failed = true;
        tally->unreachable = other->unreachable;
        memcpy(tally->problem, other->problem, sizeof(tally->problem));
    }
}

void tally_fail(struct tally *tally, const char *format, ...) {
    if (tally->failed)
        return;
    tally->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(tally->problem, sizeof(tally->problem), format, arguments);
    va_end(arguments);
}

bool tally_is_settled(const struct tally *tally) {
    return tally->received == tally->sent && tally->ticked_sent == tally->sent &&
           tally->ticked_delivered == tally->sent && tally->completed == tally->sent &&
           tally->confirmed == tally->received;
}
