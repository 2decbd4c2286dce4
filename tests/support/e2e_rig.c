#include "tests/support/e2e_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"

#define CONTENT_TYPE 3

/* splitmix64 */
static uint64_t next(uint64_t *random) {
    uint64_t mixed = (*random += UINT64_C(0x9e3779b97f4a7c15));
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

void e2e_fill(uint64_t *random, void *bytes, size_t count) {
    uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++)
        at[i] = (uint8_t)next(random);
}

uint32_t e2e_below(uint64_t *random, uint32_t limit) {
    return (uint32_t)(next(random) % limit);
}

static void make_prekey(struct e2e_device *device, struct prekey *prekey, uint32_t id) {
    uint8_t secret[PRIMITIVE_KEY_BYTES];
    e2e_fill(device->random, secret, sizeof(secret));
    prekey_init(prekey, id, 1, secret);
}

void e2e_device_init(struct e2e_device *device, uint64_t *random, uint64_t account, uint16_t number) {
    uint8_t seed[IDENTITY_KEY_BYTES];
    memset(device, 0, sizeof(*device));
    device->address = (struct x3dh_address){.account = account, .device = number};
    device->random = random;
    e2e_fill(random, seed, sizeof(seed));
    identity_keys_init(&device->keys, seed);
    make_prekey(device, &device->signed_prekey, 1);
    for (uint32_t i = 0; i < E2E_ONE_TIME_PREKEYS; i++)
        make_prekey(device, &device->one_time[i], i + 1);
    channels_init(&device->channels);
}

void e2e_device_fini(struct e2e_device *device) {
    channels_fini(&device->channels);
    identity_keys_fini(&device->keys);
}

void e2e_device_bundle(struct e2e_device *device, bool has_one_time, struct prekey_bundle *ret_bundle) {
    memset(ret_bundle, 0, sizeof(*ret_bundle));
    memcpy(ret_bundle->identity, device->keys.public_key, IDENTITY_KEY_BYTES);
    ret_bundle->signed_id = device->signed_prekey.id;
    memcpy(ret_bundle->signed_public, device->signed_prekey.public_key, PRIMITIVE_KEY_BYTES);
    prekey_sign(&device->signed_prekey, &device->keys, ret_bundle->signature);
    if (!has_one_time)
        return;
    must(device->handed_out < E2E_ONE_TIME_PREKEYS);
    const struct prekey *one_time = &device->one_time[device->handed_out++];
    ret_bundle->one_time_id = one_time->id;
    memcpy(ret_bundle->one_time_public, one_time->public_key, PRIMITIVE_KEY_BYTES);
}

static int add(struct e2e_device *device, struct channel *channel, int error) {
    if (!error)
        must(channels_add(&device->channels, channel) == 0);
    channel_fini(channel);
    free(channel);
    return error;
}

static struct channel *room(void) {
    struct channel *channel = malloc(sizeof(*channel));
    must(channel);
    return channel;
}

int e2e_device_begin(struct e2e_device *device, struct e2e_device *other, bool has_one_time) {
    struct channel_fresh fresh;
    struct prekey_bundle bundle;
    struct x3dh_end own = {.keys = &device->keys, .address = device->address};
    struct channel *channel = room();
    e2e_fill(device->random, &fresh, sizeof(fresh));
    e2e_device_bundle(other, has_one_time, &bundle);
    return add(device, channel,
               channel_initiate(channel, &own, other->address, other->keys.public_key, &bundle, &fresh));
}

int e2e_device_seal(struct e2e_device *device, const struct e2e_device *other, size_t text_bytes,
                    struct e2e_message *ret_message) {
    struct channel *channel = channels_active(&device->channels);
    uint8_t nonce[PRIMITIVE_NONCE_BYTES];
    must(channel && text_bytes <= E2E_TEXT_BYTES_MAX);
    memset(ret_message, 0, sizeof(*ret_message));
    ret_message->label = (struct channel_label){
        .to = other->address.account, .epoch = 9, .number = ++device->sealed, .content_type = CONTENT_TYPE};
    ret_message->text_bytes = text_bytes;
    e2e_fill(device->random, ret_message->text, text_bytes);
    e2e_fill(device->random, nonce, sizeof(nonce));
    ret_message->sealed_bytes = channel_sealed_bytes(channel, text_bytes, E2E_SEALED_BYTES_MAX);
    must(ret_message->sealed_bytes);
    return channel_seal(channel, &ret_message->label, nonce, ret_message->text, text_bytes,
                        ret_message->sealed, ret_message->sealed_bytes);
}

static int accept(struct e2e_device *device, const struct e2e_device *other,
                  const struct channel_message *read, const struct e2e_message *message, const uint8_t *fresh,
                  uint8_t *text, size_t *ret_text_bytes) {
    struct x3dh_end own = {.keys = &device->keys, .address = device->address};
    struct prekey *one_time = NULL;
    for (uint32_t i = 0; i < E2E_ONE_TIME_PREKEYS; i++) {
        if (read->header.one_time_id && device->one_time[i].id == read->header.one_time_id)
            one_time = &device->one_time[i];
    }
    bool is_signed = read->header.signed_id == device->signed_prekey.id;
    struct channel *channel = room();
    int error = channel_accept(channel, &own, other->address, other->keys.public_key,
                               is_signed ? &device->signed_prekey : NULL, one_time, read, &message->label,
                               fresh, text, ret_text_bytes);
    if (!error && one_time)
        prekey_fini(one_time);
    return add(device, channel, error);
}

int e2e_device_open(struct e2e_device *device, const struct e2e_device *other,
                    const struct e2e_message *message) {
    static uint8_t text[E2E_SEALED_BYTES_MAX];
    uint8_t fresh[PRIMITIVE_KEY_BYTES];
    struct channel_message read;
    size_t text_bytes = 0;
    e2e_fill(device->random, fresh, sizeof(fresh));
    int error = channel_message_read(&read, message->sealed, message->sealed_bytes);
    if (error)
        return error;
    error = channels_open(&device->channels, &read, &message->label, fresh, text, &text_bytes);
    if (error == -ENOENT)
        error = accept(device, other, &read, message, fresh, text, &text_bytes);
    if (!error)
        must(text_bytes == message->text_bytes && memcmp(text, message->text, text_bytes) == 0);
    return error;
}

void e2e_device_restart(struct e2e_device *device) {
    size_t bytes = channels_state_bytes(&device->channels);
    uint8_t *state = malloc(bytes);
    must(state && bytes <= CHANNELS_STATE_BYTES_MAX && channels_write(&device->channels, state) == bytes);
    channels_fini(&device->channels);
    must(channels_read(&device->channels, state, bytes) == 0);
    free(state);
}
