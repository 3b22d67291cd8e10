// SPDX-License-Identifier: Apache-2.0
//
// A walk over the resolved tree: kinds, lengths and texts, so that no two trees read alike.
// Refused: hashes (the texts are small, and equal means equal) and comparing the bound structs,
// which hold pointers. Bounds: FINGERPRINT_BYTES_MAX; files of 1 MiB; the tree's own depth. One
// thread.

#include "service/fingerprint.h"

#include <stdio.h>

#include "base/file.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

static void write_text(char kind, struct bytes text, struct buffer *out)
{
    buffer_printf(out, "%c%zu:", kind, text.len);
    buffer_append_bytes(out, text);
}

// What cannot be read is written as its absence: that is a change as well.
static void write_file(struct bytes path, struct buffer *out)
{
    char name[4096];
    struct buffer content;
    if (path.len == 0 || path.len >= sizeof(name)) {
        return;
    }
    snprintf(name, sizeof(name), "%.*s", BYTES_PRINTF(path));
    buffer_init(&content, FILE_BYTES_MAX);
    if (file_read(name, &content) == RESULT_OK) {
        write_text('F', buffer_view(&content), out);
    } else {
        buffer_append_text(out, "f");
    }
    buffer_fini(&content);
}

static void write_scalar(const struct config_node *node, struct bytes key, struct buffer *out)
{
    const struct bytes prefix = BYTES_LITERAL("file:");
    struct bytes text = config_text(node);
    write_text(config_is_quoted(node) ? 'q' : 's', text, out);
    if (bytes_start_with(text, prefix)) {
        write_file(bytes_slice(text, prefix.len, SIZE_MAX), out);
    } else if (bytes_end_with(key, BYTES_LITERAL("_file"))) {
        write_file(text, out);
    }
}

static void write_node(const struct config_node *node, struct bytes key, struct buffer *out)
{
    switch (config_kind(node)) {
    case CONFIG_NULL:
        buffer_append_text(out, "n");
        break;
    case CONFIG_SCALAR:
        write_scalar(node, key, out);
        break;
    case CONFIG_MAP:
        buffer_printf(out, "m%zu:", config_count(node));
        for (size_t i = 0; i < config_count(node); i++) {
            struct bytes name;
            const struct config_node *member = config_member(node, i, &name);
            write_text('k', name, out);
            write_node(member, name, out);
        }
        break;
    case CONFIG_LIST:
        buffer_printf(out, "l%zu:", config_count(node));
        for (size_t i = 0; i < config_count(node); i++) {
            write_node(config_at(node, i), key, out);
        }
        break;
    }
}

void fingerprint_write(const struct config_node *node, struct buffer *out)
{
    write_node(node, BYTES_NONE, out);
}

bool fingerprint_equal(const struct buffer *a, const struct buffer *b)
{
    return buffer_status(a) == RESULT_OK && buffer_status(b) == RESULT_OK &&
           bytes_equal(buffer_view(a), buffer_view(b));
}
