/* core/network.h: addresses and networks as text and bytes. IPv4 is held as IPv4-mapped IPv6, so that there
 * is one form.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_CORE_NETWORK_H
#define TERN_CORE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETWORK_ADDRESS_BYTES 16

struct network {
    uint8_t prefix[NETWORK_ADDRESS_BYTES];
    uint8_t bits; /* 0 .. 128; of an IPv4 network 96 more than as written */
};

/* "10.0.0.0/8", "fd00::/8" or one address. 0 or -EINVAL. */
int network_parse(const char *text, struct network *ret_network);
bool network_has(const struct network *network, const uint8_t address[NETWORK_ADDRESS_BYTES]);
/* "127.0.0.1:7440" or "[::1]:7440"; the host without brackets, a numeric address. 0 or -EINVAL. */
int network_host_port(const char *text, char *ret_host, size_t host_bytes, uint16_t *ret_port);

#endif
