/* The connection to the admin socket: answers in pieces and in pages, and every way to be let down. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fake_switch.h"
#include "tools/admin/commands.h"
#include "tools/ternctl/caller.h"

#define TIMEOUT_MS 20000

static struct fake_switch fake;
static struct caller caller;
static cJSON *answer;

static cJSON *a_request(void) {
    static cJSON *request;
    if (!request)
        request = cJSON_Parse("{\"command\":\"account list\"}");
    return request;
}

static void say(const char *const *answers) {
    fake_start(&fake, answers);
    cr_assert_eq(caller_open(&caller, fake.path, TIMEOUT_MS), 0, "%s", caller.error);
}

static void finish(void) {
    cJSON_Delete(answer);
    cJSON_Delete(a_request());
    caller_close(&caller);
    fake_end(&fake);
}

TestSuite(caller, .timeout = 60);

Test(caller, answers_come_whole_though_they_arrive_in_pieces) {
    say((const char *const[]){"{\"ok\":true,\"n\":1}\n{\"ok\":true,\"n\":2}\n", "", NULL});
    cr_assert_eq(caller_ask(&caller, a_request(), TIMEOUT_MS, &answer), 0, "%s", caller.error);
    cr_assert_eq(cJSON_GetObjectItem(answer, "n")->valueint, 1);
    cJSON_Delete(answer);
    /* The second line came along with the first and must not be lost. */
    cr_assert_eq(caller_ask(&caller, a_request(), TIMEOUT_MS, &answer), 0, "%s", caller.error);
    cr_assert_eq(cJSON_GetObjectItem(answer, "n")->valueint, 2);
    finish();
}

Test(caller, a_long_answer_comes_whole) {
    size_t bytes = 3u << 20;
    char *line = malloc(bytes + 64);
    int head = sprintf(line, "{\"ok\":true,\"text\":\"");
    memset(line + head, 'x', bytes);
    strcpy(line + head + bytes, "\"}\n");
    say((const char *const[]){line, NULL});
    cr_assert_eq(caller_ask(&caller, a_request(), TIMEOUT_MS, &answer), 0, "%s", caller.error);
    cr_assert_eq(strlen(cJSON_GetObjectItem(answer, "text")->valuestring), bytes);
    finish();
    free(line);
}

Test(caller, pages_become_one_answer) {
    say((const char *const[]){
        "{\"ok\":true,\"accounts\":[{\"account\":1},{\"account\":2}],\"more\":true}\n",
        "{\"ok\":true,\"accounts\":[{\"account\":5}],\"more\":true}\n",
        "{\"ok\":true,\"accounts\":[{\"account\":9},{\"account\":10}],\"more\":false}\n", NULL});
    cr_assert_eq(caller_ask_all(&caller, a_request(), TIMEOUT_MS, &answer), 0, "%s", caller.error);
    char *text = cJSON_PrintUnformatted(answer);
    cr_assert_str_eq(text, "{\"ok\":true,\"accounts\":[{\"account\":1},{\"account\":2},{\"account\":5},"
                           "{\"account\":9},{\"account\":10}]}");
    cJSON_free(text);
    cr_assert_str_eq(fake.requests[0], "{\"command\":\"account list\"}");
    cr_assert_str_eq(fake.requests[1], "{\"command\":\"account list\",\"after\":2}");
    cr_assert_str_eq(fake.requests[2], "{\"command\":\"account list\",\"after\":5}");
    finish();
}

Test(caller, pages_of_connections_go_on_after_the_last_id) {
    say((const char *const[]){"{\"ok\":true,\"connections\":[{\"id\":7,\"account\":1}],\"more\":true}\n",
                              "{\"ok\":true,\"connections\":[],\"more\":false}\n", NULL});
    cr_assert_eq(caller_ask_all(&caller, a_request(), TIMEOUT_MS, &answer), 0, "%s", caller.error);
    cr_assert_str_eq(fake.requests[1], "{\"command\":\"account list\",\"after\":7}");
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(answer, "connections")), 1);
    finish();
}

static void expect(int expected, int got, const char *sentence) {
    cr_assert_eq(got, expected, "%s", caller.error);
    cr_assert(strstr(caller.error, sentence), "says: %s", caller.error);
}

Test(caller, a_list_that_breaks_off_is_an_error) {
    say((const char *const[]){"{\"ok\":true,\"accounts\":[{\"account\":1}],\"more\":true}\n",
                              "{\"ok\":true,\"accounts\":[],\"more\":true}\n", NULL});
    expect(-EPROTO, caller_ask_all(&caller, a_request(), TIMEOUT_MS, &answer), "does not say after which");
    finish();
}

Test(caller, a_list_that_goes_round_is_an_error) {
    const char *same = "{\"ok\":true,\"accounts\":[{\"account\":7}],\"more\":true}\n";
    say((const char *const[]){same, same, same, NULL});
    expect(-EPROTO, caller_ask_all(&caller, a_request(), TIMEOUT_MS, &answer), "does not say after which");
    cr_assert_eq(fake.request_count, 2);
    finish();
}

Test(caller, a_page_that_fails_fails_the_list) {
    say((const char *const[]){"{\"ok\":true,\"accounts\":[{\"account\":1}],\"more\":true}\n",
                              "{\"ok\":false,\"code\":\"failed\",\"error\":\"x\"}\n", NULL});
    expect(-EPROTO, caller_ask_all(&caller, a_request(), TIMEOUT_MS, &answer), "broke its list off");
    finish();
}

