// SPDX-License-Identifier: Apache-2.0
//
// The I/O of a connection: handshake, detection, reading, sending, ending. Level-triggered. A turn
// reads a few portions into the server's shared buffer, or, for the rest of a large HTTP/1.1 body,
// straight into its slab; feeds the protocol; and sends whatever came out with one call. Input that
// the protocol does not take yet (a reply is owed, or too much output waits) is kept, and nothing
// more is read until it is. After a last reply the write side is shut and the rest of the input
// thrown away for a moment, because closing with unread input makes the kernel send RST and take
// the reply from the client (RFC 9112 9.6). Deadlines are looked at by the server's sweep, not by a
// timer each. Bounds: READS_PER_TURN portions, SERVER_OUT_HIGH of output before reading stops,
// OUT_MAX of output, one portion of kept input, LINGER_BYTES. The loop's thread.
#include "receiver/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "receiver/http1.h"
#include "receiver/http2.h"
#include "receiver/listener.h"
#include "receiver/server_state.h"

#define CONNECTION_MAGIC MAGIC('C', 'O', 'N', 'N')
#define READS_PER_TURN   4
#define PASSES_PER_TURN  4
#define HEAD_READ_BYTES  ((size_t)4 << 10)   // after a large body, its successor's head
#define OUT_MAX          ((size_t)16 << 20)
#define OUT_KEEP         ((size_t)16 << 10)
#define LINGER_BYTES     ((size_t)32 << 20)
#define LINGER_NS        (UINT64_C(2) * NS_PER_S)
#define EVICT_AFTER_NS   (UINT64_C(100) * NS_PER_MS)
#define GOAWAY_AFTER_NS  (UINT64_C(100) * NS_PER_MS)  // between the notice and the GOAWAY

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 3.4
#define PREFACE_BYTES (sizeof preface - 1)

enum connection_state {
    CONNECTION_HANDSHAKE,
    CONNECTION_DETECT,
    CONNECTION_HTTP1,
    CONNECTION_HTTP2,
    CONNECTION_LINGER,  // the last reply is out; input is thrown away
};

struct connection {
    uint32_t magic;
    enum connection_state state;
    struct loop_fd watch;
    struct server *server;
    struct connection *next, **prev;
    struct connection *woken_next;
    struct tls_stream *tls;
    const struct listen_policy *policy;
    struct buffer out;         // to be sent from out_sent on
    size_t out_sent;
    struct buffer stash;       // input that the protocol did not take yet, from stash_taken on
    size_t stash_taken;
    size_t matched;            // bytes of the preface seen
    size_t lingered;
    uint64_t opened_ns;
    uint64_t heard_ns;         // last input, or last reply
    uint64_t sent_ns;          // last progress of output
    uint64_t notice_ns;        // HTTP/2: when the drain notice went
    bool is_woken, has_eof, wants_write, is_pinged;
    bool is_broken;            // to be closed as soon as the caller is back at the top
    union {
        struct http1 http1;
        struct http2 http2;
    };
};

static void on_wake(void *arg)
{
    struct connection *connection = arg;
    CHECK(connection->magic == CONNECTION_MAGIC);
    if (!connection->is_woken) {
        connection->is_woken = true;
        connection->woken_next = connection->server->woken;
        connection->server->woken = connection;
    }
}

static void forget_wake(struct connection *connection)
{
    struct connection **link = &connection->server->woken;
    while (connection->is_woken && *link) {
        if (*link == connection) {
            *link = connection->woken_next;
            break;
        }
        link = &(*link)->woken_next;
    }
    connection->is_woken = false;
}

void connection_close(struct connection *connection)
{
    CHECK(connection->magic == CONNECTION_MAGIC);
    struct server *server = connection->server;
    if (connection->state == CONNECTION_HTTP1 || connection->state == CONNECTION_LINGER) {
        http1_fini(&connection->http1);
    } else if (connection->state == CONNECTION_HTTP2) {
        http2_fini(&connection->http2);
    }
    forget_wake(connection);
    tls_stream_free(&connection->tls);
    loop_unwatch(server->loop, &connection->watch);
    close(connection->watch.fd);
    buffer_fini(&connection->out);
    buffer_fini(&connection->stash);
    *connection->prev = connection->next;
    if (connection->next) {
        connection->next->prev = connection->prev;
    }
    server->counts.connections--;
    atomic_store_explicit(&server->connection_count, server->counts.connections,
                          memory_order_relaxed);
    connection->magic = 0;
    free(connection);
    for (unsigned i = 0; i < server->listener_count; i++) {
        listener_resume(server->listeners[i]);
    }
}

