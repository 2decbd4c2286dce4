#include "bench/admin.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <netdb.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (4u << 20) /* a thousand accounts are some 120 KB */
#define ANSWER_TIMEOUT_S 60

__attribute__((format(printf, 3, 4))) static int fail(struct admin *admin, int error, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(admin->error, sizeof(admin->error), format, arguments);
    va_end(arguments);
    return error;
}

int admin_open(struct admin *admin, const char *path) {
    *admin = (struct admin){.fd = -1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return fail(admin, -ENAMETOOLONG, "the path of the admin socket is too long: %s", path);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(admin, -errno, "no socket: %s", strerror(errno));
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = errno;
        close(fd);
        return fail(admin, -error, "no switch answers at %s: %s", path, strerror(error));
    }
    struct ucred peer;
    socklen_t peer_bytes = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) == 0)
        admin->switch_pid = peer.pid;
    admin->fd = fd;
    return 0;
}

void admin_close(struct admin *admin) {
    if (admin->fd >= 0)
        close(admin->fd);
    admin->fd = -1;
}

static int send_all(struct admin *admin, const char *text) {
    size_t left = strlen(text);
    while (left) {
        ssize_t count = send(admin->fd, text, left, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail(admin, -errno, "the admin socket took no request: %s", strerror(errno));
        text += count;
        left -= (size_t)count;
    }
    return 0;
}

/* One line. The switch answers every request with exactly one, so nothing of the next is read along. */
static int receive_line(struct admin *admin, char *line) {
    size_t used = 0;
    while (used < ANSWER_BYTES_MAX - 1) {
        ssize_t count = recv(admin->fd, line + used, ANSWER_BYTES_MAX - 1 - used, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return fail(admin, count ? -errno : -ECONNRESET, "the admin socket gave no answer: %s",
                        count ? strerror(errno) : "closed");
        used += (size_t)count;
        if (line[used - 1] == '\n') {
            line[used] = 0;
            return 0;
        }
    }
    return fail(admin, -EMSGSIZE, "the admin socket's answer is too long");
}

/* Sends the request (and frees it); the answer is the caller's to delete. */
static int ask(struct admin *admin, cJSON *request, cJSON **ret_answer) {
    char *text = cJSON_PrintUnformatted(request);
    cJSON_Delete(request);
    char *line = malloc(ANSWER_BYTES_MAX);
    int error = text && line ? send_all(admin, text) : fail(admin, -ENOMEM, "no memory");
    if (!error)
        error = send_all(admin, "\n");
    if (!error)
        error = receive_line(admin, line);
    cJSON *answer = error ? NULL : cJSON_Parse(line);
    cJSON_free(text);
    free(line);
    if (error)
        return error;
    if (!answer)
        return fail(admin, -EPROTO, "the admin socket's answer is not JSON");
    if (!cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok"))) {
        const char *sentence = cJSON_GetStringValue(cJSON_GetObjectItem(answer, "error"));
        fail(admin, -EPROTO, "the switch refused: %s", sentence ? sentence : "it does not say why");
        cJSON_Delete(answer);
        return -EPROTO;
    }
    *ret_answer = answer;
    return 0;
}

static bool read_hex(const cJSON *object, const char *name, uint8_t *out, size_t bytes) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
    size_t used = 0;
    return text && strlen(text) == bytes * 2 &&
           sodium_hex2bin(out, bytes, text, bytes * 2, NULL, &used, NULL) == 0 && used == bytes;
}

static int read_accounts(const cJSON *answer, uint32_t count, struct admin_account *accounts,
                         struct admin_switch *ret_switch) {
    const cJSON *list = cJSON_GetObjectItem(answer, "accounts");
    if (cJSON_GetArraySize(list) != (int)count || !read_hex(answer, "key", ret_switch->key, NOISE_KEY_BYTES))
        return -EPROTO;
    const cJSON *item;
    uint32_t at = 0;
    cJSON_ArrayForEach(item, list) {
        const cJSON *number = cJSON_GetObjectItem(item, "account");
        if (!cJSON_IsNumber(number) || !read_hex(item, "code", accounts[at].code, FRAME_CODE_BYTES))
            return -EPROTO;
        accounts[at++].account = (uint64_t)cJSON_GetNumberValue(number);
    }
    const char *address = cJSON_GetStringValue(cJSON_GetObjectItem(answer, "address"));
    const char *plaintext = cJSON_GetStringValue(cJSON_GetObjectItem(answer, "plaintext"));
    ret_switch->plaintext_bytes = 0;
    if (plaintext && admin_parse_address(plaintext, &ret_switch->plaintext, &ret_switch->plaintext_bytes) < 0)
        return -EPROTO;
    return address ? admin_parse_address(address, &ret_switch->address, &ret_switch->address_bytes) : -EPROTO;
}

int admin_accounts_add(struct admin *admin, const char *prefix, uint32_t count,
                       struct admin_account *ret_accounts, struct admin_switch *ret_switch) {
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddStringToObject(request, "command", "account add");
    cJSON_AddStringToObject(request, "prefix", prefix);
    cJSON_AddNumberToObject(request, "count", count);
    int error = ask(admin, request, &answer);
    if (error)
        return error;
    error = read_accounts(answer, count, ret_accounts, ret_switch);
    cJSON_Delete(answer);
    return error ? fail(admin, error, "the switch's answer to 'account add' is not as expected") : 0;
}

int admin_queue_entries(struct admin *admin, const char *name, uint64_t *ret_entries) {
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    const cJSON *device;
    uint64_t entries = 0;
    cJSON_AddStringToObject(request, "command", "queue show");
    cJSON_AddStringToObject(request, "name", name);
    int error = ask(admin, request, &answer);
    if (error)
        return error;
    cJSON_ArrayForEach(device, cJSON_GetObjectItem(answer, "devices")) {
        entries += (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(device, "outbox"));
        entries += (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(device, "queue"));
    }
    cJSON_Delete(answer);
    *ret_entries = entries;
    return 0;
}

int admin_store_check(struct admin *admin, uint64_t *ret_records) {
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddStringToObject(request, "command", "store check");
    int error = ask(admin, request, &answer);
    if (error)
        return error;
    *ret_records = (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(answer, "records"));
    cJSON_Delete(answer);
    return 0;
}

int admin_accounts_remove(struct admin *admin, const char *prefix) {
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddStringToObject(request, "command", "account remove");
    cJSON_AddStringToObject(request, "prefix", prefix);
    int error = ask(admin, request, &answer);
    if (!error)
        cJSON_Delete(answer);
    return error;
}

int admin_stats(struct admin *admin, const char *const names[], uint32_t count, double *ret_values) {
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddStringToObject(request, "command", "stats");
    int error = ask(admin, request, &answer);
    if (error)
        return error;
    uint32_t found = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(answer, "stats")) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(row, "name"));
        for (uint32_t i = 0; name && i < count; i++) {
            if (strcmp(name, names[i]) != 0)
                continue;
            ret_values[i] = cJSON_GetNumberValue(cJSON_GetObjectItem(row, "value"));
            found++;
        }
    }
    cJSON_Delete(answer);
    return found == count ? 0 : fail(admin, -EPROTO, "the switch does not have every counter asked for");
}

int admin_parse_address(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_bytes) {
    char host[128];
    const char *colon = strrchr(text, ':');
    size_t host_bytes = colon ? (size_t)(colon - text) : 0;
    if (host_bytes == 0 || host_bytes >= sizeof(host))
        return -EINVAL;
    bool bracketed = text[0] == '[' && text[host_bytes - 1] == ']';
    memcpy(host, text + bracketed, host_bytes - 2 * bracketed);
    host[host_bytes - 2 * bracketed] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -EINVAL;
    memset(ret_address, 0, sizeof(*ret_address));
    memcpy(ret_address, found->ai_addr, found->ai_addrlen);
    *ret_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    if (v4->sin_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY))
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (v6->sin6_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
        v6->sin6_addr = in6addr_loopback;
    return 0;
}
