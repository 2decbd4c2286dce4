#include "tools/tern/device.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/reason.h"
#include "tools/client/answers.h"
#include "tools/client/contacts.h"
#include "tools/client/pairing.h"
#include "tools/client/publishing.h"
#include "tools/client/state_request.h"
#include "tools/tern/home.h"
#include "tools/tern/qr.h"
#include "tools/tern/standing.h"

#define LIST_MS 5000 /* for the switch to say what list it has */
#define LOOK_MS 100

struct devices {
    struct client *client;
    const struct options *options;
    struct identity identity; /* without its secret */
    struct contact self;
    bool has_account_key;
    uint16_t told[PAIRING_STRANGERS_MAX]; /* strangers that people were told of */
    uint32_t told_count;
};

static int64_t timeout_ms(const struct devices *devices) {
    return devices->options->timeout_ms < 0 ? HOME_ASK_MS : devices->options->timeout_ms;
}

static int look(struct devices *devices) {
    struct state *state = client_state(devices->client);
    struct identity_keys account_key;
    int error = state_look(state);
    if (error)
        return home_failed(devices->client, error);
    error = state_identity(state, &devices->identity);
    sodium_memzero(devices->identity.secret, sizeof(devices->identity.secret));
    if (!error)
        contacts_get(state, devices->identity.account, &devices->self);
    devices->has_account_key =
        !error && state_keys_account(state, &account_key) == 0 &&
        primitive_equal(account_key.public_key, devices->self.account_key, sizeof(devices->self.account_key));
    identity_keys_fini(&account_key);
    error = error ? error : state->error;
    state_end(state);
    return error ? home_failed(devices->client, error) : EXIT_DONE;
}

/* Only who has the account key signs lists. */
static int look_to_sign(struct devices *devices) {
    int status = look(devices);
    if (status == EXIT_DONE && !(devices->has_account_key && devices->self.has_list)) {
        fprintf(stderr, "tern: this device has not the account's key: devices are added and removed on the "
                        "first device of the account\n");
        return EXIT_FAILED;
    }
    return status;
}

/* --- asking the switch ---------------------------------------------------------------------------------- */

struct answer {
    struct ask ask;
    uint8_t code[FRAME_CODE_BYTES];
};

static int is_answered(void *context, struct state *state) {
    struct answer *answer = context;
    struct ask ask = answer->ask;
    if (state_request_get(state, &ask) != 0 || !ask.is_answered)
        return 0;
    if (ask.kind == ASK_CODE && ask.status == 0 && ask.byte_count == sizeof(answer->code))
        memcpy(answer->code, ask.bytes, sizeof(answer->code));
    ask.bytes = NULL;
    answer->ask = ask;
    return 1;
}

/* Puts a question, waits for its answer and deletes it. EXIT_DONE: whatever the answer was. */
static int ask_switch(struct devices *devices, struct answer *answer) {
    struct state *state = client_state(devices->client);
    if (!home_begin(devices->client))
        return EXIT_FAILED;
    state_request_put(state, &answer->ask);
    int error = state_commit(state);
    if (!error)
        error = client_run(devices->client, timeout_ms(devices), is_answered, answer);
    if (error == -ETIMEDOUT) {
        fprintf(stderr, "tern: the switch did not answer in time\n");
        return EXIT_NOT_YET;
    }
    if (error < 0)
        return home_failed(devices->client, error);
    if (!home_begin(devices->client))
        return EXIT_FAILED;
    state_request_delete(state, &answer->ask);
    error = state_commit(state);
    return error ? home_failed(devices->client, error) : EXIT_DONE;
}

/* --- add ------------------------------------------------------------------------------------------------ */

