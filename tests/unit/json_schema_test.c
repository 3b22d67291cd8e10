// SPDX-License-Identifier: Apache-2.0
/*
 * Schemas: rows of (schema, value, fault), and schemas that must not compile.
 */
#include "base/json_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct json_schema *compile(const char *text)
{
    struct json_schema *schema = NULL;
    char why[256] = "";
    if (json_schema_compile(bytes_from_text(text), &schema, why, sizeof why) != RESULT_OK) {
        fail_msg("%s: %s", text, why);
    }
    return schema;
}

// `fault` NULL: conforms.
static void assert_checks(const char *schema_text, const char *value_text, const char *fault)
{
    struct json_schema *schema = compile(schema_text);
    struct json_document *value = NULL;
    char why[256] = "";
    assert_int_equal(json_parse(bytes_from_text(value_text), &value, NULL), RESULT_OK);
    bool sound = json_schema_check(schema, json_root(value), why, sizeof why);
    if (sound != (fault == NULL) || (fault != NULL && strcmp(why, fault) != 0)) {
        fail_msg("%s on %s: \"%s\"", schema_text, value_text, why);
    }
    json_free(&value);
    json_schema_free(&schema);
    assert_null(schema);
}

static void types_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *type, *good, *bad;
    } rows[] = {
        {"\"string\"", "\"x\"", "1"},    {"\"integer\"", "1", "1.5"},
        {"\"integer\"", "1.0", "\"1\""}, {"\"number\"", "1", "\"1\""},
        {"\"number\"", "1.5", "true"},   {"\"boolean\"", "false", "0"},
        {"\"null\"", "null", "0"},       {"\"array\"", "[]", "{}"},
        {"\"object\"", "{}", "[]"},      {"[\"string\",\"null\"]", "null", "1"},
        {"\"integer\"", "-3", "1e400"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char schema[64];
        snprintf(schema, sizeof schema, "{\"type\":%s}", rows[i].type);
        assert_checks(schema, rows[i].good, NULL);
        assert_checks(schema, rows[i].bad, "$: wrong type");
    }
}

static void values_are_compared(void **state)
{
    (void)state;
    assert_checks("{\"enum\":[\"a\",1,null]}", "null", NULL);
    assert_checks("{\"enum\":[\"a\",1,null]}", "1.0", NULL);
    assert_checks("{\"enum\":[\"a\",1]}", "\"b\"", "$: none of the allowed values");
    assert_checks("{\"const\":{\"a\":[1]}}", "{\"a\":[1]}", NULL);
    assert_checks("{\"const\":null}", "false", "$: not the one allowed value");
}

static void numbers_and_lengths_have_bounds(void **state)
{
    (void)state;
    assert_checks("{\"minimum\":0,\"maximum\":1}", "0", NULL);
    assert_checks("{\"minimum\":0,\"maximum\":1}", "1.0", NULL);
    assert_checks("{\"minimum\":0,\"maximum\":1}", "-0.1", "$: less than the minimum 0");
    assert_checks("{\"minimum\":0,\"maximum\":1}", "2", "$: more than the maximum 1");
    assert_checks("{\"minimum\":0}", "\"text\"", NULL);
    assert_checks("{\"minLength\":2,\"maxLength\":3}", "\"\xc3\xa9\xc3\xa9\xc3\xa9\"", NULL);
    assert_checks("{\"minLength\":2}", "\"\xc3\xa9\"", "$: shorter than 2 characters");
    assert_checks("{\"maxLength\":0}", "\"x\"", "$: longer than 0 characters");
    assert_checks("{\"minItems\":1,\"maxItems\":2}", "[1,2]", NULL);
    assert_checks("{\"minItems\":1}", "[]", "$: fewer than 1 items");
    assert_checks("{\"maxItems\":1}", "[1,2]", "$: more than 1 items");
}

static void objects_are_checked_by_property(void **state)
{
    (void)state;
    const char *schema = "{\"type\":\"object\",\"required\":[\"reason\",\"score\"],"
                         "\"additionalProperties\":false,\"properties\":{"
                         "\"reason\":{\"type\":\"string\"},"
                         "\"score\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5}}}";
    assert_checks(schema, "{\"reason\":\"x\",\"score\":5}", NULL);
    assert_checks(schema, "{\"reason\":\"x\"}", "$: missing property \"score\"");
    assert_checks(schema, "{\"reason\":\"x\",\"score\":6}", "$.score: more than the maximum 5");
    assert_checks(schema, "{\"reason\":null,\"score\":5}", "$.reason: wrong type");
    assert_checks(schema, "{\"reason\":\"x\",\"score\":5,\"y\":1}", "$: unexpected property \"y\"");
    assert_checks("{\"required\":[\"a\"]}", "{\"a\":null}", NULL);
    assert_checks("{\"additionalProperties\":false}", "{\"a\":1}", "$: unexpected property \"a\"");
    assert_checks("{\"additionalProperties\":true}", "{\"a\":1}", NULL);
}

static void items_are_checked_with_their_path(void **state)
{
    (void)state;
    const char *schema = "{\"items\":{\"properties\":{\"v\":{\"items\":{\"type\":\"number\"}}}}}";
    assert_checks(schema, "[{\"v\":[1,2]},{}]", NULL);
    assert_checks(schema, "[{},{\"v\":[1,2,\"x\"]}]", "$[1].v[2]: wrong type");
}

