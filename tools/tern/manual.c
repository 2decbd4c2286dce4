#include "tools/tern/manual.h"

#include <stdlib.h>
#include <string.h>

#include "core/version.h"
#include "tools/tern/options.h"

struct exit_text {
    enum exit_status status;
    const char *text;
};

static const struct exit_text exits[] = {
    {EXIT_DONE, "done"},
    {EXIT_FAILED, "it could not be done; a sentence on standard error says why"},
    {EXIT_USAGE, "the command line is wrong"},
    {EXIT_NOT_YET, "not in time: what was to be sent is kept and sent later"},
    {EXIT_REFUSED, "the switch refused it for good, a message failed, or a device is not let in"},
    {EXIT_NOT_LINKED, "the home folder is not linked, or its device not accepted any more"},
};

char *manual_command_list(void) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    fprintf(out, "Commands:\n\n");
    for (unsigned i = 0; i < options_command_count; i++) {
        const struct command *command = &options_commands[i];
        fprintf(out, "  %-8s %-18s %s\n", command->name, command->words, command->summary);
    }
    fprintf(out, "\n`tern COMMAND --help` says more of each.\n\nExit status:\n\n");
    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
        fprintf(out, "  %d  %s\n", exits[i].status, exits[i].text);
    fclose(out);
    return text;
}

/* Text of ours in troff: a backslash or a minus sign means something there, a dot or quote at a line's start,
 * too. */
static void print_text(FILE *out, const char *text) {
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
    fputc('\n', out);
}

static void print_options(FILE *out, const struct argp_option *options) {
    for (; options->name; options++) {
        fprintf(out, ".TP\n.B ");
        char name[64];
        snprintf(name, sizeof(name), "--%s%s%s", options->name, options->arg ? " " : "",
                 options->arg ? options->arg : "");
        print_text(out, name);
        print_text(out, options->doc);
    }
}

static void print_synopsis(FILE *out) {
    fprintf(out, ".SH SYNOPSIS\n");
    for (unsigned i = 0; i < options_command_count; i++)
        fprintf(out, "%s.B tern\n[\\fB\\-\\-home\\fR \\fIDIR\\fR] \\fB%s\\fR [\\fIOPTION\\fR...] %s\n",
                i ? ".br\n" : "", options_commands[i].name, options_commands[i].words);
}

static void print_commands(FILE *out) {
    fprintf(out, ".SH COMMANDS\n");
    for (unsigned i = 0; i < options_command_count; i++) {
        const struct command *command = &options_commands[i];
        fprintf(out, ".SS \"%s %s\"\n", command->name, command->words);
        print_text(out, command->summary);
        if (command->text[0]) {
            fputs(".PP\n", out);
            print_text(out, command->text);
        }
        print_options(out, command->options);
    }
}

void manual_print(FILE *out) {
    fprintf(out, ".TH TERN 1 \"\" \"tern %s\" \"User Commands\"\n", TERN_VERSION);
    fprintf(out, ".SH NAME\ntern \\- a message switch's client for people and scripts\n");
    print_synopsis(out);
    fprintf(out, ".SH DESCRIPTION\n");
    print_text(out,
               "A home folder is a device of an account: it holds the device's key, the messages that have "
               "no sent tick yet and what was received. Several tern commands may run on one home at once: "
               "one of them holds the connection, the others work through it.");
    fprintf(out, ".SH OPTIONS\n");
    print_options(out, options_home);
    print_commands(out);
    fprintf(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
        fprintf(out, ".TP\n.B %d\n", exits[i].status);
        print_text(out, exits[i].text);
    }
    fprintf(out, ".SH FILES\n.TP\n.I data.mdb\n");
    print_text(
        out,
        "in the home folder: everything the device knows. It must not be copied and used twice. `tern lock` "
        "seals it.");
    fprintf(out, ".SH SEE ALSO\n.BR ternd (8),\n.BR ternctl (1)\n");
}
