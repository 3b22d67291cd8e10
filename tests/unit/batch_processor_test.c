// SPDX-License-Identifier: Apache-2.0
//
// `batch`: what the Collector accepts is accepted with one warning, what it refuses is refused.
#include "processor/batch_processor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static unsigned check(const char *yaml, struct buffer *told, struct buffer *warned)
{
    struct config *config;
    struct buffer text;
    struct arena memory;
    arena_init(&memory, 1 << 16);
    buffer_init(&text, 4096);
    buffer_init(told, 4096);
    buffer_init(warned, 4096);
    buffer_printf(&text, "yaml:batch: %s", yaml);
    const char *sources[] = {buffer_text(&text)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, told, told), RESULT_OK);
    const struct component_kind *kind = &batch_processor.kind;
    struct option_errors errors = {.out = told, .warnings = warned};
    const struct config_node *node = config_get(config_root(config), "batch");
    void *options = arena_zalloc(&memory, kind->config_size);
    option_bind(kind->options, node, "processors::batch", options, kind->config_size, &memory,
                &errors);
    kind->validate(options, node, "processors::batch", &errors);
    config_free(&config);
    arena_fini(&memory);
    buffer_fini(&text);
    return errors.count;
}

static void what_the_collector_accepts_is_accepted_with_one_warning(void **state)
{
    static const char *const rows[] = {
        "",
        "{}",
        "{timeout: 1s, send_batch_size: 1024}",
        "{timeout: 0s, send_batch_size: 0, send_batch_max_size: 0}",
        "{send_batch_size: 8192, send_batch_max_size: 8192}",
        "{metadata_keys: [x-tenant, y], metadata_cardinality_limit: 10}"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer told, warned;
        assert_int_equal(check(rows[i], &told, &warned), 0);
        const char *line = strchr(buffer_text(&warned), '\n');
        assert_non_null(strstr(buffer_text(&warned), "sending_queue.batch"));
        assert_true(line == NULL || line[1] == '\0');
        buffer_fini(&told);
        buffer_fini(&warned);
    }
}

static void what_the_collector_refuses_is_refused(void **state)
{
    static const struct {
        const char *yaml, *part;
    } rows[] = {
        {"{send_batch_max_size: 100}", "'send_batch_max_size' must be greater or equal"},
        {"{send_batch_size: 10, send_batch_max_size: 9}", "'send_batch_max_size'"},
        {"{metadata_keys: [a, b, A]}", "duplicate entry in 'metadata_keys': \"A\""},
        {"{timeout: -1s}", "'timeout'"},
        {"{timeout: 5}", "'timeout'"},
        {"{send_batch_size: -1}", "'send_batch_size'"},
        {"{send_batch_size: many}", "'send_batch_size'"},
        {"{batch_size: 3}", "invalid keys: batch_size"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer told, warned;
        unsigned count = check(rows[i].yaml, &told, &warned);
        if (count != 1 || strstr(buffer_text(&told), rows[i].part) == NULL) {
            fail_msg("%s: %u: %s", rows[i].yaml, count, buffer_text(&told));
        }
        buffer_fini(&told);
        buffer_fini(&warned);
    }
}

static void it_stands_in_no_chain(void **state)
{
    (void)state;
    assert_null(batch_processor.wants);
    assert_null(batch_processor.process);
    assert_null(batch_processor.shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_collector_accepts_is_accepted_with_one_warning),
        cmocka_unit_test(what_the_collector_refuses_is_refused),
        cmocka_unit_test(it_stands_in_no_chain),
    };
    return cmocka_run_group_tests_name("batch_processor", tests, NULL, NULL);
}
