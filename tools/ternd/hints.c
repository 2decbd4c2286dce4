#include "tools/ternd/hints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char hints[] =
    "\n"
    "Try it in a second terminal: two accounts, a device linked to each, and a message.\n"
    "    %1$.*2$stern --home var/alice link \"$(%1$.*2$sternctl --admin %3$s account add alice)\"\n"
    "    %1$.*2$stern --home var/bob link \"$(%1$.*2$sternctl --admin %3$s account add bob)\"\n"
    "    %1$.*2$stern --home var/alice send bob 'Are you there?' --wait sent\n"
    "In a third terminal bob comes back; alice's message waited for him.\n"
    "    %1$.*2$stern --home var/bob listen\n"
    "Then in the second: write with ticks to be seen, or look at the switch.\n"
    "    %1$.*2$stern --home var/alice chat bob\n"
    "    %1$.*2$sternctl --admin %3$s status\n"
    "Ctrl-C ends the switch; what waits stays in its store.\n\n";

void hints_print(const char *program, const char *admin) {
    const char *wanted = getenv("TERN_HINTS");
    if (!wanted || strcmp(wanted, "1") != 0)
        return;
    const char *slash = strrchr(program, '/');
    int folder_bytes = slash ? (int)(slash - program) + 1 : 0;
    printf(hints, program, folder_bytes, admin);
    fflush(stdout);
}
