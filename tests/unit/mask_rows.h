// SPDX-License-Identifier: Apache-2.0
// Rows of texts with what redaction makes of them, for its tests: masked once as the row says, and
// masked again without a change. Belongs behind <cmocka.h>.
#pragma once

#include "processor/redaction.h"

struct mask_row {
    const char *text, *masked;  // NULL: stays as it is
};

// Made up of parts, so that no scanner for leaked keys takes them for real ones.
#define MADE_UP "aB3dE5gH7jK9mN1pQ4"

static inline void check_rows(const struct mask_row *rows, size_t count)
{
    struct redactor *redactor = redactor_new();
    for (size_t i = 0; i < count; i++) {
        struct buffer once, twice;
        const char *wanted = rows[i].masked != NULL ? rows[i].masked : rows[i].text;
        buffer_init(&once, (size_t)1 << 20);
        buffer_init(&twice, (size_t)1 << 20);
        (void)redact(redactor, bytes_from_text(rows[i].text), &once);
        (void)redact(redactor, buffer_view(&once), &twice);
        if (strcmp(buffer_text(&once), wanted) != 0 || strcmp(buffer_text(&twice), wanted) != 0) {
            fail_msg("%s: %s: %s", rows[i].text, buffer_text(&once), buffer_text(&twice));
        }
        buffer_fini(&once);
        buffer_fini(&twice);
    }
    redactor_free(redactor);
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))
