// SPDX-License-Identifier: Apache-2.0
// A journal's store in a folder of its own, with entries whose bytes follow from a seed and their
// id, so that whatever is read back can be checked without having been kept. For tests of the
// store.
#pragma once

#include "receiver/journal/journal_store.h"

struct journal_stage {
    char folder[64];
    char file[96], wal[96];
    struct journal_store_config config;
    struct journal_store *store;
    bool unclean;
    uint64_t seed;
    char why[512];
};

void stage_init(struct journal_stage *stage);  // an empty folder, no limit, no fsync
void stage_fini(struct journal_stage *stage);  // closes, removes everything
void stage_open(struct journal_stage *stage);
void stage_close(struct journal_stage *stage, bool clean);
// The bytes of entry `id`; `len` of them.
void stage_fill(const struct journal_stage *stage, uint64_t id, uint8_t *out, size_t len);
// One entry in the open group; its length is part of what stage_check compares.
enum result stage_put(struct journal_stage *stage, uint64_t id, size_t len, uint64_t owed) MUST_USE;
void stage_put_group(struct journal_stage *stage, uint64_t first, unsigned count, size_t len);
void stage_pay(struct journal_stage *stage, uint64_t first, uint64_t last);  // bit 0, one group
// Reads all that is there: fails the test unless every entry is as it was put. Returns how many,
// and marks ids below `seen_len`.
unsigned stage_check(struct journal_stage *stage, bool *seen, size_t seen_len);
uint64_t stage_file_bytes(const struct journal_stage *stage);  // by stat: database and WAL
bool stage_file_holds(const struct journal_stage *stage, const char *text);
bool stage_has(const struct journal_stage *stage, const char *name);
