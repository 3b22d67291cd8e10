// SPDX-License-Identifier: Apache-2.0
//
// Actions by what they make of a set of attributes, written as the YAML that an operator writes,
// and by the sentence with which a wrong one is refused.
#include "processor/attribute_action.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/scan.h"

static struct attribute_actions *actions_of(const char *yaml, struct buffer *told, unsigned *count)
{
    struct config *config;
    struct buffer source;
    buffer_init(&source, 1 << 16);
    buffer_init(told, 1 << 16);
    buffer_printf(&source, "yaml:actions: %s", yaml);
    const char *sources[] = {buffer_text(&source)};
    assert_int_equal(config_load(sources, 1, NULL, 0, &config, told, told), RESULT_OK);
    struct option_errors errors = {.out = told};
    struct attribute_actions *actions = attribute_actions_new(
        config_get(config_root(config), "actions"), "processors::attributes", "actions", &errors);
    *count = errors.count;
    config_free(&config);
    buffer_fini(&source);
    return actions;
}

// name=text, n=17, d=1.5, b=true, l=[] of each type, and two that are alike.
static void sample_write(struct buffer *out)
{
    attribute_write_text(out, SPAN_ATTRIBUTES, "name", BYTES_LITERAL("text"));
    attribute_write_int(out, SPAN_ATTRIBUTES, "n", 17);
    wire_write_varint(out, SPAN_KIND, 3);
    attribute_write_double(out, SPAN_ATTRIBUTES, "d", 1.5);
    attribute_write_bool(out, SPAN_ATTRIBUTES, "b", true);
    attribute_write_text(out, SPAN_ATTRIBUTES, "digits", BYTES_LITERAL("42"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "user.id", BYTES_LITERAL("u1"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "user.mail", BYTES_LITERAL("a@b"));
    const struct bytes list[] = {BYTES_LITERAL("x")};
    attribute_write_texts(out, SPAN_ATTRIBUTES, "l", list, 1);
}

// The changes as "key=JSON;", gone ones as "-key;".
static void changes_of(const char *yaml, struct buffer *out)
{
    struct buffer told, fields;
    unsigned count;
    struct bytes key, field;
    struct attribute_actions *actions = actions_of(yaml, &told, &count);
    if (actions == NULL) {
        fail_msg("%s: %s", yaml, buffer_text(&told));
    }
    buffer_init(&fields, 4096);
    buffer_init(out, 1 << 20);
    sample_write(&fields);
    struct attribute_changes *changes = attribute_changes_new();
    assert_true(attribute_changes_make(changes, actions, buffer_view(&fields), SPAN_ATTRIBUTES));
    while (attribute_changes_next(changes, &key, &field)) {
        struct any_view value;
        if (field.len == 0) {
            buffer_printf(out, "-%.*s;", BYTES_PRINTF(key));
            continue;
        }
        buffer_printf(out, "%.*s=", BYTES_PRINTF(key));
        char name[64];
        snprintf(name, sizeof name, "%.*s", BYTES_PRINTF(key));
        assert_true(attribute_find(field, SPAN_ATTRIBUTES, name, &value));
        buffer_append_text(out, value.kind == ANY_KIND_STRING ? "'" : "");
        any_write_json(&value, out);
        buffer_append_text(out, value.kind == ANY_KIND_STRING ? "';" : ";");
    }
    bool applies = attribute_actions_apply(actions, buffer_view(&fields), SPAN_ATTRIBUTES, 0);
    assert_true(applies || out->len == 0);  // what is said not to apply changes nothing
    attribute_changes_free(&changes);
    attribute_actions_free(&actions);
    buffer_fini(&fields);
    buffer_fini(&told);
}

static void assert_changes(const char *yaml, const char *expected)
{
    struct buffer out;
    changes_of(yaml, &out);
    if (strcmp(buffer_text(&out), expected) != 0) {
        fail_msg("%s:\n  got    %s\n  wanted %s", yaml, buffer_text(&out), expected);
    }
    buffer_fini(&out);
}

static void values_are_set_where_their_action_says(void **state)
{
    (void)state;
    assert_changes("[{key: new, value: x, action: insert}]", "new='x';");
    assert_changes("[{key: name, value: x, action: insert}]", "");
    assert_changes("[{key: new, value: x, action: update}]", "");
    assert_changes("[{key: name, value: x, action: UPDATE}]", "name='x';");
    assert_changes("[{key: new, value: x, action: upsert}, {key: n, value: 1, action: upsert}]",
                   "n=1;new='x';");
    assert_changes("[{key: name, value: text, action: upsert}]", "");
    assert_changes("[{key: n, value: 17, action: upsert}]", "");
    assert_changes("[{key: n, value: \"17\", action: upsert}]", "n='17';");
    assert_changes("[{key: a, value: 2.5, action: insert}, {key: c, value: false, action: insert},"
                   " {key: e, value: -3, action: insert}]",
                   "a=2.5;c=false;e=-3;");
}

static void values_come_from_other_attributes_with_their_type(void **state)
{
    (void)state;
    assert_changes("[{key: copy, from_attribute: n, action: insert}]", "copy=17;");
    assert_changes("[{key: copy, from_attribute: l, action: upsert}]", "copy=[\"x\"];");
    assert_changes("[{key: name, from_attribute: absent, action: upsert}]", "");
    assert_changes("[{key: name, from_attribute: n, action: update}]", "name=17;");
}

static void actions_run_in_order_each_on_what_the_last_one_left(void **state)
{
    (void)state;
    assert_changes(
        "[{key: copy, from_attribute: name, action: insert}, {key: name, action: delete}]",
        "-name;copy='text';");
    assert_changes(
        "[{key: name, action: delete}, {key: copy, from_attribute: name, action: insert}]",
        "-name;");
    assert_changes("[{key: t, value: x, action: insert}, {key: t, action: delete}]", "");
    assert_changes("[{key: name, action: delete}, {key: name, value: y, action: insert}]",
                   "name='y';");
    assert_changes("[{key: a, value: \"1\", action: insert}, {key: b2, from_attribute: a, action: "
                   "insert}, {key: a, value: \"2\", action: update}]",
                   "a='2';b2='1';");
    assert_changes("[{key: a, value: \"7\", action: insert}, {key: a, action: convert, "
                   "converted_type: int}]",
                   "a=7;");
}

static void deletes_go_by_key_and_by_pattern(void **state)
{
    (void)state;
    assert_changes("[{key: absent, action: delete}]", "");
    assert_changes("[{pattern: \"^user\\\\.\", action: delete}]", "-user.id;-user.mail;");
    assert_changes("[{key: n, pattern: mail, action: delete}]", "-n;-user.mail;");
}

static void hashes_are_sha256_in_hexadecimal(void **state)
{
    (void)state;
    assert_changes("[{key: name, action: hash}]",
                   "name='982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1';");
    // 17 as eight bytes, little-endian; true as one; a list as nothing
    assert_changes("[{key: n, action: hash}]",
                   "n='35e3a6176b50da27fcb868bf840f0e76290bd9bf55c40545e67bac66353d0674';");
    assert_changes("[{key: b, action: hash}]",
                   "b='4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a';");
    assert_changes("[{key: l, action: hash}, {key: absent, action: hash}]", "l='';");
    assert_changes("[{pattern: mail$, action: hash}]",
                   "user.mail='7508d8b5018ea640b85269861a101203f0c26900555268e930025dac844b0f35';");
}

static void groups_are_extracted_to_keys_of_their_names(void **state)
{
    (void)state;
    assert_changes("[{key: user.mail, pattern: \"^(?P<box>.*)@(?P<name>.*)$\", action: extract}]",
                   "name='b';box='a';");
    assert_changes("[{key: user.mail, pattern: \"(?P<box>nothing)\", action: extract}]", "");
    assert_changes("[{key: n, pattern: \"(?P<box>.*)\", action: extract}]", "");
    assert_changes("[{key: absent, pattern: \"(?P<box>.*)\", action: extract}]", "");
    // The subject is a new value, and one of the targets.
    assert_changes("[{key: t, value: one-two, action: insert}, {key: t, pattern: "
                   "\"^(?P<t>[a-z]+)-(?P<u>[a-z]+)(?P<v>x)?$\", action: extract}]",
                   "t='one';u='two';v='';");
}

static void types_are_converted_where_they_can_be(void **state)
{
    (void)state;
    assert_changes("[{key: digits, action: convert, converted_type: int}]", "digits=42;");
    assert_changes("[{key: digits, action: convert, converted_type: double}]", "digits=42;");
    assert_changes("[{key: n, action: convert, converted_type: string}]", "n='17';");
    assert_changes("[{key: b, action: convert, converted_type: int}]", "b=1;");
    assert_changes("[{key: d, action: convert, converted_type: int}]", "d=1;");
    assert_changes("[{key: l, action: convert, converted_type: string}]", "l='[\"x\"]';");
    assert_changes("[{key: name, action: convert, converted_type: int}]", "");
    assert_changes("[{key: l, action: convert, converted_type: int}]", "");
    assert_changes("[{key: n, action: convert, converted_type: int}]", "");
}

static void refused(const char *yaml, const char *part)
{
    struct buffer told;
    unsigned count;
    struct attribute_actions *actions = actions_of(yaml, &told, &count);
    if (actions != NULL || count != 1 || strstr(buffer_text(&told), part) == NULL) {
        fail_msg("%s: %u: %s", yaml, count, buffer_text(&told));
    }
    buffer_fini(&told);
}

static void wrong_actions_are_refused_in_one_line(void **state)
{
    (void)state;
    refused("", "'actions' must be a list of 1 to 100 actions");
    refused("[]", "'actions' must be a list");
    refused("{key: a}", "'actions' must be a list");
    refused("[{key: a, action: replace}]",
            "processors::attributes::actions[0]: 'action' must be one of");
    refused("[{key: a, value: b}]", "'action' must be one of");
    refused("[{value: b, action: insert}]", "'key' must be set");
    refused("[{action: delete}]", "'key' or 'pattern' must be set");
    refused("[{key: a, action: insert}]", "'value' or 'from_attribute' must be set");
    refused("[{key: a, value: b, from_attribute: c, action: upsert}]", "only one of");
    refused("[{key: a, from_context: metadata.x, action: insert}]", "'from_context'");
    refused("[{key: a, from_attribute: b, default_value: c, action: insert}]", "'default_value'");
    refused("[{key: a, value: b, action: delete}]", "action \"delete\" does not use 'value'");
    refused("[{key: a, value: b, pattern: c, action: insert}]", "does not use 'pattern'");
    refused("[{key: a, value: b, converted_type: int, action: insert}]", "'converted_type'");
    refused("[{key: a, action: convert}]", "'converted_type' must be one of");
    refused("[{key: a, action: convert, converted_type: bool}]", "'converted_type' must be one");
    refused("[{key: a, action: extract}]", "'pattern' must be set");
    refused("[{key: a, pattern: \"(\", action: extract}]", "'pattern': missing");
    refused("[{key: a, pattern: \"(x)\", action: extract}]", "group without a name");
    refused("[{key: a, pattern: x, action: extract}]", "1 to 7 named groups");
    refused("[{pattern: \"[\", action: delete}]", "'pattern'");
    refused("[{key: a, value: [1, 2], action: insert}]", "'value' must be a string");
    refused("[{key: a, valu: b, action: insert}]", "has invalid keys: valu");
    refused("[{key: ok, action: delete}, {key: a, action: nope}]", "actions[1]");
}

static void more_attributes_than_are_looked_at_make_no_changes(void **state)
{
    (void)state;
    struct buffer told, fields;
    unsigned count;
    struct bytes key, field;
    struct attribute_actions *actions = actions_of("[{key: k3, action: delete}]", &told, &count);
    struct attribute_changes *changes = attribute_changes_new();
    buffer_init(&fields, 1 << 20);
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%u", i);
        attribute_write_int(&fields, SPAN_ATTRIBUTES, name, i);
    }
    assert_false(attribute_changes_make(changes, actions, buffer_view(&fields), SPAN_ATTRIBUTES));
    assert_false(attribute_changes_next(changes, &key, &field));
    assert_true(attribute_changes_make(changes, actions, bytes_slice(buffer_view(&fields), 0, 55),
                                       SPAN_ATTRIBUTES));
    assert_true(attribute_changes_next(changes, &key, &field));
    assert_true(bytes_equal_text(key, "k3") && field.len == 0);
    attribute_changes_free(&changes);
    attribute_actions_free(&actions);
    buffer_fini(&fields);
    buffer_fini(&told);
}

static void a_key_that_comes_twice_counts_by_its_last_value(void **state)
{
    (void)state;
    struct buffer told, fields;
    unsigned count;
    struct bytes key, field;
    struct attribute_actions *actions =
        actions_of("[{key: copy, from_attribute: k, action: insert}]", &told, &count);
    struct attribute_changes *changes = attribute_changes_new();
    struct any_view value;
    buffer_init(&fields, 4096);
    attribute_write_int(&fields, LOG_ATTRIBUTES, "k", 1);
    attribute_write_int(&fields, LOG_ATTRIBUTES, "k", 2);
    assert_true(attribute_changes_make(changes, actions, buffer_view(&fields), LOG_ATTRIBUTES));
    assert_true(attribute_changes_next(changes, &key, &field));
    assert_true(attribute_find(field, LOG_ATTRIBUTES, "copy", &value));
    assert_int_equal(value.number, 2);
    assert_false(attribute_changes_next(changes, &key, &field));
    attribute_changes_free(&changes);
    attribute_actions_free(&actions);
    buffer_fini(&fields);
    buffer_fini(&told);
}

static void key_heads_say_what_is_absent(void **state)
{
    (void)state;
    struct buffer told, fields;
    unsigned count;
    struct attribute_actions *actions =
        actions_of("[{key: user.id, action: delete}]", &told, &count);
    buffer_init(&fields, 4096);
    sample_write(&fields);
    uint64_t present = item_key_head('u', 's');
    assert_true(attribute_actions_apply(actions, buffer_view(&fields), SPAN_ATTRIBUTES, present));
    assert_true(attribute_actions_apply(actions, buffer_view(&fields), SPAN_ATTRIBUTES, 0));
    assert_false(attribute_actions_apply(actions, buffer_view(&fields), SPAN_ATTRIBUTES, ~present));
    attribute_actions_free(&actions);
    buffer_fini(&fields);
    buffer_fini(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_set_where_their_action_says),
        cmocka_unit_test(values_come_from_other_attributes_with_their_type),
        cmocka_unit_test(actions_run_in_order_each_on_what_the_last_one_left),
        cmocka_unit_test(deletes_go_by_key_and_by_pattern),
        cmocka_unit_test(hashes_are_sha256_in_hexadecimal),
        cmocka_unit_test(groups_are_extracted_to_keys_of_their_names),
        cmocka_unit_test(types_are_converted_where_they_can_be),
        cmocka_unit_test(wrong_actions_are_refused_in_one_line),
        cmocka_unit_test(more_attributes_than_are_looked_at_make_no_changes),
        cmocka_unit_test(a_key_that_comes_twice_counts_by_its_last_value),
        cmocka_unit_test(key_heads_say_what_is_absent),
    };
    return cmocka_run_group_tests_name("attribute_action", tests, NULL, NULL);
}
