// SPDX-License-Identifier: Apache-2.0
//
// libcurl's multi_socket interface on our loop: curl says which descriptors and which one timer it
// wants, the loop calls back, finished transfers are read from curl's queue afterwards, so `done`
// never runs inside curl. Easy handles are kept for the next request, up to the connection limit.
//
// Deadlines are timers of the loop, not curl's: they then also cover the wait for a connection, and
// there is one way in which a call ends early. curl keeps idle connections open until somebody asks
// for one; when nothing is in flight for the idle time, the whole multi handle is replaced.
//
// Refused: curl's threads-free multi_wait (a second poll loop), redirects (a POST that changes
// host is a leak), netrc, cookies, other protocols. Bounds: http_client.h. One thread: the loop's.
#include "base/http_client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <curl/curl.h>

#include "base/check.h"
#include "base/clock.h"

#define CLIENT_MAGIC MAGIC('H', 'C', 'L', 'I')
#define CALL_MAGIC MAGIC('H', 'C', 'A', 'L')
#define CONNECTIONS_DEFAULT 8
#define IDLE_TIMEOUT_DEFAULT_NS (90 * NS_PER_S)
#define TIMEOUT_MAX_NS (86400 * NS_PER_S)
#define RESPONSE_BYTES_DEFAULT ((size_t)4 << 20)
#define CONNECTION_LIFETIME_S 300L
#define UPLOAD_BUFFER_BYTES (256L << 10)
#define EASY_POOL_MAX 64

struct http_client {
    uint32_t magic;
    struct loop *loop;
    CURLM *multi;
    struct timer curl_timer;  // curl's one timer
    struct timer idle_timer;  // set while nothing is in flight
    struct http_call *calls;  // in flight
    size_t in_flight;
    CURL *easies[EASY_POOL_MAX];  // idle handles
    size_t easy_count;
    unsigned depth;  // entries from the loop that are on the stack
    bool freeing;    // no new calls; memory goes when depth is 0 again
    char *user_agent, *proxy, *no_proxy, *server_name;
    char *unix_socket;  // NULL: none
    struct tls_client_watch *tls;
    bool verify, tls13, tls12, http2;
    long connections_max;
    uint64_t idle_timeout_ns;
    size_t response_bytes_max;
};

struct http_call {
    uint32_t magic;
    struct http_client *client;
    struct http_call *next, **prev;
    CURL *easy;
    struct tls_client_current *tls;  // the easy handle points into it
    struct curl_slist *headers, *connect_to;
    struct timer deadline;
    const struct http_reader *reader;  // NULL: the body is kept
    bool is_once;                      // not to be sent again by curl
    unsigned sendings;
    bool is_paused;
    http_done_fn done;
    void *arg;
    struct buffer body;
    size_t header_bytes;
    bool too_large;  // our own cap stopped the transfer
    bool has_retry_after;
    uint64_t retry_after_ns;
    uint64_t started_ns;
    enum result refused;  // not OK: never started; told when the deadline fires
    const char *refused_why;
    char error[CURL_ERROR_SIZE];
};

struct socket_watch {  // one per descriptor of curl's
    struct loop_fd fd;
    struct http_client *client;
};

static void global_init(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

// ---- ends of calls

static void client_release(struct http_client *client);
static void watch_idle(struct http_client *client);

static void enter(struct http_client *client)
{
    CHECK(client->magic == CLIENT_MAGIC);
    client->depth++;
}

// Afterwards the client may be gone.
static void leave(struct http_client *client)
{
    CHECK(client->depth > 0);
    client->depth--;
    if (client->freeing && client->depth == 0) {
        client_release(client);
    }
}

static void call_unlink(struct http_call *call)
{
    *call->prev = call->next;
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
    CHECK(call->client->in_flight > 0);
    call->client->in_flight--;
}

// Takes the transfer out of curl; an unfinished one closes its connection.
static void call_detach(struct http_call *call)
{
    struct http_client *client = call->client;
    CHECK(call->magic == CALL_MAGIC);
    loop_cancel_timer(client->loop, &call->deadline);
    call_unlink(call);
    if (call->easy != NULL) {
        curl_multi_remove_handle(client->multi, call->easy);
    }
}

static void call_free(struct http_call *call)
{
    struct http_client *client = call->client;
    if (call->easy != NULL && client->easy_count < EASY_POOL_MAX &&
        client->easy_count < (size_t)client->connections_max) {
        curl_easy_reset(call->easy);
        client->easies[client->easy_count++] = call->easy;
    } else if (call->easy != NULL) {
        curl_easy_cleanup(call->easy);
    }
    tls_client_current_release(&call->tls);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->connect_to);
    buffer_fini(&call->body);
    call->magic = 0;
    free(call);
}

