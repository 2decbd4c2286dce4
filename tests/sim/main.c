/* ternsim: runs seeds of the simulated world, tells the story of one. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/noise.h"
#include "tests/sim/mutants.h"
#include "tests/sim/sim.h"

#define CHUNK_SEEDS 50 /* per child process: what crashes leave behind ends with it */
#define SEED_SECONDS_MAX 120
#define FAILED_SHOWN_MAX 1000
#define MUTANT_SEEDS 2000

/* A crashed switch frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

struct options {
    uint64_t first, last;
    const char *list, *mutant;
    bool one, trace, json, keep_going, twice, mutants;
};

/* What the children tell. */
struct shared {
    uint64_t seed;
    struct sim_counts counts;
    char error[SIM_ERROR_BYTES];
};

struct run {
    const struct options *options;
    struct shared *shared;
    uint64_t failed, done, total;
    bool quiet; /* a failure is what is wanted */
    uint64_t failed_seeds[FAILED_SHOWN_MAX];
    double began;
};

static volatile sig_atomic_t stopped; /* by a signal: the seeds that are under way are ended, and told of */

static void stop(int signal) {
    (void)signal;
    stopped = 1;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- randomness ----------------------------------------------------------------------------------------- */

/* What the client library draws from libsodium is drawn from the seed. */
static const char *random_name(void) {
    return "seed";
}

static uint32_t random_number(void) {
    return (uint32_t)sim_random();
}

static void random_bytes(void *const bytes, const size_t count) {
    for (size_t i = 0; i < count; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)sim_random();
}

static struct randombytes_implementation random_of_seed = {
    .implementation_name = random_name, .random = random_number, .buf = random_bytes};

/* --- seeds ---------------------------------------------------------------------------------------------- */

static void add_counts(struct sim_counts *to, const struct sim_counts *from) {
    uint64_t *sum = (uint64_t *)to;
    const uint64_t *more = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
        sum[i] += more[i];
}

/* A seed is worth nothing if it does not tell the same story again. */
static bool tells_the_same(uint64_t seed) {
    uint64_t hash = sim.hash;
    if (sim_run(seed, false) && sim.hash != hash)
        sim_fail("not deterministic: its second run went another way");
    return !sim_failed();
}

static void run_child(const struct options *options, struct shared *shared, uint64_t first, uint64_t last) {
    /* Its own time, so that no seed fails because others keep the machine busy. */
    const struct itimerval longest = {.it_value = {.tv_sec = SEED_SECONDS_MAX}};
    for (uint64_t seed = first; seed <= last; seed++) {
        shared->seed = seed;
        setitimer(ITIMER_PROF, &longest, NULL);
        bool good = sim_run(seed, false);
        add_counts(&shared->counts, &sim.counts);
        if (good && options->twice)
            good = tells_the_same(seed);
        if (!good) {
            snprintf(shared->error, sizeof(shared->error), "%s", sim.error);
            _exit(1);
        }
    }
    _exit(0);
}

static void progress(const struct run *run) {
    double took = seconds() - run->began;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%llu of %llu seeds, %llu failed, %.0f seeds/s \033[K",
                (unsigned long long)run->done, (unsigned long long)run->total,
                (unsigned long long)run->failed, took > 0 ? (double)run->done / took : 0);
}

static void report_failure(struct run *run, int status) {
    struct shared *shared = run->shared;
    if (WIFSIGNALED(status))
        snprintf(shared->error, sizeof(shared->error), "killed by signal %d (%s)", WTERMSIG(status),
                 WTERMSIG(status) == SIGPROF ? "it hangs" : strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 1)
        snprintf(shared->error, sizeof(shared->error), "ended with status %d", WEXITSTATUS(status));
    if (run->failed < FAILED_SHOWN_MAX)
        run->failed_seeds[run->failed] = shared->seed;
    run->failed++;
    if (run->quiet)
        return;
    FILE *out = run->options->json ? stderr : stdout;
    fprintf(out, "%sseed %llu: %s\n  build/ternsim --seed %llu --trace\n",
            isatty(STDERR_FILENO) ? "\r\033[K" : "", (unsigned long long)shared->seed, shared->error,
            (unsigned long long)shared->seed);
    fflush(out);
}

/* Runs first..last in children. False: a seed failed and the run ends there. */
static bool run_range(struct run *run, uint64_t first, uint64_t last) {
    while (first <= last) {
        uint64_t end = last - first < CHUNK_SEEDS ? last : first + CHUNK_SEEDS - 1;
        run->shared->seed = first;
        run->shared->error[0] = '\0';
        fflush(NULL);
        pid_t child = fork();
        if (child < 0) {
            perror("ternsim: fork");
            return false;
        }
        if (child == 0) {
            signal(SIGINT, SIG_IGN);
            signal(SIGTERM, SIG_DFL);
            run_child(run->options, run->shared, first, end);
        }
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
        bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        uint64_t next = good ? end + 1 : run->shared->seed + 1;
        run->done += next - first;
        first = next;
        if (!good)
            report_failure(run, status);
        if (stopped || (!good && !run->options->keep_going))
            return false;
        progress(run);
    }
    return true;
}

/* A file of seeds, one a line; what follows the number says why it is there. */
static bool run_list(struct run *run, const char *path) {
    char line[256];
    bool good = true;
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "ternsim: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (good && fgets(line, sizeof(line), file)) {
        char *end;
        unsigned long long seed = strtoull(line, &end, 10);
        if (end != line)
            good = run_range(run, seed, seed);
    }
    fclose(file);
    return good;
}

