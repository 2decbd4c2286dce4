/* How fast a session may send. */
#include "core/session.h"
#include "core/switch.h"

#define MS_PER_S 1000u
#define PERIODS 8     /* sessions that wait for tokens come back after so many different times, */
#define PERIOD_PART 4 /* of which the shortest is this part shorter than the longest */
#define MARKS_FULL_MS (SESSION_MARKS_MAX * MS_PER_S / SESSION_MARKS_PER_S)

/* --- limits of the configuration ------------------------------------------------------------------------ */

static uint64_t of_session(const struct session *session, uint64_t per_s) {
    return session->exempt ? 0 : per_s;
}

/* Until the bucket is full, or nearly: if all waited as long, those that came together would be read in the
 * same turn, again and again. */
static uint64_t tokens_ms(const struct session *session, const struct rate *rate, uint64_t per_s) {
    uint64_t full_ms = rate_full_ms(rate, per_s);
    uint64_t wait_ms = full_ms - session->shard->now_ms;
    return full_ms - wait_ms * (session->conn % PERIODS) / (PERIODS * PERIOD_PART);
}

static void wait_until(struct session *session, enum pace pace, uint64_t at_ms) {
    session->waits_for = PAUSE_TOKENS;
    session->slowed_by = (uint8_t)pace;
    session->burst->tokens_ms = at_ms;
}

static void wait_for_tokens(struct session *session, const struct rate *rate, uint64_t per_s,
                            enum pace pace) {
    wait_until(session, pace, tokens_ms(session, rate, per_s));
}

static inline bool admits(struct session *session, struct rate *rate, uint64_t per_s, enum pace pace) {
    if (rate_admits(rate, per_s, session->shard->now_ms))
        return true;
    wait_for_tokens(session, rate, per_s, pace);
    return false;
}

bool pace_messages(struct session *session) {
    const struct config *config = &session->shard->config;
    return admits(session, &session->burst->messages, of_session(session, config->session_messages_per_s),
                  PACE_MESSAGES) &&
           admits(session, &session->device->account->messages, config->account_messages_per_s,
                  PACE_ACCOUNT_MESSAGES);
}

void pace_take_message(struct session *session) {
    const struct config *config = &session->shard->config;
    rate_take(&session->burst->messages, of_session(session, config->session_messages_per_s), 1);
    rate_take(&session->device->account->messages, config->account_messages_per_s, 1);
}

bool pace_bytes(struct session *session) {
    const struct config *config = &session->shard->config;
    if (session->state != SESSION_OPEN)
        return true;
    return admits(session, &session->burst->bytes, of_session(session, config->session_bytes_per_s),
                  PACE_BYTES) &&
           admits(session, &session->device->account->bytes, config->account_bytes_per_s, PACE_ACCOUNT_BYTES);
}

void pace_take_bytes(struct session *session, size_t bytes) {
    const struct config *config = &session->shard->config;
    if (session->state != SESSION_OPEN)
        return;
    rate_take(&session->burst->bytes, of_session(session, config->session_bytes_per_s), bytes);
    rate_take(&session->device->account->bytes, config->account_bytes_per_s, bytes);
}

bool pace_frames(struct session *session) {
    return admits(session, &session->burst->frames,
                  of_session(session, session->shard->config.session_frames_per_s), PACE_FRAMES);
}

void pace_take_frames(struct session *session, uint32_t frames) {
    rate_take(&session->burst->frames, of_session(session, session->shard->config.session_frames_per_s),
              frames);
}

/* --- marks ---------------------------------------------------------------------------------------------- */

/* Nothing but time bounds how many marks may be out: each becomes a receipt for somebody else's devices, and
 * waits in their queues where they are away. So nobody is exempt. */
bool pace_marks(struct session *session) {
    struct burst *burst = session->burst;
    uint64_t now_ms = session->shard->now_ms;
    uint64_t more = (now_ms - burst->marks_ms) * SESSION_MARKS_PER_S / MS_PER_S;
    if (more) {
        uint64_t left = burst->marks_left + more;
        burst->marks_left = left < SESSION_MARKS_MAX ? (uint32_t)left : SESSION_MARKS_MAX;
        burst->marks_ms = now_ms;
    }
    if (burst->marks_left > 0)
        return true;
    wait_until(session, PACE_MARKS, burst->marks_ms + MS_PER_S / RATE_PART);
    return false;
}

/* --- when it is over ------------------------------------------------------------------------------------ */

static bool is_full(const struct session *session, const struct rate *rate, uint64_t per_s) {
    per_s = of_session(session, per_s);
    return !per_s || session->shard->now_ms >= rate_full_ms(rate, per_s);
}

bool pace_is_fresh(const struct session *session) {
    const struct config *config = &session->shard->config;
    const struct burst *burst = session->burst;
    uint64_t now_ms = session->shard->now_ms;
    return is_full(session, &burst->messages, config->session_messages_per_s) &&
           is_full(session, &burst->bytes, config->session_bytes_per_s) &&
           is_full(session, &burst->frames, config->session_frames_per_s) &&
           now_ms - burst->marks_ms >= MARKS_FULL_MS && now_ms - burst->waited_ms >= WORK_CALM_MS;
}

/* --- counters ------------------------------------------------------------------------------------------- */

void pace_count(const struct session *session) {
    struct stats *stats = session->shard->stats;
    stats_add(stats->input_slowed, 1);
    switch ((enum pace)session->slowed_by) {
    case PACE_MESSAGES:
        stats_add(stats->slowed_session_messages, 1);
        break;
    case PACE_BYTES:
        stats_add(stats->slowed_session_bytes, 1);
        break;
    case PACE_FRAMES:
        stats_add(stats->slowed_session_frames, 1);
        break;
    case PACE_ACCOUNT_MESSAGES:
        stats_add(stats->slowed_account_messages, 1);
        break;
    case PACE_ACCOUNT_BYTES:
        stats_add(stats->slowed_account_bytes, 1);
        break;
    case PACE_MARKS:
        stats_add(stats->slowed_session_marks, 1);
        break;
    }
}
