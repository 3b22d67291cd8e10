// SPDX-License-Identifier: Apache-2.0
//
// Which extensions come into force, and what a reference to one that is not says.
#include "service/authentication.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define YAML                                                                                       \
    "yaml:{extensions: {basicauth/in: {htpasswd: {inline: 'a:b'}}, basicauth/out: {client_auth: "  \
    "{username: a, password: b}}, bearertokenauth: {token: t}, bearertokenauth/broken: {}, "       \
    "health_check: {}}, service: {extensions: [basicauth/in, basicauth/out, "                      \
    "bearertokenauth/broken]}, component: "

static struct config *config;
static struct arena arena;
static struct buffer out;
static struct authentication_settings settings;

static unsigned bind(const char *component)
{
    char source[1024];
    const char *const sources[] = {source};
    memset(&settings, 0, sizeof settings);
    buffer_init(&out, 1 << 16);
    arena_init(&arena, 1 << 20);
    snprintf(source, sizeof source, YAML "%s}", component);
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, &out, NULL), RESULT_OK);
    struct option_errors errors = {.out = &out};
    const struct config_node *root = config_root(config);
    authentication_bind(&settings, config_get(root, "extensions"),
                        config_get(config_get(root, "service"), "extensions"), &arena, &errors);
    return errors.count;
}

static void unbind(void)
{
    config_free(&config);
    arena_fini(&arena);
    buffer_fini(&out);
}

static unsigned check(const char *component, enum authenticator_role role, const char *text)
{
    (void)bind(component);
    struct option_errors errors = {.out = &out};
    buffer_reset(&out);
    authentication_check(&settings, config_get(config_root(config), "component"), role, "path",
                         &errors);
    if (strstr(buffer_text(&out), text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, buffer_text(&out));
    }
    unbind();
    return errors.count;
}

static void only_what_is_named_and_sound_comes_into_force(void **state)
{
    (void)state;
    struct authenticator *list[AUTHENTICATION_MAX + 1] = {NULL};
    assert_int_equal(bind("{}"), 1);
    assert_int_equal(settings.count, 4);
    assert_true(authentication_knows(&settings, BYTES_LITERAL("bearertokenauth")));
    assert_false(authentication_knows(&settings, BYTES_LITERAL("health_check")));
    authentication_start(&settings, list);
    assert_non_null(authenticator_find(list, BYTES_LITERAL("basicauth/in")));
    assert_non_null(authenticator_find(list, BYTES_LITERAL("basicauth/out")));
    assert_null(authenticator_find(list, BYTES_LITERAL("bearertokenauth")));
    assert_null(authenticator_find(list, BYTES_LITERAL("bearertokenauth/broken")));
    authentication_stop(list);
    assert_null(list[0]);
    unbind();
}

static void references_are_found_at_any_depth_and_judged_by_role(void **state)
{
    (void)state;
    const enum authenticator_role server = AUTHENTICATOR_SERVER, client = AUTHENTICATOR_CLIENT;
    assert_int_equal(check("{auth: {authenticator: basicauth/in}}", server, ""), 0);
    assert_int_equal(
        check("{auth: {authenticator: basicauth/in}}", client, "not a client authenticator"), 1);
    assert_int_equal(check("{auth: {authenticator: basicauth/out}}", client, ""), 0);
    assert_int_equal(check("{a: {b: {auth: {authenticator: basicauth/out}}}}", server,
                           "not a server authenticator"),
                     1);
    assert_int_equal(check("{a: {auth: {authenticator: nobody}}}", server,
                           "failed to resolve authenticator \"nobody\": authenticator not found"),
                     1);
    assert_int_equal(check("{auth: {authenticator: bearertokenauth}}", client,
                           "service::extensions does not name it"),
                     1);
    assert_int_equal(check("{auth: }", server, ""), 0);
    assert_int_equal(check("{authenticator: nobody}", server, ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_named_and_sound_comes_into_force),
        cmocka_unit_test(references_are_found_at_any_depth_and_judged_by_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
