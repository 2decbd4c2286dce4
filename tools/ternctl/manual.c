#include "tools/ternctl/manual.h"

#include <string.h>

#include "core/version.h"
#include "tools/ternctl/command_line.h"

struct code {
    const char *name;
    int status;
    const char *help;
};
#define X(name, status, help) {#name, status, help},
static const struct code codes[ADMIN_CODE_COUNT] = {ADMIN_CODES(X)};
#undef X

/* --- help ----------------------------------------------------------------------------------------------- */

/* "--admin=SOCKET" */
static void option_form(const struct argp_option *option, char *ret_form, size_t form_bytes) {
    snprintf(ret_form, form_bytes, "--%s%s%s", option->name, option->arg ? "=" : "",
             option->arg ? option->arg : "");
}

static void command_form(const struct usage *command, char *ret_form, size_t form_bytes) {
    char name[USAGE_NAME_BYTES];
    usage_name(command, name, sizeof(name));
    snprintf(ret_form, form_bytes, "%s%s%s", name, command->arguments[0] ? " " : "", command->arguments);
}

/* Whether an option's help begins with this command's name, as "stats: ..." or "account add, account code:
 * ...". */
static bool concerns(const struct argp_option *option, const struct usage *command) {
    char name[USAGE_NAME_BYTES];
    usage_name(command, name, sizeof(name));
    const char *end = strchr(option->doc, ':'), *found = strstr(option->doc, name);
    return end && found && found < end;
}

static void print_options(FILE *out, const struct usage *command) {
    char form[64];
    for (const struct argp_option *option = command_line_options(); option->name; option++) {
        if (command && option->group != 1 && !concerns(option, command))
            continue;
        option_form(option, form, sizeof(form));
        fprintf(out, "  %-24s %s\n", form, option->doc);
    }
}

void manual_help(FILE *out) {
    char form[USAGE_NAME_BYTES + 32];
    fprintf(out, "Usage: ternctl [OPTION...] COMMAND [ARGUMENT...]\n"
                 "Asks a running tern switch, over its admin socket.\n\n"
                 "Commands:\n");
    for (unsigned id = 0; id < USAGE_COUNT; id++) {
        command_form(usage_at(id), form, sizeof(form));
        fprintf(out, "  %-30s %s\n", form, usage_at(id)->help);
    }
    fprintf(out, "\nOptions, anywhere on the line:\n");
    print_options(out, NULL);
    fprintf(out, "\nWithout --admin the socket is $TERN_ADMIN, else var/tern/admin.sock where that is, else\n"
                 "/run/tern/admin.sock. Exit status:");
    for (unsigned i = 0; i < ADMIN_CODE_COUNT; i++)
        fprintf(out, "%s\n  %d  %s", i ? ";" : "", codes[i].status, codes[i].help);
    fprintf(out,
            ".\n`ternctl COMMAND --help` says more of one command, `ternctl --man` is the manual page.\n");
}

void manual_help_command(FILE *out, const struct usage *command) {
    char form[USAGE_NAME_BYTES + 32];
    command_form(command, form, sizeof(form));
    fprintf(out, "Usage: ternctl [OPTION...] %s\n%s.\n\nOptions:\n", form, command->help);
    print_options(out, command);
}

/* --- manual page ---------------------------------------------------------------------------------------- */

/* In troff a hyphen of an option is written \-, a backslash \e, and a line must not begin with a dot or a
 * quote. */
static void print_troff(FILE *out, const char *text) {
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
    }
}

static void print_item(FILE *out, const char *head, const char *text) {
    fputs(".TP\n.B ", out);
    print_troff(out, head);
    fputc('\n', out);
    print_troff(out, text);
    fputs(".\n", out);
}

void manual_page(FILE *out) {
    char form[USAGE_NAME_BYTES + 32];
    fprintf(out, ".TH TERNCTL 1 \"\" \"tern %s\" \"User commands\"\n", TERN_VERSION);
    fputs(".SH NAME\nternctl \\- ask a running tern switch\n.SH SYNOPSIS\n.B ternctl\n"
          "[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n.SH DESCRIPTION\n"
          "Sends a command to the switch\n.BR ternd (8)\nover its admin socket and prints the answer.\n"
          "Only the user the switch runs as, and root, may.\n.SH COMMANDS\n",
          out);
    for (unsigned id = 0; id < USAGE_COUNT; id++) {
        command_form(usage_at(id), form, sizeof(form));
        print_item(out, form, usage_at(id)->help);
    }
    fputs(".SH OPTIONS\nOptions may stand anywhere on the line.\n", out);
    for (const struct argp_option *option = command_line_options(); option->name; option++) {
        option_form(option, form, sizeof(form));
        print_item(out, form, option->doc);
    }
    fputs(".SH EXIT STATUS\n", out);
    for (unsigned i = 0; i < ADMIN_CODE_COUNT; i++) {
        snprintf(form, sizeof(form), "%d (%s)", codes[i].status, codes[i].name);
        print_item(out, form, codes[i].help);
    }
    fputs(".SH ENVIRONMENT\n.TP\n.B TERN_ADMIN\nThe admin socket, where\n.B \\-\\-admin\nnames none.\n"
          ".SH FILES\n.TP\n"
          ".I var/tern/admin.sock\nThe admin socket where neither is given, if it is there.\n.TP\n"
          ".I /run/tern/admin.sock\nThe one tried otherwise.\n.SH SEE ALSO\n.BR ternd (8),\n.BR tern (1)\n",
          out);
}
