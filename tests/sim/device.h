/* tests/sim/device.h: the inside of a simulated device, for client.c and sight.c alone.
 *
 * Threads: one.  Memory: the library's. */
#ifndef TERN_TESTS_SIM_DEVICE_H
#define TERN_TESTS_SIM_DEVICE_H

#include "tests/sim/sim.h"
#include "tools/client/engine.h"

#define NUMBERS_MAX 256 /* of a device to an account */
#define WANTS_MAX 32    /* what people want of a device while it is within a transaction */
#define UNREAD_KEPT 16  /* of the last messages shown, those that may still be read */

/* Why a message is in the list: something was said about it, or it is not sent yet and may fail without a
 * word. */
enum touch { TOUCH_NONE, TOUCH_TOLD, TOUCH_UNSENT };

enum want_kind { WANT_SEND, WANT_READ, WANT_BLOCK };

struct want {
    enum want_kind kind;
    uint64_t account;
    uint32_t ttl_s, bytes;
    bool on;
};

struct client {
    bool exists, has_code, gone;
    uint64_t account;
    uint16_t number; /* 0: not linked */
    bool reachable;  /* the oracle knows that messages reach it */
    struct state *state;
    struct engine *engine;
    uint32_t link;
    bool within; /* a transaction of the engine may be open */
    uint64_t turn_ms, come_again_ms;
    uint64_t version; /* of the state that people were shown last */
    uint64_t shown;   /* position in the inbox up to which they were */
    struct want wants[WANTS_MAX];
    uint32_t want_count;
    uint16_t open[SIM_MESSAGES_MAX];   /* messages it sent whose ticks have to be looked at */
    uint8_t touched[SIM_MESSAGES_MAX]; /* enum touch: those in the list */
    uint32_t open_count;
    struct message_id unread[UNREAD_KEPT];
    uint16_t unread_message[UNREAD_KEPT];
    uint32_t unread_next;
};

extern struct client clients[SIM_DEVICES_MAX];

/* Shows people what is new in the state: messages, then ticks. After a commit. */
void sight_show(struct client *client);
/* At the end: the ticks that each device shows of what others of its account sent. */
void sight_show_copies(void);
/* Something came about a message that this device sent: at the next commit its ticks are looked at. */
void sight_touch(uint32_t device, uint32_t message);

#endif
