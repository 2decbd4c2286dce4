/* core/config.h: every setting, declared once: name, default, range, help. The table makes the parser, `ternd
 * --help`, the sample file, the manual page and docs/OPERATIONS.md's list; `struct config` is its values.
 *
 * Threads: a config is filled before the threads start and constant afterwards; a reload makes a new one and
 * hands it to each thread by request, which takes over the settings marked R.  Memory: texts live inside the
 * struct. */
#ifndef TERN_CORE_CONFIG_H
#define TERN_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_TEXT_BYTES 256
#define CONFIG_LIST_MAX 16

/* N: number (name, default, min, max), plain or with k, M, G (powers of 1024). R or I: reloadable, or at
 * start only. T: text (name, default). L: list, the setting may be repeated; the default counts while none is
 * given. */
#define SETTINGS(N, T, L)                                                                                    \
    L(listen, "127.0.0.1:7440", I, "address and port to listen on, repeatable; [::]:7440 for IPv6")          \
    L(plaintext_listen, "", I, "loopback address for unencrypted benchmarks; empty: none")                   \
    T(advertise, "", R,                                                                                      \
      "ADDR:PORT that link URIs name; empty: the first listener's, loopback where that is 0.0.0.0 or [::]")  \
    T(data, "var/tern", I, "folder of the store and the key")                                                \
    T(admin, "", I, "admin socket; empty: admin.sock in the data folder")                                    \
    N(shards, 0, 0, 64, I, "switch threads, each with its own ring; 0: one per core but one, at least 1")    \
    T(cores, "", I, "cores the shards are pinned to, as 0,2-3; empty: not pinned")                           \
    N(connections_max, 100000, 1, 4000000, I,                                                                \
      "connections a shard holds at a time (at most the descriptor limit)")                                  \
    N(pending_max, 16384, 1, 4000000, R, "connections of a shard that have not logged in yet")               \
    N(address_connections_max, 256, 1, 1000000, R, "connections per address (IPv6: per /64)")                \
    N(address_handshakes_max, 64, 1, 1000000, R,                                                             \
      "new connections per address (IPv6: per /64) in ten seconds")                                          \
    N(address_pending_max, 64, 1, 1000000, R,                                                                \
      "connections per address (IPv6: per /64) that have not logged in yet")                                 \
    N(account_logins_max, 1000, 1, 1000000, R, "logins of an account in ten seconds")                        \
    L(address_exempt, "127.0.0.0/8", R,                                                                      \
      "networks that the limits of addresses and of sessions per second leave out, repeatable; none")        \
    N(proxy_protocol, 0, 0, 1, I, "1: every connection starts with a PROXY protocol v2 header")              \
    L(proxy_from, "127.0.0.0/8", I, "networks that may send PROXY headers, repeatable")                      \
    N(handshake_ms, 10000, 100, 600000, R, "time from accept to login")                                      \
    N(core_dumps, 0, 0, 1, I, "1: a crash may leave a core file, which has keys and messages in it")         \
    N(drain_s, 30, 1, 3600, R,                                                                               \
      "time a drain may take; then the switch ends all the same, with an error status")                      \
    N(ping_s, 60, 1, 86400, R, "silence after which the switch pings")                                       \
    N(idle_s, 150, 2, 86400, R, "silence after which a connection counts as dead")                           \
    N(payload_bytes_max, 64000, 1, 65459, R, "largest payload of a message")                                 \
    N(session_messages_per_s, 50, 0, 1000000000, R,                                                          \
      "messages a session may send in a second before its socket is not read; 0: no limit")                  \
    N(session_bytes_per_s, 262144, 0, 1099511627776, R,                                                      \
      "bytes a session may send in a second before its socket is not read; 0: no limit")                     \
    N(session_frames_per_s, 250, 0, 1000000000, R,                                                           \
      "the same of other frames than messages; LOOKUP and BLOCK count for 16 each; 0: no limit")             \
    N(account_messages_per_s, 0, 0, 1000000000, R,                                                           \
      "as session_messages_per_s, of all devices of an account")                                             \
    N(account_bytes_per_s, 0, 0, 1099511627776, R, "as session_bytes_per_s, of all devices of an account")   \
    N(socket_bytes, 131072, 8192, 1073741824, R,                                                             \
      "bytes that a socket takes in before the switch has read them; more waits at the peer")                \
    N(unticked_max, 1024, 1, 1000000, R,                                                                     \
      "messages of a session without a sent tick before its socket is not read")                             \
    N(unticked_bytes_max, 16777216, 65536, 1099511627776, R,                                                 \
      "bytes of a session's messages in memory, neither acknowledged nor on disk, before it is not read")    \
    N(window_messages, 4096, 1, 65536, R, "items on their way to a device before the rest queues on disk")   \
    N(window_bytes, 4194304, 65536, 1073741824, R,                                                           \
      "bytes on their way to a device before the rest queues on disk")                                       \
    N(messages_max, 262144, 64, 16777216, I,                                                                 \
      "messages a shard holds in memory before it stops reading sockets")                                    \
    N(receipts_max, 262144, 1024, 16777216, R,                                                               \
      "receipts a shard holds in memory that some device neither has nor finds in its queue")                \
    N(spill_ms, 500, 1, 600000, R, "time without acknowledgement after which a message goes to disk")        \
    N(hold_ms, 50, 1, 600000, R, "time after which a waiting message is copied out of its receive buffer")   \
    N(ttl_s, 2592000, 1, 31536000, R, "time to live of a message that names none, and the most it may name") \
    N(blocks_max, 1024, 0, 1000000, R, "accounts an account may block")                                      \
    N(code_ttl_s, 86400, 1, 31536000, R, "time to live of a one-time link code")                             \
    N(one_time_keys_max, 200, 1, 65535, R, "one-time pre-keys kept of a device")                             \
    N(one_time_keys_low, 25, 0, 65535, R, "one-time pre-keys left at which a device is told")                \
    N(device_list_bytes_max, 4096, 256, 16000, R, "bytes of an account's device list")                       \
    N(keys_window_s, 3600, 1, 86400, R, "time over which keys_account_max and keys_target_max count")        \
    N(keys_account_max, 2000, 1, 1000000, R, "times an account may ask for keys in keys_window_s")           \
    N(keys_target_max, 30, 1, 1000000, R, "times of these, for the keys of one account")                     \
    N(buffers, 2048, 8, 32768, I, "receive buffers of a shard (a power of two)")                             \
    N(buffer_bytes, 17408, 1024, 65536, I, "bytes of a receive buffer; the largest record should fit")       \
    N(lane_slots, 8192, 16, 1048576, I, "slots of a lane between two threads (a power of two)")              \
    N(ring_entries, 4096, 8, 32768, I, "submission entries of a ring")                                       \
    N(ring_completions, 32768, 64, 65536, I, "completion entries of a ring")                                 \
    T(ring_without, "", I,                                                                                   \
      "kernel features not to use even where they are: recv_multishot,min_wait,defer_taskrun")               \
    N(store_environments, 1, 1, 64, I, "store threads and files; fixed when the store is created")           \
    N(map_bytes, 17179869184, 1048576, 17592186044416, I, "size limit of each store environment")            \
    N(map_reserve_percent, 10, 1, 50, I,                                                                     \
      "part of the map kept for deletes and receipts; new messages are refused beyond")                      \
    N(queue_messages_max, 1000000, 1, 1000000000, R,                                                         \
      "messages in one device's queue; receipts are not counted")                                            \
    N(queue_bytes_max, 4294967296, 65536, 17592186044416, R, "bytes of messages in one device's queue")      \
    N(queue_receipts_max, 1000000, 1024, 1000000000, R,                                                      \
      "receipts in one device's queue at which its account sends nothing more; marks take an eighth")        \
    N(expiry_sweep_s, 60, 1, 86400, R,                                                                       \
      "time in which the store looks once at every queue for what has expired")                              \
    N(clock_jump_ms, 60000, 1000, 86400000, R,                                                               \
      "jump of the wall clock against the monotonic one at which expiry pauses")

