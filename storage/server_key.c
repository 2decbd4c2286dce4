#include "storage/server_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/folder.h"

#define KEY_TEXT_BYTES (KEY_BYTES * 2 + 1)
#define PATH_BYTES 512

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse(const char text[KEY_TEXT_BYTES], uint8_t ret_secret[KEY_BYTES]) {
    for (size_t i = 0; i < KEY_BYTES; i++) {
        int high = digit(text[i * 2]), low = digit(text[i * 2 + 1]);
        if (high < 0 || low < 0)
            return -EUCLEAN;
        ret_secret[i] = (uint8_t)(high << 4 | low);
    }
    return text[KEY_TEXT_BYTES - 1] == '\n' ? 0 : -EUCLEAN;
}

int server_key_read(const char *folder, uint8_t ret_secret[KEY_BYTES]) {
    char path[PATH_BYTES], text[KEY_TEXT_BYTES + 1];
    uint8_t secret[KEY_BYTES];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", folder, SERVER_KEY_FILE);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &status) ? -errno : 0;
    if (error == 0 && (status.st_mode & 077))
        error = -EPERM;
    if (error == 0 && read(fd, text, sizeof(text)) != KEY_TEXT_BYTES)
        error = -EUCLEAN;
    if (error == 0)
        error = parse(text, secret);
    if (error == 0)
        memcpy(ret_secret, secret, KEY_BYTES);
    close(fd);
    explicit_bzero(text, sizeof(text));
    explicit_bzero(secret, sizeof(secret));
    return error;
}

int server_key_write(const char *folder, const uint8_t secret[KEY_BYTES]) {
    char path[PATH_BYTES], fresh[PATH_BYTES], text[KEY_TEXT_BYTES + 1];
    snprintf(path, sizeof(path), "%s/%s", folder, SERVER_KEY_FILE);
    snprintf(fresh, sizeof(fresh), "%s/%s.new", folder, SERVER_KEY_FILE);
    for (size_t i = 0; i < KEY_BYTES; i++)
        snprintf(text + i * 2, 3, "%02x", secret[i]);
    text[KEY_TEXT_BYTES - 1] = '\n';
    int error = 0;
    unlink(fresh); /* of a start that was cut off */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        error = -errno;
    } else {
        ssize_t wrote = write(fd, text, KEY_TEXT_BYTES);
        if (wrote != KEY_TEXT_BYTES)
            error = wrote < 0 ? -errno : -EIO;
        if (error == 0 && fsync(fd))
            error = -errno;
        if (close(fd) && error == 0)
            error = -errno;
        /* link, not rename: it never replaces a key. */
        if (error == 0 && link(fresh, path))
            error = -errno;
        unlink(fresh);
    }
    explicit_bzero(text, sizeof(text));
    return error ? error : folder_sync(folder);
}
