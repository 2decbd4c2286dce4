/* tools/tern/qr.h: a QR code on a terminal, two of its dots in each character, dark on light whatever the
 * terminal's colours are.
 *
 * Threads: one.  Memory: freed before it returns. */
#ifndef TERN_TOOLS_TERN_QR_H
#define TERN_TOOLS_TERN_QR_H

#include <stdio.h>

/* 0; -EMSGSIZE: the text is too long for one; -ENOMEM. */
int qr_print(FILE *out, const char *text);

#endif
