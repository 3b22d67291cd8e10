// SPDX-License-Identifier: Apache-2.0
//
// Authenticators from their YAML: what a receiver lets in and, more of it, what it does not; what
// an exporter sends; files that change, vanish and come back. Time is the test's own.
#include "base/authenticator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/metrics.h"

struct stage {
    struct authenticator *authenticator;
    struct arena arena;
    struct config *config;
    struct buffer errors;
    unsigned error_count;
    uint64_t now_ns;
    char folder[64], path[128];
};

// Writes beside the name and renames, as a renewal does; the path stands in stage->path.
static void write_file(struct stage *stage, const char *name, const char *text)
{
    char beside[128];
    snprintf(stage->path, sizeof stage->path, "%s/%s", stage->folder, name);
    snprintf(beside, sizeof beside, "%s/%s.new", stage->folder, name);
    FILE *file = fopen(beside, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(beside, stage->path), 0);
}

static void stage_folder(struct stage *stage)
{
    memset(stage, 0, sizeof *stage);
    snprintf(stage->folder, sizeof stage->folder, "/tmp/authenticator_test.XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
}

static void stage_close(struct stage *stage)
{
    authenticator_release(&stage->authenticator);
    config_free(&stage->config);
    arena_fini(&stage->arena);
    buffer_fini(&stage->errors);
    static const char *const names[] = {"config.yaml", "users", "token", "password"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(stage->path, sizeof stage->path, "%s/%s", stage->folder, names[i]);
        (void)unlink(stage->path);
    }
    assert_int_equal(rmdir(stage->folder), 0);
    memset(stage, 0, sizeof *stage);
}

// Binds, validates and, when nothing is wrong, makes it.
static void stage_open(struct stage *stage, const char *type, const char *yaml)
{
    static _Alignas(16) uint8_t memory[1024];
    if (stage->folder[0] == '\0') {
        stage_folder(stage);
    }
    buffer_init(&stage->errors, 1 << 16);
    arena_init(&stage->arena, 1 << 20);
    stage->now_ns = clock_mono_ns();
    write_file(stage, "config.yaml", yaml);
    const char *const sources[] = {stage->path};
    assert_int_equal(config_load(sources, 1, NULL, 0, &stage->config, &stage->errors, NULL),
                     RESULT_OK);
    struct option_errors errors = {.out = &stage->errors};
    const struct authenticator_kind *kind = authenticator_kind_find(bytes_from_text(type));
    assert_non_null(kind);
    assert_true(kind->config_size <= sizeof memory);
    const struct config_node *root = config_root(stage->config);
    option_bind(kind->options, root, type, memory, kind->config_size, &stage->arena, &errors);
    kind->validate(memory, root, type, &errors);
    stage->error_count = errors.count;
    if (errors.count == 0) {
        stage->authenticator = authenticator_new(kind, type, memory);
    }
}

static enum result check(struct stage *stage, const char *value)
{
    return authenticator_check(stage->authenticator, bytes_from_text(value), stage->now_ns);
}

// What an exporter would send for `name`; NULL: nothing.
static const char *sent(struct stage *stage, const struct metadata *metadata, const char *name,
                        struct authenticator_fields *fields)
{
    assert_int_equal(authenticator_apply(stage->authenticator, metadata, stage->now_ns, fields),
                     RESULT_OK);
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->items[i].name, name) == 0) {
            return fields->items[i].value;
        }
    }
    return NULL;
}

// "user:secret" and others in base64.
#define USER_SECRET "Basic dXNlcjpzZWNyZXQ="
#define USER_WRONG "Basic dXNlcjp3cm9uZw=="
#define OTHER_SECRET "Basic b3RoZXI6c2VjcmV0"

// As the operator writes them; in YAML a dollar is doubled.
static const char *const hashes[] = {
    "secret",
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0",
    "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0",
    "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
    "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5"
    "hVO1",
    "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
};
#define HASH_COUNT (sizeof hashes / sizeof hashes[0])

// A receiver's basicauth whose file has `lines`.
static void open_users(struct stage *stage, const char *lines)
{
    char yaml[256];
    stage_folder(stage);
    write_file(stage, "users", lines);
    snprintf(yaml, sizeof yaml, "htpasswd: {file: %s}\n", stage->path);
    stage_open(stage, "basicauth", yaml);
    assert_int_equal(stage->error_count, 0);
}

