#include "tools/tern/ticks.h"

#include "core/frame.h"
#include "core/reason.h"
#include "tools/client/state_outbox.h"

void ticks_print(FILE *out, uint8_t flags, bool in_colour) {
    if (flags & RECEIPT_READ)
        fputs(in_colour ? "\033[36m✓✓\033[0m" : "✓✓", out);
    else if (flags & RECEIPT_DELIVERED)
        fputs("✓✓", out);
    else if (flags & RECEIPT_FAILED)
        fputs(in_colour ? "\033[31m✗\033[0m " : "✗ ", out);
    else if (flags & RECEIPT_SENT)
        fputs("✓ ", out);
    else
        fputs("  ", out);
}

const char *ticks_name(uint8_t flags) {
    if (flags & RECEIPT_READ)
        return "read";
    if (flags & RECEIPT_DELIVERED)
        return "delivered";
    if (flags & RECEIPT_FAILED)
        return "failed";
    return flags & RECEIPT_SENT ? "sent" : "waiting";
}

const char *ticks_reason_name(uint16_t reason) {
    return reason == OUTBOX_CARRIED ? "exported" : refusal_name(reason);
}

const char *ticks_reason_help(uint16_t reason) {
    switch (reason) {
    case REFUSAL_NONE:
        return "expired or purged before a device took it, or did not open there";
    case OUTBOX_CARRIED:
        return "exported before it was sent: the other copy may have sent it";
    case REFUSAL_NO_DEVICE:
        return "the account has no device that takes encrypted messages yet";
    default:
        return refusal_help(reason);
    }
}
