#include "bench/peers.h"

#include <stdio.h>
#include <string.h>

#include "bench/wire_mqtt.h"
#include "bench/wire_nats.h"
#include "bench/wire_xmpp.h"

#define START_MS 30000

int peers_start(struct server *server, struct load *load, const char *const arguments[],
                const char *const environment[]) {
    struct process *process = &server->process;
    int error = process_start(process, server->setup.cores, arguments, environment);
    if (!error)
        error = process_wait_ready(process, START_MS);
    if (error) {
        fprintf(stderr, "ternbench: %s does not start: %s\n", server->kind->name, strerror(-error));
        process_show_log(process);
        return error;
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(process->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memcpy(&load->address, &address, sizeof(address));
    load->address_bytes = sizeof(address);
    return 0;
}

static const char *path_in(const struct server *server, const char *name, char path[PROCESS_PATH_BYTES * 2]) {
    snprintf(path, (size_t)PROCESS_PATH_BYTES * 2, "%s/%s", server->process.folder, name);
    return path;
}

static int open_nats(struct server *server, struct load *load) {
    char path[PROCESS_PATH_BYTES * 2];
    int error = process_init(&server->process);
    if (!error)
        error = process_write(&server->process, "conf",
                              "host: 127.0.0.1\nport: %u\nmax_connections: 100000\nwrite_deadline: \"60s\"\n"
                              "max_pending: 1GB\n",
                              server->process.port);
    const char *const arguments[] = {"nats-server", "-c", path_in(server, "conf", path), NULL};
    const char *const environment[] = {"GOMAXPROCS=1", NULL};
    return error ? error : peers_start(server, load, arguments, environment);
}

static int open_mosquitto(struct server *server, struct load *load) {
    char path[PROCESS_PATH_BYTES * 2];
    int error = process_init(&server->process);
    if (!error)
        error = process_write(&server->process, "conf",
                              "user root\nlistener %u 127.0.0.1\nallow_anonymous true\npersistence false\n"
                              "set_tcp_nodelay true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
                              "connection_messages false\nlog_type error\n",
                              server->process.port);
    const char *const arguments[] = {"mosquitto", "-c", path_in(server, "conf", path), NULL};
    return error ? error : peers_start(server, load, arguments, NULL);
}

/* Without a node name: then it needs no port mapper, which would outlive it. */
static int open_ejabberd(struct server *server, struct load *load) {
    char config[PROCESS_PATH_BYTES * 2], spool[PROCESS_PATH_BYTES * 2], quoted[PROCESS_PATH_BYTES * 3],
        log[PROCESS_PATH_BYTES * 2];
    int error = process_init(&server->process);
    if (!error)
        error =
            process_write(&server->process, "ejabberd.yml",
                          "hosts: [localhost]\nloglevel: none\nlisten:\n  -\n    port: %u\n"
                          "    ip: \"127.0.0.1\"\n    module: ejabberd_c2s\n    max_stanza_size: 262144\n"
                          "    access: all\n    shaper: none\n    starttls: false\n    backlog: 4096\n"
                          "auth_method: [anonymous]\nanonymous_protocol: sasl_anon\n"
                          "allow_multiple_connections: true\nregistration_timeout: infinity\nmodules: {}\n",
                          server->process.port);
    snprintf(config, sizeof(config), "EJABBERD_CONFIG_PATH=%s/ejabberd.yml", server->process.folder);
    snprintf(log, sizeof(log), "EJABBERD_LOG_PATH=%s/ejabberd.log", server->process.folder);
    snprintf(quoted, sizeof(quoted), "\"%s\"", path_in(server, "spool", spool));
    const char *const arguments[] = {"erl",      "+K",      "true", "+S",   "1:1", "+P",       "250000",
                                     "-noinput", "-mnesia", "dir",  quoted, "-s",  "ejabberd", NULL};
    const char *const environment[] = {config, log, "ERL_LIBS=/usr/lib/x86_64-linux-gnu", NULL};
    return error ? error : peers_start(server, load, arguments, environment);
}

static int open_prosody(struct server *server, struct load *load) {
    char path[PROCESS_PATH_BYTES * 2];
    int error = process_init(&server->process);
    if (!error)
        error =
            process_write(&server->process, "prosody.cfg.lua",
                          "run_as_root = true\ndaemonize = false\ndata_path = \"%s\"\npidfile = \"%s/pid\"\n"
                          "log = { error = \"*console\" }\nnetwork_backend = \"epoll\"\n"
                          "interfaces = { \"127.0.0.1\" }\nc2s_ports = { %u }\ns2s_ports = {}\n"
                          "c2s_direct_tls_ports = {}\nmodules_enabled = { \"saslauth\" }\n"
                          "modules_disabled = { \"s2s\", \"offline\", \"tls\" }\n"
                          "c2s_require_encryption = false\nnetwork_settings = { tcp_backlog = 4096 }\n"
                          "VirtualHost \"localhost\"\nauthentication = \"anonymous\"\n",
                          server->process.folder, server->process.folder, server->process.port);
    const char *const arguments[] = {"prosody", "-F", "--config", path_in(server, "prosody.cfg.lua", path),
                                     NULL};
    return error ? error : peers_start(server, load, arguments, NULL);
}

static const struct server_kind kinds[] = {
    {.name = "nats-server",
     .ratio = "nats",
     .program = "nats-server",
     .settings = "core NATS: at most once, in memory, plaintext; GOMAXPROCS=1, max_pending 1GB",
     .wire = &wire_nats,
     .open = open_nats},
    {.name = "mosquitto QoS 0",
     .ratio = "mosquitto_qos0",
     .program = "mosquitto",
     .settings = "QoS 0, plaintext, no persistence, TCP_NODELAY, no limits on what is in flight or queued",
     .wire = &wire_mqtt_qos0,
     .open = open_mosquitto},
    {.name = "mosquitto QoS 1",
     .ratio = "mosquitto_qos1",
     .program = "mosquitto",
     .settings = "QoS 1, plaintext, no persistence, TCP_NODELAY, no limits on what is in flight or queued",
     .pairs = 100,
     .wire = &wire_mqtt_qos1,
     .open = open_mosquitto},
    {.name = "ejabberd",
     .ratio = "ejabberd",
     .program = "/usr/sbin/ejabberdctl",
     .package = "ejabberd",
     .settings = "plaintext, anonymous login, no modules (no offline storage), no shaper; +S 1:1 +K true",
     .pairs = 100,
     .wire = &wire_xmpp,
     .open = open_ejabberd},
    {.name = "prosody",
     .ratio = "prosody",
     .program = "prosody",
     .settings = "plaintext, anonymous login, epoll, only the modules needed",
     .pairs = 100,
     .wire = &wire_xmpp,
     .open = open_prosody},
};

const struct server_kind *peers_kind(uint32_t index) {
    return index < sizeof(kinds) / sizeof(kinds[0]) ? &kinds[index] : NULL;
}
