#include "core/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IPV4_OFFSET 12 /* of the IPv4 address within its mapped form */

static int parse_address(const char *text, uint8_t ret_address[NETWORK_ADDRESS_BYTES], bool *ret_ipv4) {
    uint8_t address[NETWORK_ADDRESS_BYTES] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET, text, address + IPV4_OFFSET) == 1)
        *ret_ipv4 = true;
    else if (inet_pton(AF_INET6, text, address) == 1)
        *ret_ipv4 = false;
    else
        return -EINVAL;
    memcpy(ret_address, address, sizeof(address));
    return 0;
}

int network_parse(const char *text, struct network *ret_network) {
    char host[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t host_bytes = slash ? (size_t)(slash - text) : strlen(text);
    struct network network;
    bool ipv4;
    if (host_bytes >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, host_bytes);
    host[host_bytes] = '\0';
    if (parse_address(host, network.prefix, &ipv4) < 0)
        return -EINVAL;
    unsigned long most = ipv4 ? 32 : 128;
    unsigned long bits = most;
    if (slash) {
        char *end;
        bits = strtoul(slash + 1, &end, 10);
        if (end == slash + 1 || *end != '\0' || bits > most)
            return -EINVAL;
    }
    network.bits = (uint8_t)(bits + (ipv4 ? 96 : 0));
    *ret_network = network;
    return 0;
}

bool network_has(const struct network *network, const uint8_t address[NETWORK_ADDRESS_BYTES]) {
    unsigned bytes = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(network->prefix, address, bytes) != 0)
        return false;
    return rest == 0 || ((network->prefix[bytes] ^ address[bytes]) >> (8 - rest)) == 0;
}

int network_host_port(const char *text, char *ret_host, size_t host_bytes, uint16_t *ret_port) {
    const char *colon = strrchr(text, ':');
    if (!colon)
        return -EINVAL;
    const char *host = text;
    size_t count = (size_t)(colon - text);
    bool brackets = count >= 2 && text[0] == '[' && colon[-1] == ']';
    if (brackets) {
        host++;
        count -= 2;
    }
    char copy[INET6_ADDRSTRLEN + 1];
    uint8_t address[NETWORK_ADDRESS_BYTES];
    bool ipv4;
    if (count >= sizeof(copy) || count >= host_bytes)
        return -EINVAL;
    memcpy(copy, host, count);
    copy[count] = '\0';
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (parse_address(copy, address, &ipv4) < 0 || ipv4 == brackets || end == colon + 1 || *end != '\0' ||
        port > UINT16_MAX)
        return -EINVAL;
    memcpy(ret_host, copy, count + 1);
    *ret_port = (uint16_t)port;
    return 0;
}
