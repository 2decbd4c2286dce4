#include "bench/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 5
#define END_MS 10000
#define LOG_LINES_MAX 12
#define ENVIRONMENT_MAX 256

static void sleep_poll(void) {
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

static struct sockaddr_in address_of(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* These servers want a number: one that the kernel just chose and nobody holds now. */
static int find_port(uint16_t *ret_port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = address_of(0);
    socklen_t bytes = sizeof(address);
    int error = fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) < 0 ||
                        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0
                    ? -errno
                    : 0;
    if (fd >= 0)
        close(fd);
    if (!error)
        *ret_port = ntohs(address.sin_port);
    return error;
}

int process_init(struct process *process) {
    *process = (struct process){0};
    const char *base = getenv("TMPDIR");
    char folder[PROCESS_PATH_BYTES];
    snprintf(folder, sizeof(folder), "%.200s/ternbench-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -errno;
    memcpy(process->folder, folder, sizeof(folder));
    chmod(folder, 0755); /* some of these servers give up being root */
    return find_port(&process->port);
}

static void path_of(const struct process *process, const char *name, char path[PROCESS_PATH_BYTES * 2]) {
    snprintf(path, (size_t)PROCESS_PATH_BYTES * 2, "%s/%s", process->folder, name);
}

int process_write(const struct process *process, const char *name, const char *format, ...) {
    char path[PROCESS_PATH_BYTES * 2];
    path_of(process, name, path);
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    va_list arguments;
    va_start(arguments, format);
    int written = vfprintf(file, format, arguments);
    va_end(arguments);
    return fclose(file) != 0 || written < 0 ? -EIO : 0;
}

/* In the child. A group of its own: Ctrl-C is for ternbench, which ends it in order. */
static void settle(pid_t parent, const cpu_set_t *cores, int log) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (getppid() != parent || setpgid(0, 0) < 0 ||
        (cores && sched_setaffinity(0, sizeof(*cores), cores) < 0))
        _exit(127);
    if (log >= 0 && (dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0))
        _exit(127);
}

int process_start(struct process *process, const cpu_set_t *cores, const char *const arguments[],
                  const char *const environment[]) {
    char path[PROCESS_PATH_BYTES * 2];
    path_of(process, "log", path);
    const char *list[ENVIRONMENT_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; environment && environment[i] && count < ENVIRONMENT_MAX; i++)
        list[count++] = environment[i];
    for (uint32_t i = 0; environ[i] && count < ENVIRONMENT_MAX; i++)
        list[count++] = environ[i];
    list[count] = NULL;
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0)
        return -errno;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        settle(parent, cores, log);
        execvpe(arguments[0], (char *const *)arguments, (char *const *)list);
        _exit(127);
    }
    int error = pid < 0 ? -errno : 0;
    close(log);
    process->pid = pid > 0 ? pid : 0;
    return error;
}

int process_fork(struct process *process, const cpu_set_t *cores, void (*body)(void *context),
                 void *context) {
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        settle(parent, cores, -1);
        body(context);
        _exit(1);
    }
    if (pid < 0)
        return -errno;
    process->pid = pid;
    return 0;
}

static bool has_ended(struct process *process) {
    int status;
    if (waitpid(process->pid, &status, WNOHANG) != process->pid)
        return false;
    process->pid = 0;
    return true;
}

int process_wait_ready(struct process *process, uint32_t timeout_ms) {
    struct sockaddr_in address = address_of(process->port);
    for (uint32_t waited_ms = 0; waited_ms < timeout_ms; waited_ms += POLL_MS) {
        if (has_ended(process))
            return -ECHILD;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        bool is_ready = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
        if (is_ready)
            return 0;
        sleep_poll();
    }
    return -ETIMEDOUT;
}

int process_wait_end(struct process *process) {
    int status = -1;
    if (process->pid)
        waitpid(process->pid, &status, 0);
    process->pid = 0;
    return status;
}

void process_show_log(const struct process *process) {
    char path[PROCESS_PATH_BYTES * 2], line[512];
    path_of(process, "log", path);
    FILE *file = fopen(path, "re");
    for (uint32_t i = 0; file && i < LOG_LINES_MAX && fgets(line, sizeof(line), file); i++)
        fprintf(stderr, "  %s%s", line, strchr(line, '\n') ? "" : "\n");
    if (file)
        fclose(file);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}

void process_close(struct process *process) {
    if (process->pid) {
        kill(process->pid, SIGTERM);
        bool ended = has_ended(process);
        for (int waited_ms = 0; !ended && waited_ms < END_MS; waited_ms += POLL_MS) {
            sleep_poll();
            ended = has_ended(process);
        }
        if (!ended) {
            kill(process->pid, SIGKILL);
            waitpid(process->pid, NULL, 0);
        }
    }
    process->pid = 0;
    if (process->folder[0])
        nftw(process->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    process->folder[0] = 0;
}

bool process_is_installed(const char *program) {
    char list[4096], path[4096 + 64], *rest = list;
    const char *own = getenv("PATH");
    snprintf(list, sizeof(list), "%s:/usr/sbin:/usr/local/sbin", own ? own : "/usr/bin");
    if (strchr(program, '/'))
        return access(program, X_OK) == 0;
    for (char *folder; (folder = strsep(&rest, ":"));) {
        snprintf(path, sizeof(path), "%s/%s", folder, program);
        if (*folder && access(path, X_OK) == 0)
            return true;
    }
    return false;
}
