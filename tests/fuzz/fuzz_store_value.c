/* Fuzzes the codec of the store's records: first byte the key's length, then key, then value. What the bytes
 * claim to be is tried as it is and with a right checksum, so that the readers behind the checksum are
 * reached too. */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "storage/run.h"
#include "storage/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of any entry's every byte can be read. */
static void read_run(struct map_view key, struct map_view value) {
    struct run run;
    if (!run_open(key, value, &run))
        return;
    must(run.count > 0 && run.count <= RUN_ENTRIES_MAX);
    size_t bytes = 0;
    for (uint32_t i = 0; i < run.count; i++) {
        struct map_view entry = run_entry(&run, i);
        struct value_key entry_key = run_key(&run, i);
        must(entry.at >= value.at && entry.at + entry.bytes <= value.at + value.bytes);
        value_check(value_key_view(&entry_key), entry);
        bytes += entry.bytes;
    }
    must(bytes <= value.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || (size_t)1 + data[0] > size)
        return 0;
    size_t key_bytes = data[0];
    struct map_view key = {.at = data + 1, .bytes = key_bytes};
    struct map_view value = {.at = data + 1 + key_bytes, .bytes = size - 1 - key_bytes};
    struct value_place place;
    struct value_queue queue;
    struct value_key copy = value_key_copy(key);
    must(copy.used <= sizeof(copy.bytes));
    value_key_read(key, &place);
    value_peek_queue(value, &queue);
    value_check(key, value);
    read_run(key, value);
    if (key_bytes == 0 || value.bytes < VALUE_HEADER_BYTES)
        return 0;
    uint8_t *sealed = malloc(value.bytes);
    if (!sealed)
        return 0;
    memcpy(sealed, value.at, value.bytes);
    value_seal(key, key.at[0], sealed, value.bytes);
    struct map_view again = {.at = sealed, .bytes = value.bytes}, body;
    must(value_open(key, again, key.at[0], &body) == 0);
    value_check(key, again);
    size_t front_bytes = value.bytes > VALUE_HEADER_BYTES + 2
                             ? VALUE_HEADER_BYTES + 2 + 2 * (size_t)bytes_get16(sealed + VALUE_HEADER_BYTES)
                             : value.bytes;
    if (front_bytes <= value.bytes) {
        value_seal_run(key, sealed, front_bytes);
        read_run(key, again);
    }
    value_seal(key, key.at[0], sealed, value.bytes);
    sealed[value.bytes - 1] ^= 1;
    if (value.bytes > VALUE_HEADER_BYTES)
        must(value_open(key, again, key.at[0], &body) != 0);
    free(sealed);
    return 0;
}
