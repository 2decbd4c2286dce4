/* bench/process.h: a server as a child process with a folder of its own: started, waited for, ended by its
 * process id, and its folder removed.
 *
 * Threads: the main thread, with whose end the process ends.  Memory: the caller's. */
#ifndef TERN_BENCH_PROCESS_H
#define TERN_BENCH_PROCESS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_PATH_BYTES 256

struct process {
    pid_t pid; /* 0: not running */
    char folder[PROCESS_PATH_BYTES];
    uint16_t port; /* on 127.0.0.1, where it is to listen */
};

/* Makes the folder and finds a free port. 0 or negative errno, as for all of these. */
int process_init(struct process *process);
/* Writes a file into the folder, as printf. */
__attribute__((format(printf, 3, 4))) int process_write(const struct process *process, const char *name,
                                                        const char *format, ...);
/* program: looked for in PATH. cores: NULL, or where it has to stay. environment: NULL, or NAME=VALUE lines
 * beside the own ones, NULL at the end. Output goes to `log` in the folder. */
int process_start(struct process *process, const cpu_set_t *cores, const char *const arguments[],
                  const char *const environment[]);
/* The same for a function of ours, which never returns. */
int process_fork(struct process *process, const cpu_set_t *cores, void (*body)(void *context), void *context);
/* Until something accepts connections at the port. -ECHILD: it ended; -ETIMEDOUT. */
int process_wait_ready(struct process *process, uint32_t timeout_ms);
/* Until it ends by itself. Its status as of waitpid. */
int process_wait_end(struct process *process);
/* What it said, to standard error. */
void process_show_log(const struct process *process);
void process_close(struct process *process);
/* Is there such a program in PATH (or /usr/sbin)? */
bool process_is_installed(const char *program);

#endif
