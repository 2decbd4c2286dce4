#include "bench/trial.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/exit.h"
#include "bench/machine.h"
#include "bench/progress.h"
#include "bench/sockets.h"

#define WARM_UP_NS UINT64_C(500000000)
#define LINK_STALL_NS UINT64_C(20000000000) /* without a further end welcome */
#define WATCH_NS 10000000L
#define MESSAGES_NS_MAX UINT64_C(600000000000) /* for a number of messages, however long they take */
#define LINKING_MAX 256u                       /* handshakes that a worker has on the way ... */
#define LINKING_ALL_MAX 1024u                  /* ... and all: more would only wait longer */
#define LET_GO_NS UINT64_C(180000000000)       /* for the end of all connections */
#define DESCRIPTORS_SPARE 64                   /* beside the sockets of the ends */

struct running {
    struct trial *trial;
    const struct options *options;
    const struct pins *pins;
    struct server server;
    struct worker_shared shared;
    struct worker *workers;
    uint32_t worker_count; /* inited */
    uint32_t started;      /* whose threads run */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

bool trial_is_interrupted(void) {
    return interrupted;
}

void trial_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool trial_is_complete(const struct trial *trial) {
    return !trial->stopped && !trial->tally.failed && trial->tally.measured > 0 &&
           tally_is_settled(&trial->tally);
}

double trial_messages_per_s(const struct trial *trial) {
    return trial->measured_seconds > 0 ? (double)trial->tally.measured / trial->measured_seconds : 0;
}

/* The main thread reads when it gets to run: what it read belongs to the time and the messages between its
 * readings, and to nothing where that was next to nothing. */
static bool has_usage(const struct trial *trial) {
    return trial->usage_messages > 0 && trial->usage_seconds > trial->measured_seconds / 4;
}

double trial_cpu_us(const struct trial *trial) {
    if (trial->server_cpu_ns == TRIAL_CPU_UNKNOWN || !has_usage(trial))
        return NAN;
    return (double)trial->server_cpu_ns / 1e3 / (double)trial->usage_messages;
}

double trial_server_cpu(const struct trial *trial) {
    if (trial->server_cpu_ns == TRIAL_CPU_UNKNOWN || !has_usage(trial))
        return NAN;
    return (double)trial->server_cpu_ns / trial->usage_seconds / 1e7;
}

double trial_load_cpu(const struct trial *trial) {
    return has_usage(trial) ? (double)trial->bench_cpu_ns / trial->usage_seconds / 1e7 : NAN;
}

/* --- setting up ----------------------------------------------------------------------------------------- */

/* A worker's ring holds its sockets; only its table is bound by the limit. */
static int raise_descriptors(const struct options *options) {
    rlim_t needed =
        ((rlim_t)options->pairs * 2 + options->threads - 1) / options->threads + DESCRIPTORS_SPARE;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return EXIT_MISSING;
    struct rlimit raised = {.rlim_cur = limit.rlim_max > needed ? limit.rlim_max : needed};
    raised.rlim_max = raised.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0 || limit.rlim_cur >= needed)
        return EXIT_COMPLETE;
    fprintf(stderr,
            "ternbench: %u pairs take %" PRIu64 " file descriptors a thread, the limit is %" PRIu64 "\n",
            options->pairs, (uint64_t)needed, (uint64_t)limit.rlim_max);
    return EXIT_USAGE;
}

static int create_workers(struct running *running) {
    const struct options *options = running->options;
    running->workers = calloc(options->threads, sizeof(*running->workers));
    uint32_t first = 0;
    for (uint32_t i = 0; running->workers && i < options->threads; i++) {
        uint32_t count = (options->pairs - first) / (options->threads - i);
        if (worker_init(&running->workers[i], &running->shared, first, count,
                        pins_load_core(running->pins, i)) < 0)
            break;
        worker_take_turns(&running->workers[i], i, options->threads);
        running->worker_count++;
        first += count;
    }
    if (running->worker_count == options->threads)
        return EXIT_COMPLETE;
    fprintf(stderr, "ternbench: no memory for %u pairs\n", options->pairs);
    return EXIT_MISSING;
}

/* --- the run -------------------------------------------------------------------------------------------- */

struct watch {
    uint32_t linked;
    uint64_t completed;
    bool all_over, one_over;
};

