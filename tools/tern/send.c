#include "tools/tern/send.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/answers.h"
#include "tools/client/sealing.h"
#include "tools/client/state_request.h"
#include "tools/tern/arrivals.h"
#include "tools/tern/attach.h"
#include "tools/tern/home.h"
#include "tools/tern/ticks.h"
#include "tools/tern/verify.h"

#define READ_BYTES (256u << 10) /* of standard input at a time; more than any line may have */
#define OUTBOX_COUNT_MAX 8192   /* above it standard input waits */
#define OUTBOX_BYTES_MAX (UINT64_C(16) << 20)
#define PROGRESS_MS 200
#define TEXT_TIMEOUT_MS 10000 /* where neither --wait nor --timeout is given */

struct sending {
    struct client *client;
    uint64_t to;
    const char *name;
    uint8_t wait;
    uint64_t count, first, last; /* messages of this command, and their numbers */
    uint64_t ticked, failed;     /* of these */
    uint16_t reason;             /* of a failed one */
    uint16_t held, held_told;    /* why the switch takes none now */
    uint64_t outbox_count, outbox_bytes;
    uint32_t text_bytes_max;
    bool strict;
    bool is_ended;       /* standard input is */
    bool has_failed;     /* some of what was read can not be sent */
    bool is_leaving_out; /* within a line that is too long */
    uint64_t left_out;   /* lines */
    uint8_t *input;
    size_t input_bytes;
    bool has_file;
    struct attached file;
    uint64_t shown_ms;
    uint64_t version;
};

/* --- putting into the outbox ---------------------------------------------------------------------------- */

static int add(struct sending *sending, const uint8_t *text, size_t bytes) {
    struct outgoing message = {
        .to = sending->to,
        .utc_ms = client_utc_ms(),
        .is_strict = sending->strict,
        .payload = text,
        .payload_bytes = (uint32_t)bytes,
    };
    uint64_t number = 0;
    int error = sealing_add(client_state(sending->client), &message, INNER_TEXT, &number);
    if (error)
        return error;
    if (sending->count++ == 0)
        sending->first = number;
    sending->last = number;
    return 0;
}

static bool is_too_long(struct sending *sending, size_t bytes) {
    if (bytes <= sending->text_bytes_max)
        return false;
    fprintf(stderr, "tern: message %" PRIu64 " is longer than the %u bytes that fit; it is not sent\n",
            sending->count + ++sending->left_out, sending->text_bytes_max);
    return true;
}

/* Whole lines go into the outbox in one transaction; the rest waits for its end. */
static int take_lines(struct sending *sending) {
    struct state *state = client_state(sending->client);
    uint8_t *at = sending->input, *end = at + sending->input_bytes, *line_end;
    int error = state_begin(state);
    if (error)
        return error;
    while (!error && at < end) {
        line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end && !sending->is_ended && end - at <= (ptrdiff_t)sending->text_bytes_max)
            break;
        if (!line_end)
            line_end = end;
        bool is_left_out = sending->is_leaving_out || is_too_long(sending, (size_t)(line_end - at));
        if (!is_left_out)
            error = add(sending, at, (size_t)(line_end - at));
        sending->has_failed |= is_left_out;
        sending->is_leaving_out = is_left_out && line_end == end; /* its end is still to come */
        at = line_end < end ? line_end + 1 : end;
    }
    sending->input_bytes = (size_t)(end - at);
    memmove(sending->input, at, sending->input_bytes);
    int commit_error = state_commit(state);
    return error ? error : commit_error;
}

static int read_lines(struct sending *sending) {
    ssize_t got =
        read(STDIN_FILENO, sending->input + sending->input_bytes, READ_BYTES - sending->input_bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (got < 0) {
        fprintf(stderr, "tern: standard input: %s\n", strerror(errno));
        sending->has_failed = sending->is_ended = true;
        return 0; /* the line that it broke off in is not whole */
    }
    sending->is_ended = got <= 0;
    sending->input_bytes += got > 0 ? (size_t)got : 0;
    return take_lines(sending);
}

/* --- waiting for ticks ---------------------------------------------------------------------------------- */

/* 1: all that was read has its tick, or failed. */
static int look(void *context, struct state *state) {
    struct sending *sending = context;
    sending->outbox_count = state_outbox_count(state);
    sending->outbox_bytes = state_outbox_bytes(state);
    sending->held = state_outbox_held(state, sending->to);
    if (sending->count == 0)
        return sending->is_ended;
    state_outbox_ticked(state, sending->to, sending->first, sending->last, sending->wait, &sending->ticked);
    state_outbox_ticked(state, sending->to, sending->first, sending->last, RECEIPT_FAILED, &sending->failed);
    uint64_t between = sending->last - sending->first + 1;
    if (!sending->is_ended || sending->ticked + sending->failed < between)
        return 0;
    if (sending->failed)
        sending->reason = state_outbox_reason(state, sending->to, sending->first, sending->last);
    return 1;
}

static const char *tick_name(uint8_t wait) {
    return wait == RECEIPT_SENT ? "sent" : wait == RECEIPT_DELIVERED ? "delivered" : "read";
}

static void show_progress(struct sending *sending, bool is_last) {
    uint64_t now_ms = client_now_ms();
    if (!isatty(STDERR_FILENO) || (!is_last && now_ms - sending->shown_ms < PROGRESS_MS))
        return;
    sending->shown_ms = now_ms;
    if (sending->has_file) {
        uint64_t bytes = sending->count ? sending->file.size * sending->ticked / sending->count : 0;
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " bytes %s\033[K%s", bytes, sending->file.size,
                tick_name(sending->wait), is_last ? "\n" : "");
        return;
    }
    fprintf(stderr, "\r%" PRIu64 " read, %" PRIu64 " %s\033[K%s", sending->count, sending->ticked,
            tick_name(sending->wait), is_last ? "\n" : "");
}