static void every_kind_of_hash_lets_its_password_in_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < HASH_COUNT; i++) {
        struct stage stage;
        char lines[256];
        snprintf(lines, sizeof lines, "# people\n\nuser:%s\n", hashes[i]);
        open_users(&stage, lines);
        assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
        assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
        assert_int_equal(check(&stage, USER_WRONG), RESULT_DENY);
        assert_int_equal(check(&stage, USER_WRONG), RESULT_DENY);
        assert_int_equal(check(&stage, OTHER_SECRET), RESULT_DENY);
        stage_close(&stage);
    }
}

static void a_hash_is_no_password(void **state)
{
    (void)state;
    struct stage stage;
    open_users(&stage, "user:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    // base64 of "user:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="
    assert_int_equal(check(&stage, "Basic dXNlcjp7U0hBfTVlbjZHNk1lelJyb1QzWEtxa2RQT21ZL0JmUT0="),
                     RESULT_DENY);
    stage_close(&stage);
}

static void malformed_basic_credentials_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "Basic",
        "Basic ",
        "Basic  ",
        "dXNlcjpzZWNyZXQ=",
        "Bearer dXNlcjpzZWNyZXQ=",
        "Basicx dXNlcjpzZWNyZXQ=",
        "Basic dXNlcjpzZWNyZXQ",       // length that cannot be
        "Basic dXNlcjpzZWNyZX*=",      // not base64
        "Basic dXNlcjpzZWNyZXQ=----",  // what a decoder passes over behind it
        "Basic dXNlcg==",              // "user", no colon
        "Basic dXNlcjo=",              // "user:"
        "Basic OnNlY3JldA==",          // ":secret"
        "Basic dXNlcjpzZWNyZXQK",      // a line feed behind
        "Basic dXNlcjpzZWNyZXQA",      // a NUL behind
        "Basic VVNFUjpzZWNyZXQ=",      // "USER:secret"
        "Basic dXNlcjpTRUNSRVQ=",      // "user:SECRET"
        "Basic dXNlcjpzZWNyZXQ=, Basic dXNlcjpzZWNyZXQ=",
        "Basic dXNlcjpzZWNyZXQ= x",
    };
    struct stage stage;
    open_users(&stage, "user:secret\n");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (check(&stage, values[i]) != RESULT_DENY) {
            fail_msg("let in: \"%s\"", values[i]);
        }
    }
    assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
    assert_int_equal(check(&stage, "basic dXNlcjpzZWNyZXQ="), RESULT_OK);
    assert_int_equal(check(&stage, "BASIC   dXNlcjpzZWNyZXQ="), RESULT_OK);
    stage_close(&stage);
}

static void a_header_of_any_length_is_refused_without_harm(void **state)
{
    (void)state;
    struct stage stage;
    open_users(&stage, "user:secret\n");
    char value[9000] = "Basic ";
    for (size_t len = 7; len < sizeof value - 1; len++) {
        value[len - 1] = 'A';
        value[len] = '\0';
        assert_int_equal(check(&stage, value), RESULT_DENY);
    }
    stage_close(&stage);
}

static void a_changed_file_counts_within_a_second_and_a_bad_one_does_not(void **state)
{
    (void)state;
    struct stage stage;
    open_users(&stage, "user:secret\n");
    assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
    write_file(&stage, "users", "user:wrong\n");
    stage.now_ns += 2 * NS_PER_S;
    assert_int_equal(check(&stage, USER_SECRET), RESULT_DENY);
    assert_int_equal(check(&stage, USER_WRONG), RESULT_OK);
    static const char *const bad[] = {"", "user\n", "user:$9$what\n", "user:\n", "# nobody\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(&stage, "users", bad[i]);
        stage.now_ns += 2 * NS_PER_S;
        assert_int_equal(check(&stage, USER_WRONG), RESULT_OK);
        assert_int_equal(check(&stage, USER_SECRET), RESULT_DENY);
    }
    assert_int_equal(unlink(stage.path), 0);
    stage.now_ns += 2 * NS_PER_S;
    assert_int_equal(check(&stage, USER_WRONG), RESULT_OK);
    write_file(&stage, "users", "user:secret\n");
    stage.now_ns += 2 * NS_PER_S;
    assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
    assert_int_equal(check(&stage, USER_WRONG), RESULT_DENY);
    assert_true(metrics_sum("sidejudge_authenticator_reloads_total") >= 7);
    stage_close(&stage);
}

