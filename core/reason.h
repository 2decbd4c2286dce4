/* core/reason.h: why a connection is closed and why a message is refused: one table each, used on the wire,
 * in the counters and in what ternctl shows. Numbers are part of the protocol and never change their meaning.
 *
 * Threads: constants, any thread. */
#ifndef TERN_CORE_REASON_H
#define TERN_CORE_REASON_H

#define CLOSE_REASONS(X)                                                                                     \
    X(0, NONE, "none", "still open")                                                                         \
    X(1, PEER, "peer_closed", "the peer closed the connection")                                              \
    X(2, PEER_RESET, "peer_reset", "the connection broke (reset, timeout of the network)")                   \
    X(3, NOT_TERN, "not_tern", "the first bytes are not a tern hello")                                       \
    X(4, VERSION, "wrong_version", "no protocol version in common")                                          \
    X(5, CIPHER, "no_cipher", "no cipher or pattern in common")                                              \
    X(6, HANDSHAKE, "handshake_failed", "a handshake message did not authenticate")                          \
    X(7, HANDSHAKE_TIMEOUT, "handshake_timeout", "the handshake and login took too long")                    \
    X(8, RECORD_TOO_LARGE, "record_too_large", "a record is larger than allowed")                            \
    X(9, RECORD_FORGED, "record_forged", "a record did not authenticate")                                    \
    X(10, BAD_FRAME, "bad_frame", "a frame is malformed or not allowed here")                                \
    X(11, UNKNOWN_DEVICE, "unknown_device", "no such account or device, or its key is another")              \
    X(12, REVOKED, "revoked", "the device was revoked")                                                      \
    X(13, SUSPENDED, "suspended", "the account is suspended")                                                \
    X(14, BAD_CODE, "bad_code", "the link code is wrong, used or expired")                                   \
    X(15, REPLACED, "replaced", "a newer connection of the same device took over")                           \
    X(16, KICKED, "kicked", "closed by the administrator")                                                   \
    X(17, DRAINING, "draining", "the switch is shutting down")                                               \
    X(18, IDLE, "idle", "nothing heard, pings unanswered")                                                   \
    X(19, OVERLOAD, "overload", "a limit of the switch is reached")                                          \
    X(20, ADDRESS_LIMIT, "address_limit", "too many connections from this address")                          \
    X(21, BAD_PROXY, "bad_proxy_header", "the PROXY protocol header is missing or malformed")                \
    X(22, STORE_FAILED, "store_failed", "the store could not do what was asked")                             \
    X(23, TRUNCATED, "truncated", "the peer closed in the middle of a hello, handshake or record")           \
    X(24, MOVE_FAILED, "move_failed", "the connection could not be moved to its home shard")                 \
    X(25, ACK_BEYOND, "ack_beyond", "an acknowledgement for what was never sent")                            \
    X(26, CONNECTION_LIMIT, "connection_limit", "the shard holds as many connections as it may")             \
    X(27, PENDING_LIMIT, "pending_limit", "too many connections of the shard have not logged in yet")        \
    X(28, ADDRESS_RATE, "address_rate", "too many new connections from this address lately")                 \
    X(29, ADDRESS_PENDING, "address_pending", "too many of this address have not logged in yet")             \
    X(30, LOGIN_RATE, "login_rate", "too many logins of this account lately")                                \
    X(31, DEVICE_LIMIT, "device_limit", "the account has as many devices as it may")

#define X(number, name, text, help) CLOSE_##name = number,
enum close_reason { CLOSE_REASONS(X) CLOSE_REASON_COUNT };
#undef X

#define REFUSALS(X)                                                                                          \
    X(0, NONE, "none", "not refused")                                                                        \
    X(1, NO_ACCOUNT, "no_account", "no such account")                                                        \
    X(2, NO_DEVICE, "no_device", "the account has no device yet")                                            \
    X(3, BLOCKED, "blocked", "the account does not take messages from you")                                  \
    X(4, SUSPENDED, "suspended", "the account is suspended")                                                 \
    X(5, TOO_LARGE, "too_large", "the payload is larger than allowed")                                       \
    X(6, STORE_FULL, "store_full", "the store is full")                                                      \
    X(7, STORE_FAILED, "store_failed", "the store can not write")                                            \
    X(8, OUT_OF_ORDER, "out_of_order", "an earlier message was refused and has to come first")               \
    X(9, TARGETS, "targets", "the targets are not the devices that there are, or not allowed here")          \
    X(10, LIMIT, "limit", "the switch holds as much in memory as it may")                                    \
    X(11, DRAINING, "draining", "the switch is shutting down")                                               \
    X(12, QUEUE_FULL, "queue_full", "the recipient's queue is full")                                         \
    X(13, QUEUE_BYTES, "queue_bytes", "the recipient's queue holds as many bytes as it may")                 \
    X(14, UNTICKED, "unticked", "too much of this session has no tick, and the store takes nothing")         \
    X(15, STALE, "stale", "a version or an id does not rise, or the identity key is another")                \
    X(16, RATE, "rate", "asked too often lately")

#define X(number, name, text, help) REFUSAL_##name = number,
enum refusal { REFUSALS(X) REFUSAL_COUNT };
#undef X

/* Short name ("bad_frame") and sentence of a number; "unknown" for one out of range. Static storage. */
const char *close_reason_name(unsigned reason);
const char *close_reason_help(unsigned reason);
const char *refusal_name(unsigned refusal);
const char *refusal_help(unsigned refusal);

#endif
