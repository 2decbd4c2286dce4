#include "tools/client/vault.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "tools/client/key.h"

#define SEALED_EXTRA_BYTES (PRIMITIVE_NONCE_BYTES + PRIMITIVE_TAG_BYTES)
#define HEAP_BYTES (256u << 10) /* of opened values; one that is larger has a heap of its own */

/* Opened values lie one behind the other; a heap that is full has the next one above it. */
struct heap {
    struct heap *below;
    uint64_t start; /* bytes in the heaps below */
    size_t bytes, used;
    uint8_t at[];
};

struct vault {
    struct disk *disk;
    bool has_key;
    uint8_t key[PRIMITIVE_KEY_BYTES];
    struct heap *heap;
    uint8_t *sealed; /* where a value is sealed before it is put */
    size_t sealed_bytes_max;
};

/* --- opened values -------------------------------------------------------------------------------------- */

uint64_t vault_mark(const struct vault *vault) {
    return vault->heap ? vault->heap->start + vault->heap->used : 0;
}

/* The lowest heap stays: most transactions need no other. */
void vault_release(struct vault *vault, uint64_t mark) {
    struct heap *heap;
    while ((heap = vault->heap) && heap->start >= mark && heap->below) {
        vault->heap = heap->below;
        primitive_wipe(heap->at, heap->used);
        free(heap);
    }
    if (!heap || heap->start + heap->used <= mark)
        return;
    size_t kept = (size_t)(mark - heap->start);
    primitive_wipe(heap->at + kept, heap->used - kept);
    heap->used = kept;
}

static uint8_t *room(struct vault *vault, size_t bytes) {
    struct heap *top = vault->heap;
    if (!top || top->bytes - top->used < bytes) {
        size_t heap_bytes = bytes > HEAP_BYTES ? bytes : HEAP_BYTES;
        struct heap *heap = malloc(sizeof(*heap) + heap_bytes);
        if (!heap)
            return NULL;
        *heap = (struct heap){.below = top, .start = vault_mark(vault), .bytes = heap_bytes};
        vault->heap = top = heap;
    }
    uint8_t *at = top->at + top->used;
    top->used += bytes;
    return at;
}

static bool is_plain(struct disk_view key) {
    return key.bytes == 1 && (key.at[0] == KEY_VERSION || key.at[0] == KEY_LOCK);
}

/* In place of the sealed value its text. */
static int open_value(struct vault *vault, struct disk_view key, struct disk_view *value) {
    if (!vault->has_key || is_plain(key))
        return 0;
    if (value->bytes < SEALED_EXTRA_BYTES)
        return -EUCLEAN;
    uint8_t *text = room(vault, value->bytes - SEALED_EXTRA_BYTES);
    if (!text)
        return -ENOMEM;
    if (primitive_open(vault->key, value->at, key.at, key.bytes, value->at + PRIMITIVE_NONCE_BYTES,
                       value->bytes - PRIMITIVE_NONCE_BYTES, text) < 0)
        return -EUCLEAN;
    *value = (struct disk_view){.at = text, .bytes = value->bytes - SEALED_EXTRA_BYTES};
    return 0;
}

static int seal_value(struct vault *vault, struct disk_view key, struct disk_view *value) {
    if (!vault->has_key || is_plain(key))
        return 0;
    size_t bytes = value->bytes + SEALED_EXTRA_BYTES;
    if (bytes > vault->sealed_bytes_max) {
        uint8_t *sealed = realloc(vault->sealed, bytes);
        if (!sealed)
            return -ENOMEM;
        vault->sealed = sealed;
        vault->sealed_bytes_max = bytes;
    }
    randombytes_buf(vault->sealed, PRIMITIVE_NONCE_BYTES);
    if (value->bytes)
        memcpy(vault->sealed + PRIMITIVE_NONCE_BYTES, value->at, value->bytes);
    primitive_seal(vault->key, vault->sealed, key.at, key.bytes, vault->sealed + PRIMITIVE_NONCE_BYTES,
                   value->bytes);
    *value = (struct disk_view){.at = vault->sealed, .bytes = bytes};
    return 0;
}

