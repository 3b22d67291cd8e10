// SPDX-License-Identifier: Apache-2.0
/*
 * The rules of how Sidejudge is written that a program can check. Each is a row: a name and a
 * function over the whole tree that reports every place where the rule is broken.
 */
#ifndef TESTS_TIDY_RULES_H
#define TESTS_TIDY_RULES_H

#include "tests/tidy/source.h"

struct report {
    const char *rule;  // whose turn it is
    size_t broken;     // places reported under this rule
    bool quiet;        // count, do not print (the tests)
};

struct rule {
    const char *name;
    void (*check)(const struct tree *tree, struct report *report);
};

extern const struct rule rules[];
extern const size_t rule_count;

// Reports one place: `not ok RULE path:line why`. Lines are counted from 0 here, from 1 in print.
void report_at(struct report *report, const char *path, size_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Rules about text (tests/tidy/rules_text.c).
void check_file_length(const struct tree *tree, struct report *report);
void check_line_length(const struct tree *tree, struct report *report);
void check_ascii(const struct tree *tree, struct report *report);
void check_white_space(const struct tree *tree, struct report *report);
void check_licence_line(const struct tree *tree, struct report *report);
void check_head_comment(const struct tree *tree, struct report *report);
void check_unfinished(const struct tree *tree, struct report *report);
void check_build_files(const struct tree *tree, struct report *report);

// Rules about C (tests/tidy/rules_code.c).
void check_function_length(const struct tree *tree, struct report *report);
void check_banned_calls(const struct tree *tree, struct report *report);
void check_base_only_calls(const struct tree *tree, struct report *report);
void check_typedefs(const struct tree *tree, struct report *report);
void check_goto(const struct tree *tree, struct report *report);

// Rules about who may know whom, and what belongs together (tests/tidy/rules_tree.c).
void check_include_direction(const struct tree *tree, struct report *report);
void check_include_order(const struct tree *tree, struct report *report);
void check_confined_headers(const struct tree *tree, struct report *report);
void check_nouns(const struct tree *tree, struct report *report);
void check_listed(const struct tree *tree, struct report *report);
void check_names(const struct tree *tree, struct report *report);
void check_files_exist(const struct tree *tree, struct report *report);

// The folders of the product, in the order in which they may know one another; NULL ends them.
extern const char *const component_folders[];

// Does the file lie in one of them?
bool is_product(const struct source *source);

// Is `word` at `at` of `text` a word of its own?
bool is_word_at(const char *text, size_t at, size_t len);

#endif
