#include "tools/tern/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* The first line of what can be read there, without its end. Negative errno; -EMSGSIZE: it is too long. */
static int read_line(int fd, struct passphrase *ret_passphrase) {
    char *text = ret_passphrase->text;
    size_t used = 0;
    for (;;) {
        ssize_t got = read(fd, text + used, 1);
        if (got < 0)
            return -errno;
        if (got == 0 || text[used] == '\n')
            break;
        if (++used == sizeof(ret_passphrase->text))
            return -EMSGSIZE;
    }
    text[used] = 0;
    return strlen(text) < used ? -EILSEQ : used == 0 ? -ENODATA : 0;
}

static int failed(const char *where, int error) {
    if (error == -EMSGSIZE)
        fprintf(stderr, "tern: %s: a passphrase has at most %u bytes\n", where, LOCK_PASSPHRASE_BYTES_MAX);
    else if (error == -ENODATA)
        fprintf(stderr, "tern: %s: the passphrase is empty\n", where);
    else if (error == -EILSEQ)
        fprintf(stderr, "tern: %s: a passphrase has no zero bytes\n", where);
    else if (error != -EINTR)
        fprintf(stderr, "tern: %s: %s\n", where, strerror(-error));
    return EXIT_FAILED;
}

static int from_file(const char *file, struct passphrase *ret_passphrase) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? -errno : read_line(fd, ret_passphrase);
    if (fd >= 0)
        close(fd);
    return error ? failed(file, error) : EXIT_DONE;
}

/* The prompt comes once nothing is shown any more. The terminal is as before afterwards, however the typing
 * ended. */
static int type(int terminal, const char *prompt, struct passphrase *ret_passphrase) {
    struct termios before, hidden;
    if (tcgetattr(terminal, &before) < 0)
        return -errno;
    hidden = before;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(terminal, TCSAFLUSH, &hidden) < 0)
        return -errno;
    dprintf(terminal, "%s: ", prompt);
    int error = read_line(terminal, ret_passphrase);
    tcsetattr(terminal, TCSAFLUSH, &before);
    dprintf(terminal, "\n");
    return error;
}

static int from_terminal(const char *what, bool twice, struct passphrase *ret_passphrase) {
    struct passphrase again = {0};
    char prompt[512];
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (terminal < 0) {
        fprintf(stderr,
                "tern: the passphrase of %s is wanted, and there is no terminal to ask on: %s FILE has it in "
                "its first line\n",
                what, twice ? "--new-passphrase-file" : "--passphrase-file");
        return EXIT_FAILED;
    }
    snprintf(prompt, sizeof(prompt), "%s of %.400s", twice ? "New passphrase" : "Passphrase", what);
    int error = type(terminal, prompt, ret_passphrase);
    if (!error && twice) {
        error = type(terminal, "The same again", &again);
        if (error == -ENODATA || (!error && strcmp(again.text, ret_passphrase->text) != 0))
            error = -EKEYREJECTED;
        primitive_wipe(&again, sizeof(again));
    }
    close(terminal);
    if (error == -EKEYREJECTED) {
        fprintf(stderr, "tern: the two are not the same\n");
        return EXIT_FAILED;
    }
    return error ? failed("the terminal", error) : EXIT_DONE;
}

int passphrase_get(const char *file, const char *what, struct passphrase *ret_passphrase) {
    return file ? from_file(file, ret_passphrase) : from_terminal(what, false, ret_passphrase);
}

int passphrase_choose(const char *file, const char *what, struct passphrase *ret_passphrase) {
    return file ? from_file(file, ret_passphrase) : from_terminal(what, true, ret_passphrase);
}

const char *passphrase_problem(int error) {
    if (error == -EKEYREJECTED)
        return "the passphrase is wrong";
    return error == -ENOKEY ? "it is locked with a passphrase" : NULL;
}
