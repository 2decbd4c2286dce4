#include "tools/client/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "core/reason.h"
#include "core/record.h"

#define BUFFER_BYTES_MIN 512
#define UNIT_BYTES_MAX (RECORD_LENGTH_BYTES + RECORD_SEALED_BYTES_MAX)
#define RECORD_FRAMES_BYTES_MIN 16384 /* what a switch takes in a record whatever its largest payload */
#define OUTPUT_BYTES_MAX (256u << 10) /* sealed at a time; the rest stays gathered */

enum peer_state {
    PEER_HELLO = 1, /* the switch's hello is awaited */
    PEER_HANDSHAKE,
    PEER_LOGIN, /* the first frame is out, WELCOME is awaited */
    PEER_OPEN,
    PEER_CLOSED, /* the switch said CLOSE: nothing after it is looked at */
    PEER_FAILED,
};

/* Bytes at [begin, end); what is before begin was taken already. */
struct buffer {
    uint8_t *bytes;
    size_t begin, end, capacity;
};

struct peer {
    enum peer_state state;
    int error; /* of PEER_FAILED */
    enum hello_pattern pattern;
    uint8_t ciphers; /* enum hello_cipher_bits: offered */
    bool is_link;
    struct frame_link link;
    uint8_t device_secret[NOISE_KEY_BYTES], ephemeral_secret[NOISE_KEY_BYTES];
    uint8_t server_key[NOISE_KEY_BYTES];
    bool server_known;
    uint8_t prologue[2 * HELLO_BYTES];
    struct noise_handshake handshake;
    struct noise_cipher_state send, receive;
    size_t record_frames_bytes; /* the most that goes into a record */
    const char *refusal;
    uint16_t close_reason;
    struct buffer in;       /* the unit that is arriving */
    struct buffer gathered; /* whole frames */
    struct buffer out;      /* for the socket */
};

/* --- buffers -------------------------------------------------------------------------------------------- */