static void a_verified_slow_password_is_forgotten_when_the_file_changes(void **state)
{
    (void)state;
    struct stage stage;
    char lines[256];
    snprintf(lines, sizeof lines, "user:%s\n", hashes[7]);
    open_users(&stage, lines);
    assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
    write_file(&stage, "users", "other:secret\n");
    stage.now_ns += 2 * NS_PER_S;
    assert_int_equal(check(&stage, USER_SECRET), RESULT_DENY);
    assert_int_equal(check(&stage, OTHER_SECRET), RESULT_OK);
    stage_close(&stage);
}

static void nobody_is_let_in_before_the_file_is_there(void **state)
{
    (void)state;
    struct stage stage;
    stage_folder(&stage);
    char yaml[256];
    snprintf(yaml, sizeof yaml, "htpasswd: {file: %s/users}\n", stage.folder);
    stage_open(&stage, "basicauth", yaml);
    assert_int_equal(stage.error_count, 0);
    assert_int_equal(check(&stage, USER_SECRET), RESULT_SHED);
    assert_int_equal(check(&stage, "Bearer x"), RESULT_DENY);
    write_file(&stage, "users", "user:secret\n");
    stage.now_ns += 2 * NS_PER_S;
    assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
    stage_close(&stage);
}

static void guesses_are_bounded_and_do_not_keep_the_known_out(void **state)
{
    (void)state;
    struct stage stage;
    // cost 9: some tens of milliseconds a try, more under a sanitizer
    open_users(&stage, "user:secret\n");
    stage_close(&stage);
    open_users(&stage, "fast:secret\n"
                       "user:$2b$09$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    unsigned shed = 0;
    for (unsigned i = 0; i < 1000 && shed == 0; i++) {
        char pair[64], value[128] = "Basic ";
        snprintf(pair, sizeof pair, "user:guess%03u", i);
        (void)EVP_EncodeBlock((uint8_t *)value + 6, (const uint8_t *)pair, (int)strlen(pair));
        enum result result = check(&stage, value);
        assert_true(result == RESULT_DENY || result == RESULT_SHED);
        shed += result == RESULT_SHED;
    }
    assert_int_equal(shed, 1);
    assert_int_equal(check(&stage, "Basic ZmFzdDpzZWNyZXQ="), RESULT_OK);  // fast:secret
    stage.now_ns += 60 * NS_PER_S;  // a minute pays for six seconds
    assert_int_equal(check(&stage, USER_WRONG), RESULT_DENY);
    stage_close(&stage);
}

static void inline_users_win_over_the_files(void **state)
{
    (void)state;
    struct stage stage;
    char yaml[256];
    stage_folder(&stage);
    write_file(&stage, "users", "user:wrong\nother:secret\n");
    snprintf(yaml, sizeof yaml, "htpasswd: {file: %s, inline: \"user:secret\"}\n", stage.path);
    stage_open(&stage, "basicauth", yaml);
    assert_int_equal(check(&stage, USER_SECRET), RESULT_OK);
    assert_int_equal(check(&stage, USER_WRONG), RESULT_DENY);
    assert_int_equal(check(&stage, OTHER_SECRET), RESULT_OK);
    stage_close(&stage);
}

static void a_token_is_compared_whole(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "Bearer",
        "Bearer ",
        "t0ken",
        "Bearer t0ke",
        "Bearer t0kens",
        "Bearer T0KEN",
        "Basic t0ken",
        "Bearert0ken",
        "Bearer t0ken,t",
        "Bearer t0ken t0ken",
    };
    struct stage stage = {.config = NULL};
    stage_open(&stage, "bearertokenauth", "token: t0ken\n");
    assert_int_equal(stage.error_count, 0);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (check(&stage, values[i]) != RESULT_DENY) {
            fail_msg("let in: \"%s\"", values[i]);
        }
    }
    assert_int_equal(check(&stage, "Bearer t0ken"), RESULT_OK);
    assert_int_equal(check(&stage, "bearer t0ken"), RESULT_OK);
    assert_string_equal(authenticator_header(stage.authenticator), "authorization");
    stage_close(&stage);
}

