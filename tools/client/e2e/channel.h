/* tools/client/e2e/channel.h: a channel between two devices: X3DH at its beginning, the Double Ratchet then,
 * and what is sealed with a message so that it can be taken for no other. Signal's specifications call it a
 * session, a word that belongs to device and switch here.
 *
 * A sealed message is: u8 version (1), u8 kind; where the kind is CHANNEL_INITIAL the header of X3DH; then
 * the ratchet's header, nonce and sealed text. The initiator sends its messages as initial ones until it has
 * opened an answer: whichever comes first begins the channel at the other end.
 *
 * The associated data of each message: that of X3DH (both identity keys, accounts and devices), the header of
 * X3DH, by which the channel began (a key in it has a bit that X25519 does not look at), then version,
 * sending account and device, addressed account, epoch, number and content type as the message's frame has
 * them, then the ratchet's header. So the switch can neither renumber a message, nor hand it to another
 * device, nor give it another sender or kind.
 *
 * What changed is committed before anything of it is sent or shown: seal, then put channel and sealed message
 * into one transaction, then send; open, then put channel, message and mark into one transaction (and delete
 * the one-time pre-key in it), then acknowledge. What is sent again is the same bytes.
 *
 * Threads: one at a time for each channel.
 * Memory: the caller's, about 19 KB, best on the heap; channel_fini wipes. */
#ifndef TERN_TOOLS_CLIENT_E2E_CHANNEL_H
#define TERN_TOOLS_CLIENT_E2E_CHANNEL_H

#include "tools/client/e2e/ratchet.h"
#include "tools/client/e2e/x3dh.h"

#define CHANNEL_VERSION 1
#define CHANNEL_PREFIX_BYTES 2
#define CHANNEL_OVERHEAD_BYTES_MAX (CHANNEL_PREFIX_BYTES + X3DH_HEADER_BYTES + RATCHET_OVERHEAD_BYTES)
#define CHANNEL_FIXED_BYTES 162 /* of a written channel, before its ratchet */
#define CHANNEL_STATE_BYTES_MAX (CHANNEL_FIXED_BYTES + RATCHET_STATE_BYTES_MAX)

enum channel_kind { CHANNEL_INITIAL = 1, CHANNEL_ORDINARY = 2 };

/* The fields of a message's frame that are sealed with it. The sender is known from the channel. */
struct channel_label {
    uint64_t to; /* addressed account: not the recipient's where the recipient is the sender's other device */
    uint64_t epoch;
    uint64_t number;
    uint16_t content_type;
};

struct channel {
    struct x3dh_address own, remote;
    struct x3dh_header header; /* of the initial message */
    uint8_t associated[X3DH_ASSOCIATED_BYTES];
    bool is_initiator;
    bool is_answered; /* the other end has the channel, too */
    struct ratchet ratchet;
};

/* Fresh random bytes for a beginning. */
struct channel_fresh {
    uint8_t ephemeral[PRIMITIVE_KEY_BYTES], ratchet[PRIMITIVE_KEY_BYTES];
};

/* Begins a channel with the device that this bundle is of. identity: the device's, from the list that its
 * account key signed. 0; -EKEYREJECTED: prekey_bundle_verify; -EBADMSG: a key of the bundle is none. */
int channel_initiate(struct channel *channel, const struct x3dh_end *own, struct x3dh_address remote,
                     const uint8_t identity[IDENTITY_KEY_BYTES], const struct prekey_bundle *bundle,
                     const struct channel_fresh *fresh);
void channel_fini(struct channel *channel);

/* Bytes of the sealed message: padded, not above sealed_bytes_max (the largest payload). 0: the text is too
 * long. */
size_t channel_sealed_bytes(const struct channel *channel, size_t text_bytes, size_t sealed_bytes_max);
/* The longest text that fits whatever the channel's state. */
size_t channel_text_bytes_max(size_t sealed_bytes_max);
/* nonce: 24 fresh random bytes. out: sealed_bytes, which channel_sealed_bytes said for this text; no overlap.
 * 0, or as ratchet_seal, with the channel as it was. */
int channel_seal(struct channel *channel, const struct channel_label *label,
                 const uint8_t nonce[PRIMITIVE_NONCE_BYTES], const uint8_t *text, size_t text_bytes,
                 uint8_t *out, size_t sealed_bytes);

/* A sealed message as it comes in, before anything of it is believed. */
struct channel_message {
    enum channel_kind kind;
    struct x3dh_header header; /* of an initial one */
    const uint8_t *sealed;     /* the ratchet's part, a view */
    size_t sealed_bytes;
};

/* 0; -EBADMSG: malformed; -EPROTO: a version this code does not know. */
int channel_message_read(struct channel_message *ret_message, const uint8_t *bytes, size_t count);

/* True for the channel that initial messages with this header begin. */
bool channel_began_with(const struct channel *channel, const struct x3dh_header *header);

/* Opens a message in a channel that exists. fresh: 32 random bytes (ratchet_open). text has room for
 * message->sealed_bytes. 0; as ratchet_open; -EBADMSG also: an initial message of another channel; then the
 * channel is as it was before. -ENOMSG: the other end sealed this, but did not pad it: there is no text in
 * it, and its key is used up. */
int channel_open(struct channel *channel, const struct channel_message *message,
                 const struct channel_label *label, const uint8_t fresh[PRIMITIVE_KEY_BYTES], uint8_t *text,
                 size_t *ret_text_bytes);

/* Begins a channel at the other end with an initial message, and opens it. identity: the sending device's,
 * from the list that its account key signed. signed_prekey, one_time_prekey: those that message->header
 * names; NULL where the secret is not there any more, or none is named. 0: then the one-time pre-key is used
 * up; -EKEYREJECTED: another identity key than the list's; -ENOKEY: a pre-key is lacking; -EBADMSG, -ERANGE,
 * -ENOMSG: as channel_open. After any error channel is wiped. */
int channel_accept(struct channel *channel, const struct x3dh_end *own, struct x3dh_address remote,
                   const uint8_t identity[IDENTITY_KEY_BYTES], const struct prekey *signed_prekey,
                   const struct prekey *one_time_prekey, const struct channel_message *message,
                   const struct channel_label *label, const uint8_t fresh[PRIMITIVE_KEY_BYTES], uint8_t *text,
                   size_t *ret_text_bytes);

/* For the client's store. write returns the bytes. read: 0; -EUCLEAN; -EPROTO: a newer version. */
size_t channel_state_bytes(const struct channel *channel);
size_t channel_write(const struct channel *channel, uint8_t *ret_bytes);
int channel_read(struct channel *ret_channel, const uint8_t *bytes, size_t count);

#endif
