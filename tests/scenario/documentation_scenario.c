// SPDX-License-Identifier: Apache-2.0
//
// What the documents say is asked of the program: every configuration in README.md and deploy/
// validates, and every metric, path, key, variable and command that they name is there. README's
// first block is a whole configuration, each later one is laid on top of it. Words are recognised
// by their looks (`metric_name`, `/path`, `key: value`, VARIABLE), and what looks like a key and is
// none stands in one list below.
//
// Refused: comparing texts with the option tables by hand-written lists, which would be a second
// document to keep. Bounds: those of the harness. One thread.

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/config.h"
#include "base/file.h"
#include "tests/scenario/harness.h"

#define ROOT SIDEJUDGE_FIXTURES "/../../"
#define TEXT_MAX ((size_t)1 << 20)
#define BLOCK_MAX 16384
#define DRAIN "/-/drain"

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *const manifests[] = {ROOT "deploy/kubernetes/sidecar-patch.yaml",
                                        ROOT "deploy/kubernetes/sidecar-storage-patch.yaml"};

static void document_read(const char *path, struct buffer *text)
{
    buffer_init(text, TEXT_MAX);
    if (file_read(path, text) != RESULT_OK) {
        fail_msg("cannot read %s", path);
    }
}

// What a configuration of a document needs around it.
static void environment_set(struct harness *harness)
{
    harness_variable(harness, "ANTHROPIC_API_KEY", "sk-scenario");
    harness_variable(harness, "LANGFUSE_PUBLIC_KEY", "pk-scenario");
    harness_variable(harness, "LANGFUSE_SECRET_KEY", "sk-scenario");
    harness_variable(harness, "LANGFUSE_BASE_URL", "http://127.0.0.1:9");
    harness_variable(harness, "AGENT_TOKEN", "token-scenario");
}

// A command must end with status 0; `out` is what it said, for the caller to free.
static void succeed(struct harness *harness, const char *const *arguments, struct buffer *out)
{
    if (harness_command(harness, arguments, out) != 0) {
        fail_msg("%s of a document's text fails:\n%s", arguments[0], buffer_text(out));
    }
}

static void validate(struct harness *harness, const char *const *arguments)
{
    struct buffer out;
    succeed(harness, arguments, &out);
    buffer_fini(&out);
}

// --- configurations ---

// The next block fenced as yaml at or behind `from`; where to go on, NULL: no more.
static const char *fenced_next(const char *from, char block[BLOCK_MAX])
{
    const char *start = strstr(from, "```yaml\n");
    if (start == NULL) {
        return NULL;
    }
    start += strlen("```yaml\n");
    const char *end = strstr(start, "```");
    assert_non_null(end);
    snprintf(block, BLOCK_MAX, "%.*s", (int)(end - start), start);
    return end + strlen("```");
}

// The lines behind `head` that are indented further than `indent`, that much and the first one's
// own taken off.
static void indented_after(const char *text, const char *head, char block[BLOCK_MAX])
{
    const char *at = strstr(text, head);
    assert_non_null(at);
    at = strchr(at, '\n');
    assert_non_null(at);
    at++;
    size_t indent = strspn(at, " "), len = 0;
    assert_true(indent > 0);
    while (strspn(at, " ") >= indent && *at != '\0') {
        const char *end = strchr(at, '\n');
        size_t line = end != NULL ? (size_t)(end - at) + 1 : strlen(at);
        assert_true(len + line < BLOCK_MAX);
        memcpy(block + len, at + indent, line - indent);
        len += line - indent;
        at += line;
    }
    block[len] = '\0';
}

static void every_configuration_of_the_readme_validates(void **state)
{
    struct harness *harness = *state;
    struct buffer readme;
    char block[BLOCK_MAX], name[32], first[128] = "";
    unsigned count = 0;
    environment_set(harness);
    document_read(ROOT "README.md", &readme);
    for (const char *at = fenced_next(buffer_text(&readme), block); at != NULL;
         at = fenced_next(at, block)) {
        snprintf(name, sizeof(name), "block%u.yaml", count++);
        const char *path = harness_file(harness, name, block);
        if (first[0] == '\0') {
            snprintf(first, sizeof(first), "%s", path);
            validate(harness, TEXTS("validate", "--config", first));
        } else {
            validate(harness, TEXTS("validate", "--config", first, "--config", path));
        }
    }
    assert_in_range(count, 3, 20);
    buffer_fini(&readme);
}

static void the_configurations_of_the_manifests_validate(void **state)
{
    struct harness *harness = *state;
    char block[BLOCK_MAX];
    environment_set(harness);
    for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
        struct buffer text;
        document_read(manifests[i], &text);
        indented_after(strstr(buffer_text(&text), "name: SIDEJUDGE_CONFIG\n"), "value: |\n", block);
        harness_variable(harness, "SIDEJUDGE_CONFIG", block);
        validate(harness, TEXTS("validate", "--config=env:SIDEJUDGE_CONFIG"));
        buffer_fini(&text);
    }
}

