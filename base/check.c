// SPDX-License-Identifier: Apache-2.0
//
// The end of a process whose own code is wrong. The sentence goes to stderr by one write that needs
// neither heap nor locks, because either may be what is broken; abort() leaves a core and lets a
// sanitizer print the stack. Refused: going through base/log.h, which itself uses checks. Any
// thread; does not return.
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *expression)
{
    char text[512];
    int len = snprintf(text, sizeof text, "%s:%d: check failed: %s\n", file, line, expression);
    if (len >= (int)sizeof text) {
        len = (int)sizeof text - 1;
        text[len - 1] = '\n';
    }
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0) {
        abort();  // nobody reads; the core says the rest
    }
    abort();
}