static void call_finish(struct http_call *call, enum result result, const char *error)
{
    struct http_client *client = call->client;
    struct http_response response = {
        .result = result,
        .error = error,
        .has_retry_after = call->has_retry_after,
        .retry_after_ns = call->retry_after_ns,
        .elapsed_ns = loop_now_ns(client->loop) - call->started_ns,
    };
    if (call->easy != NULL) {
        long status = 0;
        const char *type = NULL;
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
        response.status = (int)status;
        response.content_type = bytes_from_text(type);
    }
    if (result == RESULT_OK) {
        response.body = buffer_view(&call->body);
    }
    call_detach(call);
    call->done(call->arg, &response);
    call_free(call);
    watch_idle(client);
}

// What curl's codes mean for the caller. What is not listed may succeed when tried again: refused,
// reset, timed out, empty, garbled; 16, 52, 55, 56 and 92 are also what a healthy HTTP/2 server
// answers to a connection that it is about to close.
static enum result result_from_code(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return RESULT_OK;
    case CURLE_URL_MALFORMAT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CLIENTCERT:
        return RESULT_FAIL;
    default:
        return RESULT_RETRY;
    }
}

static void finish_from_code(struct http_call *call, CURLcode code)
{
    if (call->too_large) {
        call_finish(call, RESULT_TOO_LARGE, "the response exceeds the limit");
        return;
    }
    const char *error = call->error[0] != '\0' ? call->error : curl_easy_strerror(code);
    call_finish(call, result_from_code(code), code == CURLE_OK ? NULL : error);
}

