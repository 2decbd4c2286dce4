/* What people see: text of others on a terminal, the typed line, ticks. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame.h"
#include "tools/tern/editor.h"
#include "tools/tern/terminal.h"
#include "tools/tern/ticks.h"

TestSuite(terminal, .timeout = 10);

static char shown[4096];

static const char *show(const char *text, size_t bytes) {
    char *out = NULL;
    size_t count = 0;
    FILE *file = open_memstream(&out, &count);
    cr_assert(file);
    terminal_write(file, (const uint8_t *)text, bytes);
    fclose(file);
    snprintf(shown, sizeof(shown), "%s", out);
    free(out);
    return shown;
}

Test(terminal, shows_what_is_printable_as_it_is) {
    cr_assert_str_eq(show("plain, ünïcode, 漢字, 🙂", 30), "plain, ünïcode, 漢字, 🙂");
}

Test(terminal, no_message_sends_a_control_sequence) {
    cr_assert_str_eq(show("\033[31mred\a\r\n\tx\177", 14), "\\x1b[31mred\\x07\\x0d\\n\\tx\\x7f");
    cr_assert_str_eq(show("a\0b", 3), "a\\x00b");
    cr_assert_str_eq(show("\xc2\x9b"
                          "1m",
                          4),
                     "\\u{9b}1m", "the C1 control that begins a sequence");
    cr_assert_str_eq(show("\xe2\x80\xae"
                          "txt",
                          6),
                     "\\u{202e}txt", "turns the direction around");
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            char text[3] = {(char)first, (char)second, 'm'};
            const char *out = show(text, 3);
            for (; *out; out++)
                cr_assert((unsigned char)*out >= 0x20 && *out != 0x7f, "%02x %02x", first, second);
        }
    }
}

Test(terminal, what_is_not_utf8_is_shown_byte_by_byte) {
    cr_assert_str_eq(show("\xff\xc0\xaf", 3), "\\xff\\xc0\\xaf");
    cr_assert_str_eq(show("\xe2\x82", 2), "\\xe2\\x82");
    cr_assert_str_eq(show("\xed\xa0\x80", 3), "\\xed\\xa0\\x80");
    cr_assert_not(terminal_is_utf8((const uint8_t *)"\xf4\x90\x80\x80", 4));
    cr_assert(terminal_is_utf8((const uint8_t *)"\xf4\x8f\xbf\xbf", 4));
}

static const char *type(struct editor *editor, const char *keys, enum editor_event *ret_last) {
    enum editor_event event = EDITOR_MORE;
    for (; *keys; keys++)
        event = editor_put(editor, (uint8_t)*keys);
    *ret_last = event;
    snprintf(shown, sizeof(shown), "%.*s", (int)editor->bytes, (const char *)editor->line);
    return shown;
}

Test(terminal, the_typed_line_can_be_mended) {
    static struct editor editor;
    enum editor_event event;
    cr_assert_str_eq(type(&editor, "ab\177c", &event), "ac");
    cr_assert_str_eq(type(&editor, "ü漢\177", &event), "acü");
    cr_assert_str_eq(type(&editor, " two words \027", &event), "acü two ");
    cr_assert_str_eq(type(&editor, "\033[A\033OP\033[1;5Cx", &event), "acü two x",
                     "keys with sequences are dropped");
    cr_assert_str_eq(type(&editor, "\004", &event), "acü two x");
    cr_assert_eq(event, EDITOR_MORE, "Ctrl-D leaves an empty line only");
    cr_assert_str_eq(type(&editor, "\025", &event), "");
    cr_assert_str_eq(type(&editor, "\177\177hi\r", &event), "hi");
    cr_assert_eq(event, EDITOR_LINE);
    editor_clear(&editor);
    type(&editor, "\004", &event);
    cr_assert_eq(event, EDITOR_END);
    type(&editor, "\003", &event);
    cr_assert_eq(event, EDITOR_END);
}

Test(terminal, ticks_have_their_names) {
    cr_assert_str_eq(ticks_name(0), "waiting");
    cr_assert_str_eq(ticks_name(RECEIPT_SENT), "sent");
    cr_assert_str_eq(ticks_name(RECEIPT_SENT | RECEIPT_FAILED), "failed");
    cr_assert_str_eq(ticks_name(RECEIPT_SENT | RECEIPT_DELIVERED), "delivered");
    cr_assert_str_eq(ticks_name(RECEIPT_SENT | RECEIPT_DELIVERED | RECEIPT_READ), "read");
}
