/* io/address.h: who connects, and how often: limits per address, one for an IPv6 /64. All shards count
 * together.
 *
 * Threads: any; a mutex, taken once when a connection comes and once when it goes.  Memory: an entry per
 * address that has a connection or had a handshake lately; bounded by ADDRESS_ENTRIES_MAX. */
#ifndef TERN_IO_ADDRESS_H
#define TERN_IO_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/config.h"
#include "core/network.h"

#define ADDRESS_ENTRIES_MAX 1000000
#define ADDRESS_WINDOW_MS 10000 /* handshakes are counted over this long */

struct address {
    uint8_t bytes[NETWORK_ADDRESS_BYTES]; /* IPv4 as mapped IPv6 */
    uint16_t port;
};

struct addresses;

int addresses_create(const struct config *config, struct addresses **ret_addresses);
void addresses_destroy(struct addresses *addresses);
/* Takes over limits and exempt networks after a reload. */
void addresses_reload(struct addresses *addresses, const struct config *config);
/* A connection comes, pending until it has logged in: 0; -EUSERS: too many connections, of this address or of
 * so many addresses that the table is full; -EAGAIN: too many came lately; -EBUSY: too many are pending.
 * counted: addresses_leave has to follow. */
int addresses_enter(struct addresses *addresses, const struct address *address, uint64_t now_ms,
                    bool *ret_counted);
/* A counted connection has logged in. */
void addresses_settle(struct addresses *addresses, const struct address *address);
void addresses_leave(struct addresses *addresses, const struct address *address, bool pending);
/* Connections now counted for this address. */
uint32_t addresses_count(struct addresses *addresses, const struct address *address);

void address_from_socket(const struct sockaddr_storage *from, struct address *ret_address);
/* "192.0.2.1:5000" or "[2001:db8::1]:5000" */
void address_text(const struct address *address, char *out, size_t out_bytes);

#endif
