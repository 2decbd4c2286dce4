#include "tools/ternctl/offline.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/must.h"

#define ARGUMENTS_MAX 6
#define SWITCH_NAME "ternd"

int offline_run(const char *const *arguments, bool json) {
    char path[PATH_MAX + sizeof(SWITCH_NAME)];
    char *all[ARGUMENTS_MAX + 2];
    int count = 0;
    for (; arguments[count]; count++) {
        must(count < ARGUMENTS_MAX);
        all[count] = (char *)(uintptr_t)arguments[count];
    }
    if (json)
        all[count++] = (char *)(uintptr_t) "--json";
    all[count] = NULL;
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (bytes > 0) {
        path[bytes] = '\0';
        strcpy(strrchr(path, '/') + 1, SWITCH_NAME);
        execv(path, all);
    }
    execvp(SWITCH_NAME, all);
    return -errno;
}
