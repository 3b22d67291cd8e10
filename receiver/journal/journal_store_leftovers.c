// SPDX-License-Identifier: Apache-2.0
// What was set aside beside the journal goes at max_age as well: quarantined entries, by the time
// at which they were received (their files bear it), and a damaged file that was kept, by the time
// at which it was last written. Refused: keeping them for ever because somebody may look: they hold
// requests as received, like the journal.
//
// Bounds: QUARANTINE_FILES_MAX files and one. The thread of the store, once a minute.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "receiver/journal/journal_store_parts.h"

static void expire_one(int folder_fd, const char *name, uint64_t max_age_ns, uint64_t wall_ns)
{
    struct stat stat;
    if (fstatat(folder_fd, name, &stat, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(stat.st_mode)) {
        return;
    }
    uint64_t written_ns = (uint64_t)stat.st_mtim.tv_sec * NS_PER_S + (uint64_t)stat.st_mtim.tv_nsec;
    if (wall_ns > written_ns && wall_ns - written_ns > max_age_ns) {
        (void)unlinkat(folder_fd, name, 0);
    }
}

static void expire_quarantine(int folder_fd, uint64_t max_age_ns, uint64_t wall_ns)
{
    int fd = openat(folder_fd, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (struct dirent *file = readdir(folder); file != NULL; file = readdir(folder)) {
        if (bytes_end_with(bytes_from_text(file->d_name), BYTES_LITERAL(".otlp"))) {
            expire_one(dirfd(folder), file->d_name, max_age_ns, wall_ns);
        }
    }
    closedir(folder);
}

void journal_store_leftovers_expire(const struct journal_store *store, uint64_t wall_ns)
{
    uint64_t max_age_ns = store->config.max_age_ns;
    if (max_age_ns > 0 && store->folder_fd >= 0) {
        expire_quarantine(store->folder_fd, max_age_ns, wall_ns);
        expire_one(store->folder_fd, "journal.db.corrupt", max_age_ns, wall_ns);
    }
}