static void the_operators_configuration_validates(void **state)
{
    struct harness *harness = *state;
    struct buffer text;
    char block[BLOCK_MAX];
    environment_set(harness);
    document_read(ROOT "deploy/operator/collector.yaml", &text);
    indented_after(buffer_text(&text), "\n  config:\n" + 1, block);
    harness_variable(harness, "OTEL_CONFIG", block);
    validate(harness, TEXTS("validate", "--config=env:OTEL_CONFIG"));
    buffer_fini(&text);
}

static void the_manifests_are_yaml(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
        struct buffer errors;
        struct config *config = NULL;
        buffer_init(&errors, TEXT_MAX);
        if (config_load(&manifests[i], 1, NULL, 0, &config, &errors, NULL) != RESULT_OK) {
            fail_msg("%s", buffer_text(&errors));
        }
        assert_non_null(config_get(config_root(config), "spec"));
        config_free(&config);
        buffer_fini(&errors);
    }
}

// --- names ---

// Starts what has everything that the documents speak of: a journal, a sink, our endpoints.
static void start_whole(struct harness *harness)
{
    environment_set(harness);
    harness_start_yaml(harness,
                       "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
                       "processors: {evaluation: }\n"
                       "extensions: {health_check: {endpoint: \"127.0.0.1:0\"}, file_storage: "
                       "{directory: %s/journal, create_directory: true}}\n"
                       "exporters: {langfuse: {sending_queue: {storage: file_storage}}}\n"
                       "service: {extensions: [health_check, file_storage], pipelines: {traces: "
                       "{receivers: [otlp], processors: [evaluation], exporters: [langfuse]}}}\n",
                       harness->folder);
}

static bool overload_is_told(void *arg)
{
    return harness_metric(arg, "sidejudge_overload_level", "") >= 0;
}

static size_t word_len(const char *at)
{
    size_t len = 0;
    while (isalnum((unsigned char)at[len]) || at[len] == '_') {
        len++;
    }
    return len;
}

// Every word of `path` that begins with `prefix` is a metric of the running program. Those that
// appear with their first event are named by `born_late`.
static unsigned metrics_check(struct harness *harness, const char *path, const char *prefix,
                              const char *born_late)
{
    struct buffer text;
    unsigned count = 0;
    document_read(path, &text);
    for (const char *at = strstr(buffer_text(&text), prefix); at != NULL; at = strstr(at, prefix)) {
        char name[128];
        size_t len = word_len(at);
        snprintf(name, sizeof(name), "%.*s", (int)len, at);
        if (at[-1] != '/' && at[len] != '.' && strcmp(name, born_late) != 0) {
            count++;
            if (harness_metric(harness, name, "") < 0) {
                fail_msg("%s names the metric %s, which is not there", path, name);
            }
        }
        at += len;
    }
    buffer_fini(&text);
    return count;
}

static void every_metric_that_is_named_is_there(void **state)
{
    struct harness *harness = *state;
    unsigned count = 0;
    start_whole(harness);
    harness_wait(harness, overload_is_told, harness, HARNESS_PATIENCE_S, "the overload level");
    count += metrics_check(harness, ROOT "README.md", "sidejudge_", "");
    count += metrics_check(harness, ROOT "README.md", "otelcol_", "");
    count += metrics_check(harness, ROOT "deploy/prometheus/rules.yaml", "sidejudge_",
                           "sidejudge_loop_requests_total");
    assert_true(count >= 12);
    harness_stop(harness);
}

// A path of the program's own, on the one port or on the other. The health port answers any path
// while its own is /, with a text that tells.
static void path_check(struct harness *harness, const char *path)
{
    if (strcmp(path, DRAIN) == 0) {
        return;  // asked last: what drains is not ready
    }
    struct harness_reply health = harness_get(harness, harness->health_port, path);
    bool is_own = health.status == 200 && strstr(health.body, "Server available") == NULL;
    if (!is_own && harness_get(harness, harness->api_port, path).status != 200) {
        fail_msg("%s is named and does not answer with 200", path);
    }
}

