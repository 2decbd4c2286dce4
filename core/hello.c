#include "core/hello.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/noise.h"

static const uint8_t magic[4] = {'T', 'E', 'R', 'N'};

void hello_write_client(uint8_t out[HELLO_BYTES], const struct hello_client *hello) {
    memcpy(out, magic, sizeof(magic));
    out[4] = hello->version_min;
    out[5] = hello->version_max;
    out[6] = hello->pattern;
    out[7] = hello->ciphers;
    bytes_put32(out + 8, hello->features);
    bytes_put32(out + 12, 0);
}

void hello_write_server(uint8_t out[HELLO_BYTES], const struct hello_server *hello) {
    memcpy(out, magic, sizeof(magic));
    out[4] = hello->version;
    out[5] = hello->status;
    out[6] = hello->pattern;
    out[7] = hello->cipher;
    bytes_put32(out + 8, hello->features);
    bytes_put32(out + 12, 0);
}

int hello_read_client(const uint8_t bytes[HELLO_BYTES], struct hello_client *ret_hello,
                      bool *ret_reserved_clear) {
    if (memcmp(bytes, magic, sizeof(magic)) != 0)
        return -EPROTO;
    *ret_hello = (struct hello_client){
        .version_min = bytes[4],
        .version_max = bytes[5],
        .pattern = bytes[6],
        .ciphers = bytes[7],
        .features = bytes_get32(bytes + 8),
    };
    *ret_reserved_clear =
        bytes_get32(bytes + 12) == 0 && !(bytes[7] & ~(HELLO_OFFERS_AESGCM | HELLO_OFFERS_CHACHAPOLY));
    return 0;
}

int hello_read_server(const uint8_t bytes[HELLO_BYTES], struct hello_server *ret_hello) {
    if (memcmp(bytes, magic, sizeof(magic)) != 0 || bytes_get32(bytes + 12) != 0)
        return -EPROTO;
    *ret_hello = (struct hello_server){
        .version = bytes[4],
        .status = bytes[5],
        .pattern = bytes[6],
        .cipher = bytes[7],
        .features = bytes_get32(bytes + 8),
    };
    return 0;
}

static enum hello_status judge(const struct hello_client *client, bool reserved_clear, bool plaintext) {
    if (client->version_min > HELLO_VERSION || client->version_max < HELLO_VERSION)
        return HELLO_BAD_VERSION;
    if (!reserved_clear)
        return HELLO_BAD_RESERVED;
    if (client->pattern == HELLO_PLAINTEXT)
        return plaintext ? HELLO_OK : HELLO_PLAINTEXT_REFUSED;
    if (plaintext || (client->pattern != HELLO_IK && client->pattern != HELLO_XX))
        return HELLO_BAD_PATTERN;
    return HELLO_OK;
}

static enum noise_cipher choose_cipher(uint8_t offered, bool aes) {
    if (aes && (offered & HELLO_OFFERS_AESGCM))
        return NOISE_AESGCM;
    return offered & HELLO_OFFERS_CHACHAPOLY ? NOISE_CHACHAPOLY : NOISE_PLAIN;
}

/* The version is judged first: another version may have put other things where this one reserves bits. */
struct hello_server hello_choose(const struct hello_client *client, bool reserved_clear, bool plaintext,
                                 bool aes) {
    struct hello_server answer = {
        .status = (uint8_t)judge(client, reserved_clear, plaintext),
        .pattern = client->pattern,
        .features = client->features & HELLO_FEATURES,
    };
    if (answer.status == HELLO_OK && client->pattern != HELLO_PLAINTEXT) {
        answer.cipher = (uint8_t)choose_cipher(client->ciphers, aes);
        if (answer.cipher == NOISE_PLAIN)
            answer.status = HELLO_BAD_CIPHER;
    }
    if (answer.status == HELLO_OK)
        answer.version = HELLO_VERSION;
    return answer;
}
