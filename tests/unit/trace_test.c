// SPDX-License-Identifier: Apache-2.0
// Fragments: roots, cycles, adoption, evidence.
#include "processor/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

struct spec {
    uint8_t id, parent;
    uint32_t kind, flags;
    uint64_t start_ns, end_ns;
};

static struct trace_span *add(struct trace *trace, struct spec spec, uint64_t now_ns)
{
    uint8_t id[8] = {spec.id}, parent[8] = {spec.parent};
    const struct span_class found = {.dialect = -1};
    struct item_view view = {.signal = SIGNAL_TRACES,
                             .span_id = id,
                             .parent_id = spec.parent ? parent : NULL,
                             .kind = spec.kind,
                             .flags = spec.flags,
                             .start_ns = spec.start_ns,
                             .end_ns = spec.end_ns};
    return trace_add(trace, &view, &found, now_ns);
}

static struct trace *new_trace(void)
{
    static struct trace trace;
    const struct trace_id id = {{1}};
    trace_init(&trace, &id, 0);
    return &trace;
}

#define REMOTE (SPAN_FLAG_HAS_IS_REMOTE | SPAN_FLAG_IS_REMOTE)

static void local_roots_by_parent_flags_and_kind(void **arg)
{
    struct trace *trace = new_trace();
    (void)arg;
    assert_true(add(trace, (struct spec){1, 0, 0, 0, 0, 9}, 0)->local_root);
    assert_true(add(trace, (struct spec){2, 9, 0, REMOTE, 0, 9}, 0)->local_root);
    assert_true(add(trace, (struct spec){3, 9, SPAN_KIND_SERVER, 0, 0, 9}, 0)->local_root);
    assert_true(add(trace, (struct spec){4, 9, SPAN_KIND_CONSUMER, 0, 0, 9}, 0)->local_root);
    assert_false(add(trace, (struct spec){5, 9, SPAN_KIND_CLIENT, 0, 0, 9}, 0)->local_root);
    // Known to be local: the kind does not matter.
    assert_false(add(trace, (struct spec){6, 9, SPAN_KIND_SERVER, SPAN_FLAG_HAS_IS_REMOTE, 0, 9}, 0)
                     ->local_root);
    // The remote bit without its companion says nothing.
    assert_false(add(trace, (struct spec){7, 9, 0, SPAN_FLAG_IS_REMOTE, 0, 9}, 0)->local_root);
    trace_fini(trace);
}

static void children_before_parents_find_their_top(void **arg)
{
    struct trace *trace = new_trace();
    (void)arg;
    struct trace_span *leaf = add(trace, (struct spec){3, 2, 0, 0, 2, 3}, 0);
    struct trace_span *middle = add(trace, (struct spec){2, 1, 0, 0, 1, 4}, 0);
    struct trace_span *root = add(trace, (struct spec){1, 0, 0, 0, 0, 5}, 0);
    trace_resolve(trace);
    assert_ptr_equal(leaf->top, root);
    assert_int_equal(leaf->depth, 2);
    assert_ptr_equal(middle->parent, root);
    assert_true(trace_is_above(root, leaf));
    assert_false(trace_is_above(leaf, root));
    assert_false(trace_is_above(root, root));
    trace_fini(trace);
}

static void a_remote_root_is_a_fragment_of_its_own(void **arg)
{
    struct trace *trace = new_trace();
    (void)arg;
    struct trace_span *root = add(trace, (struct spec){1, 0, 0, 0, 0, 9}, 0);
    struct trace_span *inner = add(trace, (struct spec){2, 1, 0, REMOTE, 1, 8}, 0);
    struct trace_span *child = add(trace, (struct spec){3, 2, 0, 0, 2, 3}, 0);
    trace_resolve(trace);
    assert_ptr_equal(inner->top, inner);
    assert_ptr_equal(child->top, inner);
    assert_true(trace_is_above(root, child));  // across the border
    trace_fini(trace);
}

static void cycles_end(void **arg)
{
    struct trace *trace = new_trace();
    (void)arg;
    add(trace, (struct spec){1, 2, 0, 0, 0, 9}, 0);
    add(trace, (struct spec){2, 3, 0, 0, 0, 9}, 0);
    add(trace, (struct spec){3, 1, 0, 0, 0, 9}, 0);
    add(trace, (struct spec){4, 4, 0, 0, 0, 9}, 0);
    trace_resolve(trace);
    for (const struct trace_span *span = trace->spans; span; span = span->next) {
        assert_non_null(span->top);
        assert_false(trace_is_above(trace->spans->next->next->next, span));
    }
    trace_fini(trace);
}

// A remote root whose caller's child was adopted by it: the cut goes above the root.
static void a_cycle_is_cut_above_a_local_root(void **arg)
{
    struct trace *trace = new_trace();
    (void)arg;
    struct trace_span *child = add(trace, (struct spec){1, 2, 0, 0, 1, 2}, 0);
    struct trace_span *middle = add(trace, (struct spec){2, 3, 0, 0, 1, 3}, 0);
    struct trace_span *root = add(trace, (struct spec){3, 1, 0, REMOTE, 0, 9}, 0);
    trace_resolve(trace);
    assert_ptr_equal(child->top, root);
    assert_ptr_equal(middle->top, root);
    assert_true(trace_is_above(root, child));
    assert_true(trace_is_above(middle, child));
    assert_false(trace_is_above(child, root));
    assert_false(trace_is_above(child, child));
    trace_fini(trace);
}

