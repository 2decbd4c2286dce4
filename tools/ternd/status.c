/* The commands about the switch as a whole: answered at once, from what its threads publish. */
#include <unistd.h>

#include "core/version.h"
#include "tools/ternd/command.h"
#include "tools/ternd/daemon.h"

static void add_shards(struct command *command) {
    struct daemon *daemon = command->daemon;
    cJSON *shards = cJSON_AddArrayToObject(command->answer, "shards");
    uint64_t connections = 0;
    for (uint32_t i = 0; i < daemon->shards; i++) {
        const struct stats *stats = &daemon->stats[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "shard", i);
        cJSON_AddNumberToObject(object, "connections", (double)stats_get(stats->connections));
        /* Of a message that ends on another shard than it began the one counts up, the other down. */
        cJSON_AddNumberToObject(object, "messages_in_memory",
                                (double)(int64_t)stats_get(stats->messages_in_memory));
        cJSON_AddStringToObject(object, "features", loop_group_features(daemon->group, i));
        cJSON_AddItemToArray(shards, object);
        connections += stats_get(stats->connections);
    }
    cJSON_AddNumberToObject(command->answer, "connections", (double)connections);
}

static void add_stores(struct command *command) {
    struct daemon *daemon = command->daemon;
    cJSON *stores = cJSON_AddArrayToObject(command->answer, "stores");
    for (uint32_t i = 0; i < daemon->stores; i++) {
        struct store_status status;
        store_read_status(daemon->store, i, &status);
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "environment", i);
        cJSON_AddNumberToObject(object, "map_bytes", (double)status.map_bytes);
        cJSON_AddNumberToObject(object, "used_bytes", (double)status.used_bytes);
        cJSON_AddNumberToObject(object, "records", (double)status.records);
        cJSON_AddBoolToObject(object, "full", status.full);
        cJSON_AddBoolToObject(object, "closed", status.closed);
        cJSON_AddStringToObject(object, "error", status.error);
        cJSON_AddItemToArray(stores, object);
    }
}

void command_STATUS(struct command *command) {
    struct daemon *daemon = command->daemon;
    char key[COMMAND_HEX_BYTES(KEY_BYTES)];
    const char *address;
    command_hex(daemon->public_key, KEY_BYTES, key);
    cJSON_AddStringToObject(command->answer, "version", TERN_VERSION);
    cJSON_AddNumberToObject(command->answer, "pid", getpid());
    cJSON_AddNumberToObject(command->answer, "uptime_ms", (double)(daemon_now_ms() - daemon->started_ms));
    cJSON_AddStringToObject(command->answer, "key", key);
    cJSON *listen = cJSON_AddArrayToObject(command->answer, "listen");
    for (uint32_t i = 0; (address = loop_group_address(daemon->group, i)); i++)
        cJSON_AddItemToArray(listen, cJSON_CreateString(address));
    add_shards(command);
    add_stores(command);
    cJSON_AddBoolToObject(command->answer, "draining", daemon->draining);
    command_done(command);
}

void command_STATS(struct command *command) {
    struct daemon *daemon = command->daemon;
    cJSON *rows = cJSON_AddArrayToObject(command->answer, "stats");
    for (uint32_t i = 0; i < STATS_ROWS; i++) {
        struct stats_row row = stats_row(i);
        uint64_t value = 0;
        for (uint32_t j = 0; j < daemon->party; j++)
            value += stats_read(&daemon->stats[j], i);
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "name", row.name);
        cJSON_AddStringToObject(object, "kind", row.kind);
        cJSON_AddStringToObject(object, "help", row.help);
        cJSON_AddNumberToObject(object, "value", row.kind[0] == 'g' ? (double)(int64_t)value : (double)value);
        cJSON_AddItemToArray(rows, object);
    }
    command_done(command);
}
