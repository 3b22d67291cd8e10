// SPDX-License-Identifier: Apache-2.0
// Keys and the door.
#include "processor/memory_limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/clock.h"

static unsigned check(const char *yaml, struct buffer *text, struct arena *memory, void *options)
{
    struct config *config;
    struct buffer source, warnings;
    buffer_init(&source, 4096);
    buffer_init(&warnings, 4096);
    buffer_printf(&source, "yaml:memory_limiter: %s", yaml);
    const char *sources[] = {buffer_text(&source)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, text, &warnings), RESULT_OK);
    const struct component_kind *kind = &memory_limiter_processor.kind;
    const struct config_node *node = config_get(config_root(config), "memory_limiter");
    struct option_errors errors = {.out = text, .warnings = &warnings};
    option_bind(kind->options, node, "processors::memory_limiter", options, kind->config_size,
                memory, &errors);
    kind->validate(options, node, "processors::memory_limiter", &errors);
    config_free(&config);
    buffer_fini(&source);
    buffer_fini(&warnings);
    return errors.count;
}

static void refused(const char *yaml, const char *part)
{
    struct buffer text;
    struct arena memory;
    arena_init(&memory, 1 << 16);
    buffer_init(&text, 4096);
    void *options = arena_zalloc(&memory, memory_limiter_processor.kind.config_size);
    unsigned errors = check(yaml, &text, &memory, options);
    if (errors == 0 || !strstr(buffer_text(&text), part)) {
        fail_msg("%s: %s", yaml, buffer_text(&text));
    }
    buffer_fini(&text);
    arena_fini(&memory);
}

static void mistakes_are_refused(void **arg)
{
    (void)arg;
    refused("{limit_mib: 100}", "check_interval");
    refused("{check_interval: 0s, limit_mib: 100}", "check_interval");
    refused("{check_interval: 1s}", "limit_mib");
    refused("{check_interval: 1s, limit_mib: 100, spike_limit_mib: 100}", "spike_limit_mib");
    refused("{check_interval: 1s, limit_percentage: 50, spike_limit_percentage: 60}",
            "spike_limit_percentage");
    refused("{check_interval: 1s, limit_percentage: 500}", "limit_percentage");
    refused("{check_interval: 1s, limit_mib: 1, nope: 1}", "nope");
    refused("{check_interval: 1s, limit_mib: 1, min_gc_interval_when_soft_limited: 1s, "
            "min_gc_interval_when_hard_limited: 2s}",
            "'min_gc_interval_when_soft_limited' should be larger");
    refused("{check_interval: 1s, limit_mib: 1, min_gc_interval_when_soft_limited: often}",
            "min_gc_interval_when_soft_limited");
}

static void refuses(const char *yaml, bool expected)
{
    struct buffer text;
    struct arena memory;
    struct processor *processor;
    char why[128];
    arena_init(&memory, 1 << 16);
    buffer_init(&text, 4096);
    void *options = arena_zalloc(&memory, memory_limiter_processor.kind.config_size);
    assert_int_equal(check(yaml, &text, &memory, options), 0);
    struct account *account = account_new(64 << 20);
    struct component_env env = {.id = "memory_limiter", .account = account};
    assert_int_equal(memory_limiter_processor.create(&env, options, &processor, why, sizeof(why)),
                     RESULT_OK);
    memory_limiter_processor.tick(processor, NS_PER_S);
    assert_int_equal(account_is_refusing(account), expected);
    assert_int_equal(account_charge(account, POOL_REQUESTS, 1), !expected);
    memory_limiter_processor.tick(processor, 3 * NS_PER_S);
    memory_limiter_processor.free(&processor);
    assert_false(account_is_refusing(account));
    account_free(account);
    buffer_fini(&text);
    arena_fini(&memory);
}

static void above_the_soft_limit_the_door_refuses(void **arg)
{
    (void)arg;
    refuses("{check_interval: 1s, limit_mib: 2, spike_limit_mib: 1}", true);
    refuses("{check_interval: 1s, limit_mib: 100000000}", false);
    refuses("{check_interval: 100ms, limit_percentage: 100, min_gc_interval_when_soft_limited: 1s}",
            false);
}

// Touched memory of this size, beside whatever the process has.
static uint8_t *memory_map(size_t mib)
{
    uint8_t *memory =
        mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    memset(memory, 1, mib << 20);
    return memory;
}

static void refusing_ends_well_below_where_it_begins(void **arg)
{
    struct buffer text, yaml;
    struct arena memory;
    struct processor *processor;
    char why[128];
    (void)arg;
    size_t base_mib = account_process_rss() >> 20;
    size_t soft_mib = base_mib + 120;
    buffer_init(&yaml, 256);
    buffer_init(&text, 4096);
    buffer_printf(&yaml, "{check_interval: 100ms, limit_mib: %zu, spike_limit_mib: 1}",
                  soft_mib + 1);
    arena_init(&memory, 1 << 16);
    void *options = arena_zalloc(&memory, memory_limiter_processor.kind.config_size);
    assert_int_equal(check(buffer_text(&yaml), &text, &memory, options), 0);
    struct account *account = account_new(64 << 20);
    struct component_env env = {.id = "memory_limiter", .account = account};
    assert_int_equal(memory_limiter_processor.create(&env, options, &processor, why, sizeof(why)),
                     RESULT_OK);
    uint8_t *most = memory_map(117), *little = memory_map(16);
    munmap(little, 16 << 20);
    memory_limiter_processor.tick(processor, NS_PER_S);
    assert_false(account_is_refusing(account));  // 98 % of the soft limit, on the way up
    little = memory_map(16);
    memory_limiter_processor.tick(processor, 2 * NS_PER_S);
    assert_true(account_is_refusing(account));
    munmap(little, 16 << 20);
    memory_limiter_processor.tick(processor, 3 * NS_PER_S);
    assert_true(account_is_refusing(account));  // the same, on the way down
    munmap(most, (size_t)117 << 20);
    memory_limiter_processor.tick(processor, 4 * NS_PER_S);
    assert_false(account_is_refusing(account));
    memory_limiter_processor.free(&processor);
    account_free(account);
    arena_fini(&memory);
    buffer_fini(&yaml);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(above_the_soft_limit_the_door_refuses),
        cmocka_unit_test(refusing_ends_well_below_where_it_begins),
    };
    return cmocka_run_group_tests_name("memory_limiter", tests, NULL, NULL);
}
