#include "tools/ternd/checker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/ternd/check_tool.h"
#include "tools/ternd/command.h"

#define READ_BYTES 65536
#define SENTENCE_BYTES 128

void checker_start(struct checker *checker, struct command *command, const char *folder) {
    if (checker->command) {
        command_fail(command, ADMIN_CODE_busy, "a check is running");
        return;
    }
    int error = child_start(&checker->child, CHECK_TOOL_OPTION, folder, "--json");
    if (error) {
        command_fail(command, ADMIN_CODE_failed, "the check can't be started: %s", strerror(-error));
        return;
    }
    fcntl(checker->child.out_fd, F_SETFL, O_NONBLOCK);
    checker->command = command;
}

int checker_fd(const struct checker *checker) {
    return checker->command ? checker->child.out_fd : -1;
}

static void forget(struct checker *checker) {
    free(checker->said);
    *checker = (struct checker){.command = NULL};
}

static void answer(struct checker *checker, int status) {
    char sentence[SENTENCE_BYTES];
    struct command *command = checker->command;
    cJSON *said = cJSON_ParseWithLength(checker->said, checker->said_bytes);
    forget(checker);
    if (cJSON_IsObject(said)) {
        cJSON_Delete(command->answer);
        command->answer = said;
        command_done(command);
        return;
    }
    cJSON_Delete(said);
    child_describe_end(status, sentence, sizeof(sentence));
    command_fail(command, ADMIN_CODE_failed, "the check %s", sentence);
}

static int make_room(struct checker *checker) {
    if (checker->said_capacity - checker->said_bytes >= READ_BYTES)
        return 0;
    size_t capacity = checker->said_bytes + 2 * READ_BYTES;
    char *said = capacity > ADMIN_LINE_BYTES_MAX ? NULL : realloc(checker->said, capacity);
    if (!said)
        return -ENOMEM;
    checker->said = said;
    checker->said_capacity = capacity;
    return 0;
}

void checker_serve(struct checker *checker) {
    while (checker->command) {
        ssize_t got = -1;
        errno = ENOMEM;
        if (make_room(checker) == 0)
            got = read(checker->child.out_fd, checker->said + checker->said_bytes, READ_BYTES);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got > 0) {
            checker->said_bytes += (size_t)got;
            continue;
        }
        if (got < 0)
            kill(checker->child.pid, SIGKILL);
        answer(checker, child_wait(&checker->child));
    }
}

void checker_end(struct checker *checker) {
    if (!checker->command)
        return;
    kill(checker->child.pid, SIGKILL);
    child_wait(&checker->child);
    forget(checker);
}
