#include "bench/pins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int pins_parse(const char *text, cpu_set_t *ret_cores) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    const char *at = text;
    do {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (end != at && *end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
        }
        if (end == at || (*end && *end != ',') || (*end && !end[1]) || last < first || last >= CPU_SETSIZE)
            return -EINVAL;
        for (unsigned long core = first; core <= last; core++)
            CPU_SET(core, &cores);
        at = *end ? end + 1 : end;
    } while (*at);
    *ret_cores = cores;
    return 0;
}

static void describe(const cpu_set_t *cores, char text[PINS_TEXT_BYTES]) {
    size_t used = 0;
    text[0] = 0;
    for (int core = 0; core < CPU_SETSIZE && used < PINS_TEXT_BYTES; core++) {
        if (CPU_ISSET(core, cores))
            used += (size_t)snprintf(text + used, PINS_TEXT_BYTES - used, "%s%d", used ? "," : "", core);
    }
}

int pins_choose(struct pins *ret_pins, uint32_t server_cores, const char *server, const char *load) {
    struct pins pins = {.server_text = "not pinned", .load_text = "not pinned"};
    cpu_set_t rest;
    CPU_ZERO(&pins.server);
    CPU_ZERO(&rest);
    if (sched_getaffinity(0, sizeof(pins.all), &pins.all) < 0)
        return -errno;
    uint32_t there = (uint32_t)CPU_COUNT(&pins.all);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &pins.all))
            continue;
        if ((uint32_t)CPU_COUNT(&pins.server) < server_cores)
            CPU_SET(core, &pins.server);
        else
            CPU_SET(core, &rest);
    }
    if ((server && pins_parse(server, &pins.server) < 0) || (load && pins_parse(load, &rest) < 0))
        return -EINVAL;
    pins.is_pinned = (server && load) || there > server_cores;
    for (int core = 0; core < CPU_SETSIZE && pins.load_count < PINS_CORES_MAX; core++) {
        if (CPU_ISSET(core, &rest))
            pins.load[pins.load_count++] = core;
    }
    if (pins.is_pinned) {
        describe(&pins.server, pins.server_text);
        describe(&rest, pins.load_text);
    }
    *ret_pins = pins;
    return 0;
}

int pins_load_core(const struct pins *pins, uint32_t index) {
    return pins->is_pinned && pins->load_count ? pins->load[index % pins->load_count] : -1;
}