/* It is told before anything goes that is sealed for the new key; where --strict was said, now or before,
 * nothing does. */
static int show_changed(struct sending *sending) {
    verify_tell_changed(sending->name);
    int error = sending->strict ? -EACCES : verify_accept(sending->client, sending->to);
    if (error != -EACCES)
        return error;
    verify_tell_strict(sending->name);
    return 0;
}

/* Once, as long as it is the same reason. */
static int show_held(struct sending *sending) {
    if (sending->held == HOLD_KEY_CHANGED && sending->held != sending->held_told) {
        sending->held_told = sending->held;
        return show_changed(sending);
    }
    if (sending->held && sending->held != sending->held_told)
        fprintf(stderr, "%stern: messages to %s have to wait: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "",
                sending->name, sealing_hold_help(sending->held));
    sending->held_told = sending->held;
    return 0;
}

static int step(struct sending *sending) {
    bool has_room = sending->outbox_count < OUTBOX_COUNT_MAX && sending->outbox_bytes < OUTBOX_BYTES_MAX;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    bool wants = !sending->is_ended && has_room;
    int error = client_step(sending->client, -1, wants ? &input : NULL);
    if (!error && wants && input.revents)
        error = read_lines(sending);
    return error;
}

/* Steps until everything has its tick. 1, or as client_run. */
static int stream(struct sending *sending, int64_t timeout_ms) {
    struct state *state = client_state(sending->client);
    uint64_t end_ms = UINT64_MAX;
    for (;;) {
        uint64_t version = state_version(state);
        if (version != sending->version) {
            int error = state_look(state);
            if (error)
                return error;
            int done = look(sending, state);
            error = state->error;
            state_end(state);
            if (error || done)
                return error ? error : done;
            sending->version = version;
        }
        show_progress(sending, false);
        int held_error = show_held(sending);
        if (held_error)
            return held_error;
        if (home_stopped)
            return -EINTR;
        if (sending->is_ended && end_ms == UINT64_MAX && timeout_ms >= 0)
            end_ms = client_now_ms() + (uint64_t)timeout_ms;
        if (client_now_ms() >= end_ms)
            return -ETIMEDOUT;
        bool was_ended = sending->is_ended;
        int error = step(sending);
        if (error)
            return error;
        if (sending->is_ended != was_ended)
            sending->version = UINT64_MAX; /* to be looked at once more, even where nothing was added */
    }
}

/* --- the command ---------------------------------------------------------------------------------------- */

static int judge(struct sending *sending, int result) {
    if (result == -ETIMEDOUT || result == -EINTR) {
        uint64_t missing = sending->last - sending->first + 1 - sending->ticked - sending->failed;
        if (sending->count == 0)
            missing = 0;
        fprintf(
            stderr,
            "tern: %" PRIu64 " of %" PRIu64 " message%s to %s: not yet %s%s%s. What has no tick is kept and "
            "sent by the next tern that connects\n",
            missing, sending->count, sending->count == 1 ? "" : "s", sending->name, tick_name(sending->wait),
            sending->held ? ": " : "", sending->held ? sealing_hold_help(sending->held) : "");
        return EXIT_NOT_YET;
    }
    if (result < 0)
        return home_failed(sending->client, result);
    if (sending->failed) {
        fprintf(stderr, "tern: %" PRIu64 " of %" PRIu64 " message%s to %s failed: %s\n", sending->failed,
                sending->count, sending->count == 1 ? "" : "s", sending->name,
                ticks_reason_help(sending->reason));
        return EXIT_REFUSED;
    }
    return sending->has_failed ? EXIT_FAILED : EXIT_DONE;
}

static int is_known(void *context, struct state *state) {
    struct ask ask = {.kind = ASK_LIST, .account = *(const uint64_t *)context};
    int error = state_request_get(state, &ask);
    return error == -ENOENT || (!error && ask.is_answered) ? 1 : error;
}

