// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the tree and blanks what is no code. A lexer of four states (code, comment, line comment,
 * literal) is enough: the rules ask for words, braces and line counts, not for grammar. libclang
 * was refused, because `./dev test` needs the C toolchain only and these rules must run in
 * milliseconds. Bounds: files of 4 MiB; the tree's size is what git holds. One thread; running out
 * of memory ends the program, as nothing is lost by it.
 */
#include "tests/tidy/source.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (4 * 1024 * 1024)

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("tidy: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

static bool ends_with(const char *text, const char *end)
{
    size_t text_len = strlen(text);
    size_t end_len = strlen(end);
    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

static enum source_kind kind_of(const char *path)
{
    static const struct {
        const char *end;
        enum source_kind kind;
    } kinds[] = {
        {".c", SOURCE_C},          {".h", SOURCE_H},       {".def", SOURCE_DEF},
        {".cmake", SOURCE_CMAKE},  {"CMakeLists.txt", SOURCE_CMAKE},
        {".sh", SOURCE_OTHER},     {".awk", SOURCE_OTHER}, {".py", SOURCE_OTHER},
        {".js", SOURCE_OTHER},     {".mjs", SOURCE_OTHER}, {".cjs", SOURCE_OTHER},
        {".ts", SOURCE_OTHER},     {".go", SOURCE_OTHER},  {".proto", SOURCE_OTHER},
        {".yaml", SOURCE_OTHER},   {".yml", SOURCE_OTHER}, {"Dockerfile", SOURCE_OTHER},
        {"/run", SOURCE_OTHER},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (ends_with(path, kinds[i].end)) {
            return kinds[i].kind;
        }
    }
    return strcmp(path, "dev") == 0 ? SOURCE_OTHER : SOURCE_TEXT;
}

bool source_is_c(const struct source *source)
{
    return source->kind <= SOURCE_DEF;
}

bool source_is_in(const struct source *source, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(source->path, folder, len) == 0 && source->path[len] == '/';
}

const char *source_line(const struct source *source, size_t line, size_t *len)
{
    size_t end = source->starts[line + 1];
    if (end > source->starts[line] && source->text[end - 1] == '\n') {
        end--;
    }
    *len = end - source->starts[line];
    return source->text + source->starts[line];
}

size_t source_line_at(const struct source *source, size_t offset)
{
    size_t low = 0;
    size_t high = source->line_count;
    while (low + 1 < high) {
        size_t middle = (low + high) / 2;
        if (source->starts[middle] <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static void index_lines(struct source *source)
{
    size_t count = 1;
    for (size_t i = 0; i < source->len; i++) {
        count += source->text[i] == '\n';
    }
    source->starts = must(calloc(count + 1, sizeof *source->starts));
    size_t line = 1;
    for (size_t i = 0; i < source->len; i++) {
        if (source->text[i] == '\n') {
            source->starts[line++] = i + 1;
        }
    }
    bool ends_in_newline = source->len > 0 && source->text[source->len - 1] == '\n';
    source->line_count = ends_in_newline || source->len == 0 ? count - 1 : count;
    source->starts[source->line_count] = source->len;
}

// The length of the comment or literal that begins here, 0 where code does.
static size_t blank_len(const char *text)
{
    const char *end = text;
    if (text[0] == '/' && text[1] == '*') {
        end = strstr(text + 2, "*/");
        return end != NULL ? (size_t)(end + 2 - text) : strlen(text);
    }
    if (text[0] == '/' && text[1] == '/') {
        return strcspn(text, "\n");
    }
    if (text[0] != '"' && text[0] != '\'') {
        return 0;
    }
    for (end = text + 1; *end != '\0' && *end != '\n' && *end != text[0]; end++) {
        end += end[0] == '\\' && end[1] != '\0';
    }
    return (size_t)(end - text) + (*end == text[0]);
}

static void blank(struct source *source)
{
    source->code = must(calloc(source->len + 1, 1));
    memcpy(source->code, source->text, source->len);
    size_t i = 0;
    while (i < source->len) {
        size_t len = blank_len(source->text + i);
        for (size_t end = i + len; i < end; i++) {
            if (source->text[i] != '\n') {
                source->code[i] = ' ';
            }
        }
        i += len == 0;
    }
}

void source_init(struct source *source, const char *path, const char *text, size_t len)
{
    *source = (struct source){.path = must(strdup(path)), .kind = kind_of(path), .len = len};
    source->text = must(calloc(len + 1, 1));
    memcpy(source->text, text, len);
    index_lines(source);
    if (source_is_c(source)) {
        blank(source);
    }
}

void source_fini(struct source *source)
{
    free(source->path);
    free(source->text);
    free(source->code);
    free(source->starts);
    *source = (struct source){0};
}

static bool tree_add(struct tree *tree, const FTSENT *entry, const char *path)
{
    off_t size = entry->fts_statp->st_size;
    if (size > FILE_BYTES_MAX) {
        return true;
    }
    FILE *file = fopen(entry->fts_accpath, "rb");
    char *text = must(malloc((size_t)size + 1));
    size_t len = file != NULL ? fread(text, 1, (size_t)size, file) : 0;
    bool good = file != NULL && ferror(file) == 0;
    if (file == NULL) {
        fprintf(stderr, "tidy: %s: %s\n", path, strerror(errno));
    } else {
        fclose(file);
    }
    if (good && memchr(text, '\0', len) == NULL) {
        size_t bytes = (tree->count + 1) * sizeof *tree->sources;
        tree->sources = must(realloc(tree->sources, bytes));
        source_init(&tree->sources[tree->count++], path, text, len);
    }
    free(text);
    return good;
}

static bool is_passed_over(const FTSENT *entry)
{
    static const char *const names[] = {"build",  "node_modules", "fixtures", "corpus",
                                        "venv",   "__pycache__"};
    if (entry->fts_level > 0 && entry->fts_name[0] == '.') {
        return strcmp(entry->fts_name, ".ci") != 0;
    }
    for (size_t i = 0; entry->fts_level > 0 && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(entry->fts_name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int by_path(const void *left, const void *right)
{
    const struct source *a = left;
    const struct source *b = right;
    return strcmp(a->path, b->path);
}

bool tree_read(struct tree *tree, const char *root)
{
    *tree = (struct tree){0};
    char *const roots[] = {(char *)(size_t)root, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (walk == NULL) {
        perror("tidy");
        return false;
    }
    bool good = true;
    size_t prefix = strlen(root) + 1;
    for (FTSENT *entry = fts_read(walk); entry != NULL; entry = fts_read(walk)) {
        if (is_passed_over(entry)) {
            fts_set(walk, entry, FTS_SKIP);
        } else if (entry->fts_info == FTS_F) {
            good = tree_add(tree, entry, entry->fts_path + prefix) && good;
        }
    }
    fts_close(walk);
    if (tree->count > 0) {
        qsort(tree->sources, tree->count, sizeof *tree->sources, by_path);
    }
    return good;
}

void tree_free(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        source_fini(&tree->sources[i]);
    }
    free(tree->sources);
    *tree = (struct tree){0};
}

const struct source *tree_find(const struct tree *tree, const char *path)
{
    struct source wanted = {.path = (char *)(size_t)path};
    if (tree->count == 0) {
        return NULL;
    }
    return bsearch(&wanted, tree->sources, tree->count, sizeof wanted, by_path);
}
