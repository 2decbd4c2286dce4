/* tern: a device's client for people and scripts. The commands are the lines of a table in options.c. */
#include <stdio.h>

#include "core/noise.h"
#include "tools/tern/options.h"

int main(int count, char **words) {
    struct options options;
    const struct command *command;
    options_parse_line(count, words, &command, &options);
    if (noise_init() < 0) {
        fprintf(stderr, "tern: libsodium does not start\n");
        return EXIT_FAILED;
    }
    return command->run(&options);
}
