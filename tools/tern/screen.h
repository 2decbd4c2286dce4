/* tools/tern/screen.h: a chat on a terminal: the last messages, and the line that is being typed below them.
 * All of it is painted anew with each change, so that ticks turn where they stand. And the terminal's raw
 * mode.
 *
 * Threads: one.  Memory: what is being painted. */
#ifndef TERN_TOOLS_TERN_SCREEN_H
#define TERN_TOOLS_TERN_SCREEN_H

#include "tools/tern/conversation.h"
#include "tools/tern/editor.h"

struct screen {
    const char *own_name, *name;
    const char *note; /* shown above the typed line; "" none */
    bool is_raw;
    size_t rows, columns; /* as painted last */
};

/* True where both standard streams are a terminal that can move its cursor. */
bool screen_is_possible(void);
int screen_open(struct screen *screen, const char *own_name,
                const char *name); /* raw mode, until screen_close */
void screen_close(struct screen *screen);
bool screen_is_resized(const struct screen *screen); /* since it was painted */
void screen_paint(struct screen *screen, const struct conversation *conversation,
                  const struct editor *editor);

#endif