static ssize_t receive(struct connection *connection, uint8_t *into, size_t len)
{
    ssize_t got = connection->tls ? tls_stream_read(connection->tls, into, len)
                                  : recv(connection->watch.fd, into, len, 0);
    if (got > 0) {
        connection->heard_ns = loop_now_ns(connection->server->loop);
        connection->is_pinged = false;
    }
    return got;
}

static void become_http1(struct connection *connection)
{
    connection->state = CONNECTION_HTTP1;
    http1_init(&connection->http1, connection->server, &connection->out, on_wake, connection);
    connection->http1.policy = connection->policy;
}

static void become_http2(struct connection *connection)
{
    connection->state = CONNECTION_HTTP2;
    if (http2_init(&connection->http2, connection->server, &connection->out, on_wake,
                   connection) != RESULT_OK) {
        connection->is_broken = true;
        return;
    }
    connection->http2.policy = connection->policy;
    if (connection->server->draining) {
        connection_drain(connection);
    }
}

static void feed(struct connection *connection, struct bytes data);

// Compares with the preface; what differs is HTTP/1.1.
static void detect(struct connection *connection, struct bytes data)
{
    size_t before = connection->matched;
    size_t at = 0;
    while (at < data.len && connection->matched < PREFACE_BYTES &&
           data.ptr[at] == (uint8_t)preface[connection->matched]) {
        at++;
        connection->matched++;
    }
    if (connection->matched < PREFACE_BYTES && at == data.len) {
        return;
    }
    if (connection->matched == PREFACE_BYTES) {
        become_http2(connection);
    } else {
        become_http1(connection);
    }
    feed(connection, bytes_from(preface, before));
    feed(connection, data);
}

// Gives input to the protocol; what HTTP/1.1 leaves is kept.
static void feed(struct connection *connection, struct bytes data)
{
    if (data.len == 0 || connection->is_broken) {
        return;
    }
    if (connection->state == CONNECTION_DETECT) {
        detect(connection, data);
    } else if (connection->state == CONNECTION_HTTP2) {
        if (http2_feed(&connection->http2, data) != RESULT_OK) {
            (void)!http2_flush(&connection->http2);  // a GOAWAY that says why, if there is room
            connection->has_eof = true;
        }
    } else if (connection->state == CONNECTION_HTTP1) {
        size_t used = http1_feed(&connection->http1, data);
        if (used < data.len && connection->http1.state != HTTP1_CLOSED) {
            buffer_append_bytes(&connection->stash, bytes_slice(data, used, SIZE_MAX));
            connection->is_broken = buffer_status(&connection->stash) != RESULT_OK;
        }
    }
}

static bool has_stash(const struct connection *connection)
{
    return connection->stash.len > connection->stash_taken;
}

static void feed_stash(struct connection *connection)
{
    if (connection->state != CONNECTION_HTTP1 || !has_stash(connection)) {
        return;
    }
    struct bytes kept = bytes_slice(buffer_view(&connection->stash), connection->stash_taken,
                                    SIZE_MAX);
    connection->stash_taken += http1_feed(&connection->http1, kept);
    if (!has_stash(connection) || connection->http1.state == HTTP1_CLOSED) {
        buffer_fini(&connection->stash);
        buffer_init(&connection->stash, 2 * SERVER_READ_BYTES);
        connection->stash_taken = 0;
    }
}

static bool wants_input(const struct connection *connection)
{
    if (connection->has_eof || connection->is_broken) {
        return false;
    }
    switch (connection->state) {
    case CONNECTION_HANDSHAKE:
        return !connection->wants_write;
    case CONNECTION_HTTP1:
        return http1_takes_input(&connection->http1) && !has_stash(connection);
    case CONNECTION_HTTP2:
        return connection->out.len < SERVER_OUT_HIGH;
    case CONNECTION_DETECT:
    case CONNECTION_LINGER:
        break;
    }
    return true;
}

