/* tools/client/uri.h: the link URI, tern://HOST:PORT/NAME?account=N&key=K&code=C; docs/PROTOCOL.md,
 * section 5.
 *
 * Read strictly: whoever links with a URI that lost a letter on its way gets told which part is wrong,
 * instead of a handshake that fails.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_URI_H
#define TERN_TOOLS_CLIENT_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"
#include "core/noise.h"

#define URI_HOST_BYTES_MAX 253 /* what DNS allows */

struct uri {
    char host[URI_HOST_BYTES_MAX + 1]; /* without the brackets of an IPv6 address */
    uint16_t port;
    char name[FRAME_NAME_BYTES_MAX + 1];
    uint64_t account;
    uint8_t key[NOISE_KEY_BYTES];   /* the switch's */
    uint8_t code[FRAME_CODE_BYTES]; /* one-time */
};

/* 0; -EINVAL, then *ret_problem is a sentence about what is wrong. */
int uri_parse(const char *text, struct uri *ret_uri, const char **ret_problem);

/* True for a name of an account: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit. */
bool uri_name_is_valid(const char *name);

#endif
