// SPDX-License-Identifier: Apache-2.0
/*
 * Rules about files in relation to one another: who may include whom, behind which one file each
 * library stays, what a noun must have beside it, that nothing lies around unbuilt. The link graph
 * enforces directions between libraries already; includes are checked because a header alone can
 * break them. Exceptions stand in one table, with the reason. One thread, no state.
 */
#include <stdio.h>
#include <string.h>

#include "tests/tidy/rules.h"

#define PATH_BYTES_MAX 512

const char *const component_folders[] = {"base",     "proto",   "receiver", "processor",
                                         "exporter", "service", NULL};

// What a rule of this file passes over, and why.
static const struct {
    const char *path;
    const char *rule;
    const char *reason;
} exceptions[] = {
    {"service/main.c", "a_noun_has_header_and_test", "the scenarios run it"},
    {"service/demo/demo.c", "a_noun_has_header_and_test",
     "the scenario of the demonstration runs it"},
    {"service/demo/demo_peers.c", "a_noun_has_header_and_test",
     "the scenario of the demonstration runs it"},
    {"service/demo/demo_screen.c", "a_noun_has_header_and_test",
     "the scenario of the demonstration runs it"},
    {"service/demo/demo_stage.c", "a_noun_has_header_and_test",
     "the scenario of the demonstration runs it"},
    {"service/demo/demo_traces.c", "a_noun_has_header_and_test",
     "the scenario of the demonstration runs it"},
    {"service/command/doctor.c", "a_noun_has_header_and_test",
     "a command of main's table; the scenarios run it"},
    {"service/command/explain.c", "a_noun_has_header_and_test",
     "a command of main's table; the scenarios run it"},
    {"service/command/status.c", "a_noun_has_header_and_test",
     "a command of main's table; the scenarios run it"},
    {"service/api_client.c", "a_noun_has_header_and_test",
     "the scenarios of status and explain run it"},
    {"service/commands.c", "a_noun_has_header_and_test", "the scenarios run it"},
    {"service/endpoints.c", "a_noun_has_header_and_test", "the scenarios ask each endpoint"},
    {"service/runtime.c", "a_noun_has_header_and_test", "every scenario runs it"},
    {"service/wiring.c", "a_noun_has_header_and_test", "every scenario runs it"},
    {"service/parts.c", "a_noun_has_header_and_test", "every scenario runs it"},
    {"service/snapshot.c", "a_noun_has_header_and_test", "every scenario runs it"},
    {"service/generation.c", "a_noun_has_header_and_test", "the scenarios of reload change it"},
    {"service/closing.c", "a_noun_has_header_and_test", "the scenarios of reload move receivers"},
    {"service/reload.c", "a_noun_has_header_and_test", "the scenarios of reload signal it"},
    {"service/status_report.c", "a_noun_has_header_and_test", "the scenarios of status read it"},
    {"service/journaling.c", "a_noun_has_header_and_test", "the scenarios of the journal run it"},
    {"receiver/journal/journal_metrics.c", "a_noun_has_header_and_test",
     "a part of receiver/journal/journal.c"},
    {"receiver/journal/journal_posts.c", "a_noun_has_header_and_test",
     "a part of receiver/journal/journal.c"},
    {"receiver/journal/journal_replay.c", "a_noun_has_header_and_test",
     "a part of receiver/journal/journal.c"},
    {"receiver/receivers.c", "a_noun_has_header_and_test", "an array of kinds, no code"},
    {"processor/processors.c", "a_noun_has_header_and_test", "an array of kinds, no code"},
    {"exporter/exporters.c", "a_noun_has_header_and_test", "an array of kinds, no code"},
};

bool is_product(const struct source *source)
{
    for (size_t i = 0; component_folders[i] != NULL; i++) {
        if (source_is_in(source, component_folders[i])) {
            return true;
        }
    }
    return false;
}

static bool is_excepted(const struct source *source, const struct report *report)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        if (strcmp(exceptions[i].path, source->path) == 0 &&
            strcmp(exceptions[i].rule, report->rule) == 0) {
            return true;
        }
    }
    return false;
}

struct include {
    char path[PATH_BYTES_MAX];  // as written between the marks
    bool is_quoted;             // "..." rather than <...>
};

// Is this line an include? Takes the raw text: the path is a literal, which is blanked in code.
static bool include_parse(const struct source *source, size_t line, struct include *include)
{
    size_t len = 0;
    const char *text = source_line(source, line, &len);
    const char *code = source->code + source->starts[line];
    size_t at = strspn(code, " ");
    if (at + 8 >= len || code[at] != '#') {
        return false;
    }
    at += 1 + strspn(code + at + 1, " ");
    if (strncmp(code + at, "include", 7) != 0) {
        return false;
    }
    at += 7;
    at += strspn(text + at, " ");
    const char *end =
        at < len ? memchr(text + at + 1, text[at] == '<' ? '>' : '"', len - at - 1) : NULL;
    if (end == NULL) {
        return false;
    }
    include->is_quoted = text[at] == '"';
    snprintf(include->path, sizeof include->path, "%.*s", (int)(end - text - (ptrdiff_t)at - 1),
             text + at + 1);
    return true;
}

