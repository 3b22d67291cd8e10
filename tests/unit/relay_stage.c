// SPDX-License-Identifier: Apache-2.0
/*
 * The stage of the relay's tests. The backend runs on one thread of its own and is told before a
 * request what it will answer. Clients are blocking: a test reads as a sequence.
 */
#include "tests/unit/relay_stage.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

struct peer relay_peer;
struct scripted_http *relay_backend;
struct relay_target relay_to;
struct relay_seen relay_seen;
static char url[64];

static void keep(char *out, size_t size, struct bytes text)
{
    snprintf(out, size, "%.*s", BYTES_PRINTF(text));
}

static void answer(void *arg, const struct scripted_request *request, struct scripted_reply *reply)
{
    (void)arg;
    keep(relay_seen.line, sizeof relay_seen.line, request->line);
    keep(relay_seen.head, sizeof relay_seen.head, request->head);
    relay_seen.body_len = request->wire.len;
    relay_seen.first = request->wire.len > 0 ? request->wire.ptr[0] : 0;
    relay_seen.last = request->wire.len > 0 ? request->wire.ptr[request->wire.len - 1] : 0;
    *reply = relay_seen.reply;
    for (int i = 0; i < 20000 && atomic_load(&relay_seen.is_held); i++) {
        (void)poll(NULL, 0, 1);
    }
    atomic_fetch_add(&relay_seen.count, 1);
}

void relay_open(const char *yaml)
{
    memset(&relay_seen, 0, sizeof relay_seen);
    relay_seen.reply.body = BYTES_LITERAL("{}");
    relay_backend = scripted_http_start(answer, NULL);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", scripted_http_port(relay_backend));
    relay_to = (struct relay_target){
        .base_url = bytes_from_text(url), .proxy_url = BYTES_NONE, .timeout_ns = 20 * NS_PER_S};
    peer_relay = &relay_to;
    peer_start(&relay_peer, yaml, 7, 0);
    peer_relay = NULL;
}

int relay_set_up(void **state)
{
    (void)state;
    relay_open(RELAY_YAML);
    return 0;
}

int relay_tear_down(void **state)
{
    (void)state;
    atomic_store(&relay_seen.is_held, false);
    peer_stop(&relay_peer);
    if (relay_backend) {
        scripted_http_stop(&relay_backend);
    }
    return 0;
}

const char *relay_exchange(const void *request, size_t len)
{
    static char text[1 << 16];
    struct stream stream = stream_open(relay_peer.http_port);
    size_t have = 0;
    ssize_t got;
    stream_put(&stream, request, len);
    while (have < sizeof text - 1 &&
           (got = stream_get(&stream, text + have, sizeof text - 1 - have)) > 0) {
        have += (size_t)got;
    }
    text[have] = '\0';
    stream_close(&stream);
    return text;
}

const char *relay_say(const char *text)
{
    return relay_exchange(text, strlen(text));
}

int relay_status(const char *reply)
{
    return strncmp(reply, "HTTP/1.1 ", 9) == 0 ? (int)strtol(reply + 9, NULL, 10) : 0;
}

const char *relay_get(const char *path, const char *fields)
{
    char text[4096];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: agent.local\r\n" RELAY_CLOSE "%s\r\n",
             path, fields);
    return relay_say(text);
}

unsigned relay_times(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text; (at = strcasestr(at, what)) != NULL; at++) {
        count++;
    }
    return count;
}
