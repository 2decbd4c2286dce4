#include "bench/torture_codes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/frame_keys.h"
#include "tools/client/client.h"
#include "tools/client/link.h"
#include "tools/client/peer.h"

#define ANSWER_S 20 /* from the switch */
#define INPUT_BYTES 4096

struct asking {
    struct peer *peer;
    uint32_t count, got;
    uint8_t (*codes)[FRAME_CODE_BYTES];
};

static int ask(struct peer *peer, uint32_t request) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    return peer_put(peer, out, frame_write_code_get(out, request));
}

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct asking *asking = context;
    struct frame_code code;
    if (frame->type == FRAME_WELCOME)
        return ask(peer, 1);
    if (frame->type != FRAME_CODE)
        return 0;
    if (frame_read_code(frame, &code) < 0 || code.status || code.request != asking->got + 1)
        return -EPROTO;
    memcpy(asking->codes[asking->got++], code.code, FRAME_CODE_BYTES);
    return asking->got < asking->count ? ask(peer, asking->got + 1) : 0;
}

static int connect_to(const struct uri *uri) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(uri->port)};
    struct timeval patience = {.tv_sec = ANSWER_S};
    if (inet_pton(AF_INET, uri->host, &address.sin_addr) != 1)
        return -EINVAL;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

static int talk(struct asking *asking, int fd) {
    uint8_t input[INPUT_BYTES];
    while (asking->got < asking->count) {
        const uint8_t *bytes;
        size_t count;
        while ((count = peer_output(asking->peer, &bytes)) != 0) {
            ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
            if (sent < 0)
                return -errno;
            peer_sent(asking->peer, (size_t)sent);
        }
        ssize_t received = recv(fd, input, sizeof(input), 0);
        if (received <= 0)
            return received < 0 ? -errno : -ECONNRESET;
        int error = peer_input(asking->peer, input, (size_t)received, on_frame, asking);
        if (error)
            return error;
    }
    return 0;
}

/* As the device that this state is of. */
static int ask_as(struct state *state, const struct uri *uri, struct asking *asking) {
    uint8_t ephemeral[NOISE_KEY_BYTES];
    struct identity identity;
    int error = state_look(state);
    if (error)
        return error;
    error = state_identity(state, &identity);
    state_end(state);
    if (error)
        return error;
    randombytes_buf(ephemeral, sizeof(ephemeral));
    struct peer_setup setup = {.pattern = HELLO_IK,
                               .device_secret = identity.secret,
                               .server_public = uri->key,
                               .ephemeral_secret = ephemeral,
                               .link = {.account = uri->account, .epoch = identity.epoch},
                               .is_link = true};
    memcpy(setup.link.code, uri->code, sizeof(setup.link.code));
    int fd = connect_to(uri);
    error = fd < 0 ? fd : peer_create(&setup, &asking->peer);
    if (!error)
        error = talk(asking, fd);
    if (asking->peer)
        peer_destroy(asking->peer);
    if (fd >= 0)
        close(fd);
    sodium_memzero(&identity, sizeof(identity));
    sodium_memzero(ephemeral, sizeof(ephemeral));
    return error;
}

int torture_codes(const char *home, const struct uri *uri, uint32_t count,
                  uint8_t (*ret_codes)[FRAME_CODE_BYTES]) {
    struct asking asking = {.count = count, .codes = ret_codes};
    struct client *client;
    int error = client_open(home, true, &client);
    if (error)
        return error;
    error = link_prepare(client_state(client), uri);
    if (error >= 0)
        error = ask_as(client_state(client), uri, &asking);
    client_close(client);
    return error;
}
