#include "tools/tern/chat.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/sealing.h"
#include "tools/tern/conversation.h"
#include "tools/tern/editor.h"
#include "tools/tern/home.h"
#include "tools/tern/screen.h"
#include "tools/tern/terminal.h"
#include "tools/tern/ticks.h"
#include "tools/tern/verify.h"

#define LAST_MS 10000 /* for the sent ticks of what was typed, when standard input has ended */

struct chat {
    struct client *client;
    const char *name;
    char own_name[FRAME_NAME_BYTES_MAX + 1];
    uint32_t text_bytes_max;
    struct conversation conversation;
    struct editor editor;
    struct screen screen;
    bool has_screen;
    bool strict;
    bool is_change_told; /* and the note says it until the change is accepted */
    bool is_ended;       /* standard input is, or the user leaves */
    uint64_t version;
    char note[256];
};

/* --- showing -------------------------------------------------------------------------------------------- */

/* Without a screen: a line for each message that comes, and one for each tick of what was sent, here or by
 * another device of the account. */
static void print_changes(struct chat *chat) {
    for (size_t i = 0; i < chat->conversation.count; i++) {
        const struct entry *entry = &chat->conversation.entries[i];
        if (!entry->is_changed || (entry->is_own && !entry->is_copy && !entry->flags))
            continue;
        printf("%s  ", entry->is_notice ? "!" : entry->is_own ? chat->own_name : chat->name);
        terminal_write(stdout, entry->text, entry->bytes);
        if (entry->is_clear)
            fputs("  (not encrypted)", stdout);
        if (entry->is_own && entry->flags) {
            fputs("  ", stdout);
            ticks_print(stdout, entry->flags, false);
            printf(" %s", ticks_name(entry->flags));
        }
        if (entry->reason)
            printf(" (%s)", ticks_reason_help(entry->reason));
        fputc('\n', stdout);
    }
    fflush(stdout);
}

static void show(struct chat *chat) {
    if (chat->has_screen)
        screen_paint(&chat->screen, &chat->conversation, &chat->editor);
    else
        print_changes(chat);
    for (size_t i = 0; i < chat->conversation.count; i++)
        chat->conversation.entries[i].is_changed = false;
}

/* What the state has that is new; what is shown of it is read. */
static int refresh(struct chat *chat) {
    struct state *state = client_state(chat->client);
    bool changed = false;
    if (state_version(state) == chat->version)
        return 0;
    int error = state_look(state);
    if (error)
        return error;
    chat->version = state_version(state);
    error = conversation_look(&chat->conversation, state, &changed);
    state_end(state);
    if (error)
        return error;
    if (changed)
        show(chat);
    if (!conversation_has_unmarked(&chat->conversation))
        return 0;
    error = state_begin(state);
    if (error)
        return error;
    conversation_mark(&chat->conversation, state);
    return state_commit(state);
}

/* A sentence above the typed line. */
static void note(struct chat *chat, const char *sentence) {
    snprintf(chat->note, sizeof(chat->note), "%s", sentence);
    chat->screen.note = chat->note;
    if (chat->has_screen)
        show(chat);
    else
        fprintf(stderr, "tern: %s\n", chat->note);
}

static void note_away(void *context, const char *sentence) {
    char text[256];
    snprintf(text, sizeof(text), "%.200s; trying again", sentence);
    note(context, text);
}

static void note_back(struct chat *chat) {
    if (!*chat->note || chat->is_change_told || !client_is_connected(chat->client))
        return;
    *chat->note = 0;
    if (chat->has_screen)
        show(chat);
}

/* What was typed is held because the other's account key has changed: it is told first, and then goes, unless
 * --strict was said, now or before. */
static int note_held(struct chat *chat) {
    char sentence[sizeof(chat->note)];
    struct state *state = client_state(chat->client);
    int error = state_look(state);
    if (error)
        return error;
    bool is_changed = state_outbox_held(state, chat->conversation.account) == HOLD_KEY_CHANGED;
    bool was_told = chat->is_change_told;
    state_end(state);
    chat->is_change_told = is_changed;
    if (!is_changed || was_told)
        return 0;
    note(chat, "!!! THE ACCOUNT KEY HAS CHANGED !!! compare safety numbers: `tern verify`");
    error = chat->strict ? -EACCES : verify_accept(chat->client, chat->conversation.account);
    if (error != -EACCES)
        return error;
    snprintf(sentence, sizeof(sentence),
             "!!! THE ACCOUNT KEY HAS CHANGED !!! --strict: nothing goes until `tern verify %s --yes`",
             chat->name);
    note(chat, sentence);
    return 0;
}

/* --- typing --------------------------------------------------------------------------------------------- */