static int invite(struct devices *devices, const struct answer *code, struct uri *ret_uri) {
    struct state *state = client_state(devices->client);
    const struct identity *own = &devices->identity;
    *ret_uri = (struct uri){.port = own->port, .account = own->account, .is_paired = true};
    memcpy(ret_uri->host, own->host, sizeof(ret_uri->host));
    memcpy(ret_uri->name, own->name, sizeof(ret_uri->name));
    memcpy(ret_uri->key, own->server_key, sizeof(ret_uri->key));
    memcpy(ret_uri->code, code->code, sizeof(ret_uri->code));
    memcpy(ret_uri->account_key, devices->self.account_key, sizeof(ret_uri->account_key));
    randombytes_buf(ret_uri->pair, sizeof(ret_uri->pair));
    if (!home_begin(devices->client))
        return EXIT_FAILED;
    pairing_invite(state, ret_uri->pair, client_utc_ms() / 1000 + code->ask.ttl_s);
    int error = state_commit(state);
    return error ? home_failed(devices->client, error) : EXIT_DONE;
}

static bool is_told(const struct devices *devices, uint16_t device) {
    for (uint32_t i = 0; i < devices->told_count; i++) {
        if (devices->told[i] == device)
            return true;
    }
    return false;
}

/* Once each: the device that one waits for may be among them. */
static void tell_strangers(struct devices *devices, struct state *state) {
    uint16_t device;
    for (uint32_t from = 0; pairing_stranger(state, from, &device) == 0; from = device + 1u) {
        if (is_told(devices, device) || devices->told_count == PAIRING_STRANGERS_MAX)
            continue;
        devices->told[devices->told_count++] = device;
        standing_print_stranger(stderr, device, "tern: ");
    }
}

/* A device is on the list that was not. */
static int is_there(void *context, struct state *state) {
    struct devices *devices = context;
    struct contact self;
    tell_strangers(devices, state);
    if (contacts_get(state, devices->identity.account, &self) != 0)
        return 0;
    for (uint32_t i = 0; i < self.list.count; i++) {
        uint16_t number = self.list.devices[i].number;
        if (!devicelist_find(&devices->self.list, number))
            return number;
    }
    return 0;
}

static int wait_for_it(struct devices *devices, uint32_t ttl_s) {
    int64_t wait_ms = devices->options->timeout_ms < 0 ? (int64_t)ttl_s * 1000 : devices->options->timeout_ms;
    int number = client_run(devices->client, wait_ms, is_there, devices);
    if (number == -ETIMEDOUT || number == -EINTR) {
        fprintf(stderr, "tern: no device has come yet; while its code is good, the next tern that connects "
                        "lets it in\n");
        return EXIT_NOT_YET;
    }
    if (number < 0)
        return home_failed(devices->client, number);
    printf("device %d is added\n", number);
    return EXIT_DONE;
}

static int add(struct devices *devices) {
    struct answer code = {.ask = {.kind = ASK_CODE}};
    struct uri uri;
    char text[URI_TEXT_BYTES_MAX];
    int status = look_to_sign(devices);
    if (status == EXIT_DONE)
        status = ask_switch(devices, &code);
    if (status == EXIT_DONE && code.ask.status) {
        fprintf(stderr, "tern: no code: %s\n", refusal_help(code.ask.status));
        return EXIT_REFUSED;
    }
    if (status == EXIT_DONE)
        status = invite(devices, &code, &uri);
    if (status != EXIT_DONE)
        return status;
    uri_write(&uri, text);
    fprintf(stderr, "On the new device, once, and shown to nobody else:\n");
    if (isatty(STDOUT_FILENO))
        qr_print(stdout, text);
    printf("tern link '%s'\n", text);
    fflush(stdout);
    sodium_memzero(&uri, sizeof(uri));
    sodium_memzero(text, sizeof(text));
    return wait_for_it(devices, code.ask.ttl_s);
}

/* --- remove --------------------------------------------------------------------------------------------- */

