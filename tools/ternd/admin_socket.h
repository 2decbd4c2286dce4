/* tools/ternd/admin_socket.h: the admin socket: a Unix socket, mode 0600, whose peers are root or the
 * daemon's own user; its connections, each of which has one command at work at a time.
 *
 * Threads: the admin thread.  Memory: a connection is one allocation, with what waits in it. */
#ifndef TERN_TOOLS_TERND_ADMIN_SOCKET_H
#define TERN_TOOLS_TERND_ADMIN_SOCKET_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADMIN_CONNECTIONS_MAX 64
#define ADMIN_POLLED_MAX (ADMIN_CONNECTIONS_MAX + 1)

struct admin_socket;
struct admin_conn;
struct command;
struct daemon;

/* Replaces a socket file at which nobody answers. 0 or negative errno with a sentence. */
int admin_socket_open(struct daemon *daemon, const char *path, struct admin_socket **ret_admin,
                      char *ret_error, size_t error_bytes);
/* Removes the socket file. */
void admin_socket_close(struct admin_socket *admin);

/* Starts what whole lines ask, and ends connections that are through. */
void admin_socket_run(struct admin_socket *admin);
/* What to wait for: at most ADMIN_POLLED_MAX entries; then what came of it. */
size_t admin_socket_poll_set(const struct admin_socket *admin, struct pollfd *ret_set);
void admin_socket_serve(struct admin_socket *admin, const struct pollfd *set, size_t count);
/* True while an answer is not handed to the kernel yet. */
bool admin_socket_has_output(const struct admin_socket *admin);

/* A command is at work: no further line is read until admin_socket_end. */
void admin_socket_begin(struct admin_conn *conn, struct command *command);
void admin_socket_end(struct admin_conn *conn);
/* Sends a line, or as soon as the peer takes it. NULL: there was no memory for it, the connection ends. */
void admin_socket_answer(struct admin_conn *conn, const char *text);

#endif
