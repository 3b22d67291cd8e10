// SPDX-License-Identifier: Apache-2.0
// Files read whole with a ceiling, for configuration, rubrics, certificates and schemas. Start and
// reload only.
#pragma once

#include "base/buffer.h"

// Appends the file's bytes. RESULT_MISSING: no such file; RESULT_TOO_LARGE: beyond out->len_max;
// RESULT_FAIL: else unreadable.
enum result file_read(const char *path, struct buffer *out) MUST_USE;

// What a path names now, to see whether a file was replaced or rewritten since. Symbolic links are
// followed, because that is how Kubernetes renews a mounted Secret.
struct file_stamp {
    uint64_t device, inode, size;
    int64_t modified_ns;
    bool exists;
};
struct file_stamp file_stamp_of(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
