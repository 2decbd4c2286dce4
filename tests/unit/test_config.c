/* The table of settings: defaults, ranges, what is said about wrong ones, and the texts made of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "tools/ternd/file.h"

TestSuite(config);

enum kind { NUMBER, TEXT, LIST };

struct row {
    const char *name, *fallback, *help;
    uint64_t min, max;
    enum kind kind;
    bool reloadable;
};

#define IS_R true
#define IS_I false
#define ROW_N(name, fallback, min, max, when, help) {#name, #fallback, help, min, max, NUMBER, IS_##when},
#define ROW_T(name, fallback, when, help) {#name, fallback, help, 0, 0, TEXT, IS_##when},
#define ROW_L(name, fallback, when, help) {#name, fallback, help, 0, 0, LIST, IS_##when},
static const struct row rows[] = {SETTINGS(ROW_N, ROW_T, ROW_L)};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct config config, other;
static char error[512];

static int set(const char *name, const char *value) {
    error[0] = '\0';
    return config_set(&config, name, value, error, sizeof(error));
}

static int set_number(const char *name, uint64_t value) {
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    return set(name, text);
}

static void cr_says(const char *what) {
    cr_assert_not_null(strstr(error, what), "\"%s\" does not say \"%s\"", error, what);
}

/* --- values --------------------------------------------------------------------------------------------- */

Test(config, every_number_takes_its_range_and_nothing_else) {
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        char range[64];
        if (row->kind != NUMBER)
            continue;
        config_defaults(&config);
        cr_assert_eq(set(row->name, row->fallback), 0, "%s", error);
        cr_assert_eq(set_number(row->name, row->min), 0, "%s", error);
        cr_assert_eq(set_number(row->name, row->max), 0, "%s", error);
        other = config;
        snprintf(range, sizeof(range), "%" PRIu64 " .. %" PRIu64, row->min, row->max);
        cr_assert_eq(set_number(row->name, row->max + 1), -ERANGE, "%s", row->name);
        cr_says(row->name);
        cr_says(range);
        if (row->min > 0) {
            cr_assert_eq(set_number(row->name, row->min - 1), -ERANGE, "%s", row->name);
            cr_says(range);
        }
        cr_assert_arr_eq(&config, &other, sizeof(config), "%s: a wrong value changed something", row->name);
    }
}

Test(config, the_defaults_pass_the_checks_and_are_those_of_the_table) {
    config_defaults(&config);
    cr_assert_eq(config_check(&config, error, sizeof(error)), 0, "%s", error);
    for (size_t i = 0; i < ROWS; i++) {
        other = config;
        cr_assert_eq(set(rows[i].name, rows[i].fallback), 0, "%s", error);
        cr_assert_eq(config_differences(&config, &other, true, error, sizeof(error)), 0, "%s", error);
        cr_assert_eq(config_differences(&config, &other, false, error, sizeof(error)), 0, "%s", error);
    }
}

Test(config, what_is_advertised_is_what_a_link_uri_can_name) {
    static const char *const right[] = {"chat.example.org:7440", "10.0.0.1:1", "[fd00::1]:65535", "a_b-c:80",
                                        ""};
    static const char *const wrong[] = {"foo bar:1",  "chat.example.org", ":7440",      "chat:0",
                                        "chat:65536", "chat:7440x",       "chat: 7440", "fd00::1:7440",
                                        "[fd00::1]",  "[chat]:7440",      "a/b:1",      "a?b:1",
                                        "chat:07440", "tern://chat:1",    "chat:+7440"};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        config_defaults(&config);
        cr_assert_eq(set("advertise", right[i]), 0);
        cr_assert_eq(config_check(&config, error, sizeof(error)), 0, "%s: %s", right[i], error);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        config_defaults(&config);
        cr_assert_eq(set("advertise", wrong[i]), 0);
        cr_assert_lt(config_check(&config, error, sizeof(error)), 0, "%s", wrong[i]);
        cr_says("is not HOST:PORT");
    }
}

