// SPDX-License-Identifier: Apache-2.0
//
// Edits of whole parcels: through the processors `attributes` and `resource` as the pipeline calls
// them, on requests that hold less and far more than a parcel's edit memory takes.
#include "processor/attribute_editor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "processor/attributes_processor.h"
#include "processor/resource_processor.h"
#include "proto/attribute.h"

struct bench {
    struct config *config;
    struct arena memory;
    const struct processor_ops *ops;
    struct processor *processor;
};

static void bench_open(struct bench *bench, const struct processor_ops *ops, const char *yaml)
{
    struct buffer text, told;
    char why[256];
    *bench = (struct bench){.ops = ops};
    arena_init(&bench->memory, 1 << 20);
    buffer_init(&text, 65536);
    buffer_init(&told, 65536);
    buffer_printf(&text, "yaml:p: %s", yaml);
    const char *sources[] = {buffer_text(&text)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &bench->config, &told, &told), RESULT_OK);
    struct option_errors errors = {.out = &told};
    const struct config_node *node = config_get(config_root(bench->config), "p");
    void *options = arena_zalloc(&bench->memory, ops->kind.config_size);
    option_bind(ops->kind.options, node, "p", options, ops->kind.config_size, &bench->memory,
                &errors);
    ops->kind.validate(options, node, "p", &errors);
    if (errors.count > 0) {
        fail_msg("%s", buffer_text(&told));
    }
    struct component_env env = {.id = "p"};
    assert_int_equal(ops->create(&env, options, &bench->processor, why, sizeof why), RESULT_OK);
    buffer_fini(&text);
    buffer_fini(&told);
}

static void bench_close(struct bench *bench)
{
    bench->ops->free(&bench->processor);
    config_free(&bench->config);
    arena_fini(&bench->memory);
}

static void span_add(struct buffer *out, unsigned number, size_t value_len)
{
    static const uint8_t filling[400 * 1024];
    size_t span = wire_open(out, SCOPE_ITEMS);
    char name[16];
    snprintf(name, sizeof name, "span %u", number);
    wire_write_text(out, SPAN_NAME, name);
    attribute_write_text(out, SPAN_ATTRIBUTES, "value", bytes_from(filling, value_len));
    attribute_write_int(out, SPAN_ATTRIBUTES, "number", number);
    wire_write_text(out, 1000, "unknown");
    wire_close(out, span);
}

// `containers` of one Resource and `spans` spans each.
static struct parcel *request(unsigned containers, unsigned spans, size_t value_len)
{
    struct buffer out;
    buffer_init(&out, (size_t)64 << 20);
    for (unsigned i = 0; i < containers; i++) {
        size_t container = wire_open(&out, REQUEST_RESOURCES);
        size_t head = wire_open(&out, RESOURCE_RESOURCE);
        attribute_write_int(&out, RES_ATTRIBUTES, "container", i);
        wire_close(&out, head);
        size_t scope = wire_open(&out, RESOURCE_SCOPES);
        for (unsigned k = 0; k < spans; k++) {
            span_add(&out, i * spans + k, value_len);
        }
        wire_close(&out, scope);
        wire_close(&out, container);
    }
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&out), 0);
    batch->item_count = containers * spans;
    buffer_fini(&out);
    return parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
}

struct seen {
    unsigned count, with_tag, with_number, with_hash, with_env, unknown;
};

static bool span_see(void *arg, const struct item_view *view)
{
    struct seen *seen = arg;
    struct any_view value;
    char name[16];
    snprintf(name, sizeof name, "span %u", seen->count++);
    assert_true(bytes_equal_text(view->name, name));  // all there, in order
    seen->with_tag += attribute_find(view->item, SPAN_ATTRIBUTES, "tag", &value);
    seen->with_number += attribute_find(view->item, SPAN_ATTRIBUTES, "number", &value);
    assert_true(attribute_find(view->item, SPAN_ATTRIBUTES, "value", &value));
    seen->with_hash += value.bytes.len == 64;
    seen->with_env += attribute_find(view->resource, RES_ATTRIBUTES, "env", &value);
    seen->unknown += bytes_find(view->item, BYTES_LITERAL("unknown"), 0) != SIZE_MAX;
    return true;
}

// Runs the processor; what is then rendered. Takes the parcel.
static struct seen run(const struct bench *bench, struct parcel *parcel)
{
    struct seen seen = {0};
    struct parcel *dropped = NULL;
    struct buffer out;
    struct scan_report report;
    bench->ops->process(bench->processor, parcel, &dropped);
    assert_null(dropped);
    buffer_init(&out, (size_t)64 << 20);
    parcel_render(parcel, &out);
    assert_int_equal(
        scan_request(SIGNAL_TRACES, buffer_view(&out), SCAN_CHECK_UTF8, span_see, &seen, &report),
        RESULT_OK);
    assert_int_equal(report.rejected_count, 0);
    assert_int_equal(seen.unknown, seen.count);
    buffer_fini(&out);
    parcel_unref(&parcel);
    return seen;
}

