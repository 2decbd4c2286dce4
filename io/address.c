#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IPV4_OFFSET 12
#define KEY_BITS_IPV6 64
#define ENTRIES_MIN 64
#define FULL_AGAIN_MS 1000 /* a full table is looked through again no sooner */

struct entry {
    uint8_t key[NETWORK_ADDRESS_BYTES];
    uint32_t connections;
    uint32_t pending;    /* of them, those that have not logged in */
    uint32_t handshakes; /* since window_ms */
    uint64_t window_ms;
    bool used;
};

struct addresses {
    pthread_mutex_t mutex;
    struct entry *entries;
    uint32_t capacity, count; /* capacity: a power of two */
    uint64_t full_ms;         /* when it was last found full of live entries; 0: never */
    uint64_t connections_max, handshakes_max, pending_max;
    struct network exempt[CONFIG_LIST_MAX];
    uint32_t exempt_count;
};

static bool is_ipv4(const uint8_t bytes[NETWORK_ADDRESS_BYTES]) {
    static const uint8_t mapped[IPV4_OFFSET] = {[10] = 0xff, [11] = 0xff};
    return memcmp(bytes, mapped, sizeof(mapped)) == 0;
}

static void set_limits(struct addresses *addresses, const struct config *config) {
    addresses->connections_max = config->address_connections_max;
    addresses->handshakes_max = config->address_handshakes_max;
    addresses->pending_max = config->address_pending_max;
    addresses->exempt_count = 0;
    uint32_t count = config_list_count(config->address_exempt, config->address_exempt_count);
    for (uint32_t i = 0; i < count; i++) {
        if (network_parse(config->address_exempt[i], &addresses->exempt[addresses->exempt_count]) == 0)
            addresses->exempt_count++;
    }
}

int addresses_create(const struct config *config, struct addresses **ret_addresses) {
    struct addresses *addresses = calloc(1, sizeof(*addresses));
    if (!addresses)
        return -ENOMEM;
    pthread_mutex_init(&addresses->mutex, NULL);
    set_limits(addresses, config);
    *ret_addresses = addresses;
    return 0;
}

void addresses_destroy(struct addresses *addresses) {
    pthread_mutex_destroy(&addresses->mutex);
    free(addresses->entries);
    free(addresses);
}

void addresses_reload(struct addresses *addresses, const struct config *config) {
    pthread_mutex_lock(&addresses->mutex);
    set_limits(addresses, config);
    pthread_mutex_unlock(&addresses->mutex);
}

/* --- the table: open addressing; entries that mean nothing any more go when it is made anew ------------- */

