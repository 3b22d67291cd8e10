// SPDX-License-Identifier: Apache-2.0
//
// Option tables as Markdown, for docs/CONFIG.md: one table per component, nested groups and maps
// as "group::key" rows behind their parent, in the order of the rows; keys without effect in one
// line behind. One flat table was chosen over a section for each group: people search for a key,
// and find its whole path. Bounds are those of the tables, which are ours; what does not fit into
// a key of 300 bytes is cut. Pure; any thread.
#include "base/option_document.h"

#include <stdio.h>

#include "base/option_units.h"

static const char *const kind_words[] = {
    [OPTION_BOOL] = "bool",
    [OPTION_INT] = "int",
    [OPTION_DOUBLE] = "number",
    [OPTION_DURATION] = "duration",
    [OPTION_SIZE] = "size",
    [OPTION_TEXT] = "string",
    [OPTION_SECRET] = "string, secret",
    [OPTION_ENUM] = "one of",
    [OPTION_TEXTS] = "list of strings",
    [OPTION_TEXT_MAP] = "map of strings",
    [OPTION_GROUP] = "map",
    [OPTION_MAP] = "map by name",
    [OPTION_NODE] = "any",
};

void option_document_type(const struct option *row, struct buffer *out)
{
    buffer_append_text(out, kind_words[row->kind]);
    bool first = true;
    for (size_t i = 0; row->kind == OPTION_ENUM && row->choices[i] != NULL; i++) {
        if (row->choices[i][0] != '\0') {  // the empty choice is "absent", which any key may be
            buffer_printf(out, "%s `%s`", first ? "" : ",", row->choices[i]);
            first = false;
        }
    }
    if (row->kind != OPTION_DURATION && row->unit != NULL && row->unit[0] != '\0') {
        buffer_printf(out, " (%s)", row->unit);
    }
}

static void document_bound(const struct option *row, double bound, struct buffer *out)
{
    char text[OPTION_UNITS_TEXT_MAX];
    if (row->kind == OPTION_DURATION) {
        duration_format((int64_t)(bound * 1e9), text);
    } else if (row->kind == OPTION_SIZE) {
        size_format((int64_t)bound, text);
    } else {
        snprintf(text, sizeof text, "%.15g", bound);
    }
    buffer_append_text(out, text);
}

static void document_bounds(const struct option *row, struct buffer *out)
{
    if (row->min == 0 && row->max == 0) {
        return;
    }
    if (row->max < row->min) {
        buffer_append_text(out, "at least ");
        document_bound(row, row->min, out);
        return;
    }
    document_bound(row, row->min, out);
    buffer_append_text(out, " to ");
    document_bound(row, row->max, out);
}

static void document_default(const struct option *row, struct buffer *out)
{
    if ((row->flags & OPTION_F_REQUIRED) != 0) {
        buffer_append_text(out, "required");
    } else if (row->fallback != NULL && row->fallback[0] != '\0') {
        buffer_printf(out, "`%s`", row->fallback);
    }
}

static void document_sentence(const struct option *row, struct buffer *out)
{
    if ((row->flags & OPTION_F_DEPRECATED) != 0) {
        buffer_append_text(out, "Deprecated. ");
    }
    for (const char *c = row->doc != NULL ? row->doc : ""; *c != '\0'; c++) {
        buffer_append_text(out, *c == '|' ? "\\" : "");
        buffer_append_byte(out, (uint8_t)*c);
    }
}

static void document_rows(const struct option *rows, const char *prefix, struct buffer *out)
{
    for (const struct option *row = rows; row->key != NULL; row++) {
        if ((row->flags & OPTION_F_IGNORED) != 0) {
            continue;
        }
        char key[256];
        const char *name = row->key[0] != '\0' ? row->key : "(the value itself)";
        snprintf(key, sizeof key, "%s%s", prefix, name);
        buffer_printf(out, "| `%s` | ", key);
        option_document_type(row, out);
        buffer_append_text(out, " | ");
        document_default(row, out);
        buffer_append_text(out, " | ");
        document_bounds(row, out);
        buffer_append_text(out, " | ");
        document_sentence(row, out);
        buffer_append_text(out, " |\n");
        if (row->rows != NULL && (row->kind == OPTION_GROUP || row->kind == OPTION_MAP)) {
            char inner[300];
            const char *below = row->kind == OPTION_MAP ? "::<name>::" : "::";
            snprintf(inner, sizeof inner, "%s%s", key, below);
            document_rows(row->rows, inner, out);
        }
    }
}

// A list behind the table: a row each would hide the keys that do something.
static void document_ignored(const struct option *rows, const char *prefix, bool *any,
                             struct buffer *out)
{
    for (const struct option *row = rows; row->key != NULL; row++) {
        if ((row->flags & OPTION_F_IGNORED) != 0) {
            buffer_printf(out, "%s`%s%s`",
                          *any ? ", " : "\nAccepted for compatibility, without effect: ", prefix,
                          row->key);
            *any = true;
        } else if (row->rows != NULL && (row->kind == OPTION_GROUP || row->kind == OPTION_MAP)) {
            char inner[300];
            const char *below = row->kind == OPTION_MAP ? "::<name>::" : "::";
            snprintf(inner, sizeof inner, "%.140s%.140s%s", prefix, row->key, below);
            document_ignored(row->rows, inner, any, out);
        }
    }
}

void option_document(const struct option *rows, const char *path, struct buffer *out)
{
    buffer_append_text(out, "| Key | Type | Default | Bounds | Meaning |\n");
    buffer_append_text(out, "|---|---|---|---|---|\n");
    char prefix[256];
    snprintf(prefix, sizeof prefix, "%s%s", path, path[0] != '\0' ? "::" : "");
    document_rows(rows, prefix, out);
    bool any = false;
    document_ignored(rows, prefix, &any, out);
    buffer_append_text(out, any ? ".\n\n" : "\n");
}
