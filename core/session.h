/* core/session.h: a session: one connection's conversation, from hello to close, on whichever shard it is.
 *
 *   HELLO -> HANDSHAKE -> LOGIN -> (move to the home shard) -> LINKING -> OPEN -> CLOSING
 *
 * Bytes come as chunks of lent buffers. A unit (hello, handshake message, record) that lies whole in its
 * buffer is opened in place; one that straddles buffers is joined in `partial`. Where a limit forbids to go
 * on (a lane without room, too many unticked messages), the rest of the chunk waits in `waiting` and the
 * socket is not read.
 *
 * Threads: the shard's that has it.
 * Memory: a place in its shard's table, which is touched as far as it was ever in use; until it is welcome,
 * an allocation with what only its beginning needs; while it sends, another with what only that needs; plus
 * what it holds back. Many sessions are idle: what a burst needed is freed when it is over. In the table,
 * they leave nothing behind between them. */
#ifndef TERN_CORE_SESSION_H
#define TERN_CORE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/msg.h"
#include "core/noise.h"
#include "core/rate.h"
#include "core/reason.h"
#include "core/shard.h"
#include "core/timer.h"

enum session_state {
    SESSION_HELLO = 1,
    SESSION_HANDSHAKE,
    SESSION_LOGIN,   /* keys are there, the first record is awaited */
    SESSION_LINKING, /* the directory is asked */
    SESSION_OPEN,
    SESSION_CLOSING,
};

#define SESSION_FIRST_RECORD_BYTES_MAX 256
#define SESSION_RECORD_BYTES_MIN 16384 /* frames of a record a device may always send */
#define SESSION_CONTROL_BYTES_MAX                                                                            \
    65536                        /* control frames waiting for the socket before it is not read any more */
#define SESSION_CONFIRMS_MAX 256 /* ranges; what is beyond is not confirmed, the device repeats it */
#define SESSION_RAW_BYTES_MAX 160
#define SESSION_CHECK_MS 1000   /* how often one that is not quiet is looked at */
#define SESSION_MARKS_MAX 256   /* MARK frames of a session at once ... */
#define SESSION_MARKS_PER_S 256 /* ... and in the long run */
#define SESSION_REQUESTS_MAX 16 /* questions to the directory at a time ... */
#define SESSION_KEYS_MAX 4      /* ... and beyond so many none that is large or gets a large answer */
/* Work is reckoned in bytes, and so many more for each frame: about a nanosecond each. What a session sends
 * in a turn beyond its part waits, and has its turns with what all others have left over, so that a flood
 * makes no turn long. Who had to wait within the last WORK_CALM_MS is one of many, perhaps: all of these
 * together have one part of a turn, so that who sends little never waits for who sends much. */
#define HANDSHAKE_TURNS 2 /* from one handshake message to the next: the turn between is for all others */
#define WORK_FRAME 512
#define WORK_EXEMPT_MAX 262144 /* of a session in a turn, where its address is exempt from limits */
#define WORK_SESSION_MAX 16384 /* else */
#define WORK_OTHERS_MAX 32768  /* in a turn, of all sessions that had to wait lately */
#define WORK_CALM_MS 1000
#define WORK_LEFT_MAX 65536 /* in a turn, of all sessions whose input waits */
#define WORK_PART_MIN 16384 /* of it, for one session, where many want some */
#define WORK_SESSION 4096   /* what it costs that a session goes on: an answer, and reading again */

/* Received bytes not looked at yet: frames of an opened record at [pos, frames_end), then raw bytes [raw,
 * end). */
struct chunk {
    struct chunk *next;
    struct buf *buf; /* one reference */
    uint8_t *pos, *frames_end, *raw, *end;
};

/* What a session needs until it is welcome. */
struct opening {
    struct noise_handshake handshake; /* in HANDSHAKE */
    uint8_t peer_key[KEY_BYTES];
    struct frame_link link; /* the first frame, across a move */
    bool is_link;
    uint8_t raw_out[SESSION_RAW_BYTES_MAX]; /* hello and handshake answers */
    uint32_t raw_out_bytes;
};

/* What a session needs while it sends, and until it is quiet: what comes back then is as new. */
struct burst {
    struct chunk *waiting, *waiting_tail;
    uint64_t work_turn;
    uint32_t work_left;  /* in this turn */
    uint32_t marks_left; /* MARK frames it may send at once */
    uint64_t marks_ms;   /* when marks_left was reckoned */
    uint64_t waited_ms;  /* when it last had to wait; 0: never */
    uint64_t tokens_ms;  /* when there are some again */
    struct rate messages, bytes, frames;
    struct session *session;
    union { /* where it waits; zero where it does not */
        struct {
            struct session *paused_next, *paused_prev; /* for all but tokens */
        };
        struct timer timer; /* for tokens */
    };
};

struct session {
    struct shard *shard;
    struct device *device;   /* when OPEN */
    struct opening *opening; /* until it is OPEN and its raw_out went out */
    struct burst *burst;     /* NULL: it is quiet */
    struct noise_cipher_state send, receive;
    struct buf *partial;
    uint32_t partial_bytes;
    uint32_t conn;
    uint64_t account;
    uint64_t epoch;
    uint64_t id;          /* of the connection, for people */
    uint64_t items_acked; /* of the MESSAGE and RECEIPT frames of this session */
    uint64_t heard_ms;
    uint64_t started_ms;
    uint64_t unticked_bytes; /* of its messages in memory */
    uint32_t unticked;
    uint16_t requests; /* the directory was asked and has not answered */
    uint16_t device_number;
    uint8_t *control; /* whole frames for the next records */
    uint32_t control_bytes, control_capacity;
    struct frame_range *confirms; /* flags in time_ms */
    uint16_t confirm_count, confirm_capacity;
    uint8_t state;
    uint8_t close_reason;
    uint8_t paused;    /* enum pause: what its input waits for */
    uint8_t waits_for; /* what it has to wait for, as just found out */
    uint8_t slowed_by; /* enum pace, where that is tokens */
    bool plaintext : 1;
    bool keyed : 1;   /* records flow */
    bool moving : 1;  /* the first frame said that its home is elsewhere */
    bool exempt : 1;  /* its address is in address_exempt: it sends as fast as it can */
    bool unread : 1;  /* the socket is not read */
    bool pending : 1; /* has not logged in, and counts as such */
    bool pinged : 1;
    bool stock_due : 1; /* KEYS_STOCK, unasked */
    bool quiet : 1;     /* nothing came for a while, and what a burst needed is gone */
    bool shut : 1;      /* port_close was called */
};

