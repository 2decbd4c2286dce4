#include "tools/client/uri.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "tern://"
#define PORT_MAX 65535
#define CHECK_BYTES 4

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter_or_digit(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

static int hex_digit(char c) {
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Exactly so many bytes in hex; the caller judges what follows. */
static bool read_hex(const char **at, uint8_t *out, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_digit((*at)[0]);
        int low = high < 0 ? -1 : hex_digit((*at)[1]);
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        *at += 2;
    }
    return true;
}

/* Decimal from 1 to max, without a leading zero. */
static bool read_number(const char **at, uint64_t max, uint64_t *ret_number) {
    uint64_t number = 0;
    if (**at == '0' || !is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

static bool is_host_character(char c, bool is_ipv6) {
    if (is_ipv6)
        return hex_digit(c) >= 0 || c == ':' || c == '.';
    return is_letter_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
}

static bool read_host(const char **at, char host[URI_HOST_BYTES_MAX + 1]) {
    bool is_ipv6 = **at == '[';
    if (is_ipv6)
        (*at)++;
    size_t bytes = 0;
    while (is_host_character((*at)[bytes], is_ipv6))
        bytes++;
    if (bytes == 0 || bytes > URI_HOST_BYTES_MAX)
        return false;
    memcpy(host, *at, bytes);
    host[bytes] = 0;
    *at += bytes;
    if (!is_ipv6)
        return true;
    return *(*at)++ == ']';
}

static size_t name_bytes(const char *text) {
    size_t bytes = 0;
    if (!is_letter_or_digit(text[0]))
        return 0;
    while (is_letter_or_digit(text[bytes]) || text[bytes] == '.' || text[bytes] == '_' || text[bytes] == '-')
        bytes++;
    return bytes;
}

bool uri_name_is_valid(const char *name) {
    size_t bytes = name_bytes(name);
    return bytes > 0 && bytes <= FRAME_NAME_BYTES_MAX && name[bytes] == 0;
}

static bool skip(const char **at, const char *word) {
    size_t bytes = strlen(word);
    if (strncmp(*at, word, bytes) != 0)
        return false;
    *at += bytes;
    return true;
}

/* Of all before it, in small letters. A code is used up by whoever links with it, so a URI that was changed
 * on its way has to be found out before that. */
static void make_check(const char *text, size_t bytes, uint8_t ret_check[CHECK_BYTES]) {
    crypto_hash_sha256_state hashing;
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_init(&hashing);
    for (size_t i = 0; i < bytes; i++) {
        bool is_capital = text[i] >= 'A' && text[i] <= 'Z';
        uint8_t letter = (uint8_t)(is_capital ? text[i] - 'A' + 'a' : text[i]);
        crypto_hash_sha256_update(&hashing, &letter, 1);
    }
    crypto_hash_sha256_final(&hashing, hash);
    memcpy(ret_check, hash, CHECK_BYTES);
}

static const char *read_code(const char **at, struct uri *uri) {
    bool is_read = skip(at, "&code=") && read_hex(at, uri->code, sizeof(uri->code));
    return is_read ? NULL : "then comes &code= and 32 hex digits";
}

/* The rest of the URI of a further device. Its code comes behind all that the device has to know: without its
 * end the URI must not pass for that of an account's first device, which would make an account key of its
 * own. A sentence about what is wrong, or NULL. */
static const char *read_pairing(const char *text, const char **at, struct uri *uri) {
    uint8_t said[CHECK_BYTES], check[CHECK_BYTES];
    if (!read_hex(at, uri->account_key, sizeof(uri->account_key)))
        return "after &account-key= come 64 hex digits";
    if (!skip(at, "&pair=") || !read_hex(at, uri->pair, sizeof(uri->pair)))
        return "after the account key comes &pair= and 64 hex digits";
    const char *problem = read_code(at, uri);
    if (problem)
        return problem;
    make_check(text, (size_t)(*at - text), check);
    if (!skip(at, "&check=") || !read_hex(at, said, sizeof(said)))
        return "after the code comes &check= and 8 hex digits";
    if (memcmp(said, check, sizeof(check)) != 0)
        return "it is not as it was shown: a letter of it is another. Its code was not used";
    uri->is_paired = true;
    return NULL;
}

int uri_parse(const char *text, struct uri *ret_uri, const char **ret_problem) {
    struct uri uri = {0};
    const char *at = text;
    const char *problem = NULL;
    uint64_t port = 0;
    if (!skip(&at, SCHEME))
        problem = "a link URI begins with tern://";
    else if (!read_host(&at, uri.host))
        problem = "after tern:// comes the switch's host name or address; an IPv6 address stands in [ ]";
    else if (!skip(&at, ":") || !read_number(&at, PORT_MAX, &port))
        problem = "after the host comes : and the port, 1 to 65535";
    else if (!skip(&at, "/") || name_bytes(at) == 0 || name_bytes(at) > FRAME_NAME_BYTES_MAX)
        problem = "after the port comes / and the account's name, 1 to 63 of a-z 0-9 . _ -";
    else {
        size_t bytes = name_bytes(at);
        memcpy(uri.name, at, bytes);
        at += bytes;
        if (!skip(&at, "?account=") || !read_number(&at, UINT64_MAX, &uri.account))
            problem =
                "after the name comes ?account= and the account's number; in a shell the URI needs quotes";
        else if (!skip(&at, "&key=") || !read_hex(&at, uri.key, sizeof(uri.key)))
            problem =
                "after the account's number comes &key= and 64 hex digits; in a shell the URI needs quotes";
        else if (skip(&at, "&account-key="))
            problem = read_pairing(text, &at, &uri);
        else
            problem = read_code(&at, &uri);
        if (!problem && *at)
            problem = "after the end of the URI there is something more";
    }
    if (problem) {
        *ret_problem = problem;
        return -EINVAL;
    }
    uri.port = (uint16_t)port;
    *ret_uri = uri;
    return 0;
}

static size_t add_hex(char *text, size_t used, const char *before, const uint8_t *bytes, size_t count) {
    used += (size_t)snprintf(text + used, URI_TEXT_BYTES_MAX - used, "%s", before);
    sodium_bin2hex(text + used, URI_TEXT_BYTES_MAX - used, bytes, count);
    return used + 2 * count;
}

size_t uri_write(const struct uri *uri, char ret_text[URI_TEXT_BYTES_MAX]) {
    bool is_ipv6 = strchr(uri->host, ':') != NULL;
    uint8_t check[CHECK_BYTES];
    size_t used = (size_t)snprintf(ret_text, URI_TEXT_BYTES_MAX, SCHEME "%s%s%s:%u/%s?account=%" PRIu64,
                                   is_ipv6 ? "[" : "", uri->host, is_ipv6 ? "]" : "", uri->port, uri->name,
                                   uri->account);
    used = add_hex(ret_text, used, "&key=", uri->key, sizeof(uri->key));
    if (uri->is_paired) {
        used = add_hex(ret_text, used, "&account-key=", uri->account_key, sizeof(uri->account_key));
        used = add_hex(ret_text, used, "&pair=", uri->pair, sizeof(uri->pair));
    }
    used = add_hex(ret_text, used, "&code=", uri->code, sizeof(uri->code));
    if (!uri->is_paired)
        return used;
    make_check(ret_text, used, check);
    return add_hex(ret_text, used, "&check=", check, sizeof(check));
}
