/* Power cuts, thousands of them: from the log of tests/disk/shim.c this puts together what the disk of a
 * switch would have held had the power gone at some moment, opens the store that is left, and looks for every
 * message whose sender had seen its sent tick by then.
 *
 *     disk_cuts --log FILE --ledger FILE --data FOLDER --work FOLDER [--cuts N] [--seed N]
 *
 * What was made durable before the cut is there. Of every write after that, each block of 512 bytes is there
 * or not, by chance: a disk may write them in any order. The ledger says what people saw, a line each, times
 * in ns of CLOCK_MONOTONIC:
 *
 *     sent FROM DEVICE TO EPOCH NUMBER TIME        the sender saw the tick
 *     received FROM DEVICE TO EPOCH NUMBER TIME    the recipient had it, and was about to acknowledge it
 *
 * A message that was ticked before the cut must be in a queue of the store, or have been received before the
 * cut. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/account.h"
#include "core/noise.h"
#include "core/stats.h"
#include "storage/environment.h"
#include "storage/server_key.h"
#include "tests/disk/record.h"

#define BLOCK_BYTES 512
#define SHARDS 1

struct pending { /* a write that is not known to be durable */
    const struct disk_record *record;
    const uint8_t *bytes;
};

struct file {
    char path[256];
    uint8_t *image; /* what is durable */
    size_t bytes, capacity;
    struct pending *pending;
    size_t pending_count, pending_capacity;
    size_t syncing; /* of them, those that came before the fsync that runs */
};

struct entry { /* of the ledger */
    struct message_id id;
    uint64_t sent_ns, received_ns; /* UINT64_MAX: never */
    bool found;
};

struct cuts {
    const char *log, *ledger, *data, *work;
    unsigned long count;
    uint64_t seed, state;
    struct file files[DISK_FILES_MAX];
    struct entry *entries;
    size_t entry_count;
    unsigned long made, failed;
    uint64_t checked, applied_blocks, dropped_blocks;
};

static void die(const char *what, const char *name) {
    fprintf(stderr, "disk_cuts: %s %s: %s\n", what, name, strerror(errno));
    exit(2);
}

static void *grow(void *memory, size_t bytes) {
    memory = realloc(memory, bytes);
    if (!memory)
        die("no memory for", "the images");
    return memory;
}

static uint64_t chance(struct cuts *cuts, uint64_t below) {
    cuts->state += 0x9e3779b97f4a7c15u;
    return account_hash(cuts->state) % below;
}

/* --- the ledger ----------------------------------------------------------------------------------------- */

static int compare_entries(const void *left, const void *right) {
    const struct message_id *a = &((const struct entry *)left)->id, *b = &((const struct entry *)right)->id;
    const uint64_t as[] = {a->from, a->from_device, a->to, a->epoch, a->number};
    const uint64_t bs[] = {b->from, b->from_device, b->to, b->epoch, b->number};
    for (size_t i = 0; i < sizeof(as) / sizeof(as[0]); i++) {
        if (as[i] != bs[i])
            return as[i] < bs[i] ? -1 : 1;
    }
    return 0;
}

static struct entry *find_entry(const struct cuts *cuts, const struct message_id *id) {
    struct entry key = {.id = *id};
    return cuts->entry_count ? bsearch(&key, cuts->entries, cuts->entry_count, sizeof(key), compare_entries)
                             : NULL;
}

/* Two lines of one message become one entry. */
static void join_entries(struct cuts *cuts) {
    size_t used = 0;
    qsort(cuts->entries, cuts->entry_count, sizeof(*cuts->entries), compare_entries);
    for (size_t i = 0; i < cuts->entry_count; i++) {
        struct entry *entry = &cuts->entries[i];
        struct entry *last = used ? &cuts->entries[used - 1] : NULL;
        if (last && compare_entries(last, entry) == 0) {
            last->sent_ns = entry->sent_ns < last->sent_ns ? entry->sent_ns : last->sent_ns;
            last->received_ns =
                entry->received_ns < last->received_ns ? entry->received_ns : last->received_ns;
        } else {
            cuts->entries[used++] = *entry;
        }
    }
    cuts->entry_count = used;
}