static int folder_rank(const char *path)
{
    static const int ranks[] = {0, 1, 2, 2, 2, 3};
    for (int i = 0; component_folders[i] != NULL; i++) {
        size_t len = strlen(component_folders[i]);
        if (strncmp(path, component_folders[i], len) == 0 && path[len] == '/') {
            return ranks[i];
        }
    }
    return -1;
}

static bool is_same_folder(const char *left, const char *right)
{
    size_t len = strcspn(left, "/");
    return strncmp(left, right, len) == 0 && right[len] == '/';
}

static bool is_generated(const char *path)
{
    return strstr(path, ".pb-c.h") != NULL;
}

void check_include_direction(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        int own = folder_rank(source->path);
        for (size_t line = 0; source_is_c(source) && line < source->line_count; line++) {
            struct include include;
            if (!include_parse(source, line, &include) || !include.is_quoted ||
                is_generated(include.path)) {
                continue;
            }
            int other = folder_rank(include.path);
            if (tree_find(tree, include.path) == NULL) {
                report_at(report, source->path, line, "\"%s\" is no path from the root",
                          include.path);
            } else if (own >= 0 && other < 0) {
                report_at(report, source->path, line, "the product includes \"%s\"", include.path);
            } else if (own >= 0 && other >= own && !is_same_folder(source->path, include.path)) {
                report_at(report, source->path, line, "may not know \"%s\"", include.path);
            }
        }
    }
}

// The header that goes with a source, if there is one: noun.c's noun.h, in the same folder.
static const struct source *own_header(const struct tree *tree, const struct source *source)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%s", source->path);
    path[strlen(path) - 1] = 'h';
    return tree_find(tree, path);
}

static void check_include_order_of(const struct tree *tree, const struct source *source,
                                   struct report *report)
{
    const struct source *header = own_header(tree, source);
    size_t seen = 0;
    bool project_begun = false;
    for (size_t line = 0; line < source->line_count; line++) {
        struct include include;
        if (!include_parse(source, line, &include)) {
            continue;
        }
        // A test's own header is the one of the noun that it tests; a kind may have its noun's.
        bool is_own = header != NULL ? strcmp(header->path, include.path) == 0
                                     : seen == 0 && include.is_quoted;
        if (header != NULL && seen == 0 && !is_own) {
            report_at(report, source->path, line, "\"%s\" comes first", header->path);
        }
        bool is_project = include.is_quoted && !is_own && !is_generated(include.path);
        if (project_begun && !is_project && !is_own) {
            report_at(report, source->path, line, "%s comes before project headers", include.path);
        }
        project_begun = project_begun || is_project;
        seen++;
    }
}

void check_include_order(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->sources[i].kind == SOURCE_C) {
            check_include_order_of(tree, &tree->sources[i], report);
        }
    }
}

// Which headers stay where; a place that does not end in ".c" is how paths begin.
static const struct {
    const char *header;  // a prefix of what is included
    const char *place;
} confined[] = {
    {"grpc/", "exporter/otlp_grpc.c"},
    {"curl/", "base/http_client.c"},
    {"zlib.h", "base/compression.c"},
    {"zstd", "base/compression.c"},
    {"libdeflate", "base/compression.c"},
    {"isa-l.h", "base/compression.c"},
    {"isa-l/igzip", "base/compression.c"},
    {"isa-l/crc", "base/hash.c"},
    {"igzip", "base/compression.c"},
    {"json-c/", "base/json.c"},
    {"json.h", "base/json.c"},
    {"yajl/", "proto/otlp_json.c"},
    {"libfyaml", "base/config.c"},
    {"pthread.h", "base/"},
    {"threads.h", "base/"},
    {"sys/random.h", "base/"},
    {"pcre2", "base/"},
    {"xxhash", "base/"},
    {"nghttp2/", "receiver/"},
    {"llhttp", "receiver/"},
    {"sqlite3.h", "receiver/journal/journal_store"},
};

void check_confined_headers(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        bool is_checked = source_is_c(source) && is_product(source);
        for (size_t line = 0; is_checked && line < source->line_count; line++) {
            struct include include;
            if (!include_parse(source, line, &include) || include.is_quoted) {
                continue;
            }
            for (size_t c = 0; c < sizeof confined / sizeof confined[0]; c++) {
                const char *place = confined[c].place;
                bool is_file = strcmp(place + strlen(place) - 2, ".c") == 0;
                bool is_there = is_file ? strcmp(source->path, place) == 0
                                        : strncmp(source->path, place, strlen(place)) == 0;
                if (strncmp(include.path, confined[c].header, strlen(confined[c].header)) == 0 &&
                    !is_there) {
                    report_at(report, source->path, line, "<%s> is for %s only", include.path,
                              place);
                }
            }
        }
    }
}