#define CONFIG_FIELD_N(name, fallback, min, max, when, help) uint64_t name;
#define CONFIG_FIELD_T(name, fallback, when, help) char name[CONFIG_TEXT_BYTES];
#define CONFIG_FIELD_L(name, fallback, when, help)                                                           \
    char name[CONFIG_LIST_MAX][CONFIG_TEXT_BYTES];                                                           \
    uint32_t name##_count;

struct config {
    SETTINGS(CONFIG_FIELD_N, CONFIG_FIELD_T, CONFIG_FIELD_L)
};

/* All defaults. */
void config_defaults(struct config *config);
/* Sets one setting from text. For a list the first value given replaces the default, further ones are added.
 * 0; -ENOENT: no such setting; -ERANGE: out of range; -EINVAL: not a number, too long, too many.
 * ret_error: a sentence that says what is allowed, written on failure (error_bytes of room). */
int config_set(struct config *config, const char *name, const char *value, char *ret_error,
               size_t error_bytes);
/* Back to the default, so that what is set next replaces what was. 0 or -ENOENT. */
int config_unset(struct config *config, const char *name);
/* Entries of a list setting: the default counts while none is given, an empty default is none. */
uint32_t config_list_count(const char (*list)[CONFIG_TEXT_BYTES], uint32_t count);
/* True where a list in one text, separated by commas or blanks, has this name. */
bool config_has(const char *list, const char *name);
#define CONFIG_CORES_MAX 256
/* "0,2-3": how many cores, 0 for an empty text; -EINVAL where it is no such list or longer than capacity. */
int config_cores(const char *text, uint16_t *ret_cores, uint32_t capacity);
/* Checks that hold between settings (powers of two, idle_s > ping_s, plaintext only on loopback, ...). 0 or
 * -EINVAL. */
int config_check(const struct config *config, char *ret_error, size_t error_bytes);
/* Takes over the reloadable settings of `from`; returns how many others differ (they need a restart). */
unsigned config_reload(struct config *config, const struct config *from);
/* How many settings differ that a reload takes over or, without `reloadable`, that need a restart; ret_names:
 * their names, with blanks between them, as many as fit. */
unsigned config_differences(const struct config *config, const struct config *from, bool reloadable,
                            char *ret_names, size_t names_bytes);
/* The table as text: a sample file, the option part of --help, the manual page's list, a Markdown table. */
enum config_style { CONFIG_SAMPLE, CONFIG_HELP, CONFIG_MAN, CONFIG_MARKDOWN };
/* Writes into text; returns the bytes it needs, as snprintf does. */
size_t config_describe(enum config_style style, char *text, size_t text_bytes);

#endif
