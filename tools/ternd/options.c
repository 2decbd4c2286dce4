#include "tools/ternd/options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/version.h"
#include "tools/ternd/file.h"

#define OPTION_NAME_BYTES 64
#define OPTION_HELP_BYTES 512
#define SENTENCE_BYTES 512

enum {
    KEY_CONFIG = 0x1000,
    KEY_CHECK,
    KEY_SAMPLE,
    KEY_MAN,
    KEY_CHECK_STORE,
    KEY_CHECK_STORE_WORKER,
    KEY_SALVAGE_STORE,
    KEY_INTO,
    KEY_JSON,
    KEY_SETTING
}; /* no letters: long options only */

/* --- the table as options ------------------------------------------------------------------------------- */

struct setting_option {
    const char *name, *argument, *fallback, *range, *help;
};

#define OPTION_N(name, fallback, min, max, when, help) {#name, "NUMBER", #fallback, #min " .. " #max, help},
#define OPTION_T(name, fallback, when, help) {#name, "TEXT", fallback, "", help},
#define OPTION_L(name, fallback, when, help) {#name, "TEXT", fallback, "", help},
static const struct setting_option setting_options[] = {SETTINGS(OPTION_N, OPTION_T, OPTION_L)};
#define SETTING_COUNT (sizeof(setting_options) / sizeof(setting_options[0]))

static const struct argp_option own_options[] = {
    {"config", KEY_CONFIG, "FILE", 0, "read settings from FILE; an option wins over it", 1},
    {"check-config", KEY_CHECK, NULL, 0, "say whether the settings are right, and end", 1},
    {"sample-config", KEY_SAMPLE, NULL, 0, "print a configuration file with every default, and end", 1},
    {"man", KEY_MAN, NULL, 0, "print the manual page, and end", 1},
    {"check-store", KEY_CHECK_STORE, "FOLDER", 0,
     "read every record of the store in FOLDER, say what is wrong with it, and end", 1},
    {"check-store-worker", KEY_CHECK_STORE_WORKER, "FOLDER", OPTION_HIDDEN, "what --check-store starts", 1},
    {"salvage-store", KEY_SALVAGE_STORE, "FOLDER", 0,
     "copy what is whole of the damaged store in FOLDER to a new one, and end", 1},
    {"into", KEY_INTO, "FOLDER", 0, "with --salvage-store: the folder of the new store", 1},
    {"json", KEY_JSON, NULL, 0, "with --check-store, --salvage-store: print one JSON object", 1},
    {NULL, 0, NULL, 0, "Settings, in the file with _ for -:", 2},
};
#define OWN_COUNT (sizeof(own_options) / sizeof(own_options[0]))

static char option_names[SETTING_COUNT][OPTION_NAME_BYTES];
static char option_helps[SETTING_COUNT][OPTION_HELP_BYTES];

static void fill_options(struct argp_option *options) {
    memcpy(options, own_options, sizeof(own_options));
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting_option *setting = &setting_options[i];
        snprintf(option_names[i], OPTION_NAME_BYTES, "%s", setting->name);
        for (char *c = option_names[i]; *c; c++)
            *c = *c == '_' ? '-' : *c;
        snprintf(option_helps[i], OPTION_HELP_BYTES, "%s (default: %s%s%s)", setting->help,
                 setting->fallback[0] ? setting->fallback : "empty", setting->range[0] ? "; " : "",
                 setting->range);
        options[OWN_COUNT + i] = (struct argp_option){.name = option_names[i],
                                                      .key = KEY_SETTING + (int)i,
                                                      .arg = setting->argument,
                                                      .doc = option_helps[i],
                                                      .group = 2};
    }
}

/* --- reading -------------------------------------------------------------------------------------------- */

static error_t take_folder(struct options *options, enum options_mode mode, const char *folder) {
    options->mode = mode;
    options->folder = folder;
    return 0;
}

static error_t take_option(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case KEY_CONFIG:
        options->file = argument;
        return 0;
    case KEY_CHECK:
        options->mode = OPTIONS_CHECK_CONFIG;
        return 0;
    case KEY_SAMPLE:
        options->mode = OPTIONS_SAMPLE_CONFIG;
        return 0;
    case KEY_MAN:
        options->mode = OPTIONS_MAN;
        return 0;
    case KEY_CHECK_STORE:
        return take_folder(options, OPTIONS_CHECK_STORE, argument);
    case KEY_CHECK_STORE_WORKER:
        return take_folder(options, OPTIONS_CHECK_STORE_WORKER, argument);
    case KEY_SALVAGE_STORE:
        return take_folder(options, OPTIONS_SALVAGE_STORE, argument);
    case KEY_INTO:
        options->into = argument;
        return 0;
    case KEY_JSON:
        options->json = true;
        return 0;
    case ARGP_KEY_END:
        if ((options->mode == OPTIONS_SALVAGE_STORE) != (options->into != NULL))
            argp_error(state, "--salvage-store and --into go together");
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is no option", argument);
        return EINVAL;
    default:
        break;
    }
    if (key < KEY_SETTING || key >= KEY_SETTING + (int)SETTING_COUNT)
        return ARGP_ERR_UNKNOWN;
    options->settings[options->setting_count++] =
        (struct option_setting){.name = setting_options[key - KEY_SETTING].name, .value = argument};
    return 0;
}

static const char documentation[] =
    "The tern message switch: devices connect to it, messages pass through it, and what a device missed "
    "waits in its "
    "store. Without a file and options it runs with every default."
    "\v"
    "Prints `ready ADDR:PORT` once it takes connections; logs to standard error. SIGTERM and SIGINT "
    "drain: nothing new "
    "is accepted, devices are sent away, everything is made safe, and the switch ends with 0; a second "
    "signal, a second or more later, ends it at "
    "once. SIGHUP reads the file again.";

