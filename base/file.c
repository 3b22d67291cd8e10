// SPDX-License-Identifier: Apache-2.0
//
// Reads a file to its end rather than to the size that stat gives: configuration comes through
// pipes and from file systems whose sizes are 0, and a file may grow while it is read. The ceiling
// is the buffer's own. On failure the bytes that were read are taken back. Refused: mmap, which
// turns a file truncated by somebody else into a signal. Blocks; at start and reload only.
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_BYTES = 16 * 1024 };

static enum result read_all(int fd, struct buffer *out)
{
    uint8_t part[PART_BYTES];
    for (;;) {
        ssize_t len = read(fd, part, sizeof part);
        if (len == 0) {
            return RESULT_OK;
        }
        if (len < 0 && errno != EINTR) {
            return RESULT_FAIL;
        }
        if (len > 0) {
            buffer_append(out, part, (size_t)len);
        }
        enum result status = buffer_status(out);
        if (status != RESULT_OK) {
            return status;
        }
    }
}

enum result file_read(const char *path, struct buffer *out)
{
    enum result result = buffer_status(out);
    if (result != RESULT_OK) {
        return result;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? RESULT_MISSING : RESULT_FAIL;
    }
    size_t len_before = out->len;
    result = read_all(fd, out);
    if (result != RESULT_OK) {
        out->len = len_before;
    }
    close(fd);
    return result;
}

struct file_stamp file_stamp_of(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return (struct file_stamp){.exists = false};
    }
    return (struct file_stamp){.device = status.st_dev,
                               .inode = status.st_ino,
                               .size = (uint64_t)status.st_size,
                               .modified_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 +
                                              status.st_mtim.tv_nsec,
                               .exists = true};
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->modified_ns == b->modified_ns;
}