static void cr_refuses(const char *says) {
    cr_assert_lt(config_check(&config, error, sizeof(error)), 0, "%s", says);
    cr_says(says);
    config_defaults(&config);
}

Test(config, what_no_switch_could_start_with_is_refused_by_the_check) {
    char path[120];
    config_defaults(&config);
    set("data", "");
    cr_refuses("data: empty");
    set("listen", "127.0.0.1:7440");
    set("listen", "[::]:7440");
    set("listen", "127.0.0.1:7440");
    cr_refuses("\"127.0.0.1:7440\" is given twice");
    set("plaintext_listen", "127.0.0.1:7440");
    cr_refuses("given twice");
    set("listen", "127.0.0.1:0");
    set("listen", "127.0.0.1:0");
    cr_assert_eq(config_check(&config, error, sizeof(error)), 0, "the kernel chooses two ports");
    memset(path, 'p', sizeof(path));
    path[108] = 0;
    set("admin", path);
    cr_refuses("at most 107 bytes");
    path[107] = 0;
    set("admin", path);
    cr_assert_eq(config_check(&config, error, sizeof(error)), 0, "%s", error);
    config_defaults(&config);
    path[97] = 0;
    set("data", path);
    cr_refuses("/admin.sock\" has 108");
}

Test(config, numbers_may_end_in_k_M_and_G) {
    config_defaults(&config);
    cr_assert_eq(set("map_bytes", "1024k"), 0);
    cr_assert_eq(config.map_bytes, 1u << 20);
    cr_assert_eq(set("map_bytes", "3M"), 0);
    cr_assert_eq(config.map_bytes, 3u << 20);
    cr_assert_eq(set("map_bytes", "2G"), 0);
    cr_assert_eq(config.map_bytes, 2ull << 30);
    cr_assert_eq(set("map_bytes", "18446744073709551615G"), -ERANGE, "no wrapping around");
    cr_assert_eq(set("map_bytes", "17179869185G"), -ERANGE, "no wrapping around");
}

Test(config, what_is_no_number_is_said_to_be_none) {
    static const char *const wrong[] = {
        "", "x", "-1", "+1", "1x", "1kk", "1 k", "0x10", "99999999999999999999"};
    config_defaults(&config);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(set("ping_s", wrong[i]), -EINVAL, "\"%s\" is taken", wrong[i]);
        cr_says("ping_s");
        cr_says("is not a number");
    }
    cr_assert_eq(config.ping_s, 60);
}

Test(config, a_list_replaces_its_default_and_has_an_end) {
    config_defaults(&config);
    cr_assert_eq(config_list_count(config.listen, config.listen_count), 1);
    for (int i = 0; i < CONFIG_LIST_MAX; i++) {
        cr_assert_eq(set("listen", "127.0.0.1:1"), 0);
        cr_assert_eq(config_list_count(config.listen, config.listen_count), (uint32_t)i + 1);
    }
    cr_assert_eq(set("listen", "127.0.0.1:1"), -EINVAL);
    cr_says("more than 16 times");
    cr_assert_eq(config_list_count(config.plaintext_listen, config.plaintext_listen_count), 0);
    cr_assert_eq(config_unset(&config, "listen"), 0);
    cr_assert_eq(config.listen_count, 0);
    cr_assert_str_eq(config.listen[0], "127.0.0.1:7440");
    cr_assert_eq(config_unset(&config, "listn"), -ENOENT);
}

Test(config, a_text_has_an_end_and_an_unknown_setting_is_said_to_be_none) {
    char longest[CONFIG_TEXT_BYTES + 1];
    memset(longest, 'x', CONFIG_TEXT_BYTES);
    longest[CONFIG_TEXT_BYTES] = '\0';
    config_defaults(&config);
    cr_assert_eq(set("data", longest), -EINVAL);
    cr_says("longer than 255 bytes");
    cr_assert_eq(set("data", longest + 1), 0);
    cr_assert_eq(set("lissten", "x"), -ENOENT);
    cr_says("ternd --help lists them");
}