// After every socket_action: whatever has finished. A callback may free the client.
static void drain_finished(struct http_client *client)
{
    int left;
    CURLMsg *message;
    while (!client->freeing && (message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct http_call *call = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        CHECK(message->msg == CURLMSG_DONE && call != NULL && call->magic == CALL_MAGIC);
        finish_from_code(call, message->data.result);
    }
}

static void deadline_fired(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer, (void)now_ns;
    struct http_call *call = arg;
    struct http_client *client = call->client;
    CHECK(call->magic == CALL_MAGIC);
    enter(client);
    if (call->refused != RESULT_OK) {
        call_finish(call, call->refused, call->refused_why);
    } else {
        call_finish(call, RESULT_RETRY, "no answer within the time-out");
    }
    leave(client);
}

// ---- curl's wishes

static void act(struct http_client *client, curl_socket_t fd, int mask)
{
    int running;
    enter(client);
    CHECK(curl_multi_socket_action(client->multi, fd, mask, &running) == CURLM_OK);
    drain_finished(client);
    leave(client);
}

static void socket_ready(struct loop_fd *fd, uint32_t events)
{
    struct socket_watch *watch = fd->arg;
    int mask = ((events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    act(watch->client, fd->fd, mask);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct http_client *client = arg;
    struct socket_watch *watch = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            loop_unwatch(client->loop, &watch->fd);
            free(watch);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = calloc(1, sizeof *watch);
        CHECK(watch != NULL);
        watch->client = client;
        watch->fd = (struct loop_fd){.fd = fd, .ready = socket_ready, .arg = watch};
        curl_multi_assign(client->multi, fd, watch);
    }
    uint32_t events = ((what & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0u) |
                      ((what & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0u);
    // A kernel that refuses the watch leaves the transfer to its deadline: telling curl would
    // abort all others too.
    enum result ignored = loop_watch(client->loop, &watch->fd, events);
    (void)ignored;
    return 0;
}

// From the true time: were the timer early by the length of this turn, curl would find nothing due
// and not ask again. What is due at once, as each new transfer is, does not wait for the wheel's
// next tick of a millisecond.
static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_client *client = arg;
    if (timeout_ms < 0) {
        loop_cancel_timer(client->loop, &client->curl_timer);
    } else if (timeout_ms == 0) {
        loop_set_timer(client->loop, &client->curl_timer, 0);
    } else {
        loop_set_timer(client->loop, &client->curl_timer,
                       clock_mono_ns() + (uint64_t)timeout_ms * NS_PER_MS);
    }
    return 0;
}

static void curl_timer_fired(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer, (void)now_ns;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static size_t on_body(char *ptr, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    if (call->reader != NULL) {
        call->is_paused = !call->reader->data(call->arg, bytes_from(ptr, size * count));
        return call->is_paused ? CURL_WRITEFUNC_PAUSE : size * count;
    }
    buffer_append(&call->body, ptr, size * count);
    if (buffer_status(&call->body) != RESULT_OK) {
        call->too_large = true;
        return 0;
    }
    return size * count;
}

// Seconds, or an HTTP-date (RFC 9110 10.2.3). What is neither is as good as absent.
static void take_retry_after(struct http_call *call, struct bytes value)
{
    uint64_t seconds = 0;
    char text[64];
    if (!bytes_to_u64(value, &seconds)) {
        snprintf(text, sizeof text, "%.*s", BYTES_PRINTF(value));
        time_t at = value.len < sizeof text ? curl_getdate(text, NULL) : -1;
        if (at < 0) {
            return;
        }
        uint64_t now_s = clock_wall_ns() / NS_PER_S;
        seconds = (uint64_t)at > now_s ? (uint64_t)at - now_s : 0;
    }
    uint64_t max_s = HTTP_RETRY_AFTER_NS_MAX / NS_PER_S;
    call->has_retry_after = true;
    call->retry_after_ns = (seconds < max_s ? seconds : max_s) * NS_PER_S;
}

static void reader_takes(struct http_call *call, struct bytes line)
{
    size_t colon = bytes_find(line, BYTES_LITERAL(":"), 0);
    long status = 0;
    if (bytes_start_with(line, BYTES_LITERAL("HTTP/"))) {
        call->reader->begin(call->arg);
    } else if (colon != SIZE_MAX) {
        call->reader->field(call->arg, bytes_slice(line, 0, colon),
                            bytes_trim(bytes_slice(line, colon + 1, line.len)));
    } else if (bytes_trim(line).len == 0) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200) {
            call->reader->head(call->arg, (int)status);
        }
    }
}

// Before each sending: curl repeats by itself what a kept connection seems to have lost, whatever
// the method.
static int on_sending(void *arg, char *own_address, char *address, int own_port, int port)
{
    struct http_call *call = arg;
    (void)own_address, (void)address, (void)own_port, (void)port;
    return ++call->sendings > 1 && call->is_once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static size_t on_header(char *ptr, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    struct bytes line = bytes_from(ptr, size * count);
    call->header_bytes += line.len;
    if (call->header_bytes > HTTP_HEADER_BYTES_MAX) {
        call->too_large = true;
        return 0;
    }
    if (call->reader != NULL) {
        reader_takes(call, line);
    }
    if (bytes_start_with(line, BYTES_LITERAL("HTTP/"))) {
        call->has_retry_after = false;  // what came with an interim response
        call->retry_after_ns = 0;
        return line.len;
    }
    size_t colon = bytes_find(line, BYTES_LITERAL(":"), 0);
    if (colon != SIZE_MAX && bytes_equal_nocase(bytes_slice(line, 0, colon), "retry-after")) {
        take_retry_after(call, bytes_trim(bytes_slice(line, colon + 1, line.len)));
    }
    return line.len;
}

// ---- setting up a transfer

// curl_easy_setopt fails only when memory is out or the library lacks a feature that every build
// of the two distributions has.
#define SET(easy, option, value) CHECK(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

static void set_blob(CURL *easy, CURLoption option, const struct buffer *pem)
{
    if (pem->len > 0) {
        struct curl_blob blob = {.data = pem->ptr, .len = pem->len, .flags = CURL_BLOB_NOCOPY};
        SET(easy, option, &blob);
    }
}

static void set_tls(struct http_call *call, const struct http_client *client)
{
    CURL *easy = call->easy;
    long version = client->tls13 ? (long)CURL_SSLVERSION_TLSv1_3 : (long)CURL_SSLVERSION_TLSv1_2;
    SET(easy, CURLOPT_SSLVERSION,
        version | (client->tls12 ? (long)CURL_SSLVERSION_MAX_TLSv1_2 : 0L));
    SET(easy, CURLOPT_SSL_VERIFYPEER, client->verify ? 1L : 0L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, client->verify ? 2L : 0L);
    call->tls = tls_client_watch_take(client->tls, clock_mono_ns());
    if (call->tls->ciphers->len > 0) {
        SET(easy, CURLOPT_SSL_CIPHER_LIST, (const char *)call->tls->ciphers->ptr);
    }
    if (call->tls->groups->len > 0) {
        SET(easy, CURLOPT_SSL_EC_CURVES, (const char *)call->tls->groups->ptr);
    }
    set_blob(easy, CURLOPT_CAINFO_BLOB, &call->tls->material.ca);
    set_blob(easy, CURLOPT_SSLCERT_BLOB, &call->tls->material.cert);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, &call->tls->material.key);
}

static void set_connection(CURL *easy, const struct http_client *client)
{
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S);
    SET(easy, CURLOPT_MAXAGE_CONN, (long)(client->idle_timeout_ns / NS_PER_S) + 1);
    SET(easy, CURLOPT_HTTP_VERSION,
        client->http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_PIPEWAIT, client->http2 ? 1L : 0L);
    SET(easy, CURLOPT_CONNECTTIMEOUT, 86400L);  // the call's deadline is the limit
    // A call that ends while its name is looked up must not wait for the resolver's thread.
    SET(easy, CURLOPT_QUICK_EXIT, 1L);
    SET(easy, CURLOPT_NOPROXY, client->unix_socket != NULL ? "*" : client->no_proxy);
    if (client->unix_socket != NULL) {
        SET(easy, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
    }
    if (client->proxy != NULL) {
        SET(easy, CURLOPT_PROXY, client->proxy);
    }
    if (client->user_agent != NULL) {
        SET(easy, CURLOPT_USERAGENT, client->user_agent);
    }
}

static void set_body(CURL *easy, const struct http_request *request)
{
    bool is_post = strcmp(request->method, "POST") == 0;
    if (strcmp(request->method, "GET") == 0) {
        SET(easy, CURLOPT_HTTPGET, 1L);
        return;
    }
    if (strcmp(request->method, "HEAD") == 0) {
        SET(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    SET(easy, CURLOPT_POST, 1L);
    SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    SET(easy, CURLOPT_POSTFIELDS, request->body.len > 0 ? (const char *)request->body.ptr : "");
    SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
    if (!is_post) {
        SET(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

// A set server name takes the host's place in the URL, for SNI and verification; the connection
// and the Host header stay those of the URL.
static bool override_server_name(struct http_call *call, const char *url, struct buffer *out)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    char *port = NULL;
    char *plain_port = NULL;
    char *whole = NULL;
    bool done = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_set(parts, CURLUPART_HOST, call->client->server_name, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_URL, &whole, 0) == CURLUE_OK;
    if (done) {
        bool named = curl_url_get(parts, CURLUPART_PORT, &plain_port, 0) == CURLUE_OK;
        buffer_printf(out, "Host: %s%s%s", host, named ? ":" : "", named ? plain_port : "");
        call->headers = curl_slist_append(call->headers, buffer_text(out));
        buffer_reset(out);
        buffer_printf(out, "%s:%s:%s:%s", call->client->server_name, port, host, port);
        call->connect_to = curl_slist_append(NULL, buffer_text(out));
        buffer_reset(out);
        buffer_append_text(out, whole);
        SET(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
    }
    curl_free(host);
    curl_free(port);
    curl_free(plain_port);
    curl_free(whole);
    curl_url_cleanup(parts);
    return done;
}

static bool header_is_clean(const struct http_header *header)
{
    return header->name[0] != '\0' && strpbrk(header->name, "\r\n: ") == NULL &&
           strpbrk(header->value, "\r\n") == NULL;
}

static bool set_headers(struct http_call *call, const struct http_request *request)
{
    struct buffer line;
    bool has_type = false;
    bool has_accept = !request->is_passed_on;
    buffer_init(&line, HTTP_HEADER_BYTES_MAX);
    // "Expect: 100-continue" would cost a second where a server does not answer it.
    call->headers = curl_slist_append(call->headers, "Expect:");
    bool clean = true;
    for (size_t i = 0; clean && i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        clean = header_is_clean(header);
        has_type = has_type || strcasecmp(header->name, "content-type") == 0;
        has_accept = has_accept || strcasecmp(header->name, "accept") == 0;
        buffer_reset(&line);
        // "name;" is curl's way to send a header without a value.
        bool empty = header->value[0] == '\0';
        buffer_printf(&line, "%s%s%s", header->name, empty ? ";" : ": ", header->value);
        clean = clean && buffer_status(&line) == RESULT_OK;
        call->headers = curl_slist_append(call->headers, buffer_text(&line));
    }
    if (!has_type) {
        call->headers = curl_slist_append(call->headers, "Content-Type:");
    }
    if (!has_accept) {
        call->headers = curl_slist_append(call->headers, "Accept:");
    }
    SET(call->easy, CURLOPT_HTTPHEADER, call->headers);
    buffer_fini(&line);
    return clean;
}

static bool set_url(struct http_call *call, const char *url)
{
    bool overridden = call->client->server_name != NULL && strncmp(url, "https:", 6) == 0;
    struct buffer text;
    buffer_init(&text, 1 << 16);
    if (overridden && !override_server_name(call, url, &text)) {
        buffer_fini(&text);
        return false;
    }
    SET(call->easy, CURLOPT_URL, overridden ? buffer_text(&text) : url);
    buffer_fini(&text);
    return true;
}

// RESULT_FAIL with a sentence: the request as such is wrong.
static enum result call_set_up(struct http_call *call, const struct http_request *request)
{
    struct http_client *client = call->client;
    if (!http_url_is_valid(bytes_from_text(request->url), &call->refused_why)) {
        return RESULT_FAIL;
    }
    call->easy = client->easy_count > 0 ? client->easies[--client->easy_count] : curl_easy_init();
    if (call->easy == NULL) {
        call->refused_why = "out of memory";
        return RESULT_RETRY;
    }
    SET(call->easy, CURLOPT_PRIVATE, call);
    SET(call->easy, CURLOPT_ERRORBUFFER, call->error);
    SET(call->easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(call->easy, CURLOPT_WRITEDATA, call);
    SET(call->easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(call->easy, CURLOPT_HEADERDATA, call);
    if (request->is_passed_on) {
        SET(call->easy, CURLOPT_PATH_AS_IS, 1L);
        SET(call->easy, CURLOPT_PREREQFUNCTION, on_sending);
        SET(call->easy, CURLOPT_PREREQDATA, call);
    }
    set_connection(call->easy, client);
    set_tls(call, client);
    set_body(call->easy, request);
    if (!set_url(call, request->url)) {
        call->refused_why = "the URL does not go with the server name";
        return RESULT_FAIL;
    }
    if (!set_headers(call, request)) {
        call->refused_why = "a request header has characters that no header may have";
        return RESULT_FAIL;
    }
    return RESULT_OK;
}

struct http_call *http_client_send(struct http_client *client, const struct http_request *request,
                                   http_done_fn done, void *arg)
{
    CHECK(client->magic == CLIENT_MAGIC && !client->freeing);
    struct http_call *call = calloc(1, sizeof *call);
    CHECK(call != NULL);
    call->magic = CALL_MAGIC;
    call->client = client;
    call->done = done;
    call->arg = arg;
    call->reader = request->reader;
    call->is_once = request->is_passed_on;
    call->started_ns = loop_now_ns(client->loop);
    buffer_init(&call->body, client->response_bytes_max);
    timer_init(&call->deadline, deadline_fired, call);
    call->next = client->calls;
    call->prev = &client->calls;
    if (call->next != NULL) {
        call->next->prev = &call->next;
    }
    client->calls = call;
    client->in_flight++;
    loop_cancel_timer(client->loop, &client->idle_timer);
    call->refused = call_set_up(call, request);
    if (call->refused == RESULT_OK &&
        curl_multi_add_handle(client->multi, call->easy) != CURLM_OK) {
        call->refused = RESULT_RETRY;
        call->refused_why = "out of memory";
    }
    uint64_t timeout_ns = call->refused == RESULT_OK ? request->timeout_ns : 0;
    timeout_ns = timeout_ns < TIMEOUT_MAX_NS ? timeout_ns : TIMEOUT_MAX_NS;
    loop_set_timer(client->loop, &call->deadline, clock_mono_ns() + timeout_ns);
    return call;
}

void http_client_cancel(struct http_client *client, struct http_call *call)
{
    CHECK(client->magic == CLIENT_MAGIC && call->magic == CALL_MAGIC && call->client == client);
    enter(client);
    call_detach(call);
    call_free(call);
    watch_idle(client);
    leave(client);
}

void http_client_resume(struct http_client *client, struct http_call *call)
{
    CHECK(client->magic == CLIENT_MAGIC && call->magic == CALL_MAGIC && call->client == client);
    CHECK(client->depth == 0);
    if (!call->is_paused) {
        return;
    }
    call->is_paused = false;
    enter(client);
    curl_easy_pause(call->easy, CURLPAUSE_CONT);  // what it says is said again by the transfer
    leave(client);
    act(client, CURL_SOCKET_TIMEOUT, 0);
}

size_t http_client_in_flight(const struct http_client *client)
{
    CHECK(client->magic == CLIENT_MAGIC);
    return client->in_flight;
}

// ---- the client's own life

static void multi_open(struct http_client *client)
{
    client->multi = curl_multi_init();
    CHECK(client->multi != NULL);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, client->connections_max);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, client->connections_max);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, client->connections_max);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING,
                      client->http2 ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
}

static void multi_close(struct http_client *client)
{
    while (client->easy_count > 0) {  // they may hold what belongs to the multi handle
        curl_easy_cleanup(client->easies[--client->easy_count]);
    }
    curl_multi_cleanup(client->multi);
    client->multi = NULL;
    loop_cancel_timer(client->loop, &client->curl_timer);
}

static void watch_idle(struct http_client *client)
{
    if (client->in_flight == 0 && !client->freeing) {
        loop_set_timer(client->loop, &client->idle_timer,
                       loop_now_ns(client->loop) + client->idle_timeout_ns);
    }
}

static void idle_timer_fired(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer, (void)now_ns;
    struct http_client *client = arg;
    CHECK(client->magic == CLIENT_MAGIC && client->in_flight == 0 && client->depth == 0);
    multi_close(client);
    multi_open(client);
}

static char *copy_text(struct bytes text)
{
    return text.len > 0 ? strndup((const char *)text.ptr, text.len) : NULL;
}

static enum result configure(struct http_client *client, const struct http_client_config *config,
                             char *why, size_t why_len)
{
    const struct tls_client_config none = {0};
    const struct tls_client_config *tls = config->tls != NULL ? config->tls : &none;
    client->verify = !tls->insecure_skip_verify;
    client->tls13 = bytes_equal_text(tls->min_version, "1.3");
    client->tls12 = bytes_equal_text(tls->max_version, "1.2");
    client->unix_socket = copy_text(config->unix_socket);
    client->server_name = copy_text(tls->server_name_override);
    client->http2 = config->http2;
    client->connections_max =
        config->connections_max > 0 ? (long)config->connections_max : CONNECTIONS_DEFAULT;
    client->idle_timeout_ns =
        config->idle_timeout_ns > 0 ? (uint64_t)config->idle_timeout_ns : IDLE_TIMEOUT_DEFAULT_NS;
    client->response_bytes_max =
        config->response_bytes_max > 0 ? config->response_bytes_max : RESPONSE_BYTES_DEFAULT;
    client->user_agent = copy_text(bytes_from_text(config->user_agent));
    client->proxy = copy_text(config->proxy_url);
    client->no_proxy = client->proxy != NULL ? strdup("") : http_no_proxy();
    CHECK(client->no_proxy != NULL);
    const char *sentence = "";
    if (client->proxy != NULL && !http_url_is_valid(config->proxy_url, &sentence)) {
        snprintf(why, why_len, "proxy_url: %s", sentence);
        return RESULT_FAIL;
    }
    return tls_client_watch_open(tls, &client->tls, why, why_len);
}

enum result http_client_new(struct loop *loop, const struct http_client_config *config,
                            struct http_client **client, char *why, size_t why_len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, global_init) == 0);
    struct http_client *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->magic = CLIENT_MAGIC;
    made->loop = loop;
    timer_init(&made->curl_timer, curl_timer_fired, made);
    timer_init(&made->idle_timer, idle_timer_fired, made);
    enum result result = configure(made, config, why, why_len);
    if (result != RESULT_OK) {
        client_release(made);
        return result;
    }
    multi_open(made);
    *client = made;
    return RESULT_OK;
}

static void client_release(struct http_client *client)
{
    CHECK(client->in_flight == 0);
    if (client->multi != NULL) {
        multi_close(client);
    }
    loop_cancel_timer(client->loop, &client->idle_timer);
    tls_client_watch_close(&client->tls);
    free(client->unix_socket);
    free(client->user_agent);
    free(client->proxy);
    free(client->no_proxy);
    free(client->server_name);
    client->magic = 0;
    free(client);
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    enter(client);
    client->freeing = true;
    while (client->calls != NULL) {
        call_finish(client->calls, RESULT_STOP, "the client was closed");
    }
    leave(client);
}
