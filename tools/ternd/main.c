/* ternd: the switch. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/port.h"
#include "core/version.h"
#include "tools/ternd/check_tool.h"
#include "tools/ternd/daemon.h"
#include "tools/ternd/hints.h"
#include "tools/ternd/notify.h"
#include "tools/ternd/options.h"
#include "tools/ternd/salvage_tool.h"

#define SENTENCE_BYTES 1024

static int complain(const char *sentence) {
    fprintf(stderr, "ternd: %s\n", sentence);
    return EXIT_FAILURE;
}

static int print_sample(void) {
    size_t bytes = config_describe(CONFIG_SAMPLE, NULL, 0) + 1;
    char *text = malloc(bytes);
    if (!text)
        return complain("no memory");
    config_describe(CONFIG_SAMPLE, text, bytes);
    fputs(text, stdout);
    free(text);
    return fflush(stdout) ? EXIT_FAILURE : 0;
}

static void announce(const struct daemon *daemon) {
    const struct config *config = daemon->config;
    uint32_t encrypted = config_list_count(config->listen, config->listen_count);
    const char *address;
    for (uint32_t i = 0; (address = loop_group_address(daemon->group, i)); i++) {
        if (i < encrypted)
            port_log("listening address=%s", address);
        else
            port_log("listening address=%s warning=\"not encrypted: for benchmarks only\"", address);
    }
    port_log("ready version=" TERN_VERSION " shards=%u stores=%u admin=%s", daemon->shards, daemon->stores,
             daemon->admin_path);
    printf("ready %s\n", loop_group_address(daemon->group, 0));
    fflush(stdout);
    notify_ready();
    hints_print(daemon->options->program, daemon->admin_path);
}

static int run(const struct options *options, const struct config *config) {
    char sentence[SENTENCE_BYTES];
    struct daemon daemon;
    if (daemon_open(&daemon, options, config, sentence, sizeof(sentence)))
        return complain(sentence);
    announce(&daemon);
    int status = daemon_run(&daemon);
    daemon_close(&daemon);
    return status;
}

int main(int argc, char **argv) {
    char sentence[SENTENCE_BYTES];
    static struct config config;
    struct options options;
    umask(077);
    if (options_read(&options, argc, argv))
        return complain("no memory");
    int status = 0;
    if (options.mode == OPTIONS_SAMPLE_CONFIG)
        status = print_sample();
    else if (options.mode == OPTIONS_MAN)
        status = options_print_manual() ? EXIT_FAILURE : 0;
    else if (options.mode == OPTIONS_CHECK_STORE)
        status = check_tool_run(options.folder, options.json);
    else if (options.mode == OPTIONS_CHECK_STORE_WORKER)
        status = check_tool_work(options.folder);
    else if (options.mode == OPTIONS_SALVAGE_STORE)
        status = salvage_tool_run(options.folder, options.into, options.json);
    else if (options_config(&options, &config, sentence, sizeof(sentence)))
        status = complain(sentence);
    else if (options.mode == OPTIONS_CHECK_CONFIG)
        puts("the settings are right");
    else
        status = run(&options, &config);
    options_fini(&options);
    return status;
}
