#include "tools/ternd/command.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/account.h"
#include "core/must.h"
#include "core/port.h"
#include "tools/ternd/admin_socket.h"
#include "tools/ternd/daemon.h"
#include "tools/ternd/lines.h"

#define SENTENCE_BYTES 512
#define NUMBER_MAX 9007199254740992.0 /* 2^53: beyond it a double is not exact */

/* A request with what the admin thread needs to free those that never come back. */
struct asked {
    struct request request;
    struct asked *next, *previous;
};

/* --- a life --------------------------------------------------------------------------------------------- */

static void answer_line(struct admin_conn *conn, cJSON *answer) {
    char *text = cJSON_PrintUnformatted(answer);
    if (conn)
        admin_socket_answer(conn, text);
    cJSON_free(text);
}

static cJSON *failure(enum admin_code code, const char *sentence) {
#define X(name, status, help) #name,
    static const char *const names[] = {ADMIN_CODES(X)};
#undef X
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddBoolToObject(answer, "ok", false);
    cJSON_AddStringToObject(answer, "code", names[code]);
    cJSON_AddStringToObject(answer, "error", sentence);
    return answer;
}

static void refuse(struct admin_conn *conn, enum admin_code code, const char *sentence) {
    cJSON *answer = failure(code, sentence);
    answer_line(conn, answer);
    cJSON_Delete(answer);
}

static struct command *create(struct daemon *daemon, cJSON *request) {
    struct command *command = calloc(1, sizeof(*command));
    cJSON *answer = cJSON_CreateObject();
    if (!command || !answer) {
        free(command);
        cJSON_Delete(answer);
        return NULL;
    }
    cJSON_AddBoolToObject(answer, "ok", true);
    *command =
        (struct command){.daemon = daemon, .request = request, .answer = answer, .next = daemon->commands};
    if (daemon->commands)
        daemon->commands->previous = command;
    daemon->commands = command;
    return command;
}

void command_start(struct daemon *daemon, struct admin_conn *conn, const char *line, size_t bytes) {
#define X(symbol, noun, verb, arguments, help) command_##symbol,
    static command_step *const first_steps[] = {ADMIN_COMMANDS(X)};
#undef X
    char sentence[SENTENCE_BYTES];
    enum admin_command number;
    cJSON *request;
    if (lines_read_request(line, bytes, &number, &request, sentence, sizeof(sentence))) {
        refuse(conn, ADMIN_CODE_usage, sentence);
        return;
    }
    struct command *command = create(daemon, request);
    if (!command) {
        cJSON_Delete(request);
        refuse(conn, ADMIN_CODE_failed, "no memory");
        return;
    }
    command->conn = conn;
    admin_socket_begin(conn, command);
    first_steps[number](command);
}

void command_start_own(struct daemon *daemon, command_step *first) {
    struct command *command = create(daemon, NULL);
    if (command)
        first(command);
    else
        port_log("no_memory");
}

static void drop(struct command *command) {
    *(command->previous ? &command->previous->next : &command->daemon->commands) = command->next;
    if (command->next)
        command->next->previous = command->previous;
    cJSON_Delete(command->request);
    cJSON_Delete(command->answer);
    cJSON_Delete(command->rows);
    free(command->listed);
    free(command->shown);
    free(command->fresh);
    free(command);
}

static void end(struct command *command, cJSON *answer) {
    struct admin_conn *conn = command->conn;
    must(command->waiting == 0);
    if (conn)
        admin_socket_end(conn);
    answer_line(conn, answer);
    drop(command);
}

void command_done(struct command *command) {
    end(command, command->answer);
}

void command_fail(struct command *command, enum admin_code code, const char *format, ...) {
    char sentence[SENTENCE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    cJSON *answer = failure(code, sentence);
    end(command, answer);
    cJSON_Delete(answer);
}

void command_fail_status(struct command *command, int status) {
    const char *name = command->account.name;
    switch (status) {
    case -ENOENT:
        if (command->device)
            command_fail(command, ADMIN_CODE_not_found, "%s has no device %llu", name,
                         (unsigned long long)command->device);
        else
            command_fail(command, ADMIN_CODE_not_found, "there is no account %s", name);
        return;
    case -ENOSPC:
        command_fail(command, ADMIN_CODE_failed, "the store is full");
        return;
    case -EIO:
        command_fail(command, ADMIN_CODE_failed, "the store is closed to writes; ternctl status says why");
        return;
    case -EUCLEAN:
        command_fail(command, ADMIN_CODE_damaged,
                     "a record of the store is damaged; ternctl store check says which");
        return;
    case -EDQUOT:
        command_fail(command, ADMIN_CODE_failed, "%s has too many link codes that are not used yet", name);
        return;
    case -EBUSY:
        command_fail(command, ADMIN_CODE_busy, "another long request is running");
        return;
    default:
        command_fail(command, ADMIN_CODE_failed, "%s", strerror(-status));
        return;
    }
}

bool command_failed(struct command *command) {
    int status = command->status;
    if (status)
        command_fail_status(command, status);
    return status != 0;
}

/* --- arguments ------------------------------------------------------------------------------------------ */

bool command_has(const struct command *command, const char *field) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(command->request, field);
    return item && !cJSON_IsNull(item);
}

const char *command_text(struct command *command, const char *field, size_t bytes_max) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command->request, field));
    if (!text) {
        command_fail(command, ADMIN_CODE_usage, "\"%s\" is missing, or is no text", field);
        return NULL;
    }
    if (text[0] == '\0' || strlen(text) > bytes_max) {
        command_fail(command, ADMIN_CODE_usage, "\"%s\" has to have 1 to %zu bytes", field, bytes_max);
        return NULL;
    }
    return text;
}

