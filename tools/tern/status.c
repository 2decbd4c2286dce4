#include "tools/tern/status.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/client/opening.h"
#include "tools/client/sealing.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"
#include "tools/tern/arrivals.h"
#include "tools/tern/home.h"
#include "tools/tern/standing.h"
#include "tools/tern/terminal.h"
#include "tools/tern/ticks.h"

#define NEWS_MS 5000 /* for the switch to be there and to tell its news */
#define QUIET_MS 300 /* without any more of them */

/* --- asking for news ------------------------------------------------------------------------------------ */

/* Waits until the switch has been quiet for a while: what it has for this device comes at once after the
 * welcome. */
static int fetch_news(struct client *client) {
    uint64_t now_ms = client_now_ms(), end_ms = now_ms + NEWS_MS, changed_ms = now_ms;
    uint64_t version = 0;
    while (now_ms < end_ms && !home_stopped) {
        int error = client_step(client, 50, NULL);
        if (error)
            return error;
        now_ms = client_now_ms();
        bool is_there = client_is_connected(client) || !client_holds(client);
        if (!is_there || state_version(client_state(client)) != version) {
            version = state_version(client_state(client));
            changed_ms = now_ms;
        }
        if (*client_problem(client) || now_ms - changed_ms >= QUIET_MS)
            break;
    }
    return 0;
}

/* --- printing ------------------------------------------------------------------------------------------- */

static const char *name_of(struct state *state, uint64_t account, char name[FRAME_NAME_BYTES_MAX + 1]) {
    if (state_find_name(state, account, name) != 0)
        snprintf(name, FRAME_NAME_BYTES_MAX + 1, "account %" PRIu64, account);
    return name;
}

static void format_time(uint64_t utc_ms, char text[32]) {
    time_t seconds = (time_t)(utc_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* Position in the history from which `last` messages are left. */
static uint64_t first_position(struct state *state, uint64_t last) {
    struct outgoing message;
    uint64_t positions[OUTBOX_HISTORY_MAX], count = 0, position = 0;
    while (state_outbox_history(state, position, &position, &message) == 0)
        positions[count++ % OUTBOX_HISTORY_MAX] = position++;
    if (last == 0 || count == 0)
        return UINT64_MAX;
    last = last < count ? last : count;
    last = last < OUTBOX_HISTORY_MAX ? last : OUTBOX_HISTORY_MAX;
    return positions[(count - last) % OUTBOX_HISTORY_MAX];
}

static void print_sent(struct state *state, uint64_t last) {
    struct outgoing message;
    uint64_t position = first_position(state, last);
    char name[FRAME_NAME_BYTES_MAX + 1], time_text[32];
    for (; position != UINT64_MAX && state_outbox_history(state, position, &position, &message) == 0;
         position++) {
        uint8_t flags = 0;
        uint16_t reason = 0;
        state_outbox_ticks(state, message.to, message.number, &flags, &reason);
        format_time(message.utc_ms, time_text);
        printf("%s  to %s  ", time_text, name_of(state, message.to, name));
        ticks_print(stdout, flags, isatty(STDOUT_FILENO));
        printf(" %-9s  ", ticks_name(flags));
        terminal_write(stdout, message.payload, message.payload_bytes);
        if (message.payload_bytes == OUTBOX_EXCERPT_BYTES_MAX)
            printf("...");
        uint16_t held = flags ? 0 : state_outbox_held(state, message.to);
        if (reason || held)
            printf("  (%s)", reason ? ticks_reason_help(reason) : sealing_hold_help(held));
        printf("\n");
    }
}

static void print_unread(struct state *state) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    uint64_t account = 0;
    while (state_inbox_unread_account(state, account, &account) == 0) {
        uint64_t count = 0;
        state_inbox_unread(state, account, &count);
        printf("unread    %" PRIu64 " of %s\n", count, name_of(state, account, name));
        if (account++ == UINT64_MAX)
            break;
    }
}

static const char *waits_for(struct state *state, uint64_t account) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    struct contact contact;
    contacts_get(state, account, &contact);
    if (contact_is_changed(&contact))
        return sealing_hold_help(HOLD_KEY_CHANGED);
    return state_find_name(state, account, name) != 0 ? "the switch has not said yet whose the account is"
                                                      : "the account's device list is not there yet";
}

