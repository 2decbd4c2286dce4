/* Sessions whose input waits, and when each is tried again. */
#include <errno.h>
#include <stddef.h>

#include "core/session.h"
#include "core/switch.h"

#define TRIES_MAX 256  /* of sessions that wait for room, in a turn; the rest has its turn soon after */
#define TRY_AGAIN_MS 1 /* so soon */

/* --- lists ---------------------------------------------------------------------------------------------- */

static struct session_list *list_of(struct shard *shard, uint8_t pause) {
    return pause == PAUSE_HANDSHAKE ? &shard->waiting_handshakes : &shard->waiting_room;
}

void pause_end(struct session *session) {
    if (session->paused == PAUSE_TOKENS) {
        timer_stop(&session->shard->waiting_tokens, &session->burst->timer);
    } else if (session->paused) {
        struct session_list *list = list_of(session->shard, session->paused);
        struct session *next = session->burst->paused_next, *prev = session->burst->paused_prev;
        *(prev ? &prev->burst->paused_next : &list->head) = next;
        *(next ? &next->burst->paused_prev : &list->tail) = prev;
        session->burst->paused_next = session->burst->paused_prev = NULL; /* a timer's, from now on */
        list->count--;
    }
    session->paused = PAUSE_NONE;
}

void pause_begin(struct session *session) {
    struct shard *shard = session->shard;
    pause_end(session);
    session->paused = session->waits_for;
    session->burst->waited_ms = shard->now_ms;
    shard->work_waits = shard->work_waits || session->paused == PAUSE_WORK;
    if (session->paused == PAUSE_TOKENS) {
        timer_start(&shard->waiting_tokens, &session->burst->timer, session->burst->tokens_ms);
        pace_count(session);
        return;
    }
    struct session_list *list = list_of(shard, session->paused);
    session->burst->paused_next = NULL;
    session->burst->paused_prev = list->tail;
    *(list->tail ? &list->tail->burst->paused_next : &list->head) = session;
    list->tail = session;
    list->count++;
}

/* --- one handshake after the other ---------------------------------------------------------------------- */

/* A handshake message takes some 100 microseconds of calculation, most of what anybody may cost others before
 * he has said who he is. So they come one by one, in their order, each followed by a turn without one. */
bool pause_may_shake_hands(struct session *session) {
    struct shard *shard = session->shard;
    bool is_next = shard->handshake_next ? shard->handshake_next == session : !shard->waiting_handshakes.head;
    if (is_next && shard->turn - shard->handshake_turn >= HANDSHAKE_TURNS) {
        shard->handshake_turn = shard->turn;
        return true;
    }
    session->waits_for = PAUSE_HANDSHAKE;
    return false;
}

static void shake_hands(struct shard *shard) {
    struct session *session = shard->waiting_handshakes.head;
    if (session && shard->turn - shard->handshake_turn >= HANDSHAKE_TURNS) {
        shard->handshake_next = session;
        session_resume(session);
        shard->handshake_next = NULL;
    }
    shard->work_waits = shard->work_waits || shard->waiting_handshakes.head;
}

/* --- what others have left over of the turn ------------------------------------------------------------- */

static void take_left(struct shard *shard, uint32_t work) {
    shard->work_left -= work < shard->work_left ? work : shard->work_left;
}

static void give_work(struct shard *shard, struct session *session, uint32_t most) {
    uint32_t part = shard->work_left < most ? shard->work_left : most;
    session->burst->work_turn = shard->turn;
    session->burst->work_left = part;
    int error = session_resume(session);
    if (error == -EPROTO) /* closed, or gone to another shard */
        take_left(shard, part);
    else
        take_left(shard, part - session->burst->work_left);
    if (error == 0)
        take_left(shard, WORK_SESSION);
    if (error != -EPROTO)
        session->burst->work_left = 0;
}

static void try_due(struct shard *shard) {
    struct timer *timer = NULL;
    while (shard->work_left && (timer = timer_due(&shard->waiting_tokens, shard->now_ms))) {
        struct burst *burst = (struct burst *)(void *)((char *)timer - offsetof(struct burst, timer));
        give_work(shard, burst->session, WORK_PART_MIN);
    }
    shard->work_waits = shard->work_waits || timer;
}

/* Each at most once; who was tried and still waits is last the next time: what room there is goes round. */
static void try_room(struct shard *shard) {
    struct session_list *list = &shard->waiting_room;
    uint32_t count = list->count;
    uint32_t part = count ? WORK_LEFT_MAX / count : 0;
    uint32_t tries = 0;
    for (; count && list->head && shard->work_left && tries < TRIES_MAX; count--, tries++) {
        struct session *session = list->head;
        give_work(shard, session, part > WORK_PART_MIN ? part : WORK_PART_MIN);
    }
    shard->work_waits = shard->work_waits || (count && !shard->work_left);
    shard->tries_wait = count && list->head;
}

void pause_try_all(struct shard *shard) {
    shard->work_waits = false;
    shard->work_left = WORK_LEFT_MAX;
    shard->work_others = WORK_OTHERS_MAX;
    shake_hands(shard);
    if (shard->turn % 2)
        try_due(shard);
    try_room(shard);
    if (shard->turn % 2 == 0)
        try_due(shard);
}

uint64_t pause_next_ms(const struct shard *shard) {
    if (shard->work_waits)
        return shard->now_ms;
    uint64_t next_ms = timer_next_ms(&shard->waiting_tokens);
    uint64_t again_ms = shard->tries_wait ? shard->now_ms + TRY_AGAIN_MS : UINT64_MAX;
    return next_ms < again_ms ? next_ms : again_ms;
}
