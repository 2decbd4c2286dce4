/* `tern listen`: takes messages from the inbox in the state, whichever process put them there. To standard
 * output: shown first, then noted as shown, so that a kill between the two shows them again. To a file: in
 * the transaction that takes them, before it is committed and acknowledged, so that file and state always
 * agree. */
#include "tools/tern/listen.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/client/holder.h"
#include "tools/client/state_inbox.h"
#include "tools/tern/arrivals.h"
#include "tools/tern/file.h"
#include "tools/tern/home.h"
#include "tools/tern/terminal.h"

#define BATCH_MESSAGES_MAX 256
#define BATCH_BYTES_MAX (256u << 10)
#define PIPE_BYTES 4096 /* what a pipe that is ready takes without waiting: PIPE_BUF */
#define NAME_MS 2000    /* how long a message waits for its sender's name */

struct listener {
    struct client *client;
    const struct options *options;
    uint64_t own_account;
    uint64_t left;    /* messages still to be shown */
    uint64_t end_ms;  /* monotonic */
    uint64_t version; /* of the state, looked at last */
    uint64_t tail;    /* newest message when listening began: a chat may have shown those before */
    bool is_terminal;
    struct file file;
    bool has_file;
    struct arrivals arrivals;
    bool has_arrivals;

    /* To standard output: what was made of the messages up to `upto`. */
    char *text;
    size_t text_bytes, text_at;
    uint64_t upto;
    uint64_t shown;       /* messages in it */
    uint64_t nameless_ms; /* since when a message waits for a name; 0: none does */
};

/* --- making lines --------------------------------------------------------------------------------------- */

