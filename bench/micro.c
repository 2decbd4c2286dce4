#include "bench/micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/callgrind.h"
#include "bench/end.h"
#include "bench/micro_route.h"
#include "bench/pairs.h"
#include "bench/process.h"
#include "core/lane.h"
#include "core/must.h"
#include "core/record.h"
#include "core/timer.h"

#define ROUNDS 200000u
#define ROUNDS_COUNTED 2000u /* under valgrind: the difference of this many and twice as many */
#define PAYLOAD_BYTES 200u
#define LANE_SLOTS 256u
#define LANE_BATCH 64u

static volatile uint64_t sink; /* what is computed is used */

static void frame_parse(uint32_t rounds) {
    uint8_t bytes[FRAME_MESSAGE_BYTES + PAYLOAD_BYTES] = {0};
    struct frame_message message = {
        .id = {.to = 2, .number = 7}, .payload = bytes + FRAME_MESSAGE_BYTES, .payload_bytes = 0};
    frame_write_message(bytes, &message);
    bytes[0] = (uint8_t)(sizeof(bytes) - FRAME_HEADER_BYTES);
    bytes[1] = (uint8_t)((sizeof(bytes) - FRAME_HEADER_BYTES) >> 8);
    for (uint32_t i = 0; i < rounds; i++) {
        uint8_t *at = bytes;
        size_t left = sizeof(bytes);
        struct frame frame;
        must(frame_next(&at, &left, &frame) == 0 && frame_read_message(&frame, &message) == 0);
        sink += message.id.number;
    }
}

static void seal_open(uint32_t rounds, enum noise_cipher cipher, bool opens) {
    static uint8_t space[RECORD_LENGTH_BYTES + FRAME_MESSAGE_BYTES + PAYLOAD_BYTES + 64];
    uint8_t key[NOISE_KEY_BYTES] = {1};
    struct noise_cipher_state send, receive;
    noise_cipher_init(&send, cipher, key);
    noise_cipher_init(&receive, cipher, key);
    for (uint32_t i = 0; i < rounds; i++) {
        size_t bytes = record_seal(&send, space, FRAME_MESSAGE_BYTES + PAYLOAD_BYTES), opened = 0;
        if (opens)
            must(record_open(&receive, space + RECORD_LENGTH_BYTES, bytes - RECORD_LENGTH_BYTES, &opened) ==
                 0);
        sink += space[RECORD_LENGTH_BYTES] + opened;
    }
}

static void seal(uint32_t rounds) {
    seal_open(rounds, NOISE_AESGCM, false);
}

static void seal_and_open(uint32_t rounds) {
    seal_open(rounds, NOISE_AESGCM, true);
}

static void seal_and_open_chacha(uint32_t rounds) {
    seal_open(rounds, NOISE_CHACHAPOLY, true);
}

/* One note from a party to another and out of the lane, a batch at a time, as a turn does it. */
static void lane_hop(uint32_t rounds) {
    struct lanes *lanes;
    struct note note = {0};
    uint32_t from;
    must(lanes_create(2, LANE_SLOTS, &lanes) == 0);
    for (uint32_t i = 0; i < rounds; i += LANE_BATCH) {
        for (uint32_t j = 0; j < LANE_BATCH; j++)
            lanes_post(lanes, 0, 1, &note);
        lanes_publish(lanes, 0, NULL, NULL);
        while (lanes_take(lanes, 1, &note, &from))
            sink += from;
    }
    lanes_destroy(lanes);
}

/* One timer started and found due, among a thousand that run. */
static void timer(uint32_t rounds) {
    static struct timer_wheel wheel;
    static struct timer others[1000], own;
    uint64_t now_ms = 1000000;
    timer_wheel_init(&wheel, now_ms);
    memset(others, 0, sizeof(others));
    for (uint32_t i = 0; i < 1000; i++)
        timer_start(&wheel, &others[i], now_ms + UINT64_C(1000000000) + i * 7);
    for (uint32_t i = 0; i < rounds; i++) {
        timer_start(&wheel, &own, now_ms + 20);
        now_ms += 40;
        sink += timer_due(&wheel, now_ms) == &own;
    }
    timer_stop(&wheel, &own);
}

