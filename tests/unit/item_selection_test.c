// SPDX-License-Identifier: Apache-2.0
//
// include and exclude, as written in a file, against one span and one log record.
#include "processor/item_selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"

struct selection_config {
    bool unused;
    struct item_selection_config include, exclude;
};

static const struct option options[] = {
    {.key = "include",
     .kind = OPTION_GROUP,
     .offset = offsetof(struct selection_config, include),
     .present_offset = offsetof(struct selection_config, include.is_given),
     .rows = item_selection_options},
    {.key = "exclude",
     .kind = OPTION_GROUP,
     .offset = offsetof(struct selection_config, exclude),
     .present_offset = offsetof(struct selection_config, exclude.is_given),
     .rows = item_selection_options},
    {0},
};

static struct item_selection *selection_of(const char *yaml, struct buffer *told, unsigned *count)
{
    struct config *config;
    struct buffer text;
    struct arena memory;
    struct selection_config bound;
    arena_init(&memory, 1 << 20);
    buffer_init(&text, 65536);
    buffer_init(told, 65536);
    buffer_printf(&text, "yaml:p: %s", yaml);
    const char *sources[] = {buffer_text(&text)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, told, told), RESULT_OK);
    struct option_errors errors = {.out = told};
    const struct config_node *node = config_get(config_root(config), "p");
    option_bind(options, node, "p", &bound, sizeof bound, &memory, &errors);
    struct item_selection *selection =
        errors.count > 0 ? NULL
                         : item_selection_new(&bound.include, &bound.exclude, node, "p", &errors);
    *count = errors.count;
    config_free(&config);
    arena_fini(&memory);
    buffer_fini(&text);
    return selection;
}

struct sample {
    struct buffer attributes, resource, scope, item, body;
    struct item_view view;
};

static void sample_open(struct sample *sample, enum signal signal)
{
    uint32_t number = signal == SIGNAL_TRACES ? SPAN_ATTRIBUTES : LOG_ATTRIBUTES;
    *sample = (struct sample){0};
    buffer_init(&sample->attributes, 4096);
    buffer_init(&sample->resource, 4096);
    buffer_init(&sample->scope, 4096);
    buffer_init(&sample->item, 4096);
    buffer_init(&sample->body, 4096);
    attribute_write_text(&sample->attributes, number, "tier", BYTES_LITERAL("gold"));
    attribute_write_int(&sample->attributes, number, "n", 17);
    attribute_write_bool(&sample->attributes, number, "b", true);
    attribute_write_double(&sample->attributes, number, "d", 1.5);
    attribute_write_text(&sample->resource, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("shop"));
    wire_write_text(&sample->scope, SCOPE_NAME, "lib");
    wire_write_text(&sample->scope, SCOPE_VERSION, "1.0");
    wire_write_text(&sample->item, LOG_SEVERITY_TEXT, "Warn");
    wire_write_text(&sample->body, ANY_STRING, "hello world");
    sample->view.signal = signal;
    sample->view.attributes = buffer_view(&sample->attributes);
    sample->view.resource = buffer_view(&sample->resource);
    sample->view.scope = buffer_view(&sample->scope);
    if (signal == SIGNAL_TRACES) {
        sample->view.name = BYTES_LITERAL("chat model");
        sample->view.kind = SPAN_KIND_CLIENT;
    } else {
        sample->view.item = buffer_view(&sample->item);
        sample->view.events = buffer_view(&sample->body);
        sample->view.kind = 13;
    }
}

static void sample_close(struct sample *sample)
{
    buffer_fini(&sample->attributes);
    buffer_fini(&sample->resource);
    buffer_fini(&sample->scope);
    buffer_fini(&sample->item);
    buffer_fini(&sample->body);
}

static void assert_selects(const char *yaml, bool span, bool record)
{
    static const enum signal signals[] = {SIGNAL_TRACES, SIGNAL_LOGS};
    struct buffer told;
    unsigned count;
    struct item_selection *selection = selection_of(yaml, &told, &count);
    if (selection == NULL) {
        fail_msg("%s: %s", yaml, buffer_text(&told));
    }
    for (unsigned i = 0; i < 2; i++) {
        struct sample sample;
        sample_open(&sample, signals[i]);
        bool has = item_selection_has(selection, &sample.view);
        if (has != (i == 0 ? span : record)) {
            fail_msg("%s: %s of %s", yaml, has ? "has" : "has not", signal_name(signals[i]));
        }
        sample_close(&sample);
    }
    item_selection_free(&selection);
    buffer_fini(&told);
}

static void all_properties_must_match_and_any_of_a_list(void **state)
{
    (void)state;
    assert_selects("{}", true, true);
    assert_selects("{include: {match_type: strict, services: [x, shop]}}", true, true);
    assert_selects("{include: {match_type: strict, services: [sho]}}", false, false);
    assert_selects("{include: {match_type: regexp, services: [sho]}}", true, true);
    assert_selects("{include: {match_type: strict, span_names: [chat model]}}", true, false);
    assert_selects("{include: {match_type: regexp, span_names: [\"^chat\"], services: [x]}}", false,
                   false);
    assert_selects("{include: {match_type: strict, span_kinds: [SPAN_KIND_SERVER, "
                   "SPAN_KIND_CLIENT]}}",
                   true, false);
    assert_selects("{include: {match_type: regexp, span_kinds: [SERVER]}}", false, false);
    assert_selects("{include: {match_type: strict, log_bodies: [hello world]}}", false, true);
    assert_selects("{include: {match_type: regexp, log_bodies: [\"^world\"]}}", false, false);
    assert_selects("{include: {match_type: strict, log_severity_texts: [Warn]}}", false, true);
    assert_selects("{include: {match_type: strict, log_severity_number: {min: WARN}}}", false,
                   true);
    assert_selects("{include: {match_type: strict, log_severity_number: {min: WARN2}}}", false,
                   false);
}

