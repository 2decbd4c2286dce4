/* tests/vectors/noisevec.c: runs every Noise vector of a file that tern supports, both sides. */
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/noise.h"

#define HEX_BYTES_MAX 4096

struct bytes {
    uint8_t data[HEX_BYTES_MAX];
    size_t count;
};

static bool from_hex(const char *text, struct bytes *ret_bytes) {
    size_t digits = strlen(text);
    if (digits % 2 || digits / 2 > HEX_BYTES_MAX)
        return false;
    for (size_t i = 0; i < digits / 2; i++) {
        unsigned value;
        if (sscanf(text + 2 * i, "%2x", &value) != 1)
            return false;
        ret_bytes->data[i] = (uint8_t)value;
    }
    ret_bytes->count = digits / 2;
    return true;
}

static bool field(const cJSON *vector, const char *name, struct bytes *ret_bytes) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(vector, name);
    ret_bytes->count = 0;
    return cJSON_IsString(item) && from_hex(item->valuestring, ret_bytes);
}

struct protocol {
    const char *name;
    enum noise_pattern pattern;
    enum noise_cipher cipher;
};

static const struct protocol protocols[] = {
    {"Noise_IK_25519_AESGCM_SHA256", NOISE_IK, NOISE_AESGCM},
    {"Noise_IK_25519_ChaChaPoly_SHA256", NOISE_IK, NOISE_CHACHAPOLY},
    {"Noise_XX_25519_AESGCM_SHA256", NOISE_XX, NOISE_AESGCM},
    {"Noise_XX_25519_ChaChaPoly_SHA256", NOISE_XX, NOISE_CHACHAPOLY},
};

static const struct protocol *find_protocol(const char *name) {
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(protocols[i].name, name) == 0)
            return &protocols[i];
    }
    return NULL;
}

struct side {
    struct noise_handshake handshake;
    struct noise_cipher_state send, receive;
};

static bool start(struct side *side, const cJSON *vector, const struct protocol *protocol, bool initiator) {
    struct bytes prologue, secret, ephemeral, remote;
    const char *prefix = initiator ? "init" : "resp";
    char name[64];
    snprintf(name, sizeof(name), "%s_prologue", prefix);
    field(vector, name, &prologue);
    snprintf(name, sizeof(name), "%s_static", prefix);
    bool ok = field(vector, name, &secret) && secret.count == NOISE_KEY_BYTES;
    snprintf(name, sizeof(name), "%s_ephemeral", prefix);
    ok = ok && field(vector, name, &ephemeral) && ephemeral.count == NOISE_KEY_BYTES;
    bool knows = initiator && field(vector, "init_remote_static", &remote);
    struct noise_setup setup = {
        .pattern = protocol->pattern,
        .cipher = protocol->cipher,
        .initiator = initiator,
        .prologue = prologue.data,
        .prologue_bytes = prologue.count,
        .static_secret = secret.data,
        .ephemeral_secret = ephemeral.data,
        .remote_static = knows ? remote.data : NULL,
    };
    return ok && noise_handshake_init(&side->handshake, &setup) == 0;
}

/* One message of the vector, written by one side and read by the other; NULL or what is wrong with it. */
static const char *exchange(struct side *from, struct side *to, const struct bytes *payload,
                            const struct bytes *wire) {
    static uint8_t out[HEX_BYTES_MAX + 256], text[HEX_BYTES_MAX + 256];
    size_t out_bytes = 0;
    size_t text_bytes = 0;
    if (!noise_handshake_complete(&from->handshake)) {
        if (noise_handshake_write(&from->handshake, payload->data, payload->count, out, &out_bytes) < 0)
            return "write failed";
        if (out_bytes != wire->count || memcmp(out, wire->data, out_bytes) != 0)
            return "ciphertext differs";
        if (noise_handshake_read(&to->handshake, out, out_bytes, text, &text_bytes) < 0)
            return "read failed";
        if (noise_handshake_complete(&from->handshake)) {
            noise_handshake_split(&from->handshake, &from->send, &from->receive);
            noise_handshake_split(&to->handshake, &to->send, &to->receive);
        }
    } else {
        memcpy(out, payload->data, payload->count);
        out_bytes = noise_seal(&from->send, out, payload->count);
        if (out_bytes != wire->count || memcmp(out, wire->data, out_bytes) != 0)
            return "transport ciphertext differs";
        if (noise_open(&to->receive, out, out_bytes, &text_bytes) < 0)
            return "open failed";
        memcpy(text, out, text_bytes);
    }
    if (text_bytes != payload->count || memcmp(text, payload->data, text_bytes) != 0)
        return "payload differs";
    return NULL;
}

