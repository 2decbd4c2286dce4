#include "tools/ternd/hints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* @ stands for the folder of the programs, # for the admin socket. */
static const char hints[] =
    "\n"
    "Try it in a second terminal: two accounts, a device linked to each, and a message.\n"
    "    @tern --home var/alice link \"$(@ternctl --admin # account add alice)\"\n"
    "    @tern --home var/bob link \"$(@ternctl --admin # account add bob)\"\n"
    "    @tern --home var/alice send bob 'Are you there?' --wait sent\n"
    "In a third terminal bob comes back; alice's message waited for him.\n"
    "    @tern --home var/bob listen\n"
    "Then in the second: write with ticks to be seen, or look at the switch.\n"
    "    @tern --home var/alice chat bob\n"
    "    @ternctl --admin # status\n"
    "Ctrl-C ends the switch; what waits stays in its store.\n"
    "\n";

void hints_print(const char *program, const char *admin) {
    const char *wanted = getenv("TERN_HINTS");
    if (!wanted || strcmp(wanted, "1") != 0)
        return;
    const char *slash = strrchr(program, '/');
    int folder_bytes = slash ? (int)(slash - program) + 1 : 0;
    for (const char *c = hints; *c; c++) {
        if (*c == '@')
            printf("%.*s", folder_bytes, program);
        else if (*c == '#')
            fputs(admin, stdout);
        else
            putchar(*c);
    }
    fflush(stdout);
}
