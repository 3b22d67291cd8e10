// SPDX-License-Identifier: Apache-2.0
/*
 * A source file as the rules of tests/tidy see it: its text, the same text with comments and
 * literals blanked (so that a word in a comment is no call), where its lines begin, and which kind
 * of file its name says it is. One thread; a file over 4 MiB or with a zero byte is no source.
 */
#ifndef TESTS_TIDY_SOURCE_H
#define TESTS_TIDY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

enum source_kind {
    SOURCE_C,      // .c
    SOURCE_H,      // .h
    SOURCE_DEF,    // .def: rows of a table
    SOURCE_CMAKE,  // CMakeLists.txt, .cmake
    SOURCE_OTHER,  // scripts and programs in other languages, .proto, YAML
    SOURCE_TEXT,   // prose and data: .md, .json, .txt, LICENSE
};

struct source {
    char *path;         // from the root, "base/ring.c"
    enum source_kind kind;
    char *text;         // the file and a zero byte
    char *code;         // of C only: the same length, comments and literals turned to spaces
    size_t len;         // bytes of text
    size_t *starts;     // offset of each line; starts[line_count] is len
    size_t line_count;
};

struct tree {
    struct source *sources;  // sorted by path
    size_t count;
};

// Reads every source under `root` but those in build trees, fixtures and fuzz corpora, and in
// folders whose name begins with a dot (.ci excepted). False, with a message, when it cannot.
bool tree_read(struct tree *tree, const char *root);
void tree_free(struct tree *tree);

// The source of that path, or NULL. Borrowed.
const struct source *tree_find(const struct tree *tree, const char *path);

// Makes a source of text that is already in memory (the tests do); copies both.
void source_init(struct source *source, const char *path, const char *text, size_t len);
void source_fini(struct source *source);

// Is it a C source or header, or rows of a table for them?
bool source_is_c(const struct source *source);

// Does it lie under that folder ("base", "tests/unit")?
bool source_is_in(const struct source *source, const char *folder);

// The line (from 0) without its newline; *len gets its length.
const char *source_line(const struct source *source, size_t line, size_t *len);

// The line number (from 0) of an offset.
size_t source_line_at(const struct source *source, size_t offset);

#endif
