#include "tools/ternctl/control.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/caller.h"

#include "tools/ternctl/command_line.h"
#include "tools/ternctl/manual.h"
#include "tools/ternctl/offline.h"
#include "tools/ternctl/show_account.h"
#include "tools/ternctl/show_connection.h"
#include "tools/ternctl/show_device.h"
#include "tools/ternctl/show_queue.h"
#include "tools/ternctl/show_stats.h"
#include "tools/ternctl/show_status.h"
#include "tools/ternctl/show_switch.h"
#include "tools/ternctl/show_uri.h"
#include "tools/ternctl/top.h"
#include "tools/ternctl/usage.h"

#define TIMEOUT_MS 30000
#define STATUS_SAMPLE_MS 500 /* over which status measures its rates */

/* What shows each answer. Status needs more than one answer, and top is no single one. */
static show_answer *const shows[USAGE_COUNT] = {
    [ADMIN_ACCOUNT_ADD] = show_account_uris,
    [ADMIN_ACCOUNT_CODE] = show_account_uris,
    [ADMIN_ACCOUNT_LIST] = show_account_list,
    [ADMIN_ACCOUNT_SHOW] = show_account_show,
    [ADMIN_ACCOUNT_SUSPEND] = show_account_suspend,
    [ADMIN_ACCOUNT_RESUME] = show_account_resume,
    [ADMIN_ACCOUNT_REMOVE] = show_account_remove,
    [ADMIN_DEVICE_LIST] = show_device_list,
    [ADMIN_DEVICE_REVOKE] = show_device_revoke,
    [ADMIN_QUEUE_SHOW] = show_queue_show,
    [ADMIN_QUEUE_PURGE] = show_queue_purge,
    [ADMIN_CONNECTION_LIST] = show_connection_list,
    [ADMIN_CONNECTION_KICK] = show_connection_kick,
    [ADMIN_STATS] = show_stats,
    [ADMIN_DRAIN] = show_switch_drain,
    [ADMIN_RELOAD] = show_switch_reload,
    [ADMIN_STORE_CHECK] = show_switch_check,
    [ADMIN_STORE_BACKUP] = show_switch_backup,
};

struct control {
    struct command_line line;
    const struct usage *command;
    struct caller caller;
    cJSON *request;
};

/* --- exit status and errors ----------------------------------------------------------------------------- */

struct code {
    const char *name;
    int status;
};
#define X(name, status, help) {#name, status},
static const struct code codes[ADMIN_CODE_COUNT] = {ADMIN_CODES(X)};
#undef X

int control_status(const char *code) {
    for (unsigned i = 0; i < ADMIN_CODE_COUNT; i++) {
        if (strcmp(codes[i].name, code) == 0)
            return codes[i].status;
    }
    return codes[ADMIN_CODE_failed].status;
}

static int print_json(const cJSON *answer) {
    char *text = cJSON_PrintUnformatted(answer);
    if (!text)
        return -ENOMEM;
    puts(text);
    cJSON_free(text);
    return 0;
}

