/* The drain: rounds over all shards until nothing is on its way between them, then they stop. */
#include "core/port.h"
#include "tools/ternd/command.h"
#include "tools/ternd/daemon.h"
#include "tools/ternd/notify.h"
#include "tools/ternd/signals.h"

static void add_round(struct command *command, struct request *request) {
    command->count += request->value;
}

static void stopped(struct command *command) {
    command->daemon->drained = true;
    command_done(command);
}

static void round_done(struct command *command);

static void ask_shards(struct command *command, enum request_kind kind) {
    for (uint32_t i = 0; i < command->daemon->shards; i++)
        command_ask(command, i, command_request(command, kind));
}

static void begin_round(struct command *command) {
    command->last_count = command->count;
    command->count = 0;
    ask_shards(command, REQUEST_DRAIN);
    command_wait(command, add_round, round_done);
}

/* Shards answer when nothing of their own is out. Where no note was handled since the round before, nothing
 * was on its way between them either. */
static void round_done(struct command *command) {
    if (command->status || !command->more || command->count != command->last_count) {
        command->more = true; /* there is a round to compare with */
        command->status = 0;
        begin_round(command);
        return;
    }
    ask_shards(command, REQUEST_STOP);
    command_wait(command, NULL, stopped);
}

void daemon_drain(struct daemon *daemon) {
    if (daemon->draining)
        return;
    daemon->draining = true;
    port_log("drain shards=%u", daemon->shards);
    notify_stopping();
    signals_end_after((unsigned)daemon->current->drain_s);
    command_start_own(daemon, begin_round);
}

void command_DRAIN(struct command *command) {
    command->waits_for_end = true;
    daemon_drain(command->daemon);
}
