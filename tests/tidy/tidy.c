// SPDX-License-Identifier: Apache-2.0
/*
 * `tidy ROOT` runs every rule over the tree and prints `ok rule`, or `not ok rule file:line why`
 * for each place where it is broken, and the counts. A program of ours instead of clang-tidy,
 * because most of these rules are about this project (who may include whom, which library stays
 * behind which file, what a noun must have beside it) and the rest is word counting. One thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tidy/rules.h"

int main(int argc, char **argv)
{
    struct tree tree;
    if (!tree_read(&tree, argc > 1 ? argv[1] : ".")) {
        return 2;
    }
    size_t passed = 0;
    size_t failed = 0;
    for (size_t i = 0; i < rule_count; i++) {
        struct report report = {.rule = rules[i].name};
        rules[i].check(&tree, &report);
        failed += report.broken;
        if (report.broken == 0) {
            printf("ok %s\n", report.rule);
            passed++;
        }
    }
    tree_free(&tree);
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