static void several_tokens_are_taken_and_the_first_is_shown(void **state)
{
    (void)state;
    struct stage stage = {.config = NULL};
    struct authenticator_fields fields = {.count = 0};
    stage_open(&stage, "bearertokenauth",
               "{scheme: \"\", header: X-Api-Key, tokens: [first-one, second-one]}\n");
    assert_int_equal(check(&stage, "first-one"), RESULT_OK);
    assert_int_equal(check(&stage, "second-one"), RESULT_OK);
    assert_int_equal(check(&stage, "third-one"), RESULT_DENY);
    assert_int_equal(check(&stage, "Bearer first-one"), RESULT_DENY);
    assert_int_equal(check(&stage, "first-one\nsecond-one"), RESULT_DENY);
    assert_string_equal(sent(&stage, NULL, "x-api-key", &fields), "first-one");
    stage_close(&stage);
}

static void a_rotated_token_is_shown_and_the_old_one_stays_while_the_file_is_away(void **state)
{
    (void)state;
    struct stage stage;
    struct authenticator_fields fields = {.count = 0};
    char yaml[256], text[64] = "failed with token-two in it";
    stage_folder(&stage);
    write_file(&stage, "token", "token-one\n");
    snprintf(yaml, sizeof yaml, "{token: ignored, filename: %s}\n", stage.path);
    stage_open(&stage, "bearertokenauth", yaml);
    assert_string_equal(sent(&stage, NULL, "authorization", &fields), "Bearer token-one");
    authenticator_fields_wipe(&fields);
    assert_int_equal(check(&stage, "Bearer ignored"), RESULT_DENY);
    write_file(&stage, "token", "token-two\ntoken-three\n");
    stage.now_ns += 2 * NS_PER_S;
    assert_string_equal(sent(&stage, NULL, "authorization", &fields), "Bearer token-two");
    authenticator_fields_wipe(&fields);
    assert_int_equal(check(&stage, "Bearer token-one"), RESULT_DENY);
    assert_int_equal(check(&stage, "Bearer token-three"), RESULT_OK);
    assert_int_equal(unlink(stage.path), 0);
    stage.now_ns += 2 * NS_PER_S;
    assert_string_equal(sent(&stage, NULL, "authorization", &fields), "Bearer token-two");
    authenticator_mask(stage.authenticator, NULL, text);
    assert_string_equal(text, "failed with ********* in it");
    stage_close(&stage);
}

static void a_client_without_its_files_says_so_instead_of_sending(void **state)
{
    (void)state;
    struct stage stage;
    struct authenticator_fields fields = {.count = 0};
    char yaml[256];
    stage_folder(&stage);
    snprintf(yaml, sizeof yaml, "client_auth: {username: user, password_file: %s/password}\n",
             stage.folder);
    stage_open(&stage, "basicauth", yaml);
    assert_int_equal(stage.error_count, 0);
    assert_int_equal(authenticator_apply(stage.authenticator, NULL, stage.now_ns, &fields),
                     RESULT_RETRY);
    write_file(&stage, "password", "secret\n");
    stage.now_ns += 2 * NS_PER_S;
    assert_string_equal(sent(&stage, NULL, "authorization", &fields), USER_SECRET);
    assert_int_equal(authenticator_roles(stage.authenticator), AUTHENTICATOR_CLIENT);
    stage_close(&stage);
}

static struct metadata *metadata_of(const char *key, const char *value)
{
    struct metadata *metadata = NULL;
    struct metadata_pair pair = {bytes_from_text(key), bytes_from_text(value)};
    assert_int_equal(metadata_make(&pair, 1, &metadata), RESULT_OK);
    return metadata;
}

static void headers_come_from_the_request_or_from_the_default_or_not_at_all(void **state)
{
    (void)state;
    struct stage stage = {.config = NULL};
    struct authenticator_fields fields = {.count = 0};
    stage_open(&stage, "headers_setter",
               "headers:\n"
               "  - {key: Authorization, from_context: Authorization}\n"
               "  - {key: x-tenant, from_context: X-Tenant, default_value: nobody}\n"
               "  - {key: x-fixed, value: fixed}\n");
    assert_int_equal(stage.error_count, 0);
    assert_null(sent(&stage, NULL, "authorization", &fields));
    fields.count = 0;
    assert_string_equal(sent(&stage, NULL, "x-tenant", &fields), "nobody");
    fields.count = 0;
    struct metadata *metadata = metadata_of("authorization", "Bearer of-the-agent");
    assert_string_equal(sent(&stage, metadata, "authorization", &fields), "Bearer of-the-agent");
    assert_string_equal(fields.items[fields.count - 1].value, "fixed");
    struct bytes keys[METADATA_PAIRS_MAX];
    struct authenticator *list[] = {stage.authenticator, stage.authenticator, NULL};
    assert_int_equal(authenticator_context_keys(list, keys), 2);
    assert_true(bytes_equal_text(keys[1], "x-tenant"));
    metadata_release(&metadata);
    stage_close(&stage);
}