/* --- what holds between settings ------------------------------------------------------------------------ */

Test(config, settings_that_do_not_fit_together_are_refused_by_name) {
    static const struct {
        const char *name, *value, *says;
    } wrong[] = {{"buffers", "1000", "buffers: 1000 is not a power of two"},
                 {"lane_slots", "100", "lane_slots: 100 is not a power of two"},
                 {"idle_s", "60", "idle_s"},
                 {"ring_completions", "2048", "ring_completions"},
                 {"cores", "0,", "cores"},
                 {"cores", "3-1", "cores"},
                 {"cores", "one", "cores"},
                 {"listen", "127.0.0.1", "listen"},
                 {"listen", "localhost:7440", "listen"},
                 {"listen", "127.0.0.1:65536", "listen"},
                 {"listen", "::1:7440", "listen"},
                 {"listen", "", "listen"},
                 {"plaintext_listen", "0.0.0.0:7441", "not a loopback"},
                 {"plaintext_listen", "10.1.2.3:7441", "not a loopback"},
                 {"plaintext_listen", "[::]:7441", "not a loopback"},
                 {"address_exempt", "10.0.0.0/33", "address_exempt"},
                 {"proxy_from", "everyone", "proxy_from"},
                 {"advertise", "switch.example.org", "advertise"},
                 {"advertise", ":7440", "advertise"},
                 {"advertise", "switch.example.org:0", "advertise"},
                 {"advertise", "switch.example.org:port", "advertise"},
                 {"ring_without", "recv_multishot,epoll", "epoll"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        config_defaults(&config);
        cr_assert_eq(set(wrong[i].name, wrong[i].value), 0, "%s", error);
        cr_assert_eq(config_check(&config, error, sizeof(error)), -EINVAL, "%s = %s passes", wrong[i].name,
                     wrong[i].value);
        cr_says(wrong[i].says);
    }
}

Test(config, settings_that_fit_pass) {
    static const char *const right[][2] = {{"listen", "[::1]:0"},
                                           {"listen", "0.0.0.0:7440"},
                                           {"plaintext_listen", "127.0.0.2:1"},
                                           {"plaintext_listen", "[::1]:1"},
                                           {"cores", "0-3,7"},
                                           {"address_exempt", "none"},
                                           {"address_exempt", "fd00::/8"},
                                           {"advertise", "switch.example.org:7440"},
                                           {"advertise", "[2001:db8::1]:65535"},
                                           {"ring_without", "recv_multishot,min_wait defer_taskrun"}};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        config_defaults(&config);
        cr_assert_eq(set(right[i][0], right[i][1]), 0, "%s", error);
        cr_assert_eq(config_check(&config, error, sizeof(error)), 0, "%s", error);
    }
}

Test(config, cores_are_read_as_ranges) {
    uint16_t cores[4];
    cr_assert_eq(config_cores("", cores, 4), 0);
    cr_assert_eq(config_cores("0,2-3", cores, 4), 3);
    cr_assert_eq(cores[0], 0);
    cr_assert_eq(cores[1], 2);
    cr_assert_eq(cores[2], 3);
    cr_assert_eq(config_cores("0-4", cores, 4), -EINVAL, "longer than there is room for");
    cr_assert_eq(config_cores("0-65535", cores, 4), -EINVAL);
    cr_assert_eq(config_cores("-1", cores, 4), -EINVAL);
}

Test(config, a_name_is_found_whole_only) {
    cr_assert(config_has("a,min_wait", "min_wait"));
    cr_assert(config_has("min_wait a", "min_wait"));
    cr_assert_not(config_has("xmin_wait,min_waits", "min_wait"));
    cr_assert_not(config_has("", "min_wait"));
}

/* --- reload --------------------------------------------------------------------------------------------- */

