// SPDX-License-Identifier: Apache-2.0
//
// The floor: an HTTP/1.1 forwarder that stores each request whole, answers it, and sends the same
// bytes on over one upstream connection; one epoll loop, no checks, no limits beyond its buffers.
// What Sidejudge is compared with. Usage: forwarder LISTEN_PORT UPSTREAM_PORT. Bench only.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"

#define BUFFER_BYTES ((size_t)8 << 20)

struct client {
    int fd;
    size_t len;
    uint8_t *buffer;
};

static int upstream;
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static void send_blocking(int fd, const uint8_t *ptr, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, ptr, len, MSG_NOSIGNAL);
        CHECK(n > 0);
        ptr += n;
        len -= (size_t)n;
    }
}

// Whole length of the request at the buffer's start, 0 while its head is incomplete.
static size_t request_length(const struct client *client)
{
    struct bytes view = bytes_from(client->buffer, client->len);
    size_t end = bytes_find(bytes_slice(view, 0, 4096), BYTES_LITERAL("\r\n\r\n"), 0);
    if (end == SIZE_MAX) {
        return 0;
    }
    size_t at = bytes_find(bytes_slice(view, 0, end), BYTES_LITERAL("Content-Length: "), 0);
    return end + 4 + (at == SIZE_MAX ? 0 : strtoul((const char *)view.ptr + at + 16, NULL, 10));
}

static void drain_upstream(void)
{
    char skipped[4096];
    while (recv(upstream, skipped, sizeof(skipped), MSG_DONTWAIT) > 0) {
    }
}

static void client_ready(int epoll_fd, struct client *client)
{
    ssize_t n = recv(client->fd, client->buffer + client->len, BUFFER_BYTES - client->len, 0);
    if (n <= 0) {
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
        close(client->fd);
        free(client->buffer);
        free(client);
        return;
    }
    client->len += (size_t)n;
    size_t from = 0, length;
    while ((length = request_length(&(struct client){.len = client->len - from,
                                                     .buffer = client->buffer + from})) > 0 &&
           client->len - from >= length) {
        send_blocking(client->fd, (const uint8_t *)answer, sizeof(answer) - 1);
        send_blocking(upstream, client->buffer + from, length);
        from += length;
    }
    memmove(client->buffer, client->buffer + from, client->len - from);
    client->len -= from;
    drain_upstream();
}

static int socket_at(uint16_t port, bool listening)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (listening) {
        CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 128) == 0);
    } else {
        CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    }
    return fd;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    upstream = socket_at((uint16_t)strtoul(argv[2], NULL, 10), false);
    int listener = socket_at((uint16_t)strtoul(argv[1], NULL, 10), true), on = 1;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[64];
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) == 0);
    for (;;) {
        int count = epoll_wait(epoll_fd, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr != NULL) {
                client_ready(epoll_fd, ready[i].data.ptr);
                continue;
            }
            struct client *client = calloc(1, sizeof(*client));
            CHECK(client != NULL && (client->buffer = malloc(BUFFER_BYTES)) != NULL);
            client->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            event.data.ptr = client;
            CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0);
        }
        if (count < 0 && errno != EINTR) {
            return 1;
        }
    }
}
