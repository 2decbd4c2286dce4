/* tools/tern/arrivals.h: files that came whole: written into the folder of `tern listen --files`, told on
 * standard output, and only then taken out of the state. Whoever is killed in between tells of one again,
 * and does not write it twice (folder.h).
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERN_ARRIVALS_H
#define TERN_TOOLS_TERN_ARRIVALS_H

#include <cjson/cJSON.h>

#include "tools/client/client.h"
#include "tools/tern/folder.h"

enum arrivals_tell { ARRIVALS_PLAIN, ARRIVALS_JSON, ARRIVALS_SILENT };

struct arrivals {
    struct folder folder;
    const char *path;
    enum arrivals_tell tell;
    uint64_t version; /* of the state, looked at last */
};

int arrivals_open(struct arrivals *arrivals, const char *path, enum arrivals_tell tell); /* negative errno */
void arrivals_close(struct arrivals *arrivals);
/* Takes at most `max` files, where the state has changed. *ret_taken: how many. Negative errno after a
 * sentence. */
int arrivals_take(struct arrivals *arrivals, struct client *client, uint64_t max, uint64_t *ret_taken);
/* The fields of a file in a line of JSON: `file` and `bytes`; of a name that is not UTF-8 `file` has escapes,
 * and `file_base64` is the name itself. At most FILES_NAME_BYTES_MAX. */
void arrivals_add_json(cJSON *line, const char *name, uint64_t size);

#endif