static const char *run(const cJSON *vector, const struct protocol *protocol) {
    static struct side initiator, responder;
    static struct bytes payload, wire, hash;
    if (!start(&initiator, vector, protocol, true) || !start(&responder, vector, protocol, false))
        return "keys are missing or malformed";
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(vector, "messages");
    const cJSON *message;
    unsigned index = 0;
    cJSON_ArrayForEach(message, messages) {
        if (!field(message, "payload", &payload) || !field(message, "ciphertext", &wire))
            return "a message is malformed";
        bool from_initiator = index++ % 2 == 0;
        const char *wrong = exchange(from_initiator ? &initiator : &responder,
                                     from_initiator ? &responder : &initiator, &payload, &wire);
        if (wrong)
            return wrong;
    }
    if (index == 0 || !noise_handshake_complete(&initiator.handshake))
        return "the handshake is not complete";
    if (field(vector, "handshake_hash", &hash) &&
        (memcmp(hash.data, initiator.handshake.hash, NOISE_HASH_BYTES) != 0 ||
         memcmp(hash.data, responder.handshake.hash, NOISE_HASH_BYTES) != 0))
        return "the handshake hash differs";
    return NULL;
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    char *text = bytes >= 0 ? calloc(1, (size_t)bytes + 1) : NULL;
    if (text && fread(text, 1, (size_t)bytes, file) != (size_t)bytes) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

int main(int argc, char **argv) {
    if (argc != 2 || argv[1][0] == '-') {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(help ? stdout : stderr,
                "Usage: noisevec FILE\nRuns the Noise vectors of a JSON file: exit 0 if all that "
                "are supported pass, 1 if not, 2 on usage.\n");
        return help ? 0 : 2;
    }
    char *text = read_file(argv[1]);
    if (!text) {
        fprintf(stderr, "noisevec: %s: can't be read\n", argv[1]);
        return 1;
    }
    cJSON *root = cJSON_Parse(text);
    free(text);
    const cJSON *vectors = cJSON_GetObjectItemCaseSensitive(root, "vectors");
    if (!cJSON_IsArray(vectors) || noise_init() < 0) {
        fprintf(stderr, "noisevec: %s: no JSON object with an array \"vectors\"\n", argv[1]);
        cJSON_Delete(root);
        return 1;
    }
    unsigned passed = 0, failed = 0, skipped = 0;
    const cJSON *vector;
    cJSON_ArrayForEach(vector, vectors) {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(vector, "protocol_name");
        const char *protocol_name = cJSON_IsString(name) ? name->valuestring : "without a name";
        const struct protocol *protocol = find_protocol(protocol_name);
        if (!protocol || (protocol->cipher == NOISE_AESGCM && !noise_has_aes())) {
            printf("skip %s\n", protocol_name);
            skipped++;
            continue;
        }
        const char *wrong = run(vector, protocol);
        printf("%s %s%s%s\n", wrong ? "FAIL" : "ok", protocol_name, wrong ? ": " : "", wrong ? wrong : "");
        passed += !wrong;
        failed += wrong != NULL;
    }
    cJSON_Delete(root);
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed || !passed;
}
