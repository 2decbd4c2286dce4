#include "tools/client/e2e/channel.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "tools/client/e2e/padding.h"

#define LABEL_BYTES 37
#define ASSOCIATED_BYTES (X3DH_ASSOCIATED_BYTES + X3DH_HEADER_BYTES + LABEL_BYTES)
_Static_assert(ASSOCIATED_BYTES <= RATCHET_ASSOCIATED_BYTES_MAX, "room for what is sealed with a message");

/* --- beginning and end ---------------------------------------------------------------------------------- */

static void init(struct channel *channel, struct x3dh_address own, struct x3dh_address remote,
                 const struct x3dh_header *header, const struct x3dh_agreed *agreed, bool is_initiator) {
    memset(channel, 0, sizeof(*channel));
    channel->own = own;
    channel->remote = remote;
    channel->header = *header;
    memcpy(channel->associated, agreed->associated, sizeof(channel->associated));
    channel->is_initiator = is_initiator;
    channel->is_answered = !is_initiator;
}

int channel_initiate(struct channel *channel, const struct x3dh_end *own, struct x3dh_address remote,
                     const uint8_t identity[IDENTITY_KEY_BYTES], const struct prekey_bundle *bundle,
                     const struct channel_fresh *fresh) {
    struct x3dh_header header;
    struct x3dh_agreed agreed;
    int error = prekey_bundle_verify(bundle, identity);
    if (error)
        return error;
    error = x3dh_initiate(own, remote, bundle, fresh->ephemeral, &header, &agreed);
    if (error)
        return error;
    init(channel, own->address, remote, &header, &agreed, true);
    error = ratchet_init_initiator(&channel->ratchet, agreed.secret, bundle->signed_public, fresh->ratchet);
    x3dh_agreed_fini(&agreed);
    if (error)
        channel_fini(channel);
    return error;
}

void channel_fini(struct channel *channel) {
    primitive_wipe(channel, sizeof(*channel));
}

/* --- messages ------------------------------------------------------------------------------------------- */

static void associate(const struct channel *channel, struct x3dh_address sender,
                      const struct channel_label *label, uint8_t ret_associated[ASSOCIATED_BYTES]) {
    uint8_t *at = ret_associated;
    memcpy(at, channel->associated, X3DH_ASSOCIATED_BYTES);
    at += X3DH_ASSOCIATED_BYTES;
    x3dh_header_write(&channel->header, at);
    at += X3DH_HEADER_BYTES;
    at[0] = CHANNEL_VERSION;
    bytes_put64(at + 1, sender.account);
    bytes_put16(at + 9, sender.device);
    bytes_put64(at + 11, label->to);
    bytes_put64(at + 19, label->epoch);
    bytes_put64(at + 27, label->number);
    bytes_put16(at + 35, label->content_type);
}

/* Of a message that would be sealed now: all but the padded text. */
static size_t overhead_bytes(const struct channel *channel) {
    return CHANNEL_PREFIX_BYTES + (channel->is_answered ? 0 : X3DH_HEADER_BYTES) + RATCHET_OVERHEAD_BYTES;
}

size_t channel_sealed_bytes(const struct channel *channel, size_t text_bytes, size_t sealed_bytes_max) {
    size_t overhead = overhead_bytes(channel);
    if (sealed_bytes_max <= overhead)
        return 0;
    size_t padded = padding_bytes(text_bytes, sealed_bytes_max - overhead);
    return padded ? overhead + padded : 0;
}

size_t channel_text_bytes_max(size_t sealed_bytes_max) {
    /* One byte of padding at least. */
    return sealed_bytes_max > CHANNEL_OVERHEAD_BYTES_MAX ? sealed_bytes_max - CHANNEL_OVERHEAD_BYTES_MAX - 1
                                                         : 0;
}

int channel_seal(struct channel *channel, const struct channel_label *label,
                 const uint8_t nonce[PRIMITIVE_NONCE_BYTES], const uint8_t *text, size_t text_bytes,
                 uint8_t *out, size_t sealed_bytes) {
    uint8_t associated[ASSOCIATED_BYTES];
    must(sealed_bytes > overhead_bytes(channel));
    size_t padded = sealed_bytes - overhead_bytes(channel);
    out[0] = CHANNEL_VERSION;
    out[1] = channel->is_answered ? CHANNEL_ORDINARY : CHANNEL_INITIAL;
    uint8_t *at = out + CHANNEL_PREFIX_BYTES;
    if (!channel->is_answered) {
        x3dh_header_write(&channel->header, at);
        at += X3DH_HEADER_BYTES;
    }
    if (text_bytes)
        memcpy(at + RATCHET_TEXT_OFFSET, text, text_bytes);
    padding_add(at + RATCHET_TEXT_OFFSET, text_bytes, padded);
    associate(channel, channel->own, label, associated);
    int error = ratchet_seal(&channel->ratchet, associated, sizeof(associated), nonce,
                             at + RATCHET_TEXT_OFFSET, padded, at);
    if (error)
        primitive_wipe(out, sealed_bytes); /* the text lies in it, open */
    return error;
}

int channel_message_read(struct channel_message *ret_message, const uint8_t *bytes, size_t count) {
    if (count < CHANNEL_PREFIX_BYTES)
        return -EBADMSG;
    if (bytes[0] != CHANNEL_VERSION)
        return bytes[0] > CHANNEL_VERSION ? -EPROTO : -EBADMSG;
    struct channel_message message = {.kind = (enum channel_kind)bytes[1]};
    size_t used = CHANNEL_PREFIX_BYTES;
    if (message.kind == CHANNEL_INITIAL) {
        if (x3dh_header_read(&message.header, bytes + used, count - used) < 0)
            return -EBADMSG;
        used += X3DH_HEADER_BYTES;
    } else if (message.kind != CHANNEL_ORDINARY) {
        return -EBADMSG;
    }
    message.sealed = bytes + used;
    message.sealed_bytes = count - used;
    if (message.sealed_bytes <= RATCHET_OVERHEAD_BYTES)
        return -EBADMSG;
    *ret_message = message;
    return 0;
}

