/* tools/tern/editor.h: the line that is being typed: bytes of a terminal in raw mode in, lines out. It knows
 * backspace, Ctrl-U (all), Ctrl-W (a word), Ctrl-C, Ctrl-D, Ctrl-L, and drops keys that send escape
 * sequences.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERN_EDITOR_H
#define TERN_TOOLS_TERN_EDITOR_H

#include <stddef.h>
#include <stdint.h>

#define EDITOR_BYTES_MAX                                                                                     \
    65536 /* of a line: more than a message may have, so that one that is too long is seen to be */

enum editor_event { EDITOR_MORE, EDITOR_LINE, EDITOR_END, EDITOR_PAINT };

struct editor {
    uint8_t line[EDITOR_BYTES_MAX];
    size_t bytes;
    enum { EDITOR_PLAIN, EDITOR_ESCAPE, EDITOR_SEQUENCE } state;
};

/* EDITOR_LINE: the line is complete, take it and editor_clear; EDITOR_END: the user wants to leave;
 * EDITOR_PAINT: the screen is to be painted anew. */
enum editor_event editor_put(struct editor *editor, uint8_t byte);
void editor_clear(struct editor *editor);

#endif
