/* The commands about what waits for devices. */
#include "tools/ternd/command.h"

static void show_done(struct command *command) {
    cJSON *rows = cJSON_AddArrayToObject(command->answer, "devices");
    for (uint32_t i = 0; i < command->shown_count; i++) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "device", command->shown[i].device);
        cJSON_AddNumberToObject(object, "outbox", command->shown[i].outbox_count);
        cJSON_AddNumberToObject(object, "queue", (double)command->shown[i].queue_count);
        cJSON_AddItemToArray(rows, object);
    }
    command_done(command);
}

void command_QUEUE_SHOW(struct command *command) {
    command_show_account(command, show_done);
}

static void take_count(struct command *command, struct request *request) {
    command->count = request->value;
}

static void purged(struct command *command) {
    if (command_failed(command))
        return;
    cJSON_AddNumberToObject(command->answer, "entries", (double)command->count);
    command_done(command);
}

static void purge(struct command *command) {
    if (!command_device(command, false))
        return;
    struct request *request = command_request(command, REQUEST_QUEUE_PURGE);
    if (request) {
        request->account = command->account.account;
        request->device_number = (uint16_t)command->device;
    }
    command_ask_home(command, request);
    command_wait(command, take_count, purged);
}

void command_QUEUE_PURGE(struct command *command) {
    command_find_account(command, purge);
}
