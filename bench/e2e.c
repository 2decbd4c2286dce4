#include "bench/e2e.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/exit.h"
#include "bench/pairs.h"
#include "core/must.h"
#include "tools/client/e2e/channel.h"

#define MESSAGES 20000u
#define BEGINNINGS_PART 20u /* a beginning costs that many messages or so */
#define SEALED_BYTES_MAX 65536u

struct end {
    struct x3dh_end own;
    struct identity_keys keys;
    struct prekey signed_prekey, one_time;
    struct prekey_bundle bundle;
    struct channel channel;
};

struct work {
    struct end ends[2];
    uint64_t number;
    uint32_t text_bytes;
    uint8_t text[SEALED_BYTES_MAX], opened[SEALED_BYTES_MAX], sealed[SEALED_BYTES_MAX];
    size_t sealed_bytes;
    uint8_t stored[CHANNEL_STATE_BYTES_MAX];
};

/* --- the work ------------------------------------------------------------------------------------------- */

static void make_prekey(struct prekey *prekey, uint32_t id) {
    uint8_t secret[PRIMITIVE_KEY_BYTES];
    randombytes_buf(secret, sizeof(secret));
    prekey_init(prekey, id, 0, secret);
    sodium_memzero(secret, sizeof(secret));
}

static void make_end(struct end *end, uint64_t account) {
    uint8_t seed[IDENTITY_KEY_BYTES];
    randombytes_buf(seed, sizeof(seed));
    identity_keys_init(&end->keys, seed);
    sodium_memzero(seed, sizeof(seed));
    end->own = (struct x3dh_end){.keys = &end->keys, .address = {.account = account, .device = 1}};
    make_prekey(&end->signed_prekey, 1);
    make_prekey(&end->one_time, 1);
    end->bundle.signed_id = 1;
    end->bundle.one_time_id = 1;
    memcpy(end->bundle.identity, end->keys.public_key, IDENTITY_KEY_BYTES);
    memcpy(end->bundle.signed_public, end->signed_prekey.public_key, PRIMITIVE_KEY_BYTES);
    memcpy(end->bundle.one_time_public, end->one_time.public_key, PRIMITIVE_KEY_BYTES);
    prekey_sign(&end->signed_prekey, &end->keys, end->bundle.signature);
}

static struct channel_label label_of(struct work *work, const struct end *to) {
    return (struct channel_label){.to = to->own.address.account, .epoch = 1, .number = work->number};
}

static void seal(struct work *work, int from) {
    uint8_t nonce[PRIMITIVE_NONCE_BYTES];
    struct channel *channel = &work->ends[from].channel;
    work->number++;
    struct channel_label label = label_of(work, &work->ends[1 - from]);
    randombytes_buf(nonce, sizeof(nonce));
    work->sealed_bytes = channel_sealed_bytes(channel, work->text_bytes, SEALED_BYTES_MAX);
    must(work->sealed_bytes);
    must(channel_seal(channel, &label, nonce, work->text, work->text_bytes, work->sealed,
                      work->sealed_bytes) == 0);
}

static void check_opened(const struct work *work, size_t bytes) {
    must(bytes == work->text_bytes && memcmp(work->opened, work->text, bytes) == 0);
}

static void message(struct work *work, int from) {
    struct end *to = &work->ends[1 - from];
    struct channel_message read;
    uint8_t fresh[PRIMITIVE_KEY_BYTES];
    size_t bytes;
    seal(work, from);
    randombytes_buf(fresh, sizeof(fresh));
    struct channel_label label = label_of(work, to);
    must(channel_message_read(&read, work->sealed, work->sealed_bytes) == 0);
    must(channel_open(&to->channel, &read, &label, fresh, work->opened, &bytes) == 0);
    check_opened(work, bytes);
}

/* Both ends of a beginning: the bundle's signature, X3DH, the first message sealed; X3DH, and it is
 * opened. */
