// SPDX-License-Identifier: Apache-2.0
//
// Editing processors in the real binary: `attributes` in front of and behind `evaluation`, each
// seeing what stands before it in the chain, `resource` on all three signals, `batch` and
// `memory_limiter` where pasted files have them; and that whatever is not named by an action
// arrives as the bytes that it was. Refused: judging by attribute counts alone. Bounds: those of
// the harness. One thread.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "proto/attribute.h"
#include "tests/sample_request.h"
#include "tests/scenario/harness.h"

static bool has(struct bytes fields, uint32_t number, const char *key, const char *text)
{
    struct any_view value;
    return attribute_find(fields, number, key, &value) &&
           (text == NULL || bytes_equal_text(value.bytes, text));
}

static unsigned keys_with_prefix(struct bytes item, struct bytes prefix)
{
    struct attribute_walk walk;
    struct bytes key, pair;
    unsigned count = 0;
    attribute_walk_begin(&walk, item, SPAN_ATTRIBUTES);
    while (attribute_walk_key(&walk, &key, &pair)) {
        count += bytes_start_with(key, prefix);
    }
    return count;
}

// What of a span is no attribute, as bytes.
static void bare_write(struct buffer *out, struct bytes item)
{
    struct wire wire = wire_of(item);
    struct wire_field field;
    buffer_init(out, 1 << 20);
    while (wire_next(&wire, &field)) {
        if (field.number != SPAN_ATTRIBUTES) {
            buffer_append(out, field.start, (size_t)(wire.ptr - field.start));
        }
    }
}

struct sought {  // the one span of a request, as sent and as it arrived
    struct bytes sent, arrived, resource;
    unsigned count;
};

static bool sent_keep(void *arg, const struct item_view *view)
{
    ((struct sought *)arg)->sent = view->item;
    return true;
}

static bool arrived_keep(void *arg, const struct backend_item *item)
{
    struct sought *sought = arg;
    sought->arrived = item->view.item;
    sought->resource = item->view.resource;
    sought->count++;
    return true;
}

static void one_span_arrived(struct harness *harness, const struct backend *backend,
                             const struct buffer *request, struct sought *sought)
{
    struct scan_report report;
    struct buffer sent, arrived;
    *sought = (struct sought){.count = 0};
    (void)harness;
    assert_int_equal(
        scan_request(SIGNAL_TRACES, buffer_view(request), 0, sent_keep, sought, &report),
        RESULT_OK);
    backend_each(backend, SIGNAL_TRACES, arrived_keep, sought);
    assert_int_equal(sought->count, 1);
    bare_write(&sent, sought->sent);
    bare_write(&arrived, sought->arrived);
    assert_int_equal(sent.len, arrived.len);
    assert_memory_equal(sent.ptr, arrived.ptr, sent.len);
    buffer_fini(&sent);
    buffer_fini(&arrived);
}

static void evaluation_grades_what_attributes_in_front_of_it_made(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    struct sought sought;
    harness_start_with(
        harness, backend,
        "attributes: {actions: [{key: openinference.span.kind, value: AGENT, action: insert}, "
        "{key: "
        "input.value, value: How long is delivery?, action: insert}, {key: output.value, value: "
        "Two days., action: insert}]}, evaluation: ",
        "attributes, evaluation");
    harness_span(&request, 1, "plain");
    harness_send(harness, buffer_view(&request));
    harness_wait_items(harness, backend, SIGNAL_TRACES, 1);
    harness_stop(harness);
    one_span_arrived(harness, backend, &request, &sought);
    assert_true(has(sought.arrived, SPAN_ATTRIBUTES, "output.value", "Two days."));
    assert_true(keys_with_prefix(sought.arrived, BYTES_LITERAL("sidejudge.")) > 0);
    buffer_fini(&request);
}

static void attributes_behind_evaluation_edit_what_it_wrote(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    struct sought sought;
    harness_start_with(
        harness, backend,
        "memory_limiter: {check_interval: 1s, limit_mib: 4000}, batch: {timeout: 1s}, "
        "attributes/in: {actions: [{key: tier, value: gold, action: upsert}, {key: input.value, "
        "value: kept, action: insert}, {key: absent, value: x, action: update}]}, evaluation: , "
        "attributes/out: {actions: [{key: decided, from_attribute: sidejudge.decision, action: "
        "insert}, {pattern: \"^sidejudge\\\\.\", action: delete}, {key: input.value, action: "
        "delete}, {key: output.value, action: hash}]}, resource: {attributes: [{key: "
        "deployment.environment, value: prod, action: upsert}]}",
        "memory_limiter, attributes/in, evaluation, attributes/out, resource, batch");
    harness_agents(&request, 7, 1);
    harness_send(harness, buffer_view(&request));
    harness_wait_items(harness, backend, SIGNAL_TRACES, 1);
    harness_stop(harness);
    one_span_arrived(harness, backend, &request, &sought);
    assert_true(has(sought.arrived, SPAN_ATTRIBUTES, "tier", "gold"));
    assert_true(has(sought.arrived, SPAN_ATTRIBUTES, "openinference.span.kind", "AGENT"));
    assert_true(has(sought.arrived, SPAN_ATTRIBUTES, "decided", NULL));
    assert_false(has(sought.arrived, SPAN_ATTRIBUTES, "input.value", NULL));
    assert_false(has(sought.arrived, SPAN_ATTRIBUTES, "absent", NULL));
    assert_int_equal(keys_with_prefix(sought.arrived, BYTES_LITERAL("sidejudge.")), 0);
    struct any_view hash;
    assert_true(attribute_find(sought.arrived, SPAN_ATTRIBUTES, "output.value", &hash));
    assert_int_equal(hash.bytes.len, 64);
    assert_true(has(sought.resource, RES_ATTRIBUTES, "deployment.environment", "prod"));
    buffer_fini(&request);
}