static void print_summary(const struct run *run) {
    const struct sim_counts *counts = &run->shared->counts;
    double took = seconds() - run->began;
    double hours = (double)counts->simulated_ms / 3600000.0;
    double rate = took > 0 ? (double)counts->seeds / took : 0;
    if (run->options->json) {
        printf("{\"seeds\":%llu,\"failed\":%llu,\"failed_seeds\":[", (unsigned long long)counts->seeds,
               (unsigned long long)run->failed);
        for (uint64_t i = 0; i < run->failed && i < FAILED_SHOWN_MAX; i++)
            printf("%s%llu", i ? "," : "", (unsigned long long)run->failed_seeds[i]);
        printf("],\"simulated_s\":%.0f,\"seconds\":%.1f,\"seeds_per_second\":%.1f,\"messages\":%llu,"
               "\"shown\":%llu,\"connections\":%llu,\"cuts\":%llu,\"switch_crashes\":%llu,"
               "\"client_crashes\":%llu,\"drains\":%llu,\"disk_faults\":%llu}\n",
               hours * 3600, took, rate, (unsigned long long)counts->messages,
               (unsigned long long)counts->shown, (unsigned long long)counts->connections,
               (unsigned long long)counts->cuts, (unsigned long long)counts->switch_crashes,
               (unsigned long long)counts->client_crashes, (unsigned long long)counts->drains,
               (unsigned long long)counts->disk_faults);
        return;
    }
    printf("%s%s sim: %llu seeds, %llu failed; %.1f hours simulated in %.1f s, %.0f seeds/s\n",
           isatty(STDERR_FILENO) ? "\r\033[K" : "", run->failed ? "not ok" : "ok",
           (unsigned long long)counts->seeds, (unsigned long long)run->failed, hours, took, rate);
    printf(
        "%llu messages, %llu shown, %llu connections, %llu cut, %llu crashes of the switch, %llu of clients, "
        "%llu drains, %llu disk faults\n",
        (unsigned long long)counts->messages, (unsigned long long)counts->shown,
        (unsigned long long)counts->connections, (unsigned long long)counts->cuts,
        (unsigned long long)counts->switch_crashes, (unsigned long long)counts->client_crashes,
        (unsigned long long)counts->drains, (unsigned long long)counts->disk_faults);
}

