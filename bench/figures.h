/* bench/figures.h: what one run gave: figures with a name and a unit. A dot in a name groups:
 * `w8.messages_per_s` is `messages_per_s` of the part `w8`.
 *
 * Threads: one at a time.  Memory: the caller's. */
#ifndef TERN_BENCH_FIGURES_H
#define TERN_BENCH_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#define FIGURES_MAX 512
#define FIGURE_NAME_BYTES 64

struct figure {
    char name[FIGURE_NAME_BYTES];
    const char *unit; /* "": a number without one, as a ratio */
    double value;
    bool is_plotted;
};

struct figures {
    uint32_t count;
    struct figure items[FIGURES_MAX];
};

__attribute__((format(printf, 4, 5))) void figures_add(struct figures *figures, double value,
                                                       const char *unit, const char *name, ...);
/* As figures_add, for a figure that a plot of the run shows; those of a plot share a unit. */
__attribute__((format(printf, 4, 5))) void figures_plot(struct figures *figures, double value,
                                                        const char *unit, const char *name, ...);
/* NULL: there is none of this name. */
const struct figure *figures_find(const struct figures *figures, const char *name);
/* The middle one, or the mean of the two in the middle. Sorts the values. NAN of none. */
double figures_median(double *values, uint32_t count);

#endif
