// SPDX-License-Identifier: Apache-2.0
//
// The kernel's table of descriptors is asked, so that nobody has to keep one of his own. What is
// found is duplicated first and looked at afterwards, since its owner may close it meanwhile.
// Refused: SO_REUSEPORT on every socket, which would let a second process take the port unnoticed,
// and which loses the connections that wait when the older socket is closed. Bounds:
// TAKEOVER_DESCRIPTORS_MAX. Any thread.
#include "receiver/takeover.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) {
        return false;
    }
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)a;
        const struct sockaddr_in *y = (const void *)b;
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)a;
    const struct sockaddr_in6 *y = (const void *)b;
    return a->ss_family == AF_INET6 && x->sin6_port == y->sin6_port &&
           memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

static bool listens(int fd)
{
    int is_listening = 0;
    socklen_t len = sizeof is_listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 && is_listening;
}

static bool listens_there(int fd, const struct sockaddr_storage *address)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    memset(&bound, 0, sizeof bound);
    return listens(fd) && getsockname(fd, (struct sockaddr *)&bound, &len) == 0 &&
           is_same(&bound, address);
}

int takeover_find(const struct sockaddr_storage *address)
{
    struct rlimit limit;
    int end = TAKEOVER_DESCRIPTORS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)end) {
        end = (int)limit.rlim_cur;
    }
    for (int fd = 0; fd < end; fd++) {
        if (!listens_there(fd, address)) {
            continue;
        }
        int twin = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (twin >= 0 && listens_there(twin, address)) {
            return twin;
        }
        if (twin >= 0) {
            close(twin);
        }
    }
    return -1;
}
