#include "tools/tern/terminal.h"

/* As RFC 3629 has it: no longer form than needed, no surrogates, nothing above U+10FFFF. */
size_t terminal_utf8(const uint8_t *text, size_t bytes, uint32_t *ret_character) {
    if (bytes == 0)
        return 0;
    uint8_t first = text[0];
    size_t length = first < 0x80   ? 1
                    : first < 0xC2 ? 0
                    : first < 0xE0 ? 2
                    : first < 0xF0 ? 3
                    : first < 0xF5 ? 4
                                   : 0;
    if (length == 0 || length > bytes)
        return 0;
    uint32_t character = length == 1 ? first : first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        character = character << 6 | (text[i] & 0x3Fu);
    }
    if ((length == 3 && character < 0x800) ||
        (length == 4 && (character < 0x10000 || character > 0x10FFFF)) ||
        (character >= 0xD800 && character < 0xE000))
        return 0;
    *ret_character = character;
    return length;
}

bool terminal_is_utf8(const uint8_t *text, size_t bytes) {
    uint32_t character;
    for (size_t at = 0, length; at < bytes; at += length) {
        length = terminal_utf8(text + at, bytes - at, &character);
        if (length == 0 || character == 0)
            return false;
    }
    return true;
}

bool terminal_is_hidden(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F && c != 0x200D) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
           (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

void terminal_write(FILE *out, const uint8_t *text, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        uint32_t character;
        size_t length = terminal_utf8(text + at, bytes - at, &character);
        if (length == 0)
            fprintf(out, "\\x%02x", text[at]);
        else if (character == '\n')
            fputs("\\n", out);
        else if (character == '\t')
            fputs("\\t", out);
        else if (terminal_is_hidden(character))
            fprintf(out, character < 0x80 ? "\\x%02x" : "\\u{%x}", character);
        else
            fwrite(text + at, 1, length, out);
        at += length ? length : 1;
    }
}
