// SPDX-License-Identifier: Apache-2.0
// Listening sockets with a path (unix(7)). Start, reload and drain only.
#pragma once

#include "base/bytes.h"
#include "base/file.h"

#define UNIX_SOCKET_PATH_MAX 100

// Listens at `path`; one that begins with "@" is in Linux's abstract name space and has no file.
// A socket file whose process is gone is replaced; one that answers is an error unless
// `takes_over`; any other file is an error. RESULT_FAIL with a sentence.
enum result unix_socket_open(struct bytes path, unsigned permissions, bool takes_over, int *fd,
                             char *why, size_t why_len) MUST_USE;
// Removes the file if it is still the one that `stamp` was taken of. NULL: nothing.
void unix_socket_remove(const char *path, const struct file_stamp *stamp);
// Whether the text can be the endpoint of one.
bool unix_socket_path_is_valid(struct bytes path);