static void attributes_are_compared_by_type_and_value(void **state)
{
    (void)state;
    assert_selects("{include: {match_type: strict, attributes: [{key: tier, value: gold}]}}", true,
                   true);
    assert_selects("{include: {match_type: strict, attributes: [{key: tier}]}}", true, true);
    assert_selects("{include: {match_type: strict, attributes: [{key: absent}]}}", false, false);
    assert_selects("{include: {match_type: strict, attributes: [{key: tier}, {key: absent}]}}",
                   false, false);
    assert_selects(
        "{include: {match_type: strict, attributes: [{key: n, value: 17}, {key: b, value: "
        "true}, {key: d, value: 1.5}]}}",
        true, true);
    assert_selects("{include: {match_type: strict, attributes: [{key: n, value: \"17\"}]}}", false,
                   false);
    assert_selects("{include: {match_type: regexp, attributes: [{key: n, value: \"^1\"}]}}", true,
                   true);
    assert_selects("{include: {match_type: regexp, attributes: [{key: tier, value: ol}]}}", true,
                   true);
    assert_selects("{include: {match_type: strict, resources: [{key: service.name, value: shop}]}}",
                   true, true);
    assert_selects("{include: {match_type: strict, resources: [{key: tier, value: gold}]}}", false,
                   false);
    assert_selects("{include: {match_type: strict, libraries: [{name: x}, {name: lib, version: "
                   "1.0}]}}",
                   true, true);
    assert_selects("{include: {match_type: strict, libraries: [{name: lib, version: 1}]}}", false,
                   false);
    assert_selects("{include: {match_type: regexp, libraries: [{name: l.b}]}}", true, true);
}

static void exclude_takes_away_from_what_include_has(void **state)
{
    (void)state;
    assert_selects("{exclude: {match_type: strict, services: [shop]}}", false, false);
    assert_selects("{exclude: {match_type: strict, span_names: [chat model]}}", false, true);
    assert_selects(
        "{include: {match_type: strict, services: [shop]}, exclude: {match_type: regexp, "
        "log_bodies: [hello]}}",
        true, false);
    assert_selects("{exclude: {match_type: strict, services: [shop], span_names: [other]}}", true,
                   true);
}

static void refused(const char *yaml, const char *part)
{
    struct buffer told;
    unsigned count;
    struct item_selection *selection = selection_of(yaml, &told, &count);
    if (selection != NULL || count != 1 || strstr(buffer_text(&told), part) == NULL) {
        fail_msg("%s: %u: %s", yaml, count, buffer_text(&told));
    }
    buffer_fini(&told);
}

static void wrong_blocks_are_refused_in_one_line(void **state)
{
    (void)state;
    refused("{include: }", "p::include: 'match_type' must be one of [strict, regexp]");
    refused("{include: {services: [a]}}", "'match_type'");
    refused("{exclude: {match_type: expr, services: [a]}}", "p::exclude: 'match_type'");
    refused("{include: {match_type: strict}}", "at least one of");
    refused("{include: {match_type: strict, span_names: []}}", "at least one of");
    refused("{include: {match_type: strict, metric_names: [a]}}", "'metric_names'");
    refused("{include: {match_type: strict, span_kinds: [CLIENT]}}", "'span_kinds' must be of");
    refused("{include: {match_type: regexp, services: [\"(\"]}}", "'services': missing");
    refused("{include: {match_type: regexp, attributes: [{key: a, value: \"[\"}]}}",
            "'attributes'");
    refused("{include: {match_type: strict, attributes: {a: b}}}", "'attributes' must be a list");
    refused("{include: {match_type: strict, attributes: [{value: b}]}}", "'attributes[0]'");
    refused("{include: {match_type: strict, attributes: [{key: a, vlue: b}]}}", "'attributes[0]'");
    refused("{include: {match_type: strict, attributes: [{key: a, value: [1]}]}}", "a value must");
    refused("{include: {match_type: strict, libraries: [{key: a}]}}", "{name, version}");
    refused("{include: {match_type: strict, log_severity_number: {min: LOUD}}}",
            "'log_severity_number'");
    refused("{include: {match_type: strict, span_name: [a]}}", "invalid keys: span_name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_properties_must_match_and_any_of_a_list),
        cmocka_unit_test(attributes_are_compared_by_type_and_value),
        cmocka_unit_test(exclude_takes_away_from_what_include_has),
        cmocka_unit_test(wrong_blocks_are_refused_in_one_line),
    };
    return cmocka_run_group_tests_name("item_selection", tests, NULL, NULL);
}
