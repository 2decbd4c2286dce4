#include "tools/tern/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>

#define QUIET 2 /* light dots around it: readers manage with two where the standard has four */

/* Outside of the code, all is light. */
static bool is_dark(const QRcode *code, int row, int column) {
    if (row < 0 || column < 0 || row >= code->width || column >= code->width)
        return false;
    return code->data[row * code->width + column] & 1;
}

int qr_print(FILE *out, const char *text) {
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (!code)
        return errno == ENOMEM ? -ENOMEM : -EMSGSIZE;
    for (int row = -QUIET; row < code->width + QUIET; row += 2) {
        fputs("\033[30;107m", out);
        for (int column = -QUIET; column < code->width + QUIET; column++) {
            bool upper = is_dark(code, row, column), lower = is_dark(code, row + 1, column);
            fputs(upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ", out);
        }
        fputs("\033[0m\n", out);
    }
    QRcode_free(code);
    return 0;
}