static void shake_hands(struct connection *connection)
{
    switch (tls_stream_handshake(connection->tls)) {
    case TLS_DONE:
        connection->wants_write = false;
        connection->state = CONNECTION_DETECT;
        if (tls_stream_is_h2(connection->tls)) {
            become_http2(connection);
        }
        break;
    case TLS_WANT_READ:
        connection->wants_write = false;
        break;
    case TLS_WANT_WRITE:
        connection->wants_write = true;
        break;
    case TLS_FAILED:
        connection->is_broken = true;
        break;
    }
}

// One portion. False: there is no more for now.
static bool read_portion(struct connection *connection)
{
    size_t room = SERVER_READ_BYTES;
    uint8_t *direct = NULL;
    uint8_t *into = connection->server->read_buffer;
    if (connection->state == CONNECTION_HTTP1) {
        direct = http1_body_room(&connection->http1, &room);
        into = direct ? direct : into;
        if (!direct && connection->http1.is_large && http1_is_idle(&connection->http1)) {
            room = HEAD_READ_BYTES;  // the body behind it shall not take the way round
        }
    }
    ssize_t got = receive(connection, into, room);
    if (got <= 0) {
        connection->has_eof = got == 0 || (errno != EAGAIN && errno != EINTR);
        return false;
    }
    if (connection->state == CONNECTION_LINGER) {
        connection->lingered += (size_t)got;
    } else if (direct) {
        http1_commit(&connection->http1, (size_t)got);
    } else {
        feed(connection, bytes_from(into, (size_t)got));
    }
    return connection->tls != NULL || (size_t)got == room;
}

static void read_input(struct connection *connection)
{
    for (int i = 0; i < READS_PER_TURN && wants_input(connection); i++) {
        if (connection->state == CONNECTION_HANDSHAKE) {
            shake_hands(connection);
            if (connection->state == CONNECTION_HANDSHAKE) {
                return;  // until the descriptor is ready again
            }
        } else if (!read_portion(connection)) {
            return;
        }
    }
    if (connection->tls && wants_input(connection) && tls_stream_has_pending(connection->tls)) {
        on_wake(connection);  // epoll does not see what OpenSSL has read already
    }
}

// One send of all that waits. False: the connection is broken.
static bool send_output(struct connection *connection)
{
    size_t len = connection->out.len - connection->out_sent;
    if (buffer_status(&connection->out) != RESULT_OK) {
        return false;
    }
    if (len == 0) {
        return true;
    }
    const uint8_t *from = connection->out.ptr + connection->out_sent;
    ssize_t put = connection->tls ? tls_stream_write(connection->tls, from, len)
                                  : send(connection->watch.fd, from, len, MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
    }
    uint64_t now_ns = loop_now_ns(connection->server->loop);
    if (put > 0) {
        connection->sent_ns = connection->heard_ns = now_ns;
        connection->out_sent += (size_t)put;
    } else if (!connection->wants_write) {
        connection->sent_ns = now_ns;  // the wait begins
    }
    if (connection->out_sent == connection->out.len) {
        connection->out_sent = 0;
        if (connection->out.capacity > OUT_KEEP) {
            buffer_fini(&connection->out);
            buffer_init(&connection->out, OUT_MAX);
        } else {
            buffer_reset(&connection->out);
        }
    }
    return true;
}

static bool has_output(const struct connection *connection)
{
    return connection->out.len > connection->out_sent;
}

static void begin_linger(struct connection *connection)
{
    connection->state = CONNECTION_LINGER;
    connection->sent_ns = loop_now_ns(connection->server->loop);
    if (connection->tls) {
        tls_stream_say_goodbye(connection->tls);
    }
    (void)shutdown(connection->watch.fd, SHUT_WR);
}

// Whether nothing is left to do but to close.
static bool is_over(struct connection *connection)
{
    if (connection->state == CONNECTION_LINGER) {
        return connection->has_eof || connection->lingered > LINGER_BYTES;
    }
    if (connection->state == CONNECTION_HTTP1) {
        const struct http1 *http1 = &connection->http1;
        if (connection->has_eof && http1->state != HTTP1_WAIT) {
            // Half a request that nobody will complete, or none; replies already made still leave.
            return !has_output(connection);
        }
        if (http1->state == HTTP1_CLOSED && !has_output(connection)) {
            begin_linger(connection);
        }
        return false;
    }
    if (connection->state == CONNECTION_HTTP2) {
        return !has_output(connection) &&
               (connection->has_eof || http2_is_done(&connection->http2));
    }
    return connection->has_eof;
}

