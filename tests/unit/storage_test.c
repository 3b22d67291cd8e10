// SPDX-License-Identifier: Apache-2.0
// The settings of file_storage and of the exporters that name it.
#include "service/storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static struct config *config;
static struct settings *settings;
static struct buffer faults, warnings;
static unsigned fault_count;

static int forget(void **state)
{
    (void)state;
    settings_free(&settings);
    config_free(&config);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return 0;
}

// One exporter with `queue`, these extensions, and those of them that are switched on.
static const struct storage_settings *load(const char *queue, const char *extensions,
                                           const char *named)
{
    static char text[4096];
    const char *source = text;
    void *unused = NULL;
    forget(&unused);
    snprintf(text, sizeof(text),
             "yaml:receivers: {otlp: {protocols: {http: }}}\n"
             "exporters: {otlp_http: {endpoint: \"http://c:4318\"%s}, otlp_http/2: {endpoint: "
             "\"http://d:4318\", sending_queue: {storage: file_storage}}}\n"
             "extensions: {%s}\n"
             "service: {extensions: [%s], pipelines: {traces: {receivers: [otlp], exporters: "
             "[otlp_http, otlp_http/2]}}}\n",
             queue, extensions, named);
    buffer_init(&faults, 65536);
    buffer_init(&warnings, 65536);
    assert_int_equal(config_load(&source, 1, NULL, 0, &config, &faults, &warnings), RESULT_OK);
    struct option_errors errors = {.out = &faults, .warnings = &warnings};
    settings = settings_new(config, &errors);
    fault_count = errors.count;
    return settings->storage;
}

static void assert_fault(const char *text)
{
    if (strstr(buffer_text(&faults), text) == NULL) {
        print_error("wanted: %s\ngot: %s\n", text, buffer_text(&faults));
        fail();
    }
}

#define BOTH ", sending_queue: {storage: file_storage}"

static void defaults_are_durable_and_bounded(void **state)
{
    (void)state;
    const struct storage_settings *storage = load(BOTH, "file_storage: ", "file_storage");
    assert_int_equal(fault_count, 0);
    assert_string_equal(storage->id, "file_storage");
    assert_int_equal(storage->exporter_count, 2);
    assert_true(storage->config.store.fsync);
    assert_false(storage->config.store.create_directory);
    assert_int_equal(storage->config.store.size_max, UINT64_C(1) << 30);
    assert_int_equal(storage->config.store.max_age_ns, UINT64_C(24) * 3600 * NS_PER_S);
    assert_int_equal(storage->config.policy, JOURNAL_REJECT);
    assert_false(storage->config.refuse_on_error);
    assert_true(bytes_equal_text(storage->config.store.directory, "/var/lib/otelcol/file_storage"));
}

static void every_key_is_obeyed(void **state)
{
    (void)state;
    const struct storage_settings *storage =
        load("",
             "file_storage: {directory: /d, create_directory: true, fsync: false, max_size: 8MiB, "
             "policy: drop_oldest, max_age: 1h, on_error: reject}",
             "file_storage");
    assert_int_equal(fault_count, 0);
    assert_int_equal(storage->exporter_count, 1);
    assert_int_equal(storage->exporters[0], 1);
    assert_true(bytes_equal_text(storage->config.store.directory, "/d"));
    assert_true(storage->config.store.create_directory);
    assert_false(storage->config.store.fsync);
    assert_int_equal(storage->config.store.size_max, 8 << 20);
    assert_int_equal(storage->config.store.max_age_ns, 3600 * NS_PER_S);
    assert_int_equal(storage->config.policy, JOURNAL_DROP_OLDEST);
    assert_true(storage->config.refuse_on_error);
}

static void storage_that_is_not_configured_is_a_fault(void **state)
{
    (void)state;
    load("", "health_check: ", "health_check");
    assert_fault("\"file_storage\" is not configured: put a file_storage under extensions");
    assert_fault(":2:");
}

static void storage_of_another_type_is_a_fault(void **state)
{
    (void)state;
    load(", sending_queue: {storage: health_check}",
         "file_storage: , health_check: ", "file_storage, health_check");
    assert_fault("\"health_check\" is not configured: put a file_storage under extensions");
}

static void storage_that_is_not_switched_on_is_a_fault(void **state)
{
    (void)state;
    load("", "file_storage: , health_check: ", "health_check");
    assert_fault("extension \"file_storage\" is not in service::extensions: add it there");
}

static void two_storages_are_a_fault_of_the_second(void **state)
{
    (void)state;
    const struct storage_settings *storage =
        load(", sending_queue: {storage: file_storage/a}",
             "file_storage: , file_storage/a: ", "file_storage, file_storage/a");
    assert_fault("there is one journal");
    assert_string_equal(storage->id, "file_storage/a");
    assert_int_equal(storage->exporter_count, 1);
    assert_true(settings->exporters.items[1].faults > 0);
}

static void unknown_key_and_bad_value_are_faults(void **state)
{
    (void)state;
    load("", "file_storage: {direktory: /d}", "file_storage");
    assert_fault("invalid keys: direktory");
    const struct storage_settings *storage =
        load("", "file_storage: {policy: newest}", "file_storage");
    assert_fault("policy");
    assert_true(storage->faults > 0);
    load("", "file_storage: {max_age: soon}", "file_storage");
    assert_fault("max_age");
}

static void storage_that_nobody_names_is_said(void **state)
{
    (void)state;
    const struct storage_settings *storage =
        load("", "file_storage: , file_storage/b: {directory: /b}", "file_storage, file_storage/b");
    assert_int_equal(fault_count, 0);
    assert_string_equal(storage->id, "file_storage");
}

static void its_ids_are_told_from_others(void **state)
{
    (void)state;
    assert_true(storage_is(BYTES_LITERAL("file_storage")));
    assert_true(storage_is(BYTES_LITERAL("file_storage/queue")));
    assert_false(storage_is(BYTES_LITERAL("file_storages")));
    assert_false(storage_is(BYTES_LITERAL("redis_storage")));
    assert_false(storage_is(BYTES_NONE));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, forget)
    const struct CMUnitTest tests[] = {
        CASE(defaults_are_durable_and_bounded),
        CASE(every_key_is_obeyed),
        CASE(storage_that_is_not_configured_is_a_fault),
        CASE(storage_of_another_type_is_a_fault),
        CASE(storage_that_is_not_switched_on_is_a_fault),
        CASE(two_storages_are_a_fault_of_the_second),
        CASE(unknown_key_and_bad_value_are_faults),
        CASE(storage_that_nobody_names_is_said),
        CASE(its_ids_are_told_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
