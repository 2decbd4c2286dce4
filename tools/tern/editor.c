#include "tools/tern/editor.h"

#define CONTROL(letter) ((letter)-64)
#define ESCAPE 27
#define DELETE 127

void editor_clear(struct editor *editor) {
    editor->bytes = 0;
}

/* The last character, with all bytes that UTF-8 makes of it. */
static void erase_character(struct editor *editor) {
    while (editor->bytes && (editor->line[editor->bytes - 1] & 0xC0) == 0x80)
        editor->bytes--;
    if (editor->bytes)
        editor->bytes--;
}

static void erase_word(struct editor *editor) {
    while (editor->bytes && editor->line[editor->bytes - 1] == ' ')
        editor->bytes--;
    while (editor->bytes && editor->line[editor->bytes - 1] != ' ')
        editor->bytes--;
}

/* ESC [ ... letter, or ESC O letter. */
static void skip_sequence(struct editor *editor, uint8_t byte) {
    if (editor->state == EDITOR_ESCAPE && (byte == '[' || byte == 'O'))
        editor->state = EDITOR_SEQUENCE;
    else if (editor->state == EDITOR_ESCAPE || (byte >= '@' && byte <= '~'))
        editor->state = EDITOR_PLAIN;
}

enum editor_event editor_put(struct editor *editor, uint8_t byte) {
    if (editor->state != EDITOR_PLAIN) {
        skip_sequence(editor, byte);
        return EDITOR_MORE;
    }
    switch (byte) {
    case '\r':
    case '\n':
        return EDITOR_LINE;
    case ESCAPE:
        editor->state = EDITOR_ESCAPE;
        return EDITOR_MORE;
    case '\b':
    case DELETE:
        erase_character(editor);
        return EDITOR_MORE;
    case CONTROL('U'):
        editor->bytes = 0;
        return EDITOR_MORE;
    case CONTROL('W'):
        erase_word(editor);
        return EDITOR_MORE;
    case CONTROL('C'):
        return EDITOR_END;
    case CONTROL('D'):
        return editor->bytes ? EDITOR_MORE : EDITOR_END;
    case CONTROL('L'):
        return EDITOR_PAINT;
    default:
        if ((byte >= ' ' || byte == '\t') && editor->bytes < sizeof(editor->line))
            editor->line[editor->bytes++] = byte;
        return EDITOR_MORE;
    }
}
