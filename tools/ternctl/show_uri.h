/* tools/ternctl/show_uri.h: the link URI that a new device is set up with (docs/PROTOCOL.md, section 5).
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_URI_H
#define TERN_TOOLS_TERNCTL_SHOW_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHOW_URI_BYTES 640

struct show_uri {
    const char *address; /* HOST:PORT or [IPv6]:PORT */
    const char *name;
    const char *key;  /* 64 hex digits */
    const char *code; /* 32 hex digits */
    uint64_t account;
};

/* Writes up to SHOW_URI_BYTES. 0; -EINVAL: a part is not what it should be. */
int show_uri_make(const struct show_uri *uri, char *ret_text);
/* The address devices are told: `wanted` (HOST, HOST:PORT, an IPv6 address with or without brackets), with
 * the port of `listens` where it names none. 0; -EINVAL: it is no address. */
int show_uri_address(const char *wanted, const char *listens, char *ret_address, size_t address_bytes);
/* 0.0.0.0 or ::, which is where a switch listens, not where a device reaches it. */
bool show_uri_address_is_any(const char *address);

#endif
