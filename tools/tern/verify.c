#include "tools/tern/verify.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/reason.h"
#include "tools/client/answers.h"
#include "tools/client/e2e/safety.h"
#include "tools/client/state_outbox.h"
#include "tools/client/state_request.h"
#include "tools/tern/home.h"
#include "tools/tern/qr.h"

#define GROUP_DIGITS 5
#define GROUPS_IN_LINE 4

struct verifying {
    struct client *client;
    const struct options *options;
    const char *name;
    struct identity own; /* without its secret */
    struct contact self, contact;
    uint8_t key[IDENTITY_KEY_BYTES]; /* the account key whose number is shown */
    bool was_shown;                  /* its number, the last time one was shown for this account */
};

/* --- keys that have changed ----------------------------------------------------------------------------- */

void verify_tell_changed(const char *name) {
    fprintf(
        stderr,
        "%stern: !!! THE ACCOUNT KEY OF %s HAS CHANGED !!!\n"
        "tern: %s has begun anew, with a first device or another account of that name, or somebody who has "
        "the switch is in between and reads along. Compare safety numbers with %s: `tern verify %s`\n",
        isatty(STDERR_FILENO) ? "\r\033[K\a" : "", name, name, name, name);
}

void verify_tell_strict(const char *name) {
    fprintf(stderr, "tern: --strict: nothing goes to %s until `tern verify %s --yes`\n", name, name);
}

/* In a write transaction. As answers_accept. */
static int accept_key(struct state *state, uint64_t account, bool is_compared) {
    struct identity own = {0};
    int error = state_identity(state, &own);
    sodium_memzero(own.secret, sizeof(own.secret));
    return error ? error : answers_accept(state, &own, account, is_compared, client_utc_ms() / 1000);
}

int verify_accept(struct client *client, uint64_t account) {
    struct state *state = client_state(client);
    int error = state_begin(state);
    if (error)
        return error;
    error = accept_key(state, account, false);
    if (error != -EACCES)
        return state_commit(state);
    state_end(state);
    return error;
}

/* --- what is known -------------------------------------------------------------------------------------- */

static int is_told(void *context, struct state *state) {
    const struct verifying *verifying = context;
    struct ask ask = {.kind = ASK_LIST, .account = verifying->contact.account};
    int error = state_request_get(state, &ask);
    return error == -ENOENT || (!error && ask.is_answered) ? 1 : error;
}

/* The newest that the switch has; where it is not there, what is known. */
static int ask_list(struct verifying *verifying) {
    struct client *client = verifying->client;
    int64_t timeout_ms = verifying->options->timeout_ms;
    if (!home_begin(client))
        return EXIT_FAILED;
    answers_ask_list(client_state(client), verifying->contact.account);
    int error = state_commit(client_state(client));
    if (!error)
        error = client_run(client, timeout_ms < 0 ? HOME_ASK_MS : timeout_ms, is_told, verifying);
    if (error == -ETIMEDOUT)
        fprintf(stderr, "tern: the switch was not there: this is what was known before\n");
    return error < 0 && error != -ETIMEDOUT ? home_failed(client, error) : EXIT_DONE;
}

static int look(struct verifying *verifying) {
    struct state *state = client_state(verifying->client);
    uint64_t account = verifying->contact.account;
    int error = state_look(state);
    if (error)
        return home_failed(verifying->client, error);
    error = state_identity(state, &verifying->own);
    sodium_memzero(verifying->own.secret, sizeof(verifying->own.secret));
    contacts_get(state, verifying->own.account, &verifying->self);
    contacts_get(state, account, &verifying->contact);
    verifying->contact.account = account;
    error = error ? error : state->error;
    state_end(state);
    return error ? home_failed(verifying->client, error) : EXIT_DONE;
}

/* --- showing -------------------------------------------------------------------------------------------- */

/* The number that was compared is that of the account as it was. */
static bool is_verified(const struct verifying *verifying) {
    return verifying->contact.is_verified && !contact_is_changed(&verifying->contact);
}