// Sends, ends or goes on listening, after anything that may have changed the connection.
static void settle(struct connection *connection)
{
    for (int pass = 0; pass < PASSES_PER_TURN; pass++) {
        if (connection->state == CONNECTION_HTTP2 && !connection->is_broken &&
            http2_flush(&connection->http2) != RESULT_OK) {
            connection->has_eof = true;
        }
        if (connection->is_broken || !send_output(connection)) {
            connection_close(connection);
            return;
        }
        bool was_full = has_output(connection);
        if (!was_full && connection->state == CONNECTION_HTTP1) {
            http1_tell_room(&connection->http1);
        } else if (!was_full && connection->state == CONNECTION_HTTP2) {
            http2_tell_room(&connection->http2);
        }
        feed_stash(connection);
        bool has_more = has_output(connection) ||
                        (connection->state == CONNECTION_HTTP2 &&
                         nghttp2_session_want_write(connection->http2.session));
        if (was_full || !has_more) {
            break;
        }
    }
    if (is_over(connection)) {
        connection_close(connection);
        return;
    }
    if (connection->state != CONNECTION_HANDSHAKE) {
        connection->wants_write = has_output(connection);
    }
    uint32_t events = (wants_input(connection) ? (uint32_t)EPOLLIN : 0) |
                      (connection->wants_write ? (uint32_t)EPOLLOUT : 0);
    if (events != connection->watch.events &&
        loop_watch(connection->server->loop, &connection->watch, events) != RESULT_OK) {
        connection_close(connection);
    }
}

static void on_ready(struct loop_fd *watch, uint32_t events)
{
    struct connection *connection = watch->arg;
    CHECK(connection->magic == CONNECTION_MAGIC);
    if (connection->state == CONNECTION_HANDSHAKE && (events & EPOLLOUT)) {
        connection->wants_write = false;
    }
    if (wants_input(connection)) {
        read_input(connection);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        connection_close(connection);
        return;
    }
    settle(connection);
}

static void resume(struct connection *connection)
{
    feed_stash(connection);
    if (connection->tls && wants_input(connection) && tls_stream_has_pending(connection->tls)) {
        read_input(connection);
    }
    settle(connection);
}

void connection_resume_woken(struct server *server)
{
    struct connection *connection = server->woken;
    server->woken = NULL;  // what is woken from here on has its turn next time
    while (connection) {
        struct connection *next = connection->woken_next;
        connection->is_woken = false;
        connection->woken_next = NULL;
        resume(connection);
        connection = next;
    }
}

void connection_open(struct server *server, struct listener *listener, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct tls_server *tls = listener_tls(listener);
    if (connection && tls) {
        connection->tls = tls_stream_new(tls, fd);
    }
    if (!connection || (tls && !connection->tls)) {
        free(connection);
        close(fd);
        return;
    }
    connection->magic = CONNECTION_MAGIC;
    connection->state = tls ? CONNECTION_HANDSHAKE : CONNECTION_DETECT;
    connection->server = server;
    connection->policy = listener_policy(listener);
    connection->watch = (struct loop_fd){.fd = fd, .ready = on_ready, .arg = connection};
    connection->opened_ns = connection->heard_ns = server_now_ns(server);
    buffer_init(&connection->out, OUT_MAX);
    buffer_init(&connection->stash, 2 * SERVER_READ_BYTES);
    connection->next = server->connections;
    connection->prev = &server->connections;
    if (connection->next) {
        connection->next->prev = &connection->next;
    }
    server->connections = connection;
    server->counts.connections++;
    atomic_store_explicit(&server->connection_count, server->counts.connections,
                          memory_order_relaxed);
    if (!timer_is_set(&server->sweep)) {
        loop_set_timer(server->loop, &server->sweep, server_now_ns(server) + server->sweep_ns);
    }
    settle(connection);
}

static bool is_idle(const struct connection *connection)
{
    switch (connection->state) {
    case CONNECTION_HTTP1:
        return http1_is_idle(&connection->http1) && !has_stash(connection) &&
               !has_output(connection);
    case CONNECTION_HTTP2:
        return http2_is_idle(&connection->http2) && !has_output(connection);
    case CONNECTION_LINGER:
        return true;
    default:
        return connection->matched == 0;
    }
}

