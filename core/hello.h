/* core/hello.h: the two hellos that open a connection, 16 bytes each way; docs/PROTOCOL.md, "Hello". Both
 * together are the Noise prologue, so that nobody on the way can turn down version, pattern or cipher
 * unnoticed.
 *
 * Threads: pure functions, any thread.  Memory: the caller's. */
#ifndef TERN_CORE_HELLO_H
#define TERN_CORE_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#define HELLO_BYTES 16
#define HELLO_VERSION 1
#define HELLO_FEATURES 0u /* feature bits this version knows */

enum hello_pattern { HELLO_PLAINTEXT = 0, HELLO_IK = 1, HELLO_XX = 2 };
enum hello_cipher_bits { HELLO_OFFERS_AESGCM = 1, HELLO_OFFERS_CHACHAPOLY = 2 };
enum hello_status {
    HELLO_OK = 0,
    HELLO_BAD_VERSION,
    HELLO_BAD_CIPHER,
    HELLO_BAD_PATTERN,
    HELLO_PLAINTEXT_REFUSED,
    HELLO_OVERLOAD,
    HELLO_ADDRESS_LIMIT,
    HELLO_BAD_RESERVED,
    HELLO_CONNECTION_LIMIT,
    HELLO_PENDING_LIMIT,
    HELLO_ADDRESS_RATE,
    HELLO_ADDRESS_PENDING,
    HELLO_STATUS_COUNT,
};

struct hello_client {
    uint8_t version_min, version_max;
    uint8_t pattern; /* enum hello_pattern */
    uint8_t ciphers; /* enum hello_cipher_bits */
    uint32_t features;
};

struct hello_server {
    uint8_t version;
    uint8_t status; /* enum hello_status */
    uint8_t pattern;
    uint8_t cipher; /* enum noise_cipher of core/noise.h */
    uint32_t features;
};

void hello_write_client(uint8_t out[HELLO_BYTES], const struct hello_client *hello);
void hello_write_server(uint8_t out[HELLO_BYTES], const struct hello_server *hello);
/* Readers: 0; -EPROTO where it is no tern hello. What else is wrong with a client's hello is hello_choose's
 * to say. */
int hello_read_client(const uint8_t bytes[HELLO_BYTES], struct hello_client *ret_hello,
                      bool *ret_reserved_clear);
int hello_read_server(const uint8_t bytes[HELLO_BYTES], struct hello_server *ret_hello);
/* The switch's answer; its status says whether the connection goes on. plaintext: came over a plaintext
 * listener, where nothing but the plaintext pattern is taken, and nowhere else. aes: AES-GCM is available
 * here. */
struct hello_server hello_choose(const struct hello_client *client, bool reserved_clear, bool plaintext,
                                 bool aes);

#endif
