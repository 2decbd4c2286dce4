/* The commands about accounts. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/account.h"
#include "tools/ternd/command.h"
#include "tools/ternd/daemon.h"
#include "tools/ternd/devices.h"

#define ACCOUNTS_ADDED_MAX 1000 /* by one command */

/* --- add and code --------------------------------------------------------------------------------------- */

static cJSON *link_row(const struct account_record *record, const uint8_t code[FRAME_CODE_BYTES]) {
    char text[COMMAND_HEX_BYTES(FRAME_CODE_BYTES)];
    cJSON *row = cJSON_CreateObject();
    command_hex(code, FRAME_CODE_BYTES, text);
    cJSON_AddNumberToObject(row, "account", (double)record->account);
    cJSON_AddStringToObject(row, "name", record->name);
    cJSON_AddStringToObject(row, "code", text);
    sodium_memzero(text, sizeof(text));
    return row;
}

/* With what a link URI needs besides. */
static void answer_links(struct command *command) {
    char key[COMMAND_HEX_BYTES(KEY_BYTES)], address[CONFIG_TEXT_BYTES];
    command_hex(command->daemon->public_key, KEY_BYTES, key);
    daemon_address(command->daemon, address, sizeof(address));
    cJSON_AddItemToObject(command->answer, "accounts", command->rows);
    command->rows = NULL;
    cJSON_AddStringToObject(command->answer, "key", key);
    cJSON_AddStringToObject(command->answer, "address", address);
    const char *plaintext = daemon_plaintext_address(command->daemon);
    if (plaintext) /* for benchmarks */
        cJSON_AddStringToObject(command->answer, "plaintext", plaintext);
    command_done(command);
}

static void added(struct command *command) {
    if (!command_failed(command))
        answer_links(command);
}

static void take_added(struct command *command, struct request *request) {
    if (request->kind != REQUEST_ACCOUNT_ADD || request->status)
        return;
    command->rows = cJSON_CreateArray();
    for (uint32_t i = 0; i < request->count; i++) {
        cJSON_AddItemToArray(command->rows, link_row(&request->accounts[i], request->codes[i]));
        struct request *apply = command_request(command, REQUEST_APPLY_ACCOUNT);
        struct account_record *record = apply ? malloc(sizeof(*record)) : NULL;
        if (!record) {
            command_discard(command, apply);
            continue;
        }
        *record = request->accounts[i];
        apply->account = record->account;
        apply->accounts = record;
        command_ask_home(command, apply);
    }
}

static void add_done(struct command *command) {
    if (command->status == -EEXIST)
        command_fail(command, ADMIN_CODE_exists, "%s%s is taken", command->account.name,
                     command->count > 1 ? " or another of these names" : "");
    else
        added(command);
}

/* prefix and count: so many names, prefix1 and on. */
static bool write_name(struct command *command, bool many, uint32_t index, char name[NAME_BYTES_MAX + 1]) {
    int bytes = many ? snprintf(name, NAME_BYTES_MAX + 1, "%s%u", command->text, index + 1)
                     : snprintf(name, NAME_BYTES_MAX + 1, "%s", command->text);
    return bytes <= NAME_BYTES_MAX && account_name_allowed(name);
}

static bool read_name(struct command *command, bool many, uint32_t count) {
    const char *given = command_text(command, many ? "prefix" : "name", NAME_BYTES_MAX);
    if (!given)
        return false;
    snprintf(command->text, sizeof(command->text), "%s", given);
    /* The last name is the longest. */
    if (write_name(command, many, count - 1, command->account.name))
        return true;
    command_fail(command, ADMIN_CODE_usage,
                 "\"%s\" is no name: 1 to %d of a-z 0-9 . _ -, beginning with a letter or digit",
                 command->text, NAME_BYTES_MAX);
    return false;
}

