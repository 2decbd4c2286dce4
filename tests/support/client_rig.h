/* tests/support/client_rig.h: a client's engine and state in a folder of its own, and the test as its switch,
 * in plaintext: the test says frames and looks at those that come.
 *
 * Threads: one.  Memory: the caller's; client_rig_end removes the folder. */
#ifndef TERN_TESTS_SUPPORT_CLIENT_RIG_H
#define TERN_TESTS_SUPPORT_CLIENT_RIG_H

#include "tools/client/engine.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"
#include "tools/client/state_request.h"

#define RIG_ACCOUNT 11 /* the device's own */
#define RIG_DEVICE 3
#define RIG_EPOCH 0x1122334455667788
#define RIG_OTHER 22                       /* an account it talks to */
#define RIG_UTC_MS UINT64_C(1700000000000) /* what time it is when the rig's clock says 0 */
#define RIG_FRAMES_MAX 4096

struct client_rig {
    char folder[64];
    struct state *state;
    struct engine *engine;
    uint64_t now_ms;
    uint32_t unticked_max, payload_bytes_max, ping_s; /* what WELCOME says */
    struct frame frames[RIG_FRAMES_MAX];              /* what the device said, not taken yet */
    size_t frame_count, frame_at;
    uint8_t *bytes; /* of the frames */
    size_t byte_count;
};

/* With a linked identity, not connected. */
void client_rig_begin(struct client_rig *rig);
void client_rig_end(struct client_rig *rig);
/* A session begins: hello, the first frame (which is checked), WELCOME, a turn. */
void client_rig_connect(struct client_rig *rig);
void client_rig_disconnect(struct client_rig *rig);
/* The process ends and another one starts on the same folder. */
void client_rig_restart(struct client_rig *rig);

/* One frame in a record; no turn. Returns engine_input's. */
int client_rig_say(struct client_rig *rig, const uint8_t *frame, size_t frame_bytes);
int client_rig_say_message(struct client_rig *rig, uint64_t number,
                           const char *text); /* of RIG_OTHER's device 1 */
int client_rig_say_receipt(struct client_rig *rig, uint64_t first, uint64_t last, uint8_t flags);
int client_rig_say_refused(struct client_rig *rig, uint64_t number, uint16_t reason, uint32_t retry_ms);
/* engine_turn, and gathers what the device says. */
int client_rig_turn(struct client_rig *rig);

/* The next frame that the device said; fails the test where it is of another type. */
struct frame client_rig_expect(struct client_rig *rig, enum frame_type type);
void client_rig_expect_message(struct client_rig *rig, uint64_t number, bool first);
void client_rig_expect_ack(struct client_rig *rig, uint64_t count);
void client_rig_expect_nothing(struct client_rig *rig);

/* Puts a message to RIG_OTHER into the outbox, in a transaction of its own; its number. */
uint64_t client_rig_send(struct client_rig *rig, const char *text);
/* The ticks to show of a message to RIG_OTHER. */
uint8_t client_rig_ticks(struct client_rig *rig, uint64_t number);

#endif