/* Says what went wrong, to people and, with --json, in the form of an answer. Returns the exit status. */
__attribute__((format(printf, 3, 4))) static int fail(const struct control *control, enum admin_code code,
                                                      const char *format, ...) {
    char sentence[CALLER_ERROR_BYTES + 256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    fprintf(stderr, "ternctl: %s\n", sentence);
    if (control->line.json) {
        cJSON *answer = cJSON_CreateObject();
        cJSON_AddBoolToObject(answer, "ok", false);
        cJSON_AddStringToObject(answer, "code", codes[code].name);
        cJSON_AddStringToObject(answer, "error", sentence);
        print_json(answer);
        cJSON_Delete(answer);
    }
    return codes[code].status;
}

static int fail_unlike(const struct control *control, int error) {
    if (error == -ENOMEM)
        return fail(control, ADMIN_CODE_failed, "no memory");
    return fail(control, ADMIN_CODE_unreachable,
                "the switch at %s answers, but not what was asked: another version?", control->caller.path);
}

/* The switch said no. */
static int fail_refused(const struct control *control, const cJSON *answer) {
    const char *sentence = answer_text(answer, "error");
    fprintf(stderr, "ternctl: %s\n", sentence[0] ? sentence : "the switch refused, and does not say why");
    if (control->line.json)
        print_json(answer);
    else
        show_switch_findings(stdout, answer);
    return control_status(answer_text(answer, "code"));
}

/* --- one command ---------------------------------------------------------------------------------------- */

static uint64_t utc_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Draining and going through the store take as long as there is work. */
static uint32_t timeout_ms(const struct control *control) {
    if (control->line.has_timeout)
        return control->line.timeout_ms;
    unsigned id = control->command->id;
    return id == ADMIN_DRAIN || id == ADMIN_STORE_CHECK || id == ADMIN_STORE_BACKUP ? 0 : TIMEOUT_MS;
}

static int run_top(struct control *control) {
    struct top_setup setup = {.out = stdout,
                              .interval_ms = control->line.interval_ms,
                              .count = control->line.count,
                              .timeout_ms = timeout_ms(control),
                              .json = control->line.json};
    int error = top_run(&control->caller, &setup);
    return error ? fail(control, ADMIN_CODE_unreachable, "%s", control->caller.error) : 0;
}

static int run_status(struct control *control, const struct show *show, const cJSON *answer) {
    struct snapshot before, after;
    int error = rates_take(&control->caller, timeout_ms(control), &before);
    if (error)
        return fail(control, ADMIN_CODE_unreachable, "%s", control->caller.error);
    poll(NULL, 0, STATUS_SAMPLE_MS);
    error = rates_take(&control->caller, timeout_ms(control), &after);
    if (error) {
        rates_fini(&before);
        return fail(control, ADMIN_CODE_unreachable, "%s", control->caller.error);
    }
    error = show_status(show, answer, &before, &after);
    rates_fini(&before);
    rates_fini(&after);
    return error ? fail_unlike(control, error) : 0;
}

/* A switch that listens on every address names loopback in its URIs, unless its setting `advertise` says
 * better: good for a try, but no other machine's device gets there. */
static void remark_address(struct control *control, const char *address) {
    if (strncmp(address, "127.0.0.1:", strlen("127.0.0.1:")) != 0 &&
        strncmp(address, "[::1]:", strlen("[::1]:")) != 0)
        return;
    cJSON *request = cJSON_CreateObject(), *status = NULL;
    cJSON_AddStringToObject(request, "command", "status");
    int error = caller_ask(&control->caller, request, timeout_ms(control), &status);
    cJSON_Delete(request);
    if (error)
        return; /* the URI is there: a remark that fails is none */
    const cJSON *item;
    cJSON_ArrayForEach(item, answer_list(status, "listen")) {
        if (!cJSON_IsString(item) || !show_uri_address_is_any(item->valuestring))
            continue;
        fprintf(stderr,
                "ternctl: the switch listens on every address, its URI names %s: for devices elsewhere say "
                "--address, or set `advertise`\n",
                address);
        break;
    }
    cJSON_Delete(status);
}

static int add_uris(struct control *control, cJSON *answer) {
    const char *address = control->line.address;
    int error = show_account_add_uris(answer, address);
    if (error)
        return fail_unlike(control, error);
    if (!address)
        remark_address(control, answer_text(answer, "address"));
    return 0;
}

static int show_it(struct control *control, cJSON *answer) {
    unsigned id = control->command->id;
    if (id == ADMIN_ACCOUNT_ADD || id == ADMIN_ACCOUNT_CODE) {
        int status = add_uris(control, answer);
        if (status)
            return status;
    }
    struct show show = {.out = stdout,
                        .now_ms = utc_ms(),
                        .terminal = isatty(STDOUT_FILENO),
                        .all = control->line.all,
                        .prometheus = control->line.prometheus};
    if (id == ADMIN_STATUS && !control->line.json)
        return run_status(control, &show, answer);
    int error = control->line.json ? print_json(answer) : shows[id](&show, control->request, answer);
    return error ? fail_unlike(control, error) : 0;
}

static int run_open(struct control *control) {
    if (control->command->id == USAGE_TOP)
        return run_top(control);
    cJSON *answer = NULL;
    int error = caller_ask_all(&control->caller, control->request, timeout_ms(control), &answer);
    if (error)
        return fail(control, ADMIN_CODE_unreachable, "%s", control->caller.error);
    int status = answer_flag(answer, "ok") ? show_it(control, answer) : fail_refused(control, answer);
    cJSON_Delete(answer);
    return status;
}

/* What ternd does without a switch, in our place. */
static int run_offline(const struct control *control) {
    const char *folder = answer_text(control->request, "folder");
    const char *into = answer_text(control->request, "new_folder");
    const char *const check[] = {"ternd", "--check-store", folder, NULL};
    const char *const salvage[] = {"ternd", "--salvage-store", folder, "--into", into, NULL};
    int error = offline_run(control->command->id == USAGE_SALVAGE ? salvage : check, control->line.json);
    return fail(control, ADMIN_CODE_failed,
                "ternd can't be started, neither from where ternctl is nor from "
                "PATH: %s",
                strerror(-error));
}

static int run(struct control *control) {
    if (answer_text(control->request, "folder")[0] && control->command->id != ADMIN_STORE_BACKUP)
        return run_offline(control);
    const char *searched = "",
               *path = control->line.admin ? control->line.admin : caller_default_path(&searched);
    if (caller_open(&control->caller, path, timeout_ms(control)) < 0)
        return fail(control, ADMIN_CODE_unreachable, "%s%s", control->caller.error, searched);
    int status = run_open(control);
    caller_close(&control->caller);
    return status;
}

/* --- the command line ----------------------------------------------------------------------------------- */

/* Options that would do nothing here are a mistake, and silence would hide it. An address that is none has to
 * be found before there is an account. */
static const char *wrong_option(const struct command_line *line, unsigned id) {
    if (line->address && id != ADMIN_ACCOUNT_ADD && id != ADMIN_ACCOUNT_CODE)
        return "--address is for account add and account code";
    char address[SHOW_URI_BYTES];
    if (line->address && show_uri_address(line->address, "0.0.0.0:1", address, sizeof(address)) < 0)
        return "--address is HOST or HOST:PORT, an IPv6 address in brackets";
    if ((line->all || line->prometheus) && id != ADMIN_STATS)
        return "--all and --prometheus are for stats";
    if (line->prometheus && line->json)
        return "--prometheus and --json are two forms: choose one";
    if (line->count && id != USAGE_TOP)
        return "--count is for top";
    return NULL;
}

static int run_line(struct control *control) {
    struct command_line *line = &control->line;
    char error[256];
    unsigned words = 0;
    if (line->man || (line->help && line->word_count == 0)) {
        (line->man ? manual_page : manual_help)(stdout);
        return 0;
    }
    if (usage_find(line->word_count, line->words, &control->command, &words, error, sizeof(error)) < 0)
        return fail(control, ADMIN_CODE_usage, "%s (`ternctl --help` lists all)", error);
    if (line->help) {
        manual_help_command(stdout, control->command);
        return 0;
    }
    const char *wrong = wrong_option(line, control->command->id);
    if (wrong)
        return fail(control, ADMIN_CODE_usage, "%s", wrong);
    if (usage_request(control->command, line->word_count - words, line->words + words, &control->request,
                      error, sizeof(error)) < 0)
        return fail(control, ADMIN_CODE_usage, "%s (usage: ternctl %s%s%s %s)", error, control->command->noun,
                    control->command->verb[0] ? " " : "", control->command->verb,
                    control->command->arguments);
    int status = run(control);
    cJSON_Delete(control->request);
    return status;
}

int control_run(int count, char **arguments) {
    struct control control = {.caller = {.fd = -1}};
    command_line_parse(count, arguments, &control.line);
    int status = run_line(&control);
    /* Output that did not get out, on a full disk or so, must not look like success. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "ternctl: standard output: %s\n", strerror(errno));
        return status ? status : codes[ADMIN_CODE_failed].status;
    }
    return status;
}
