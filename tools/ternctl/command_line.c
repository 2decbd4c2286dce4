#include "tools/ternctl/command_line.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/version.h"
#include "tools/admin/commands.h"

#define INTERVAL_MS 1000
#define SECONDS_MAX 86400.0

enum option_key {
    KEY_HELP = 'h',
    KEY_ADMIN = 256,
    KEY_JSON,
    KEY_TIMEOUT,
    KEY_ADDRESS,
    KEY_ALL,
    KEY_PROMETHEUS,
    KEY_INTERVAL,
    KEY_COUNT,
    KEY_MAN,
};

static const struct argp_option options[] = {
    {"admin", KEY_ADMIN, "SOCKET", 0, "the switch's admin socket", 1},
    {"json", KEY_JSON, NULL, 0, "print the switch's answer as one JSON object, lists whole", 1},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0,
     "wait so long for an answer, 0: for ever (default 30; drain, store: for ever)", 1},
    {"address", KEY_ADDRESS, "HOST[:PORT]", 0,
     "account add, account code: where devices reach it (default: where it listens)", 2},
    {"all", KEY_ALL, NULL, 0, "stats: also the counters that are zero", 2},
    {"prometheus", KEY_PROMETHEUS, NULL, 0, "stats: in Prometheus' text exposition format", 2},
    {"interval", KEY_INTERVAL, "SECONDS", 0, "top: time between two views (default 1)", 2},
    {"count", KEY_COUNT, "N", 0, "top: end after so many views (default: when interrupted)", 2},
    {"help", KEY_HELP, NULL, 0, "print this, or what a command does", 3},
    {"man", KEY_MAN, NULL, 0, "print the manual page as troff", 3},
    {0},
};

const struct argp_option *command_line_options(void) {
    return options;
}

static uint32_t parse_ms(struct argp_state *state, const char *name, const char *text, double least) {
    char *end;
    errno = 0;
    double seconds = strtod(text, &end);
    bool number =
        end != text && *end == '\0' && !errno && (isdigit((unsigned char)text[0]) || text[0] == '.');
    if (!number || !(seconds >= least && seconds <= SECONDS_MAX))
        argp_error(state, "--%s is a number of seconds from %g to %g, not '%s'", name, least, SECONDS_MAX,
                   text);
    return (uint32_t)(seconds * 1000 + 0.5);
}

static uint32_t parse_count(struct argp_state *state, const char *text) {
    char *end;
    errno = 0;
    unsigned long count = strtoul(text, &end, 10);
    if (errno || *end || !isdigit((unsigned char)text[0]) || count < 1 || count > 1000000000)
        argp_error(state, "--count is a number from 1 on, not '%s'", text);
    return (uint32_t)count;
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct command_line *line = state->input;
    switch (key) {
    case KEY_ADMIN:
        line->admin = value;
        return 0;
    case KEY_JSON:
        line->json = true;
        return 0;
    case KEY_TIMEOUT:
        line->timeout_ms = parse_ms(state, "timeout", value, 0);
        line->has_timeout = true;
        return 0;
    case KEY_ADDRESS:
        line->address = value;
        return 0;
    case KEY_ALL:
        line->all = true;
        return 0;
    case KEY_PROMETHEUS:
        line->prometheus = true;
        return 0;
    case KEY_INTERVAL:
        line->interval_ms = parse_ms(state, "interval", value, 0.1);
        return 0;
    case KEY_COUNT:
        line->count = parse_count(state, value);
        return 0;
    case KEY_HELP:
        line->help = true;
        return 0;
    case KEY_MAN:
        line->man = true;
        return 0;
    case ARGP_KEY_ARG:
        if (line->word_count == COMMAND_LINE_WORDS_MAX)
            argp_error(state, "'%s' is one word too many", value);
        line->words[line->word_count++] = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void command_line_parse(int count, char **arguments, struct command_line *ret_line) {
    static const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "NOUN [VERB] [ARGUMENT...]"};
    argp_program_version = "ternctl " TERN_VERSION;
#define X(name, status, help) [ADMIN_CODE_##name] = (status),
    static const int statuses[] = {ADMIN_CODES(X)};
#undef X
    argp_err_exit_status = statuses[ADMIN_CODE_usage];
    *ret_line = (struct command_line){.interval_ms = INTERVAL_MS};
    /* Whatever is wrong with the options ends the program in here; what may come back is a lack of memory. */
    if (argp_parse(&argp, count, arguments, 0, NULL, ret_line) != 0)
        exit(EXIT_FAILURE);
}
