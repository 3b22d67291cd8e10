// SPDX-License-Identifier: Apache-2.0
// Printing for the demonstration: colours where the terminal has them, text cut and wrapped to its
// width, pauses that a key press shortens. Main thread.
#pragma once

#include "base/bytes.h"

enum ink { INK_PLAIN, INK_DIM, INK_BOLD, INK_GREEN, INK_RED, INK_YELLOW, INK_CYAN };

struct demo_screen {
    bool colours;
    bool pauses;     // a terminal is there and --plain was not given
    unsigned width;  // columns, 60..160
};

void demo_screen_init(struct demo_screen *screen, bool plain);
// A title line with its number, after a pause from the second on.
void demo_title(const struct demo_screen *screen, unsigned number, const char *title);
void demo_say(const struct demo_screen *screen, enum ink ink, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Wraps text behind a label; following lines are indented to the label's end.
void demo_wrap(const struct demo_screen *screen, enum ink ink, const char *label,
               struct bytes text);
// Cut to `columns` with an ellipsis, padded to it.
void demo_cell(const struct demo_screen *screen, enum ink ink, struct bytes text, unsigned columns);
