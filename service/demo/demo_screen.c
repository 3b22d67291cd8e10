// SPDX-License-Identifier: Apache-2.0
//
// Plain printf with a little care: width and colours are asked once, columns count characters and
// not bytes.
//
// Refused: a terminal library for six screens of text.
//
// Main thread.

#include "service/demo/demo_screen.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAUSE_MS 6000

static const char *const inks[] = {"",         "\033[2m",  "\033[1m", "\033[32m",
                                   "\033[31m", "\033[33m", "\033[36m"};

void demo_screen_init(struct demo_screen *screen, bool plain)
{
    struct winsize size;
    bool terminal = isatty(STDOUT_FILENO) == 1;
    screen->colours = terminal && !plain && getenv("NO_COLOR") == NULL;
    screen->pauses = terminal && !plain && isatty(STDIN_FILENO) == 1;
    screen->width = 100;
    if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        screen->width = size.ws_col < 60 ? 60 : size.ws_col > 160 ? 160 : size.ws_col;
    }
}

static void ink_begin(const struct demo_screen *screen, enum ink ink)
{
    if (screen->colours) {
        fputs(inks[ink], stdout);
    }
}

static void ink_end(const struct demo_screen *screen, enum ink ink)
{
    if (screen->colours && ink != INK_PLAIN) {
        fputs("\033[0m", stdout);
    }
}

static void pause_for_reader(const struct demo_screen *screen)
{
    if (!screen->pauses) {
        return;
    }
    demo_say(screen, INK_DIM, "\n(Enter goes on at once)");
    fflush(stdout);
    struct pollfd key = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&key, 1, PAUSE_MS) > 0) {
        char line[64];
        ssize_t ignored = read(STDIN_FILENO, line, sizeof(line));
        (void)ignored;
    }
}

void demo_title(const struct demo_screen *screen, unsigned number, const char *title)
{
    if (number > 1) {
        pause_for_reader(screen);
    }
    printf("\n");
    ink_begin(screen, INK_BOLD);
    printf("%u. %s", number, title);
    ink_end(screen, INK_BOLD);
    printf("\n\n");
    fflush(stdout);
}

static bool is_inside_character(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

void demo_cell(const struct demo_screen *screen, enum ink ink, struct bytes text, unsigned columns)
{
    unsigned used = 0;
    size_t end = 0;
    while (end < text.len && used < columns) {
        end++;
        while (end < text.len && is_inside_character(text.ptr[end])) {
            end++;
        }
        used++;
    }
    bool cut = end < text.len && columns > 3;
    if (cut) {
        while (used > columns - 3 && end > 0) {
            end--;
            while (end > 0 && is_inside_character(text.ptr[end])) {
                end--;
            }
            used--;
        }
    }
    ink_begin(screen, ink);
    printf("%.*s%s", (int)end, (const char *)text.ptr, cut ? "..." : "");
    ink_end(screen, ink);
    printf("%*s", (int)(columns - used - (cut ? 3 : 0)), "");
}

void demo_wrap(const struct demo_screen *screen, enum ink ink, const char *label, struct bytes text)
{
    int indent = printf("%s", label);
    size_t room = screen->width > (unsigned)indent + 20 ? screen->width - (unsigned)indent : 20;
    while (text.len > 0) {
        size_t end = text.len;
        if (text.len > room) {
            end = room;
            while (end > 0 && text.ptr[end] != ' ') {
                end--;
            }
            end = end == 0 ? room : end;
        }
        ink_begin(screen, ink);
        printf("%.*s", (int)end, (const char *)text.ptr);
        ink_end(screen, ink);
        printf("\n");
        text = bytes_trim(bytes_slice(text, end, SIZE_MAX));
        if (text.len > 0) {
            printf("%*s", indent, "");
        }
    }
    fflush(stdout);
}

// Each line is laid out on its own: what is wider than the screen goes on under its first word.
void demo_say(const struct demo_screen *screen, enum ink ink, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct bytes rest = bytes_from_text(text);
    for (bool more = true; more;) {
        size_t end = bytes_find(rest, BYTES_LITERAL("\n"), 0);
        more = end != SIZE_MAX;
        struct bytes line = bytes_slice(rest, 0, end);
        rest = bytes_slice(rest, more ? end + 1 : rest.len, SIZE_MAX);
        char indent[8];
        size_t blanks = 0;
        while (blanks < line.len && blanks + 1 < sizeof(indent) && line.ptr[blanks] == ' ') {
            blanks++;
        }
        snprintf(indent, sizeof(indent), "%*s", (int)blanks, "");
        demo_wrap(screen, ink, line.len > 0 ? indent : "", bytes_trim(line));
        if (line.len == 0) {
            printf("\n");
        }
    }
    fflush(stdout);
}
