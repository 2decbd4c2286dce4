/* The commands about connections. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/session.h"
#include "tools/ternd/command.h"
#include "tools/ternd/daemon.h"

/* --- list ----------------------------------------------------------------------------------------------- */

static const char *state_name(uint8_t state) {
    static const char *const names[] = {"none", "hello", "handshake", "login", "linking", "open", "closing"};
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : names[0];
}

static cJSON *connection_row(const struct status_row *row) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "id", (double)row->id);
    cJSON_AddNumberToObject(object, "shard", row->shard);
    cJSON_AddNumberToObject(object, "account", (double)row->account);
    cJSON_AddStringToObject(object, "name", row->name);
    cJSON_AddNumberToObject(object, "device", row->device);
    cJSON_AddStringToObject(object, "state", state_name(row->state));
    cJSON_AddStringToObject(object, "address", row->address);
    cJSON_AddNumberToObject(object, "connected_ms", (double)row->connected_ms);
    return object;
}

static int by_id(const void *a, const void *b) {
    uint64_t left = ((const struct status_row *)a)->id, right = ((const struct status_row *)b)->id;
    return left < right ? -1 : left > right;
}

/* Of one shard's page. */
static void take_rows(struct command *command, struct request *request) {
    size_t count = command->shown_count + (size_t)request->count;
    if (request->status)
        return;
    struct status_row *rows = realloc(command->shown, (count + 1) * sizeof(*rows));
    if (!rows) {
        command->status = -ENOMEM;
        return;
    }
    memcpy(rows + command->shown_count, request->rows, request->count * sizeof(*rows));
    command->shown = rows;
    command->shown_count = (uint32_t)count;
    command->more |= request->value != 0;
}

/* The lowest of all pages: what is left out comes with the next one. */
static void list_done(struct command *command) {
    if (command_failed(command))
        return;
    uint32_t count = command->shown_count;
    if (count)
        qsort(command->shown, count, sizeof(*command->shown), by_id);
    if (count > ADMIN_PAGE_ROWS) {
        count = ADMIN_PAGE_ROWS;
        command->more = true;
    }
    cJSON *rows = cJSON_AddArrayToObject(command->answer, "connections");
    for (uint32_t i = 0; i < count; i++)
        cJSON_AddItemToArray(rows, connection_row(&command->shown[i]));
    cJSON_AddBoolToObject(command->answer, "more", command->more);
    command_done(command);
}

void command_CONNECTION_LIST(struct command *command) {
    uint64_t after;
    if (!command_number(command, "after", 0, UINT64_MAX - 1, 0, &after))
        return;
    for (uint32_t i = 0; i < command->daemon->shards; i++) {
        struct request *request = command_request(command, REQUEST_SHOW_CONNECTIONS);
        if (request) {
            request->first = after;
            request->capacity = ADMIN_PAGE_ROWS;
        }
        command_ask(command, i, request);
    }
    command_wait(command, take_rows, list_done);
}

/* --- kick ----------------------------------------------------------------------------------------------- */

static void take_count(struct command *command, struct request *request) {
    command->count = request->value;
}

static void kicked(struct command *command) {
    if (command_failed(command))
        return;
    cJSON_AddNumberToObject(command->answer, "connections", (double)command->count);
    command_done(command);
}

static void kick(struct command *command) {
    if (!command_device(command, false))
        return;
    struct request *request = command_request(command, REQUEST_KICK);
    if (request) {
        request->account = command->account.account;
        request->device_number = (uint16_t)command->device;
    }
    command_ask_home(command, request);
    command_wait(command, take_count, kicked);
}

void command_CONNECTION_KICK(struct command *command) {
    command_find_account(command, kick);
}
