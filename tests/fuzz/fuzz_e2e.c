/* Fuzzes what the end-to-end encryption reads from others and from its store. The first byte says what the
 * rest is: a sealed message, to a device that has a channel; a schedule of two devices, a byte a step; a
 * stored list of channels; a device list, as it is and signed anew; a bundle of pre-keys; a stored pre-key
 * and a locked key. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "core/noise.h"
#include "tests/support/e2e_rig.h"
#include "tools/client/e2e/devicelist.h"
#include "tools/client/e2e/lock.h"

enum { READ_MESSAGE = 0, READ_SCHEDULE, READ_CHANNELS, READ_LIST, READ_BUNDLE, READ_SECRETS, READ_WAYS };
#define WAY_MAX 8u
#define STEPS_MAX 48u

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t randomness;
static struct e2e_device alice, bob;
static uint8_t stored[CHANNELS_STATE_BYTES_MAX]; /* bob's channels, one message passed over in one of them */
static size_t stored_bytes;
static struct e2e_message message;

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    must(noise_init() == 0);
    e2e_device_init(&alice, &randomness, 7, 1);
    e2e_device_init(&bob, &randomness, 9, 2);
    must(e2e_device_begin(&alice, &bob, true) == 0);
    must(e2e_device_seal(&alice, &bob, 10, &message) == 0);
    must(e2e_device_seal(&alice, &bob, 10, &message) == 0);
    must(e2e_device_open(&bob, &alice, &message) == 0);
    stored_bytes = channels_write(&bob.channels, stored);
    return 0;
}

/* As bob's client would: nothing that does not open changes anything. */
static void read_message(const uint8_t *data, size_t size) {
    static uint8_t after[CHANNELS_STATE_BYTES_MAX];
    struct e2e_device device = bob;
    struct e2e_message changed = message;
    if (size > sizeof(changed.sealed))
        return;
    memcpy(changed.sealed, data, size);
    changed.sealed_bytes = size;
    changed.label.number = 1; /* of the message that was passed over, which is among the seeds */
    must(channels_read(&device.channels, stored, stored_bytes) == 0);
    struct channel_message read;
    static uint8_t text[E2E_SEALED_BYTES_MAX];
    uint8_t fresh[PRIMITIVE_KEY_BYTES] = {1};
    size_t text_bytes = 0;
    int error = channel_message_read(&read, changed.sealed, size);
    if (!error)
        error = channels_open(&device.channels, &read, &changed.label, fresh, text, &text_bytes);
    if (error == -ENOENT) {
        struct channel *channel = malloc(sizeof(*channel));
        struct x3dh_end own = {.keys = &bob.keys, .address = bob.address};
        must(channel);
        if (read.header.signed_id == 1)
            error = channel_accept(channel, &own, alice.address, alice.keys.public_key, &bob.signed_prekey,
                                   read.header.one_time_id == 2 ? &bob.one_time[1] : NULL, &read,
                                   &changed.label, fresh, text, &text_bytes);
        must(error != 0 || text_bytes <= size);
        free(channel);
    } else if (error) {
        must(channels_write(&device.channels, after) == stored_bytes);
        must(memcmp(after, stored, stored_bytes) == 0);
    }
    channels_fini(&device.channels);
}

struct step {
    uint8_t from, action, index;
};

static struct step step_of(uint8_t byte) {
    return (struct step){.from = byte & 1, .action = byte >> 1 & 7, .index = byte >> 4};
}

struct way {
    struct e2e_message list[WAY_MAX];
    bool opened[WAY_MAX];
    uint32_t count;
};

/* Of a channel that began without one-time pre-key and has gone since: X3DH, section 4.2. */
static bool may_come_again(const struct e2e_message *sealed) {
    struct channel_message read;
    return channel_message_read(&read, sealed->sealed, sealed->sealed_bytes) == 0 &&
           read.kind == CHANNEL_INITIAL && read.header.one_time_id == 0;
}

static void run_step(struct e2e_device *ends, struct way *ways, struct step step) {
    struct e2e_device *device = &ends[step.from], *other = &ends[1 - step.from];
    struct way *way = &ways[step.from];
    uint32_t index = way->count ? step.index % way->count : 0;
    if (step.action == 0) {
        must(e2e_device_begin(device, other, other->handed_out < E2E_ONE_TIME_PREKEYS) == 0);
    } else if (step.action == 1) {
        e2e_device_restart(device);
    } else if (step.action < 5 && way->count < WAY_MAX && channels_active(&device->channels)) {
        way->opened[way->count] = false;
        must(e2e_device_seal(device, other, step.index * 40u, &way->list[way->count++]) == 0);
    } else if (way->count && step.action == 5) {
        way->count--;
        way->list[index] = way->list[way->count];
        way->opened[index] = way->opened[way->count];
    } else if (way->count) {
        int error = e2e_device_open(other, device, &way->list[index]);
        /* A channel may have gone for newer ones, and with it what was under way in it. */
        must(!way->opened[index] || error != 0 || may_come_again(&way->list[index]));
        way->opened[index] = way->opened[index] || error == 0;
    }
}