/* What came sealed and waits: for a name, for the list of its account's devices, or for a person to look at
 * the account. */
static void print_waiting(struct state *state) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    uint64_t account = 0;
    while (opening_next_account(state, account, &account) == 0) {
        printf("waiting   %" PRIu64 " of %s: %s\n", opening_waiting(state, account),
               name_of(state, account, name), waits_for(state, account));
        if (account++ == UINT64_MAX)
            break;
    }
}

/* What comes, and what came and was not taken. */
static void print_files(struct state *state) {
    struct transfer transfer = {0};
    char name[FRAME_NAME_BYTES_MAX + 1];
    while (files_next(state, &transfer, &transfer) == 0) {
        printf("file      ");
        terminal_write(stdout, (const uint8_t *)transfer.name, strlen(transfer.name));
        printf(" of %s: ", name_of(state, transfer.from, name));
        if (transfer.is_whole)
            printf("%" PRIu64 " bytes, whole: `tern listen --files FOLDER` takes it\n", transfer.size);
        else
            printf("%" PRIu64 " of %" PRIu64 " bytes%s\n", transfer.received, transfer.size,
                   transfer.is_broken ? ", and a part is missing that will not come" : "");
    }
}

static void print_troubles(struct state *state) {
    for (unsigned trouble = 1; trouble < OPENING_TROUBLE_COUNT; trouble++) {
        uint64_t count = opening_count(state, (enum opening_trouble)trouble);
        if (count)
            printf("not taken %" PRIu64 " message%s: %s\n", count, count == 1 ? "" : "s",
                   opening_trouble_help(trouble));
    }
}

static void print_plain(struct client *client, const struct identity *identity, uint64_t last) {
    struct state *state = client_state(client);
    bool is_ipv6 = strchr(identity->host, ':') != NULL;
    printf("device    %s, device %u, account %" PRIu64 "\n", identity->name, identity->device,
           identity->account);
    printf("switch    %s%s%s:%u\n", is_ipv6 ? "[" : "", identity->host, is_ipv6 ? "]" : "", identity->port);
    if (client_is_elsewhere(client))
        printf("connected by another tern of this home\n");
    else if (*client_problem(client))
        printf("away      %s\n", client_problem(client));
    if (state_is_locked(state))
        printf("locked    with a passphrase\n");
    standing_print(stdout, standing_of(state, identity), identity->device, "devices   ");
    standing_print_strangers(stdout, state, "devices   ");
    printf("outbox    %" PRIu64 " without a sent tick\n", state_outbox_count(state));
    print_unread(state);
    print_waiting(state);
    print_files(state);
    print_troubles(state);
    print_sent(state, last);
}

static void add_name(cJSON *object, struct state *state, uint64_t account) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    if (state_find_name(state, account, name) == 0)
        cJSON_AddStringToObject(object, "name", name);
    cJSON_AddNumberToObject(object, "account", (double)account);
}

static void add_sent(cJSON *array, struct state *state, const struct outgoing *message) {
    cJSON *entry = cJSON_CreateObject();
    uint8_t flags = 0;
    uint16_t reason = 0;
    char time_text[32];
    state_outbox_ticks(state, message->to, message->number, &flags, &reason);
    format_time(message->utc_ms, time_text);
    add_name(entry, state, message->to);
    cJSON_AddNumberToObject(entry, "number", (double)message->number);
    cJSON_AddStringToObject(entry, "time", time_text);
    cJSON_AddStringToObject(entry, "tick", ticks_name(flags));
    uint16_t held = flags ? 0 : state_outbox_held(state, message->to);
    if (reason)
        cJSON_AddStringToObject(entry, "reason", ticks_reason_name(reason));
    if (held)
        cJSON_AddStringToObject(entry, "held", sealing_hold_help(held));
    if (terminal_is_utf8(message->payload, message->payload_bytes)) {
        char *text = strndup((const char *)message->payload, message->payload_bytes);
        cJSON_AddStringToObject(entry, "text", text ? text : "");
        free(text);
    }
    cJSON_AddItemToArray(array, entry);
}

static void add_waiting(cJSON *array, struct state *state) {
    struct contact contact;
    uint64_t account = 0;
    while (opening_next_account(state, account, &account) == 0) {
        cJSON *entry = cJSON_CreateObject();
        contacts_get(state, account, &contact);
        add_name(entry, state, account);
        cJSON_AddNumberToObject(entry, "count", (double)opening_waiting(state, account));
        cJSON_AddBoolToObject(entry, "changed", contact_is_changed(&contact));
        cJSON_AddItemToArray(array, entry);
        if (account++ == UINT64_MAX)
            break;
    }
}

