/* tests/support/world_store.h: storage's side of the world: committed entries in an array, a directory, an
 * expiry sweep. It commits whatever prefix of what waits the seed says, and answers only then.
 *
 * Threads: one.  Memory: world.h's. */
#ifndef TERN_TESTS_SUPPORT_WORLD_STORE_H
#define TERN_TESTS_SUPPORT_WORLD_STORE_H

#include "tests/support/world.h"

#define WORLD_REPORT_ENTRIES 32

static int world_compare(const struct world_entry *entry, uint64_t account, uint16_t device, uint64_t seq) {
    if (entry->account != account)
        return entry->account < account ? -1 : 1;
    if (entry->device != device)
        return entry->device < device ? -1 : 1;
    return entry->seq < seq ? -1 : entry->seq > seq;
}

static size_t world_lower(uint64_t account, uint16_t device, uint64_t seq) {
    size_t low = 0, high = world.store.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (world_compare(&world.store.entries[middle], account, device, seq) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool world_is_of(size_t at, uint64_t account, uint16_t device) {
    return at < world.store.count && world.store.entries[at].account == account &&
           world.store.entries[at].device == device;
}

int port_store_read(struct shard *shard, uint64_t account, uint16_t device, uint64_t seq,
                    struct store_view *ret_view) {
    (void)shard;
    size_t at = world_lower(account, device, seq);
    if (!world_is_of(at, account, device))
        return -ENOENT;
    const struct world_entry *entry = &world.store.entries[at];
    *ret_view = (struct store_view){.seq = entry->seq,
                                    .frame = entry->frame,
                                    .frame_bytes = entry->bytes,
                                    .expires_ms = entry->expires_ms};
    return 0;
}

int port_store_read_check(struct shard *shard, uint64_t account) {
    (void)shard;
    (void)account;
    return 0;
}

void port_store_read_end(struct shard *shard) {
    (void)shard;
}

uint32_t port_store_party(const struct shard *shard, uint64_t account) {
    (void)shard;
    (void)account;
    return world_store_party();
}

uint32_t port_directory_party(const struct shard *shard) {
    (void)shard;
    return world_store_party();
}

static struct queue_entry world_describe(const struct world_entry *entry) {
    struct queue_entry described = {
        .seq = entry->seq, .frame_bytes = entry->bytes, .frame_type = entry->frame[2]};
    struct frame frame = {.type = entry->frame[2], .bytes = entry->frame, .frame_bytes = entry->bytes};
    struct frame_message body;
    if (frame.type == FRAME_MESSAGE && frame_read_message(&frame, &body) == 0) {
        described.id = body.id;
        described.accepted_ms = body.accepted_ms;
        described.target_count = body.target_count;
    }
    return described;
}

/* A copy of the message is in this device's queue. */
static bool world_queued(uint64_t account, uint16_t device, const struct message_id *id) {
    for (size_t at = world_lower(account, device, 0); world_is_of(at, account, device); at++) {
        struct queue_entry entry = world_describe(&world.store.entries[at]);
        if (entry.frame_type == FRAME_MESSAGE && entry.id.number == id->number &&
            message_id_same_key(&entry.id, id))
            return true;
    }
    return false;
}

/* --- writes --------------------------------------------------------------------------------------------- */

/* "When a put fails", core/port.h: what was put behind what a full queue refused is refused, too. */
static bool world_queue_takes(const struct note *note, bool message) {
    uint64_t *refused_from = &world.refused_from[note->put.account][note->device];
    uint64_t messages = 0;
    for (size_t at = world_lower(note->put.account, note->device, 0);
         world_is_of(at, note->put.account, note->device); at++)
        messages += world.store.entries[at].frame[2] == FRAME_MESSAGE;
    if (*refused_from && note->put.seq > *refused_from)
        return false;
    bool full = message && messages >= world.config.queue_messages_max && !world.winding_down;
    *refused_from = full ? note->put.seq : 0;
    return !full;
}

static int world_put(const struct note *note, uint32_t from) {
    if (note->put.generation <= world.failed_generation[from])
        return -ECANCELED;
    bool message = note->put.frame[2] == FRAME_MESSAGE;
    if (!world_queue_takes(note, message))
        return -EDQUOT;
    bool hiccup = (world.troubles & WORLD_FULL_STORE) && !world.winding_down && world_random() % 400 == 0;
    if ((world.store_full && message) || hiccup) {
        world.failed_generation[from] = note->put.generation;
        return hiccup ? -ENOMEM : -ENOSPC;
    }
    struct world_store *store = &world.store;
    size_t at = world_lower(note->put.account, note->device, note->put.seq);
    if (at < store->count &&
        world_compare(&store->entries[at], note->put.account, note->device, note->put.seq) == 0)
        world_fail("queue number %llu was used twice", (unsigned long long)note->put.seq);
    if (store->count == store->capacity) {
        store->capacity = store->capacity ? store->capacity * 2 : 256;
        store->entries = realloc(store->entries, store->capacity * sizeof(*store->entries));
    }
    memmove(store->entries + at + 1, store->entries + at, (store->count - at) * sizeof(*store->entries));
    struct world_entry *entry = &store->entries[at];
    *entry = (struct world_entry){.account = note->put.account,
                                  .seq = note->put.seq,
                                  .expires_ms = note->put.expires_ms,
                                  .device = note->device,
                                  .bytes = note->put.frame_bytes};
    entry->frame = malloc(entry->bytes);
    memcpy(entry->frame, note->put.frame, entry->bytes);
    store->count++;
    return 0;
}

static void world_delete(const struct note *note) {
    struct world_store *store = &world.store;
    size_t at = world_lower(note->erase.account, note->device, note->erase.first);
    size_t end = at;
    while (end < store->count &&
           world_compare(&store->entries[end], note->erase.account, note->device, note->erase.last) <= 0)
        free(store->entries[end++].frame);
    if (end > at)
        memmove(store->entries + at, store->entries + end, (store->count - end) * sizeof(*store->entries));
    store->count -= end - at;
}

/* --- requests ------------------------------------------------------------------------------------------- */

static void world_list(struct request *request) {
    size_t at = world_lower(request->account, request->device_number, request->first);
    request->count = 0;
    for (; world_is_of(at, request->account, request->device_number); at++) {
        if (request->count == request->capacity || world.store.entries[at].seq > request->last)
            break;
        request->entries[request->count++] = world_describe(&world.store.entries[at]);
    }
    request->status = 0;
}

/* A link code is the index of the device in the world. */
static void world_link(struct request *request) {
    struct world_device *device = &world.devices[request->code[0]];
    if (device->number == 0) {
        device->number = ++world.device_next[device->account];
        device->created_ms = WORLD_UTC_MS + world.now_ms;
    }
    request->device_number = device->number;
    request->status = 0;
}

static void world_request(struct request *request) {
    switch (request->kind) {
    case REQUEST_FETCH:
    case REQUEST_PURGE:
        world_list(request);
        break;
    case REQUEST_LINK:
        world_link(request);
        break;
    case REQUEST_BLOCK:
        if (!world.winding_down)
            world.blocks[request->account][request->other] = request->value;
        request->status = 0;
        break;
    default:
        request->status = -EINVAL;
        break;
    }
}

/* --- a store thread's turn ------------------------------------------------------------------------------ */

static void world_store_take(void) {
    struct note note;
    uint32_t from;
    while (lanes_take(world.lanes, world_store_party(), &note, &from)) {
        if (note.kind == NOTE_REQUEST_DONE) { /* an expiry report comes back */
            free(note.request);
            continue;
        }
        if (world.store_count == world.store_capacity) {
            world.store_capacity = world.store_capacity ? world.store_capacity * 2 : 256;
            world.store_waiting = realloc(world.store_waiting, world.store_capacity * sizeof(note));
        }
        note.flags = (uint8_t)from; /* the notes a store gets use no flags */
        world.store_waiting[world.store_count++] = note;
    }
}

static void world_store_commit(uint32_t count) {
    uint32_t party = world_store_party();
    for (uint32_t i = 0; i < count; i++) {
        struct note note = world.store_waiting[i];
        uint32_t from = note.flags;
        note.flags = 0;
        if (note.kind == NOTE_PUT) {
            note.status = world_put(&note, from);
            note.kind = NOTE_PUT_DONE;
            lanes_post(world.lanes, party, from, &note);
        } else if (note.kind == NOTE_DELETE) {
            world_delete(&note);
        } else if (note.kind == NOTE_REQUEST) {
            world_request(note.request);
            note.kind = NOTE_REQUEST_DONE;
            lanes_post(world.lanes, party, from, &note);
        }
    }
    world.store_count -= count;
    if (world.store_count)
        memmove(world.store_waiting, world.store_waiting + count,
                world.store_count * sizeof(*world.store_waiting));
}

/* Reports what has expired, as storage/expiry.c does: again and again, until it is deleted. */
static void world_sweep(void) {
    struct world_store *store = &world.store;
    struct request *report = NULL;
    for (size_t at = 0; at < store->count; at++) {
        const struct world_entry *entry = &store->entries[at];
        bool expired = entry->expires_ms <= WORLD_UTC_MS + world.now_ms && entry->frame[2] == FRAME_MESSAGE;
        if (expired && !report) {
            report = calloc(1, sizeof(*report) + WORLD_REPORT_ENTRIES * sizeof(struct queue_entry));
            report->kind = REQUEST_EXPIRED;
            report->from = (uint16_t)world_store_party();
            report->account = entry->account;
            report->device_number = entry->device;
            report->entries = (struct queue_entry *)(report + 1);
        }
        if (expired)
            report->entries[report->count++] = world_describe(entry);
        if (report && (report->count == WORLD_REPORT_ENTRIES ||
                       !world_is_of(at + 1, report->account, report->device_number))) {
            struct note note = {.kind = NOTE_REQUEST, .request = report};
            uint32_t home = account_home(report->account, world.shard_count);
            lanes_post(world.lanes, world_store_party(), home, &note);
            report = NULL;
        }
    }
}

static void world_store_free(struct world_store *store) {
    for (size_t i = 0; i < store->count; i++)
        free(store->entries[i].frame);
    free(store->entries);
    *store = (struct world_store){0};
}

static struct world_store world_store_copy(void) {
    struct world_store copy = world.store;
    copy.capacity = copy.count ? copy.count : 1;
    copy.entries = malloc(copy.capacity * sizeof(*copy.entries));
    for (size_t i = 0; i < copy.count; i++) {
        copy.entries[i] = world.store.entries[i];
        copy.entries[i].frame = malloc(copy.entries[i].bytes);
        memcpy(copy.entries[i].frame, world.store.entries[i].frame, copy.entries[i].bytes);
    }
    return copy;
}

#endif