static void read_ledger(struct cuts *cuts) {
    FILE *file = fopen(cuts->ledger, "re");
    if (!file)
        die("can't read", cuts->ledger);
    char what[16];
    size_t capacity = 0;
    unsigned long long from, device, to, epoch, number, time_ns;
    int got;
    while ((got = fscanf(file, "%15s %llu %llu %llu %llu %llu %llu", what, &from, &device, &to, &epoch,
                         &number, &time_ns)) == 7) {
        if (cuts->entry_count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            cuts->entries = grow(cuts->entries, capacity * sizeof(*cuts->entries));
        }
        bool sent = strcmp(what, "sent") == 0;
        cuts->entries[cuts->entry_count++] = (struct entry){
            .id = {.from = from, .from_device = (uint16_t)device, .to = to, .epoch = epoch, .number = number},
            .sent_ns = sent ? time_ns : UINT64_MAX,
            .received_ns = sent ? UINT64_MAX : time_ns,
        };
    }
    fclose(file);
    if (got != EOF || cuts->entry_count == 0) {
        fprintf(stderr, "disk_cuts: %s is no ledger\n", cuts->ledger);
        exit(2);
    }
    join_entries(cuts);
}

/* --- what is on the disk -------------------------------------------------------------------------------- */

static void image_write(struct file *file, uint64_t offset, const uint8_t *bytes, size_t count) {
    size_t end = offset + count;
    if (end > file->capacity) {
        size_t capacity = end * 2;
        file->image = grow(file->image, capacity);
        memset(file->image + file->capacity, 0, capacity - file->capacity);
        file->capacity = capacity;
    }
    memcpy(file->image + offset, bytes, count);
    file->bytes = end > file->bytes ? end : file->bytes;
}

static void make_durable(struct file *file, size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++)
        image_write(file, file->pending[i].record->offset, file->pending[i].bytes,
                    file->pending[i].record->bytes);
    memmove(file->pending + first, file->pending + first + count,
            (file->pending_count - first - count) * sizeof(*file->pending));
    file->pending_count -= count;
}

static void take_record(struct cuts *cuts, const struct disk_record *record, const uint8_t *bytes) {
    struct file *file = &cuts->files[record->file];
    switch (record->kind) {
    case DISK_OPEN:
        snprintf(file->path, sizeof(file->path), "%.*s", (int)record->bytes, (const char *)bytes);
        break;
    case DISK_WRITE:
        if (file->pending_count == file->pending_capacity) {
            file->pending_capacity = file->pending_capacity ? file->pending_capacity * 2 : 64;
            file->pending = grow(file->pending, file->pending_capacity * sizeof(*file->pending));
        }
        file->pending[file->pending_count++] = (struct pending){record, bytes};
        break;
    case DISK_WRITE_DURABLE:
        if (file->pending_count)
            make_durable(file, file->pending_count - 1, 1);
        break;
    case DISK_SYNC:
        file->syncing = file->pending_count;
        break;
    case DISK_SYNCED:
        make_durable(file, 0, file->syncing);
        file->syncing = 0;
        break;
    default:
        break;
    }
}

/* What a cut now leaves of this file: all that is durable, and of the rest `percent` of the blocks. */
static void write_remains(struct cuts *cuts, const struct file *file, const char *path, unsigned percent) {
    struct file left = {0};
    if (file->bytes)
        image_write(&left, 0, file->image, file->bytes);
    for (size_t i = 0; i < file->pending_count; i++) {
        const struct disk_record *record = file->pending[i].record;
        for (uint32_t at = 0; at < record->bytes; at += BLOCK_BYTES) {
            size_t bytes = record->bytes - at < BLOCK_BYTES ? record->bytes - at : BLOCK_BYTES;
            bool kept = chance(cuts, 100) < percent;
            *(kept ? &cuts->applied_blocks : &cuts->dropped_blocks) += 1;
            if (kept)
                image_write(&left, record->offset + at, file->pending[i].bytes + at, bytes);
        }
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, left.image, left.bytes) != (ssize_t)left.bytes || close(fd) < 0)
        die("can't write", path);
    free(left.image);
}

/* --- a cut ---------------------------------------------------------------------------------------------- */

static const char *file_tail(const char *path) { /* env-N/data.mdb */
    const char *slash = strrchr(path, '/');
    while (slash && slash > path && *(slash - 1) != '/')
        slash--;
    return slash ? slash : path;
}

static void lay_out(struct cuts *cuts) {
    static const unsigned percents[] = {0, 10, 50, 90, 100};
    unsigned percent = percents[chance(cuts, sizeof(percents) / sizeof(percents[0]))];
    for (uint32_t i = 0; i < DISK_FILES_MAX; i++) {
        char path[512];
        if (!cuts->files[i].path[0])
            continue;
        snprintf(path, sizeof(path), "%s/%s", cuts->work, file_tail(cuts->files[i].path));
        char *slash = strrchr(path, '/');
        *slash = 0;
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            die("can't make", path);
        *slash = '/';
        write_remains(cuts, &cuts->files[i], path, percent);
    }
}

