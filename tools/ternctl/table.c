#include "tools/ternctl/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"

static void add(struct table *table, char *cell) {
    if (cell && table->cell_count == table->cell_capacity) {
        size_t capacity = table->cell_capacity ? table->cell_capacity * 2 : 64;
        char **cells = reallocarray(table->cells, capacity, sizeof(*cells));
        if (cells) {
            table->cells = cells;
            table->cell_capacity = capacity;
        }
    }
    if (!cell || table->cell_count == table->cell_capacity) {
        free(cell);
        table->failed = true;
        return;
    }
    for (char *at = cell; *at; at++) {
        if (*at < ' ' || *at > '~')
            *at = '?';
    }
    table->cells[table->cell_count++] = cell;
}

void table_init(struct table *table, const char *columns) {
    *table = (struct table){0};
    while (*columns) {
        must(table->column_count < TABLE_COLUMNS_MAX);
        size_t bytes = strcspn(columns, "|");
        bool right = bytes && columns[bytes - 1] == '>';
        table->right[table->column_count++] = right;
        add(table, strndup(columns, bytes - right));
        columns += columns[bytes] ? bytes + 1 : bytes;
    }
}

void table_cell(struct table *table, const char *format, ...) {
    char *cell;
    va_list arguments;
    va_start(arguments, format);
    int bytes = vasprintf(&cell, format, arguments);
    va_end(arguments);
    add(table, bytes < 0 ? NULL : cell);
}

static const char *shown(const struct table *table, size_t index) {
    return table->cells[index][0] ? table->cells[index] : "-";
}

static void print_row(const struct table *table, size_t first, const size_t *widths, FILE *out) {
    for (unsigned column = 0; column < table->column_count; column++) {
        const char *text = shown(table, first + column);
        bool last = column + 1 == table->column_count;
        if (table->right[column])
            fprintf(out, "%*s", (int)widths[column], text);
        else
            fprintf(out, "%-*s", last ? 0 : (int)widths[column], text);
        fputs(last ? "\n" : "  ", out);
    }
}

int table_print(const struct table *table, FILE *out) {
    if (table->failed)
        return -ENOMEM;
    must(table->column_count && table->cell_count % table->column_count == 0); /* rows are whole */
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t *width = &widths[i % table->column_count], bytes = strlen(shown(table, i));
        if (bytes > *width)
            *width = bytes;
    }
    for (size_t row = 0; row < table->cell_count; row += table->column_count)
        print_row(table, row, widths, out);
    return 0;
}

void table_fini(struct table *table) {
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}