static void print_plain(const struct verifying *verifying, const char *digits) {
    if (isatty(STDOUT_FILENO))
        qr_print(stdout, digits);
    for (unsigned i = 0; i < SAFETY_DIGITS / GROUP_DIGITS; i++)
        printf("%.*s%c", GROUP_DIGITS, digits + (size_t)i * GROUP_DIGITS,
               i % GROUPS_IN_LINE == GROUPS_IN_LINE - 1 ? '\n' : ' ');
    printf("%s\n", is_verified(verifying)
                       ? "verified"
                       : "not verified: where the other side sees the same number, say so with --yes");
}

static void print_json(const struct verifying *verifying, const char *digits) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", verifying->name);
    cJSON_AddNumberToObject(object, "account", (double)verifying->contact.account);
    cJSON_AddStringToObject(object, "safety_number", digits);
    cJSON_AddBoolToObject(object, "verified", is_verified(verifying));
    cJSON_AddBoolToObject(object, "changed", contact_is_changed(&verifying->contact));
    char *text = cJSON_PrintUnformatted(object);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

/* --- the command ---------------------------------------------------------------------------------------- */

/* The number that is printed next is the one to compare from now on. --yes: a person has compared it, where
 * it is the one that was printed last for this account. */
static int mark(struct verifying *verifying) {
    struct state *state = client_state(verifying->client);
    struct contact *contact = &verifying->contact;
    if (!home_begin(verifying->client))
        return EXIT_FAILED;
    contacts_get(state, contact->account, contact); /* another tern may have heard of another key by now */
    memcpy(verifying->key, contact_key(contact), sizeof(verifying->key));
    verifying->was_shown = contacts_was_shown(state, contact->account, verifying->key);
    contacts_set_shown(state, contact->account, verifying->key);
    bool is_compared = verifying->options->yes && verifying->was_shown;
    if (is_compared && contact_is_changed(contact)) {
        accept_key(state, contact->account, true);
        state_outbox_hold(state, contact->account, REFUSAL_NONE); /* nobody is to be told of it again */
    }
    if (is_compared)
        contacts_set_verified(state, contact->account, true);
    int error = state_commit(state);
    if (verifying->options->yes && !verifying->was_shown && !error)
        fprintf(
            stderr,
            "tern: the number is not one that was shown before: compare this one, then say --yes again\n");
    return error ? home_failed(verifying->client, error) : look(verifying);
}

/* Of one's own account, or one that nothing is known of, there is no number. */
static int check_known(const struct verifying *verifying) {
    const struct contact *contact = &verifying->contact;
    if (contact->account == verifying->own.account)
        fprintf(stderr, "tern: %s is this account: compare with another one\n", verifying->name);
    else if (!contact->has_key && !contact->has_other)
        fprintf(stderr, "tern: %s has no account key yet: no device that encrypts\n", verifying->name);
    else if (!verifying->self.has_key)
        fprintf(stderr, "tern: this account has no account key yet\n");
    else
        return EXIT_DONE;
    return EXIT_FAILED;
}

static int verify(struct verifying *verifying) {
    const struct options *options = verifying->options;
    char digits[SAFETY_DIGITS + 1];
    int status =
        home_find(verifying->client, verifying->name, options->timeout_ms, &verifying->contact.account);
    if (status == EXIT_DONE)
        status = ask_list(verifying);
    if (status == EXIT_DONE)
        status = look(verifying);
    if (status == EXIT_DONE)
        status = check_known(verifying);
    if (status == EXIT_DONE && contact_is_changed(&verifying->contact))
        verify_tell_changed(verifying->name);
    if (status == EXIT_DONE)
        status = mark(verifying);
    if (status != EXIT_DONE)
        return status;
    const struct contact *contact = &verifying->contact;
    safety_number(verifying->own.account, verifying->self.account_key, contact->account, verifying->key,
                  digits);
    if (options->json)
        print_json(verifying, digits);
    else
        print_plain(verifying, digits);
    bool is_refused = options->yes && !verifying->was_shown;
    return is_refused || contact_is_changed(contact) ? EXIT_FAILED : EXIT_DONE;
}

int verify_run(const struct options *options) {
    struct verifying *verifying = calloc(1, sizeof(*verifying));
    if (!verifying)
        return EXIT_FAILED;
    verifying->options = options;
    verifying->name = options->words[0];
    int status = home_open(options, false, &verifying->client);
    if (status == EXIT_DONE)
        status = home_close(verifying->client, verify(verifying));
    free(verifying);
    return status;
}
