#include "tools/ternctl/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/rates.h"
#include "tools/ternctl/show_status.h"
#include "tools/ternctl/table.h"
#include "tools/ternctl/units.h"

#define HEADING_EVERY 20 /* lines, where the output is no terminal */

/* Set by the signal handler, looked at between views. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

/* --- the terminal --------------------------------------------------------------------------------------- */

struct screen {
    struct sigaction old_int, old_term, old_hup;
    struct termios old_mode;
    bool drawn_over; /* the output is a terminal and views replace each other */
    bool quiet;      /* keys do not show: old_mode has to be put back */
    unsigned lines;  /* of the view that stands there */
};

static void screen_init(struct screen *screen, const struct top_setup *setup) {
    *screen = (struct screen){.drawn_over = !setup->json && isatty(fileno(setup->out))};
    struct sigaction action = {.sa_handler = on_signal};
    interrupted = 0;
    sigaction(SIGINT, &action, &screen->old_int);
    sigaction(SIGTERM, &action, &screen->old_term);
    sigaction(SIGHUP, &action, &screen->old_hup);
    /* In the background the terminal's mode is somebody else's. */
    if (!screen->drawn_over || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
        tcgetattr(STDIN_FILENO, &screen->old_mode) < 0)
        return;
    struct termios mode = screen->old_mode;
    mode.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
    screen->quiet = tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
}

static void screen_fini(struct screen *screen) {
    if (screen->quiet)
        tcsetattr(STDIN_FILENO, TCSANOW, &screen->old_mode);
    sigaction(SIGINT, &screen->old_int, NULL);
    sigaction(SIGTERM, &screen->old_term, NULL);
    sigaction(SIGHUP, &screen->old_hup, NULL);
}

/* Sleeps; false when a signal or the key q ended it. In slices, since a signal may come between the look and
 * the sleep.
 */
static bool screen_wait(const struct screen *screen, uint32_t wait_ms) {
    struct pollfd keys = {.fd = screen->quiet ? STDIN_FILENO : -1, .events = POLLIN};
    uint64_t until_ms = caller_now_ms() + wait_ms, now_ms;
    while (!interrupted && (now_ms = caller_now_ms()) < until_ms) {
        uint64_t left_ms = until_ms - now_ms;
        char key = 0;
        int ready = poll(&keys, 1, (int)(left_ms < CALLER_SLICE_MS ? left_ms : CALLER_SLICE_MS));
        if (ready <= 0)
            continue;
        ssize_t count = read(STDIN_FILENO, &key, 1);
        if (count == 1 && key == 'q')
            return false;
        if (count <= 0)
            keys.fd = -1; /* no keys any more */
    }
    return !interrupted;
}

/* Puts a view in the place of the one before; what is higher than the window is cut off. */
static void screen_draw(struct screen *screen, FILE *out, const char *view) {
    struct winsize window = {0};
    ioctl(fileno(out), TIOCGWINSZ, &window);
    unsigned rows = window.ws_row > 1 ? window.ws_row - 1u : 23, columns = window.ws_col ? window.ws_col : 80;
    if (screen->lines)
        fprintf(out, "\033[%uA", screen->lines);
    screen->lines = 0;
    while (*view && screen->lines < rows) {
        size_t bytes = strcspn(view, "\n");
        fprintf(out, "%.*s\033[K\n", (int)(bytes < columns ? bytes : columns - 1), view);
        view += view[bytes] ? bytes + 1 : bytes;
        screen->lines++;
    }
    fputs("\033[J", out);
    fflush(out);
}

/* --- views ---------------------------------------------------------------------------------------------- */

struct view {
    const cJSON *status;
    struct snapshot before, after;
};

/* Closes and refusals that happen now: they say what is wrong. */
static int print_reasons(FILE *out, const struct view *view) {
    struct table table;
    char rate[UNITS_TEXT_BYTES];
    const cJSON *item;
    unsigned rows = 0;
    table_init(&table, "REASON|PER SECOND>|WHAT");
    cJSON_ArrayForEach(item, answer_list(view->after.answer, "stats")) {
        const char *name = answer_text(item, "name");
        double per_second = rates_per_second(&view->before, &view->after, name);
        if ((strncmp(name, "closed_", 7) != 0 && strncmp(name, "refused_", 8) != 0) || per_second <= 0)
            continue;
        table_cell(&table, "%s", name);
        table_cell(&table, "%s", units_rate(per_second, rate));
        table_cell(&table, "%s", answer_text(item, "help"));
        rows++;
    }
    if (rows)
        fputc('\n', out);
    int error = rows ? table_print(&table, out) : 0;
    table_fini(&table);
    return error;
}

static int draw_page(struct screen *screen, FILE *out, const struct view *view) {
    char *page, used[UNITS_TEXT_BYTES], map[UNITS_TEXT_BYTES];
    size_t page_bytes;
    FILE *text = open_memstream(&page, &page_bytes);
    if (!text)
        return -ENOMEM;
    show_status_line(text, view->status);
    const cJSON *store;
    uint64_t used_bytes = 0, map_bytes = 0;
    cJSON_ArrayForEach(store, answer_list(view->status, "stores")) {
        used_bytes += answer_number(store, "used_bytes");
        map_bytes += answer_number(store, "map_bytes");
    }
    fprintf(text, "%llu messages in memory, %llu records in the store, %s of %s used\n\n",
            (unsigned long long)rates_value(&view->after, "messages_in_memory"),
            (unsigned long long)rates_value(&view->after, "store_records"), units_bytes(used_bytes, used),
            units_bytes(map_bytes, map));
    int error = show_status_rates(text, &view->before, &view->after);
    if (!error)
        error = print_reasons(text, view);
    if (fclose(text) != 0 && !error)
        error = -ENOMEM;
    if (!error)
        screen_draw(screen, out, page);
    free(page);
    return error;
}

