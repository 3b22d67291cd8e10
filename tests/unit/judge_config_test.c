// SPDX-License-Identifier: Apache-2.0
// A judge's configuration: bounds, the shorthand, keys and prices that are filled in, what is wrong
// with it, and which host will see content.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/config.h"
#include "processor/judge.h"

struct bound {
    struct judge_config judge;
    struct config *config;
    struct arena arena;
    struct buffer errors, warnings;
    unsigned count;
    char why[256];
};

static int setup(void **state)
{
    struct bound *bound = calloc(1, sizeof *bound);
    if (bound == NULL) {
        return -1;
    }
    arena_init(&bound->arena, (size_t)1 << 20);
    buffer_init(&bound->errors, 8192);
    buffer_init(&bound->warnings, 8192);
    unsetenv("OPENAI_API_KEY");
    unsetenv("OPENAI_BASE_URL");
    unsetenv("ANTHROPIC_API_KEY");
    unsetenv("ANTHROPIC_BASE_URL");
    *state = bound;
    return 0;
}

static int teardown(void **state)
{
    struct bound *bound = *state;
    config_free(&bound->config);
    arena_fini(&bound->arena);
    buffer_fini(&bound->errors);
    buffer_fini(&bound->warnings);
    free(bound);
    return 0;
}

// As the service does it: bind, complete, validate.
static void bind(struct bound *bound, const char *yaml)
{
    char source[1024];
    snprintf(source, sizeof source, "yaml:%s", yaml);
    const char *const sources[] = {source};
    config_free(&bound->config);
    buffer_reset(&bound->errors);
    assert_int_equal(
        config_load(sources, 1, NULL, 0, &bound->config, &bound->errors, &bound->warnings),
        RESULT_OK);
    struct option_errors errors = {.out = &bound->errors, .warnings = &bound->warnings};
    const struct config_node *root = config_root(bound->config);
    option_bind(judge_options, root, "judges::default", &bound->judge, sizeof bound->judge,
                &bound->arena, &errors);
    judge_complete(&bound->judge, &bound->arena);
    judge_validate(&bound->judge, "judges::default", root, &errors);
    bound->count = errors.count;
}

static void check_error(struct bound *bound, const char *yaml, const char *error)
{
    bind(bound, yaml);
    if (bound->count == 0 || strstr(buffer_text(&bound->errors), error) == NULL) {
        fail_msg("%s: %s", yaml, buffer_text(&bound->errors));
    }
}

static enum result shorthand(struct bound *bound, const char *text)
{
    return judge_from_shorthand(bytes_from_text(text), &bound->arena, &bound->judge, bound->why,
                                sizeof bound->why);
}

#define ANTHROPIC "api: anthropic, model: claude-haiku-4-5, api_key: k"

static void defaults_are_those_of_the_documentation(void **state)
{
    struct bound *bound = *state;
    bind(bound, "{" ANTHROPIC "}");
    assert_string_equal(buffer_text(&bound->errors), "");
    const struct judge_config *judge = &bound->judge;
    assert_int_equal(judge->api, 1);
    assert_true(bytes_equal_text(judge->endpoint, "https://api.anthropic.com"));
    assert_int_equal(judge->timeout_ns, 20000000000);
    assert_int_equal(judge->max_concurrency, 8);
    assert_int_equal(judge->max_output_tokens, 512);
    assert_int_equal(judge->max_retries, 2);
    assert_int_equal(judge->breaker_ns, 0);
    assert_true(judge->has_price && judge->input_per_mtok == 1 && judge->output_per_mtok == 5);
}

static void a_server_of_ones_own_needs_model_and_price_only(void **state)
{
    struct bound *bound = *state;
    bind(bound, "{endpoint: 'http://127.0.0.1:8000/v1', model: qwen3, "
                "price: {input_per_mtok: 0, output_per_mtok: 0}}");
    assert_string_equal(buffer_text(&bound->errors), "");
    assert_int_equal(bound->judge.api, 0);
    assert_true(bound->judge.has_price && bound->judge.input_per_mtok == 0);
}

static void what_is_wrong_is_said(void **state)
{
    struct bound *bound = *state;
    check_error(bound, "{api: anthropic, api_key: k}", "model");
    check_error(bound, "{" ANTHROPIC ", endpoint: 'api.anthropic.com'}", "`endpoint`");
    check_error(bound, "{" ANTHROPIC ", endpoint: 'https://u:p@api.anthropic.com'}", "`endpoint`");
    check_error(bound, "{" ANTHROPIC ", endpoint: 'https://x.example/v1/messages'}",
                "leave out \"/v1/messages\"");
    check_error(bound, "{" ANTHROPIC ", endpoint: 'https://x.example/v1'}", "ends before \"/v1\"");
    check_error(bound,
                "{api: openai, model: gpt-4o, api_key: k, "
                "endpoint: 'https://x.example/v1/chat/completions'}",
                "leave out \"/chat/completions\"");
    check_error(bound, "{api: anthropic, model: claude-haiku-4-5}", "set ANTHROPIC_API_KEY");
    check_error(bound, "{api: openai, model: gpt-4o}", "set OPENAI_API_KEY");
    check_error(bound, "{api: openai, model: qwen3, api_key: k}", "has no list price");
    check_error(bound, "{api: openai, model: gpt-4omega, api_key: k}", "has no list price");
    check_error(bound, "{api: gemini, model: x, api_key: k}", "api");
    check_error(bound, "{" ANTHROPIC ", timeout: 10ms}", "timeout");
    check_error(bound, "{" ANTHROPIC ", max_concurrency: 0}", "max_concurrency");
    check_error(bound, "{" ANTHROPIC ", temperature: 0}", "invalid keys: temperature");
    check_error(bound, "{" ANTHROPIC ", price: {input_per_mtok: -1}}", "input_per_mtok");
}