static void mark_entry(const struct cuts *cuts, const struct value_key *key, struct map_view value,
                       unsigned *damaged) {
    struct value_queue queue;
    struct frame_message message;
    if (value_read_queue(value_key_view(key), value, &queue)) {
        ++*damaged;
        return;
    }
    struct frame frame = {
        .type = queue.frame[2], .bytes = (uint8_t *)(uintptr_t)queue.frame, .frame_bytes = queue.frame_bytes};
    if (frame.type != FRAME_MESSAGE || frame_read_message(&frame, &message))
        return;
    struct entry *entry = find_entry(cuts, &message.id);
    if (entry)
        entry->found = true;
}

static void mark_found(const struct cuts *cuts, struct map_view key, struct map_view value,
                       unsigned *damaged) {
    struct run run;
    if (!run_open(key, value, &run)) {
        *damaged += value_check(key, value) != 0;
        return;
    }
    for (uint32_t i = 0; i < run.count; i++) {
        struct value_key entry = run_key(&run, i);
        mark_entry(cuts, &entry, run_entry(&run, i), damaged);
    }
}

static int walk(const struct cuts *cuts, struct store *store) {
    unsigned damaged = 0;
    for (uint32_t i = 0; i < store->count; i++) {
        struct map_txn *txn;
        struct map_cursor *cursor;
        struct map_view key, value;
        int error = map_begin_read(store->environments[i].map, &txn);
        if (error)
            return error;
        error = map_cursor_open(txn, &cursor);
        for (error = map_seek(cursor, (struct map_view){(const uint8_t *)"\1", 1}, &key, &value); error == 0;
             error = map_next(cursor, &key, &value))
            mark_found(cuts, key, value, &damaged);
        map_cursor_close(cursor);
        map_abort(txn);
        if (error != -ENOENT)
            return error;
    }
    return damaged ? -EUCLEAN : 0;
}

static bool holds(struct cuts *cuts, uint64_t cut_ns, unsigned long index) {
    for (size_t i = 0; i < cuts->entry_count; i++) {
        const struct entry *entry = &cuts->entries[i];
        if (entry->sent_ns >= cut_ns)
            continue;
        cuts->checked++;
        if (entry->found || entry->received_ns < cut_ns)
            continue;
        fprintf(stderr,
                "cut %lu (seed %llu): message %llu of account %llu to %llu, ticked %.3f ms before, is gone\n",
                index, (unsigned long long)cuts->seed, (unsigned long long)entry->id.number,
                (unsigned long long)entry->id.from, (unsigned long long)entry->id.to,
                (double)(cut_ns - entry->sent_ns) / 1e6);
        return false;
    }
    return true;
}

static void check_cut(struct cuts *cuts, uint64_t cut_ns, unsigned long index) {
    struct config config;
    struct lanes *lanes = NULL;
    struct store *store;
    char error_text[256] = "";
    lay_out(cuts);
    for (size_t i = 0; i < cuts->entry_count; i++)
        cuts->entries[i].found = false;
    config_defaults(&config);
    struct stats *stats = calloc(ENVIRONMENTS_MAX, sizeof(*stats));
    if (!stats || lanes_create(SHARDS + ENVIRONMENTS_MAX + 1, 64, &lanes) < 0)
        die("no memory for", "a store");
    struct store_setup setup = {
        .folder = cuts->work, .config = &config, .lanes = lanes, .shards = SHARDS, .stats = stats};
    int error = store_open(&setup, &store, error_text, sizeof(error_text));
    if (error) {
        fprintf(stderr, "cut %lu (seed %llu): the store does not open: %s\n", index,
                (unsigned long long)cuts->seed, error_text);
        cuts->failed++;
    } else {
        error = walk(cuts, store);
        if (error)
            fprintf(stderr, "cut %lu (seed %llu): a record can't be read: %s\n", index,
                    (unsigned long long)cuts->seed, strerror(-error));
        if (error || !holds(cuts, cut_ns, index))
            cuts->failed++;
        store_close(store);
    }
    lanes_destroy(lanes);
    free(stats);
    cuts->made++;
}

/* --- the log -------------------------------------------------------------------------------------------- */

static const uint8_t *map_log(const char *path, size_t *ret_bytes) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size == 0)
        die("can't read", path);
    void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        die("can't map", path);
    close(fd);
    *ret_bytes = (size_t)status.st_size;
    return map;
}

/* False at the end; that of a switch that was killed may be cut off. */
static bool record_at(const uint8_t *log, size_t bytes, size_t at, struct disk_record *ret_record) {
    if (at + sizeof(*ret_record) > bytes)
        return false;
    memcpy(ret_record, log + at, sizeof(*ret_record));
    return ret_record->magic == DISK_MAGIC && ret_record->file < DISK_FILES_MAX &&
           at + sizeof(*ret_record) + ret_record->bytes <= bytes;
}