static int put_list(struct devices *devices) {
    struct state *state = client_state(devices->client);
    if (!home_begin(devices->client))
        return EXIT_FAILED;
    publishing_put_list(state, &devices->self.list, client_utc_ms() / 1000);
    int error = state_commit(state);
    return error ? home_failed(devices->client, error) : EXIT_DONE;
}

static int is_off(void *context, struct state *state) {
    const struct devices *devices = context;
    struct contact self;
    return contacts_get(state, devices->identity.account, &self) == 0 &&
           self.list.version >= devices->self.list.version;
}

/* The list first: from then on no other device seals for it. */
static int take_off(struct devices *devices, uint16_t number) {
    if (devicelist_remove(&devices->self.list, number) != 0)
        return EXIT_DONE; /* it never was on it, or is not any more */
    int status = put_list(devices);
    if (status != EXIT_DONE)
        return status;
    int error = client_run(devices->client, timeout_ms(devices), is_off, devices);
    if (error == -ETIMEDOUT || error == -EINTR) {
        fprintf(stderr, "tern: the switch did not answer in time; say it again\n");
        return EXIT_NOT_YET;
    }
    return error < 0 ? home_failed(devices->client, error) : EXIT_DONE;
}

static int remove_device(struct devices *devices, uint16_t number) {
    struct answer removed = {.ask = {.kind = ASK_REMOVE, .device = number}};
    int status = look_to_sign(devices);
    if (status != EXIT_DONE)
        return status;
    if (number == devices->identity.device) {
        fprintf(stderr, "tern: device %u is this one, and has the account's key\n", number);
        return EXIT_FAILED;
    }
    bool was_listed = devicelist_find(&devices->self.list, number) != NULL;
    status = take_off(devices, number);
    if (status == EXIT_DONE)
        status = ask_switch(devices, &removed);
    if (status != EXIT_DONE)
        return status;
    if (removed.ask.status && !(removed.ask.status == REFUSAL_NO_DEVICE && was_listed)) {
        fprintf(stderr, "tern: device %u: %s\n", number,
                removed.ask.status == REFUSAL_NO_DEVICE ? "there is no such device"
                                                        : refusal_help(removed.ask.status));
        return EXIT_REFUSED;
    }
    printf("device %u is removed\n", number);
    return EXIT_DONE;
}

/* --- list ----------------------------------------------------------------------------------------------- */