/* In the shard's table, where there is none of this connection. NULL: no memory. */
struct session *session_create(struct shard *shard, uint32_t conn, bool plaintext, bool exempt);
/* Its place is free. */
void session_destroy(struct session *session);
/* Into memory of its own, for the way to another shard, its place is free; NULL: no memory, it stays. */
struct session *session_move_out(struct session *session);
/* From there, which is freed, into the other shard's table. */
struct session *session_move_in(struct shard *shard, uint32_t conn, struct session *moved);
/* What it needs to send is there again. 0 or -ENOMEM. */
int session_begin_burst(struct session *session);
/* Bytes of it came that could not be worked off yet. */
static inline bool session_waits(const struct session *session) {
    return session->burst && session->burst->waiting;
}
/* It has logged in, closes, or goes to another shard, which counts it anew. */
void session_count_pending(struct session *session, bool pending);

size_t session_output(struct session *session, uint8_t *space, size_t space_bytes, size_t *ret_needed);

/* Appends control frames: they go before items. */
void session_put(struct session *session, const uint8_t *frame, size_t frame_bytes);
void session_confirm(struct session *session, const struct message_id *id, uint64_t last, uint8_t flags);
/* Says why (a CLOSE frame where records flow already) and closes. The first reason stays. */
void session_close(struct session *session, enum close_reason reason);
/* Sends RECONNECT and closes: draining. */
void session_send_away(struct session *session, uint32_t after_ms);
/* What the directory said to LINK. */
void session_linked(struct session *session, struct request *request);
/* Pings who is silent, closes who is so for too long, or takes too long to log in. Returns when to look
 * again, monotonic ms; sooner once it is not quiet any more. */
uint64_t session_check_time(struct session *session);

/* core/handshake.c: one whole message each; CLOSE_NONE, or why the session can't go on. */
enum close_reason handshake_take_hello(struct session *session, const uint8_t *bytes);
enum close_reason handshake_take_message(struct session *session, const uint8_t *message,
                                         size_t message_bytes);
/* The beginning is over: what it needed is wiped and freed. */
void handshake_end(struct session *session);

/* core/input.c: received bytes, and what of them waits. */
void session_input(struct session *session, struct buf *buf, uint32_t offset, uint32_t bytes);
/* Goes on with what waits, if what forbade it is over. 0; -EAGAIN: it is not; -EPROTO: the session is closed,
 * or gone. */
int session_resume(struct session *session);
void input_forget(struct session *session);

/* core/pause.c: sessions whose input waits: for room somewhere or another part of a turn, tried every turn;
 * for tokens, when they are due; or for the turn of their handshake. */
enum pause { PAUSE_NONE, PAUSE_ROOM, PAUSE_WORK, PAUSE_TOKENS, PAUSE_HANDSHAKE };
/* For what waits_for says; last in the row. */
void pause_begin(struct session *session);
void pause_end(struct session *session);
/* True: it is this session's turn, once. Else it is to wait for it. */
bool pause_may_shake_hands(struct session *session);
/* Once a turn, after what came in. */
void pause_try_all(struct shard *shard);
/* As shard_next_ms. */
uint64_t pause_next_ms(const struct shard *shard);

/* core/pace.c: so much a second of a session, and of all of an account. What is asked for is there (true), or
 * waits_for says that it has to wait, and tokens_ms until when. What goes through is taken afterwards. */
enum pace { PACE_MESSAGES, PACE_BYTES, PACE_FRAMES, PACE_ACCOUNT_MESSAGES, PACE_ACCOUNT_BYTES, PACE_MARKS };
bool pace_messages(struct session *session);
bool pace_bytes(struct session *session); /* true: a unit of any size, on credit */
bool pace_frames(struct session *session);
bool pace_marks(struct session *session);
/* True: nothing is known of what it sent that a new session would not start with. */
bool pace_is_fresh(const struct session *session);
void pace_take_message(struct session *session);
void pace_take_bytes(struct session *session, size_t bytes);
void pace_take_frames(struct session *session, uint32_t frames);
/* The session waits: counted by the limit that it waits for. */
void pace_count(const struct session *session);

/* core/login.c: the first record, the move home, the welcome. 0 or -EPROTO; bytes_after: of the record,
 * behind it. */
int login_first_frame(struct session *session, const struct frame *frame, size_t bytes_after);
/* Hands the session over, with what was received and not looked at yet. */
void login_move(struct session *session);
void login_at_home(struct session *session);

/* core/intake.c: one frame of an open session. 0; -EAGAIN: not now, come again with it; -EPROTO: bad frame.
 * buf: where the frame lies. */
int intake_frame(struct session *session, const struct frame *frame, struct buf *buf);
/* Asks the directory, with a copy of these fields and bytes, unless so many questions are out. 0; -EAGAIN:
 * not now. */
int intake_ask(struct session *session, uint32_t most, const struct request *fields, const uint8_t *bytes,
               uint32_t bytes_count);

#endif
