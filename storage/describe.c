#include "storage/describe.h"

#include <stdio.h>

#include "core/bytes.h"

#define HEX_BYTES_MAX 24

static void describe_unknown(struct map_view key, char *ret_text, size_t text_bytes) {
    char hex[2 * HEX_BYTES_MAX + 1] = "";
    for (size_t i = 0; i < key.bytes && i < HEX_BYTES_MAX; i++)
        snprintf(hex + 2 * i, 3, "%02x", key.at[i]);
    snprintf(ret_text, text_bytes, "record with the unknown key %s%s", hex,
             key.bytes > HEX_BYTES_MAX ? "..." : "");
}

static void describe_name(struct map_view key, char *ret_text, size_t text_bytes) {
    char name[NAME_BYTES_MAX + 1] = "";
    for (size_t i = 1; i < key.bytes && i < sizeof(name); i++) /* a damaged key may hold anything */
        name[i - 1] = key.at[i] > ' ' && key.at[i] < 0x7f ? (char)key.at[i] : '?';
    snprintf(ret_text, text_bytes, "name %s", name);
}

void describe_key(struct map_view key, char *ret_text, size_t text_bytes) {
    struct value_place place = {0};
    uint8_t kind = key.bytes > 0 ? key.at[0] : 0;
    bool placed = value_key_read(key, &place);
    unsigned long long account = key.bytes >= 9 ? bytes_get64_be(key.at + 1) : 0, seq = place.seq;
    if (kind == VALUE_META && key.bytes == 1)
        snprintf(ret_text, text_bytes, "record of the store itself");
    else if (kind == VALUE_COUNTER && key.bytes == 1)
        snprintf(ret_text, text_bytes, "account counter");
    else if (kind == VALUE_ACCOUNT && key.bytes == 9)
        snprintf(ret_text, text_bytes, "account %llu", account);
    else if (kind == VALUE_NAME && key.bytes > 1)
        describe_name(key, ret_text, text_bytes);
    else if (kind == VALUE_DEVICE && placed)
        snprintf(ret_text, text_bytes, "device %u of account %llu", place.device, account);
    else if (kind == VALUE_BLOCK && placed)
        snprintf(ret_text, text_bytes, "block of account %llu by account %llu", seq, account);
    else if (kind == VALUE_CODE && key.bytes == 9 + VALUE_HASH_BYTES)
        snprintf(ret_text, text_bytes, "link code of account %llu", account);
    else if (kind == VALUE_QUEUE && placed)
        snprintf(ret_text, text_bytes, "queue entry %llu of account %llu, device %u", seq, account,
                 place.device);
    else if (kind == VALUE_KEYS && placed)
        snprintf(ret_text, text_bytes, "keys of device %u of account %llu", place.device, account);
    else if (kind == VALUE_ONE_TIME && placed)
        snprintf(ret_text, text_bytes, "one-time pre-key %llu of account %llu, device %u", seq, account,
                 place.device);
    else if (kind == VALUE_LIST && key.bytes == 9)
        snprintf(ret_text, text_bytes, "device list of account %llu", account);
    else
        describe_unknown(key, ret_text, text_bytes);
}

const char *describe_kind(enum value_kind kind) {
    static const char *const names[] = {[VALUE_META] = "records of the store itself",
                                        [VALUE_COUNTER] = "account counters",
                                        [VALUE_ACCOUNT] = "accounts",
                                        [VALUE_NAME] = "names",
                                        [VALUE_DEVICE] = "devices",
                                        [VALUE_BLOCK] = "blocks",
                                        [VALUE_CODE] = "link codes",
                                        [VALUE_QUEUE] = "queue entries",
                                        [VALUE_KEYS] = "device keys",
                                        [VALUE_ONE_TIME] = "one-time keys",
                                        [VALUE_LIST] = "device lists"};
    bool known = kind < sizeof(names) / sizeof(names[0]) && names[kind];
    return known ? names[kind] : "records of unknown kind";
}
