// SPDX-License-Identifier: Apache-2.0
//
// The socket is bound beside its place and moved there when it listens and has its permissions: no
// client meets a file that does not answer, and none slips in before the mode is right. Whether an
// old file is alive is asked by connecting to it. Refused: a lock file, which outlives a kill as
// the socket does. Bounds: paths of UNIX_SOCKET_PATH_MAX. Start, reload and drain only.
#include "receiver/unix_socket.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 511

bool unix_socket_path_is_valid(struct bytes path)
{
    return path.len > 1 && path.len <= UNIX_SOCKET_PATH_MAX &&
           memchr(path.ptr, '\0', path.len) == NULL && path.ptr[path.len - 1] != '/';
}

static socklen_t address_of(struct sockaddr_un *address, const char *path)
{
    size_t len = strlen(path);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, len);
    if (path[0] == '@') {
        address->sun_path[0] = '\0';
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    return sizeof *address;
}

static bool answers(const char *path)
{
    struct sockaddr_un address;
    socklen_t len = address_of(&address, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return true;  // not known: rather refuse than take it away
    }
    bool is_alive = connect(fd, (const struct sockaddr *)&address, len) == 0 || errno == EAGAIN;
    close(fd);
    return is_alive;
}

// What stands at the path already. NULL: nothing that is in the way.
static const char *obstacle(const char *path, bool takes_over)
{
    struct stat status;
    if (path[0] == '@' || lstat(path, &status) != 0) {
        return NULL;  // what else is wrong, bind will say
    }
    if (!S_ISSOCK(status.st_mode)) {
        return "a file that is not a socket is in its place";
    }
    return !takes_over && answers(path) ? "address already in use" : NULL;
}

static int bind_and_listen(const char *at, unsigned permissions)
{
    struct sockaddr_un address;
    socklen_t len = address_of(&address, at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    // Linux gives the file the mode of the socket, less the mask; chmod undoes the mask.
    if (fchmod(fd, permissions) != 0 || bind(fd, (const struct sockaddr *)&address, len) != 0 ||
        (at[0] != '@' && chmod(at, permissions) != 0) || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

enum result unix_socket_open(struct bytes path, unsigned permissions, bool takes_over, int *fd,
                             char *why, size_t why_len)
{
    char at[UNIX_SOCKET_PATH_MAX + 1], beside[UNIX_SOCKET_PATH_MAX + 6];
    if (!unix_socket_path_is_valid(path)) {
        snprintf(why, why_len, "listen unix: \"%.*s\" is not the path of a socket (2 to %d bytes)",
                 BYTES_PRINTF(path), UNIX_SOCKET_PATH_MAX);
        return RESULT_FAIL;
    }
    snprintf(at, sizeof at, "%.*s", BYTES_PRINTF(path));
    snprintf(beside, sizeof beside, at[0] == '@' ? "%s" : "%s.new", at);
    const char *problem = obstacle(at, takes_over);
    int made = -1;
    if (!problem) {
        if (at[0] != '@') {
            (void)unlink(beside);
        }
        made = bind_and_listen(beside, permissions);
        if (made < 0 || (at[0] != '@' && rename(beside, at) != 0)) {
            problem = strerror(errno);
        }
    }
    if (problem) {
        if (made >= 0) {
            close(made);
            (void)unlink(beside);
        }
        snprintf(why, why_len, "listen unix %s: %s", at, problem);
        return RESULT_FAIL;
    }
    *fd = made;
    return RESULT_OK;
}

void unix_socket_remove(const char *path, const struct file_stamp *stamp)
{
    if (path) {
        struct file_stamp now = file_stamp_of(path);
        if (now.exists && now.inode == stamp->inode && now.device == stamp->device) {
            (void)unlink(path);
        }
    }
}