static void beginning(struct work *work) {
    struct end *from = &work->ends[0], *to = &work->ends[1];
    struct channel_fresh fresh;
    struct channel_message read;
    uint8_t fresh_key[PRIMITIVE_KEY_BYTES];
    size_t bytes;
    randombytes_buf(&fresh, sizeof(fresh));
    randombytes_buf(fresh_key, sizeof(fresh_key));
    must(channel_initiate(&from->channel, &from->own, to->own.address, to->keys.public_key, &to->bundle,
                          &fresh) == 0);
    seal(work, 0);
    struct channel_label label = label_of(work, to);
    must(channel_message_read(&read, work->sealed, work->sealed_bytes) == 0);
    must(channel_accept(&to->channel, &to->own, from->own.address, from->keys.public_key, &to->signed_prekey,
                        &to->one_time, &read, &label, fresh_key, work->opened, &bytes) == 0);
    check_opened(work, bytes);
}

/* As a client that comes to this channel for one message: read from its store, and written again. */
static void store(struct work *work, int index) {
    struct channel *channel = &work->ends[index].channel;
    must(channel_read(channel, work->stored, channel_write(channel, work->stored)) == 0);
}

/* --- its steps ------------------------------------------------------------------------------------------ */

static void step_messages(struct work *work, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++)
        message(work, 0);
}

static void step_answers(struct work *work, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++)
        message(work, (int)(i % 2));
}

static void step_stored(struct work *work, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++) {
        store(work, 0);
        store(work, 1);
        message(work, 0);
    }
}

static void step_beginnings(struct work *work, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++)
        beginning(work);
}

static const struct step {
    const char *name;
    void (*run)(struct work *work, uint32_t rounds);
    uint32_t part; /* of the rounds */
} steps[] = {
    {"messages_per_s", step_messages, 1},
    {"stored_messages_per_s", step_stored, 1},
    {"answers_per_s", step_answers, BEGINNINGS_PART / 2},
    {"beginnings_per_s", step_beginnings, BEGINNINGS_PART},
};

static double rate_of(const struct step *step, struct work *work, uint32_t rounds) {
    struct timespec from, to;
    step->run(work, rounds / 10 + 1); /* warm */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    step->run(work, rounds);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return rounds / ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9);
}

static void measure(struct work *work, uint32_t rounds, struct figures *figures) {
    memset(work->ends, 0, sizeof(work->ends));
    make_end(&work->ends[0], 1);
    make_end(&work->ends[1], 2);
    beginning(work);
    message(work, 1);
    message(work, 0);
    figures_add(figures, (double)work->sealed_bytes, "bytes", "sealed_bytes");
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        figures_plot(figures, rate_of(&steps[i], work, rounds / steps[i].part + 1), "1/s", "%s",
                     steps[i].name);
    sodium_memzero(work->ends, sizeof(work->ends));
}

int e2e_run(int count, char **arguments) {
    static struct figures figures;
    struct options options = pairs_defaults();
    struct report report;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_COUNT,
        "End-to-end encryption at both clients, without switch and disk, by processor time: messages "
        "sealed and opened, in one direction and as answers, of which each makes new keys; the same "
        "with the channel's state read and written at both ends each time; beginnings of channels "
        "with their first message. --size: bytes of a text; --messages: so many of them.",
        count, arguments);
    report_open(&report, "e2e", count, arguments);
    struct work *work = calloc(1, sizeof(*work));
    must(work);
    work->text_bytes = options.size_bytes < SEALED_BYTES_MAX / 2 ? options.size_bytes : SEALED_BYTES_MAX / 2;
    uint32_t messages = options.messages ? options.messages : MESSAGES;
    randombytes_buf(work->text, work->text_bytes);
    cJSON_AddNumberToObject(report.settings, "messages", messages);
    cJSON_AddNumberToObject(report.settings, "text_bytes", work->text_bytes);
    snprintf(report.title, sizeof(report.title), "e2e: texts of %u bytes, %u of them, both ends on one core",
             work->text_bytes, messages);
    for (uint32_t run = 0; run < options.repeat; run++) {
        figures.count = 0;
        measure(work, messages, &figures);
        report_add(&report, &figures, true);
    }
    free(work);
    return report_close(&report, options.json, options.plot) ? EXIT_MISSING : EXIT_COMPLETE;
}
