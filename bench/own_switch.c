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
#define ARGUMENTS_MAX 48
#define UNDER_MAX 8

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

/* The first ready line has the address; from then on it is the switch's. */
static bool output_is_ready(struct own_switch *own) {
    char path[OWN_SWITCH_PATH_BYTES + 32], line[256];
    bool ready = false;
    snprintf(path, sizeof(path), "%s/out", own->folder);
    FILE *file = fopen(path, "re");
    while (file && !ready && fgets(line, sizeof(line), file))
        ready = strncmp(line, "ready", 5) == 0 && strchr(line, '\n');
    if (file)
        fclose(file);
    if (ready && !own->address[0])
        sscanf(line, "ready %79s", own->address);
    return ready;
}

static void show_log(const struct own_switch *own, FILE *errors) {
    if (!errors)
        return;
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
__attribute__((noreturn)) static void become(const char *path, char *const arguments[],
                                             char *const environment[], const cpu_set_t *only, pid_t parent,
                                             int out, int log) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || (only && sched_setaffinity(0, sizeof(*only), only) < 0))
        _exit(127);
    if (setpgid(0, 0) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(127); /* a group of its own: Ctrl-C is for ternbench, which ends the switch in order */
    execvpe(path, arguments, environment); /* a path with a slash is not looked for */
    _exit(127);
}

static void gather_arguments(const struct own_switch *own, const struct own_switch_setup *setup,
                             const char *data, const char **arguments) {
    const char *const fixed[] = {
        "ternd",   "--data",  data, "--listen", own->address[0] ? own->address : "127.0.0.1:0",
        "--admin", own->admin};
    uint32_t count = sizeof(fixed) / sizeof(fixed[0]);
    memcpy(arguments, fixed, sizeof(fixed));
    const char *const optional[][2] = {{"--plaintext-listen", setup->plaintext ? "127.0.0.1:0" : NULL},
                                       {"--shards", setup->shards},
                                       {"--cores", setup->cores}};
    for (uint32_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
        if (!optional[i][1])
            continue;
        arguments[count++] = optional[i][0];
        arguments[count++] = optional[i][1];
    }
    for (uint32_t i = 0; setup->options && setup->options[i] && count < ARGUMENTS_MAX; i++)
        arguments[count++] = setup->options[i];
}

/* A list of the own environment's variables, and TERN_CRASH as the setup says. The caller frees it. */
static char **gather_environment(const struct own_switch_setup *setup, char *crash, size_t crash_bytes) {
    size_t count = 0, used = 0;
    while (environ[count])
        count++;
    char **list = calloc(count + 2, sizeof(*list));
    for (size_t i = 0; list && i < count; i++) {
        if (strncmp(environ[i], "TERN_CRASH=", 11) != 0)
            list[used++] = environ[i];
    }
    snprintf(crash, crash_bytes, "TERN_CRASH=%s", setup->crash ? setup->crash : "");
    if (list && setup->crash)
        list[used] = crash;
    return list;
}

static int start(struct own_switch *own, const struct own_switch_setup *setup, const char *ternd) {
    char data[OWN_SWITCH_PATH_BYTES + 32], crash[64];
    const char *arguments[UNDER_MAX + ARGUMENTS_MAX + 1] = {0};
    snprintf(data, sizeof(data), "%s/data", own->folder);
    uint32_t under = 0;
    while (setup->under && setup->under[under] && under < UNDER_MAX) {
        arguments[under] = setup->under[under];
        under++;
    }
    gather_arguments(own, setup, data, arguments + under);
    if (under)
        arguments[under] = ternd;
    char **environment = gather_environment(setup, crash, sizeof(crash));
    int out = open_output(own, "out");
    int log = open_output(own, "log");
    pid_t parent = getpid();
    pid_t pid = out < 0 || log < 0 || !environment ? -1 : fork();
    int error = pid < 0 ? (out < 0 ? out : log < 0 ? log : environment ? -errno : -ENOMEM) : 0;
    if (pid == 0)
        become(under ? arguments[0] : ternd, (char *const *)arguments, environment, setup->only, parent, out,
               log);
    if (out >= 0)
        close(out);
    if (log >= 0)
        close(log);
    free(environment);
    own->pid = pid > 0 ? pid : 0;
    return error;
}

bool own_switch_has_ended(struct own_switch *own) {
    if (own->pid && waitpid(own->pid, &own->status, WNOHANG) == own->pid)
        own->pid = 0;
    return own->pid == 0;
}

static int wait_ready(struct own_switch *own, FILE *errors) {
    for (int waited_ms = 0; waited_ms < READY_MS; waited_ms += POLL_MS) {
        if (own_switch_has_ended(own)) {
            if (errors)
                fprintf(errors, "ternbench: ternd ended before it was ready\n");
            show_log(own, errors);
            return -ECHILD;
        }
        if (output_is_ready(own))
            return 0;
        sleep_poll();
    }
    if (errors)
        fprintf(errors, "ternbench: ternd was not ready within %d s\n", READY_MS / 1000);
    show_log(own, errors);
    return -ETIMEDOUT;
}

int own_switch_start(struct own_switch *own, const struct own_switch_setup *setup, FILE *errors) {
    char ternd[PATH_MAX] = "ternd";
    int error = find_ternd(ternd);
    if (!error)
        error = start(own, setup, ternd);
    if (!error)
        return wait_ready(own, errors);
    if (errors)
        fprintf(errors, "ternbench: can not start %s: %s (--admin names a running switch)\n", ternd,
                strerror(-error));
    return error;
}

int own_switch_open(struct own_switch *own, const struct own_switch_setup *setup, FILE *errors) {
    *own = (struct own_switch){0};
    const char *base = getenv("TMPDIR");
    snprintf(own->folder, sizeof(own->folder), "%s/ternbench-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(own->folder)) {
        int error = -errno;
        fprintf(errors, "ternbench: %s: %s\n", own->folder, strerror(errno));
        own->folder[0] = 0;
        return error;
    }
    snprintf(own->admin, sizeof(own->admin), "%s/admin.sock", own->folder);
    int error = own_switch_start(own, setup, errors);
    if (error)
        own_switch_close(own, errors);
    return error;
}

void own_switch_kill(struct own_switch *own) {
    if (!own->pid)
        return;
    kill(own->pid, SIGKILL);
    waitpid(own->pid, &own->status, 0);
    own->pid = 0;
}

int own_switch_stop(struct own_switch *own, FILE *errors) {
    if (!own->pid)
        return 0;
    kill(own->pid, SIGTERM);
    bool ended = own_switch_has_ended(own);
    for (int waited_ms = 0; !ended && waited_ms < END_MS; waited_ms += POLL_MS) {
        sleep_poll();
        ended = own_switch_has_ended(own);
    }
    if (!ended)
        own_switch_kill(own);
    if (ended && WIFEXITED(own->status) && WEXITSTATUS(own->status) == 0)
        return 0;
    fprintf(errors, "ternbench: the switch did not end in order (wait status %d)\n", own->status);
    show_log(own, errors);
    return -EIO;
}

int own_switch_close(struct own_switch *own, FILE *errors) {
    int error = own_switch_stop(own, errors);
    remove_folder(own);
    return error;
}
