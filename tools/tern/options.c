#include "tools/tern/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame.h"
#include "core/version.h"
#include "tools/tern/chat.h"
#include "tools/tern/device.h"
#include "tools/tern/export.h"
#include "tools/tern/link.h"
#include "tools/tern/listen.h"
#include "tools/tern/lock.h"
#include "tools/tern/manual.h"
#include "tools/tern/read.h"
#include "tools/tern/send.h"
#include "tools/tern/status.h"
#include "tools/tern/verify.h"

enum option_key {
    OPTION_HOME = 256,
    OPTION_JSON,
    OPTION_OFFLINE,
    OPTION_OUTPUT,
    OPTION_COUNT,
    OPTION_SECONDS,
    OPTION_TIMEOUT,
    OPTION_WAIT,
    OPTION_LAST,
    OPTION_MANUAL,
    OPTION_FILE,
    OPTION_FILES,
    OPTION_STRICT,
    OPTION_YES,
    OPTION_PASSPHRASE_FILE,
    OPTION_NEW_PASSPHRASE_FILE,
};

#define SECONDS_MAX 1000000000

/* --- the tables ----------------------------------------------------------------------------------------- */

const struct argp_option options_home[] = {
    {"home", OPTION_HOME, "DIR", 0,
     "home folder of the device (default: $XDG_DATA_HOME/tern, or ~/.local/share/tern)", -1},
    {"passphrase-file", OPTION_PASSPHRASE_FILE, "FILE", 0,
     "the passphrase of a locked home folder is the first line of FILE (default: typed on the terminal)", -1},
    {0},
};

static const struct argp_option top_options[] = {
    {"man", OPTION_MANUAL, 0, 0, "print the manual page as troff", -1},
    {0},
};

static const struct argp_option link_options[] = {
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0, "give up after so long (default 30)", 0},
    {0},
};

#define STRICT_TEXT                                                                                          \
    "send nothing where NAME's account key has changed, until `tern verify NAME --yes`; as long as a "       \
    "message waits for that, no other command sends it either (default: say so, then send)"

static const struct argp_option send_options[] = {
    {"file", OPTION_FILE, "PATH", 0, "send this file, of at most 64 MiB, in the place of TEXT", 0},
    {"json", OPTION_JSON, 0, 0, "say what became of it as one JSON object", 0},
    {"strict", OPTION_STRICT, 0, 0, STRICT_TEXT, 0},
    {"wait", OPTION_WAIT, "TICK", 0, "wait for this tick: sent, delivered or read (default sent)", 0},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0,
     "give up waiting after so long; what has no tick yet is kept and sent later (default: 10 for TEXT "
     "where --wait is not given, else as long as it takes)",
     0},
    {0},
};

static const struct argp_option listen_options[] = {
    {"json", OPTION_JSON, 0, 0, "one JSON object a line; not with --output", 0},
    {"output", OPTION_OUTPUT, "FILE", 0, "append to FILE, each message exactly once, whatever is killed when",
     0},
    {"files", OPTION_FILES, "FOLDER", 0, "write files that came whole into FOLDER, never over another one",
     0},
    {"count", OPTION_COUNT, "N", 0, "end after N messages", 0},
    {"seconds", OPTION_SECONDS, "N", 0, "end after N seconds", 0},
    {0},
};

static const struct argp_option ask_options[] = {
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0, "give up waiting for the switch after so long (default 30)", 0},
    {0},
};

static const struct argp_option status_options[] = {
    {"json", OPTION_JSON, 0, 0, "as one JSON object", 0},
    {"last", OPTION_LAST, "N", 0, "show the last N messages sent (default 10, at most 1000)", 0},
    {"offline", OPTION_OFFLINE, 0, 0, "do not ask the switch for news", 0},
    {0},
};

static const struct argp_option verify_options[] = {
    {"yes", OPTION_YES, 0, 0, "the numbers are the same", 0},
    {"json", OPTION_JSON, 0, 0, "as one JSON object", 0},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0, "give up waiting for the switch after so long (default 30)", 0},
    {0},
};