bool command_number(struct command *command, const char *field, uint64_t min, uint64_t max, uint64_t fallback,
                    uint64_t *ret_number) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(command->request, field);
    if (!item || cJSON_IsNull(item)) {
        *ret_number = fallback;
        return true;
    }
    double value = cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : -1;
    if (!(value >= (double)min && value <= (double)max && value <= NUMBER_MAX) ||
        value != (double)(uint64_t)value) {
        command_fail(command, ADMIN_CODE_usage, "\"%s\" has to be a whole number from %llu to %llu", field,
                     (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *ret_number = (uint64_t)value;
    return true;
}

/* --- asking --------------------------------------------------------------------------------------------- */

struct request *command_request(struct command *command, enum request_kind kind) {
    struct asked *asked = calloc(1, sizeof(*asked));
    if (!asked) {
        command->status = -ENOMEM;
        return NULL;
    }
    asked->request.kind = (uint8_t)kind;
    asked->request.from = (uint16_t)command->daemon->party;
    asked->request.context = command;
    return &asked->request;
}

static struct asked *asked_of(struct request *request) {
    return (struct asked *)(void *)((char *)request - offsetof(struct asked, request));
}

static void free_request(struct request *request) {
    if (request->codes)
        sodium_memzero(request->codes, (size_t)request->capacity * sizeof(*request->codes));
    free(request->codes);
    free(request->accounts);
    free(request->rows);
    struct asked *asked = asked_of(request);
    sodium_memzero(asked, sizeof(*asked));
    free(asked);
}

void command_discard(struct command *command, struct request *request) {
    command->status = -ENOMEM;
    if (request)
        free_request(request);
}

void command_ask(struct command *command, uint32_t party, struct request *request) {
    if (!request)
        return;
    struct daemon *daemon = command->daemon;
    struct asked *asked = asked_of(request);
    asked->previous = NULL;
    asked->next = daemon->asked;
    if (daemon->asked)
        daemon->asked->previous = asked;
    daemon->asked = asked;
    command->waiting++;
    daemon_post(daemon, party, request);
}

void command_ask_home(struct command *command, struct request *request) {
    if (request)
        command_ask(command, account_home(request->account, command->daemon->shards), request);
}

void command_ask_directory(struct command *command, struct request *request) {
    command_ask(command, command->daemon->shards, request);
}

static void go_on(struct command *command) {
    command_step *then = command->then;
    command->each = NULL;
    command->then = NULL;
    then(command);
}

void command_wait(struct command *command, command_each *each, command_step *then) {
    command->each = each;
    command->then = then;
    if (command->waiting == 0)
        go_on(command);
}

void command_returned(struct request *request) {
    struct command *command = request->context;
    struct asked *asked = asked_of(request);
    *(asked->previous ? &asked->previous->next : &command->daemon->asked) = asked->next;
    if (asked->next)
        asked->next->previous = asked->previous;
    must(command->waiting > 0);
    command->waiting--;
    if (request->status && !command->status)
        command->status = request->status;
    if (command->each)
        command->each(command, request);
    free_request(request);
    if (command->waiting == 0)
        go_on(command);
}

void command_end_all(struct daemon *daemon) {
    while (daemon->asked) {
        struct asked *asked = daemon->asked;
        daemon->asked = asked->next;
        free_request(&asked->request);
    }
    while (daemon->commands) {
        struct command *command = daemon->commands;
        command->waiting = 0; /* what it asked for is freed */
        if (command->waits_for_end)
            command_done(command);
        else
            command_fail(command, ADMIN_CODE_busy, "the switch ended meanwhile");
    }
}

/* --- the account it is about ---------------------------------------------------------------------------- */

static void take_account(struct command *command, struct request *request) {
    if (request->status == 0)
        command->account = request->accounts[0];
}

static void found_account(struct command *command) {
    command_step *then = command->found;
    if (!command_failed(command))
        then(command);
}

void command_find_account(struct command *command, command_step *then) {
    const char *name = command_text(command, "name", NAME_BYTES_MAX);
    if (!name)
        return;
    snprintf(command->account.name, sizeof(command->account.name), "%s", name);
    struct request *request = command_request(command, REQUEST_LOOKUP);
    if (request) {
        snprintf(request->name, sizeof(request->name), "%s", name);
        request->accounts = calloc(1, sizeof(*request->accounts));
        request->capacity = 1;
    }
    if (request && !request->accounts) {
        command_discard(command, request);
        request = NULL;
    }
    command->found = then;
    command_ask_directory(command, request);
    command_wait(command, take_account, found_account);
}

static void take_rows(struct command *command, struct request *request) {
    command->shown = request->rows;
    command->shown_count = request->count;
    request->rows = NULL;
}

static void show_found(struct command *command) {
    struct request *request = command_request(command, REQUEST_SHOW_ACCOUNT);
    if (request)
        request->account = command->account.account;
    command->found = command->show;
    command_ask_home(command, request);
    command_wait(command, take_rows, found_account);
}

void command_show_account(struct command *command, command_step *then) {
    command->show = then;
    command_find_account(command, show_found);
}

bool command_device(struct command *command, bool needed) {
    if (needed && !command_has(command, "device")) {
        command_fail(command, ADMIN_CODE_usage, "\"device\" is missing");
        return false;
    }
    return command_number(command, "device", 1, UINT16_MAX, 0, &command->device);
}

void command_hex(const uint8_t *bytes, size_t count, char *ret_text) {
    sodium_bin2hex(ret_text, count * 2 + 1, bytes, count);
}