static void every_path_that_is_named_answers(void **state)
{
    struct harness *harness = *state;
    struct buffer text;
    unsigned count = 0;
    start_whole(harness);
    document_read(manifests[0], &text);
    for (const char *at = strstr(buffer_text(&text), " path: "); at != NULL;
         at = strstr(at, " path: ")) {
        char path[128];
        at += strlen(" path: ");
        snprintf(path, sizeof(path), "%.*s", (int)strcspn(at, " \n"), at);
        path_check(harness, path);
        count++;
    }
    assert_int_equal(count, 3);
    buffer_fini(&text);
    document_read(ROOT "README.md", &text);
    for (const char *at = strchr(buffer_text(&text), '`'); at != NULL; at = strchr(at + 1, '`')) {
        const char *path = at[1] == '/' ? at + 1 : NULL;
        if (path != NULL) {
            char copy[128];
            snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(path, "` \n"), path);
            path_check(harness, copy);
            count++;
        }
    }
    assert_true(count >= 6);
    buffer_fini(&text);
    struct harness_reply reply = harness_get(harness, harness->health_port, DRAIN);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "draining\n");
    harness_stop(harness);
}

// What stands in backticks and looks like a key, but is a word of something else.
static bool is_other_word(const char *word)
{
    static const char *const words[] = {"sidejudge", "emptyDir", "preStop", "healthcheck"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

// `key`, ::key` or a type's heading in the list of all keys; or a command of the help.
static bool is_known(const char *keys, const char *help, const char *word)
{
    char forms[4][96];
    snprintf(forms[0], sizeof(forms[0]), "`%.80s`", word);
    snprintf(forms[1], sizeof(forms[1]), "::%.80s`", word);
    snprintf(forms[2], sizeof(forms[2]), "\n### %.80s\n", word);
    snprintf(forms[3], sizeof(forms[3]), "\n  sidejudge %.60s ", word);
    for (size_t i = 0; i < 3; i++) {
        if (strstr(keys, forms[i]) != NULL) {
            return true;
        }
    }
    return strstr(help, forms[3]) != NULL;
}

// One text between backticks: `key`, `key: value` or `key: a | b`.
static unsigned quoted_check(const char *keys, const char *help, const char *text, size_t len)
{
    char word[96];
    size_t word_end = word_len(text);
    snprintf(word, sizeof(word), "%.*s", (int)word_end, text);
    bool has_value = word_end + 1 < len && text[word_end] == ':' && text[word_end + 1] == ' ';
    if (word_end == 0 || !islower((unsigned char)text[0]) || (word_end < len && !has_value) ||
        strncmp(word, "sidejudge_", 10) == 0 || strncmp(word, "otelcol_", 8) == 0 ||
        is_other_word(word)) {
        return 0;
    }
    if (!is_known(keys, help, word)) {
        fail_msg("README.md names `%s`, which is no key, type or value of this build", word);
    }
    return 1;
}

static void every_key_that_the_readme_names_is_there(void **state)
{
    struct harness *harness = *state;
    struct buffer keys, help, readme;
    unsigned count = 0;
    succeed(harness, TEXTS("components", "--markdown"), &keys);
    succeed(harness, TEXTS("help"), &help);
    document_read(ROOT "README.md", &readme);
    const char *at = buffer_text(&readme);
    while ((at = strchr(at, '`')) != NULL) {
        if (strncmp(at, "```", 3) == 0) {
            at = strstr(at + 3, "```");
            assert_non_null(at);
            at += 3;
            continue;
        }
        size_t len = strcspn(at + 1, "`\n");
        count += quoted_check(buffer_text(&keys), buffer_text(&help), at + 1, len);
        at += 1 + len + (at[1 + len] == '`');
    }
    assert_true(count >= 20);
    buffer_fini(&keys);
    buffer_fini(&help);
    buffer_fini(&readme);
}

static void every_command_that_the_readme_names_is_there(void **state)
{
    struct harness *harness = *state;
    struct buffer help, readme;
    unsigned count = 0;
    succeed(harness, TEXTS("help"), &help);
    document_read(ROOT "README.md", &readme);
    static const char *const heads[] = {"`sidejudge ", "    sidejudge "};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (const char *at = strstr(buffer_text(&readme), heads[i]); at != NULL;
             at = strstr(at, heads[i])) {
            char line[96];
            at += strlen(heads[i]);
            snprintf(line, sizeof(line), "  sidejudge %.*s ", (int)strcspn(at, " `\n"), at);
            if (islower((unsigned char)*at)) {
                count++;
                if (strstr(buffer_text(&help), line) == NULL) {
                    fail_msg("README.md names%s, which --help does not", line);
                }
            }
        }
    }
    assert_true(count >= 3);
    buffer_fini(&help);
    buffer_fini(&readme);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_configuration_of_the_readme_validates),
        TEST(the_configurations_of_the_manifests_validate),
        TEST(the_operators_configuration_validates),
        TEST(the_manifests_are_yaml),
        TEST(every_metric_that_is_named_is_there),
        TEST(every_path_that_is_named_answers),
        TEST(every_key_that_the_readme_names_is_there),
        TEST(every_command_that_the_readme_names_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
