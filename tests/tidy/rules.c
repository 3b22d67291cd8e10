// SPDX-License-Identifier: Apache-2.0
/*
 * The table of rules, in the order in which they are reported, and the one way to report. The names
 * are sentences that hold when the rule does, because they are what a failing run prints. One
 * thread, no state.
 */
#include "tests/tidy/rules.h"

#include <stdarg.h>
#include <stdio.h>

const struct rule rules[] = {
    {"a_file_has_at_most_800_lines", check_file_length},
    {"a_function_has_at_most_70_lines", check_function_length},
    {"a_line_has_at_most_100_columns", check_line_length},
    {"sources_are_ascii", check_ascii},
    {"no_tabs_and_no_trailing_white_space", check_white_space},
    {"the_first_line_names_the_licence", check_licence_line},
    {"a_source_opens_with_what_it_is", check_head_comment},
    {"nothing_is_left_for_later", check_unfinished},
    {"build_files_are_short", check_build_files},
    {"banned_calls_are_not_made", check_banned_calls},
    {"threads_clocks_and_randomness_stay_in_base", check_base_only_calls},
    {"structs_are_not_hidden_by_typedef", check_typedefs},
    {"goto_leads_to_out_only", check_goto},
    {"folders_include_downwards_only", check_include_direction},
    {"own_header_first_project_headers_last", check_include_order},
    {"libraries_stay_behind_their_one_file", check_confined_headers},
    {"a_noun_has_header_and_test", check_nouns},
    {"every_source_is_listed", check_listed},
    {"files_are_named_after_nouns", check_names},
    {"the_project_has_its_papers", check_files_exist},
};
const size_t rule_count = sizeof rules / sizeof rules[0];

void report_at(struct report *report, const char *path, size_t line, const char *format, ...)
{
    report->broken++;
    if (report->quiet) {
        return;
    }
    printf("not ok %s %s:%zu ", report->rule, path, line + 1);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}
