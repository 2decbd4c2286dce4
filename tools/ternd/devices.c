#include "tools/ternd/devices.h"

#include "tools/ternd/command.h"

/* --- list ----------------------------------------------------------------------------------------------- */

static cJSON *device_row(const struct status_row *row) {
    char key[COMMAND_HEX_BYTES(KEY_BYTES)];
    cJSON *object = cJSON_CreateObject();
    command_hex(row->key, KEY_BYTES, key);
    cJSON_AddNumberToObject(object, "device", row->device);
    cJSON_AddStringToObject(object, "state", row->flags & DEVICE_REVOKED ? "revoked" : "active");
    cJSON_AddBoolToObject(object, "connected", row->state != 0);
    cJSON_AddStringToObject(object, "address", row->address);
    cJSON_AddNumberToObject(object, "connected_ms", (double)row->connected_ms);
    cJSON_AddNumberToObject(object, "created_ms", (double)row->created_ms);
    cJSON_AddNumberToObject(object, "last_seen_ms", (double)row->last_seen_ms);
    cJSON_AddStringToObject(object, "key", key);
    cJSON_AddNumberToObject(object, "outbox", row->outbox_count);
    cJSON_AddNumberToObject(object, "queue", (double)row->queue_count);
    cJSON_AddNumberToObject(object, "shard", row->shard);
    return object;
}

cJSON *devices_rows(const struct command *command) {
    cJSON *rows = cJSON_CreateArray();
    for (uint32_t i = 0; i < command->shown_count; i++)
        cJSON_AddItemToArray(rows, device_row(&command->shown[i]));
    return rows;
}

static void list_done(struct command *command) {
    cJSON_AddItemToObject(command->answer, "devices", devices_rows(command));
    command_done(command);
}

void command_DEVICE_LIST(struct command *command) {
    command_show_account(command, list_done);
}

/* --- revoke --------------------------------------------------------------------------------------------- */

static void apply_revoke(struct command *command, struct request *request) {
    if (request->kind != REQUEST_DEVICE_REVOKE || request->status)
        return;
    struct request *apply = command_request(command, REQUEST_APPLY_REVOKE);
    if (apply) {
        apply->account = request->account;
        apply->device_number = request->device_number;
    }
    command_ask_home(command, apply);
}

static void revoked(struct command *command) {
    if (!command_failed(command))
        command_done(command);
}

static void revoke(struct command *command) {
    if (!command_device(command, true))
        return;
    struct request *request = command_request(command, REQUEST_DEVICE_REVOKE);
    if (request) {
        request->account = command->account.account;
        request->device_number = (uint16_t)command->device;
    }
    command_ask_directory(command, request);
    command_wait(command, apply_revoke, revoked);
}

void command_DEVICE_REVOKE(struct command *command) {
    command_find_account(command, revoke);
}