static void buffer_fini(struct buffer *buffer) {
    if (buffer->bytes)
        explicit_bzero(buffer->bytes, buffer->capacity);
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

static size_t buffer_count(const struct buffer *buffer) {
    return buffer->end - buffer->begin;
}

/* Room for so many bytes at the end. Not realloc, which would leave a copy of secrets behind. */
static uint8_t *buffer_space(struct buffer *buffer, size_t bytes) {
    size_t count = buffer_count(buffer);
    if (buffer->capacity - buffer->end >= bytes)
        return buffer->bytes + buffer->end;
    if (buffer->capacity >= count + bytes) {
        memmove(buffer->bytes, buffer->bytes + buffer->begin, count);
    } else {
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_BYTES_MIN;
        while (capacity < count + bytes)
            capacity *= 2;
        uint8_t *larger = malloc(capacity);
        if (!larger)
            return NULL;
        if (count)
            memcpy(larger, buffer->bytes + buffer->begin, count);
        buffer_fini(buffer);
        buffer->bytes = larger;
        buffer->capacity = capacity;
    }
    buffer->begin = 0;
    buffer->end = count;
    return buffer->bytes + count;
}

static void buffer_take(struct buffer *buffer, size_t count) {
    must(count <= buffer_count(buffer));
    buffer->begin += count;
    if (buffer->begin == buffer->end)
        buffer->begin = buffer->end = 0;
}

/* --- a life --------------------------------------------------------------------------------------------- */

static uint8_t all_ciphers(void) {
    return HELLO_OFFERS_CHACHAPOLY | (noise_has_aes() ? HELLO_OFFERS_AESGCM : 0);
}

int peer_create(const struct peer_setup *setup, struct peer **ret_peer) {
    if (noise_init() < 0)
        return -ENOSYS;
    struct peer *peer = calloc(1, sizeof(*peer));
    uint8_t *hello = peer ? buffer_space(&peer->out, HELLO_BYTES) : NULL;
    if (!hello) {
        free(peer);
        return -ENOMEM;
    }
    peer->state = PEER_HELLO;
    peer->pattern = setup->pattern;
    peer->link = setup->link;
    peer->is_link = setup->is_link;
    peer->record_frames_bytes = RECORD_FRAMES_BYTES_MIN;
    if (setup->pattern != HELLO_PLAINTEXT) {
        peer->ciphers = setup->ciphers ? setup->ciphers : all_ciphers();
        memcpy(peer->device_secret, setup->device_secret, NOISE_KEY_BYTES);
        memcpy(peer->ephemeral_secret, setup->ephemeral_secret, NOISE_KEY_BYTES);
    }
    if (setup->pattern == HELLO_IK)
        memcpy(peer->server_key, setup->server_public, NOISE_KEY_BYTES);
    struct hello_client body = {
        .version_min = HELLO_VERSION,
        .version_max = HELLO_VERSION,
        .pattern = (uint8_t)setup->pattern,
        .ciphers = peer->ciphers,
        .features = HELLO_FEATURES,
    };
    hello_write_client(hello, &body);
    memcpy(peer->prologue, hello, HELLO_BYTES);
    peer->out.end += HELLO_BYTES;
    *ret_peer = peer;
    return 0;
}

void peer_destroy(struct peer *peer) {
    if (!peer)
        return;
    buffer_fini(&peer->in);
    buffer_fini(&peer->gathered);
    buffer_fini(&peer->out);
    explicit_bzero(peer, sizeof(*peer));
    free(peer);
}

const char *peer_refusal(const struct peer *peer) {
    return peer->refusal;
}

unsigned peer_close_reason(const struct peer *peer) {
    return peer->close_reason;
}

const uint8_t *peer_server_key(const struct peer *peer) {
    return peer->server_known ? peer->server_key : NULL;
}

bool peer_is_open(const struct peer *peer) {
    return peer->state == PEER_OPEN;
}

/* --- hello and handshake -------------------------------------------------------------------------------- */

static const char *const hello_refusals[] = {
    [HELLO_BAD_VERSION] = "the switch speaks another version of the protocol",
    [HELLO_BAD_CIPHER] = "the switch has no cipher in common",
    [HELLO_BAD_PATTERN] = "the switch does not take this handshake pattern here",
    [HELLO_PLAINTEXT_REFUSED] = "the switch does not take plaintext here",
    [HELLO_OVERLOAD] = "the switch takes no connection just now",
    [HELLO_ADDRESS_LIMIT] = "the switch has as many connections of this address as it takes",
    [HELLO_BAD_RESERVED] = "the switch found reserved bits set in the hello",
    [HELLO_CONNECTION_LIMIT] = "the switch has as many connections as it takes",
    [HELLO_PENDING_LIMIT] = "too many others are logging in just now",
    [HELLO_ADDRESS_RATE] = "too many connections came from this address lately",
    [HELLO_ADDRESS_PENDING] = "too many connections of this address have not logged in",
};

static const char *hello_refusal(uint8_t status) {
    size_t count = sizeof(hello_refusals) / sizeof(*hello_refusals);
    return status < count ? hello_refusals[status]
                          : "the switch refused the hello for a reason this version does not know";
}

/* The first frame, alone in the first record. */
static int put_first_frame(struct peer *peer) {
    uint8_t *space = buffer_space(&peer->out, FRAME_SMALL_BYTES_MAX);
    if (!space)
        return -ENOMEM;
    size_t bytes =
        frame_write_link(space + RECORD_LENGTH_BYTES, peer->is_link ? FRAME_LINK : FRAME_LOGIN, &peer->link);
    peer->out.end += record_seal(&peer->send, space, bytes);
    explicit_bzero(peer->link.code, sizeof(peer->link.code));
    peer->state = PEER_LOGIN;
    return 0;
}

static int put_handshake(struct peer *peer) {
    size_t bytes = noise_handshake_message_bytes(&peer->handshake);
    uint8_t *space = buffer_space(&peer->out, RECORD_LENGTH_BYTES + bytes);
    if (!space)
        return -ENOMEM;
    int error = noise_handshake_write(&peer->handshake, NULL, 0, space + RECORD_LENGTH_BYTES, &bytes);
    if (error)
        return error;
    bytes_put16(space, (uint16_t)bytes);
    peer->out.end += RECORD_LENGTH_BYTES + bytes;
    return 0;
}

/* Both hellos are in the prologue: an answer that somebody on the way changed makes the handshake fail. */
static int start_handshake(struct peer *peer, uint8_t cipher) {
    struct noise_setup setup = {
        .pattern = (enum noise_pattern)peer->pattern,
        .cipher = (enum noise_cipher)cipher,
        .initiator = true,
        .prologue = peer->prologue,
        .prologue_bytes = sizeof(peer->prologue),
        .static_secret = peer->device_secret,
        .ephemeral_secret = peer->ephemeral_secret,
        .remote_static = peer->server_key,
    };
    int error = noise_handshake_init(&peer->handshake, &setup);
    explicit_bzero(peer->device_secret, sizeof(peer->device_secret));
    explicit_bzero(peer->ephemeral_secret, sizeof(peer->ephemeral_secret));
    if (error)
        return error;
    peer->state = PEER_HANDSHAKE;
    return put_handshake(peer);
}

/* Exactly one of those that were offered. */
static bool is_offered(const struct peer *peer, uint8_t cipher) {
    return (cipher == NOISE_AESGCM && (peer->ciphers & HELLO_OFFERS_AESGCM)) ||
           (cipher == NOISE_CHACHAPOLY && (peer->ciphers & HELLO_OFFERS_CHACHAPOLY));
}

static int take_hello(struct peer *peer, const uint8_t *bytes) {
    struct hello_server hello;
    if (hello_read_server(bytes, &hello) < 0)
        return -EPROTO;
    if (hello.status != HELLO_OK) {
        peer->refusal = hello_refusal(hello.status);
        return -ECONNREFUSED;
    }
    if (hello.version != HELLO_VERSION || hello.pattern != peer->pattern ||
        (hello.features & ~HELLO_FEATURES))
        return -EPROTO;
    memcpy(peer->prologue + HELLO_BYTES, bytes, HELLO_BYTES);
    if (peer->pattern != HELLO_PLAINTEXT)
        return is_offered(peer, hello.cipher) ? start_handshake(peer, hello.cipher) : -EPROTO;
    if (hello.cipher != NOISE_PLAIN)
        return -EPROTO;
    noise_cipher_init(&peer->send, NOISE_PLAIN, NULL);
    noise_cipher_init(&peer->receive, NOISE_PLAIN, NULL);
    return put_first_frame(peer);
}

static int take_handshake(struct peer *peer, const uint8_t *message, size_t message_bytes) {
    struct noise_handshake *handshake = &peer->handshake;
    uint8_t payload[NOISE_KEY_BYTES * 4];
    size_t payload_bytes = 0;
    if (message_bytes != noise_handshake_message_bytes(handshake))
        return -EPROTO;
    int error = noise_handshake_read(handshake, message, message_bytes, payload, &payload_bytes);
    if (!error && noise_handshake_writes(handshake))
        error = put_handshake(peer);
    if (error)
        return error;
    must(noise_handshake_complete(handshake)); /* the switch's message is the last but perhaps one of ours */
    memcpy(peer->server_key, handshake->remote_static, NOISE_KEY_BYTES);
    peer->server_known = true;
    noise_handshake_split(handshake, &peer->send, &peer->receive);
    noise_handshake_fini(handshake);
    return put_first_frame(peer);
}

/* --- frames of the switch ------------------------------------------------------------------------------- */

static int take_welcome(struct peer *peer, const struct frame *frame) {
    struct frame_welcome welcome;
    if (peer->state != PEER_LOGIN || frame_read_welcome(frame, &welcome) < 0)
        return -EPROTO;
    if (welcome.payload_bytes_max > FRAME_PAYLOAD_BYTES_MAX)
        return -EPROTO;
    size_t message_bytes = FRAME_MESSAGE_BYTES + (size_t)welcome.payload_bytes_max;
    if (message_bytes > RECORD_FRAMES_BYTES_MIN)
        peer->record_frames_bytes = message_bytes;
    peer->state = PEER_OPEN;
    return 0;
}

static int take_close(struct peer *peer, const struct frame *frame) {
    struct frame_close body;
    if (frame_read_close(frame, &body) < 0)
        return -EPROTO;
    peer->close_reason = body.reason;
    peer->refusal = close_reason_help(body.reason);
    if (frame->type == FRAME_CLOSE)
        peer->state = PEER_CLOSED;
    return 0;
}

/* What the peer itself has to know of a frame. 0; -ENODATA: nothing for the callback; -EPROTO: not from a
 * switch, or not now. */
static int judge_frame(struct peer *peer, const struct frame *frame) {
    switch (frame->type) {
    case FRAME_WELCOME:
        return take_welcome(peer, frame);
    case FRAME_CLOSE:
        return take_close(peer, frame);
    case FRAME_RECONNECT:
        return peer->state == PEER_OPEN ? take_close(peer, frame) : -EPROTO;
    case FRAME_MESSAGE: /* its flags are a device's to set */
        return peer->state == PEER_OPEN && frame->flags == 0 ? 0 : -EPROTO;
    case FRAME_RECEIPT:
    case FRAME_CONFIRM:
    case FRAME_REFUSED:
    case FRAME_PING:
    case FRAME_PONG:
    case FRAME_ACCOUNT:
    case FRAME_BLOCKED:
    case FRAME_KEYS_STOCK:
    case FRAME_KEYS:
    case FRAME_LIST_STORED:
    case FRAME_LIST:
    case FRAME_CODE:
    case FRAME_DEVICE_REMOVED:
    case FRAME_TARGETS:
        return peer->state == PEER_OPEN ? 0 : -EPROTO;
    case FRAME_LINK:
    case FRAME_LOGIN:
    case FRAME_ACK:
    case FRAME_MARK:
    case FRAME_LOOKUP:
    case FRAME_BLOCK:
    case FRAME_KEYS_PUT:
    case FRAME_KEYS_GET:
    case FRAME_LIST_PUT:
    case FRAME_LIST_GET:
    case FRAME_CODE_GET:
    case FRAME_DEVICE_REMOVE:
        return -EPROTO;
    default:
        return -ENODATA;
    }
}

static int take_record(struct peer *peer, uint8_t *sealed, size_t sealed_bytes, peer_on_frame *on_frame,
                       void *context) {
    size_t left = 0;
    if (record_open(&peer->receive, sealed, sealed_bytes, &left) < 0)
        return -EBADMSG;
    int error = 0;
    while (!error && left && peer->state != PEER_CLOSED) {
        struct frame frame;
        error = frame_next(&sealed, &left, &frame);
        if (!error)
            error = judge_frame(peer, &frame);
        if (!error)
            error = on_frame(context, peer, &frame);
        else if (error == -ENODATA)
            error = 0;
    }
    return error;
}

/* --- input ---------------------------------------------------------------------------------------------- */

/* Bytes of the unit that is arriving, as far as what is there tells. */
static size_t unit_bytes(const struct peer *peer) {
    if (peer->state == PEER_HELLO)
        return HELLO_BYTES;
    if (buffer_count(&peer->in) < RECORD_LENGTH_BYTES)
        return RECORD_LENGTH_BYTES;
    return RECORD_LENGTH_BYTES + record_sealed_bytes(peer->in.bytes);
}

static int take_unit(struct peer *peer, peer_on_frame *on_frame, void *context) {
    uint8_t *unit = peer->in.bytes;
    size_t bytes = buffer_count(&peer->in);
    buffer_take(&peer->in, bytes); /* the bytes stay where they are until the next ones are put in */
    if (peer->state == PEER_HELLO)
        return take_hello(peer, unit);
    if (peer->state == PEER_HANDSHAKE)
        return take_handshake(peer, unit + RECORD_LENGTH_BYTES, bytes - RECORD_LENGTH_BYTES);
    return take_record(peer, unit + RECORD_LENGTH_BYTES, bytes - RECORD_LENGTH_BYTES, on_frame, context);
}

/* Takes bytes up to the end of the unit, or to the end of its length field; *ret_whole where the unit is
 * there. */
static int gather_unit(struct peer *peer, const uint8_t **bytes, size_t *count, bool *ret_whole) {
    size_t have = buffer_count(&peer->in);
    size_t needed = unit_bytes(peer) - have;
    size_t taken = needed < *count ? needed : *count;
    uint8_t *space = buffer_space(&peer->in, needed);
    if (!space)
        return -ENOMEM;
    memcpy(space, *bytes, taken);
    peer->in.end += taken;
    *bytes += taken;
    *count -= taken;
    *ret_whole = buffer_count(&peer->in) == unit_bytes(peer);
    return 0;
}

int peer_input(struct peer *peer, const uint8_t *bytes, size_t count, peer_on_frame *on_frame,
               void *context) {
    if (peer->state == PEER_FAILED)
        return peer->error;
    int error = 0;
    while (!error && count && peer->state != PEER_CLOSED) {
        bool whole = false;
        error = gather_unit(peer, &bytes, &count, &whole);
        if (!error && whole)
            error = take_unit(peer, on_frame, context);
    }
    if (error) {
        peer->state = PEER_FAILED;
        peer->error = error;
    }
    return error;
}

/* --- output --------------------------------------------------------------------------------------------- */

uint8_t *peer_put_space(struct peer *peer, size_t bytes) {
    if (buffer_count(&peer->gathered) + bytes > PEER_GATHERED_BYTES_MAX)
        return NULL;
    return buffer_space(&peer->gathered, bytes);
}

void peer_put_done(struct peer *peer, size_t bytes) {
    struct buffer *gathered = &peer->gathered;
    must(bytes >= FRAME_HEADER_BYTES && bytes <= FRAME_BYTES_MAX &&
         bytes <= gathered->capacity - gathered->end);
    must(bytes == FRAME_HEADER_BYTES + (size_t)bytes_get16(gathered->bytes + gathered->end));
    gathered->end += bytes;
}

int peer_put(struct peer *peer, const uint8_t *frame, size_t frame_bytes) {
    uint8_t *space = peer_put_space(peer, frame_bytes);
    if (!space)
        return -ENOMEM;
    memcpy(space, frame, frame_bytes);
    peer_put_done(peer, frame_bytes);
    return 0;
}

size_t peer_put_bytes(const struct peer *peer) {
    return buffer_count(&peer->gathered);
}

/* Bytes of the whole frames that go into the next record: at least one, even one that the switch will find
 * too large. */
static size_t next_record_bytes(const struct peer *peer) {
    const struct buffer *gathered = &peer->gathered;
    size_t bytes = 0;
    while (bytes < buffer_count(gathered)) {
        size_t more = FRAME_HEADER_BYTES + (size_t)bytes_get16(gathered->bytes + gathered->begin + bytes);
        if (bytes && bytes + more > peer->record_frames_bytes)
            break;
        bytes += more;
    }
    return bytes;
}

/* Without memory the frames stay gathered and go with a later call. */
static void seal_gathered(struct peer *peer) {
    size_t bytes;
    while ((bytes = next_record_bytes(peer)) != 0 && buffer_count(&peer->out) < OUTPUT_BYTES_MAX) {
        uint8_t *space = buffer_space(&peer->out, bytes + record_overhead_bytes(&peer->send));
        if (!space)
            return;
        memcpy(space + RECORD_LENGTH_BYTES, peer->gathered.bytes + peer->gathered.begin, bytes);
        buffer_take(&peer->gathered, bytes);
        peer->out.end += record_seal(&peer->send, space, bytes);
    }
}

/* Sealed only when the socket took all there was: meanwhile more comes together in a record. */
size_t peer_output(struct peer *peer, const uint8_t **ret_bytes) {
    if (peer->state == PEER_OPEN && buffer_count(&peer->out) == 0)
        seal_gathered(peer);
    *ret_bytes = peer->out.bytes + peer->out.begin;
    return buffer_count(&peer->out);
}

void peer_sent(struct peer *peer, size_t count) {
    buffer_take(&peer->out, count);
}