static void a_key_that_is_too_long_is_refused_and_not_shown(void **state)
{
    struct bound *bound = *state;
    char key[700], yaml[900];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    snprintf(yaml, sizeof yaml, "{api: anthropic, model: claude-haiku-4-5, api_key: %s}", key);
    check_error(bound, yaml, "`api_key` has 699 bytes");
    assert_null(strstr(buffer_text(&bound->errors), "kkkk"));
}

static void keys_and_endpoints_come_from_the_providers_variables(void **state)
{
    struct bound *bound = *state;
    setenv("ANTHROPIC_API_KEY", " key-a\n", 1);
    setenv("OPENAI_API_KEY", "key-o", 1);
    setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1", 1);
    bind(bound, "{api: anthropic, model: claude-haiku-4-5}");
    assert_int_equal(bound->count, 0);
    assert_true(bytes_equal_text(bound->judge.api_key, "key-a"));
    bind(bound, "{api: openai, model: gpt-4.1-mini}");
    assert_true(bytes_equal_text(bound->judge.api_key, "key-o"));
    assert_true(bytes_equal_text(bound->judge.endpoint, "http://127.0.0.1:9/v1"));
    bind(bound, "{" ANTHROPIC "}");
    assert_true(bytes_equal_text(bound->judge.api_key, "k"));  // what is written wins
}

static void list_prices_hold_for_dated_versions(void **state)
{
    struct bound *bound = *state;
    bind(bound, "{api: anthropic, model: claude-haiku-4-5-20251001, api_key: k}");
    assert_true(bound->count == 0 && bound->judge.input_per_mtok == 1);
    bind(bound, "{api: openai, model: gpt-4o-mini-2024-07-18, api_key: k}");
    assert_true(bound->count == 0 && bound->judge.input_per_mtok == 0.15);
    bind(bound, "{api: openai, model: gpt-4o-2024-08-06, api_key: k}");
    assert_true(bound->count == 0 && bound->judge.input_per_mtok == 2.5);
    bind(bound, "{api: openai, model: gpt-4o, api_key: k, "
                "price: {input_per_mtok: 9, output_per_mtok: 8}}");
    assert_true(bound->judge.input_per_mtok == 9 && bound->judge.output_per_mtok == 8);
}

static void the_shorthand_names_provider_and_model(void **state)
{
    struct bound *bound = *state;
    setenv("ANTHROPIC_API_KEY", "key-a", 1);
    assert_int_equal(shorthand(bound, "anthropic/claude-haiku-4-5"), RESULT_OK);
    assert_int_equal(bound->judge.api, 1);
    assert_true(bytes_equal_text(bound->judge.model, "claude-haiku-4-5"));
    assert_true(bytes_equal_text(bound->judge.name, "default"));
    assert_true(bytes_equal_text(bound->judge.api_key, "key-a"));
    assert_true(bound->judge.has_price && bound->judge.max_concurrency == 8);
    assert_int_equal(shorthand(bound, "openai/org/model"), RESULT_OK);
    assert_true(bytes_equal_text(bound->judge.model, "org/model"));
    assert_false(bound->judge.has_price);
}

static void other_shorthands_are_rejected_with_an_example(void **state)
{
    struct bound *bound = *state;
    static const char *const rows[] = {"",   "claude-haiku-4-5", "anthropic/", "anthropic",
                                       "/x", "Anthropic/x",      "vllm/qwen3"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(shorthand(bound, rows[i]), RESULT_REJECT);
        assert_non_null(strstr(bound->why, "anthropic/claude-haiku-4-5"));
    }
}

static void the_host_that_sees_content_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *host;
    } rows[] = {{"https://api.anthropic.com", "api.anthropic.com"},
                {"https://api.openai.com/v1", "api.openai.com"},
                {"http://vllm:8000/v1", "vllm"},
                {"http://10.0.0.7:8000/v1", "10.0.0.7"},
                {"https://127.0.0.1.example.com/v1", "127.0.0.1.example.com"},
                {"https://localhost.example.com/v1", "localhost.example.com"},
                {"http://127.0.0.1:8000/v1", ""},
                {"http://localhost:8000/v1", ""},
                {"http://LOCALHOST/v1", ""},
                {"http://[::1]:8000/v1", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct judge_config judge = {.endpoint = bytes_from_text(rows[i].endpoint)};
        char host[128] = "?";
        judge_host(&judge, host);
        assert_string_equal(host, rows[i].host);
    }
}

static void the_id_names_api_model_and_epoch(void **state)
{
    (void)state;
    char id[160];
    const struct judge_config judge = {.api = 1, .model = BYTES_LITERAL("claude-haiku-4-5")};
    assert_string_equal(judge_id(&judge, "0123456789abcdef", id),
                        "anthropic/claude-haiku-4-5@0123456789abcdef");
    char model[300];
    memset(model, 'm', sizeof model);
    const struct judge_config other = {.model = bytes_from(model, sizeof model)};
    assert_int_equal(strlen(judge_id(&other, "0123456789abcdef", id)), 7 + 100 + 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(defaults_are_those_of_the_documentation),
        TEST(a_server_of_ones_own_needs_model_and_price_only),
        TEST(what_is_wrong_is_said),
        TEST(a_key_that_is_too_long_is_refused_and_not_shown),
        TEST(keys_and_endpoints_come_from_the_providers_variables),
        TEST(list_prices_hold_for_dated_versions),
        TEST(the_shorthand_names_provider_and_model),
        TEST(other_shorthands_are_rejected_with_an_example),
        TEST(the_host_that_sees_content_is_named),
        TEST(the_id_names_api_model_and_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
