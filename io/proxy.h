/* io/proxy.h: the PROXY protocol, version 2 (haproxy.org, "The PROXY protocol", section 2.2): who is at the
 * other end of a connection that a proxy handed on.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_IO_PROXY_H
#define TERN_IO_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/address.h"

#define PROXY_HEADER_BYTES 16
#define PROXY_BYTES_MAX 536 /* header, addresses and the options that are taken; longer ones are refused */

/* Reads the header at the start of bytes. Returns its bytes; 0: more are needed; -EPROTO: it is none, or one
 * tern does not take. *ret_address is written where the header names the source (the proxy's own checks name
 * none). */
int proxy_read(const uint8_t *bytes, size_t count, struct address *ret_address);

#endif
