// SPDX-License-Identifier: Apache-2.0
/*
 * Rules that look at C with comments and literals blanked: how long functions are, which calls and
 * words are not used. A function is found by its braces: a brace at depth 0 that follows a closing
 * parenthesis opens one, and a brace in column one always closes, so that branches of the
 * preprocessor cannot unbalance more than their own function. One thread, no state.
 */
#include <ctype.h>
#include <string.h>

#include "tests/tidy/rules.h"

#define FUNCTION_LINES_MAX 70

// Blanks preprocessor lines on the fly: true while `at` is on one.
static bool on_directive(const struct source *source, size_t at)
{
    size_t line = source_line_at(source, at);
    for (;; line--) {
        size_t len = 0;
        const char *text = source_line(source, line, &len);
        size_t indent = strspn(text, " ");
        if (indent < len && text[indent] == '#') {
            return true;
        }
        bool is_continued = line > 0 && source->starts[line] >= 2 &&
                            source->text[source->starts[line] - 2] == '\\';
        if (!is_continued) {
            return false;
        }
    }
}

static void check_function_length_of(const struct source *source, struct report *report)
{
    size_t depth = 0;
    size_t opened = 0;
    bool in_function = false;
    char before = ' ';
    for (size_t at = 0; at < source->len; at++) {
        char c = source->code[at];
        if ((c != '{' && c != '}') || on_directive(source, at)) {
            before = isspace((unsigned char)c) ? before : c;
            continue;
        }
        size_t line = source_line_at(source, at);
        if (c == '{') {
            if (depth == 0) {
                in_function = before == ')';
                opened = line;
            }
            depth++;
        } else {
            depth = source->starts[line] == at || depth == 0 ? 0 : depth - 1;
        }
        size_t lines = line - opened + 1;
        if (depth == 0 && in_function && lines > FUNCTION_LINES_MAX) {
            report_at(report, source->path, opened, "has %zu lines", lines);
        }
        in_function = in_function && depth > 0;
        before = c;
    }
}

void check_function_length(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (source_is_c(&tree->sources[i])) {
            check_function_length_of(&tree->sources[i], report);
        }
    }
}

static bool is_call_at(const char *code, size_t at, size_t len)
{
    if (!is_word_at(code, at, len) || code[at + len + strspn(code + at + len, " ")] != '(') {
        return false;
    }
    bool is_member = at > 0 && (code[at - 1] == '.' || (at > 1 && code[at - 1] == '>'));
    return !is_member;
}

// Reports every call of `name` in the source.
static void report_calls(const struct source *source, const char *name, const char *instead,
                         struct report *report)
{
    size_t len = strlen(name);
    const char *found = strstr(source->code, name);
    for (; found != NULL; found = strstr(found + 1, name)) {
        size_t at = (size_t)(found - source->code);
        if (is_call_at(source->code, at, len)) {
            report_at(report, source->path, source_line_at(source, at), "calls %s: %s", name,
                      instead);
        }
    }
}

