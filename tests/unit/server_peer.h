// SPDX-License-Identifier: Apache-2.0
// A server on a loop that the test turns itself, with a few routes, and clients on non-blocking
// sockets. For the tests of server, listener and connection. Every wait is bounded in turns.
#pragma once

#include "base/loop.h"
#include "receiver/server.h"

#define PEER_TURNS_MAX 2000
#define PEER_GET       "GET /g HTTP/1.1\r\nHost: h\r\n\r\n"

extern struct loop *peer_loop;
extern struct server *peer_server;
extern struct request *peer_deferred;  // what POST /later has and nobody answered yet
extern char peer_input[1 << 16];       // what peer_take received, with a NUL behind

// Starts a server that listens on localhost. Routes: GET /g and POST /p answer "ok", GET /large
// answers 4 MiB, POST /later waits in peer_deferred.
void peer_begin(const struct server_config *config);
int peer_end(void **state);
void peer_answer(struct request *request);
int peer_dial(void);  // -1: no descriptor
void peer_put(int fd, const char *text);
void peer_turn(void);
// Receives until `count` replies with the body "ok" have come (0: until the end). Returns
// peer_input.
const char *peer_take(int fd, unsigned count, bool *has_ended);
unsigned peer_connections(void);
void peer_await_connections(unsigned count);
