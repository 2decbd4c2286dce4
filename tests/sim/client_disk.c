#include "tests/sim/client_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "tests/sim/sim.h"
#include "tests/sim/table.h"
#include "tools/client/disk.h"

struct platter {
    struct table table; /* committed */
    uint64_t version;
    bool doomed, dead;
};

struct disk {
    struct platter *platter;
    struct table table; /* of the open write transaction */
    bool open, writes;
};

static struct platter platters[SIM_DEVICES_MAX];

void client_disk_reset(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++)
        table_fini(&platters[i].table);
    memset(platters, 0, sizeof(platters));
}

void client_disk_doom(uint32_t device) {
    platters[device].doomed = true;
}

bool client_disk_has_died(uint32_t device) {
    bool dead = platters[device].dead;
    platters[device].dead = platters[device].doomed = false;
    return dead;
}

int disk_open(const char *folder, uint64_t bytes_max, struct disk **ret_disk) {
    (void)bytes_max;
    unsigned long index = strtoul(folder, NULL, 10);
    struct disk *disk = calloc(1, sizeof(*disk));
    must(index < SIM_DEVICES_MAX);
    if (!disk)
        return -ENOMEM;
    disk->platter = &platters[index];
    *ret_disk = disk;
    return 0;
}

void disk_close(struct disk *disk) {
    table_fini(&disk->table);
    free(disk);
}

uint64_t disk_version(const struct disk *disk) {
    return disk->platter->version;
}

int disk_begin(struct disk *disk, bool write) {
    must(!disk->open);
    disk->open = true;
    disk->writes = write;
    if (write)
        table_copy(&disk->table, &disk->platter->table);
    return 0;
}

int disk_commit(struct disk *disk) {
    struct platter *platter = disk->platter;
    must(disk->open && disk->writes);
    disk->open = false;
    if (platter->doomed && !platter->dead) {
        platter->dead = true;
        if (sim_chance(500))
            return 0; /* gone */
    } else if (platter->dead) {
        return 0;
    }
    struct table old = platter->table;
    platter->table = disk->table;
    disk->table = old;
    platter->version++;
    return 0;
}

void disk_abort(struct disk *disk) {
    must(disk->open);
    disk->open = false;
}

static struct table *table_of(struct disk *disk) {
    must(disk->open);
    return disk->writes ? &disk->table : &disk->platter->table;
}

static struct disk_view value_of(const struct record *record) {
    return (struct disk_view){.at = record->bytes + record->key_bytes, .bytes = record->value_bytes};
}

int disk_get(struct disk *disk, struct disk_view key, struct disk_view *ret_value) {
    bool same;
    const struct table *table = table_of(disk);
    uint32_t at = table_seek(table, key.at, key.bytes, &same);
    if (!same)
        return -ENOENT;
    *ret_value = value_of(table->at[at]);
    return 0;
}

int disk_put(struct disk *disk, struct disk_view key, struct disk_view value) {
    must(disk->open && disk->writes);
    uint8_t *space = table_put(&disk->table, key.at, key.bytes, value.bytes);
    if (value.bytes)
        memcpy(space, value.at, value.bytes);
    return 0;
}

int disk_delete(struct disk *disk, struct disk_view key) {
    bool same;
    must(disk->open && disk->writes);
    uint32_t at = table_seek(&disk->table, key.at, key.bytes, &same);
    if (!same)
        return -ENOENT;
    table_remove(&disk->table, at);
    return 0;
}

static int found(const struct table *table, uint32_t at, struct disk_view *ret_key,
                 struct disk_view *ret_value) {
    if (at >= table->count)
        return -ENOENT;
    const struct record *record = table->at[at];
    *ret_key = (struct disk_view){.at = record->bytes, .bytes = record->key_bytes};
    *ret_value = value_of(record);
    return 0;
}

int disk_seek(struct disk *disk, struct disk_view key, struct disk_view *ret_key,
              struct disk_view *ret_value) {
    bool same;
    const struct table *table = table_of(disk);
    return found(table, table_seek(table, key.at, key.bytes, &same), ret_key, ret_value);
}

int disk_seek_before(struct disk *disk, struct disk_view key, struct disk_view *ret_key,
                     struct disk_view *ret_value) {
    bool same;
    const struct table *table = table_of(disk);
    uint32_t at = table_seek(table, key.at, key.bytes, &same);
    return at ? found(table, at - 1, ret_key, ret_value) : -ENOENT;
}
