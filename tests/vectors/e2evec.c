/* e2evec: the end-to-end encryption of tools/client/e2e, driven by lines of text, for other implementations
 * of X3DH and the Double Ratchet to talk to.
 *
 *   e2evec          answers the commands on its standard input, one line each
 *   e2evec FILE     replays FILE: lines `> COMMAND`, each followed by `< ANSWER`; every answer has to be the
 * same
 *
 * Bytes are in hex, "-" is none of them. Every command answers with bytes, "ok", or "error" and a name. One
 * end and one channel exist at a time; between any two commands the channel goes through its stored form and
 * back. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "core/noise.h"
#include "tools/client/e2e/channel.h"
#include "tools/client/e2e/devicelist.h"
#include "tools/client/e2e/safety.h"

#define WORDS_MAX 12
#define BYTES_MAX 70000u
#define LINE_BYTES (2 * BYTES_MAX + 1000)
#define SEALED_BYTES_MAX 64000u

struct bytes {
    uint8_t data[BYTES_MAX];
    size_t count;
};

static struct {
    struct identity_keys keys;
    struct x3dh_address address, remote;
    struct prekey signed_prekey, one_time;
    bool has_one_time, has_channel;
    uint8_t remote_identity[IDENTITY_KEY_BYTES];
    struct channel channel;
} end;

static char answer[LINE_BYTES];

static void say(const char *text) {
    snprintf(answer, sizeof(answer), "%s", text);
}

static void say_bytes(const uint8_t *bytes, size_t count) {
    sodium_bin2hex(answer, sizeof(answer), bytes, count);
    if (count == 0)
        say("-");
}

static void say_error(int error) {
    snprintf(answer, sizeof(answer), "error %s", strerrorname_np(-error));
}

static void say_status(int error) {
    if (error)
        say_error(error);
    else
        say("ok");
}

/* --- words ---------------------------------------------------------------------------------------------- */

static bool bytes_of(const char *word, struct bytes *ret_bytes) {
    ret_bytes->count = 0;
    return strcmp(word, "-") == 0 ||
           sodium_hex2bin(ret_bytes->data, BYTES_MAX, word, strlen(word), NULL, &ret_bytes->count, NULL) == 0;
}

/* So many bytes; what is lacking or not hex stays zero. */
static void fixed_of(const char *word, uint8_t *ret_bytes, size_t count) {
    static struct bytes bytes;
    must(bytes_of(word, &bytes) && bytes.count == count);
    memcpy(ret_bytes, bytes.data, count);
}

static uint64_t number_of(const char *word) {
    return strtoull(word, NULL, 10);
}

static struct channel_label label_of(char **words) {
    return (struct channel_label){.to = number_of(words[0]),
                                  .epoch = number_of(words[1]),
                                  .number = number_of(words[2]),
                                  .content_type = (uint16_t)number_of(words[3])};
}

static struct x3dh_end own_end(void) {
    return (struct x3dh_end){.keys = &end.keys, .address = end.address};
}

/* --- commands ------------------------------------------------------------------------------------------- */

/* ACCOUNT DEVICE SEED SIGNED_SECRET ONE_TIME_SECRET|-: becomes this end; the answer is its bundle. */
static void become(char **words) {
    struct prekey_bundle bundle = {.signed_id = 1};
    uint8_t bytes[PREKEY_BUNDLE_BYTES], seed[32];
    memset(&end, 0, sizeof(end));
    end.address = (struct x3dh_address){number_of(words[0]), (uint16_t)number_of(words[1])};
    fixed_of(words[2], seed, sizeof(seed));
    identity_keys_init(&end.keys, seed);
    fixed_of(words[3], seed, sizeof(seed));
    prekey_init(&end.signed_prekey, 1, 0, seed);
    end.has_one_time = strcmp(words[4], "-") != 0;
    if (end.has_one_time) {
        fixed_of(words[4], seed, sizeof(seed));
        prekey_init(&end.one_time, 1, 0, seed);
        bundle.one_time_id = 1;
        memcpy(bundle.one_time_public, end.one_time.public_key, PRIMITIVE_KEY_BYTES);
    }
    memcpy(bundle.identity, end.keys.public_key, IDENTITY_KEY_BYTES);
    memcpy(bundle.signed_public, end.signed_prekey.public_key, PRIMITIVE_KEY_BYTES);
    prekey_sign(&end.signed_prekey, &end.keys, bundle.signature);
    prekey_bundle_write(&bundle, bytes);
    say_bytes(bytes, sizeof(bytes));
}

