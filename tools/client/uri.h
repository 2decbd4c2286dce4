/* tools/client/uri.h: the link URI, tern://HOST:PORT/NAME?account=N&key=K&code=C, and of a further device
 * ?account=N&key=K&account-key=A&pair=P&code=C&check=H; docs/PROTOCOL.md, section 5.
 *
 * Read strictly: whoever links with a URI that lost a letter on its way gets told which part is wrong,
 * instead of a handshake that fails, or a code that is used up for nothing.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_URI_H
#define TERN_TOOLS_CLIENT_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"
#include "core/noise.h"

#define URI_HOST_BYTES_MAX 253 /* what DNS allows */
#define URI_ACCOUNT_KEY_BYTES 32
#define URI_PAIR_BYTES 32
#define URI_TEXT_BYTES_MAX 640 /* of any link URI, with its end */

struct uri {
    char host[URI_HOST_BYTES_MAX + 1]; /* without the brackets of an IPv6 address */
    uint16_t port;
    char name[FRAME_NAME_BYTES_MAX + 1];
    uint64_t account;
    uint8_t key[NOISE_KEY_BYTES];   /* the switch's */
    uint8_t code[FRAME_CODE_BYTES]; /* one-time */
    bool is_paired;                 /* by a device of the account: */
    uint8_t account_key[URI_ACCOUNT_KEY_BYTES];
    uint8_t pair[URI_PAIR_BYTES]; /* a secret of the two devices */
};

/* 0; -EINVAL, then *ret_problem is a sentence about what is wrong. */
int uri_parse(const char *text, struct uri *ret_uri, const char **ret_problem);

/* Writes it as text; returns its bytes. */
size_t uri_write(const struct uri *uri, char ret_text[URI_TEXT_BYTES_MAX]);

/* True for a name of an account: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit. */
bool uri_name_is_valid(const char *name);

#endif
