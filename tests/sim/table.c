#include "tests/sim/table.h"

#include <stdlib.h>
#include <string.h>

#include "core/must.h"

#define CAPACITY_MIN 64

static struct record *made;

static void reserve(struct table *table, uint32_t count) {
    if (count <= table->capacity)
        return;
    table->capacity = count < CAPACITY_MIN ? CAPACITY_MIN : count * 2;
    table->at = realloc(table->at, table->capacity * sizeof(struct record *));
    must(table->at);
}

void table_copy(struct table *to, const struct table *from) {
    reserve(to, from->count);
    if (from->count)
        memcpy(to->at, from->at, from->count * sizeof(struct record *));
    to->count = from->count;
}

void table_fini(struct table *table) {
    free(table->at);
    *table = (struct table){0};
}

static int compare(const struct record *record, const void *key, size_t key_bytes) {
    size_t bytes = record->key_bytes < key_bytes ? record->key_bytes : key_bytes;
    int order = memcmp(record->bytes, key, bytes);
    return order ? order : (record->key_bytes > key_bytes) - (record->key_bytes < key_bytes);
}

uint32_t table_seek(const struct table *table, const void *key, size_t key_bytes, bool *ret_same) {
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(table->at[middle], key, key_bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_same = low < table->count && compare(table->at[low], key, key_bytes) == 0;
    return low;
}

uint8_t *table_put(struct table *table, const void *key, size_t key_bytes, size_t value_bytes) {
    struct record *record = malloc(sizeof(*record) + key_bytes + value_bytes);
    bool same;
    must(record);
    record->made_before = made;
    made = record;
    record->key_bytes = (uint32_t)key_bytes;
    record->value_bytes = (uint32_t)value_bytes;
    memcpy(record->bytes, key, key_bytes);
    uint32_t at = table_seek(table, key, key_bytes, &same);
    if (!same) {
        reserve(table, table->count + 1);
        memmove(table->at + at + 1, table->at + at, (table->count - at) * sizeof(struct record *));
        table->count++;
    }
    table->at[at] = record;
    return record->bytes + key_bytes;
}

void table_remove(struct table *table, uint32_t at) {
    table->count--;
    memmove(table->at + at, table->at + at + 1, (table->count - at) * sizeof(struct record *));
}

void table_forget_all(void) {
    while (made) {
        struct record *record = made;
        made = record->made_before;
        free(record);
    }
}