static uint64_t hash(const uint8_t key[NETWORK_ADDRESS_BYTES]) {
    uint64_t high, low;
    memcpy(&high, key, sizeof(high));
    memcpy(&low, key + sizeof(high), sizeof(low));
    uint64_t x = high * 0x9e3779b97f4a7c15u ^ low;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static struct entry *place(struct entry *entries, uint32_t capacity,
                           const uint8_t key[NETWORK_ADDRESS_BYTES]) {
    for (uint64_t at = hash(key);; at++) {
        struct entry *entry = &entries[at & (capacity - 1)];
        if (!entry->used || memcmp(entry->key, key, NETWORK_ADDRESS_BYTES) == 0)
            return entry;
    }
}

/* Shards' clocks differ by a turn: another's entry may be a little younger than now. */
static bool window_over(const struct entry *entry, uint64_t now_ms) {
    return now_ms >= entry->window_ms + ADDRESS_WINDOW_MS;
}

static bool is_live(const struct entry *entry, uint64_t now_ms) {
    return entry->used && (entry->connections || !window_over(entry, now_ms));
}

/* The old table stays whole until the new one is there. */
static int make_room(struct addresses *addresses, uint64_t now_ms) {
    if ((uint64_t)addresses->count * 2 < addresses->capacity)
        return 0;
    if (addresses->full_ms && now_ms < addresses->full_ms + FULL_AGAIN_MS)
        return -ENOSPC;
    uint32_t live = 0;
    for (uint32_t i = 0; i < addresses->capacity; i++)
        live += is_live(&addresses->entries[i], now_ms);
    if (live >= ADDRESS_ENTRIES_MAX) {
        addresses->full_ms = now_ms;
        return -ENOSPC;
    }
    uint32_t capacity = ENTRIES_MIN;
    while (capacity < live * 4)
        capacity *= 2;
    struct entry *entries = calloc(capacity, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    for (uint32_t i = 0; i < addresses->capacity; i++) {
        const struct entry *entry = &addresses->entries[i];
        if (is_live(entry, now_ms))
            *place(entries, capacity, entry->key) = *entry;
    }
    free(addresses->entries);
    addresses->entries = entries;
    addresses->capacity = capacity;
    addresses->count = live;
    addresses->full_ms = 0;
    return 0;
}

static void key_of(const struct address *address, uint8_t key[NETWORK_ADDRESS_BYTES]) {
    memcpy(key, address->bytes, NETWORK_ADDRESS_BYTES);
    if (!is_ipv4(key))
        memset(key + KEY_BITS_IPV6 / 8, 0, NETWORK_ADDRESS_BYTES - KEY_BITS_IPV6 / 8);
}

static bool is_exempt(const struct addresses *addresses, const struct address *address) {
    for (uint32_t i = 0; i < addresses->exempt_count; i++) {
        if (network_has(&addresses->exempt[i], address->bytes))
            return true;
    }
    return false;
}

static struct entry *find(struct addresses *addresses, const struct address *address) {
    uint8_t key[NETWORK_ADDRESS_BYTES];
    key_of(address, key);
    struct entry *entry = addresses->capacity ? place(addresses->entries, addresses->capacity, key) : NULL;
    return entry && entry->used ? entry : NULL;
}

static int enter(struct addresses *addresses, const struct address *address, uint64_t now_ms) {
    struct entry *entry = find(addresses, address);
    if (!entry) {
        uint8_t key[NETWORK_ADDRESS_BYTES];
        key_of(address, key);
        if (make_room(addresses, now_ms) < 0)
            return -EUSERS;
        entry = place(addresses->entries, addresses->capacity, key);
        *entry = (struct entry){.window_ms = now_ms, .used = true};
        memcpy(entry->key, key, sizeof(key));
        addresses->count++;
    }
    if (window_over(entry, now_ms)) {
        entry->window_ms = now_ms;
        entry->handshakes = 0;
    }
    if (entry->connections >= addresses->connections_max)
        return -EUSERS;
    if (entry->handshakes >= addresses->handshakes_max)
        return -EAGAIN;
    if (entry->pending >= addresses->pending_max)
        return -EBUSY;
    entry->connections++;
    entry->pending++;
    entry->handshakes++;
    return 0;
}

int addresses_enter(struct addresses *addresses, const struct address *address, uint64_t now_ms,
                    bool *ret_counted) {
    int error = 0;
    pthread_mutex_lock(&addresses->mutex);
    bool exempt = is_exempt(addresses, address);
    if (!exempt)
        error = enter(addresses, address, now_ms);
    pthread_mutex_unlock(&addresses->mutex);
    if (!error)
        *ret_counted = !exempt;
    return error;
}

void addresses_settle(struct addresses *addresses, const struct address *address) {
    pthread_mutex_lock(&addresses->mutex);
    struct entry *entry = find(addresses, address);
    if (entry && entry->pending)
        entry->pending--;
    pthread_mutex_unlock(&addresses->mutex);
}

void addresses_leave(struct addresses *addresses, const struct address *address, bool pending) {
    pthread_mutex_lock(&addresses->mutex);
    struct entry *entry = find(addresses, address);
    if (entry && entry->connections)
        entry->connections--;
    if (entry && entry->pending && pending)
        entry->pending--;
    pthread_mutex_unlock(&addresses->mutex);
}

uint32_t addresses_count(struct addresses *addresses, const struct address *address) {
    pthread_mutex_lock(&addresses->mutex);
    const struct entry *entry = find(addresses, address);
    uint32_t count = entry ? entry->connections : 0;
    pthread_mutex_unlock(&addresses->mutex);
    return count;
}

/* --- forms of an address -------------------------------------------------------------------------------- */

void address_from_socket(const struct sockaddr_storage *from, struct address *ret_address) {
    struct address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;
        memcpy(address.bytes + IPV4_OFFSET, &in->sin_addr, sizeof(in->sin_addr));
        address.port = ntohs(in->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)from;
        memcpy(address.bytes, &in->sin6_addr, sizeof(in->sin6_addr));
        address.port = ntohs(in->sin6_port);
    }
    *ret_address = address;
}

void address_text(const struct address *address, char *out, size_t out_bytes) {
    char host[INET6_ADDRSTRLEN];
    bool ipv4 = is_ipv4(address->bytes);
    inet_ntop(ipv4 ? AF_INET : AF_INET6, address->bytes + (ipv4 ? IPV4_OFFSET : 0), host, sizeof(host));
    snprintf(out, out_bytes, ipv4 ? "%s:%u" : "[%s]:%u", host, address->port);
}
