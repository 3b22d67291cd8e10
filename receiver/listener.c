// SPDX-License-Identifier: Apache-2.0
//
// Accepting. When descriptors run out, accept4 fails and the listening socket stays readable: a
// level-triggered loop would spin at full load. So the sockets are disarmed and armed again by a
// timer, or as soon as a connection of ours ends; what waits meanwhile waits in the kernel's
// backlog. At the cap on connections the one that has been idle longest makes room; when none is
// idle the listener is disarmed as well. Refused: a spare descriptor to accept and close with,
// which turns waiting clients away that a moment later could have been served. Bounds:
// connections_max, ACCEPTS_PER_TURN. The loop's thread.
#include "receiver/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "receiver/address.h"
#include "receiver/connection.h"
#include "receiver/server_state.h"
#include "receiver/takeover.h"
#include "receiver/unix_socket.h"

#define ACCEPTS_PER_TURN 64
#define BACKLOG          511
#define REARM_NS         (UINT64_C(100) * NS_PER_MS)
#define LISTENER_MAGIC   MAGIC('L', 'S', 'T', 'N')

struct listener {
    uint32_t magic;
    struct server *server;
    struct tls_server *tls;
    const struct listen_policy *policy;
    char *path;                // of a unix socket; NULL: none to be removed
    struct file_stamp stamp;   // of what was made there
    struct loop_fd sockets[ADDRESSES_MAX];
    unsigned socket_count;
    uint16_t port;
    bool is_disarmed;
    struct timer rearm;
    struct log_episode episode;
};

static void disarm(struct listener *listener)
{
    for (unsigned i = 0; i < listener->socket_count; i++) {
        loop_unwatch(listener->server->loop, &listener->sockets[i]);
    }
    listener->is_disarmed = true;
    loop_set_timer(listener->server->loop, &listener->rearm,
                   loop_now_ns(listener->server->loop) + REARM_NS);
}

void listener_resume(struct listener *listener)
{
    if (!listener->is_disarmed) {
        return;
    }
    listener->is_disarmed = false;
    loop_cancel_timer(listener->server->loop, &listener->rearm);
    for (unsigned i = 0; i < listener->socket_count; i++) {
        if (loop_watch(listener->server->loop, &listener->sockets[i], EPOLLIN) != RESULT_OK) {
            disarm(listener);
            return;
        }
    }
}

static void on_rearm(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
    struct listener *listener = arg;
    CHECK(listener->magic == LISTENER_MAGIC);
    listener_resume(listener);
}

static void on_accept_error(struct listener *listener, int error)
{
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED) {
        return;
    }
    listener->server->counts.accept_failures++;
    if (log_episode_opens(&listener->episode, server_now_ns(listener->server), 60 * NS_PER_S)) {
        log_line(LOG_WARN, "receiver", "cannot accept connections for now",
                 LOG_TEXT("error", strerror(error)), LOG_INT("port", listener->port));
    }
    disarm(listener);
}

static void on_readable(struct loop_fd *watch, uint32_t events)
{
    (void)events;
    struct listener *listener = watch->arg;
    CHECK(listener->magic == LISTENER_MAGIC);
    struct server *server = listener->server;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (server->counts.connections >= server->config.connections_max) {
            if (i > 0) {
                return;  // whether one more waits is not known: the next turn tells
            }
            if (!connection_evict_oldest(server)) {
                disarm(listener);
                return;
            }
        }
        int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            on_accept_error(listener, errno);
            return;
        }
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        server->counts.accepted++;
        connection_open(server, listener, fd);
    }
}

static int open_socket(const struct address *address, const struct listen_config *config)
{
    int on = 1;
    int off = !address->is_dual;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->storage.ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if ((config->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, (const struct sockaddr *)&address->storage, address->len) != 0 ||
        listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        fd = error == EADDRINUSE && config->takes_over ? takeover_find(&address->storage) : -1;
        errno = error;
    }
    return fd;
}

// A dual wildcard on a machine without IPv6 is the IPv4 wildcard.
static int open_or_fall_back(struct address *address, const struct listen_config *config)
{
    int fd = open_socket(address, config);
    if (fd < 0 && address->is_dual && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        struct sockaddr_in any = {.sin_family = AF_INET,
                                  .sin_port = htons(address_port(&address->storage)),
                                  .sin_addr.s_addr = htonl(INADDR_ANY)};
        memset(&address->storage, 0, sizeof address->storage);
        memcpy(&address->storage, &any, sizeof any);
        address->len = sizeof any;
        fd = open_socket(address, config);
    }
    return fd;
}

