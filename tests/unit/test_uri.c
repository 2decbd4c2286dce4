/* Link URIs: what is taken, and that each part that is wrong is named. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tools/client/uri.h"

TestSuite(uri, .timeout = 10);

#define KEY "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define CODE "0123456789abcdef0123456789abcdef"
#define REST "?account=7&key=" KEY "&code=" CODE
#define PAIRED "?account=7&key=" KEY "&account-key=" KEY "&pair=" KEY "&code=" CODE

static void expect(const char *text, const char *host, uint16_t port, const char *name) {
    struct uri uri;
    const char *problem = "";
    cr_assert_eq(uri_parse(text, &uri, &problem), 0, "%s: %s", text, problem);
    cr_assert_str_eq(uri.host, host);
    cr_assert_eq(uri.port, port);
    cr_assert_str_eq(uri.name, name);
    cr_assert_eq(uri.account, 7);
    cr_assert_eq(uri.key[1], 0x11);
    cr_assert_eq(uri.key[31], 0xff);
    cr_assert_eq(uri.code[15], 0xef);
}

Test(uri, takes_names_and_both_kinds_of_addresses) {
    expect("tern://127.0.0.1:7440/alice" REST, "127.0.0.1", 7440, "alice");
    expect("tern://[::1]:1/a.b_c-9" REST, "::1", 1, "a.b_c-9");
    expect("tern://[fe80::1:2]:65535/0" REST, "fe80::1:2", 65535, "0");
    expect("tern://Switch.example.org:7440/bob" REST, "Switch.example.org", 7440, "bob");
}

static void refuse(const char *text, const char *part) {
    struct uri uri = {.port = 9};
    const char *problem = "";
    cr_assert_eq(uri_parse(text, &uri, &problem), -EINVAL, "%s is taken", text);
    cr_assert(strstr(problem, part), "%s: '%s' does not speak of %s", text, problem, part);
    cr_assert_eq(uri.port, 9, "untouched on failure");
}

Test(uri, says_which_part_is_wrong) {
    refuse("", "tern://");
    refuse("http://h:1/a" REST, "tern://");
    refuse("tern://:1/a" REST, "host");
    refuse("tern://[::1:1/a" REST, "host");
    refuse("tern://[]:1/a" REST, "host");
    refuse("tern://h/a" REST, "port");
    refuse("tern://h:0/a" REST, "port");
    refuse("tern://h:65536/a" REST, "port");
    refuse("tern://h:99999999999999999999/a" REST, "port");
    refuse("tern://h:1" REST, "name");
    refuse("tern://h:1/" REST, "name");
    refuse("tern://h:1/.a" REST, "name");
    refuse("tern://h:1/a", "account=");
    refuse("tern://h:1/A" REST, "name");
    refuse("tern://h:1/a?account=0&key=" KEY "&code=" CODE, "account=");
    refuse("tern://h:1/a?account=18446744073709551616&key=" KEY "&code=" CODE, "account=");
    refuse("tern://h:1/a?account=07&key=" KEY "&code=" CODE, "account=");
    refuse("tern://h:1/a?account=7", "quotes");
    refuse("tern://h:1/a?account=7&key=12&code=" CODE, "key=");
    refuse("tern://h:1/a?account=7&key=" KEY "0&code=" CODE, "code=");
    refuse("tern://h:1/a?account=7&key=" KEY "&code=0123", "code=");
    refuse("tern://h:1/a" REST "0", "more");
    refuse("tern://h:1/a" REST " ", "more");
    refuse("tern://h:1/a" REST "&account-key=" KEY "&pair=" KEY, "more");
    refuse("tern://h:1/a?account=7&key=" KEY "&account-key=12&pair=" KEY, "account-key=");
    refuse("tern://h:1/a?account=7&key=" KEY "&account-key=" KEY "&code=" CODE, "pair=");
    refuse("tern://h:1/a?account=7&key=" KEY "&account-key=" KEY "&pair=12", "pair=");
    refuse("tern://h:1/a?account=7&key=" KEY "&account-key=" KEY "&pair=" KEY, "code=");
    refuse("tern://h:1/a" PAIRED, "check=");
    refuse("tern://h:1/a" PAIRED "&check=0123456", "check=");
    refuse("tern://h:1/a" PAIRED "&check=01234567", "another");
    refuse("tern://h:1/a" PAIRED "&check=1a99fb720", "more");
}

/* Neither is it taken for that of a first device. */
Test(uri, a_further_devices_is_refused_with_any_letter_changed_and_cut_anywhere) {
    struct uri uri;
    const char *problem;
    static const char whole[] = "tern://h:1/a" PAIRED "&check=1a99fb72";
    for (size_t at = 0; whole[at]; at++) {
        char text[sizeof(whole)];
        memcpy(text, whole, sizeof(text));
        text[at] ^= 1;
        cr_assert_eq(uri_parse(text, &uri, &problem), -EINVAL, "taken: %s", text);
        text[at] = 0;
        cr_assert_eq(uri_parse(text, &uri, &problem), -EINVAL, "taken: %s", text);
    }
    cr_assert_eq(uri_parse(whole, &uri, &problem), 0);
}

Test(uri, what_is_written_reads_as_it_was) {
    static const char *const texts[] = {"tern://h:1/a" REST, "tern://[::1]:65535/a.b-c" REST,
                                        "tern://h.example:7440/a" PAIRED "&check=18d9b04b"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct uri uri;
        const char *problem;
        char text[URI_TEXT_BYTES_MAX];
        cr_assert_eq(uri_parse(texts[i], &uri, &problem), 0);
        cr_assert_eq(uri.is_paired, i == 2);
        cr_assert_eq(uri_write(&uri, text), strlen(texts[i]));
        cr_assert_eq(strcasecmp(text, texts[i]), 0, "%s", text);
    }
}

Test(uri, there_is_room_for_the_longest) {
    struct uri uri = {.port = 65535, .account = UINT64_MAX, .is_paired = true};
    char text[URI_TEXT_BYTES_MAX];
    memset(uri.host, 'h', URI_HOST_BYTES_MAX);
    memset(uri.name, 'n', FRAME_NAME_BYTES_MAX);
    cr_assert_lt(uri_write(&uri, text), URI_TEXT_BYTES_MAX);
}

Test(uri, takes_the_largest_account_and_no_name_that_is_too_long) {
    struct uri uri;
    const char *problem;
    char text[512];
    cr_assert_eq(
        uri_parse("tern://h:1/a?account=18446744073709551615&key=" KEY "&code=" CODE, &uri, &problem), 0);
    cr_assert_eq(uri.account, UINT64_MAX);
    for (int bytes = 63; bytes <= 64; bytes++) {
        snprintf(text, sizeof(text), "tern://h:1/%0*d%s", bytes, 0, REST);
        cr_assert_eq(uri_parse(text, &uri, &problem), bytes == 63 ? 0 : -EINVAL);
    }
    for (int bytes = 253; bytes <= 254; bytes++) {
        snprintf(text, sizeof(text), "tern://%0*d:1/a%s", bytes, 0, REST);
        cr_assert_eq(uri_parse(text, &uri, &problem), bytes == 253 ? 0 : -EINVAL);
    }
}

Test(uri, knows_a_valid_name) {
    cr_assert(uri_name_is_valid("alice"));
    cr_assert(uri_name_is_valid("9.a_b-c"));
    cr_assert_not(uri_name_is_valid(""));
    cr_assert_not(uri_name_is_valid("-a"));
    cr_assert_not(uri_name_is_valid("Alice"));
    cr_assert_not(uri_name_is_valid("a b"));
}
