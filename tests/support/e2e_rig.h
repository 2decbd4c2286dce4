/* tests/support/e2e_rig.h: two devices that encrypt for each other, for tests of tools/client/e2e: what the
 * client does with its store and the switch's directory, in memory.
 *
 * Threads: one.  Memory: e2e_device_fini frees. */
#ifndef TERN_TESTS_SUPPORT_E2E_RIG_H
#define TERN_TESTS_SUPPORT_E2E_RIG_H

#include "tools/client/e2e/channels.h"

#define E2E_ONE_TIME_PREKEYS 8u
#define E2E_TEXT_BYTES_MAX 4096u
#define E2E_SEALED_BYTES_MAX 8192u

struct e2e_device {
    struct x3dh_address address;
    struct identity_keys keys;
    struct prekey signed_prekey;
    struct prekey one_time[E2E_ONE_TIME_PREKEYS]; /* id 0: handed out and used */
    uint32_t handed_out;
    struct channels channels;
    uint64_t *random;
    uint64_t sealed; /* messages: the number of the last */
};

struct e2e_message {
    struct channel_label label;
    uint8_t text[E2E_TEXT_BYTES_MAX], sealed[E2E_SEALED_BYTES_MAX];
    size_t text_bytes, sealed_bytes;
};

/* The same bytes from the same seed. */
void e2e_fill(uint64_t *random, void *bytes, size_t count);
uint32_t e2e_below(uint64_t *random, uint32_t limit);

/* random: shared by all, the caller's. */
void e2e_device_init(struct e2e_device *device, uint64_t *random, uint64_t account, uint16_t number);
void e2e_device_fini(struct e2e_device *device);
/* What the switch would hand out, with the next one-time pre-key or, when has_one_time is false, without. */
void e2e_device_bundle(struct e2e_device *device, bool has_one_time, struct prekey_bundle *ret_bundle);
/* Begins a channel with the other; 0 or as channel_initiate. */
int e2e_device_begin(struct e2e_device *device, struct e2e_device *other, bool has_one_time);
/* Seals a text of so many random bytes in the active channel. */
int e2e_device_seal(struct e2e_device *device, const struct e2e_device *other, size_t text_bytes,
                    struct e2e_message *ret_message);
/* Opens it, beginning a channel where it is the first; must()s that the text is the one that was sealed. */
int e2e_device_open(struct e2e_device *device, const struct e2e_device *other,
                    const struct e2e_message *message);
/* Writes all channels and reads them back, as a restart does. */
void e2e_device_restart(struct e2e_device *device);

#endif
