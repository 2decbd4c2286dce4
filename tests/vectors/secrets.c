/* e2esecrets: the secrets of a device, from its home folder, for a test that looks for them elsewhere.
 *
 *   e2esecrets HOME ACCOUNT DEVICE
 *
 * prints its own and those of the channel in which it seals for this device, each as its name and 32 bytes in
 * hex; `sent` is the number of messages that its sending chain is past. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/client.h"
#include "tools/client/state_channels.h"
#include "tools/client/state_keys.h"

static void say(const char *name, const uint8_t secret[PRIMITIVE_KEY_BYTES]) {
    char text[2 * PRIMITIVE_KEY_BYTES + 1];
    printf("%s %s\n", name, sodium_bin2hex(text, sizeof(text), secret, PRIMITIVE_KEY_BYTES));
}

static int say_own(struct state *state) {
    struct identity identity;
    struct identity_keys keys;
    int error = state_identity(state, &identity);
    if (error)
        return error;
    say("transport", identity.secret);
    if (state_keys_identity(state, &keys) == 0)
        say("identity", keys.seed);
    if (state_keys_account(state, &keys) == 0)
        say("account", keys.seed);
    return 0;
}

static int say_channel(struct state *state, struct x3dh_address remote) {
    struct channels channels;
    int error = state_channels_get(state, remote, &channels);
    if (error)
        return error;
    const struct channel *channel = channels_active(&channels);
    if (channel) {
        const struct ratchet_state *ratchet = &channel->ratchet.state;
        say("root", ratchet->root);
        say("ratchet", ratchet->secret);
        say("sending", ratchet->sending);
        printf("sent %u\n", ratchet->sent);
    }
    channels_fini(&channels);
    return channel ? 0 : -ENOENT;
}

int main(int argc, char **argv) {
    struct client *client;
    if (argc != 4) {
        fputs("usage: e2esecrets HOME ACCOUNT DEVICE\n", stderr);
        return 2;
    }
    struct x3dh_address remote = {.account = strtoull(argv[2], NULL, 10),
                                  .device = (uint16_t)strtoul(argv[3], NULL, 10)};
    int error = client_open(argv[1], false, &client);
    if (!error) {
        struct state *state = client_state(client);
        error = state_look(state);
        if (!error) {
            error = say_own(state);
            if (!error)
                error = say_channel(state, remote);
            state_end(state);
        }
        client_close(client);
    }
    if (error)
        fprintf(stderr, "e2esecrets: %s\n", strerror(-error));
    return error != 0;
}