static void patterns_search_unanchored(void **state)
{
    (void)state;
    assert_checks("{\"pattern\":\"b+\"}", "\"abbc\"", NULL);
    assert_checks("{\"pattern\":\"^b\"}", "\"ab\"", "$: does not match the pattern ^b");
    assert_checks("{\"pattern\":\"^(a+)+$\"}", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"",
                  "$: does not match the pattern ^(a+)+$ within the limits");
}

static void booleans_are_schemas(void **state)
{
    (void)state;
    assert_checks("true", "{\"any\":1}", NULL);
    assert_checks("false", "1", "$: nothing is allowed here");
    assert_checks("{\"properties\":{\"a\":false}}", "{\"b\":1}", NULL);
    assert_checks("{\"properties\":{\"a\":false}}", "{\"a\":1}", "$.a: nothing is allowed here");
    assert_checks("{\"items\":true}", "[1]", NULL);
}

static void annotations_are_passed_over(void **state)
{
    (void)state;
    assert_checks("{\"$schema\":\"x\",\"$id\":\"y\",\"title\":\"t\",\"description\":\"d\","
                  "\"default\":1,\"examples\":[2],\"$comment\":\"c\"}",
                  "\"anything\"", NULL);
}

static void unsound_schemas_do_not_compile(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"{\"oneOf\":[]}", "the keyword \"oneOf\" is not supported"},
        {"{\"properties\":{\"a\":{\"$ref\":\"#\"}}}", "the keyword \"$ref\" is not supported"},
        {"{\"items\":{\"format\":\"date\"}}", "the keyword \"format\" is not supported"},
        {"{\"type\":\"text\"}", "\"type\" names no JSON type"},
        {"{\"type\":5}", "\"type\" names no JSON type"},
        {"{\"type\":[]}", "\"type\" is an empty list"},
        {"{\"enum\":[]}", "\"enum\" must be a list with something in it"},
        {"{\"properties\":[]}", "\"properties\" must be an object"},
        {"{\"required\":\"a\"}", "\"required\" must be a list of strings"},
        {"{\"required\":[1]}", "\"required\" must be a list of strings"},
        {"{\"additionalProperties\":{}}",
         "\"additionalProperties\" may only be true or false here"},
        {"{\"minimum\":\"0\"}", "\"minimum\" must be a number"},
        {"{\"minLength\":-1}", "\"minLength\" must be an integer from 0 up"},
        {"{\"maxItems\":1.5}", "\"maxItems\" must be an integer from 0 up"},
        {"{\"pattern\":1}", "\"pattern\" must be a string"},
        {"{\"pattern\":\"a\\u0000b\"}", "\"pattern\" must be a string"},
        {"{\"items\":[{}]}", "a schema must be an object, true or false"},
        {"5", "a schema must be an object, true or false"},
        {"null", "a schema must be an object, true or false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_schema *schema = NULL;
        char why[256] = "";
        assert_int_equal(
            json_schema_compile(bytes_from_text(rows[i].text), &schema, why, sizeof why),
            RESULT_REJECT);
        assert_string_equal(why, rows[i].why);
        assert_null(schema);
    }
}

static void texts_that_are_no_json_do_not_compile(void **state)
{
    (void)state;
    struct json_schema *schema = NULL;
    char why[8] = "";
    assert_int_equal(json_schema_compile(BYTES_LITERAL("{"), &schema, why, sizeof why),
                     RESULT_REJECT);
    assert_int_equal(strlen(why), sizeof why - 1);  // cut, with its NUL
    assert_int_equal(json_schema_compile(BYTES_LITERAL("{\"pattern\":\"(\",\"pattern\":\"(\"}"),
                                         &schema, why, sizeof why),
                     RESULT_REJECT);
    json_schema_free(&schema);
}

static void long_paths_are_cut(void **state)
{
    (void)state;
    struct buffer schema;
    struct buffer value;
    buffer_init(&schema, 1 << 16);
    buffer_init(&value, 1 << 16);
    for (int i = 0; i < 30; i++) {
        buffer_append_text(&schema, "{\"properties\":{\"a_rather_long_name\":");
        buffer_append_text(&value, "{\"a_rather_long_name\":");
    }
    buffer_append_text(&schema, "false");
    buffer_append_text(&value, "1");
    for (int i = 0; i < 30; i++) {
        buffer_append_text(&schema, "}}");
        buffer_append_text(&value, "}");
    }
    struct json_schema *compiled = compile(buffer_text(&schema));
    struct json_document *document = NULL;
    char why[64] = "";
    assert_int_equal(json_parse(buffer_view(&value), &document, NULL), RESULT_OK);
    assert_false(json_schema_check(compiled, json_root(document), why, sizeof why));
    assert_int_equal(strlen(why), sizeof why - 1);
    json_free(&document);
    json_schema_free(&compiled);
    buffer_fini(&schema);
    buffer_fini(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_checked),
        cmocka_unit_test(values_are_compared),
        cmocka_unit_test(numbers_and_lengths_have_bounds),
        cmocka_unit_test(objects_are_checked_by_property),
        cmocka_unit_test(items_are_checked_with_their_path),
        cmocka_unit_test(patterns_search_unanchored),
        cmocka_unit_test(booleans_are_schemas),
        cmocka_unit_test(annotations_are_passed_over),
        cmocka_unit_test(unsound_schemas_do_not_compile),
        cmocka_unit_test(texts_that_are_no_json_do_not_compile),
        cmocka_unit_test(long_paths_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