static void format_time(uint64_t utc_s, char text[32]) {
    time_t seconds = (time_t)utc_s;
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* The question is gone: it was answered. */
static int is_asked_no_more(void *context, struct state *state) {
    struct ask *ask = context;
    return state_request_get(state, ask) == -ENOENT;
}

/* Gets the list that the switch has now. 1: here it is; 0: the switch is not to be had; negative: for
 * good. */
static int refresh(struct devices *devices) {
    struct state *state = client_state(devices->client);
    struct ask ask = {.kind = ASK_LIST, .account = devices->identity.account};
    int64_t wait_ms = devices->options->timeout_ms < 0 ? LIST_MS : devices->options->timeout_ms;
    uint64_t end_ms = client_now_ms() + (uint64_t)wait_ms;
    int error = state_begin(state);
    if (error)
        return error;
    answers_ask_list(state, ask.account);
    error = state_commit(state);
    if (error)
        return error;
    client_set_on_away(devices->client, NULL, NULL);
    do
        error = client_run(devices->client, LOOK_MS, is_asked_no_more, &ask);
    while (error == -ETIMEDOUT && !*client_problem(devices->client) && client_now_ms() < end_ms);
    return error == -ETIMEDOUT || error == -EINTR ? 0 : error;
}

static bool is_this(const struct devices *devices, uint16_t number) {
    return number == devices->identity.device;
}

/* In a transaction. as_of: "" where that was never asked. */
static void print_json(const struct devices *devices, struct state *state, const char *as_of,
                       bool is_current) {
    const struct devicelist *list = &devices->self.list;
    cJSON *object = cJSON_CreateObject(), *array = cJSON_AddArrayToObject(object, "devices");
    char time_text[32];
    for (uint32_t i = 0; devices->self.has_list && i < list->count; i++) {
        cJSON *entry = cJSON_CreateObject();
        format_time(list->devices[i].created_s, time_text);
        cJSON_AddNumberToObject(entry, "device", list->devices[i].number);
        cJSON_AddStringToObject(entry, "added", time_text);
        cJSON_AddBoolToObject(entry, "this", is_this(devices, list->devices[i].number));
        cJSON_AddItemToArray(array, entry);
    }
    standing_add_strangers(object, state);
    cJSON_AddStringToObject(object, "standing", standing_name(standing_of(state, &devices->identity)));
    cJSON_AddStringToObject(object, "as_of", as_of);
    cJSON_AddBoolToObject(object, "current", is_current);
    char *text = cJSON_PrintUnformatted(object);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

/* In a transaction. */
static void print_plain(const struct devices *devices, struct state *state, const char *as_of,
                        bool is_current) {
    const struct devicelist *list = &devices->self.list;
    const char *problem = client_problem(devices->client);
    char time_text[32];
    for (uint32_t i = 0; devices->self.has_list && i < list->count; i++) {
        format_time(list->devices[i].created_s, time_text);
        printf("device %-5u added %s%s\n", list->devices[i].number, time_text,
               is_this(devices, list->devices[i].number) ? "  (this one)" : "");
    }
    standing_print(stdout, standing_of(state, &devices->identity), devices->identity.device, "");
    standing_print_strangers(stdout, state, "");
    if (!is_current)
        printf("as of %s; switch not reached%s%s\n", *as_of ? as_of : "the time it was linked",
               *problem ? ": " : "", problem);
}

static int list(struct devices *devices) {
    struct state *state = client_state(devices->client);
    char as_of[32] = "";
    int status = look(devices);
    if (status != EXIT_DONE)
        return status;
    int current = refresh(devices);
    status = look(devices);
    if (status != EXIT_DONE)
        return status;
    if (devices->self.answered_s)
        format_time(devices->self.answered_s, as_of);
    bool is_current = current > 0 && devices->self.refused == 0;
    int error = state_look(state);
    if (error)
        return home_failed(devices->client, error);
    if (devices->options->json)
        print_json(devices, state, as_of, is_current);
    else
        print_plain(devices, state, as_of, is_current);
    state_end(state);
    return current < 0 ? home_failed(devices->client, current) : EXIT_DONE;
}

/* --- the command ---------------------------------------------------------------------------------------- */

static int wrong_words(void) {
    fprintf(stderr, "tern: device: it is add, list or remove N\n");
    return EXIT_USAGE;
}

static bool read_number(const char *word, uint16_t *ret_number) {
    char *end;
    unsigned long number = strtoul(word, &end, 10);
    if (*word < '0' || *word > '9' || *end || number == 0 || number > UINT16_MAX)
        return false;
    *ret_number = (uint16_t)number;
    return true;
}

static int run(struct devices *devices, uint16_t number) {
    const char *verb = devices->options->words[0];
    if (number)
        return remove_device(devices, number);
    return strcmp(verb, "add") == 0 ? add(devices) : list(devices);
}

int device_run(const struct options *options) {
    const char *verb = options->words[0];
    uint16_t number = 0;
    bool is_removal = strcmp(verb, "remove") == 0;
    if (!is_removal && strcmp(verb, "add") != 0 && strcmp(verb, "list") != 0)
        return wrong_words();
    if (is_removal != (options->word_count == 2) || (is_removal && !read_number(options->words[1], &number)))
        return wrong_words();
    struct devices *devices = calloc(1, sizeof(*devices));
    if (!devices)
        return EXIT_FAILED;
    devices->options = options;
    int status = home_open(options, false, &devices->client);
    if (status == EXIT_DONE)
        status = home_close(devices->client, run(devices, number));
    free(devices);
    return status;
}