/* ACCOUNT DEVICE IDENTITY: who the other end is, as a device list would say. */
static void know(char **words) {
    end.remote = (struct x3dh_address){number_of(words[0]), (uint16_t)number_of(words[1])};
    fixed_of(words[2], end.remote_identity, sizeof(end.remote_identity));
    say("ok");
}

/* BUNDLE EPHEMERAL RATCHET: begins a channel. */
static void initiate(char **words) {
    static struct bytes bytes;
    struct prekey_bundle bundle;
    struct channel_fresh fresh;
    struct x3dh_end own = own_end();
    must(bytes_of(words[0], &bytes));
    fixed_of(words[1], fresh.ephemeral, sizeof(fresh.ephemeral));
    fixed_of(words[2], fresh.ratchet, sizeof(fresh.ratchet));
    int error = prekey_bundle_read(&bundle, bytes.data, bytes.count);
    if (!error)
        error = channel_initiate(&end.channel, &own, end.remote, end.remote_identity, &bundle, &fresh);
    end.has_channel = !error;
    say_status(error);
}

/* TO EPOCH NUMBER CONTENT_TYPE NONCE TEXT: the answer is the sealed message. */
static void seal(char **words) {
    static struct bytes text, out;
    uint8_t nonce[PRIMITIVE_NONCE_BYTES];
    struct channel_label label = label_of(words);
    fixed_of(words[4], nonce, sizeof(nonce));
    must(bytes_of(words[5], &text) && end.has_channel);
    out.count = channel_sealed_bytes(&end.channel, text.count, SEALED_BYTES_MAX);
    int error = out.count
                    ? channel_seal(&end.channel, &label, nonce, text.data, text.count, out.data, out.count)
                    : -EMSGSIZE;
    if (error)
        say_error(error);
    else
        say_bytes(out.data, out.count);
}

static int accept(const struct channel_message *message, const struct channel_label *label,
                  const uint8_t *fresh, uint8_t *text, size_t *ret_text_bytes) {
    struct x3dh_end own = own_end();
    bool is_signed = message->header.signed_id == end.signed_prekey.id;
    bool is_one_time = end.has_one_time && message->header.one_time_id == end.one_time.id;
    int error = channel_accept(&end.channel, &own, end.remote, end.remote_identity,
                               is_signed ? &end.signed_prekey : NULL, is_one_time ? &end.one_time : NULL,
                               message, label, fresh, text, ret_text_bytes);
    end.has_channel = !error;
    if (!error && is_one_time)
        end.has_one_time = false;
    return error;
}

/* TO EPOCH NUMBER CONTENT_TYPE FRESH SEALED: the answer is the text. */
static void open_message(char **words) {
    static struct bytes sealed, text;
    struct channel_message message;
    struct channel_label label = label_of(words);
    uint8_t fresh[PRIMITIVE_KEY_BYTES];
    fixed_of(words[4], fresh, sizeof(fresh));
    must(bytes_of(words[5], &sealed));
    int error = channel_message_read(&message, sealed.data, sealed.count);
    if (!error && end.has_channel)
        error = channel_open(&end.channel, &message, &label, fresh, text.data, &text.count);
    else if (!error && message.kind == CHANNEL_INITIAL)
        error = accept(&message, &label, fresh, text.data, &text.count);
    else if (!error)
        error = -ENOENT;
    if (error)
        say_error(error);
    else
        say_bytes(text.data, text.count);
}

