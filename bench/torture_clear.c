#include "bench/torture_clear.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_BYTES (sizeof(TORTURE_TEXT) - 1)

static uint64_t count_in(const uint8_t *bytes, size_t left) {
    uint64_t count = 0;
    for (const uint8_t *at; (at = memmem(bytes, left, TORTURE_TEXT, TEXT_BYTES)) != NULL; count++) {
        left -= (size_t)(at - bytes) + TEXT_BYTES;
        bytes = at + TEXT_BYTES;
    }
    return count;
}

/* How often the text is in a file; negative errno. Files without bytes, as locks are, have none. */
static int64_t search_file(int folder, const char *name) {
    struct stat status;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int64_t found = fstat(fd, &status) < 0 ? -errno : 0;
    if (!found && S_ISREG(status.st_mode) && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        found = bytes == MAP_FAILED ? -errno : (int64_t)count_in(bytes, (size_t)status.st_size);
        if (bytes != MAP_FAILED)
            munmap(bytes, (size_t)status.st_size);
    }
    close(fd);
    return found;
}

static int64_t search_folder(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder)
        return -errno;
    int64_t found = 0, error = 0;
    for (struct dirent *entry; !error && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        int64_t count = entry->d_type == DT_DIR ? search_folder(dirfd(folder), entry->d_name)
                                                : search_file(dirfd(folder), entry->d_name);
        found += count > 0 ? count : 0;
        error = count < 0 ? count : 0;
    }
    closedir(folder);
    return error ? error : found;
}

void torture_clear_search(struct torture_check *check, const char *folder) {
    char data[PATH_MAX];
    snprintf(data, sizeof(data), "%s/data", folder);
    int64_t found = search_folder(AT_FDCWD, data);
    if (found < 0)
        torture_check_wrong(check, "the store in %.100s can not be searched: %s", data,
                            strerror((int)-found));
    if (found <= 0)
        return;
    check->clear += (uint64_t)found;
    torture_check_wrong(check, "the switch's store has the text of %" PRId64 " messages", found);
}