Test(config, a_reload_takes_over_exactly_what_is_reloadable) {
    char names[64];
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        config_defaults(&other);
        config_defaults(&config);
        cr_assert_eq(row->kind == NUMBER ? set_number(row->name, row->max) : set(row->name, "elsewhere"), 0);
        unsigned reloadable = config_differences(&other, &config, true, names, sizeof(names));
        cr_assert_eq(reloadable, row->reloadable, "%s", row->name);
        unsigned restart = config_differences(&other, &config, false, names, sizeof(names));
        cr_assert_eq(restart, !row->reloadable, "%s", row->name);
        cr_assert_eq(config_reload(&other, &config), restart, "%s", row->name);
        cr_assert_eq(config_differences(&other, &config, true, names, sizeof(names)), 0, "%s", row->name);
        cr_assert_eq(config_differences(&other, &config, false, names, sizeof(names)), restart, "%s",
                     row->name);
    }
}

Test(config, a_setting_that_was_longer_before_is_no_difference) {
    config_defaults(&config);
    config_defaults(&other);
    cr_assert_eq(set("data", "a much longer folder than the other one"), 0);
    cr_assert_eq(set("data", "here"), 0);
    cr_assert_eq(config_set(&other, "data", "here", error, sizeof(error)), 0);
    cr_assert_eq(config_differences(&config, &other, false, error, sizeof(error)), 0, "%s", error);
}

Test(config, names_that_do_not_fit_are_left_out_whole) {
    char names[sizeof("ping_s idle_s")];
    config_defaults(&other);
    config_defaults(&config);
    cr_assert_eq(set("ping_s", "1"), 0);
    cr_assert_eq(set("idle_s", "2"), 0);
    cr_assert_eq(set("ttl_s", "3"), 0);
    cr_assert_eq(config_differences(&other, &config, true, names, sizeof(names)), 3);
    cr_assert_str_eq(names, "ping_s idle_s");
    cr_assert_eq(config_differences(&other, &config, true, names, sizeof(names) - 1), 3);
    cr_assert_str_eq(names, "ping_s ttl_s");
}

/* --- the texts ------------------------------------------------------------------------------------------ */

static char *described(enum config_style style) {
    size_t bytes = config_describe(style, NULL, 0);
    char *text = malloc(bytes + 1);
    cr_assert_eq(config_describe(style, text, bytes + 1), bytes);
    cr_assert_eq(strlen(text), bytes);
    return text;
}

Test(config, every_text_has_every_setting_with_its_help) {
    for (enum config_style style = CONFIG_SAMPLE; style <= CONFIG_MARKDOWN; style++) {
        char *text = described(style);
        for (size_t i = 0; i < ROWS; i++) {
            cr_assert_not_null(strstr(text, rows[i].name), "style %d lacks %s", style, rows[i].name);
            cr_assert_not_null(strstr(text, rows[i].help), "style %d lacks the help of %s", style,
                               rows[i].name);
        }
        free(text);
    }
}

Test(config, the_sample_file_gives_the_defaults_with_or_without_its_comment_signs) {
    char *text = described(CONFIG_SAMPLE);
    config_defaults(&config);
    config_defaults(&other);
    cr_assert_eq(file_read_text("sample", text, strlen(text), &config, error, sizeof(error)), 0, "%s", error);
    cr_assert_arr_eq(&config, &other, sizeof(config));
    size_t set_count = 0;
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (line[0] == '#' && line[1] != ' ') {
            line[0] = ' ';
            set_count++;
        }
    }
    cr_assert_eq(set_count, ROWS);
    cr_assert_eq(file_read_text("sample", text, strlen(text), &config, error, sizeof(error)), 0, "%s", error);
    cr_assert_eq(config_check(&config, error, sizeof(error)), 0, "%s", error);
    cr_assert_eq(config_differences(&config, &other, true, error, sizeof(error)), 0, "%s", error);
    cr_assert_eq(config_differences(&config, &other, false, error, sizeof(error)), 0, "%s", error);
    free(text);
}
