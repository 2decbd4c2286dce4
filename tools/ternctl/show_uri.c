#include "tools/ternctl/show_uri.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame.h"
#include "core/noise.h"

#define HOST_BYTES 256
#define PORT_BYTES 6

/* --- addresses ------------------------------------------------------------------------------------------ */

static bool is_port(const char *text) {
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    return isdigit((unsigned char)text[0]) && *end == '\0' && strlen(text) < PORT_BYTES && port >= 1 &&
           port <= UINT16_MAX;
}

static bool is_ipv6(const char *text) {
    struct in6_addr address;
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_host(const char *text) {
    return text[0] &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] == '\0';
}

/* Splits HOST, HOST:PORT, IPV6, [IPV6] and [IPV6]:PORT; the host without brackets, the port empty where there
 * is none.
 */
static int split(const char *text, char host[HOST_BYTES], char port[PORT_BYTES]) {
    size_t bytes = strlen(text);
    if (bytes >= HOST_BYTES)
        return -EINVAL;
    snprintf(host, HOST_BYTES, "%s", text);
    port[0] = '\0';
    if (is_ipv6(text))
        return 0;
    char *colon = strrchr(host, ':');
    bool brackets = host[0] == '[';
    if (colon && (!brackets || (colon > host && colon[-1] == ']'))) {
        *colon = '\0';
        if (!is_port(colon + 1))
            return -EINVAL;
        memcpy(port, colon + 1, strlen(colon + 1) + 1);
    }
    if (!brackets)
        return is_host(host) ? 0 : -EINVAL;
    bytes = strlen(host);
    if (host[bytes - 1] != ']')
        return -EINVAL;
    host[bytes - 1] = '\0';
    memmove(host, host + 1, bytes - 1);
    return is_ipv6(host) ? 0 : -EINVAL;
}

int show_uri_address(const char *wanted, const char *listens, char *ret_address, size_t address_bytes) {
    char host[HOST_BYTES], port[PORT_BYTES], other[HOST_BYTES];
    if (split(wanted, host, port) < 0)
        return -EINVAL;
    if (!port[0] && (split(listens, other, port) < 0 || !port[0]))
        return -EINVAL;
    int bytes = snprintf(ret_address, address_bytes, is_ipv6(host) ? "[%s]:%s" : "%s:%s", host, port);
    return bytes < 0 || (size_t)bytes >= address_bytes ? -EINVAL : 0;
}

bool show_uri_address_is_any(const char *address) {
    char host[HOST_BYTES], port[PORT_BYTES];
    struct in6_addr bytes;
    if (split(address, host, port) < 0)
        return false;
    return strcmp(host, "0.0.0.0") == 0 ||
           (inet_pton(AF_INET6, host, &bytes) == 1 && IN6_IS_ADDR_UNSPECIFIED(&bytes));
}

/* --- the URI -------------------------------------------------------------------------------------------- */

static bool is_hex(const char *text, size_t bytes) {
    return strlen(text) == 2 * bytes && text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

static bool is_name(const char *text) {
    size_t bytes = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return bytes && text[bytes] == '\0' && bytes <= FRAME_NAME_BYTES_MAX;
}

int show_uri_make(const struct show_uri *uri, char *ret_text) {
    char address[HOST_BYTES + 16];
    if (!uri->account || !is_name(uri->name) || !is_hex(uri->key, NOISE_KEY_BYTES) ||
        !is_hex(uri->code, FRAME_CODE_BYTES) ||
        show_uri_address(uri->address, uri->address, address, sizeof(address)) < 0)
        return -EINVAL;
    int bytes = snprintf(ret_text, SHOW_URI_BYTES, "tern://%s/%s?account=%llu&key=%s&code=%s", address,
                         uri->name, (unsigned long long)uri->account, uri->key, uri->code);
    return bytes < 0 || bytes >= SHOW_URI_BYTES ? -EINVAL : 0;
}
