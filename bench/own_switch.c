#include "bench/own_switch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 20000
#define END_MS 15000
#define POLL_MS 5
#define ARGUMENTS_MAX 16

static void sleep_poll(void) {
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static void remove_folder(struct own_switch *own) {
    if (own->folder[0])
        nftw(own->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    own->folder[0] = 0;
}

/* Files rather than pipes: the switch must never wait for its bench to read. */
static int open_output(const struct own_switch *own, const char *name) {
    char path[OWN_SWITCH_PATH_BYTES + 32];
    snprintf(path, sizeof(path), "%s/%s", own->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

static bool output_is_ready(const struct own_switch *own) {
    char path[OWN_SWITCH_PATH_BYTES + 32], line[256];
    bool ready = false;
    snprintf(path, sizeof(path), "%s/out", own->folder);
    FILE *file = fopen(path, "re");
    while (file && !ready && fgets(line, sizeof(line), file))
        ready = strncmp(line, "ready", 5) == 0 && strchr(line, '\n');
    if (file)
        fclose(file);
    return ready;
}

static void show_log(const struct own_switch *own, FILE *errors) {
    char path[OWN_SWITCH_PATH_BYTES + 32], line[512];
    snprintf(path, sizeof(path), "%s/log", own->folder);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        fprintf(errors, "  ternd: %s%s", line, strchr(line, '\n') ? "" : "\n");
    if (file)
        fclose(file);
}

static int find_ternd(char path[PATH_MAX]) {
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (bytes < 0)
        return -errno;
    path[bytes] = 0;
    char *slash = strrchr(path, '/');
    if (!slash || slash - path + sizeof("/ternd") > PATH_MAX)
        return -ENOENT;
    strcpy(slash, "/ternd");
    return access(path, X_OK) < 0 ? -errno : 0;
}

/* In the child: only calls that are safe after a fork. */
__attribute__((noreturn)) static void become(const char *path, char *const arguments[], pid_t parent, int out,
                                             int log) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    if (setpgid(0, 0) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(127); /* a group of its own: Ctrl-C is for ternbench, which ends the switch in order */
    execv(path, arguments);
    _exit(127);
}

static int start(struct own_switch *own, const struct own_switch_setup *setup, const char *ternd) {
    char data[OWN_SWITCH_PATH_BYTES + 32];
    snprintf(data, sizeof(data), "%s/data", own->folder);
    const char *arguments[ARGUMENTS_MAX] = {"ternd",       "--data",  data,      "--listen",
                                            "127.0.0.1:0", "--admin", own->admin};
    uint32_t count = 7;
    const char *const optional[][2] = {{"--plaintext-listen", setup->plaintext ? "127.0.0.1:0" : NULL},
                                       {"--shards", setup->shards},
                                       {"--cores", setup->cores}};
    for (uint32_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
        if (!optional[i][1])
            continue;
        arguments[count++] = optional[i][0];
        arguments[count++] = optional[i][1];
    }
    int out = open_output(own, "out");
    int log = open_output(own, "log");
    pid_t parent = getpid();
    pid_t pid = out < 0 || log < 0 ? -1 : fork();
    int error = pid < 0 ? (out < 0 ? out : log < 0 ? log : -errno) : 0;
    if (pid == 0)
        become(ternd, (char *const *)arguments, parent, out, log);
    if (out >= 0)
        close(out);
    if (log >= 0)
        close(log);
    own->pid = pid > 0 ? pid : 0;
    return error;
}

/* True when it has ended; ret_status as of waitpid. */
static bool has_ended(struct own_switch *own, int *ret_status) {
    if (waitpid(own->pid, ret_status, WNOHANG) != own->pid)
        return false;
    own->pid = 0;
    return true;
}

static int wait_ready(struct own_switch *own, FILE *errors) {
    int status;
    for (int waited_ms = 0; waited_ms < READY_MS; waited_ms += POLL_MS) {
        if (output_is_ready(own))
            return 0;
        if (has_ended(own, &status)) {
            fprintf(errors, "ternbench: ternd ended before it was ready\n");
            show_log(own, errors);
            return -ECHILD;
        }
        sleep_poll();
    }
    fprintf(errors, "ternbench: ternd was not ready within %d s\n", READY_MS / 1000);
    show_log(own, errors);
    return -ETIMEDOUT;
}

int own_switch_open(struct own_switch *own, const struct own_switch_setup *setup, FILE *errors) {
    *own = (struct own_switch){0};
    char ternd[PATH_MAX] = "ternd";
    int error = find_ternd(ternd);
    if (error) {
        fprintf(errors, "ternbench: %s: %s (--admin names a running switch)\n", ternd, strerror(-error));
        return error;
    }
    const char *base = getenv("TMPDIR");
    snprintf(own->folder, sizeof(own->folder), "%s/ternbench-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(own->folder)) {
        error = -errno;
        fprintf(errors, "ternbench: %s: %s\n", own->folder, strerror(errno));
        own->folder[0] = 0;
        return error;
    }
    snprintf(own->admin, sizeof(own->admin), "%s/admin.sock", own->folder);
    error = start(own, setup, ternd);
    if (error)
        fprintf(errors, "ternbench: can not start %s: %s\n", ternd, strerror(-error));
    else
        error = wait_ready(own, errors);
    if (error)
        own_switch_close(own, errors);
    return error;
}

int own_switch_close(struct own_switch *own, FILE *errors) {
    int status = 0, error = 0;
    if (own->pid) {
        kill(own->pid, SIGTERM);
        int waited_ms = 0;
        bool ended = has_ended(own, &status);
        for (; !ended && waited_ms < END_MS; waited_ms += POLL_MS) {
            sleep_poll();
            ended = has_ended(own, &status);
        }
        if (!ended) {
            kill(own->pid, SIGKILL);
            waitpid(own->pid, &status, 0);
            own->pid = 0;
        }
        if (!ended || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(errors, "ternbench: the switch did not end in order (wait status %d)\n", status);
            show_log(own, errors);
            error = -EIO;
        }
    }
    remove_folder(own);
    return error;
}