static void actions_mean_what_they_say(void **state)
{
    (void)state;
    struct stage stage = {.config = NULL};
    stage_open(&stage, "headers_setter",
               "headers:\n"
               "  - {action: insert, key: a, value: new}\n"
               "  - {action: insert, key: b, value: new}\n"
               "  - {action: update, key: c, value: new}\n"
               "  - {action: update, key: d, value: new}\n"
               "  - {action: delete, key: E}\n");
    struct authenticator_fields fields = {
        .items = {{"A", "old"}, {"C", "old"}, {"e", "old"}, {"f", "old"}}, .count = 4};
    assert_null(sent(&stage, NULL, "d", &fields));
    assert_int_equal(fields.count, 4);
    assert_string_equal(fields.items[0].value, "old");
    assert_string_equal(fields.items[1].name, "f");
    assert_string_equal(fields.items[2].name, "b");
    assert_string_equal(fields.items[3].name, "c");
    assert_string_equal(fields.items[3].value, "new");
    stage_close(&stage);
}

static void an_authenticator_is_found_by_id_and_only_for_its_role(void **state)
{
    (void)state;
    struct stage stage = {.config = NULL};
    char why[256];
    struct authenticator *found = NULL;
    stage_open(&stage, "basicauth", "htpasswd: {inline: \"user:secret\"}\n");
    struct authenticator *list[] = {stage.authenticator, NULL};
    struct auth_config config = {.authenticator = BYTES_LITERAL("basicauth")};
    assert_int_equal(
        authenticator_bind(list, &config, AUTHENTICATOR_SERVER, &found, why, sizeof why),
        RESULT_OK);
    assert_ptr_equal(found, stage.authenticator);
    authenticator_release(&found);
    assert_int_equal(
        authenticator_bind(list, &config, AUTHENTICATOR_CLIENT, &found, why, sizeof why),
        RESULT_FAIL);
    assert_non_null(strstr(why, "not a client authenticator"));
    config.authenticator = BYTES_LITERAL("basicauth/2");
    assert_int_equal(
        authenticator_bind(list, &config, AUTHENTICATOR_SERVER, &found, why, sizeof why),
        RESULT_FAIL);
    assert_non_null(strstr(why, "authenticator not found"));
    assert_int_equal(
        authenticator_bind(NULL, &config, AUTHENTICATOR_SERVER, &found, why, sizeof why),
        RESULT_FAIL);
    config.authenticator = BYTES_NONE;
    assert_int_equal(
        authenticator_bind(NULL, &config, AUTHENTICATOR_SERVER, &found, why, sizeof why),
        RESULT_OK);
    assert_null(found);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_hash_lets_its_password_in_and_no_other),
        cmocka_unit_test(a_hash_is_no_password),
        cmocka_unit_test(malformed_basic_credentials_are_refused),
        cmocka_unit_test(a_header_of_any_length_is_refused_without_harm),
        cmocka_unit_test(a_changed_file_counts_within_a_second_and_a_bad_one_does_not),
        cmocka_unit_test(a_verified_slow_password_is_forgotten_when_the_file_changes),
        cmocka_unit_test(nobody_is_let_in_before_the_file_is_there),
        cmocka_unit_test(guesses_are_bounded_and_do_not_keep_the_known_out),
        cmocka_unit_test(inline_users_win_over_the_files),
        cmocka_unit_test(a_token_is_compared_whole),
        cmocka_unit_test(several_tokens_are_taken_and_the_first_is_shown),
        cmocka_unit_test(a_rotated_token_is_shown_and_the_old_one_stays_while_the_file_is_away),
        cmocka_unit_test(a_client_without_its_files_says_so_instead_of_sending),
        cmocka_unit_test(headers_come_from_the_request_or_from_the_default_or_not_at_all),
        cmocka_unit_test(actions_mean_what_they_say),
        cmocka_unit_test(an_authenticator_is_found_by_id_and_only_for_its_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