// The file's name without folder and ending, and the name of the folder that it lies in.
static void split_path(const char *path, char *folder, char *name)
{
    const char *slash = strrchr(path, '/');
    const char *begin = path;
    for (const char *at = path; slash != NULL && at < slash; at++) {
        begin = *at == '/' ? at + 1 : begin;
    }
    int folder_len = slash != NULL ? (int)(slash - begin) : 0;
    snprintf(folder, PATH_BYTES_MAX, "%.*s", folder_len, begin);
    const char *base = slash != NULL ? slash + 1 : path;
    snprintf(name, PATH_BYTES_MAX, "%.*s", (int)strcspn(base, "."), base);
}

static bool has_test(const struct tree *tree, const char *name)
{
    char path[2 * PATH_BYTES_MAX];
    snprintf(path, sizeof path, "tests/unit/%s_test.c", name);
    return tree_find(tree, path) != NULL;
}

// A source without a header of its own may be part of a noun whose name begins its name:
// judge_reply.c is declared in judge.h, and judge_test.c tests it. Cuts `name` down to that noun.
static bool is_part_of_noun(const struct tree *tree, const struct source *source, char *name)
{
    char *cut = strrchr(name, '_');
    for (; cut != NULL; cut = strrchr(name, '_')) {
        *cut = '\0';
        char path[2 * PATH_BYTES_MAX];
        int folder_len = (int)(strrchr(source->path, '/') - source->path);
        snprintf(path, sizeof path, "%.*s/%s.h", folder_len, source->path, name);
        if (tree_find(tree, path) != NULL) {
            return true;
        }
    }
    return false;
}

static void check_noun(const struct tree *tree, const struct source *source, struct report *report)
{
    // A kind among many, in a sub-folder, is found by its ops table: it needs no header, and one
    // test may run all kinds of the folder.
    bool is_kind = strchr(strchr(source->path, '/') + 1, '/') != NULL;
    char folder[PATH_BYTES_MAX];
    char name[PATH_BYTES_MAX];
    char noun[PATH_BYTES_MAX];
    split_path(source->path, folder, name);
    memcpy(noun, name, sizeof noun);
    bool has_header = own_header(tree, source) != NULL;
    bool is_part = !has_header && is_part_of_noun(tree, source, noun);
    if (!has_header && !is_part && !is_kind) {
        report_at(report, source->path, 0, "has no header");
    }
    if (!has_test(tree, name) && !(is_part && has_test(tree, noun)) &&
        !(is_kind && has_test(tree, folder))) {
        report_at(report, source->path, 0, "has no tests/unit/%s_test.c", is_part ? noun : name);
    }
}

void check_nouns(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        if (source->kind == SOURCE_C && is_product(source) && !is_excepted(source, report)) {
            check_noun(tree, source, report);
        }
    }
}

static bool lists(const struct source *list, const char *text)
{
    size_t len = strlen(text);
    const char *found = list != NULL ? strstr(list->text, text) : NULL;
    while (found != NULL) {
        char before = found > list->text ? found[-1] : ' ';
        if (is_word_at(list->text, (size_t)(found - list->text), len) && before != '/') {
            return true;
        }
        found = strstr(found + 1, text);
    }
    return false;
}

void check_listed(const struct tree *tree, struct report *report)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        if (source->kind != SOURCE_C || strchr(source->path, '/') == NULL) {
            continue;
        }
        char list[PATH_BYTES_MAX];
        snprintf(list, sizeof list, "%.*s/CMakeLists.txt", (int)strcspn(source->path, "/"),
                 source->path);
        char folder[PATH_BYTES_MAX];
        char name[PATH_BYTES_MAX];
        split_path(source->path, folder, name);
        const char *in_folder = strchr(source->path, '/') + 1;
        bool is_listed =
            lists(tree_find(tree, list), in_folder) ||
            (source_is_in(source, "tests") && (lists(tree_find(tree, list), name) ||
                                               strcmp(source->path, "tests/fuzz/replay.c") == 0));
        if (!is_listed) {
            report_at(report, source->path, 0, "is not in %s", list);
        }
    }
}

void check_names(const struct tree *tree, struct report *report)
{
    static const char *const names[] = {"util",   "utils", "helper", "helpers",
                                        "common", "misc",  "shared", "stuff"};
    for (size_t i = 0; i < tree->count; i++) {
        const struct source *source = &tree->sources[i];
        char folder[PATH_BYTES_MAX];
        char name[PATH_BYTES_MAX];
        split_path(source->path, folder, name);
        for (size_t n = 0; source_is_c(source) && n < sizeof names / sizeof names[0]; n++) {
            if (strcmp(name, names[n]) == 0 || strcmp(folder, names[n]) == 0) {
                report_at(report, source->path, 0, "\"%s\" names no thing", names[n]);
            }
        }
    }
}

void check_files_exist(const struct tree *tree, struct report *report)
{
    static const char *const paths[] = {"README.md", "CHANGELOG.md", "LICENSE",
                                        "docs/ARCHITECTURE.md", "deploy/Dockerfile"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (tree_find(tree, paths[i]) == NULL) {
            report_at(report, paths[i], 0, "is not there");
        }
    }
}
