/* tools/admin/commands.h: what can be asked over the admin socket, each command declared once. ternctl makes
 * its subcommands and its help from this table, ternd its dispatch.
 *
 * The admin socket is a stream of lines, each a JSON object. A request names a command and its arguments;
 * every request gets exactly one line of answer, in order:
 *
 *     {"command": "device revoke", "name": "bob", "device": 2}
 *     {"ok": true}
 *     {"ok": false, "code": "not_found", "error": "bob has no device 2"}
 *
 * `error` is a sentence for people, `code` one of ADMIN_CODES. Fields are only ever added. What each command
 * takes and answers is in docs/OPERATIONS.md, "The admin socket".
 *
 * Threads: constants, any thread. */
#ifndef TERN_TOOLS_ADMIN_COMMANDS_H
#define TERN_TOOLS_ADMIN_COMMANDS_H

#define ADMIN_LINE_BYTES_MAX (4u << 20) /* of a request or an answer; longer lists come in pages */
#define ADMIN_PAGE_ROWS 1000            /* rows of a list in one answer; `more` says that there are others */

/* name, noun, verb, arguments (as in a usage line), help. A command of one word has an empty verb. */
#define ADMIN_COMMANDS(X)                                                                                    \
    X(ACCOUNT_ADD, "account", "add", "NAME", "create an account and print the link URI of its first device") \
    X(ACCOUNT_CODE, "account", "code", "NAME", "print a link URI for an account that no device is left of")  \
    X(ACCOUNT_LIST, "account", "list", "", "list the accounts")                                              \
    X(ACCOUNT_SHOW, "account", "show", "NAME", "show an account with its devices")                           \
    X(ACCOUNT_SUSPEND, "account", "suspend", "NAME", "close the account's sessions and refuse new ones")     \
    X(ACCOUNT_RESUME, "account", "resume", "NAME", "end a suspension")                                       \
    X(ACCOUNT_REMOVE, "account", "remove", "NAME", "remove an account, its devices and what waits for them") \
    X(DEVICE_LIST, "device", "list", "NAME", "list the devices of an account")                               \
    X(DEVICE_REVOKE, "device", "revoke", "NAME DEVICE",                                                      \
      "shut a device out for good, with what waits for it")                                                  \
    X(QUEUE_SHOW, "queue", "show", "NAME", "show what waits for each device of an account")                  \
    X(QUEUE_PURGE, "queue", "purge", "NAME [DEVICE]",                                                        \
      "delete what waits for a device, or all; senders are told")                                            \
    X(CONNECTION_LIST, "connection", "list", "", "list the connections")                                     \
    X(CONNECTION_KICK, "connection", "kick", "NAME [DEVICE]",                                                \
      "close an account's connections; it may come back")                                                    \
    X(STATUS, "status", "", "", "show whether the switch is well: shards, store, connections, rates")        \
    X(STATS, "stats", "", "", "show every counter")                                                          \
    X(DRAIN, "drain", "", "", "stop accepting, send devices away, make everything safe and end")             \
    X(RELOAD, "reload", "", "", "read the configuration file again")                                         \
    X(STORE_CHECK, "store", "check", "[FOLDER]",                                                             \
      "verify every record of the store; with FOLDER, of one that no switch need use")                       \
    X(STORE_BACKUP, "store", "backup", "FOLDER", "copy the store to a new folder while the switch runs")

#define X(name, noun, verb, arguments, help) ADMIN_##name,
enum admin_command { ADMIN_COMMANDS(X) ADMIN_COMMAND_COUNT };
#undef X

/* name, exit status of ternctl, meaning */
#define ADMIN_CODES(X)                                                                                       \
    X(ok, 0, "done")                                                                                         \
    X(failed, 1, "the switch could not do it")                                                               \
    X(usage, 2, "the request is not understood")                                                             \
    X(unreachable, 3, "no switch answers at the admin socket")                                               \
    X(not_found, 4, "no such account, device or folder")                                                     \
    X(exists, 5, "there is one already")                                                                     \
    X(damaged, 6, "the store has damaged records")                                                           \
    X(busy, 7, "another long request runs, or the switch drains")

#define X(name, status, help) ADMIN_CODE_##name,
enum admin_code { ADMIN_CODES(X) ADMIN_CODE_COUNT };
#undef X

#endif
