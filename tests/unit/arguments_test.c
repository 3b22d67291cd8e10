// SPDX-License-Identifier: Apache-2.0
//
// The command line as the Collector's users and its Operator write it.

#include "service/arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int run_nothing(struct arguments *arguments)
{
    (void)arguments;
    return 0;
}

const struct command commands[] = {
    {"", "", "run", run_nothing},
    {"validate", "", "check", run_nothing},
    {"explain", "TRACE_ID", "why", run_nothing},
    {"version", "", "version", run_nothing},
    {"help", "", "help", run_nothing},
    {0},
};

static struct arguments arguments;
static char why[256];

#define PARSE(...) parse((char *const[]){"sidejudge", __VA_ARGS__, NULL})

static enum result parse(char *const *argv)
{
    int argc = 0;
    while (argv[argc] != NULL) {
        argc++;
    }
    why[0] = '\0';
    return arguments_parse(argc, argv, &arguments, why, sizeof(why));
}

static void nothing_is_the_run_from_the_environment(void **state)
{
    (void)state;
    assert_int_equal(parse((char *const[]){"sidejudge", NULL}), RESULT_OK);
    assert_ptr_equal(arguments.command, &commands[0]);
    assert_int_equal(arguments.config_count, 0);
    assert_string_equal(arguments.api, "localhost:13134");
}

static void config_repeats_in_both_forms_and_keeps_its_order(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--config=a.yaml", "--config", "env:OTEL_CONFIG"), RESULT_OK);
    assert_int_equal(arguments.config_count, 2);
    assert_string_equal(arguments.configs[0], "a.yaml");
    assert_string_equal(arguments.configs[1], "env:OTEL_CONFIG");
}

static void set_keeps_everything_behind_its_first_equal_sign(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--set=a.b=c=d"), RESULT_OK);
    assert_string_equal(arguments.sets[0], "a.b=c=d");
}

static void feature_gates_are_accepted(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--feature-gates=+a,-b", "--config=x"), RESULT_OK);
    assert_int_equal(arguments.config_count, 1);
}

static void flags_may_stand_on_either_side_of_the_command(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--config=a", "validate", "--set=b=c"), RESULT_OK);
    assert_string_equal(arguments.command->name, "validate");
    assert_int_equal(arguments.config_count + arguments.set_count, 2);
}

static void single_dash_is_a_flag_as_in_go(void **state)
{
    (void)state;
    assert_int_equal(PARSE("-config=a"), RESULT_OK);
    assert_int_equal(arguments.config_count, 1);
}

static void version_and_help_win_over_what_follows(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--version", "nonsense"), RESULT_OK);
    assert_string_equal(arguments.command->name, "version");
    assert_int_equal(PARSE("validate", "-h"), RESULT_OK);
    assert_string_equal(arguments.command->name, "help");
}

static void boolean_flag_can_be_switched_off(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--strict"), RESULT_OK);
    assert_true(arguments.strict);
    assert_int_equal(PARSE("--strict=false"), RESULT_OK);
    assert_false(arguments.strict);
}

static void unknown_flag_is_named(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--confg=a"), RESULT_REJECT);
    assert_non_null(strstr(why, "unknown flag: --confg=a"));
}

static void unknown_command_is_named(void **state)
{
    (void)state;
    assert_int_equal(PARSE("validat"), RESULT_REJECT);
    assert_non_null(strstr(why, "unknown command \"validat\""));
}

static void flag_without_its_value_is_refused(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--config"), RESULT_REJECT);
    assert_non_null(strstr(why, "needs an argument: --config"));
}

static void operand_that_is_missing_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(PARSE("explain"), RESULT_REJECT);
    assert_non_null(strstr(why, "explain TRACE_ID"));
}

static void operand_too_many_is_refused(void **state)
{
    (void)state;
    assert_int_equal(PARSE("explain", "a", "b"), RESULT_REJECT);
    assert_int_equal(PARSE("validate", "a"), RESULT_REJECT);
}

static void hundred_and_one_configs_are_too_many(void **state)
{
    (void)state;
    char *argv[ARGUMENTS_SOURCES_MAX + 3] = {"sidejudge"};
    for (int i = 1; i <= ARGUMENTS_SOURCES_MAX; i++) {
        argv[i] = "--config=a";
    }
    assert_int_equal(parse(argv), RESULT_OK);
    argv[ARGUMENTS_SOURCES_MAX + 1] = "--config=a";
    assert_int_equal(parse(argv), RESULT_REJECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_the_run_from_the_environment),
        cmocka_unit_test(config_repeats_in_both_forms_and_keeps_its_order),
        cmocka_unit_test(set_keeps_everything_behind_its_first_equal_sign),
        cmocka_unit_test(feature_gates_are_accepted),
        cmocka_unit_test(flags_may_stand_on_either_side_of_the_command),
        cmocka_unit_test(single_dash_is_a_flag_as_in_go),
        cmocka_unit_test(version_and_help_win_over_what_follows),
        cmocka_unit_test(boolean_flag_can_be_switched_off),
        cmocka_unit_test(unknown_flag_is_named),
        cmocka_unit_test(unknown_command_is_named),
        cmocka_unit_test(flag_without_its_value_is_refused),
        cmocka_unit_test(operand_that_is_missing_is_asked_for),
        cmocka_unit_test(operand_too_many_is_refused),
        cmocka_unit_test(hundred_and_one_configs_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