Test(caller, nothing_there_says_so) {
    fake_path(&fake);
    expect(-ENOENT, caller_open(&caller, fake.path, TIMEOUT_MS), "there is no admin socket at /tmp/");
    expect(-ENOTDIR, caller_open(&caller, "/etc/passwd/admin.sock", TIMEOUT_MS),
           "there is no admin socket at");
    expect(-ECONNREFUSED, caller_open(&caller, "/etc/passwd", TIMEOUT_MS), "/etc/passwd is no admin socket");
    expect(-EINVAL, caller_open(&caller, "", TIMEOUT_MS), "path is empty");
    finish();
}

Test(caller, a_socket_whose_switch_has_ended_says_so) {
    say((const char *const[]){NULL});
    caller_close(&caller);
    fake_stop(&fake);
    expect(-ECONNREFUSED, caller_open(&caller, fake.path, TIMEOUT_MS), "nobody listens at /tmp/");
    finish();
}

Test(caller, a_socket_of_somebody_else_names_its_user) {
    say((const char *const[]){NULL});
    caller_close(&caller);
    if (geteuid() == 0) {
        /* Root may everything: the folder is root's alone, and the test somebody else. */
        cr_assert_eq(chmod(fake.path, 0600), 0);
        cr_assert_eq(chmod(fake.folder, 0755), 0);
        cr_assert_eq(seteuid(65534), 0);
        expect(-EACCES, caller_open(&caller, fake.path, TIMEOUT_MS), "is for user root and root");
        cr_assert_eq(seteuid(0), 0);
    } else {
        cr_assert_eq(chmod(fake.path, 0), 0);
        expect(-EACCES, caller_open(&caller, fake.path, TIMEOUT_MS), "permission denied");
    }
    finish();
}

Test(caller, a_path_too_long_for_a_socket_says_so) {
    char path[300];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    expect(-ENAMETOOLONG, caller_open(&caller, path, TIMEOUT_MS), "longer than 107 bytes");
}

Test(caller, a_switch_that_closes_instead_of_answering_says_so) {
    say((const char *const[]){FAKE_CLOSE, NULL});
    expect(-ECONNRESET, caller_ask(&caller, a_request(), TIMEOUT_MS, &answer), "closed the connection");
    finish();
}

Test(caller, garbage_is_no_switch_and_does_not_steer_the_terminal) {
    say((const char *const[]){"HTTP/1.1 400 \033[31mBad\r\n", "[1]\n", "{\"n\":1}\n", "{\"ok\":\"yes\"}\n",
                              "\n", NULL});
    for (int i = 0; i < 5; i++) {
        expect(-EPROTO, caller_ask(&caller, a_request(), TIMEOUT_MS, &answer), "is no tern switch");
        cr_assert_not(strpbrk(caller.error, "\033\r\n"));
    }
    finish();
}

Test(caller, a_line_without_end_is_given_up) {
    size_t bytes = ADMIN_LINE_BYTES_MAX + (4u << 20);
    char *line = malloc(bytes + 1);
    memset(line, 'x', bytes);
    line[bytes] = '\0';
    say((const char *const[]){line, NULL});
    expect(-EPROTO, caller_ask(&caller, a_request(), TIMEOUT_MS, &answer), "its line has no end");
    finish();
    free(line);
}

Test(caller, a_switch_that_does_not_answer_is_given_up_in_time) {
    say((const char *const[]){FAKE_SILENCE, NULL});
    uint64_t start_ms = caller_now_ms();
    expect(-ETIMEDOUT, caller_ask(&caller, a_request(), 200, &answer), "does not answer in time");
    cr_assert_geq(caller_now_ms() - start_ms, 200u);
    cr_assert_lt(caller_now_ms() - start_ms, 10000u);
    finish();
}

Test(caller, an_interrupt_ends_the_waiting) {
    static volatile sig_atomic_t interrupted = 1;
    say((const char *const[]){FAKE_SILENCE, NULL});
    caller.interrupted = &interrupted;
    expect(-EINTR, caller_ask(&caller, a_request(), TIMEOUT_MS, &answer), "interrupted");
    finish();
}

Test(caller, the_default_socket_is_the_named_one_else_the_near_one_else_the_installed_one) {
    const char *searched;
    fake_path(&fake);
    cr_assert_eq(chdir(fake.folder), 0);
    unsetenv("TERN_ADMIN");
    cr_assert_str_eq(caller_default_path(&searched), "/run/tern/admin.sock");
    cr_assert(strstr(searched, "var/tern/admin.sock"));
    cr_assert_eq(system("mkdir -p var/tern && touch var/tern/admin.sock"), 0);
    cr_assert_str_eq(caller_default_path(&searched), "var/tern/admin.sock");
    setenv("TERN_ADMIN", "/elsewhere", 1);
    cr_assert_str_eq(caller_default_path(&searched), "/elsewhere");
    setenv("TERN_ADMIN", "", 1);
    cr_assert_str_eq(caller_default_path(&searched), "var/tern/admin.sock");
    cr_assert_eq(system("rm -r var"), 0);
    finish();
}