static struct watch look(const struct running *running) {
    struct watch watch = {.all_over = true};
    for (uint32_t i = 0; i < running->started; i++) {
        const struct worker *worker = &running->workers[i];
        watch.linked += atomic_load_explicit(&worker->linked, memory_order_relaxed);
        watch.completed +=
            atomic_load_explicit(&worker->completed, memory_order_relaxed); /* both only to show */
        bool over = atomic_load(&worker->over);
        watch.all_over &= over;
        watch.one_over |= over;
    }
    return watch;
}

static void wait_a_moment(void) {
    nanosleep(&(struct timespec){.tv_nsec = WATCH_NS}, NULL);
}

/* True when `wanted` ends are welcome. */
static bool wait_linked(struct running *running, uint32_t wanted) {
    uint32_t before = 0;
    uint64_t from_ns = end_clock_ns(), progress_ns = from_ns;
    while (!interrupted) {
        struct watch watch = look(running);
        uint64_t now_ns = end_clock_ns();
        running->trial->link_seconds = (double)(now_ns - from_ns) / 1e9;
        if (watch.linked == wanted || watch.one_over)
            return watch.linked == wanted;
        if (watch.linked != before)
            progress_ns = now_ns;
        before = watch.linked;
        if (now_ns - progress_ns > LINK_STALL_NS) {
            tally_fail(&running->trial->tally, "only %u of %u could log in", watch.linked, wanted);
            return false;
        }
        progress_show(false, "%s: logging in: %u of %u", running->trial->kind->name, watch.linked, wanted);
        wait_a_moment();
    }
    return false;
}

struct reading {
    uint64_t at_ns, completed;
    uint64_t bench_ns, server_ns;
    bool has_stats;
#define X(name) +1
    double stats[0 TRIAL_STATS(X)];
#undef X
};