static void add_json_text(cJSON *line, const struct received *message) {
    char name[FILES_NAME_BYTES_MAX + 1];
    uint64_t size;
    if (files_is_notice(message) && files_read_notice(message, &size, name) == 0) {
        arrivals_add_json(line, name, size);
        return;
    }
    if (message->content_type == 0 && terminal_is_utf8(message->payload, message->payload_bytes)) {
        char *text = strndup((const char *)message->payload, message->payload_bytes);
        cJSON_AddStringToObject(line, "text", text ? text : "");
        free(text);
        return;
    }
    size_t bytes = sodium_base64_encoded_len(message->payload_bytes, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(bytes);
    if (text)
        sodium_bin2base64(text, bytes, message->payload, message->payload_bytes,
                          sodium_base64_VARIANT_ORIGINAL);
    cJSON_AddStringToObject(line, "base64", text ? text : "");
    free(text);
}

static void write_json(FILE *out, const struct received *message, const char *name, const char *to_name,
                       bool is_copy) {
    cJSON *line = cJSON_CreateObject();
    char time_text[40], epoch[24];
    time_t seconds = (time_t)(message->accepted_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t used = strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(time_text + used, sizeof(time_text) - used, ".%03uZ", (unsigned)(message->accepted_ms % 1000));
    snprintf(epoch, sizeof(epoch), "%016" PRIx64, message->id.epoch);
    if (*name)
        cJSON_AddStringToObject(line, "from", name);
    cJSON_AddNumberToObject(line, "from_account", (double)message->id.from);
    cJSON_AddNumberToObject(line, "from_device", message->id.from_device);
    if (is_copy && *to_name)
        cJSON_AddStringToObject(line, "to", to_name);
    if (is_copy)
        cJSON_AddNumberToObject(line, "to_account", (double)message->id.to);
    cJSON_AddStringToObject(line, "epoch", epoch);
    cJSON_AddNumberToObject(line, "number", (double)message->id.number);
    cJSON_AddStringToObject(line, "time", time_text);
    if (message->content_type)
        cJSON_AddNumberToObject(line, "content_type", message->content_type);
    add_json_text(line, message);
    cJSON_AddBoolToObject(line, "encrypted", message->is_sealed);
    char *text = cJSON_PrintUnformatted(line);
    fprintf(out, "%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(line);
}

static void write_line(const struct listener *listener, FILE *out, const struct received *message,
                       const char *name) {
    char file_name[FILES_NAME_BYTES_MAX + 1], text[FILES_TEXT_BYTES];
    uint64_t size;
    if (files_is_notice(message) && files_read_notice(message, &size, file_name) == 0) {
        if (*name)
            fprintf(out, "%s  ", name);
        terminal_write(out, (const uint8_t *)text, files_describe(size, file_name, text));
        fputs(": `tern listen --files FOLDER` takes it", out);
    } else if (!listener->is_terminal) {
        fwrite(message->payload, 1, message->payload_bytes, out);
    } else {
        if (*name)
            fprintf(out, "%s  ", name);
        else
            fprintf(out, "account %" PRIu64 "  ", message->id.from);
        terminal_write(out, message->payload, message->payload_bytes);
        if (!message->is_sealed)
            fputs("  (not encrypted)", out);
    }
    fputc('\n', out);
}

/* A sentence of this device about an account. It is no message, so it goes to whoever looks at errors. */
static void tell_notice(const struct received *notice, const char *name) {
    if (*name)
        fprintf(stderr, "tern: %s: ", name);
    else
        fprintf(stderr, "tern: account %" PRIu64 ": ", notice->id.from);
    terminal_write(stderr, notice->payload, notice->payload_bytes);
    fputc('\n', stderr);
}

/* --- to standard output --------------------------------------------------------------------------------- */

/* A name that is not known yet has been asked for when the message came. */
static bool waits_for_name(struct listener *listener, uint64_t now_ms) {
    if (listener->nameless_ms == 0)
        listener->nameless_ms = now_ms;
    return now_ms - listener->nameless_ms < NAME_MS;
}

/* False: the message has to wait. */
static bool show(struct listener *listener, FILE *out, const struct received *message) {
    struct state *state = client_state(listener->client);
    char name[FRAME_NAME_BYTES_MAX + 1] = "", to_name[FRAME_NAME_BYTES_MAX + 1] = "";
    bool is_copy = message->id.to != listener->own_account;
    bool json = listener->options->json;
    if ((is_copy && !json && !message->is_notice) ||
        (message->position <= listener->tail && state_inbox_is_chatted(state, message->position)))
        return true;
    if (listener->has_arrivals && !is_copy && files_is_notice(message))
        return true; /* told when it is in the folder */
    bool is_named = state_find_name(state, message->id.from, name) == 0;
    if (message->is_notice) {
        tell_notice(message, name);
        return true;
    }
    if (is_copy)
        is_named &= state_find_name(state, message->id.to, to_name) == 0;
    if ((json || listener->is_terminal) && !is_named && waits_for_name(listener, client_now_ms()))
        return false;
    if (json)
        write_json(out, message, name, to_name, is_copy);
    else
        write_line(listener, out, message, name);
    listener->shown++;
    return true;
}

/* Makes lines of what is in the inbox, as much as belongs into a batch. */
static int compose(struct listener *listener) {
    struct state *state = client_state(listener->client);
    FILE *out = open_memstream(&listener->text, &listener->text_bytes);
    if (!out)
        return -ENOMEM;
    int error = state_look(state);
    if (error) {
        fclose(out);
        return error;
    }
    struct received message;
    listener->version = state_version(state);
    listener->upto = state_inbox_listened(state);
    listener->shown = 0;
    size_t bytes = 0;
    for (unsigned i = 0;
         i < BATCH_MESSAGES_MAX && bytes < BATCH_BYTES_MAX && listener->shown < listener->left; i++) {
        if (state_inbox_next(state, listener->upto + 1, &message) != 0 || !show(listener, out, &message))
            break;
        listener->nameless_ms = 0;
        listener->upto = message.position;
        bytes += message.payload_bytes;
    }
    error = state->error;
    state_end(state);
    if (fclose(out) != 0 && !error)
        error = -ENOMEM;
    listener->text_at = 0;
    return error;
}

static int note_shown(struct listener *listener) {
    struct state *state = client_state(listener->client);
    int error = state_begin(state);
    if (error)
        return error;
    state_inbox_set_listened(state, listener->upto);
    error = state_commit(state);
    listener->left -= listener->shown;
    listener->version = UINT64_MAX; /* there may be more */
    return error;
}

static void forget_text(struct listener *listener) {
    free(listener->text);
    listener->text = NULL;
    listener->text_bytes = listener->text_at = 0;
}

/* In pieces that a pipe takes at once: somebody who reads slowly must not keep this process from its
 * connection. */
static int write_text(struct listener *listener) {
    size_t left = listener->text_bytes - listener->text_at;
    ssize_t written =
        write(STDOUT_FILENO, listener->text + listener->text_at, left < PIPE_BYTES ? left : PIPE_BYTES);
    if (written < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    listener->text_at += (size_t)written;
    return 0;
}

static bool has_news(struct listener *listener) {
    if (state_version(client_state(listener->client)) != listener->version)
        return true;
    return listener->nameless_ms && client_now_ms() - listener->nameless_ms >= NAME_MS;
}

static int step_output(struct listener *listener, int timeout_ms) {
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    int error = 0;
    if (listener->text_at == listener->text_bytes && has_news(listener)) {
        uint64_t before = listener->upto;
        forget_text(listener);
        error = compose(listener);
        if (!error && listener->text_bytes == 0 && listener->upto != before && listener->upto)
            error = note_shown(listener); /* only what is not to be shown */
    }
    bool has_text = listener->text_at < listener->text_bytes;
    if (!error)
        error = client_step(listener->client, timeout_ms, has_text ? &output : NULL);
    if (error || !has_text || !output.revents)
        return error;
    error = write_text(listener);
    if (error) {
        fprintf(stderr, "tern: standard output: %s\n", strerror(-error));
        return error;
    }
    return listener->text_at == listener->text_bytes ? note_shown(listener) : 0;
}

/* --- to a file ------------------------------------------------------------------------------------------ */

/* In a write transaction, of a turn or of one's own: file and state change together. */
static int take_to_file(void *context, struct state *state) {
    struct listener *listener = context;
    uint64_t listened = state_inbox_listened(state), upto = listened, taken = 0;
    struct received message;
    int error = 0;
    uint64_t mark = state_mark(state);
    for (; !error && taken < listener->left && state_inbox_next(state, upto + 1, &message) == 0;
         state_release(state, mark)) {
        upto = message.position;
        if (message.is_notice)
            tell_notice(&message, "");
        if (message.id.to != listener->own_account || files_is_notice(&message))
            continue;
        error = file_append(&listener->file, message.payload, message.payload_bytes);
        taken++;
    }
    if (!error && taken)
        error = file_sync(&listener->file);
    if (error) {
        fprintf(stderr, "tern: %s: %s\n", listener->options->output, strerror(-error));
        return error;
    }
    if (upto == listened)
        return 0;
    error = file_note(&listener->file, state);
    if (error) {
        fprintf(stderr, "tern: %s: %s\n", listener->options->output, strerror(-error));
        return error;
    }
    state_inbox_set_listened(state, upto);
    listener->left -= taken;
    return state->error;
}

/* What another process took, or what waited when listening began. */
static int take_waiting(struct listener *listener) {
    struct state *state = client_state(listener->client);
    struct received message;
    int error = state_look(state);
    if (error)
        return error;
    listener->version = state_version(state);
    bool any = state_inbox_next(state, state_inbox_listened(state) + 1, &message) == 0;
    error = state->error;
    state_end(state);
    if (error || !any)
        return error;
    error = state_begin(state);
    if (error)
        return error;
    error = take_to_file(listener, state);
    if (error) {
        state_end(state);
        return error;
    }
    return state_commit(state);
}

static int step_file(struct listener *listener, int timeout_ms) {
    int error = 0;
    if (state_version(client_state(listener->client)) != listener->version)
        error = take_waiting(listener);
    if (!error && listener->left)
        error = client_step(listener->client, timeout_ms, NULL);
    return error;
}

static int open_file(struct listener *listener) {
    int error = file_open(&listener->file, listener->options->output, client_state(listener->client));
    if (error) {
        fprintf(stderr, "tern: %s: %s\n", listener->options->output,
                error == -EINVAL ? "it has to be a regular file" : strerror(-error));
        return EXIT_FAILED;
    }
    listener->has_file = true;
    client_set_before_commit(listener->client, take_to_file, listener);
    return EXIT_DONE;
}

/* --- the command ---------------------------------------------------------------------------------------- */

static int open_arrivals(struct listener *listener) {
    const struct options *options = listener->options;
    int error = arrivals_open(&listener->arrivals, options->files,
                              options->output ? ARRIVALS_SILENT
                              : options->json ? ARRIVALS_JSON
                                              : ARRIVALS_PLAIN);
    if (error) {
        fprintf(stderr, "tern: %s: %s\n", options->files, strerror(-error));
        return EXIT_FAILED;
    }
    listener->has_arrivals = true;
    return EXIT_DONE;
}

/* Between lines: what is told of a file does not stand in another one. */
static int take_arrivals(struct listener *listener) {
    uint64_t taken = 0;
    if (!listener->has_arrivals || listener->text_at < listener->text_bytes)
        return 0;
    int error = arrivals_take(&listener->arrivals, listener->client, listener->left, &taken);
    listener->left -= taken;
    return error;
}

static int listen_on(struct listener *listener) {
    while (listener->left && !home_stopped) {
        uint64_t now_ms = client_now_ms();
        if (now_ms >= listener->end_ms)
            break;
        uint64_t left_ms = listener->end_ms - now_ms;
        int timeout_ms = left_ms < 1000 ? (int)left_ms : 1000;
        if (listener->nameless_ms && timeout_ms > 100)
            timeout_ms = 100;
        int error = take_arrivals(listener);
        if (error)
            return EXIT_FAILED;
        if (listener->left)
            error = listener->has_file ? step_file(listener, timeout_ms) : step_output(listener, timeout_ms);
        if (error)
            return home_failed(listener->client, error);
    }
    if (listener->options->count && listener->left && !home_stopped) {
        fprintf(stderr, "tern: %" PRIu64 " of %" PRIu64 " messages came in time\n",
                listener->options->count - listener->left, listener->options->count);
        return EXIT_NOT_YET;
    }
    return EXIT_DONE;
}

static int prepare(struct listener *listener) {
    struct state *state = client_state(listener->client);
    struct identity identity = {0};
    int error = state_look(state);
    if (!error) {
        error = state_identity(state, &identity);
        listener->tail = state_inbox_newest(state);
        state_end(state);
    }
    sodium_memzero(identity.secret, sizeof(identity.secret));
    if (error)
        return home_failed(listener->client, error);
    listener->own_account = identity.account;
    int status = listener->options->files ? open_arrivals(listener) : EXIT_DONE;
    return status == EXIT_DONE && listener->options->output ? open_file(listener) : status;
}

/* One listener for a home: two would show each message in one of two places. */
static int listen_alone(struct listener *listener) {
    int lock = holder_lock(client_home(listener->client), "listen.lock");
    if (lock == -EWOULDBLOCK) {
        fprintf(stderr, "tern: another `tern listen` is running on %s\n", client_home(listener->client));
        return EXIT_FAILED;
    }
    if (lock < 0)
        return home_failed(listener->client, lock);
    int status = prepare(listener);
    if (status == EXIT_DONE)
        status = listen_on(listener);
    forget_text(listener);
    if (listener->has_file && status != EXIT_FAILED)
        file_end(&listener->file, client_state(listener->client));
    if (listener->has_file)
        file_close(&listener->file);
    if (listener->has_arrivals)
        arrivals_close(&listener->arrivals);
    close(lock);
    return status;
}

int listen_run(const struct options *options) {
    struct listener listener = {
        .options = options,
        .left = options->count ? options->count : UINT64_MAX,
        .end_ms = options->seconds_ms < 0 ? UINT64_MAX : client_now_ms() + (uint64_t)options->seconds_ms,
        .version = UINT64_MAX,
        .is_terminal = isatty(STDOUT_FILENO),
    };
    int status = home_open(options, false, &listener.client);
    return status == EXIT_DONE ? home_close(listener.client, listen_alone(&listener)) : status;
}