/* Each planted fault until a seed catches it. */
static int try_mutants(struct run *run) {
    uint32_t survived = 0, index = 0;
    const char *name, *help;
    run->quiet = true;
    for (; !stopped && (name = mutant_name(index, &help)); index++) {
        mutant_plant(name);
        run->failed = 0;
        bool caught = !run_range(run, run->options->first, MUTANT_SEEDS) && run->failed;
        survived += !caught;
        if (caught)
            printf("caught    %-20s %s\n          seed %llu: %s\n", name, help,
                   (unsigned long long)run->shared->seed, run->shared->error);
        else
            printf("SURVIVED  %-20s %s\n", name, help);
        fflush(stdout);
    }
    printf("%s mutants: %u planted, %u survived\n", survived || !index ? "not ok" : "ok", index, survived);
    return survived || !index ? 1 : 0;
}

/* In this process, so that a debugger sees it. */
static int run_one(const struct options *options) {
    bool good = sim_run(options->first, options->trace);
    printf("seed %llu: %s\n", (unsigned long long)options->first, good ? "passed" : sim.error);
    printf("hash %016llx, %llu steps, %.1f s simulated\n", (unsigned long long)sim.hash,
           (unsigned long long)sim.counts.steps, (double)sim.counts.simulated_ms / 1000.0);
    return good ? 0 : 1;
}

/* --- the command line ----------------------------------------------------------------------------------- */

static const struct argp_option option_table[] = {
    {"seeds", 's', "A-B", 0, "run these seeds (1-1000 where nothing is said)", 0},
    {"seed", 'o', "N", 0, "run one seed, in this process", 0},
    {"trace", 't', NULL, 0, "with --seed: tell what happens", 0},
    {"list", 'l', "FILE", 0, "first run the seeds in this file", 0},
    {"keep-going", 'k', NULL, 0, "go on after a seed that failed", 0},
    {"twice", '2', NULL, 0, "run each seed twice: both runs have to go the same way", 0},
    {"mutants", 'm', NULL, 0, "plant one fault after the other and print what catches each", 0},
    {"mutant", 'p', "NAME", 0, "plant this fault", 0},
    {"json", 'j', NULL, 0, "the summary as JSON", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state) {
    struct options *options = state->input;
    char *end;
    switch (key) {
    case 's':
        options->first = options->last = strtoull(value, &end, 10);
        if (*end == '-')
            options->last = strtoull(end + 1, &end, 10);
        if (*end || end == value || options->last < options->first)
            argp_error(state, "--seeds wants A-B");
        return 0;
    case 'o':
        options->first = options->last = strtoull(value, &end, 10);
        options->one = true;
        if (*end || end == value)
            argp_error(state, "--seed wants a number");
        return 0;
    case 't':
        options->trace = true;
        return 0;
    case 'l':
        options->list = value;
        return 0;
    case 'k':
        options->keep_going = true;
        return 0;
    case '2':
        options->twice = true;
        return 0;
    case 'm':
        options->mutants = true;
        return 0;
    case 'p':
        options->mutant = value;
        return 0;
    case 'j':
        options->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    static const struct argp argp = {.options = option_table,
                                     .parser = parse_option,
                                     .doc =
                                         "Runs the switch in a simulated world, one seed after the other."};
    struct options options = {.first = 1, .last = 1000};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    randombytes_set_implementation(&random_of_seed);
    if (noise_init() < 0) {
        fprintf(stderr, "ternsim: libsodium does not start\n");
        return 2;
    }
    if (options.mutant && !mutant_plant(options.mutant)) {
        fprintf(stderr, "ternsim: no such mutant, or this build has none: make mutants\n");
        return 2;
    }
    if (options.one)
        return run_one(&options);
    struct run run = {.options = &options, .began = seconds(), .total = options.last - options.first + 1};
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    run.shared = mmap(NULL, sizeof(*run.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.shared == MAP_FAILED) {
        perror("ternsim: mmap");
        return 2;
    }
    if (options.mutants)
        return try_mutants(&run);
    if (!options.list || run_list(&run, options.list))
        run_range(&run, options.first, options.last);
    print_summary(&run);
    return run.failed ? 1 : 0;
}