static void read_usage(struct running *running, struct reading *ret_reading) {
#define X(name) #name,
    static const char *const names[] = {TRIAL_STATS(X)};
#undef X
    struct reading reading = {0};
    struct timespec used;
    if (server_is_switch(&running->server))
        reading.has_stats =
            admin_stats(&running->server.admin, names, sizeof(names) / sizeof(names[0]), reading.stats) == 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    reading.bench_ns = (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    if (machine_cpu_ns(server_pid(&running->server), &reading.server_ns) < 0)
        reading.server_ns = TRIAL_CPU_UNKNOWN;
    reading.at_ns = end_clock_ns();
    reading.completed = look(running).completed;
    *ret_reading = reading;
}

static void keep_usage(struct trial *trial, const struct reading *before, const struct reading *after) {
    trial->usage_seconds = (double)(after->at_ns - before->at_ns) / 1e9;
    trial->usage_messages = after->completed - before->completed;
    trial->bench_cpu_ns = after->bench_ns - before->bench_ns;
    if (before->server_ns != TRIAL_CPU_UNKNOWN && after->server_ns != TRIAL_CPU_UNKNOWN)
        trial->server_cpu_ns = after->server_ns - before->server_ns;
    trial->has_stats = before->has_stats && after->has_stats;
    uint32_t at = 0;
#define X(name)                                                                                              \
    trial->name = after->stats[at] - before->stats[at];                                                      \
    at++;
    TRIAL_STATS(X)
#undef X
}

/* Until the workers are through; the processors' time is taken where the measured time begins and ends. */
static void watch_load(struct running *running) {
    struct trial *trial = running->trial;
    struct load *load = &trial->load;
    struct reading before = {0}, after;
    uint64_t shown = 0, shown_ns = load->start_ns;
    bool measuring = false, measured = false;
    double rate = 0;
    while (!interrupted) {
        struct watch watch = look(running);
        uint64_t now_ns = end_clock_ns();
        if (!measuring && now_ns >= load->measure_from_ns) {
            measuring = true;
            read_usage(running, &before);
        }
        if (!measured && now_ns >= load->measure_to_ns) {
            measured = true;
            read_usage(running, &after);
            keep_usage(trial, &before, &after);
        }
        if (watch.all_over && measuring && !measured) { /* a number of messages took less time */
            read_usage(running, &after);
            keep_usage(trial, &before, &after);
        }
        if (watch.all_over)
            return;
        if (now_ns - shown_ns > 1000000000u) { /* a rate of less than a second would flicker */
            rate = (double)(watch.completed - shown) * 1e9 / (double)(now_ns - shown_ns);
            shown = watch.completed;
            shown_ns = now_ns;
        }
        double left = now_ns < load->measure_to_ns ? (double)(load->measure_to_ns - now_ns) / 1e9 : 0;
        progress_show(false, "%s, window %u: %" PRIu64 " messages, %.0f a second, %.0f s left",
                      trial->kind->name, load->window, watch.completed, rate, left);
        wait_a_moment();
    }
}

static void start_workers(struct running *running) {
    for (; running->started < running->worker_count; running->started++) {
        int error = worker_start(&running->workers[running->started]);
        if (error) {
            tally_fail(&running->trial->tally, "no thread: %s", strerror(-error));
            return;
        }
    }
}

static bool stay_idle(struct running *running) {
    if (!running->options->idle_s)
        return !look(running).one_over;
    uint64_t cpu_ns = 0, cpu_after_ns = 0, from_ns = end_clock_ns();
    uint64_t until_ns = from_ns + running->options->idle_s * UINT64_C(1000000000);
    machine_cpu_ns(server_pid(&running->server), &cpu_ns);
    while (!interrupted && end_clock_ns() < until_ns) {
        progress_show(false, "%u connections, idle", running->options->pairs * 2);
        wait_a_moment();
    }
    machine_cpu_ns(server_pid(&running->server), &cpu_after_ns);
    running->trial->idle_cpu = (double)(cpu_after_ns - cpu_ns) / (double)(end_clock_ns() - from_ns) * 100;
    machine_memory(server_pid(&running->server), &running->trial->memory_idle);
    /* Now, while the slabs that other connections left behind are in use again. */
    running->trial->client_end_bytes = sockets_end_bytes();
    return !interrupted && !look(running).one_over;
}

static void leave(struct running *running) {
    atomic_store(&running->shared.phase, PHASE_STOP);
    for (uint32_t i = 0; i < running->started; i++) {
        worker_join(&running->workers[i]);
        worker_again(&running->workers[i]);
    }
    running->started = 0;
    atomic_store(&running->shared.phase, PHASE_LINK);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* the switch lets go of the old connections */
}

/* All connections end at once, and all devices come back at once. True when all are welcome again. */
static bool storm(struct running *running) {
    uint64_t cpu_ns = 0, cpu_after_ns = 0;
    double link_seconds = running->trial->link_seconds;
    leave(running);
    machine_cpu_ns(server_pid(&running->server), &cpu_ns);
    start_workers(running);
    bool all = wait_linked(running, running->options->pairs * 2);
    machine_cpu_ns(server_pid(&running->server), &cpu_after_ns);
    running->trial->storm_seconds = running->trial->link_seconds;
    running->trial->link_seconds = link_seconds;
    running->trial->storm_cpu_ns = cpu_after_ns - cpu_ns;
    return all;
}

static double connections_of(struct running *running) {
    static const char *const name[] = {"connections"};
    double count = NAN;
    return admin_stats(&running->server.admin, name, 1, &count) == 0 ? count : NAN;
}

/* Until the switch has seen the end of all connections, where there were many. */
static void let_go(struct running *running) {
    uint64_t until_ns = end_clock_ns() + LET_GO_NS;
    double left = 0;
    while (!interrupted && end_clock_ns() < until_ns && (left = connections_of(running)) > 0) {
        progress_show(false, "letting go of %.0f connections", left);
        wait_a_moment();
    }
}

/* Everything is let go, and the switch is started again: what it takes now are the devices' records. Then all
 * come back: what it takes more are their connections. A switch of somebody else is left as it is. */
static bool meet_again(struct running *running) {
    struct trial *trial = running->trial;
    if (running->options->admin)
        return true;
    leave(running);
    let_go(running);
    if (server_restart(&running->server) < 0) {
        tally_fail(&trial->tally, "the switch did not come back");
        return false;
    }
    machine_memory(server_pid(&running->server), &trial->memory_before);
    trial->has_records_apart = true;
    start_workers(running);
    return wait_linked(running, running->options->pairs * 2);
}

/* Sending begins now. Pairs with the acquire in worker.c: the times are there for whoever sees PHASE_RUN. A
 * worker may have failed meanwhile; its PHASE_STOP stays. */
static void begin(struct running *running, uint64_t warm_up_ns, uint64_t measured_ns) {
    struct load *load = &running->trial->load;
    load->start_ns = end_clock_ns();
    load->measure_from_ns = load->start_ns + warm_up_ns;
    load->measure_to_ns = load->measure_from_ns + measured_ns;
    int linking = PHASE_LINK;
    atomic_compare_exchange_strong_explicit(&running->shared.phase, &linking, PHASE_RUN, memory_order_release,
                                            memory_order_relaxed);
}

/* Until every worker is through. Returns the seconds since `from_ns`. */
static double wait_over(struct running *running, uint64_t from_ns, const char *what) {
    while (!interrupted && !look(running).all_over) {
        progress_show(false, "%s: %.0f s", what, (double)(end_clock_ns() - from_ns) / 1e9);
        nanosleep(&(struct timespec){.tv_nsec = WATCH_NS / 10}, NULL);
    }
    return (double)(end_clock_ns() - from_ns) / 1e9;
}

static void set_away(struct running *running, bool is_away) {
    const struct options *options = running->options;
    for (uint32_t i = 0; i < running->worker_count; i++) {
        struct worker *worker = &running->workers[i];
        for (uint32_t j = 1; j < worker->end_count; j += 2) {
            worker->ends[j].is_away = is_away;
            worker->ends[j].is_mute = true;
        }
        worker->expected = (uint64_t)worker->end_count / 2 * options->messages;
    }
    running->shared.until_sent = is_away;
}

/* The first of each pair sends while the second is away, until all is ticked as sent, which means safe on
 * disk; then the second comes back, until all has arrived and both know. */
static void run_offline(struct running *running) {
    struct trial *trial = running->trial;
    struct machine_memory memory, memory_after;
    struct reading before, after;
    leave(running);
    set_away(running, true);
    start_workers(running);
    if (!wait_linked(running, running->options->pairs))
        return;
    read_usage(running, &before);
    machine_memory(server_pid(&running->server), &memory);
    begin(running, 0, MESSAGES_NS_MAX);
    trial->enqueue_seconds = wait_over(running, trial->load.start_ns, "sending to devices that are away");
    read_usage(running, &after);
    keep_usage(trial, &before, &after);
    machine_memory(server_pid(&running->server), &memory_after);
    trial->written_bytes = memory_after.written_bytes - memory.written_bytes;
    trial->enqueue_cpu_ns = trial->server_cpu_ns;
    for (uint32_t i = 0; i < running->started; i++)
        trial->enqueued += atomic_load(&running->workers[i].over) ? running->workers[i].tally.ticked_sent : 0;
    leave(running);
    set_away(running, false);
    uint64_t from_ns = end_clock_ns();
    start_workers(running);
    if (!wait_linked(running, running->options->pairs * 2))
        return;
    begin(running, 0, MESSAGES_NS_MAX);
    trial->drain_seconds = wait_over(running, from_ns, "draining");
    trial->measured_seconds = trial->drain_seconds;
}

static void run_pairs(struct running *running) {
    struct trial *trial = running->trial;
    struct load *load = &trial->load;
    bool counts = load->messages > 0;
    for (uint32_t i = 0; counts && i < running->worker_count; i++)
        running->workers[i].expected = running->workers[i].end_count * load->messages;
    begin(running, counts ? 0 : WARM_UP_NS,
          counts ? MESSAGES_NS_MAX : running->options->seconds * UINT64_C(1000000000));
    watch_load(running);
    uint64_t now_ns = end_clock_ns(), to_ns = now_ns < load->measure_to_ns ? now_ns : load->measure_to_ns;
    if (to_ns > load->measure_from_ns)
        trial->measured_seconds = (double)(to_ns - load->measure_from_ns) / 1e9;
}

static void run_load(struct running *running) {
    struct trial *trial = running->trial;
    const struct options *options = running->options;
    machine_memory(server_pid(&running->server), &trial->memory_before);
    start_workers(running);
    if (running->started == running->worker_count && wait_linked(running, options->pairs * 2) &&
        (!options->idle_s || meet_again(running)) && stay_idle(running) &&
        (!options->is_storm || storm(running))) {
        if (options->is_offline)
            run_offline(running);
        else
            run_pairs(running);
    }
    trial->stopped = interrupted;
    atomic_store(&running->shared.phase, PHASE_STOP);
    for (uint32_t i = 0; i < running->started; i++) {
        worker_join(&running->workers[i]);
        tally_merge(&trial->tally, &running->workers[i].tally);
    }
    if (options->idle_s)
        let_go(running);
}

/* --- the whole ------------------------------------------------------------------------------------------ */

static void print_shortage(const char *what, uint64_t have, uint64_t want) {
    if (have != want)
        fprintf(stderr, "ternbench: %s: %" PRIu64 " of %" PRIu64 ", %" PRId64 " missing\n", what, have, want,
                (int64_t)(want - have));
}

static void print_missing(const struct trial *trial) {
    const struct tally *tally = &trial->tally;
    progress_clear();
    if (tally->failed)
        fprintf(stderr, "ternbench: %s: %s\n", trial->kind->name, tally->problem);
    if (trial->stopped)
        fprintf(stderr, "ternbench: stopped before the end\n");
    print_shortage("received", tally->received, tally->sent);
    print_shortage("sent ticks", tally->ticked_sent, tally->sent);
    print_shortage("delivered ticks", tally->ticked_delivered, tally->sent);
    print_shortage("confirmed", tally->confirmed, tally->received);
    if (!tally->failed && !trial->stopped && tally->measured == 0)
        fprintf(stderr, "ternbench: no message was completed in the measured time\n");
}

static int run(struct running *running) {
    struct trial *trial = running->trial;
    const struct options *options = running->options;
    struct server_setup setup = {
        .cores = running->pins->is_pinned ? &running->pins->server : NULL,
        .admin = options->admin,
        .shards = options->switch_shards,
        .options = options->switch_option_count ? options->switch_options : NULL,
        .under = options->switch_under,
        .is_crossing = options->is_crossing,
    };
    int status = raise_descriptors(options);
    if (!status && server_open(&running->server, trial->kind, &setup, &trial->load) < 0)
        status = EXIT_UNREACHABLE;
    if (!status)
        machine_memory(server_pid(&running->server), &trial->memory_empty);
    if (!status)
        status = create_workers(running);
    int error = 0;
    if (!status && trial->kind->prepare)
        error = trial->kind->prepare(&running->server, &trial->load, running->workers, running->worker_count);
    if (error)
        status = error == -EPROTO || error == -ENOMEM ? EXIT_MISSING : EXIT_UNREACHABLE;
    if (status)
        return status;
    run_load(running);
    if (trial_is_complete(trial))
        return EXIT_COMPLETE;
    print_missing(trial);
    return trial->tally.failed && trial->tally.unreachable ? EXIT_UNREACHABLE : EXIT_MISSING;
}

int trial_run(struct trial *trial, const struct server_kind *kind, const struct options *options,
              const struct pins *pins) {
    memset(trial, 0, sizeof(*trial));
    trial->kind = kind;
    trial->bench_cpu_ns = trial->server_cpu_ns = TRIAL_CPU_UNKNOWN;
    trial->load = (struct load){.wire = kind->wire,
                                .pairs = options->pairs,
                                .window = options->window,
                                .size_bytes = options->size_bytes,
                                .rate = options->rate,
                                .messages = options->messages,
                                .resets = options->idle_s > 0,
                                .plaintext = kind->plaintext};
    tally_init(&trial->tally);
    if (getrandom(&trial->load.seed, sizeof(trial->load.seed), 0) < 0)
        return EXIT_MISSING;
    struct running running = {
        .trial = trial,
        .options = options,
        .pins = pins,
        .shared = {.load = &trial->load, .linking_max = LINKING_ALL_MAX / options->threads}};
    if (running.shared.linking_max > LINKING_MAX)
        running.shared.linking_max = LINKING_MAX;
    int status = run(&running);
    /* In the order in which they lean on each other: connections, accounts, server. */
    for (uint32_t i = 0; i < running.worker_count; i++)
        worker_fini(&running.workers[i]);
    free(running.workers);
    if (running.server.kind && server_close(&running.server) < 0 && !status)
        status = EXIT_MISSING;
    progress_clear();
    return status;
}
