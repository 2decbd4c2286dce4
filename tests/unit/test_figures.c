/* Figures of runs and where a run takes place: what ternbench's tables rest on. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>

#include "bench/figures.h"
#include "bench/pins.h"
#include "bench/report.h"

TestSuite(figures);

Test(figures, the_median_is_the_middle_whatever_the_order) {
    double odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2};
    cr_assert_float_eq(figures_median(odd, 3), 5, 1e-9);
    cr_assert_float_eq(figures_median(even, 4), 2.5, 1e-9);
    cr_assert(isnan(figures_median(odd, 0)));
}

Test(figures, a_report_sums_up_only_runs_that_have_the_figure) {
    static struct figures run;
    struct report report;
    char name[] = "ternbench test", *arguments[] = {name};
    report_open(&report, "test", 1, arguments);
    for (int i = 1; i <= 4; i++) {
        run.count = 0;
        figures_add(&run, i == 4 ? (double)NAN : i * 10.0, "us", "w%d.latency", 8);
        report_add(&report, &run, true);
    }
    double median, least, most;
    cr_assert(report_sum_up(&report, "w8.latency", &median, &least, &most));
    cr_assert_float_eq(median, 20, 1e-9);
    cr_assert_float_eq(least, 10, 1e-9);
    cr_assert_float_eq(most, 30, 1e-9);
    cr_assert_not(report_sum_up(&report, "w8.other", &median, &least, &most));
    cr_assert_eq(report_close(&report, NULL, NULL), 0);
}

Test(figures, cores_are_lists_of_numbers_and_ranges) {
    cpu_set_t cores;
    cr_assert_eq(pins_parse("0,2-3", &cores), 0);
    cr_assert(CPU_ISSET(0, &cores) && CPU_ISSET(2, &cores) && CPU_ISSET(3, &cores) && CPU_COUNT(&cores) == 3);
    const char *const wrong[] = {"", "a", "1-", "3-2", "1,", "99999", "1;2"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(pins_parse(wrong[i], &cores), -EINVAL, "%s", wrong[i]);
}
