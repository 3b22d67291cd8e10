// SPDX-License-Identifier: Apache-2.0
//
// What the configuration of an authenticator may not say. Nothing that would let a stranger in, or
// send an empty or broken credential, passes `validate`.
#include "base/authenticator_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/authenticator.h"

static void is_refused_by_validation(const char *type, const char *yaml, const char *text)
{
    static _Alignas(16) uint8_t memory[1024];
    char source[512];
    struct config *config;
    struct arena arena;
    struct buffer out;
    buffer_init(&out, 1 << 16);
    arena_init(&arena, 1 << 20);
    snprintf(source, sizeof source, "yaml:%s", yaml);
    const char *const sources[] = {source};
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, &out, NULL), RESULT_OK);
    struct option_errors errors = {.out = &out};
    const struct authenticator_kind *kind = authenticator_kind_find(bytes_from_text(type));
    option_bind(kind->options, config_root(config), type, memory, kind->config_size, &arena,
                &errors);
    kind->validate(memory, config_root(config), type, &errors);
    if (strstr(buffer_text(&out), text) == NULL) {
        fail_msg("expected \"%s\" for %s in: %s", text, yaml, buffer_text(&out));
    }
    config_free(&config);
    arena_fini(&arena);
    buffer_fini(&out);
}

static void what_would_let_strangers_in_fails_validation(void **state)
{
    (void)state;
    is_refused_by_validation("basicauth", "{}", "one of htpasswd and client_auth");
    is_refused_by_validation("basicauth", "htpasswd: {}", "no credential source");
    is_refused_by_validation("basicauth", "htpasswd: {inline: \"\"}", "no credential source");
    is_refused_by_validation("basicauth", "htpasswd: {inline: user}", "not user:hash");
    is_refused_by_validation("basicauth", "htpasswd: {inline: \"user:\"}", "empty");
    is_refused_by_validation("basicauth", "htpasswd: {inline: \"user:$$9$$x\"}", "not read");
    is_refused_by_validation(
        "basicauth",
        "htpasswd: {inline: \"u:$$2b$$20$$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\"}",
        "longer than a second");
    is_refused_by_validation("basicauth", "client_auth: {username: user}", "both needed");
    is_refused_by_validation("basicauth", "client_auth: {username: \"a:b\", password: c}", "colon");
    is_refused_by_validation(
        "basicauth", "{htpasswd: {inline: \"u:p\"}, client_auth: {username: a, password: b}}",
        "cannot be used together");
    is_refused_by_validation("basicauth", "{htpasswd: {fil: x}}", "invalid keys");
    is_refused_by_validation("bearertokenauth", "{}", "no bearer token");
    is_refused_by_validation("bearertokenauth", "{token: a, tokens: [b]}", "not both");
    is_refused_by_validation("bearertokenauth", "{tokens: [\"\"]}", "empty");
    is_refused_by_validation("bearertokenauth", "{token: \"a\\r\\nb\"}", "cannot carry");
    is_refused_by_validation("bearertokenauth", "{token: a, header: \"a b\"}", "name of a header");
    is_refused_by_validation("headers_setter", "{}", "a list");
    is_refused_by_validation("headers_setter", "headers: [{key: a}]", "exactly one");
    is_refused_by_validation("headers_setter", "headers: [{key: a, value: b, from_context: c}]",
                             "exactly one");
    is_refused_by_validation("headers_setter", "headers: [{key: Content-Length, value: b}]",
                             "cannot be set");
    is_refused_by_validation("headers_setter", "headers: [{key: sidejudge-hop, value: b}]",
                             "cannot be set");
    is_refused_by_validation("headers_setter", "headers: [{key: a, value: \"b\\nc\"}]",
                             "cannot carry");
    is_refused_by_validation("headers_setter", "headers: [{value: b}]", "key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_let_strangers_in_fails_validation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
