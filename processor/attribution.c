// SPDX-License-Identifier: Apache-2.0
// One pass over the span's attributes, and one over its Resource's where the span names no
// environment. A key is compared only when its first byte can begin one of the names, so that the
// long keys of messages cost two bytes each. Refused: one look-up per name, which walks a span of
// large attributes eight times.
//
// Bounds: none of its own; whoever keeps the texts cuts them. Pure; any thread.
#include "processor/attribution.h"

#include <stddef.h>

#include "proto/attribute.h"

enum { RANK_NONE = 255 };

static const struct {
    const char *key;
    size_t offset;  // of the field in struct attribution
    uint8_t rank;   // the lower one wins
} names[] = {
    {"langfuse.environment", offsetof(struct attribution, environment), 0},
    {"deployment.environment.name", offsetof(struct attribution, environment), 1},
    {"deployment.environment", offsetof(struct attribution, environment), 2},
    {"langfuse.session.id", offsetof(struct attribution, session_id), 0},
    {"session.id", offsetof(struct attribution, session_id), 1},
    {"gen_ai.conversation.id", offsetof(struct attribution, session_id), 2},
    {"langfuse.user.id", offsetof(struct attribution, user_id), 0},
    {"user.id", offsetof(struct attribution, user_id), 1},
};

struct ranks {
    uint8_t of[sizeof(struct attribution) / sizeof(struct bytes)];
};

static void key_take(struct bytes key, struct bytes pair, struct ranks *ranks,
                     struct attribution *attribution)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!bytes_equal_text(key, names[i].key)) {
            continue;
        }
        uint8_t *rank = &ranks->of[names[i].offset / sizeof(struct bytes)];
        struct any_view value = attribute_decode(pair);
        if (value.kind == ANY_KIND_STRING && value.bytes.len > 0 && names[i].rank <= *rank) {
            *(struct bytes *)((char *)attribution + names[i].offset) = value.bytes;
            *rank = names[i].rank;
        }
        return;
    }
}

static bool may_be_a_name(struct bytes key)
{
    static const char firsts[] = "ldsgu";
    for (size_t i = 0; key.len > 6 && i < sizeof(firsts) - 1; i++) {
        if (key.ptr[0] == (uint8_t)firsts[i]) {
            return true;
        }
    }
    return false;
}

static void fields_read(struct bytes fields, uint32_t number, struct attribution *attribution)
{
    struct attribute_walk walk;
    struct ranks ranks;
    struct bytes key, pair;
    for (size_t i = 0; i < sizeof(ranks.of); i++) {
        ranks.of[i] = RANK_NONE;
    }
    attribute_walk_begin(&walk, fields, number);
    while (attribute_walk_key(&walk, &key, &pair)) {
        if (may_be_a_name(key)) {
            key_take(key, pair, &ranks, attribution);
        }
    }
}

void attribution_read(const struct item_view *view, struct attribution *attribution)
{
    *attribution = (struct attribution){0};
    fields_read(view->attributes, SPAN_ATTRIBUTES, attribution);
    if (attribution->environment.len == 0) {
        struct attribution resource = {0};
        fields_read(view->resource, RES_ATTRIBUTES, &resource);
        attribution->environment = resource.environment;
    }
}
