#include "bench/plot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/report.h"

/* gnuplot's strings in single quotes: a quote is written twice. */
static void put_quoted(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text; text++) {
        fputc(*text == '\n' ? ' ' : *text, out);
        if (*text == '\'')
            fputc('\'', out);
    }
    fputc('\'', out);
}

static void put_rows(FILE *out, const struct report *report) {
    const struct figures *first = report->runs[0];
    uint32_t row = 0;
    fprintf(out, "$rows << ROWS_END\n");
    for (uint32_t i = 0; i < first->count; i++) {
        double median, min, max;
        const struct figure *figure = &first->items[i];
        if (figure->is_plotted && report_sum_up(report, figure->name, &median, &min, &max))
            fprintf(out, "%u \"%s\" %.17g %.17g %.17g\n", row++, figure->name, median, min, max);
    }
    fprintf(out, "ROWS_END\n");
}

static const char *unit_of(const struct report *report) {
    const struct figures *first = report->runs[0];
    for (uint32_t i = 0; i < first->count; i++) {
        if (first->items[i].is_plotted)
            return first->items[i].unit;
    }
    return NULL;
}

int plot_write(const struct report *report, const char *path) {
    const char *unit = unit_of(report);
    if (!unit)
        return 0;
    FILE *out = popen("gnuplot 2>/dev/null", "we");
    if (!out)
        return -errno;
    fprintf(out, "set terminal svg size 900,500 dynamic enhanced background rgb 'white' font 'sans,11'\n");
    fprintf(out, "set output ");
    put_quoted(out, path);
    fprintf(out, "\nset title ");
    put_quoted(out, report->title);
    fprintf(out, " noenhanced\nset ylabel ");
    put_quoted(out, unit);
    fprintf(out, " noenhanced\nset style fill solid 0.6\nset boxwidth 0.7\nset grid ytics\nset yrange [0:*]\n"
                 "set xtics rotate by -30 noenhanced\nset key off\n");
    put_rows(out, report);
    fprintf(out, "plot $rows using 1:3:xtic(2) with boxes linecolor rgb '#3060a0', "
                 "$rows using 1:3:4:5 with yerrorbars linecolor rgb '#202020' pointtype 0\n");
    int status = pclose(out);
    if (status < 0 || !WIFEXITED(status))
        return -EIO;
    return WEXITSTATUS(status) == 127 ? -ENOENT : WEXITSTATUS(status) ? -EIO : 0;
}
