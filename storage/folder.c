#include "storage/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/environment.h"

#define PATH_BYTES 512
#define ENVIRONMENT_FRONT "env-"

int folder_sync(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) ? -errno : 0;
    close(fd);
    return error;
}

int folder_sync_file(const char *folder, const char *name) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) ? -errno : 0;
    close(fd);
    return error;
}

/* A new folder is durable when the one above it is synced. */
static int make_one(const char *path, mode_t mode) {
    char above[PATH_BYTES + 4];
    if (mkdir(path, mode))
        return errno == EEXIST ? 0 : -errno;
    snprintf(above, sizeof(above), "%s/..", path);
    return folder_sync(above);
}

int folder_make(const char *folder) {
    char path[PATH_BYTES];
    size_t bytes = strlen(folder);
    while (bytes > 1 && folder[bytes - 1] == '/')
        bytes--;
    if (bytes == 0 || bytes >= sizeof(path))
        return -EINVAL;
    memcpy(path, folder, bytes);
    path[bytes] = '\0';
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int error = make_one(path, 0755);
        if (error)
            return error;
        *slash = '/';
    }
    int error = make_one(path, 0700);
    struct stat status;
    if (error == 0 && stat(path, &status))
        error = -errno;
    return error || S_ISDIR(status.st_mode) ? error : -ENOTDIR;
}

int folder_lock(const char *folder) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int error = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(fd);
        return error;
    }
    return fd;
}

int folder_environments(const char *folder) {
    DIR *listing = opendir(folder);
    if (!listing)
        return errno == ENOENT ? 0 : -errno;
    int count = 0;
    const struct dirent *entry;
    while ((entry = readdir(listing))) {
        size_t front = strlen(ENVIRONMENT_FRONT);
        if (strncmp(entry->d_name, ENVIRONMENT_FRONT, front) != 0)
            continue;
        char *end;
        long index = strtol(entry->d_name + front, &end, 10);
        if (*end == '\0' && end != entry->d_name + front && index >= count && index < ENVIRONMENTS_MAX)
            count = (int)index + 1;
    }
    closedir(listing);
    return count;
}

void folder_environment_path(const char *folder, uint32_t index, char *ret_path, size_t path_bytes) {
    snprintf(ret_path, path_bytes, "%s/" ENVIRONMENT_FRONT "%u", folder, index);
}
