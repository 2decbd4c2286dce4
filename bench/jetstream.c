#include "bench/jetstream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers.h"
#include "bench/wire_nats.h"

#define ANSWER_BYTES_MAX 8192

/* Says what makes the stream, and waits for the answer. */
static int make_stream(int fd) {
    static const char config[] = "{\"name\":\"" WIRE_NATS_STREAM "\",\"subjects\":[\"q.*\"],"
                                 "\"storage\":\"file\",\"retention\":\"limits\",\"num_replicas\":1}";
    char text[512], answer[ANSWER_BYTES_MAX];
    int bytes = snprintf(text, sizeof(text),
                         "CONNECT {\"verbose\":false}\r\nSUB made 1\r\n"
                         "PUB $JS.API.STREAM.CREATE." WIRE_NATS_STREAM " made %zu\r\n%s\r\n",
                         sizeof(config) - 1, config);
    if (send(fd, text, (size_t)bytes, MSG_NOSIGNAL) != bytes)
        return -errno;
    size_t used = 0;
    while (used < sizeof(answer) - 1) {
        ssize_t got = recv(fd, answer + used, sizeof(answer) - 1 - used, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        used += (size_t)got;
        answer[used] = 0;
        const char *message = strstr(answer, "MSG made ");
        const char *body = message ? strchr(message, '\n') : NULL;
        if (!body || !strstr(body + 1, "\r\n"))
            continue;
        if (!strstr(body, "\"error\""))
            return 0;
        fprintf(stderr, "ternbench: JetStream says%s", body);
        return -EPROTO;
    }
    return -EPROTO;
}

static int prepare(const struct process *process, const struct load *load) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = connect(fd, (const struct sockaddr *)&load->address, load->address_bytes) < 0
                    ? -errno
                    : make_stream(fd);
    close(fd);
    if (error) {
        fprintf(stderr, "ternbench: JetStream makes no stream: %s\n", strerror(-error));
        process_show_log(process);
    }
    return error;
}

static int open_jetstream(struct server *server, struct load *load) {
    struct process *process = &server->process;
    char path[PROCESS_PATH_BYTES + 8];
    int error = process_init(process);
    if (!error)
        error =
            process_write(process, "conf",
                          "host: 127.0.0.1\nport: %u\nmax_connections: 100000\nwrite_deadline: \"60s\"\n"
                          "max_pending: 1GB\njetstream { store_dir: \"%s/store\", max_file_store: 64GB }\n",
                          process->port, process->folder);
    snprintf(path, sizeof(path), "%s/conf", process->folder);
    const char *const arguments[] = {"nats-server", "-c", path, NULL};
    const char *const environment[] = {"GOMAXPROCS=1", NULL};
    if (!error)
        error = peers_start(server, load, arguments, environment);
    return error ? error : prepare(process, load);
}

const struct server_kind server_jetstream = {
    .name = "nats-server JetStream",
    .ratio = "jetstream",
    .program = "nats-server",
    .settings =
        "one stream with file storage, 1 replica, each publication answered; plaintext; GOMAXPROCS=1. "
        "sync: as it comes, files are fsynced every two minutes, so an answer does not mean that the "
        "disk has it (2.9 has no setting for that). A durable push consumer for each receiving end, "
        "without acknowledgements: nothing is deleted",
    .wire = &wire_jetstream,
    .open = open_jetstream,
};