static int open_in(struct channel *channel, const struct channel_message *message,
                   const struct channel_label *label, const uint8_t *fresh, uint8_t *text,
                   size_t *ret_text_bytes) {
    uint8_t associated[ASSOCIATED_BYTES];
    size_t padded;
    associate(channel, channel->remote, label, associated);
    int error = ratchet_open(&channel->ratchet, associated, sizeof(associated), fresh, message->sealed,
                             message->sealed_bytes, text, &padded);
    if (error)
        return error;
    channel->is_answered = true;
    return padding_remove(text, padded, ret_text_bytes) < 0 ? -ENOMSG : 0;
}

bool channel_began_with(const struct channel *channel, const struct x3dh_header *header) {
    uint8_t one[X3DH_HEADER_BYTES], other[X3DH_HEADER_BYTES];
    x3dh_header_write(&channel->header, one);
    x3dh_header_write(header, other);
    return primitive_equal(one, other, sizeof(one));
}

int channel_open(struct channel *channel, const struct channel_message *message,
                 const struct channel_label *label, const uint8_t fresh[PRIMITIVE_KEY_BYTES], uint8_t *text,
                 size_t *ret_text_bytes) {
    if (message->kind == CHANNEL_INITIAL &&
        (channel->is_initiator || !channel_began_with(channel, &message->header)))
        return -EBADMSG;
    return open_in(channel, message, label, fresh, text, ret_text_bytes);
}

int channel_accept(struct channel *channel, const struct x3dh_end *own, struct x3dh_address remote,
                   const uint8_t identity[IDENTITY_KEY_BYTES], const struct prekey *signed_prekey,
                   const struct prekey *one_time_prekey, const struct channel_message *message,
                   const struct channel_label *label, const uint8_t fresh[PRIMITIVE_KEY_BYTES], uint8_t *text,
                   size_t *ret_text_bytes) {
    const struct x3dh_header *header = &message->header;
    struct x3dh_agreed agreed;
    must(message->kind == CHANNEL_INITIAL);
    if (!primitive_equal(header->identity, identity, IDENTITY_KEY_BYTES))
        return -EKEYREJECTED;
    if (!signed_prekey || (header->one_time_id && !one_time_prekey))
        return -ENOKEY;
    int error = x3dh_respond(own, remote, header, signed_prekey, one_time_prekey, &agreed);
    if (error)
        return error;
    init(channel, own->address, remote, header, &agreed, false);
    ratchet_init_responder(&channel->ratchet, agreed.secret, signed_prekey->secret);
    x3dh_agreed_fini(&agreed);
    error = open_in(channel, message, label, fresh, text, ret_text_bytes);
    if (error)
        channel_fini(channel);
    return error;
}

/* --- the stored state ----------------------------------------------------------------------------------- */

#define STORED_VERSION 1

static struct x3dh_address read_address(const uint8_t *at) {
    return (struct x3dh_address){.account = bytes_get64(at), .device = bytes_get16(at + 8)};
}

size_t channel_state_bytes(const struct channel *channel) {
    return CHANNEL_FIXED_BYTES + ratchet_state_bytes(&channel->ratchet);
}

size_t channel_write(const struct channel *channel, uint8_t *ret_bytes) {
    bytes_put16(ret_bytes, STORED_VERSION);
    ret_bytes[2] = channel->is_initiator;
    ret_bytes[3] = channel->is_answered;
    x3dh_header_write(&channel->header, ret_bytes + 4);
    memcpy(ret_bytes + 4 + X3DH_HEADER_BYTES, channel->associated, X3DH_ASSOCIATED_BYTES);
    return CHANNEL_FIXED_BYTES + ratchet_write(&channel->ratchet, ret_bytes + CHANNEL_FIXED_BYTES);
}

/* Who is at the ends stands in the associated data: initiator first. */
int channel_read(struct channel *ret_channel, const uint8_t *bytes, size_t count) {
    struct x3dh_header header;
    if (count >= 2 && bytes_get16(bytes) > STORED_VERSION)
        return -EPROTO;
    if (count < CHANNEL_FIXED_BYTES || bytes_get16(bytes) != STORED_VERSION || bytes[2] > 1 || bytes[3] > 1 ||
        (!bytes[2] && !bytes[3]) || x3dh_header_read(&header, bytes + 4, X3DH_HEADER_BYTES) < 0)
        return -EUCLEAN;
    int error = ratchet_read(&ret_channel->ratchet, bytes + CHANNEL_FIXED_BYTES, count - CHANNEL_FIXED_BYTES);
    if (error)
        return error;
    ret_channel->is_initiator = bytes[2];
    ret_channel->is_answered = bytes[3];
    ret_channel->header = header;
    memcpy(ret_channel->associated, bytes + 4 + X3DH_HEADER_BYTES, X3DH_ASSOCIATED_BYTES);
    const uint8_t *addresses = ret_channel->associated + 2 * IDENTITY_ENCODED_BYTES;
    struct x3dh_address initiator = read_address(addresses);
    struct x3dh_address responder = read_address(addresses + X3DH_ADDRESS_BYTES);
    ret_channel->own = ret_channel->is_initiator ? initiator : responder;
    ret_channel->remote = ret_channel->is_initiator ? responder : initiator;
    return 0;
}