static enum result add_socket(struct listener *listener, struct address *address,
                              const struct listen_config *config, char *why, size_t why_len)
{
    char text[ADDRESS_TEXT_MAX];
    bool had_choice = address_port(&address->storage) == 0;
    if (listener->port != 0) {
        address_set_port(address, listener->port);
    }
    int fd = open_or_fall_back(address, config);
    if (fd < 0) {
        if (address->is_optional && (errno != EADDRINUSE || had_choice)) {
            return RESULT_OK;
        }
        address_print(&address->storage, text);
        snprintf(why, why_len, "listen tcp %s: %s", text, strerror(errno));
        return RESULT_FAIL;
    }
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    CHECK(getsockname(fd, (struct sockaddr *)&bound, &len) == 0);
    listener->port = address_port(&bound);
    struct loop_fd *socket = &listener->sockets[listener->socket_count++];
    *socket = (struct loop_fd){.fd = fd, .ready = on_readable, .arg = listener};
    if (loop_watch(listener->server->loop, socket, EPOLLIN) != RESULT_OK) {
        snprintf(why, why_len, "cannot watch a listening socket");
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

// A unix socket of its own, or another server's to accept from as well.
static enum result add_unix(struct listener *listener, const struct listen_config *config,
                            char *why, size_t why_len)
{
    int fd = -1;
    if (config->shared_fd > 0) {
        fd = fcntl(config->shared_fd, F_DUPFD_CLOEXEC, 0);
    } else if (unix_socket_open(config->endpoint, config->permissions, config->takes_over, &fd, why,
                                why_len) == RESULT_OK) {
        if (config->endpoint.ptr[0] != '@') {
            listener->path = strndup((const char *)config->endpoint.ptr, config->endpoint.len);
            CHECK(listener->path);
            listener->stamp = file_stamp_of(listener->path);
        }
    } else {
        return RESULT_FAIL;
    }
    struct loop_fd *socket = &listener->sockets[0];
    *socket = (struct loop_fd){.fd = fd, .ready = on_readable, .arg = listener};
    listener->socket_count = fd >= 0 ? 1 : 0;
    if (fd < 0 || loop_watch(listener->server->loop, socket, EPOLLIN) != RESULT_OK) {
        snprintf(why, why_len, "cannot watch a listening socket");
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

enum result listener_open(struct server *server, const struct listen_config *config,
                          struct listener **listener, char *why, size_t why_len)
{
    struct address addresses[ADDRESSES_MAX];
    unsigned count = 0;
    enum result result = RESULT_OK;
    if (!config->is_unix) {
        result = address_resolve(config->endpoint, config->family, addresses, &count, why, why_len);
    }
    if (result != RESULT_OK) {
        return result;
    }
    struct listener *made = calloc(1, sizeof *made);
    CHECK(made);
    made->magic = LISTENER_MAGIC;
    made->server = server;
    made->tls = config->tls;
    made->policy = config->policy;
    made->port = config->port;
    timer_init(&made->rearm, on_rearm, made);
    for (unsigned i = 0; i < count; i++) {
        result = add_socket(made, &addresses[i], config, why, why_len);
        if (result != RESULT_OK) {
            listener_close(&made);
            return result;
        }
    }
    if (config->is_unix && add_unix(made, config, why, why_len) != RESULT_OK) {
        listener_close(&made);
        return RESULT_FAIL;
    }
    *listener = made;
    return RESULT_OK;
}

void listener_accept_rest(struct listener *listener)
{
    for (unsigned i = 0; !listener->is_disarmed && i < listener->socket_count; i++) {
        on_readable(&listener->sockets[i], EPOLLIN);
    }
}

void listener_close(struct listener **listener)
{
    struct listener *it = *listener;
    if (!it) {
        return;
    }
    loop_cancel_timer(it->server->loop, &it->rearm);
    for (unsigned i = 0; i < it->socket_count; i++) {
        loop_unwatch(it->server->loop, &it->sockets[i]);
        close(it->sockets[i].fd);
    }
    unix_socket_remove(it->path, &it->stamp);
    free(it->path);
    free(it);
    *listener = NULL;
}

int listener_fd(const struct listener *listener)
{
    return listener->socket_count > 0 ? listener->sockets[0].fd : -1;
}

const struct listen_policy *listener_policy(const struct listener *listener)
{
    return listener->policy;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

struct tls_server *listener_tls(const struct listener *listener)
{
    return listener->tls;
}