static bool resource_see(void *arg, const struct backend_item *item)
{
    unsigned *count = arg;
    assert_true(has(item->view.resource, RES_ATTRIBUTES, "deployment.environment", "prod"));
    (*count)++;
    return true;
}

struct comparing {
    struct bytes item, scope;
    unsigned equal;
};

static bool item_compare(void *arg, const struct backend_item *item)
{
    struct comparing *comparing = arg;
    comparing->equal += bytes_equal(item->view.item, comparing->item) &&
                        bytes_equal(item->view.scope, comparing->scope);
    return true;
}

static bool item_is_there(void *arg, const struct item_view *view)
{
    struct comparing comparing = {view->item, view->scope, 0};
    backend_each(arg, view->signal, item_compare, &comparing);
    assert_true(comparing.equal > 0);
    return true;
}

static void resources_are_edited_and_what_they_hold_stays_bit_for_bit(void **state)
{
    static const char *const paths[] = {"/v1/traces", "/v1/metrics", "/v1/logs"};
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer requests[3];
    struct random random;
    const struct sample_options options = {.has_unknown_fields = true};
    random_seed(&random, 1234);
    harness_start_yaml(
        harness,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "processors: {resource: {attributes: [{key: deployment.environment, value: prod, action: "
        "upsert}, {key: absent, action: delete}]}}\n"
        "exporters: {otlp_http: {endpoint: \"%s\"}}\n"
        "service:\n"
        "  pipelines:\n"
        "    traces: {receivers: [otlp], processors: [resource], exporters: [otlp_http]}\n"
        "    logs: {receivers: [otlp], processors: [resource], exporters: [otlp_http]}\n"
        "    metrics: {receivers: [otlp], processors: [resource], exporters: [otlp_http]}\n",
        backend_url(backend));
    for (unsigned i = 0; i < 3; i++) {
        buffer_init(&requests[i], 1 << 20);
        while (requests[i].len < 2000) {
            buffer_reset(&requests[i]);
            sample_request(&requests[i], (enum signal)i, &random, &options);
        }
        assert_int_equal(harness_post(harness, paths[i], "application/x-protobuf", NULL,
                                      buffer_view(&requests[i]))
                             .status,
                         200);
    }
    harness_stop(harness);
    for (unsigned i = 0; i < 3; i++) {
        struct scan_report report;
        unsigned count = 0;
        backend_each(backend, (enum signal)i, resource_see, &count);
        assert_true(count > 0);
        assert_int_equal(scan_request((enum signal)i, buffer_view(&requests[i]), 0, item_is_there,
                                      backend, &report),
                         RESULT_OK);
        assert_int_equal(report.item_count, count);
        buffer_fini(&requests[i]);
    }
}

static void what_no_action_names_passes_as_the_bytes_it_was(void **state)
{
    struct harness *harness = *state;
    struct backend *backend = harness_backend(harness);
    struct buffer request;
    harness_start_with(harness, backend,
                       "attributes: {include: {match_type: strict, services: [another]}, actions: "
                       "[{pattern: \".*\", action: delete}]}, batch: ",
                       "attributes, batch");
    harness_trace(0, &request);
    harness_send(harness, buffer_view(&request));
    harness_stop(harness);
    assert_int_equal(harness_spans_arrived(harness, backend, buffer_view(&request)), 0);
    buffer_fini(&request);
}

// --- with a journal and reloads -------------------------------------------------------------

#define TWINS 500  // by two shards: their edits take more than one parcel has room for

struct twins {
    struct harness *harness;
    struct backend *first, *second;
    char directory[160];
    const char *chain;  // of processors
};

