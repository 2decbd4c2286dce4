/* bench/plot.h: a report as bars in an SVG, drawn by gnuplot.
 *
 * Threads: the main thread.  Memory: none is kept. */
#ifndef TERN_BENCH_PLOT_H
#define TERN_BENCH_PLOT_H

struct report;

/* The figures that are to be plotted: medians as bars, least and most as whiskers. 0; -ENOENT: there is no
 * gnuplot; -EIO: it failed. */
int plot_write(const struct report *report, const char *path);

#endif
