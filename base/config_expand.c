// SPDX-License-Identifier: Apache-2.0
//
// Expansion of "${scheme:rest}". A scalar that is one reference becomes what it stands for, a map
// included; references inside longer text put their text there, and the whole is a string. "$$" is
// a dollar sign, and a dollar that opens nothing stands for itself.
//
// A fetched scalar is taken as it is: the Collector goes on expanding inside it and halves "$$",
// which damages secrets. Maps and lists that were fetched are expanded like the file's own.
//
// Bounds: depth and number of references (config_expand.h), sizes by the configuration's arena.
// Start and reload only, one thread.
#include "base/config_expand.h"

#include <string.h>

#include "base/config_source.h"

struct expansion {
    struct config *config;
    unsigned count;  // of openings looked at, those that nothing closes included
};

// Position of the "}" that closes the reference whose inside starts at `from`; SIZE_MAX: none.
static size_t reference_end(struct bytes text, size_t from)
{
    unsigned open = 1;
    for (size_t i = from; i < text.len; i++) {
        if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '{') {
            open++;
            i++;
        } else if (text.ptr[i] == '}' && --open == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static bool reference_opens(struct bytes text, size_t at)
{
    return at + 1 < text.len && text.ptr[at] == '$' && text.ptr[at + 1] == '{';
}

static enum result expand_text(struct expansion *expansion, struct bytes text, const char *where,
                               unsigned depth, struct buffer *out);

static enum result too_many(struct expansion *expansion, const char *where)
{
    return config_fail(expansion->config, where, RESULT_TOO_LARGE,
                       "references \"${...}\" are too many or too deep");
}

static enum result fetch(struct expansion *expansion, struct bytes inside, const char *where,
                         unsigned depth, struct config_node **node)
{
    struct config *config = expansion->config;
    if (depth > CONFIG_EXPAND_DEPTH_MAX || ++expansion->count > CONFIG_EXPAND_COUNT_MAX) {
        return too_many(expansion, where);
    }
    struct buffer uri;
    buffer_init(&uri, CONFIG_SOURCE_BYTES_MAX);
    enum result result = expand_text(expansion, inside, where, depth + 1, &uri);
    if (result == RESULT_OK) {
        result = config_source_fetch(config, buffer_view(&uri), where, node);
    }
    buffer_fini(&uri);
    return result;
}

static enum result expand_text(struct expansion *expansion, struct bytes text, const char *where,
                               unsigned depth, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        bool opens = reference_opens(text, i);
        if (opens && ++expansion->count > CONFIG_EXPAND_COUNT_MAX) {
            return too_many(expansion, where);
        }
        size_t end = opens ? reference_end(text, i + 2) : SIZE_MAX;
        if (end != SIZE_MAX) {
            struct config_node *node;
            struct bytes inside = bytes_slice(text, i + 2, end - i - 2);
            enum result result = fetch(expansion, inside, where, depth, &node);
            if (result != RESULT_OK) {
                return result;
            }
            buffer_append_bytes(out, config_text(node));
            i = end;
            continue;
        }
        buffer_append_byte(out, text.ptr[i]);
        if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '$') {
            i++;
        }
    }
    if (buffer_status(out) != RESULT_OK) {
        return config_fail(expansion->config, where, RESULT_TOO_LARGE,
                           "the expanded text is larger than 1 MiB");
    }
    return RESULT_OK;
}

static enum result expand_node(struct expansion *expansion, struct config_node **node,
                               unsigned depth);

static enum result expand_members(struct expansion *expansion, struct config_node *node,
                                  unsigned depth)
{
    for (size_t i = 0; i < node->count; i++) {
        enum result result = expand_node(expansion, &node->members[i].value, depth);
        if (result != RESULT_OK) {
            return result;
        }
    }
    return RESULT_OK;
}

static enum result expand_scalar(struct expansion *expansion, struct config_node **node,
                                 unsigned depth)
{
    struct bytes text = (*node)->text;
    const char *where = (*node)->where;
    if (text.len == 0 || memchr(text.ptr, '$', text.len) == NULL) {
        return RESULT_OK;
    }
    struct config_node *fetched;
    if (reference_opens(text, 0) && reference_end(text, 2) == text.len - 1) {
        struct bytes inside = bytes_slice(text, 2, text.len - 3);
        enum result result = fetch(expansion, inside, where, depth, &fetched);
        if (result != RESULT_OK) {
            return result;
        }
        *node = fetched;
        return expand_members(expansion, fetched, depth + 1);
    }
    struct buffer out;
    buffer_init(&out, CONFIG_SOURCE_BYTES_MAX);
    enum result result = expand_text(expansion, text, where, depth, &out);
    if (result == RESULT_OK) {
        fetched = config_node_scalar(expansion->config, buffer_view(&out), true, where);
        result = fetched != NULL ? RESULT_OK
                                 : config_fail(expansion->config, where, RESULT_TOO_LARGE,
                                               "the configuration is too large");
    }
    buffer_fini(&out);
    if (result == RESULT_OK) {
        *node = fetched;
    }
    return result;
}

static enum result expand_node(struct expansion *expansion, struct config_node **node,
                               unsigned depth)
{
    if ((*node)->kind == CONFIG_SCALAR) {
        return expand_scalar(expansion, node, depth);
    }
    return expand_members(expansion, *node, depth);
}

enum result config_expand(struct config *config, struct config_node **node)
{
    struct expansion expansion = {.config = config};
    return expand_node(&expansion, node, 0);
}
