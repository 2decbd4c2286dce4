#include "bench/pairs.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/admin.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "bench/own_switch.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/worker.h"

#define WARM_UP_NS UINT64_C(500000000)
#define LINK_STALL_NS UINT64_C(20000000000) /* without a further device linked */
#define WATCH_NS 10000000L
#define DESCRIPTORS_SPARE 64 /* beside the sockets of the devices */
#define PREFIX_BYTES 32

struct pairs {
    struct options options;
    struct own_switch own;
    struct admin admin;
    struct load load;
    struct worker_shared shared;
    struct worker *workers;
    uint32_t worker_count; /* inited */
    uint32_t started;      /* whose threads run */
    char prefix[PREFIX_BYTES];
    uint32_t accounts_added;
    struct tally tally;
    struct result result;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

/* --- setting up ----------------------------------------------------------------------------------------- */

static int raise_descriptors(uint32_t pairs) {
    rlim_t needed = (rlim_t)pairs * 2 + DESCRIPTORS_SPARE;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return EXIT_MISSING;
    struct rlimit raised = {.rlim_cur = limit.rlim_max > needed ? limit.rlim_max : needed};
    raised.rlim_max = raised.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0 || limit.rlim_cur >= needed)
        return EXIT_COMPLETE;
    fprintf(stderr, "ternbench: %u pairs take %" PRIu64 " file descriptors, the limit is %" PRIu64 "\n",
            pairs, (uint64_t)needed, (uint64_t)limit.rlim_max);
    return EXIT_USAGE;
}

static int find_switch(struct pairs *pairs) {
    const struct options *options = &pairs->options;
    const char *path = options->admin;
    if (!path) {
        struct own_switch_setup setup = {.plaintext = options->plaintext,
                                         .shards = options->switch_shards,
                                         .cores = options->switch_cores};
        progress_show(true, "starting a switch");
        if (own_switch_open(&pairs->own, &setup, stderr) < 0)
            return EXIT_UNREACHABLE;
        path = pairs->own.admin;
    }
    if (admin_open(&pairs->admin, path) == 0)
        return EXIT_COMPLETE;
    progress_clear();
    fprintf(stderr, "ternbench: %s\n", pairs->admin.error);
    return EXIT_UNREACHABLE;
}

static struct end *end_at(struct pairs *pairs, uint32_t index) {
    struct worker *worker = pairs->workers;
    while (index >= worker->end_count) {
        index -= worker->end_count;
        worker++;
    }
    return &worker->ends[index];
}

static int add_accounts(struct pairs *pairs) {
    uint32_t wanted = pairs->options.pairs * 2;
    struct admin_account *accounts = calloc(ADMIN_ACCOUNTS_MAX, sizeof(*accounts));
    struct admin_switch found = {0};
    int error = accounts ? 0 : -ENOMEM;
    while (!error && pairs->accounts_added < wanted && !interrupted) {
        uint32_t left = wanted - pairs->accounts_added;
        uint32_t count = left < ADMIN_ACCOUNTS_MAX ? left : ADMIN_ACCOUNTS_MAX;
        progress_show(false, "adding accounts: %u of %u", pairs->accounts_added, wanted);
        char prefix[PREFIX_BYTES + 16]; /* the switch counts from 1 within a request */
        snprintf(prefix, sizeof(prefix), "%s%u-", pairs->prefix, pairs->accounts_added / ADMIN_ACCOUNTS_MAX);
        error = admin_accounts_add(&pairs->admin, prefix, count, accounts, &found);
        for (uint32_t i = 0; !error && i < count; i++) {
            struct end *end = end_at(pairs, pairs->accounts_added + i);
            end->account = accounts[i].account;
            memcpy(end->code, accounts[i].code, FRAME_CODE_BYTES);
        }
        if (!error)
            pairs->accounts_added += count;
    }
    free(accounts);
    if (error) {
        progress_clear();
        fprintf(stderr, "ternbench: %s\n", pairs->admin.error[0] ? pairs->admin.error : strerror(-error));
        return error == -EPROTO || error == -ENOMEM ? EXIT_MISSING : EXIT_UNREACHABLE;
    }
    struct load *load = &pairs->load;
    memcpy(load->server_key, found.key, NOISE_KEY_BYTES);
    load->address = found.address;
    load->address_bytes = found.address_bytes;
    if (!load->plaintext)
        return EXIT_COMPLETE;
    load->address = found.plaintext;
    load->address_bytes = found.plaintext_bytes;
    if (found.plaintext_bytes)
        return EXIT_COMPLETE;
    progress_clear();
    fprintf(stderr,
            "ternbench: the switch takes no unencrypted connections (its setting plaintext_listen)\n");
    return EXIT_UNREACHABLE;
}