/* Columns of the plain lines and fields of the JSON ones. */
struct column {
    const char *title;
    const char *counter;
};
static const struct column columns[] = {
    {"accepted/s", "messages_accepted"},
    {"delivered/s", "messages_delivered"},
    {"spilled/s", "messages_spilled"},
    {"drained/s", "messages_drained"},
    {"refused/s", "messages_refused"},
    {"in B/s", "bytes_in"},
    {"out B/s", "bytes_out"},
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void print_line(FILE *out, const struct view *view, uint64_t utc_ms, uint32_t number) {
    char text[UNITS_TEXT_BYTES];
    if (number % HEADING_EVERY == 0) {
        fprintf(out, "%-19s %11s %9s", "time", "connections", "in memory");
        for (size_t i = 0; i < COLUMNS; i++)
            fprintf(out, " %11s", columns[i].title);
        fprintf(out, " %11s\n", "closed/s");
    }
    fprintf(out, "%-19s %11llu %9llu", units_time(utc_ms, text),
            (unsigned long long)answer_number(view->status, "connections"),
            (unsigned long long)rates_value(&view->after, "messages_in_memory"));
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(out, " %11s",
                units_rate(rates_per_second(&view->before, &view->after, columns[i].counter), text));
    fprintf(out, " %11s\n", units_rate(rates_per_second_all(&view->before, &view->after, "closed_"), text));
    fflush(out);
}

/* Every counter's rate, so that a script need not keep the one before. */
static int print_json(FILE *out, const struct view *view, uint64_t utc_ms) {
    cJSON *line = cJSON_CreateObject();
    cJSON_AddBoolToObject(line, "ok", true);
    cJSON_AddNumberToObject(line, "time_ms", (double)utc_ms);
    cJSON_AddNumberToObject(line, "seconds", (double)(view->after.at_us - view->before.at_us) / 1e6);
    cJSON_AddNumberToObject(line, "connections", (double)answer_number(view->status, "connections"));
    cJSON *rates = cJSON_AddObjectToObject(line, "per_second");
    const cJSON *item;
    cJSON_ArrayForEach(item, answer_list(view->after.answer, "stats")) {
        const char *name = answer_text(item, "name");
        if (strcmp(answer_text(item, "kind"), "counter") == 0)
            cJSON_AddNumberToObject(rates, name, rates_per_second(&view->before, &view->after, name));
    }
    char *text = cJSON_PrintUnformatted(line);
    cJSON_Delete(line);
    if (!text)
        return -ENOMEM;
    fprintf(out, "%s\n", text);
    fflush(out);
    cJSON_free(text);
    return 0;
}

/* --- the loop ------------------------------------------------------------------------------------------- */

static int ask_status(struct caller *caller, uint32_t timeout_ms, cJSON **ret_status) {
    cJSON *request = cJSON_CreateObject(), *status = NULL;
    cJSON_AddStringToObject(request, "command", "status");
    int error = caller_ask(caller, request, timeout_ms, &status);
    cJSON_Delete(request);
    if (error)
        return error;
    if (!answer_flag(status, "ok")) {
        snprintf(caller->error, sizeof(caller->error), "the switch gives no status: %s",
                 answer_text(status, "error"));
        cJSON_Delete(status);
        return -EPROTO;
    }
    *ret_status = status;
    return 0;
}

static int show_view(struct screen *screen, const struct top_setup *setup, const struct view *view,
                     uint32_t number) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t utc_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (setup->json)
        return print_json(setup->out, view, utc_ms);
    if (screen->drawn_over)
        return draw_page(screen, setup->out, view);
    print_line(setup->out, view, utc_ms, number);
    return 0;
}

static int next_view(struct caller *caller, struct screen *screen, const struct top_setup *setup,
                     struct snapshot *before, uint32_t number) {
    struct view view = {.before = *before};
    int error = rates_take(caller, setup->timeout_ms, &view.after);
    if (error)
        return error;
    cJSON *status = NULL;
    error = ask_status(caller, setup->timeout_ms, &status);
    if (error) {
        rates_fini(&view.after);
        return error;
    }
    view.status = status;
    error = show_view(screen, setup, &view, number);
    if (error)
        snprintf(caller->error, sizeof(caller->error), "%s", strerror(-error));
    cJSON_Delete(status);
    rates_fini(before);
    *before = view.after;
    return error;
}

int top_run(struct caller *caller, const struct top_setup *setup) {
    struct snapshot before;
    int error = rates_take(caller, setup->timeout_ms, &before);
    if (error)
        return error;
    struct screen screen;
    screen_init(&screen, setup);
    caller->interrupted = &interrupted;
    for (uint32_t number = 0; !error && (setup->count == 0 || number < setup->count); number++) {
        if (!screen_wait(&screen, setup->interval_ms))
            break;
        error = next_view(caller, &screen, setup, &before, number);
    }
    caller->interrupted = NULL;
    screen_fini(&screen);
    rates_fini(&before);
    return error == -EINTR ? 0 : error;
}