static void every_item_is_edited(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, &attributes_processor,
               "{actions: [{key: tag, value: x, action: insert}, {key: number, action: delete}]}");
    struct seen seen = run(&bench, request(3, 4, 10));
    assert_int_equal(seen.count, 12);
    assert_int_equal(seen.with_tag, 12);
    assert_int_equal(seen.with_number, 0);
    bench_close(&bench);
}

static void what_the_edit_memory_does_not_hold_is_edited_all_the_same(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, &attributes_processor,
               "{actions: [{key: value, action: hash}, {key: tag, value: x, action: insert}]}");
    double before = metrics_sum("sidejudge_processor_unedited_items_total");
    // 200 and more bytes for each of 5,000 spans are four times the memory; hashed once, not twice
    struct seen seen = run(&bench, request(10, 500, 10));
    assert_int_equal(seen.count, 5000);
    assert_int_equal(seen.with_tag, 5000);
    assert_int_equal(seen.with_hash, 5000);
    assert_true(metrics_sum("sidejudge_processor_unedited_items_total") == before);
    bench_close(&bench);
}

static void an_item_too_large_for_an_edit_goes_on_and_is_counted(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, &attributes_processor,
               "{actions: [{key: tag, from_attribute: value, action: insert}]}");
    double before = metrics_sum("sidejudge_processor_unedited_items_total");
    struct seen seen = run(&bench, request(1, 3, 300 * 1024));
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.with_tag, 0);
    assert_true(metrics_sum("sidejudge_processor_unedited_items_total") == before + 3);
    bench_close(&bench);
}

static void a_resource_is_edited_once_for_all_its_items(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, &resource_processor,
               "{attributes: [{key: env, value: prod, action: upsert}]}");
    struct seen seen = run(&bench, request(3, 4, 10));
    assert_int_equal(seen.count, 12);
    assert_int_equal(seen.with_env, 12);
    seen = run(&bench, request(6000, 1, 10));  // beyond the edit memory
    assert_int_equal(seen.with_env, 6000);
    bench_close(&bench);
}

static void nothing_is_wanted_where_nothing_changes(void **state)
{
    (void)state;
    struct bench bench;
    struct parcel *parcel = request(1, 1, 10);
    struct item_view view = {.place = {UINT32_MAX, UINT32_MAX, UINT32_MAX}};
    struct buffer fields;
    buffer_init(&fields, 100);
    attribute_write_int(&fields, RES_ATTRIBUTES, "container", 0);
    view.signal = SIGNAL_TRACES;
    view.resource = buffer_view(&fields);
    bench_open(&bench, &resource_processor,
               "{attributes: [{key: container, value: 0, action: upsert}, {key: a, action: "
               "delete}]}");
    assert_int_equal(bench.ops->wants(bench.processor, &view), WANT_NOTHING);
    bench.ops->process(bench.processor, parcel, &(struct parcel *){NULL});
    assert_true(parcel_is_whole(parcel));
    bench_close(&bench);
    bench_open(&bench, &resource_processor, "{attributes: [{key: container, action: delete}]}");
    assert_int_equal(bench.ops->wants(bench.processor, &view), WANT_TAKE);
    bench_close(&bench);
    parcel_unref(&parcel);
    buffer_fini(&fields);
}

static void what_is_excluded_stays_as_it_came(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, &attributes_processor,
               "{actions: [{key: tag, value: x, action: insert}], include: {match_type: regexp, "
               "span_names: [\"^span [0-5]$\"]}, exclude: {match_type: strict, attributes: [{key: "
               "number, value: 3}]}}");
    struct seen seen = run(&bench, request(3, 4, 10));
    assert_int_equal(seen.count, 12);
    assert_int_equal(seen.with_tag, 5);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_edited),
        cmocka_unit_test(what_the_edit_memory_does_not_hold_is_edited_all_the_same),
        cmocka_unit_test(an_item_too_large_for_an_edit_goes_on_and_is_counted),
        cmocka_unit_test(a_resource_is_edited_once_for_all_its_items),
        cmocka_unit_test(nothing_is_wanted_where_nothing_changes),
        cmocka_unit_test(what_is_excluded_stays_as_it_came),
    };
    return cmocka_run_group_tests_name("attribute_editor", tests, NULL, NULL);
}
