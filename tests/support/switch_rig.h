/* tests/support/switch_rig.h: a whole switch in this process, its admin thread in a thread of its own, and
 * devices that talk to it through sockets. What goes wrong ends the test with a line that says what.
 *
 * Threads: start and stop: one. A device: one at a time. switch_rig_ask: any, each call has its own
 * connection. */
#ifndef TERN_TESTS_SUPPORT_SWITCH_RIG_H
#define TERN_TESTS_SUPPORT_SWITCH_RIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"
#include "core/noise.h"

#define SWITCH_RIG_PATH_BYTES 128

struct peer;

struct rig_device {
    uint64_t account, epoch, next; /* next: the number of the next message it sends */
    uint64_t to;                   /* the account it sends to, and counts ticks of */
    uint8_t secret[NOISE_KEY_BYTES], code[FRAME_CODE_BYTES];
    struct peer *peer; /* NULL: not connected */
    int fd;
    uint16_t device; /* 0: not linked yet */
    bool ended;      /* the switch closed */
    /* what it saw */
    uint64_t items, items_acked;
    uint64_t received, last_number;   /* messages, each number above the one before */
    uint64_t sent, delivered, failed; /* how many of its numbers have the tick */
    uint8_t *ticks;                   /* [number] */
    uint64_t tick_count;
    unsigned refusal, close_reason;
};

/* Starts it with these options of ternd, which stay, besides --data, --admin and --listen. */
void switch_rig_start(const char *const *options, int count);
/* Waits for its end, which something has begun: its exit status. Removes its folder. */
int switch_rig_wait(void);
const char *switch_rig_admin(void);

/* Sends a request, a JSON object in one line; the answer is the caller's to delete. */
cJSON *switch_rig_ask(const char *line);
/* The same, where only `field` of the answer is wanted; -1: the answer is not ok. */
double switch_rig_number(const char *line, const char *field);
/* The value of a counter. */
double switch_rig_stat(const char *name);

/* An account and its first device, which is not connected. */
void rig_device_create(struct rig_device *device, const char *name);
void rig_device_destroy(struct rig_device *device);
/* Connects and links or logs in; false: it was closed instead. */
bool rig_device_open(struct rig_device *device);
void rig_device_close(struct rig_device *device);
void rig_device_send(struct rig_device *device, uint64_t to, const void *payload, uint32_t bytes);
/* Takes what comes, and acknowledges, until *count has reached `wanted` or the time is over, or it is
 * closed. */
bool rig_device_wait(struct rig_device *device, const uint64_t *count, uint64_t wanted);
/* The same until the switch has closed: why (enum close_reason). */
unsigned rig_device_wait_closed(struct rig_device *device);

#endif
