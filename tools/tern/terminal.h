/* tools/tern/terminal.h: text of others on a terminal: a message must not be able to move the cursor, change
 * colours or type into the shell, whatever bytes it is made of.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERN_TERMINAL_H
#define TERN_TOOLS_TERN_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Writes text in which everything that is not printable UTF-8 stands as an escape: \n, \t, \xNN, \u{NNNN}. */
void terminal_write(FILE *out, const uint8_t *text, size_t bytes);
/* Length of the UTF-8 character at the start, and which it is; 0: what stands there is none. */
size_t terminal_utf8(const uint8_t *text, size_t bytes, uint32_t *ret_character);
/* Controls, and what turns the direction of writing around or is not seen at all. */
bool terminal_is_hidden(uint32_t character);
bool terminal_is_utf8(const uint8_t *text, size_t bytes); /* all of it, without NUL */

#endif
