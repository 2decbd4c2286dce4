#include "bench/progress.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/end.h"

#define EVERY_NS UINT64_C(250000000)

static uint64_t shown_ns;
static bool is_shown;

void progress_show(bool now, const char *format, ...) {
    uint64_t now_ns = end_clock_ns();
    if (!isatty(STDERR_FILENO) || (!now && now_ns - shown_ns < EVERY_NS))
        return;
    shown_ns = now_ns;
    is_shown = true;
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
}

void progress_clear(void) {
    if (is_shown)
        fprintf(stderr, "\r\033[K");
    is_shown = false;
}