void command_ACCOUNT_ADD(struct command *command) {
    bool many = command_has(command, "prefix");
    if (many && !command_number(command, "count", 1, ACCOUNTS_ADDED_MAX, 1, &command->count))
        return;
    uint32_t count = many ? (uint32_t)command->count : 1;
    if (!read_name(command, many, count))
        return;
    struct request *request = command_request(command, REQUEST_ACCOUNT_ADD);
    if (request) {
        request->count = request->capacity = count;
        request->accounts = calloc(count, sizeof(*request->accounts));
        request->codes = calloc(count, sizeof(*request->codes));
    }
    if (!request || !request->accounts || !request->codes) {
        command_discard(command, request);
        command_fail_status(command, -ENOMEM);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        write_name(command, many, i, request->accounts[i].name);
    command_ask_directory(command, request);
    command_wait(command, take_added, add_done);
}

static void take_code(struct command *command, struct request *request) {
    if (request->status)
        return;
    command->rows = cJSON_CreateArray();
    cJSON_AddItemToArray(command->rows, link_row(&command->account, request->code));
}

static void code_done(struct command *command) {
    const char *name = command->account.name;
    if (command->status == -EEXIST)
        command_fail(command, ADMIN_CODE_exists, "%s has a device, which adds further ones: tern device add",
                     name);
    else
        added(command);
}

static void add_code(struct command *command) {
    struct request *request = command_request(command, REQUEST_CODE_ADD);
    if (request)
        request->account = command->account.account;
    command_ask_directory(command, request);
    command_wait(command, take_code, code_done);
}

void command_ACCOUNT_CODE(struct command *command) {
    command_find_account(command, add_code);
}

/* --- list and show -------------------------------------------------------------------------------------- */

static void add_account(cJSON *object, const struct account_record *record) {
    cJSON_AddNumberToObject(object, "account", (double)record->account);
    cJSON_AddStringToObject(object, "name", record->name);
    cJSON_AddStringToObject(object, "state", record->flags & ACCOUNT_SUSPENDED ? "suspended" : "active");
    cJSON_AddNumberToObject(object, "created_ms", (double)record->created_ms);
}

static int by_number(const void *a, const void *b) {
    uint64_t left = ((const struct account_record *)a)->account,
             right = ((const struct account_record *)b)->account;
    return left < right ? -1 : left > right;
}

static void take_counts(struct command *command, struct request *request) {
    for (uint32_t i = 0; request->rows && i < request->count; i++) {
        const struct status_row *row = &request->rows[i];
        struct account_record wanted = {.account = row->account};
        const struct account_record *found =
            bsearch(&wanted, command->listed, command->listed_count, sizeof(wanted), by_number);
        cJSON *object = found ? cJSON_GetArrayItem(command->rows, (int)(found - command->listed)) : NULL;
        cJSON_AddNumberToObject(object, "devices", row->devices);
        cJSON_AddNumberToObject(object, "connected", row->connected);
    }
}

static void list_done(struct command *command) {
    if (command_failed(command))
        return;
    cJSON_AddItemToObject(command->answer, "accounts", command->rows);
    command->rows = NULL;
    cJSON_AddBoolToObject(command->answer, "more", command->more);
    command_done(command);
}

static void count_devices(struct command *command) {
    if (command_failed(command))
        return;
    command->rows = cJSON_CreateArray();
    for (uint32_t i = 0; i < command->listed_count; i++) {
        cJSON *object = cJSON_CreateObject();
        add_account(object, &command->listed[i]);
        cJSON_AddItemToArray(command->rows, object);
    }
    for (uint32_t i = 0; i < command->daemon->shards; i++) {
        struct request *request = command_request(command, REQUEST_SHOW_ACCOUNTS);
        size_t bytes = command->listed_count * sizeof(struct account_record);
        struct account_record *copy = request ? malloc(bytes + 1) : NULL;
        if (!copy) {
            command_discard(command, request);
            continue;
        }
        memcpy(copy, command->listed, bytes);
        request->accounts = copy;
        request->count = command->listed_count;
        command_ask(command, i, request);
    }
    command_wait(command, take_counts, list_done);
}

static void take_list(struct command *command, struct request *request) {
    free(command->listed);
    command->listed = request->accounts;
    command->listed_count = request->status ? 0 : request->count;
    command->more = request->value != 0;
    request->accounts = NULL;
}

static void ask_list(struct command *command, uint64_t after, const char *prefix, command_step *then) {
    struct request *request = command_request(command, REQUEST_LIST_ACCOUNTS);
    if (request) {
        request->account = after;
        request->capacity = ADMIN_PAGE_ROWS;
        request->accounts = calloc(ADMIN_PAGE_ROWS, sizeof(*request->accounts));
        snprintf(request->name, sizeof(request->name), "%s", prefix);
    }
    if (request && !request->accounts) {
        command_discard(command, request);
        request = NULL;
    }
    command_ask_directory(command, request);
    command_wait(command, take_list, then);
}

void command_ACCOUNT_LIST(struct command *command) {
    uint64_t after;
    if (command_number(command, "after", 0, UINT64_MAX - 1, 0, &after))
        ask_list(command, after, "", count_devices);
}

static void show_done(struct command *command) {
    add_account(command->answer, &command->account);
    cJSON_AddItemToObject(command->answer, "devices", devices_rows(command));
    command_done(command);
}

void command_ACCOUNT_SHOW(struct command *command) {
    command_show_account(command, show_done);
}

/* --- suspend, resume, remove ---------------------------------------------------------------------------- */

static void just_done(struct command *command) {
    if (!command_failed(command))
        command_done(command);
}

/* First on disk, then in the shard: what is on disk counts after a restart. */
static void apply_flags(struct command *command, struct request *request) {
    if (request->kind != REQUEST_ACCOUNT_FLAGS || request->status)
        return;
    struct request *apply = command_request(command, REQUEST_APPLY_ACCOUNT);
    struct account_record *record = apply ? malloc(sizeof(*record)) : NULL;
    if (!record) {
        command_discard(command, apply);
        return;
    }
    *record = command->account;
    record->flags = (uint8_t)command->flags;
    apply->account = record->account;
    apply->accounts = record;
    command_ask_home(command, apply);
}

static void set_flags(struct command *command) {
    struct request *request = command_request(command, REQUEST_ACCOUNT_FLAGS);
    command->flags = command->more ? command->account.flags | ACCOUNT_SUSPENDED
                                   : command->account.flags & ~(uint64_t)ACCOUNT_SUSPENDED;
    if (request) {
        request->account = command->account.account;
        request->value = command->flags;
    }
    command_ask_directory(command, request);
    command_wait(command, apply_flags, just_done);
}

void command_ACCOUNT_SUSPEND(struct command *command) {
    command->more = true;
    command_find_account(command, set_flags);
}

void command_ACCOUNT_RESUME(struct command *command) {
    command_find_account(command, set_flags);
}

static void apply_remove(struct command *command, struct request *request) {
    if (request->kind != REQUEST_ACCOUNT_REMOVE || request->status)
        return;
    struct request *apply = command_request(command, REQUEST_APPLY_REMOVE);
    if (apply)
        apply->account = request->account;
    command_ask_home(command, apply);
    command->count++;
}

static void remove_one(struct command *command, uint64_t account) {
    struct request *request = command_request(command, REQUEST_ACCOUNT_REMOVE);
    if (request)
        request->account = account;
    command_ask_directory(command, request);
}

static void removed(struct command *command) {
    if (command_failed(command))
        return;
    cJSON_AddNumberToObject(command->answer, "removed", (double)command->count);
    command_done(command);
}

static void remove_named(struct command *command) {
    remove_one(command, command->account.account);
    command_wait(command, apply_remove, removed);
}

static void remove_listed(struct command *command);

static void removed_page(struct command *command) {
    if (!command->more || command->status)
        removed(command);
    else
        ask_list(command, 0, command->account.name, remove_listed);
}

static void remove_listed(struct command *command) {
    if (command_failed(command))
        return;
    for (uint32_t i = 0; i < command->listed_count; i++)
        remove_one(command, command->listed[i].account);
    command_wait(command, apply_remove, removed_page);
}

/* With a prefix: all whose name begins with it. */
void command_ACCOUNT_REMOVE(struct command *command) {
    if (!command_has(command, "prefix")) {
        command_find_account(command, remove_named);
        return;
    }
    const char *prefix = command_text(command, "prefix", NAME_BYTES_MAX);
    if (!prefix)
        return;
    snprintf(command->account.name, sizeof(command->account.name), "%s", prefix);
    ask_list(command, 0, prefix, remove_listed);
}