void check_banned_calls(const struct tree *tree, struct report *report)
{
    static const struct {
        const char *name;
        const char *instead;
        bool in_tests;  // banned there too
    } calls[] = {
        {"strcpy", "copies without a bound", true},
        {"stpcpy", "copies without a bound", true},
        {"strcat", "copies without a bound", true},
        {"strncpy", "may leave no zero byte", true},
        {"strncat", "counts what is left, not what there is", true},
        {"sprintf", "writes without a bound: snprintf", true},
        {"vsprintf", "writes without a bound: vsnprintf", true},
        {"gets", "reads without a bound", true},
        {"scanf", "reads without a bound", true},
        {"sscanf", "overflows silently: strtoul and friends", true},
        {"atoi", "hides errors: strtol", true},
        {"atol", "hides errors: strtol", true},
        {"atoll", "hides errors: strtoll", true},
        {"atof", "hides errors: strtod", true},
        {"strtok", "keeps hidden state", true},
        {"system", "runs a shell", true},
        {"popen", "runs a shell", true},
        {"alloca", "has no bound", true},
        {"rand", "has hidden state: a seeded generator", true},
        {"srand", "has hidden state: a seeded generator", true},
        {"random", "has hidden state: a seeded generator", true},
        {"localtime", "has hidden state: localtime_r", true},
        {"gmtime", "has hidden state: gmtime_r", true},
        {"ctime", "has hidden state: strftime", true},
        {"asctime", "has hidden state: strftime", true},
        {"tmpnam", "races: mkstemp", true},
        {"mktemp", "races: mkstemp", true},
        {"assert", "CHECK, which stays in what is shipped", true},
        {"gethostbyname", "getaddrinfo, by libcurl or gRPC", true},
        {"sleep", "wait for the event", false},
        {"usleep", "wait for the event", false},
    };
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        for (size_t c = 0; source_is_c(source) && c < sizeof calls / sizeof calls[0]; c++) {
            if (calls[c].in_tests || is_product(source)) {
                report_calls(source, calls[c].name, calls[c].instead, report);
            }
        }
    }
}

void check_base_only_calls(const struct tree *tree, struct report *report)
{
    static const char *const calls[] = {
        "time",         "gettimeofday", "clock_gettime", "clock",      "timespec_get",
        "getrandom",    "getentropy",   "arc4random",    "RAND_bytes", "pthread_create",
        "pthread_join", "pthread_mutex_lock",            "pthread_cond_wait",
        "pthread_setname_np",           "thrd_create",   "mtx_lock",   "pthread_mutex_init",
    };
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        if (!source_is_c(source) || !is_product(source) || source_is_in(source, "base")) {
            continue;
        }
        for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
            report_calls(source, calls[c], "base/ has it", report);
        }
    }
}

// The next word at or after `at`; *len gets its length.
static size_t word_at(const char *code, size_t at, size_t *len)
{
    at += strspn(code + at, " \n");
    *len = 0;
    while (isalnum((unsigned char)code[at + *len]) || code[at + *len] == '_') {
        *len += 1;
    }
    return at;
}

static bool word_is(const char *code, size_t at, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(code + at, word, len) == 0;
}

// Calls `check` with the word that follows each `keyword`.
static void each_after(const struct tree *tree, const char *keyword, struct report *report,
                       void (*check)(const struct source *, size_t, size_t, struct report *))
{
    size_t keyword_len = strlen(keyword);
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        const char *found = source_is_c(source) ? strstr(source->code, keyword) : NULL;
        for (; found != NULL; found = strstr(found + 1, keyword)) {
            size_t at = (size_t)(found - source->code);
            if (is_word_at(source->code, at, keyword_len)) {
                size_t len = 0;
                size_t word = word_at(source->code, at + keyword_len, &len);
                check(source, word, len, report);
            }
        }
    }
}

// A typedef of a function type may begin with the struct or enum that the function returns.
static void check_typedef(const struct source *source, size_t at, size_t len,
                          struct report *report)
{
    const char *code = source->code;
    if (!word_is(code, at, len, "struct") && !word_is(code, at, len, "union") &&
        !word_is(code, at, len, "enum")) {
        return;
    }
    size_t tag_len = 0;
    size_t after = word_at(code, at + len, &tag_len) + tag_len;
    after += strspn(code + after, " *\n");
    size_t name_len = 0;
    after = word_at(code, after, &name_len) + name_len;
    if (code[after] != '(') {
        report_at(report, source->path, source_line_at(source, at),
                  "typedef is for function types and opaque ids");
    }
}

void check_typedefs(const struct tree *tree, struct report *report)
{
    each_after(tree, "typedef", report, check_typedef);
}

static void check_label(const struct source *source, size_t at, size_t len, struct report *report)
{
    if (!word_is(source->code, at, len, "out")) {
        report_at(report, source->path, source_line_at(source, at), "goto %.*s", (int)len,
                  source->code + at);
    }
}

void check_goto(const struct tree *tree, struct report *report)
{
    each_after(tree, "goto", report, check_label);
}
