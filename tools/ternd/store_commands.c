/* The commands about the store: long ones; other connections are served meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/ternd/command.h"
#include "tools/ternd/daemon.h"

/* --- check ---------------------------------------------------------------------------------------------- */

void command_STORE_CHECK(struct command *command) {
    checker_start(&command->daemon->checker, command, command->daemon->config->data);
}

/* --- backup --------------------------------------------------------------------------------------------- */

static void keep_answer(struct command *command, struct request *request) {
    command->count = request->value;
    snprintf(command->text, sizeof(command->text), "%s", request->text);
}

static void backed_up(struct command *command) {
    switch (command->status) {
    case 0:
        cJSON_AddNumberToObject(command->answer, "environments", (double)command->count);
        command_done(command);
        return;
    case -EEXIST:
        command_fail(command, ADMIN_CODE_exists, "there is a store in that folder already");
        return;
    case -EBUSY:
        command_fail(command, ADMIN_CODE_busy, "%s", command->text);
        return;
    default:
        command_fail(command, ADMIN_CODE_failed, "%s", command->text);
        return;
    }
}

void command_STORE_BACKUP(struct command *command) {
    const char *folder = command_text(command, "folder", sizeof(command->text) - 1);
    if (!folder)
        return;
    if (folder[0] != '/') {
        command_fail(command, ADMIN_CODE_usage,
                     "\"folder\" has to be an absolute path: it is the switch that writes");
        return;
    }
    struct request *request = command_request(command, REQUEST_BACKUP);
    if (request)
        snprintf(request->text, sizeof(request->text), "%s", folder);
    command_ask_directory(command, request);
    command_wait(command, keep_answer, backed_up);
}