/* How often a message was not taken, by reason. */
static void add_troubles(cJSON *object, struct state *state) {
    for (unsigned trouble = 1; trouble < OPENING_TROUBLE_COUNT; trouble++) {
        uint64_t count = opening_count(state, (enum opening_trouble)trouble);
        if (count)
            cJSON_AddNumberToObject(object, opening_trouble_name(trouble), (double)count);
    }
}

static void add_files(cJSON *array, struct state *state) {
    struct transfer transfer = {0};
    while (files_next(state, &transfer, &transfer) == 0) {
        cJSON *entry = cJSON_CreateObject();
        add_name(entry, state, transfer.from);
        arrivals_add_json(entry, transfer.name, transfer.size);
        cJSON_AddNumberToObject(entry, "received", (double)transfer.received);
        cJSON_AddBoolToObject(entry, "whole", transfer.is_whole);
        cJSON_AddBoolToObject(entry, "broken", transfer.is_broken);
        cJSON_AddItemToArray(array, entry);
    }
}

static void print_json(struct client *client, const struct identity *identity, uint64_t last) {
    struct state *state = client_state(client);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", identity->name);
    cJSON_AddNumberToObject(object, "account", (double)identity->account);
    cJSON_AddNumberToObject(object, "device", identity->device);
    cJSON_AddStringToObject(object, "host", identity->host);
    cJSON_AddNumberToObject(object, "port", identity->port);
    cJSON_AddBoolToObject(object, "connected", client_is_connected(client) || client_is_elsewhere(client));
    cJSON_AddBoolToObject(object, "locked", state_is_locked(state));
    if (*client_problem(client))
        cJSON_AddStringToObject(object, "problem", client_problem(client));
    cJSON_AddStringToObject(object, "standing", standing_name(standing_of(state, identity)));
    standing_add_strangers(object, state);
    cJSON_AddNumberToObject(object, "outbox", (double)state_outbox_count(state));
    cJSON *unread = cJSON_AddArrayToObject(object, "unread");
    uint64_t account = 0;
    while (state_inbox_unread_account(state, account, &account) == 0) {
        cJSON *entry = cJSON_CreateObject();
        uint64_t count = 0;
        state_inbox_unread(state, account, &count);
        add_name(entry, state, account);
        cJSON_AddNumberToObject(entry, "count", (double)count);
        cJSON_AddItemToArray(unread, entry);
        if (account++ == UINT64_MAX)
            break;
    }
    add_waiting(cJSON_AddArrayToObject(object, "waiting"), state);
    add_files(cJSON_AddArrayToObject(object, "files"), state);
    add_troubles(cJSON_AddObjectToObject(object, "troubles"), state);
    cJSON *sent = cJSON_AddArrayToObject(object, "sent");
    struct outgoing message;
    uint64_t position = first_position(state, last);
    for (; position != UINT64_MAX && state_outbox_history(state, position, &position, &message) == 0;
         position++)
        add_sent(sent, state, &message);
    char *text = cJSON_PrintUnformatted(object);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

static int print_status(struct client *client, const struct options *options) {
    struct state *state = client_state(client);
    struct identity identity = {0};
    int error = options->offline ? 0 : fetch_news(client);
    if (error)
        fprintf(stderr, "tern: %s\n", client_problem(client));
    int look_error = state_look(state);
    if (!look_error) {
        look_error = state_identity(state, &identity);
        sodium_memzero(identity.secret, sizeof(identity.secret));
        if (!look_error && options->json)
            print_json(client, &identity, options->last);
        else if (!look_error)
            print_plain(client, &identity, options->last);
        look_error = look_error ? look_error : state->error;
        state_end(state);
    }
    if (look_error)
        return home_failed(client, look_error);
    return error == -ECONNABORTED ? EXIT_NOT_LINKED : error ? EXIT_FAILED : EXIT_DONE;
}

int status_run(const struct options *options) {
    struct client *client;
    int status = home_open(options, false, &client);
    return status == EXIT_DONE ? home_close(client, print_status(client, options)) : status;
}