static const char *twins_config(struct twins *twins, const char *edition)
{
    struct buffer yaml;
    buffer_init(&yaml, 1 << 14);
    snprintf(twins->directory, sizeof(twins->directory), "%s/journal", twins->harness->folder);
    buffer_printf(
        &yaml,
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "processors: {evaluation: {shards: 2, hold: 5s, completion: {linger: 200ms}, sampling: "
        "{baseline: "
        "\"1\"}}, attributes: {actions: [{key: edition, value: \"%s\", action: upsert}]}, "
        "resource: {attributes: [{key: tier, value: gold, action: upsert}]}}\n"
        "exporters:\n"
        "  otlp_http/first: {endpoint: \"%s\", sending_queue: {storage: file_storage}}\n"
        "  otlp_http/second: {endpoint: \"%s\", retry_on_failure: {initial_interval: 50ms, "
        "max_interval: 50ms}, sending_queue: {storage: file_storage}}\n"
        "extensions: {health_check: , file_storage: {directory: \"%s\", create_directory: true}}\n"
        "service:\n"
        "  extensions: [health_check, file_storage]\n"
        "  pipelines:\n"
        "    traces: {receivers: [otlp], processors: [%s], exporters: [otlp_http/first, "
        "otlp_http/second]}\n",
        edition, backend_url(twins->first), backend_url(twins->second), twins->directory,
        twins->chain);
    const char *path = harness_file(twins->harness, "config.yaml", buffer_text(&yaml));
    buffer_fini(&yaml);
    return path;
}

static void twins_start(struct twins *twins, struct harness *harness, const char *chain)
{
    twins->harness = harness;
    twins->chain = chain;
    twins->first = harness_backend(harness);
    twins->second = harness_backend(harness);
    harness_start(harness, (const char *const[]){"--config", twins_config(twins, "one"), NULL});
}

static bool twin_is_equal(void *arg, const struct backend_item *item)
{
    struct comparing comparing = {item->view.item, item->view.scope, 0};
    assert_true(keys_with_prefix(item->view.item, BYTES_LITERAL("sidejudge.")) > 0);
    assert_true(has(item->view.item, SPAN_ATTRIBUTES, "edition", "one"));
    assert_true(has(item->view.resource, RES_ATTRIBUTES, "tier", "gold"));
    backend_each(arg, SIGNAL_TRACES, item_compare, &comparing);
    assert_int_equal(comparing.equal, 1);
    return true;
}

// What the first backend got live, the second gets from the journal, by another process.
static void twins_by_the_journal(struct harness *harness, const char *chain)
{
    struct twins twins;
    struct buffer request;
    twins_start(&twins, harness, chain);
    backend_answer(twins.second, 503, 0);
    harness_agents(&request, 1, TWINS);
    harness_send(twins.harness, buffer_view(&request));
    harness_wait_items(twins.harness, twins.first, SIGNAL_TRACES, TWINS);
    harness_stop(twins.harness);
    assert_int_equal(backend_items(twins.second, SIGNAL_TRACES), 0);
    backend_answer(twins.second, 200, 0);
    harness_start(twins.harness,
                  (const char *const[]){"--config", twins_config(&twins, "one"), NULL});
    harness_wait_items(twins.harness, twins.second, SIGNAL_TRACES, TWINS);
    harness_stop(twins.harness);
    backend_each(twins.second, SIGNAL_TRACES, twin_is_equal, twins.first);
    buffer_fini(&request);
}

static void editors_behind_evaluation_take_no_score_from_what_the_journal_hands_on(void **state)
{
    twins_by_the_journal(*state, "evaluation, attributes, resource");
}

static void editors_in_front_of_evaluation_take_none_either(void **state)
{
    twins_by_the_journal(*state, "attributes, resource, evaluation");
}

static void editors_on_both_sides_take_none_either(void **state)
{
    twins_by_the_journal(*state, "resource, evaluation, attributes");
}

static void editors_are_replaced_while_shards_hold_what_goes_by_the_old_ones(void **state)
{
    struct twins twins;
    struct buffer request;
    twins_start(&twins, *state, "evaluation, attributes, resource");
    harness_agents(&request, 1, 20);
    harness_send(twins.harness, buffer_view(&request));
    (void)twins_config(&twins, "two");
    harness_signal(twins.harness, SIGHUP);
    harness_wait_said(twins.harness, "the new configuration is in force");
    harness_wait_items(twins.harness, twins.second, SIGNAL_TRACES, 20);
    harness_stop(twins.harness);
    backend_each(twins.second, SIGNAL_TRACES, twin_is_equal, twins.first);
    buffer_fini(&request);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(evaluation_grades_what_attributes_in_front_of_it_made),
        TEST(attributes_behind_evaluation_edit_what_it_wrote),
        TEST(resources_are_edited_and_what_they_hold_stays_bit_for_bit),
        TEST(what_no_action_names_passes_as_the_bytes_it_was),
        TEST(editors_behind_evaluation_take_no_score_from_what_the_journal_hands_on),
        TEST(editors_in_front_of_evaluation_take_none_either),
        TEST(editors_on_both_sides_take_none_either),
        TEST(editors_are_replaced_while_shards_hold_what_goes_by_the_old_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
