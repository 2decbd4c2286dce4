/* What else the store has of the machine: the folder, the key file, the clocks; and threads, which house.c
 * turns. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "storage/environment.h"
#include "storage/folder.h"
#include "storage/server_key.h"
#include "tests/sim/house.h"
#include "tests/sim/machine.h"
#include "tests/sim/sim.h"

static struct {
    uint32_t environments;
    bool has_key;
    uint8_t key[KEY_BYTES];
} machine;

void machine_reset(void) {
    memset(&machine, 0, sizeof(machine));
}

/* --- storage/folder.h ----------------------------------------------------------------------------------- */

int folder_make(const char *folder) {
    const char *number = strrchr(folder, '-');
    uint32_t index = number ? (uint32_t)(number[1] - '0') : 0;
    if (number && index >= machine.environments)
        machine.environments = index + 1;
    return 0;
}

int folder_sync(const char *folder) {
    (void)folder;
    return 0;
}

int folder_lock(const char *folder) {
    (void)folder;
    return 1 << 28; /* no descriptor: closing it does nothing */
}

int folder_environments(const char *folder) {
    (void)folder;
    return (int)machine.environments;
}

void folder_environment_path(const char *folder, uint32_t index, char *ret_path, size_t path_bytes) {
    snprintf(ret_path, path_bytes, "%s/env-%u", folder, index);
}

int folder_sync_file(const char *folder, const char *name) {
    (void)folder;
    (void)name;
    return 0;
}

/* --- storage/server_key.h ------------------------------------------------------------------------------- */

int server_key_read(const char *folder, uint8_t ret_secret[KEY_BYTES]) {
    (void)folder;
    if (!machine.has_key)
        return -ENOENT;
    memcpy(ret_secret, machine.key, KEY_BYTES);
    return 0;
}

int server_key_write(const char *folder, const uint8_t secret[KEY_BYTES]) {
    (void)folder;
    if (machine.has_key)
        return -EEXIST;
    if (!house_effect())
        return 0;
    memcpy(machine.key, secret, KEY_BYTES);
    machine.has_key = true;
    return 0;
}

/* --- clocks --------------------------------------------------------------------------------------------- */

uint64_t store_now_us(void) {
    return sim.now_ms * 1000;
}

uint64_t store_now_ms(void) {
    return sim.now_ms;
}

uint64_t store_utc_ms(void) {
    return sim_utc_ms();
}

/* --- threads -------------------------------------------------------------------------------------------- */

int worker_open(struct environment *environment) {
    (void)environment;
    return 0;
}

void worker_close(struct environment *environment) {
    (void)environment;
}

int store_start(struct store *store) {
    (void)store;
    return 0;
}

void store_ring(struct store *store, uint32_t party) {
    (void)store;
    (void)party; /* a thread whose sleeping flag was cleared has its turn: see house.c */
}

void store_stop(struct store *store) {
    (void)store;
}
