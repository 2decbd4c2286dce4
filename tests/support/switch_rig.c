#include "tests/support/switch_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/admin.h"
#include "core/must.h"
#include "tools/client/peer.h"
#include "tools/ternd/daemon.h"

#define OPTIONS_MAX 32
#define PATIENCE_MS 20000
#define RECEIVE_BYTES 65536
#define LINE_BYTES_MAX (1u << 20)

static struct {
    char folder[SWITCH_RIG_PATH_BYTES], data[SWITCH_RIG_PATH_BYTES + 8], admin[SWITCH_RIG_PATH_BYTES + 8];
    char *arguments[OPTIONS_MAX];
    struct options options;
    struct config config;
    struct daemon daemon;
    pthread_t thread;
    pthread_barrier_t ready;
    int status;
    struct admin_switch known;
} rig;

/* --- the switch ----------------------------------------------------------------------------------------- */

static void *run(void *context) {
    char error[512] = "";
    (void)context;
    if (daemon_open(&rig.daemon, &rig.options, &rig.config, error, sizeof(error))) {
        printf("not ok start %s\n", error);
        exit(1);
    }
    pthread_barrier_wait(&rig.ready);
    rig.status = daemon_run(&rig.daemon);
    daemon_close(&rig.daemon);
    return NULL;
}

void switch_rig_start(const char *const *options, int count) {
    char error[512] = "";
    const char *base = getenv("TMPDIR");
    int used = snprintf(rig.folder, sizeof(rig.folder), "%s/tern-rig-XXXXXX", base && *base ? base : "/tmp");
    must(used > 0 && used < (int)sizeof(rig.folder) && mkdtemp(rig.folder) && sodium_init() >= 0);
    snprintf(rig.data, sizeof(rig.data), "%s/store", rig.folder);
    snprintf(rig.admin, sizeof(rig.admin), "%s/admin", rig.folder);
    char *own[] = {"ternd",    "--data",      rig.data,       "--admin", rig.admin,
                   "--listen", "127.0.0.1:0", "--core-dumps", "1"};
    int own_count = sizeof(own) / sizeof(own[0]);
    must(own_count + count < OPTIONS_MAX);
    memcpy(rig.arguments, own, sizeof(own));
    for (int i = 0; i < count; i++)
        rig.arguments[own_count + i] = (char *)options[i]; /* a reload reads them again */
    must(options_read(&rig.options, own_count + count, rig.arguments) == 0);
    if (options_config(&rig.options, &rig.config, error, sizeof(error))) {
        printf("not ok start %s\n", error);
        exit(1);
    }
    must(pthread_barrier_init(&rig.ready, NULL, 2) == 0);
    must(pthread_create(&rig.thread, NULL, run, NULL) == 0);
    pthread_barrier_wait(&rig.ready);
}

int switch_rig_wait(void) {
    char command[SWITCH_RIG_PATH_BYTES + 16];
    pthread_join(rig.thread, NULL);
    alarm(0); /* the drain's bound */
    pthread_barrier_destroy(&rig.ready);
    options_fini(&rig.options);
    snprintf(command, sizeof(command), "rm -rf '%s'", rig.folder);
    return system(command) ? -1 : rig.status;
}

const char *switch_rig_admin(void) {
    return rig.admin;
}

/* --- its admin socket ----------------------------------------------------------------------------------- */

static int connect_admin(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(strlen(rig.admin) < sizeof(address.sun_path) && fd >= 0);
    strcpy(address.sun_path, rig.admin);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        printf("not ok admin %s\n", strerror(errno));
        exit(1);
    }
    return fd;
}

cJSON *switch_rig_ask(const char *line) {
    char *answer = malloc(LINE_BYTES_MAX);
    size_t used = 0;
    int fd = connect_admin();
    must(answer && send(fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line) &&
         send(fd, "\n", 1, 0) == 1);
    do {
        ssize_t got = recv(fd, answer + used, LINE_BYTES_MAX - used - 1, 0);
        if (got <= 0) {
            printf("not ok admin no answer to %s\n", line);
            exit(1);
        }
        used += (size_t)got;
    } while (answer[used - 1] != '\n');
    close(fd);
    answer[used] = '\0';
    cJSON *parsed = cJSON_Parse(answer);
    must(parsed);
    free(answer);
    return parsed;
}

double switch_rig_number(const char *line, const char *field) {
    cJSON *answer = switch_rig_ask(line);
    double number = -1;
    if (cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok")))
        number = field ? cJSON_GetNumberValue(cJSON_GetObjectItem(answer, field)) : 0;
    cJSON_Delete(answer);
    return number;
}

double switch_rig_stat(const char *name) {
    cJSON *answer = switch_rig_ask("{\"command\":\"stats\"}"), *row;
    double value = -1;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(answer, "stats")) {
        if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(row, "name")), name) == 0)
            value = cJSON_GetNumberValue(cJSON_GetObjectItem(row, "value"));
    }
    cJSON_Delete(answer);
    return value;
}

/* --- devices -------------------------------------------------------------------------------------------- */

void rig_device_create(struct rig_device *device, const char *name) {
    struct admin admin;
    struct admin_account account;
    *device = (struct rig_device){.fd = -1, .next = 1};
    must(admin_open(&admin, rig.admin) == 0);
    must(admin_accounts_add(&admin, name, 1, &account, &rig.known) == 0);
    admin_close(&admin);
    device->account = account.account;
    memcpy(device->code, account.code, FRAME_CODE_BYTES);
    must(getrandom(device->secret, sizeof(device->secret), 0) == (ssize_t)sizeof(device->secret));
    must(getrandom(&device->epoch, sizeof(device->epoch), 0) == (ssize_t)sizeof(device->epoch));
    device->epoch |= 1;
}