/* --- a life --------------------------------------------------------------------------------------------- */

int vault_open(const char *folder, uint64_t bytes_max, struct vault **ret_vault) {
    struct vault *vault = calloc(1, sizeof(*vault));
    if (!vault)
        return -ENOMEM;
    int error = disk_open(folder, bytes_max, &vault->disk);
    if (error) {
        free(vault);
        return error;
    }
    *ret_vault = vault;
    return 0;
}

void vault_close(struct vault *vault) {
    disk_close(vault->disk);
    vault_release(vault, 0);
    free(vault->heap);
    free(vault->sealed);
    primitive_wipe(vault->key, sizeof(vault->key));
    free(vault);
}

void vault_set_key(struct vault *vault, const uint8_t key[PRIMITIVE_KEY_BYTES]) {
    memcpy(vault->key, key, sizeof(vault->key));
    vault->has_key = true;
}

bool vault_has_key(const struct vault *vault) {
    return vault->has_key;
}

/* --- the disk's ----------------------------------------------------------------------------------------- */

uint64_t vault_version(const struct vault *vault) {
    return disk_version(vault->disk);
}

int vault_begin(struct vault *vault, bool write) {
    return disk_begin(vault->disk, write);
}

int vault_commit(struct vault *vault) {
    vault_release(vault, 0);
    return disk_commit(vault->disk);
}

void vault_abort(struct vault *vault) {
    vault_release(vault, 0);
    disk_abort(vault->disk);
}

int vault_get(struct vault *vault, struct disk_view key, struct disk_view *ret_value) {
    struct disk_view value;
    int error = disk_get(vault->disk, key, &value);
    if (!error)
        error = open_value(vault, key, &value);
    if (!error)
        *ret_value = value;
    return error;
}

int vault_put(struct vault *vault, struct disk_view key, struct disk_view value) {
    int error = seal_value(vault, key, &value);
    if (!error)
        error = disk_put(vault->disk, key, value);
    vault_release(vault, 0);
    return error;
}

int vault_delete(struct vault *vault, struct disk_view key) {
    int error = disk_delete(vault->disk, key);
    vault_release(vault, 0);
    return error;
}

/* What was found by a seek. */
static int found(struct vault *vault, int error, struct disk_view key, struct disk_view value,
                 struct disk_view *ret_key, struct disk_view *ret_value) {
    if (!error)
        error = open_value(vault, key, &value);
    if (error)
        return error;
    *ret_key = key;
    *ret_value = value;
    return 0;
}

int vault_seek(struct vault *vault, struct disk_view key, struct disk_view *ret_key,
               struct disk_view *ret_value) {
    struct disk_view at = {0}, value = {0};
    int error = disk_seek(vault->disk, key, &at, &value);
    return found(vault, error, at, value, ret_key, ret_value);
}

int vault_seek_before(struct vault *vault, struct disk_view key, struct disk_view *ret_key,
                      struct disk_view *ret_value) {
    struct disk_view at = {0}, value = {0};
    int error = disk_seek_before(vault->disk, key, &at, &value);
    return found(vault, error, at, value, ret_key, ret_value);
}

int vault_walk(struct vault *vault, struct key *at, struct disk_view *ret_key, struct disk_view *ret_value) {
    struct disk_view key, value;
    key_add(at, "", 1); /* comes right behind it */
    int error = vault_seek(vault, key_view(at), &key, &value);
    if (!error && key.bytes >= sizeof(at->bytes))
        error = -EUCLEAN;
    if (error)
        return error;
    at->used = 0;
    key_add(at, key.at, key.bytes);
    *ret_key = key;
    *ret_value = value;
    return 0;
}