static const struct step {
    const char *name;
    void (*run)(uint32_t rounds);
} steps[] = {
    {"frame_parse", frame_parse},     {"seal", seal},
    {"seal_and_open", seal_and_open}, {"seal_and_open_chacha", seal_and_open_chacha},
    {"lane_hop", lane_hop},           {"timer", timer},
    {"route", micro_route},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static double ns_of(const struct step *step, uint32_t rounds) {
    struct timespec from, to;
    step->run(rounds / 10 + 1); /* warm */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    step->run(rounds);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / rounds;
}

/* --- instructions --------------------------------------------------------------------------------------- */

/* This program once more under callgrind, with one step and so many rounds. Negative: it can not be
 * counted. */
static double count_instructions(const char *step, uint32_t rounds) {
    struct process process;
    char own[PROCESS_PATH_BYTES], number[16], log[PROCESS_PATH_BYTES * 2];
    ssize_t bytes = readlink("/proc/self/exe", own, sizeof(own) - 1);
    double count = -1;
    if (bytes <= 0 || process_init(&process) < 0)
        return -1;
    own[bytes] = 0;
    snprintf(number, sizeof(number), "%u", rounds);
    const char *const arguments[] = {"valgrind",
                                     "--tool=callgrind",
                                     "--callgrind-out-file=/dev/null",
                                     own,
                                     "micro",
                                     "--only",
                                     step,
                                     "--messages",
                                     number,
                                     NULL};
    if (process_start(&process, NULL, arguments, NULL) == 0)
        process_wait_end(&process);
    snprintf(log, sizeof(log), "%s/log", process.folder);
    count = callgrind_total(log);
    process_close(&process);
    return count;
}

/* ns_of runs a tenth more rounds, and one. */
static double instructions_of(const char *step) {
    double once = count_instructions(step, ROUNDS_COUNTED),
           twice = count_instructions(step, 2 * ROUNDS_COUNTED);
    return once < 0 || twice < 0 ? -1 : (twice - once) / (ROUNDS_COUNTED * 1.1);
}

int micro_run(int count, char **arguments) {
    static struct figures figures;
    struct options options = pairs_defaults();
    struct report report;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_ONLY | OPTIONS_COUNT,
        "Single steps of a message's way: nanoseconds of processor time and, where valgrind is installed, "
        "instructions, which do not depend on what else the machine does. --only: one step; --messages: so "
        "many rounds of it, without counting instructions.",
        count, arguments);
    report_open(&report, "micro", count, arguments);
    uint32_t rounds = options.messages ? options.messages : ROUNDS;
    bool counts = !options.messages && process_is_installed("valgrind");
    cJSON_AddNumberToObject(report.settings, "rounds", rounds);
    snprintf(report.title, sizeof(report.title), "micro: one message of %u bytes, %u rounds", PAYLOAD_BYTES,
             rounds);
    if (!counts && !options.messages)
        report_note(&report, "valgrind is not installed: no instructions counted");
    for (uint32_t run = 0; run < options.repeat; run++) {
        figures.count = 0;
        for (size_t i = 0; i < STEPS; i++) {
            if (options.only && strcmp(options.only, steps[i].name) != 0)
                continue;
            figures_plot(&figures, ns_of(&steps[i], rounds), "ns", "%s_ns", steps[i].name);
            double instructions = counts ? instructions_of(steps[i].name) : -1;
            if (instructions >= 0)
                figures_add(&figures, instructions, "", "%s_instructions", steps[i].name);
        }
        report_add(&report, &figures, figures.count > 0);
    }
    int error = report_close(&report, options.json, options.plot);
    return error || figures.count == 0 ? EXIT_MISSING : EXIT_COMPLETE;
}