static int send_line(struct chat *chat) {
    struct editor *editor = &chat->editor;
    struct state *state = client_state(chat->client);
    if (editor->bytes == 5 && memcmp(editor->line, "/quit", 5) == 0) {
        chat->is_ended = true;
        return 0;
    }
    if (editor->bytes == 0)
        return 0;
    if (editor->bytes > chat->text_bytes_max) {
        note(chat, "that is longer than fits into a message; not sent");
        editor_clear(editor);
        return 0;
    }
    int error = state_begin(state);
    if (error)
        return error;
    conversation_send(&chat->conversation, state, editor->line, editor->bytes, client_utc_ms());
    error = state_commit(state);
    editor_clear(editor);
    return error;
}

static int take_input(struct chat *chat) {
    uint8_t bytes[512];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    int error = 0;
    /* A file or pipe may end in a line without its newline. */
    if (got <= 0 && !chat->has_screen && chat->editor.bytes)
        error = send_line(chat);
    chat->is_ended |= got <= 0;
    for (ssize_t i = 0; i < got && !error && !chat->is_ended; i++) {
        enum editor_event event = editor_put(&chat->editor, bytes[i]);
        if (event == EDITOR_LINE)
            error = send_line(chat);
        else if (event == EDITOR_END)
            chat->is_ended = true;
    }
    if (chat->has_screen)
        show(chat);
    return error;
}

/* --- the command ---------------------------------------------------------------------------------------- */

static int talk(struct chat *chat) {
    uint64_t end_ms = UINT64_MAX;
    if (chat->has_screen)
        show(chat);
    while (!home_stopped) {
        int error = refresh(chat);
        if (error)
            return error;
        if (chat->is_ended && (chat->has_screen || conversation_waiting(&chat->conversation) == 0))
            return 0;
        if (chat->is_ended && end_ms == UINT64_MAX)
            end_ms = client_now_ms() + LAST_MS;
        if (client_now_ms() >= end_ms)
            return -ETIMEDOUT;
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        error = client_step(chat->client, -1, chat->is_ended ? NULL : &input);
        if (!error && input.revents)
            error = take_input(chat);
        if (error)
            return error;
        note_back(chat);
        error = note_held(chat);
        if (error)
            return error;
        if (chat->has_screen && screen_is_resized(&chat->screen))
            show(chat);
    }
    return 0;
}

static int prepare(struct chat *chat, uint64_t account) {
    struct identity identity = {0};
    struct state *state = client_state(chat->client);
    int error = state_look(state);
    if (error)
        return error;
    error = state_identity(state, &identity);
    if (!error)
        chat->text_bytes_max = sealing_bytes_max(state, &identity, account);
    state_end(state);
    sodium_memzero(identity.secret, sizeof(identity.secret));
    memcpy(chat->own_name, identity.name, sizeof(chat->own_name));
    conversation_init(&chat->conversation, identity.account, account);
    chat->conversation.is_strict = chat->strict;
    return error;
}

static int chat_with(struct chat *chat) {
    uint64_t account;
    int status = home_find(chat->client, chat->name, -1, &account);
    if (status != EXIT_DONE)
        return status;
    int error = prepare(chat, account);
    chat->screen.note = "";
    client_set_on_away(chat->client, note_away, chat);
    if (!error && screen_is_possible()) {
        error = screen_open(&chat->screen, chat->own_name, chat->name);
        chat->has_screen = error == 0;
    }
    if (!error)
        error = talk(chat);
    screen_close(&chat->screen);
    uint16_t reason = 0;
    size_t waiting = conversation_waiting(&chat->conversation);
    size_t failed = chat->has_screen ? 0 : conversation_failed(&chat->conversation, &reason); /* else seen */
    conversation_fini(&chat->conversation);
    if (error && error != -ETIMEDOUT)
        return home_failed(chat->client, error);
    if (waiting) {
        fprintf(stderr,
                "tern: %zu message%s without a sent tick; the next tern that connects sends what waits\n",
                waiting, waiting == 1 ? "" : "s");
        return EXIT_NOT_YET;
    }
    if (failed) {
        fprintf(stderr, "tern: %zu message%s failed: %s\n", failed, failed == 1 ? "" : "s",
                ticks_reason_help(reason));
        return EXIT_REFUSED;
    }
    return EXIT_DONE;
}

int chat_run(const struct options *options) {
    struct chat *chat = calloc(1, sizeof(*chat));
    if (!chat)
        return EXIT_FAILED;
    chat->name = options->words[0];
    chat->strict = options->strict;
    chat->version = UINT64_MAX;
    int status = home_open(options, false, &chat->client);
    if (status == EXIT_DONE)
        status = home_close(chat->client, chat_with(chat));
    free(chat);
    return status;
}
