#include "tools/tern/screen.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "tools/tern/terminal.h"
#include "tools/tern/ticks.h"

#define ROWS_DEFAULT 24
#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 20
#define TICK_COLUMNS 4 /* two ticks and what separates them from the text */

static struct termios before; /* as the terminal was */

bool screen_is_possible(void) {
    const char *kind = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

int screen_open(struct screen *screen, const char *own_name, const char *name) {
    *screen = (struct screen){.own_name = own_name, .name = name, .note = ""};
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return -errno;
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
        return -errno;
    screen->is_raw = true;
    fputs("\033[2J", stdout);
    return 0;
}

void screen_close(struct screen *screen) {
    if (!screen->is_raw)
        return;
    screen->is_raw = false;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputs("\r\n", stdout);
    fflush(stdout);
}

/* --- painting ------------------------------------------------------------------------------------------- */

static size_t columns_of(const char *text, size_t bytes, size_t *ret_bytes) {
    uint32_t character;
    size_t length = terminal_utf8((const uint8_t *)text, bytes, &character);
    if (length == 0) {
        *ret_bytes = 1;
        return 1;
    }
    int width = wcwidth((wchar_t)character);
    *ret_bytes = length;
    return width < 0 ? 1 : (size_t)width;
}

/* How many bytes of the text go into so many columns: at least one character. */
static size_t cut(const char *text, size_t bytes, size_t columns, size_t *ret_used) {
    size_t at = 0, used = 0;
    while (at < bytes) {
        size_t length, wide = columns_of(text + at, bytes - at, &length);
        if (at && used + wide > columns)
            break;
        at += length;
        used += wide;
    }
    *ret_used = used;
    return at;
}

struct page {
    FILE *out;
    size_t rows, columns, name_columns;
    size_t skip; /* rows of the oldest entry that do not fit */
};

static char *safe_text(const struct entry *entry, size_t *ret_bytes) {
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_bytes);
    if (!out)
        return NULL;
    terminal_write(out, entry->text, entry->bytes);
    if (entry->is_clear)
        fputs(" (not encrypted)", out);
    if (entry->is_own && entry->reason)
        fprintf(out, " (%s)", ticks_reason_help(entry->reason));
    fclose(out);
    return text;
}

/* Paints an entry, or counts its rows where page->out is NULL. */
static size_t paint_entry(struct page *page, const struct screen *screen, const struct entry *entry) {
    size_t bytes = 0, rows = 0, at = 0;
    char *text = safe_text(entry, &bytes);
    size_t columns = page->columns - page->name_columns - TICK_COLUMNS;
    do {
        size_t used = 0, length = text ? cut(text + at, bytes - at, columns, &used) : 0;
        bool is_last = at + length >= bytes;
        if (page->out && page->skip == 0) {
            const char *name = rows               ? ""
                               : entry->is_notice ? "!"
                               : entry->is_own    ? screen->own_name
                                                  : screen->name;
            fprintf(page->out, "%-*.*s", (int)page->name_columns, (int)page->name_columns - 1, name);
            fwrite(text ? text + at : "", 1, length, page->out);
            if (entry->is_own && is_last) {
                fprintf(page->out, "  ");
                ticks_print(page->out, entry->flags, true);
            }
            fputs("\033[K\r\n", page->out);
        } else if (page->out) {
            page->skip--;
        }
        at += length;
        rows++;
    } while (at < bytes);
    free(text);
    return rows;
}

/* The end of the typed line, where all of it does not fit into a row. */
static void paint_input(const struct page *page, const struct editor *editor) {
    char *text = NULL;
    size_t bytes = 0, used = 0, at = 0;
    FILE *safe = open_memstream(&text, &bytes);
    if (!safe)
        return;
    terminal_write(safe, editor->line, editor->bytes);
    fclose(safe);
    while (at < bytes && at + cut(text + at, bytes - at, page->columns - 3, &used) < bytes) {
        size_t length;
        columns_of(text + at, bytes - at, &length);
        at += length;
    }
    fputs("> ", page->out);
    fwrite(text + at, 1, bytes - at, page->out);
    fputs("\033[K", page->out);
    free(text);
}

static void measure(size_t *ret_rows, size_t *ret_columns) {
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *ret_rows = size.ws_row > 3 ? size.ws_row : ROWS_DEFAULT;
    *ret_columns = size.ws_col >= COLUMNS_MIN ? size.ws_col : COLUMNS_DEFAULT;
}

bool screen_is_resized(const struct screen *screen) {
    size_t rows, columns;
    measure(&rows, &columns);
    return rows != screen->rows || columns != screen->columns;
}

static void lay_out(struct page *page, struct screen *screen) {
    size_t own = strlen(screen->own_name), other = strlen(screen->name);
    measure(&screen->rows, &screen->columns);
    page->rows = screen->rows;
    page->columns = screen->columns;
    page->name_columns = (own > other ? own : other) + 2;
    if (page->name_columns + TICK_COLUMNS + 8 > page->columns)
        page->name_columns = page->columns - TICK_COLUMNS - 8;
}

void screen_paint(struct screen *screen, const struct conversation *conversation,
                  const struct editor *editor) {
    char *text = NULL;
    size_t bytes = 0, first = conversation->count, rows = 0;
    struct page page = {0};
    lay_out(&page, screen);
    size_t room = page.rows - 1 - (*screen->note != 0);
    while (first > 0 && rows < room)
        rows += paint_entry(&page, screen, &conversation->entries[--first]);
    page.out = open_memstream(&text, &bytes);
    if (!page.out)
        return;
    page.skip = rows > room ? rows - room : 0;
    fputs("\033[?25l\033[H", page.out);
    for (size_t i = first; i < conversation->count; i++)
        paint_entry(&page, screen, &conversation->entries[i]);
    if (*screen->note)
        fprintf(page.out, "\033[2m%.*s\033[0m\033[K\r\n", (int)page.columns - 1, screen->note);
    paint_input(&page, editor);
    fputs("\033[J\033[?25h", page.out);
    fclose(page.out);
    fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    free(text);
}
