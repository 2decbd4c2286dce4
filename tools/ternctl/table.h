/* tools/ternctl/table.h: rows of text in aligned columns. A cell is printed as it is but for control
 * characters and bytes beyond ASCII, which come out as '?': what a switch says must not steer the terminal.
 *
 * Threads: one at a time.  Memory: a copy of every cell until table_fini. */
#ifndef TERN_TOOLS_TERNCTL_TABLE_H
#define TERN_TOOLS_TERNCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

struct table {
    char **cells; /* row by row, the heading first */
    size_t cell_count, cell_capacity;
    unsigned column_count;
    bool right[TABLE_COLUMNS_MAX]; /* of the column: aligned to the right, as numbers are */
    bool failed;                   /* no memory: table_print says so */
};

/* Columns as one text, "NAME|DEVICES>|CREATED": a '>' at the end aligns to the right. */
void table_init(struct table *table, const char *columns);
/* The next cell, from left to right, row by row. */
__attribute__((format(printf, 2, 3))) void table_cell(struct table *table, const char *format, ...);
/* 0, or -ENOMEM where a cell is missing for want of memory; prints nothing then. Empty cells show as "-". */
int table_print(const struct table *table, FILE *out);
void table_fini(struct table *table);

#endif
