#include "tools/ternctl/units.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

char *units_time(uint64_t utc_ms, char *text) {
    time_t seconds = (time_t)(utc_ms / 1000);
    struct tm local;
    snprintf(text, UNITS_TEXT_BYTES, "-");
    if (utc_ms && localtime_r(&seconds, &local))
        strftime(text, UNITS_TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &local);
    return text;
}

char *units_span(uint64_t ms, char *text) {
    unsigned long long seconds = ms / 1000, minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (minutes == 0)
        snprintf(text, UNITS_TEXT_BYTES, "%llu s", seconds);
    else if (hours == 0)
        snprintf(text, UNITS_TEXT_BYTES, "%llu min", minutes);
    else if (days == 0)
        snprintf(text, UNITS_TEXT_BYTES, "%llu h %llu min", hours, minutes % 60);
    else
        snprintf(text, UNITS_TEXT_BYTES, "%llu d %llu h", days, hours % 24);
    return text;
}

char *units_ago(uint64_t utc_ms, uint64_t now_ms, char *text) {
    char span[32];
    if (utc_ms == 0) {
        snprintf(text, UNITS_TEXT_BYTES, "-");
        return text;
    }
    uint64_t apart_ms = now_ms > utc_ms ? now_ms - utc_ms : utc_ms - now_ms;
    unsigned long long seconds = apart_ms / 1000, minutes = seconds / 60, hours = minutes / 60;
    if (minutes == 0)
        snprintf(span, sizeof(span), "%llu s", seconds);
    else if (hours == 0)
        snprintf(span, sizeof(span), "%llu min", minutes);
    else if (hours < 48)
        snprintf(span, sizeof(span), "%llu h", hours);
    else
        snprintf(span, sizeof(span), "%llu d", hours / 24);
    if (seconds == 0)
        snprintf(text, UNITS_TEXT_BYTES, "just now");
    else
        snprintf(text, UNITS_TEXT_BYTES, utc_ms > now_ms ? "in %s" : "%s ago", span);
    return text;
}

char *units_bytes(uint64_t bytes, char *text) {
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t step = 0;
    while (value >= 1024 && step + 1 < sizeof(names) / sizeof(names[0])) {
        value /= 1024;
        step++;
    }
    snprintf(text, UNITS_TEXT_BYTES, "%.*f %s", step && value < 10 ? 1 : 0, value, names[step]);
    return text;
}

char *units_rate(double per_second, char *text) {
    static const char *const names[] = {"", " k", " M", " G"};
    size_t step = 0;
    while (per_second >= 10000 && step + 1 < sizeof(names) / sizeof(names[0])) {
        per_second /= 1000;
        step++;
    }
    int digits = 0;
    if (per_second > 0 && per_second < 0.995)
        digits = 2;
    else if (per_second > 0 && per_second < (step ? 99.95 : 9.95))
        digits = 1;
    snprintf(text, UNITS_TEXT_BYTES, "%.*f%s", digits, per_second, names[step]);
    return text;
}
