// SPDX-License-Identifier: Apache-2.0
/*
 * Rules that look at lines and words of any file: lengths, characters, the licence line, the
 * opening comment, words that promise work for later. Data and prose (.md, .json) are held to what
 * makes sense for them: no rule about their columns or characters. One thread, no state.
 */
#include <ctype.h>
#include <string.h>

#include "tests/tidy/rules.h"

#define FILE_LINES_MAX 800
#define LINE_COLUMNS_MAX 100
#define ROOT_BUILD_LINES_MAX 200
#define FOLDER_BUILD_LINES_MAX 30
#define HEAD_LINES_MIN 5
#define HEAD_LINES_MAX 22  // twenty of text and the two that only open and close

static bool is_data(const struct source *source)
{
    return source->kind == SOURCE_TEXT;
}

void check_file_length(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        if (!is_data(source) && source->line_count > FILE_LINES_MAX) {
            report_at(report, source->path, source->line_count - 1, "has %zu lines",
                      source->line_count);
        }
    }
}

void check_line_length(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        for (size_t line = 0; !is_data(source) && line < source->line_count; line++) {
            size_t len = 0;
            source_line(source, line, &len);
            if (len > LINE_COLUMNS_MAX) {
                report_at(report, source->path, line, "has %zu columns", len);
            }
        }
    }
}

void check_ascii(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        for (size_t at = 0; !is_data(source) && at < source->len; at++) {
            if ((unsigned char)source->text[at] >= 0x80) {
                size_t line = source_line_at(source, at);
                report_at(report, source->path, line, "is not ASCII");
                at = source->starts[line + 1];
            }
        }
    }
}

static void check_white_space_of(const struct source *source, struct report *report)
{
    size_t path_len = strlen(source->path);
    bool is_go = path_len > 3 && strcmp(source->path + path_len - 3, ".go") == 0;
    for (size_t line = 0; line < source->line_count; line++) {
        size_t len = 0;
        const char *text = source_line(source, line, &len);
        if (len > 0 && isspace((unsigned char)text[len - 1])) {
            report_at(report, source->path, line, "ends in white space");
        }
        if (!is_go && memchr(text, '\t', len) != NULL) {
            report_at(report, source->path, line, "has a tab");
        }
    }
    if (source->len > 0 && source->text[source->len - 1] != '\n') {
        report_at(report, source->path, source->line_count - 1, "does not end in a newline");
    }
}

void check_white_space(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!is_data(&tree->sources[i])) {
            check_white_space_of(&tree->sources[i], report);
        }
    }
}

static bool names_licence(const struct source *source, size_t line)
{
    static const char wanted[] = "SPDX-License-Identifier: Apache-2.0";
    size_t len = 0;
    if (line >= source->line_count) {
        return false;
    }
    const char *text = source_line(source, line, &len);
    return memmem(text, len, wanted, sizeof wanted - 1) != NULL;
}

void check_licence_line(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        bool has_interpreter = strncmp(source->text, "#!", 2) == 0;
        if (!is_data(source) && !names_licence(source, has_interpreter ? 1 : 0)) {
            report_at(report, source->path, 0, "does not name the licence (SPDX)");
        }
    }
}

// Lines of the comment that follows the licence line.
static size_t head_comment_lines(const struct source *source)
{
    size_t count = 0;
    bool in_block = false;
    for (size_t line = 1; line < source->line_count; line++) {
        size_t len = 0;
        const char *text = source_line(source, line, &len);
        if (!in_block && len == 0 && count == 0) {
            continue;
        }
        bool opens = len >= 2 && text[0] == '/' && text[1] == '*';
        bool is_line = len >= 2 && text[0] == '/' && text[1] == '/';
        if (!in_block && !opens && !is_line) {
            break;
        }
        count++;
        in_block = (in_block || opens) && memmem(text, len, "*/", 2) == NULL;
        if (!in_block && !is_line) {
            break;
        }
    }
    return count;
}

void check_head_comment(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        if (!source_is_c(source)) {
            continue;
        }
        size_t lines = head_comment_lines(source);
        bool is_unit = source->kind == SOURCE_C && is_product(source);
        if (lines == 0) {
            report_at(report, source->path, 1, "opens without a comment");
        } else if (is_unit && (lines < HEAD_LINES_MIN || lines > HEAD_LINES_MAX)) {
            report_at(report, source->path, 1, "opens with %zu lines, not with 5 to 20", lines);
        }
    }
}

bool is_word_at(const char *text, size_t at, size_t len)
{
    unsigned char after = (unsigned char)text[at + len];
    unsigned char before = at > 0 ? (unsigned char)text[at - 1] : ' ';
    return !isalnum(before) && before != '_' && !isalnum(after) && after != '_';
}

void check_unfinished(const struct tree *tree, struct report *report)
{
    // Split, so that this file does not hold the words that it looks for.
    static const char *const words[] = {"to" "do", "fix" "me", "x" "xx", "st" "ub", "st" "ubs",
                                        "place" "holder", "not imple" "mented", "/wo" "rk/"};
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            const char *found = strcasestr(source->text, words[w]);
            for (; found != NULL; found = strcasestr(found + 1, words[w])) {
                size_t at = (size_t)(found - source->text);
                if (words[w][0] == '/' || is_word_at(source->text, at, strlen(words[w]))) {
                    report_at(report, source->path, source_line_at(source, at), "says \"%s\"",
                              words[w]);
                }
            }
        }
    }
}

// A row of a list: a source, a test, a .proto. Lists may be as long as they must.
static bool is_row(const char *text, size_t len)
{
    while (len > 0 && *text == ' ') {
        text++;
        len--;
    }
    if (len == 0 || *text == '#' || (len > 3 && memcmp(text, "sj_", 3) == 0)) {
        return true;
    }
    return memchr(text, '(', len) == NULL && memchr(text, '$', len) == NULL &&
           memchr(text, '.', len) != NULL;
}

void check_build_files(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        bool is_root = strcmp(source->path, "CMakeLists.txt") == 0;
        if (source->kind != SOURCE_CMAKE || source_is_in(source, "cmake")) {
            continue;
        }
        size_t count = 0;
        for (size_t line = 0; line < source->line_count; line++) {
            size_t len = 0;
            const char *text = source_line(source, line, &len);
            count += is_root || !is_row(text, len);
        }
        size_t max = is_root ? ROOT_BUILD_LINES_MAX : FOLDER_BUILD_LINES_MAX;
        if (count >= max) {
            report_at(report, source->path, 0, "has %zu lines besides its lists", count);
        }
    }
}