const char *argp_program_version = "ternd " TERN_VERSION;

int options_read(struct options *options, int argc, char **argv) {
    static struct argp_option table[OWN_COUNT + SETTING_COUNT + 1];
    const struct argp argp = {.options = table, .parser = take_option, .doc = documentation};
    fill_options(table);
    argp_err_exit_status = 2;
    *options = (struct options){.program = argv[0]};
    options->settings = calloc((size_t)argc, sizeof(*options->settings));
    if (!options->settings)
        return -ENOMEM;
    return -argp_parse(&argp, argc, argv, 0, NULL, options);
}

void options_fini(struct options *options) {
    free(options->settings);
    options->settings = NULL;
}

/* --- making the settings -------------------------------------------------------------------------------- */

static bool given_before(const struct options *options, uint32_t index) {
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(options->settings[i].name, options->settings[index].name) == 0)
            return true;
    }
    return false;
}

int options_config(const struct options *options, struct config *ret_config, char *ret_error,
                   size_t error_bytes) {
    config_defaults(ret_config);
    if (options->file) {
        int error = file_read(options->file, ret_config, ret_error, error_bytes);
        if (error)
            return error;
    }
    char sentence[SENTENCE_BYTES];
    for (uint32_t i = 0; i < options->setting_count; i++) {
        const struct option_setting *setting = &options->settings[i];
        if (!given_before(options, i))
            config_unset(ret_config, setting->name); /* the options' list replaces the file's */
        int error = config_set(ret_config, setting->name, setting->value, sentence, sizeof(sentence));
        if (error) {
            snprintf(ret_error, error_bytes, "command line: %s", sentence);
            return error;
        }
    }
    int error = config_check(ret_config, sentence, sizeof(sentence));
    if (error)
        snprintf(ret_error, error_bytes, "%s%s%s", options->file ? options->file : "",
                 options->file ? ": " : "", sentence);
    return error;
}

/* --- the manual page ------------------------------------------------------------------------------------ */

static const char manual_front[] =
    ".TH TERND 8 \"\" \"tern " TERN_VERSION "\" \"System administration\"\n"
    ".SH NAME\nternd \\- the tern message switch\n"
    ".SH SYNOPSIS\n.B ternd\n[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-data\\fR \\fIDIR\\fR] "
    "[\\fB\\-\\-listen\\fR \\fIADDR:PORT\\fR] [\\fB\\-\\-admin\\fR \\fISOCKET\\fR] [\\fB\\-\\-shards\\fR "
    "\\fIN\\fR] "
    "[\\fB\\-\\-cores\\fR \\fILIST\\fR] [\\fB\\-\\-\\fISETTING VALUE\\fR ...]\n"
    ".SH DESCRIPTION\n"
    "Devices keep an encrypted connection to ternd; messages between them pass through it, and what a "
    "device missed "
    "waits in its store. Without a file and options it runs with every default. Once it takes connections "
    "it prints "
    "one line, \\(lqready\\(rq and the address, on standard output. It logs state changes to standard "
    "error, one "
    "\\(lqevent key=value\\(rq line each.\n"
    ".SH OPTIONS\n";

static const char manual_middle[] =
    ".PP\nEvery setting below is an option too, with dashes for its underscores. An option wins over the "
    "file.\n"
    ".SH SETTINGS\n"
    "The file has one \\(lqsetting = value\\(rq a line; # and ; begin a comment, at the beginning or behind "
    "a blank. Numbers may end in k, M or G (powers of 1024). Reloadable settings change with SIGHUP or "
    "with ternctl reload, the others with the next "
    "start.\n";

static const char manual_back[] =
    ".SH SIGNALS\n"
    ".TP\n.B SIGTERM, SIGINT\nDrain: nothing new is accepted, devices are sent away, what is on its way "
    "is made safe. "
    "A second signal, a second or more later, ends the switch at once.\n"
    ".TP\n.B SIGHUP\nReload: read the file again.\n"
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nDrained.\n.TP\n.B 1\nThe switch could not start, or the drain took longer than drain_s.\n"
    ".TP\n.B 2\nThe command line is not understood.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B NOTIFY_SOCKET\nWhere readiness is told, as sd_notify(3) describes it.\n"
    ".TP\n.B TERN_HINTS\nWhere it is 1, the commands to try next are printed after the ready line.\n"
    ".SH SEE ALSO\nternctl(1), tern(1)\n";

static char *described(enum config_style style) {
    size_t bytes = config_describe(style, NULL, 0) + 1;
    char *text = malloc(bytes);
    if (text)
        config_describe(style, text, bytes);
    return text;
}

int options_print_manual(void) {
    char *settings = described(CONFIG_MAN);
    if (!settings)
        return -ENOMEM;
    fputs(manual_front, stdout);
    for (const struct argp_option *option = own_options; option->name; option++) {
        if (option->flags & OPTION_HIDDEN)
            continue;
        printf(".TP\n.B ");
        for (const char *c = "--"; *c; c++)
            printf("\\%c", *c);
        for (const char *c = option->name; *c; c++)
            printf(*c == '-' ? "\\-" : "%c", *c);
        printf("%s%s\n%s.\n", option->arg ? " " : "", option->arg ? option->arg : "", option->doc);
    }
    printf("%s%s%s", manual_middle, settings, manual_back);
    free(settings);
    return fflush(stdout) ? -EIO : 0;
}