static const struct argp_option chat_options[] = {
    {"strict", OPTION_STRICT, 0, 0, STRICT_TEXT, 0},
    {0},
};

static const struct argp_option lock_options[] = {
    {"new-passphrase-file", OPTION_NEW_PASSPHRASE_FILE, "FILE", 0,
     "the passphrase to lock with is the first line of FILE (default: typed on the terminal, twice)", 0},
    {0},
};

static const struct argp_option export_options[] = {
    {"new-passphrase-file", OPTION_NEW_PASSPHRASE_FILE, "FILE", 0,
     "the passphrase to encrypt with is the first line of FILE (default: typed on the terminal, twice)", 0},
    {0},
};

static const struct argp_option device_options[] = {
    {"json", OPTION_JSON, 0, 0, "list: as one JSON object", 0},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0,
     "give up waiting after so long (default: add waits as long as its code is good, list 5, remove 30)", 0},
    {0},
};

static const struct argp_option no_options[] = {{0}};

const struct command options_commands[] = {
    {"link", "URI", 1, 1, "make the home folder a device of an account",
     "URI is what `ternctl account add NAME` prints, or `tern device add` for a further device. Its code "
     "works once; where linking was interrupted, the same URI goes on with it. Put it in quotes.",
     link_options, link_run},
    {"send", "NAME TEXT | NAME - | NAME --file PATH", 2, 2,
     "send a message, each line of standard input, or a file",
     "The message is kept on disk before it is sent, and is sent again until the switch has it safe, by "
     "this command or by any later one that connects. `-` reads standard input, in bounded memory "
     "however much there is, and ends when every line has its tick. A text that begins with - goes after "
     "`--`. A file is cut into messages, which are all kept at once: a command that is killed afterwards "
     "has sent it as much as one that was not.",
     send_options, send_run},
    {"listen", "", 0, 0, "print what arrives, one message a line",
     "Shows what no earlier `listen` or `chat` has shown, then what arrives. On a terminal the sender's "
     "name comes first and control characters are shown as escapes; in a pipe or file the bytes are the "
     "message's own. With --output the file is synced, and its length is kept with what was received, "
     "before a message is acknowledged; at start it is cut to that length. Files that came are kept until "
     "`listen --files` takes them, with names made safe, none over another file. Copies of what other "
     "devices of the own account sent are shown with --json only.",
     listen_options, listen_run},
    {"read", "NAME", 1, 1, "mark everything received from NAME as read",
     "Ends when the switch has confirmed it: the sender's ticks turn.", ask_options, read_run},
    {"chat", "NAME", 1, 1, "talk to NAME: an interactive view with ticks",
     "A tick shows that the switch has a message safe, two that a device of NAME has it, two coloured "
     "ones that NAME has read it, also of what other devices of the own account sent. What is shown is "
     "marked as read. Ctrl-D or /quit ends. Without a "
     "terminal, lines are read and printed as they come.",
     chat_options, chat_run},
    {"status", "", 0, 0, "this device, what waits, the ticks of what was sent",
     "Connects shortly to learn of new ticks, unless another tern of this home is connected anyway.",
     status_options, status_run},
    {"block", "NAME", 1, 1, "let the switch refuse messages from NAME", "", ask_options, read_block_run},
    {"unblock", "NAME", 1, 1, "take messages from NAME again", "", ask_options, read_unblock_run},
    {"verify", "NAME", 1, 1, "the safety number with NAME, to be compared with what NAME sees",
     "60 digits, on a terminal also as a QR code, the same on both sides: where they differ, somebody is in "
     "between. --yes says that the number shown last was compared and is the same; one that was not shown "
     "before is shown, and --yes has to be said again. Where the account key of NAME has changed, or NAME is "
     "another account than before, the number is the new one's, and --yes accepts it. The exit status is 1 "
     "as long as it is not accepted, and where --yes has to be said again.",
     verify_options, verify_run},
    {"device", "add | list | remove N", 1, 2, "the devices of the account: add one, list them, remove one",
     "add shows what to type on the new device, on a terminal as a QR code, too, and waits until that is "
     "there. It goes by other ways than "
     "the switch, from screen to screen or by hand, so that the switch can let no device in by itself. What "
     "was sent before is not on the new device, what comes after is. remove cuts a device off at the "
     "switch, and others encrypt for it no more. Both are done on the first device of the account, which "
     "has the account's key. list asks the switch, and says so where that is not there.",
     device_options, device_run},
    {"lock", "", 0, 0, "seal what is in the home folder with a passphrase",
     "From then on every command on this home folder wants the passphrase, and takes a second for it. "
     "Whoever copies the folder's files reads no message and no key of it, only names and accounts, how "
     "many messages there were, and when the files changed. A folder that is locked already gets another "
     "passphrase. On one that is not, --passphrase-file does what --new-passphrase-file does. No other "
     "command may run on the home meanwhile. A passphrase that is forgotten can not be found out.",
     lock_options, lock_run},
    {"unlock", "", 0, 0, "take the lock off again", "", no_options, lock_unlock_run},
    {"export", "FILE", 1, 1, "write all that the device knows to FILE, encrypted",
     "FILE is new, is encrypted with a passphrase of its own, and holds this device's keys, its account's "
     "key where it has that, and its messages. Who has FILE and the passphrase is this device. It is of one "
     "moment: what is sent and received afterwards is not in it, and what is on its way to the device then "
     "does not open where FILE is imported. So listen until nothing waits, then export, and import at once. "
     "An export that is killed leaves FILE.part, which the next one takes away. On a folder that is not "
     "locked, --passphrase-file does what --new-passphrase-file does.",
     export_options, export_run},
    {"import", "FILE", 1, 1, "make an empty home folder the device in FILE",
     "FILE was written by `tern export`; --passphrase-file has its passphrase. The folder it came from is "
     "not to be used any more: a device has one session, so whichever of the two connects last ends the "
     "other's, which then says that another program took over. Messages that had no sent tick when they "
     "were exported count as failed, because the other folder may have sent them; ticks that come for "
     "older ones are not shown. A folder that was locked is locked again, with the passphrase of FILE.",
     no_options, import_run},
};
const unsigned options_command_count = sizeof(options_commands) / sizeof(options_commands[0]);