static void long_chains_resolve(void **arg)
{
    struct trace *trace = new_trace();
    uint8_t id[8], parent[8];
    const struct span_class found = {.dialect = -1};
    (void)arg;
    for (uint32_t i = TRACE_SPANS_MAX; i > 0; i--) {  // the deepest first
        uint32_t above = i - 1;
        memset(id, 0xff, 8);
        memset(parent, 0xff, 8);
        memcpy(id, &i, 4);
        memcpy(parent, &above, 4);
        struct item_view view = {.span_id = id, .parent_id = i > 1 ? parent : NULL, .end_ns = 9};
        assert_non_null(trace_add(trace, &view, &found, 0));
    }
    struct item_view view = {.span_id = id};
    assert_null(trace_add(trace, &view, &found, 0));  // full
    assert_true(trace->truncated);
    trace_resolve(trace);
    for (const struct trace_span *span = trace->spans; span; span = span->next) {
        assert_true(span->top->local_root);
    }
    trace_fini(trace);
}

static void orphans_go_under_the_root_that_encloses_them(void **arg)
{
    struct trace *trace = new_trace();
    (void)arg;
    struct trace_span *outer = add(trace, (struct spec){1, 0, 0, 0, 0, 100}, 0);
    struct trace_span *inner = add(trace, (struct spec){2, 9, 0, REMOTE, 10, 50}, 0);
    struct trace_span *in_inner = add(trace, (struct spec){3, 77, 0, 0, 20, 30}, 0);
    struct trace_span *in_outer = add(trace, (struct spec){4, 77, 0, 0, 60, 70}, 0);
    struct trace_span *outside = add(trace, (struct spec){5, 77, 0, 0, 90, 110}, 0);
    trace_resolve(trace);
    assert_ptr_equal(in_inner->top, inner);
    assert_true(in_inner->adopted);
    assert_ptr_equal(in_outer->top, outer);
    assert_ptr_equal(outside->top, outside);
    assert_false(outside->adopted);
    trace_fini(trace);
}

static void fragments_are_due_by_linger_idle_and_age(void **arg)
{
    const struct fragment_times times = {NS_PER_S, 120 * NS_PER_S, 600 * NS_PER_S};
    struct trace *trace = new_trace();
    (void)arg;
    struct trace_span *orphan = add(trace, (struct spec){5, 77, 0, 0, 90, 110}, 10 * NS_PER_S);
    trace_resolve(trace);
    assert_int_equal(fragment_due_ns(trace, orphan, &times), 130 * NS_PER_S);
    struct trace_span *root = add(trace, (struct spec){1, 0, 0, 0, 0, 1}, 50 * NS_PER_S);
    trace_resolve(trace);
    assert_int_equal(fragment_due_ns(trace, root, &times), 51 * NS_PER_S);
    assert_int_equal(fragment_due_ns(trace, orphan, &times), 170 * NS_PER_S);
    trace->last_span_ns = 2000 * NS_PER_S;
    assert_int_equal(fragment_due_ns(trace, orphan, &times), 610 * NS_PER_S);
    trace_fini(trace);
}

static void repeated_texts_are_kept_once(void **arg)
{
    struct trace *trace = new_trace();
    char text[5000];
    bool cut = false;
    (void)arg;
    memset(text, 'a', sizeof(text));
    struct bytes first = trace_keep(trace, bytes_from(text, sizeof(text)), 8192, &cut);
    size_t used = trace->texts.bytes_used;
    for (int i = 0; i < 100; i++) {
        struct bytes again = trace_keep(trace, bytes_from(text, sizeof(text)), 8192, &cut);
        assert_ptr_equal(again.ptr, first.ptr);
    }
    assert_int_equal(trace->texts.bytes_used, used);
    assert_false(cut);
    trace_fini(trace);
}

static void texts_of_one_trace_are_bounded(void **arg)
{
    struct trace *trace = new_trace();
    char text[30000];
    bool cut = false;
    (void)arg;
    for (int i = 0; i < 200; i++) {
        memset(text, 'a' + i % 26, sizeof(text));
        text[0] = (char)('A' + i % 26);
        text[1] = (char)('A' + i / 26);
        (void)trace_keep(trace, bytes_from(text, sizeof(text)), sizeof(text), &cut);
    }
    assert_true(cut);
    assert_true(trace->truncated);
    assert_true(trace->texts.bytes_used <= TRACE_TEXT_BYTES_MAX);
    trace_give_up_texts(trace);
    assert_int_equal(trace->texts.bytes_used, 0);
    trace_fini(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_roots_by_parent_flags_and_kind),
        cmocka_unit_test(children_before_parents_find_their_top),
        cmocka_unit_test(a_remote_root_is_a_fragment_of_its_own),
        cmocka_unit_test(cycles_end),
        cmocka_unit_test(a_cycle_is_cut_above_a_local_root),
        cmocka_unit_test(long_chains_resolve),
        cmocka_unit_test(orphans_go_under_the_root_that_encloses_them),
        cmocka_unit_test(fragments_are_due_by_linger_idle_and_age),
        cmocka_unit_test(repeated_texts_are_kept_once),
        cmocka_unit_test(texts_of_one_trace_are_bounded),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