static int create_workers(struct pairs *pairs) {
    const struct options *options = &pairs->options;
    pairs->workers = calloc(options->threads, sizeof(*pairs->workers));
    uint32_t first = 0;
    for (uint32_t i = 0; pairs->workers && i < options->threads; i++) {
        uint32_t count = (options->pairs - first) / (options->threads - i);
        int core = options->core_count ? options->cores[i % options->core_count] : -1;
        if (worker_init(&pairs->workers[i], &pairs->shared, first, count, core) < 0)
            break;
        pairs->worker_count++;
        first += count;
    }
    if (pairs->worker_count == options->threads)
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

static struct watch look(const struct pairs *pairs) {
    struct watch watch = {.all_over = true};
    for (uint32_t i = 0; i < pairs->started; i++) {
        const struct worker *worker = &pairs->workers[i];
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

/* True when every device is welcome. */
static bool wait_linked(struct pairs *pairs) {
    uint32_t wanted = pairs->options.pairs * 2, before = 0;
    uint64_t from_ns = end_clock_ns(), progress_ns = from_ns;
    while (!interrupted) {
        struct watch watch = look(pairs);
        uint64_t now_ns = end_clock_ns();
        pairs->result.link_seconds = (double)(now_ns - from_ns) / 1e9;
        if (watch.linked == wanted || watch.one_over)
            return watch.linked == wanted;
        if (watch.linked != before)
            progress_ns = now_ns;
        before = watch.linked;
        if (now_ns - progress_ns > LINK_STALL_NS) {
            tally_fail(&pairs->tally, "only %u of %u devices could link", watch.linked, wanted);
            return false;
        }
        progress_show(false, "linking devices: %u of %u", watch.linked, wanted);
        wait_a_moment();
    }
    return false;
}

static void read_cpu(const struct pairs *pairs, uint64_t *ret_bench_ns, uint64_t *ret_switch_ns) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    *ret_bench_ns = (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    if (machine_cpu_ns(pairs->admin.switch_pid, ret_switch_ns) < 0)
        *ret_switch_ns = RESULT_CPU_UNKNOWN;
}

/* Until the workers are through; the processors' time is taken where the measured time begins and ends. */
static void watch_load(struct pairs *pairs) {
    struct load *load = &pairs->load;
    uint64_t bench_ns = 0, switch_ns = RESULT_CPU_UNKNOWN, shown = 0,
             shown_ns = load->measure_from_ns - WARM_UP_NS;
    bool measuring = false, measured = false;
    double rate = 0;
    while (!interrupted) {
        struct watch watch = look(pairs);
        uint64_t now_ns = end_clock_ns();
        if (!measuring && now_ns >= load->measure_from_ns) {
            measuring = true;
            read_cpu(pairs, &bench_ns, &switch_ns);
        }
        if (!measured && now_ns >= load->measure_to_ns) {
            measured = true;
            uint64_t bench_after_ns, switch_after_ns;
            read_cpu(pairs, &bench_after_ns, &switch_after_ns);
            pairs->result.bench_cpu_ns = bench_after_ns - bench_ns;
            if (switch_ns != RESULT_CPU_UNKNOWN && switch_after_ns != RESULT_CPU_UNKNOWN)
                pairs->result.switch_cpu_ns = switch_after_ns - switch_ns;
        }
        if (watch.all_over)
            return;
        if (now_ns - shown_ns > 1000000000u) { /* a rate of less than a second would flicker */
            rate = (double)(watch.completed - shown) * 1e9 / (double)(now_ns - shown_ns);
            shown = watch.completed;
            shown_ns = now_ns;
        }
        double left = now_ns < load->measure_to_ns ? (double)(load->measure_to_ns - now_ns) / 1e9 : 0;
        progress_show(false, "%" PRIu64 " messages, %.0f a second, %.0f s left", watch.completed, rate, left);
        wait_a_moment();
    }
}

static void run_load(struct pairs *pairs) {
    struct load *load = &pairs->load;
    for (; pairs->started < pairs->options.threads; pairs->started++) {
        int error = worker_start(&pairs->workers[pairs->started]);
        if (error) {
            tally_fail(&pairs->tally, "no thread: %s", strerror(-error));
            break;
        }
    }
    if (pairs->started == pairs->options.threads && wait_linked(pairs)) {
        load->measure_from_ns = end_clock_ns() + WARM_UP_NS;
        load->measure_to_ns = load->measure_from_ns + pairs->options.seconds * UINT64_C(1000000000);
        /* Pairs with the acquire in worker.c: the times are there for whoever sees PHASE_RUN. A worker may
         * have failed meanwhile; its PHASE_STOP stays. */
        int linking = PHASE_LINK;
        atomic_compare_exchange_strong_explicit(&pairs->shared.phase, &linking, PHASE_RUN,
                                                memory_order_release, memory_order_relaxed);
        watch_load(pairs);
        uint64_t now_ns = end_clock_ns(), to_ns = now_ns < load->measure_to_ns ? now_ns : load->measure_to_ns;
        if (to_ns > load->measure_from_ns)
            pairs->result.measured_seconds = (double)(to_ns - load->measure_from_ns) / 1e9;
    }
    pairs->result.stopped = interrupted;
    atomic_store(&pairs->shared.phase, PHASE_STOP);
    for (uint32_t i = 0; i < pairs->started; i++) {
        worker_join(&pairs->workers[i]);
        tally_merge(&pairs->tally, &pairs->workers[i].tally);
    }
}

static int report(struct pairs *pairs) {
    struct result *result = &pairs->result;
    bool complete = result_is_complete(result);
    progress_clear();
    if (pairs->tally.sent)
        result_print_table(result, stdout);
    fflush(stdout);
    if (!complete)
        result_print_missing(result, stderr);
    int error = pairs->options.json ? result_write_json(result, pairs->options.json) : 0;
    if (error) {
        fprintf(stderr, "ternbench: %s: %s\n", pairs->options.json, strerror(-error));
        return EXIT_MISSING;
    }
    if (pairs->tally.failed && pairs->tally.unreachable)
        return EXIT_UNREACHABLE;
    return complete ? EXIT_COMPLETE : EXIT_MISSING;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

static int run(struct pairs *pairs) {
    int status = raise_descriptors(pairs->options.pairs);
    if (!status)
        status = create_workers(pairs);
    if (!status)
        status = find_switch(pairs);
    if (!status)
        status = add_accounts(pairs);
    if (status)
        return status;
    run_load(pairs);
    return report(pairs);
}

/* In the order in which they lean on each other: connections, accounts, switch. */
static int clean_up(struct pairs *pairs, int status) {
    for (uint32_t i = 0; i < pairs->worker_count; i++)
        worker_fini(&pairs->workers[i]);
    free(pairs->workers);
    if (pairs->options.admin && pairs->accounts_added &&
        admin_accounts_remove(&pairs->admin, pairs->prefix) < 0)
        fprintf(stderr, "ternbench: %u accounts %s* stay behind: %s\n", pairs->accounts_added, pairs->prefix,
                pairs->admin.error);
    admin_close(&pairs->admin);
    if (own_switch_close(&pairs->own, stderr) < 0 && !status)
        status = EXIT_MISSING;
    progress_clear();
    return status;
}

int pairs_run(int count, char **arguments) {
    static struct pairs pairs; /* three histograms and more: too large for a stack */
    options_parse(&pairs.options, count, arguments);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    uint32_t name = 0;
    if (getrandom(&pairs.load.seed, sizeof(pairs.load.seed), 0) < 0 || getrandom(&name, sizeof(name), 0) < 0)
        return EXIT_MISSING;
    snprintf(pairs.prefix, sizeof(pairs.prefix), "bench-%08x-", name);
    const struct options *options = &pairs.options;
    pairs.load.pairs = options->pairs;
    pairs.load.window = options->window;
    pairs.load.size_bytes = options->size_bytes;
    pairs.load.plaintext = options->plaintext;
    pairs.shared.load = &pairs.load;
    pairs.admin.fd = -1;
    tally_init(&pairs.tally);
    pairs.result = (struct result){
        .load = &pairs.load,
        .tally = &pairs.tally,
        .threads = options->threads,
        .own_switch = !options->admin,
        .switch_shards = options->switch_shards,
        .seconds = options->seconds,
        .bench_cpu_ns = RESULT_CPU_UNKNOWN,
        .switch_cpu_ns = RESULT_CPU_UNKNOWN,
    };
    return clean_up(&pairs, run(&pairs));
}