static void read_schedule(const uint8_t *data, size_t size) {
    static struct way ways[2];
    struct e2e_device ends[2] = {alice, bob};
    ways[0].count = ways[1].count = 0;
    for (int i = 0; i < 2; i++)
        channels_init(&ends[i].channels);
    for (size_t i = 0; i < size && i < STEPS_MAX; i++)
        run_step(ends, ways, step_of(data[i]));
    for (int i = 0; i < 2; i++)
        channels_fini(&ends[i].channels);
}

/* What is read is what is written, and good for something. */
static void read_channels(const uint8_t *data, size_t size) {
    static uint8_t again[CHANNELS_STATE_BYTES_MAX];
    struct e2e_device device = bob;
    if (channels_read(&device.channels, data, size) < 0)
        return;
    must(channels_state_bytes(&device.channels) == size);
    must(channels_write(&device.channels, again) == size && memcmp(again, data, size) == 0);
    static struct e2e_message sealed;
    if (channels_active(&device.channels))
        e2e_device_seal(&device, &alice, 10, &sealed);
    e2e_device_open(&device, &alice, &message);
    channels_fini(&device.channels);
}

static void read_list(const uint8_t *data, size_t size) {
    uint8_t bytes[DEVICELIST_BYTES_MAX], again[DEVICELIST_BYTES_MAX];
    static const char label[] = "tern device list";
    uint8_t covered[sizeof(label) - 1 + DEVICELIST_BYTES_MAX];
    struct devicelist list;
    must(devicelist_read(&list, 7, NULL, data, size) != 0 || list.account == 7);
    if (size < DEVICELIST_FIXED_BYTES || size > sizeof(bytes))
        return;
    size_t signed_bytes = size - PRIMITIVE_SIGNATURE_BYTES;
    memcpy(bytes, data, size);
    memcpy(bytes + 26, alice.keys.public_key, IDENTITY_KEY_BYTES);
    memcpy(covered, label, sizeof(label) - 1);
    memcpy(covered + sizeof(label) - 1, bytes, signed_bytes);
    identity_sign(&alice.keys, covered, sizeof(label) - 1 + signed_bytes, bytes + signed_bytes);
    uint64_t account = bytes_get64(bytes + 2);
    if (devicelist_read(&list, account, alice.keys.public_key, bytes, size) < 0)
        return;
    must(devicelist_bytes(&list) == size && devicelist_sign(&list, &alice.keys, again) == size);
    must(memcmp(bytes, again, size) == 0 && devicelist_follows(&list, &list) == 0);
}

static void read_bundle(const uint8_t *data, size_t size) {
    struct prekey_bundle bundle;
    struct x3dh_header header;
    struct x3dh_agreed agreed;
    uint8_t again[PREKEY_BUNDLE_BYTES], ephemeral[PRIMITIVE_KEY_BYTES] = {5};
    struct x3dh_end own = {.keys = &alice.keys, .address = alice.address};
    if (prekey_bundle_read(&bundle, data, size) < 0)
        return;
    prekey_bundle_write(&bundle, again);
    must(memcmp(again, data, size) == 0);
    if (prekey_bundle_verify(&bundle, bundle.identity) == 0)
        must(!primitive_equal(bundle.identity, bob.keys.public_key, IDENTITY_KEY_BYTES) ||
             primitive_equal(bundle.signed_public, bob.signed_prekey.public_key, PRIMITIVE_KEY_BYTES));
    if (x3dh_initiate(&own, bob.address, &bundle, ephemeral, &header, &agreed) == 0)
        must(header.signed_id == bundle.signed_id && header.one_time_id == bundle.one_time_id);
}

static void read_secrets(const uint8_t *data, size_t size) {
    struct prekey prekey;
    uint8_t again[PREKEY_BYTES], locked[LOCK_BYTES], key[PRIMITIVE_KEY_BYTES];
    if (prekey_read(&prekey, data, size) == 0) {
        prekey_write(&prekey, again);
        must(memcmp(again, data, size) == 0);
    }
    if (size != LOCK_BYTES)
        return;
    memcpy(locked, data, size);
    if (bytes_get32(locked + 4) <= LOCK_PASSES_MAX && bytes_get64(locked + 8) <= LOCK_MEMORY_BYTES_MAX) {
        bytes_put32(locked + 4, 1); /* what it may cost is tested elsewhere */
        bytes_put64(locked + 8, 8192);
    }
    lock_open("passphrase", locked, size, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const read[READ_WAYS])(const uint8_t *, size_t) = {
        read_message, read_schedule, read_channels, read_list, read_bundle, read_secrets};
    if (size == 0)
        return 0;
    uint8_t *copy = malloc(size); /* of this size exactly: one byte beyond is seen */
    must(copy);
    memcpy(copy, data + 1, size - 1);
    randomness = 1000;
    read[data[0] % READ_WAYS](copy, size - 1);
    free(copy);
    return 0;
}
