/* tools/ternd/devices.h: devices as an answer shows them.
 *
 * Threads: the admin thread.  Memory: the caller's to give to an answer. */
#ifndef TERN_TOOLS_TERND_DEVICES_H
#define TERN_TOOLS_TERND_DEVICES_H

#include <cjson/cJSON.h>

struct command;

/* An array of what command_show_account found. */
cJSON *devices_rows(const struct command *command);

#endif