bool connection_evict_oldest(struct server *server)
{
    struct connection *oldest = NULL;
    for (struct connection *it = server->connections; it; it = it->next) {
        if (is_idle(it) && (!oldest || it->heard_ns < oldest->heard_ns)) {
            oldest = it;
        }
    }
    if (!oldest || server_now_ns(server) - oldest->heard_ns < EVICT_AFTER_NS) {
        return false;
    }
    server->counts.evicted++;
    connection_close(oldest);
    return true;
}

static bool is_past(uint64_t since_ns, uint64_t allowed_ns, uint64_t now_ns)
{
    return now_ns > since_ns && now_ns - since_ns > allowed_ns;
}

static void sweep_http1(struct connection *connection, uint64_t now_ns)
{
    struct http1 *http1 = &connection->http1;
    if (now_ns > http1_deadline_ns(http1)) {
        connection->server->counts.timeouts++;
        http1_time_out(http1);
    }
}

// Drain, age and keep-alive of an HTTP/2 connection.
static void sweep_http2(struct connection *connection, uint64_t now_ns)
{
    const struct server_config *config = &connection->server->config;
    struct http2 *http2 = &connection->http2;
    if (!http2_sweep(http2, now_ns)) {
        connection->is_broken = true;
        return;
    }
    if (config->age_max_ns > 0 && is_past(connection->opened_ns, config->age_max_ns, now_ns)) {
        connection_drain(connection);
    }
    if (http2->notice_sent && is_past(connection->notice_ns, GOAWAY_AFTER_NS, now_ns)) {
        http2_drain_goaway(http2);
        bool is_late = config->age_grace_ns > 0 &&
                       is_past(connection->notice_ns, config->age_grace_ns, now_ns);
        if (http2_is_idle(http2) || is_late) {
            (void)nghttp2_session_terminate_session(http2->session, NGHTTP2_NO_ERROR);
        }
    }
    if (!connection->is_pinged && is_past(connection->heard_ns, config->ping_after_ns, now_ns)) {
        connection->is_pinged = true;
        http2_ping(http2);
    }
}

static bool is_timed_out(const struct connection *connection, uint64_t now_ns)
{
    const struct server_config *config = &connection->server->config;
    if (has_output(connection) && connection->wants_write &&
        is_past(connection->sent_ns, config->write_timeout_ns, now_ns)) {
        return true;
    }
    switch (connection->state) {
    case CONNECTION_HANDSHAKE:
        return is_past(connection->opened_ns, config->head_timeout_ns, now_ns);
    case CONNECTION_LINGER:
        return is_past(connection->sent_ns, LINGER_NS, now_ns);
    case CONNECTION_DETECT:
        if (connection->matched > 0) {
            return is_past(connection->opened_ns, config->head_timeout_ns, now_ns);
        }
        break;
    case CONNECTION_HTTP2:
        if (connection->is_pinged &&
            is_past(connection->heard_ns, config->ping_after_ns + config->ping_timeout_ns,
                    now_ns)) {
            return true;
        }
        break;
    default:
        break;
    }
    return is_idle(connection) && is_past(connection->heard_ns, config->idle_timeout_ns, now_ns);
}

void connection_sweep(struct connection *connection, uint64_t now_ns)
{
    struct server *server = connection->server;
    if (is_timed_out(connection, now_ns)) {
        server->counts.timeouts++;
        if (connection->state == CONNECTION_HTTP2) {  // a last word, if it fits
            (void)nghttp2_session_terminate_session(connection->http2.session, NGHTTP2_NO_ERROR);
            (void)!http2_flush(&connection->http2);
            (void)send_output(connection);
        }
        connection_close(connection);
        return;
    }
    if (connection->state == CONNECTION_HTTP1) {
        sweep_http1(connection, now_ns);
    } else if (connection->state == CONNECTION_HTTP2) {
        sweep_http2(connection, now_ns);
    }
    if (server->draining && is_idle(connection) && connection->state != CONNECTION_HTTP2) {
        connection_close(connection);
        return;
    }
    settle(connection);
}

void connection_drain(struct connection *connection)
{
    if (connection->state == CONNECTION_HTTP2 && !connection->http2.notice_sent) {
        connection->notice_ns = server_now_ns(connection->server);
        http2_drain_notice(&connection->http2);
        on_wake(connection);
    }
}

struct connection *connection_next(const struct connection *connection)
{
    return connection->next;
}