/* How large a chunk may be hangs on how many devices it goes to: the list is asked for where none is
 * known. */
static int know_devices(struct sending *sending, int64_t timeout_ms) {
    struct state *state = client_state(sending->client);
    struct contact contact;
    if (!home_begin(sending->client))
        return EXIT_FAILED;
    bool is_there = contacts_get(state, sending->to, &contact) == 0 && contact.has_list;
    if (!is_there)
        answers_ask_list(state, sending->to);
    int error = state_commit(state);
    if (!error && !is_there)
        error =
            client_run(sending->client, timeout_ms < 0 ? HOME_ASK_MS : timeout_ms, is_known, &sending->to);
    if (error == -ETIMEDOUT) {
        fprintf(stderr, "tern: the switch was not there to say which devices %s has; nothing is sent\n",
                sending->name);
        return EXIT_NOT_YET;
    }
    return error < 0 ? home_failed(sending->client, error) : EXIT_DONE;
}

static int put_text(struct sending *sending, const char *text) {
    size_t bytes = strlen(text);
    if (is_too_long(sending, bytes))
        return EXIT_FAILED;
    if (!home_begin(sending->client))
        return EXIT_FAILED;
    int error = add(sending, (const uint8_t *)text, bytes);
    int commit_error = state_commit(client_state(sending->client));
    error = error ? error : commit_error;
    sending->is_ended = true;
    return error ? home_failed(sending->client, error) : EXIT_DONE;
}

static int put_file(struct sending *sending, const char *path, int64_t timeout_ms) {
    int status = know_devices(sending, timeout_ms);
    if (status == EXIT_DONE)
        status = attach(sending->client, sending->to, path, sending->strict, &sending->file);
    if (status != EXIT_DONE)
        return status;
    sending->first = sending->file.first;
    sending->last = sending->file.last;
    sending->count = sending->last - sending->first + 1;
    sending->has_file = sending->is_ended = true;
    return EXIT_DONE;
}

static int find_limit(struct sending *sending) {
    struct identity identity = {0};
    struct state *state = client_state(sending->client);
    int error = state_look(state);
    if (error)
        return home_failed(sending->client, error);
    error = state_identity(state, &identity);
    if (!error)
        sending->text_bytes_max = sealing_bytes_max(state, &identity, sending->to);
    state_end(state);
    explicit_bzero(identity.secret, sizeof(identity.secret));
    return error ? home_failed(sending->client, error) : EXIT_DONE;
}

static void print_json(const struct sending *sending) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "to", sending->name);
    cJSON_AddNumberToObject(object, "account", (double)sending->to);
    if (sending->has_file)
        arrivals_add_json(object, sending->file.name, sending->file.size);
    cJSON_AddNumberToObject(object, "messages", (double)sending->count);
    if (sending->count) {
        cJSON_AddNumberToObject(object, "first", (double)sending->first);
        cJSON_AddNumberToObject(object, "last", (double)sending->last);
    }
    cJSON_AddNumberToObject(object, tick_name(sending->wait), (double)sending->ticked);
    cJSON_AddNumberToObject(object, "failed", (double)sending->failed);
    char *text = cJSON_PrintUnformatted(object);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

static int send_all(struct sending *sending, const struct options *options) {
    int64_t timeout_ms = options->timeout_ms;
    bool is_stream = !options->file && strcmp(options->words[1], "-") == 0;
    if (!options->file && !*options->words[1]) {
        fprintf(stderr, "tern: a message of no text is not sent\n");
        return EXIT_USAGE;
    }
    int status = home_find(sending->client, sending->name, timeout_ms, &sending->to);
    if (status == EXIT_DONE)
        status = find_limit(sending);
    if (status == EXIT_DONE && options->file)
        status = put_file(sending, options->file, timeout_ms);
    else if (status == EXIT_DONE && !is_stream)
        status = put_text(sending, options->words[1]);
    if (status != EXIT_DONE)
        return status;
    if (!is_stream && !options->file && !options->wait && timeout_ms < 0)
        timeout_ms = TEXT_TIMEOUT_MS;
    int result = stream(sending, timeout_ms);
    if (is_stream || options->file)
        show_progress(sending, true);
    if (options->json)
        print_json(sending);
    return judge(sending, result);
}

int send_run(const struct options *options) {
    struct sending sending = {
        .name = options->words[0],
        .wait = options->wait ? options->wait : RECEIPT_SENT,
        .strict = options->strict,
        .version = UINT64_MAX,
        .input = malloc(READ_BYTES),
    };
    if (!sending.input)
        return EXIT_FAILED;
    int status = home_open(options, false, &sending.client);
    if (status == EXIT_DONE)
        status = home_close(sending.client, send_all(&sending, options));
    free(sending.input);
    return status;
}