/* ACCOUNT KEY ACCOUNT KEY */
static void safety(char **words) {
    uint8_t one[IDENTITY_KEY_BYTES], other[IDENTITY_KEY_BYTES];
    char digits[SAFETY_DIGITS + 1];
    fixed_of(words[1], one, sizeof(one));
    fixed_of(words[3], other, sizeof(other));
    safety_number(number_of(words[0]), one, number_of(words[2]), other, digits);
    say(digits);
}

/* ACCOUNT VERSION CREATED SEED DEVICE CREATED IDENTITY: a list of one device. */
static void list(char **words) {
    struct devicelist devices = {
        .account = number_of(words[0]), .version = number_of(words[1]), .created_s = number_of(words[2])};
    struct devicelist_device device = {.number = (uint16_t)number_of(words[4]),
                                       .created_s = number_of(words[5])};
    struct identity_keys keys;
    uint8_t seed[IDENTITY_KEY_BYTES], bytes[DEVICELIST_BYTES_MAX];
    fixed_of(words[3], seed, sizeof(seed));
    fixed_of(words[6], device.identity, sizeof(device.identity));
    identity_keys_init(&keys, seed);
    must(devicelist_add(&devices, &device) == 0);
    say_bytes(bytes, devicelist_sign(&devices, &keys, bytes));
}

/* ACCOUNT BYTES: the answer is the list's version. */
static void read_list(char **words) {
    static struct bytes bytes;
    struct devicelist devices;
    must(bytes_of(words[1], &bytes));
    int error = devicelist_read(&devices, number_of(words[0]), NULL, bytes.data, bytes.count);
    if (error)
        say_error(error);
    else
        snprintf(answer, sizeof(answer), "%llu", (unsigned long long)devices.version);
}

static const struct command {
    const char *name;
    int words;
    void (*run)(char **words);
} commands[] = {
    {"become", 5, become},     {"know", 3, know},     {"initiate", 3, initiate}, {"seal", 6, seal},
    {"open", 6, open_message}, {"safety", 4, safety}, {"list", 7, list},         {"read_list", 2, read_list},
};

/* What is not written and read back the same is lost here, and the next message says so. */
static void store(void) {
    static uint8_t bytes[CHANNEL_STATE_BYTES_MAX], again[CHANNEL_STATE_BYTES_MAX];
    if (!end.has_channel)
        return;
    size_t count = channel_write(&end.channel, bytes);
    must(count == channel_state_bytes(&end.channel));
    memset(&end.channel, 0xAA, sizeof(end.channel));
    must(channel_read(&end.channel, bytes, count) == 0);
    must(channel_write(&end.channel, again) == count && memcmp(bytes, again, count) == 0);
}

static void run(char *line) {
    char *words[WORDS_MAX], *rest = NULL;
    int count = 0;
    for (char *word = strtok_r(line, " \n", &rest); word && count < WORDS_MAX;
         word = strtok_r(NULL, " \n", &rest))
        words[count++] = word;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (count == 0 || strcmp(words[0], commands[i].name) != 0)
            continue;
        must(count == 1 + commands[i].words);
        commands[i].run(words + 1);
        store();
        return;
    }
    say("error unknown command");
}

static int replay(FILE *file, char *line) {
    unsigned passed = 0, failed = 0, number = 0;
    while (fgets(line, LINE_BYTES, file)) {
        number++;
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '>') {
            run(line + 1);
        } else if (line[0] == '<' && strcmp(line + 2, answer) == 0) {
            passed++;
        } else if (line[0] == '<') {
            printf("not ok line %u: the answer is %.200s\n", number, answer);
            failed++;
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed || !passed;
}

int main(int count, char **arguments) {
    static char line[LINE_BYTES];
    FILE *file = count > 1 ? fopen(arguments[1], "re") : stdin;
    if (!file || noise_init() < 0) {
        fprintf(stderr, "e2evec: can not begin\n");
        return 2;
    }
    if (count > 1) {
        int status = replay(file, line);
        fclose(file);
        return status;
    }
    while (fgets(line, sizeof(line), stdin)) {
        run(line);
        printf("%s\n", answer);
        fflush(stdout);
    }
    return 0;
}