/* --- parsing -------------------------------------------------------------------------------------------- */

struct parsing {
    const struct command *command; /* of the words; NULL: those before it */
    struct options *options;
    int rest; /* where the command stands */
};

static uint64_t number(struct argp_state *state, const char *name, const char *text, uint64_t max) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text < '0' || *text > '9' || value > max)
        argp_error(state, "--%s is a number up to %llu, not '%s'", name, (unsigned long long)max, text);
    return value;
}

static int64_t seconds(struct argp_state *state, const char *name, const char *text) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= 0 && value <= SECONDS_MAX))
        argp_error(state, "--%s is a number of seconds, not '%s'", name, text);
    return (int64_t)(value * 1000);
}

static uint8_t tick(struct argp_state *state, const char *text) {
    if (strcmp(text, "sent") == 0)
        return RECEIPT_SENT;
    if (strcmp(text, "delivered") == 0)
        return RECEIPT_DELIVERED;
    if (strcmp(text, "read") != 0)
        argp_error(state, "--wait is sent, delivered or read, not '%s'", text);
    return RECEIPT_READ;
}

static error_t parse_option(int key, char *value, struct argp_state *state) {
    struct options *options = ((struct parsing *)state->input)->options;
    switch (key) {
    case OPTION_HOME:
        options->home = value;
        return 0;
    case OPTION_FILE:
        options->file = value;
        return 0;
    case OPTION_STRICT:
        options->strict = true;
        return 0;
    case OPTION_YES:
        options->yes = true;
        return 0;
    case OPTION_FILES:
        options->files = value;
        return 0;
    case OPTION_PASSPHRASE_FILE:
        options->passphrase_file = value;
        return 0;
    case OPTION_NEW_PASSPHRASE_FILE:
        options->new_passphrase_file = value;
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case OPTION_OFFLINE:
        options->offline = true;
        return 0;
    case OPTION_OUTPUT:
        options->output = value;
        return 0;
    case OPTION_COUNT:
        options->count = number(state, "count", value, UINT64_MAX / 2);
        if (options->count == 0)
            argp_error(state, "--count is at least 1");
        return 0;
    case OPTION_LAST:
        options->last = number(state, "last", value, 1000);
        return 0;
    case OPTION_SECONDS:
        options->seconds_ms = seconds(state, "seconds", value);
        return 0;
    case OPTION_TIMEOUT:
        options->timeout_ms = seconds(state, "timeout", value);
        return 0;
    case OPTION_WAIT:
        options->wait = tick(state, value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_command(int key, char *value, struct argp_state *state) {
    struct parsing *parsing = state->input;
    const struct command *command = parsing->command;
    struct options *options = parsing->options;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = parsing;
        return 0;
    case ARGP_KEY_ARG:
        if (options->word_count == command->words_max)
            argp_error(state, "'%s' is one word too many; a text of several words needs quotes", value);
        options->words[options->word_count++] = value;
        return 0;
    case ARGP_KEY_END:
        if (options->word_count < command->words_min - (options->file != NULL))
            argp_error(state, "it needs %s", command->words);
        if (options->file && options->word_count == command->words_max)
            argp_error(state, "--file and a TEXT do not go together");
        if (options->json && options->output)
            argp_error(state, "--json and --output do not go together: a file holds one message a line");
        return 0;
    default:
        return parse_option(key, value, state);
    }
}

static error_t parse_top(int key, char *value, struct argp_state *state) {
    struct parsing *parsing = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = parsing;
        return 0;
    case OPTION_MANUAL:
        manual_print(stdout);
        exit(EXIT_DONE);
    case ARGP_KEY_ARG: /* the command: what follows is its own to parse */
        parsing->rest = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return parse_option(key, value, state);
    }
}

static const struct argp home_argp = {.options = options_home, .parser = parse_option};

static char *top_help(int key, const char *text, void *input) {
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    return manual_command_list();
}

static const struct command *find_command(const char *name) {
    for (unsigned i = 0; i < options_command_count; i++) {
        if (strcmp(options_commands[i].name, name) == 0)
            return &options_commands[i];
    }
    return NULL;
}

void options_parse_line(int count, char **words, const struct command **ret_command,
                        struct options *ret_options) {
    const struct argp_child home_child[] = {{&home_argp, 0, NULL, 0}, {0}};
    struct parsing parsing = {.options = ret_options};
    const struct argp top = {
        .options = top_options,
        .parser = parse_top,
        .args_doc = "COMMAND ...",
        .doc = "The message switch's client for people and scripts.\v-",
        .children = home_child,
        .help_filter = top_help,
    };
    *ret_options = (struct options){.seconds_ms = -1, .timeout_ms = -1, .last = 10};
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = "tern " TERN_VERSION;
    argp_parse(&top, count, words, ARGP_IN_ORDER, NULL, &parsing);
    parsing.command = find_command(words[parsing.rest]);
    if (!parsing.command) {
        fprintf(stderr, "tern: there is no command '%s'; `tern --help` lists them\n", words[parsing.rest]);
        exit(EXIT_USAGE);
    }
    char name[64], doc[1024];
    snprintf(name, sizeof(name), "tern %s", parsing.command->name);
    snprintf(doc, sizeof(doc), "%s\v%s", parsing.command->summary, parsing.command->text);
    const struct argp argp = {
        .options = parsing.command->options,
        .parser = parse_command,
        .args_doc = parsing.command->words,
        .doc = doc,
        .children = home_child,
    };
    char *first = words[parsing.rest];
    words[parsing.rest] = name;
    argp_parse(&argp, count - parsing.rest, words + parsing.rest, 0, NULL, &parsing);
    words[parsing.rest] = first;
    *ret_command = parsing.command;
}