static size_t index_log(const uint8_t *log, size_t bytes, struct disk_record **ret_records,
                        const uint8_t ***ret_bodies) {
    struct disk_record record, *records = NULL;
    const uint8_t **bodies = NULL;
    size_t count = 0;
    for (size_t at = 0; record_at(log, bytes, at, &record); at += sizeof(record) + record.bytes) {
        if ((count & (count + 1)) == 0) {
            records = grow(records, 2 * (count + 1) * sizeof(*records));
            bodies = grow(bodies, 2 * (count + 1) * sizeof(*bodies));
        }
        records[count] = record;
        bodies[count++] = log + at + sizeof(record);
    }
    *ret_records = records;
    *ret_bodies = bodies;
    return count;
}

static void run(struct cuts *cuts) {
    size_t bytes;
    const uint8_t *log = map_log(cuts->log, &bytes);
    struct disk_record *records;
    const uint8_t **bodies;
    size_t record_count = index_log(log, bytes, &records, &bodies);
    /* Before the first tick there is nothing to lose: cuts are spread over what comes after it. */
    uint64_t first_ns = UINT64_MAX;
    for (size_t i = 0; i < cuts->entry_count; i++)
        first_ns = cuts->entries[i].sent_ns < first_ns ? cuts->entries[i].sent_ns : first_ns;
    size_t left = 0;
    for (size_t i = 0; i < record_count; i++)
        left += records[i].time_ns >= first_ns;
    for (size_t i = 0; i < record_count; i++) {
        if (records[i].time_ns >= first_ns) {
            /* So many cuts here that the whole number comes out whatever the number of records. */
            unsigned long here = (unsigned long)((cuts->count - cuts->made + chance(cuts, left)) / left);
            for (unsigned long k = 0; k < here && cuts->made < cuts->count; k++)
                check_cut(cuts, records[i].time_ns, cuts->made);
            left--;
        }
        take_record(cuts, &records[i], bodies[i]);
        if (isatty(STDERR_FILENO) && i % 64 == 0)
            fprintf(stderr, "\r%lu of %lu cuts", cuts->made, cuts->count);
    }
    free(records);
    free(bodies);
    munmap((void *)(uintptr_t)log, bytes);
}

static void copy_key(const struct cuts *cuts) {
    uint8_t secret[KEY_BYTES];
    int error = server_key_read(cuts->data, secret);
    if (!error && mkdir(cuts->work, 0700) < 0 && errno != EEXIST)
        error = -errno;
    if (!error)
        error = server_key_write(cuts->work, secret);
    explicit_bzero(secret, sizeof(secret));
    if (error && error != -EEXIST) {
        errno = -error;
        die("can't copy the key from", cuts->data);
    }
}

int main(int count, char **arguments) {
    static const struct option options[] = {{"log", 1, NULL, 'l'},
                                            {"ledger", 1, NULL, 'e'},
                                            {"data", 1, NULL, 'd'},
                                            {"work", 1, NULL, 'w'},
                                            {"cuts", 1, NULL, 'c'},
                                            {"seed", 1, NULL, 's'},
                                            {0}};
    struct cuts cuts = {.count = 1000, .seed = 1};
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        switch (option) {
        case 'l':
            cuts.log = optarg;
            break;
        case 'e':
            cuts.ledger = optarg;
            break;
        case 'd':
            cuts.data = optarg;
            break;
        case 'w':
            cuts.work = optarg;
            break;
        case 'c':
            cuts.count = strtoul(optarg, NULL, 10);
            break;
        case 's':
            cuts.seed = strtoull(optarg, NULL, 10);
            break;
        default:
            return 2;
        }
    }
    if (!cuts.log || !cuts.ledger || !cuts.data || !cuts.work || noise_init() < 0) {
        fprintf(
            stderr,
            "usage: disk_cuts --log FILE --ledger FILE --data FOLDER --work FOLDER [--cuts N] [--seed N]\n");
        return 2;
    }
    cuts.state = cuts.seed;
    read_ledger(&cuts);
    copy_key(&cuts);
    run(&cuts);
    printf(
        "%lu cuts, %lu failed; %llu ticked messages looked for; %llu blocks in flight kept, %llu dropped\n",
        cuts.made, cuts.failed, (unsigned long long)cuts.checked, (unsigned long long)cuts.applied_blocks,
        (unsigned long long)cuts.dropped_blocks);
    for (uint32_t i = 0; i < DISK_FILES_MAX; i++) {
        free(cuts.files[i].image);
        free(cuts.files[i].pending);
    }
    free(cuts.entries);
    return cuts.failed || cuts.made < cuts.count ? 1 : 0;
}
