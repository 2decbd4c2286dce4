#include "bench/figures.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"

static struct figure *add(struct figures *figures, double value, const char *unit) {
    must(figures->count < FIGURES_MAX);
    struct figure *figure = &figures->items[figures->count++];
    *figure = (struct figure){.unit = unit, .value = value};
    return figure;
}

void figures_add(struct figures *figures, double value, const char *unit, const char *name, ...) {
    struct figure *figure = add(figures, value, unit);
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(figure->name, sizeof(figure->name), name, arguments);
    va_end(arguments);
}

void figures_plot(struct figures *figures, double value, const char *unit, const char *name, ...) {
    struct figure *figure = add(figures, value, unit);
    figure->is_plotted = true;
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(figure->name, sizeof(figure->name), name, arguments);
    va_end(arguments);
}

const struct figure *figures_find(const struct figures *figures, const char *name) {
    for (uint32_t i = 0; i < figures->count; i++) {
        if (strcmp(figures->items[i].name, name) == 0)
            return &figures->items[i];
    }
    return NULL;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double figures_median(double *values, uint32_t count) {
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof(*values), compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
