/* tools/ternd/command.h: one request of the administrator on its way: from the line that asked to the line
 * that answers.
 *
 * A command asks the directory, the stores and the shards by requests and goes on in its next step when all
 * that were asked have answered; meanwhile other connections have their turn. It ends by command_done or
 * command_fail, each of which answers and frees it: nothing may touch it afterwards. Where the connection is
 * gone by then it has changed what it was to change all the same, and the answer is dropped.
 *
 * Threads: the admin thread.  Memory: heap; requests are freed after their `each`. */
#ifndef TERN_TOOLS_TERND_COMMAND_H
#define TERN_TOOLS_TERND_COMMAND_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/msg.h"
#include "tools/admin/commands.h"

struct admin_conn;
struct command;
struct config;
struct daemon;

typedef void command_step(struct command *command);
typedef void command_each(struct command *command, struct request *request);

struct command {
    struct command *next, *previous; /* in daemon->commands */
    struct daemon *daemon;
    struct admin_conn *conn; /* NULL: it hung up */
    cJSON *request, *answer; /* the answer has its "ok" already */
    uint32_t waiting;        /* requests that are out */
    int status;              /* of the first request since the last step that failed */
    command_each *each;
    command_step *then, *found, *show;
    /* What steps hand on: */
    struct account_record account; /* of the named account, after command_find_account */
    char text[sizeof(((struct request *)NULL)->text)];
    uint64_t device; /* as asked; 0: none */
    uint64_t count, last_count;
    uint64_t flags;
    bool more;
    bool waits_for_end; /* of the daemon */
    cJSON *rows;
    struct account_record *listed; /* malloc'd */
    uint32_t listed_count;
    struct status_row *shown; /* malloc'd */
    uint32_t shown_count;
    struct config *fresh; /* settings of a reload, malloc'd */
};

/* Reads the line and does its first step. The line is not kept. */
void command_start(struct daemon *daemon, struct admin_conn *conn, const char *line, size_t bytes);
/* The same for the daemon itself: `first` is done, and nobody is answered. */
void command_start_own(struct daemon *daemon, command_step *first);
/* A request came back. */
void command_returned(struct request *request);
/* Answers what is left when the daemon ends: that it is drained, to who waits for that, or that it ended. */
void command_end_all(struct daemon *daemon);

/* --- arguments: false where they are wrong, and the command is answered and gone ------------------------ */

/* A text that must be there, or NULL. */
const char *command_text(struct command *command, const char *field, size_t bytes_max);
/* A whole number from min to max; `fallback` where it is not given. */
bool command_number(struct command *command, const char *field, uint64_t min, uint64_t max, uint64_t fallback,
                    uint64_t *ret_number);
bool command_has(const struct command *command, const char *field);

/* --- asking --------------------------------------------------------------------------------------------- */

/* A request to be sent next; NULL: no memory, which the next step sees as its status. */
struct request *command_request(struct command *command, enum request_kind kind);
/* Frees one that is not sent; the command's status is then that there was no memory for it. */
void command_discard(struct command *command, struct request *request);
/* Sends it; NULL is left out. */
void command_ask(struct command *command, uint32_t party, struct request *request);
void command_ask_home(struct command *command,
                      struct request *request); /* the home shard of request->account */
void command_ask_directory(struct command *command, struct request *request);
/* When all are back: `each` with every one (may be NULL), then `then`. At once where nothing was asked. */
void command_wait(struct command *command, command_each *each, command_step *then);
/* Reads "name", looks the account up and goes on with `then`, or answers that there is none. */
void command_find_account(struct command *command, command_step *then);
/* The same, and what its home shard shows of its devices, in `shown`. */
void command_show_account(struct command *command, command_step *then);
/* Reads "device" into command->device, `needed` or 0. */
bool command_device(struct command *command, bool needed);

/* --- answering ------------------------------------------------------------------------------------------ */

void command_done(struct command *command);
__attribute__((format(printf, 3, 4))) void command_fail(struct command *command, enum admin_code code,
                                                        const char *format, ...);
/* Says what a request's negative errno means here. */
void command_fail_status(struct command *command, int status);
/* True, and the command is answered, where a request of the last step failed. */
bool command_failed(struct command *command);

#define COMMAND_HEX_BYTES(bytes) (2 * (bytes) + 1)
void command_hex(const uint8_t *bytes, size_t count, char *ret_text);

/* The first steps, by their place in ADMIN_COMMANDS. */
#define X(symbol, noun, verb, arguments, help) command_step command_##symbol;
ADMIN_COMMANDS(X)
#undef X

#endif
