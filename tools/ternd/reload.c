#include "tools/ternd/reload.h"

#include <errno.h>
#include <stdlib.h>

#include "core/port.h"
#include "tools/ternd/command.h"
#include "tools/ternd/daemon.h"
#include "tools/ternd/notify.h"

#define NAMES_BYTES 1024
#define SENTENCE_BYTES 512

/* The shards have copied what they take over. */
static void reloaded(struct command *command) {
    free(command->fresh);
    command->fresh = NULL;
    command->daemon->reloading = false;
    notify_ready();
    if (!command_failed(command))
        command_done(command);
}

static void take_over(struct command *command) {
    struct daemon *daemon = command->daemon;
    struct config *fresh = command->fresh;
    char changed[NAMES_BYTES], restart[NAMES_BYTES];
    unsigned changes = config_differences(daemon->current, fresh, true, changed, sizeof(changed));
    unsigned restarts = config_differences(daemon->current, fresh, false, restart, sizeof(restart));
    port_log("reloaded changed=%u settings=\"%s\" need_restart=\"%s\"", changes, changed, restart);
    cJSON_AddNumberToObject(command->answer, "changed", changes);
    cJSON_AddStringToObject(command->answer, "changed_settings", changed);
    cJSON_AddNumberToObject(command->answer, "restart", restarts);
    cJSON_AddStringToObject(command->answer, "restart_settings", restart);
    config_reload(daemon->current, fresh);
    loop_group_reload(daemon->group, daemon->current);
    store_reload(daemon->store, daemon->current);
    for (uint32_t i = 0; i < daemon->shards; i++) {
        struct request *request = command_request(command, REQUEST_RELOAD);
        if (request)
            request->config = fresh;
        command_ask(command, i, request);
    }
    command_wait(command, NULL, reloaded);
}

void command_RELOAD(struct command *command) {
    struct daemon *daemon = command->daemon;
    char sentence[SENTENCE_BYTES];
    if (daemon->reloading) {
        command_fail(command, ADMIN_CODE_busy, "a reload is going on");
        return;
    }
    command->fresh = malloc(sizeof(*command->fresh));
    if (!command->fresh) {
        command_fail_status(command, -ENOMEM);
        return;
    }
    notify_reloading();
    int error = options_config(daemon->options, command->fresh, sentence, sizeof(sentence));
    if (error) {
        /* Everything stays as it was. */
        notify_ready();
        port_log("reload_failed error=\"%s\"", sentence);
        command_fail(command, ADMIN_CODE_failed, "%s", sentence);
        return;
    }
    daemon->reloading = true;
    take_over(command);
}

void reload_by_signal(struct daemon *daemon) {
    command_start_own(daemon, command_RELOAD);
}