void rig_device_destroy(struct rig_device *device) {
    rig_device_close(device);
    free(device->ticks);
}

void rig_device_close(struct rig_device *device) {
    if (!device->peer)
        return;
    close(device->fd);
    peer_destroy(device->peer);
    device->peer = NULL;
    device->fd = -1;
}

static void take_receipt(struct rig_device *device, const struct frame *frame) {
    struct frame_range range;
    must(frame_read_range(frame, &range) == 0 && range.last < device->next);
    for (uint64_t n = range.id.number; n <= range.last; n++) {
        uint8_t fresh = frame->flags & (uint8_t)~device->ticks[n];
        device->ticks[n] |= frame->flags;
        device->sent += (fresh & RECEIPT_SENT) != 0;
        device->delivered += (fresh & RECEIPT_DELIVERED) != 0;
        device->failed += (fresh & RECEIPT_FAILED) != 0;
    }
}

static void take_message(struct rig_device *device, const struct frame *frame) {
    struct frame_message message;
    must(frame_read_message(frame, &message) == 0);
    if (message.id.number <= device->last_number)
        return; /* a duplicate */
    must(message.id.number == device->last_number + 1);
    device->last_number = message.id.number;
    device->received++;
}

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct rig_device *device = context;
    struct frame_welcome welcome;
    struct frame_refused refused;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    uint64_t opaque;
    if (frame->type == FRAME_WELCOME && frame_read_welcome(frame, &welcome) == 0)
        device->device = welcome.device;
    if (frame->type == FRAME_MESSAGE)
        take_message(device, frame);
    if (frame->type == FRAME_RECEIPT)
        take_receipt(device, frame);
    if (frame->type == FRAME_REFUSED && frame_read_refused(frame, &refused) == 0)
        device->refusal = refused.reason;
    if (frame->type == FRAME_PING && frame_read_ping(frame, &opaque) == 0)
        peer_put(peer, out, frame_write_ping(out, FRAME_PONG, opaque));
    device->items += frame->type == FRAME_MESSAGE || frame->type == FRAME_RECEIPT;
    return 0;
}

static void flush(struct rig_device *device) {
    const uint8_t *bytes;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    size_t count;
    if (device->items > device->items_acked && peer_is_open(device->peer)) {
        device->items_acked = device->items;
        must(peer_put(device->peer, out, frame_write_ack(out, device->items)) == 0);
    }
    while (!device->ended && (count = peer_output(device->peer, &bytes)) > 0) {
        ssize_t sent = send(device->fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0)
            device->ended = true;
        else
            peer_sent(device->peer, (size_t)sent);
    }
}

/* One look at the socket. False: nothing came for a while, or the switch has closed. */
static bool turn(struct rig_device *device, int wait_ms) {
    static _Thread_local uint8_t bytes[RECEIVE_BYTES];
    struct pollfd wanted = {.fd = device->fd, .events = POLLIN};
    flush(device);
    if (device->ended || poll(&wanted, 1, wait_ms) <= 0)
        return false;
    ssize_t got = recv(device->fd, bytes, sizeof(bytes), 0);
    if (got > 0)
        must(peer_input(device->peer, bytes, (size_t)got, on_frame, device) == 0);
    else
        device->ended = true;
    device->close_reason = peer_close_reason(device->peer);
    flush(device);
    return !device->ended;
}

bool rig_device_open(struct rig_device *device) {
    uint8_t ephemeral[NOISE_KEY_BYTES];
    struct peer_setup setup = {
        .pattern = HELLO_IK,
        .device_secret = device->secret,
        .server_public = rig.known.key,
        .ephemeral_secret = ephemeral,
        .link = {.account = device->account, .epoch = device->epoch, .device = device->device},
        .is_link = device->device == 0};
    if (setup.is_link)
        memcpy(setup.link.code, device->code, FRAME_CODE_BYTES);
    must(getrandom(ephemeral, sizeof(ephemeral), 0) == (ssize_t)sizeof(ephemeral));
    must(peer_create(&setup, &device->peer) == 0);
    device->items = device->items_acked = 0;
    device->ended = false;
    device->close_reason = 0;
    device->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(device->fd >= 0 &&
         connect(device->fd, (struct sockaddr *)&rig.known.address, rig.known.address_bytes) == 0);
    while (!peer_is_open(device->peer) && turn(device, PATIENCE_MS))
        ;
    return peer_is_open(device->peer);
}

void rig_device_send(struct rig_device *device, uint64_t to, const void *payload, uint32_t bytes) {
    struct frame_message message = {
        .id = {.to = to, .number = device->next++}, .payload = payload, .payload_bytes = bytes};
    if (device->next >= device->tick_count) {
        uint64_t count = device->tick_count ? device->tick_count * 2 : 1024;
        device->ticks = realloc(device->ticks, count);
        must(device->ticks);
        memset(device->ticks + device->tick_count, 0, count - device->tick_count);
        device->tick_count = count;
    }
    must(device->to == 0 || device->to == to);
    device->to = to;
    uint8_t *space = peer_put_space(device->peer, FRAME_MESSAGE_BYTES + bytes);
    must(space);
    peer_put_done(device->peer, frame_write_message(space, &message));
    flush(device);
}

bool rig_device_wait(struct rig_device *device, const uint64_t *count, uint64_t wanted) {
    while (*count < wanted && turn(device, PATIENCE_MS))
        ;
    return *count >= wanted;
}

unsigned rig_device_wait_closed(struct rig_device *device) {
    while (turn(device, PATIENCE_MS))
        ;
    unsigned reason = device->ended ? device->close_reason : 0;
    rig_device_close(device);
    return reason;
}
