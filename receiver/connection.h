// SPDX-License-Identifier: Apache-2.0
// One accepted connection: its descriptor, TLS when the listener has it, the protocol that its
// first bytes or ALPN chose, what waits to be sent. Owns itself: it ends when the peer, a limit or
// the server says so. The loop's thread.
#pragma once

#include "receiver/server.h"

struct connection;
struct listener;

// Takes the descriptor, which is closed when memory is out.
void connection_open(struct server *server, struct listener *listener, int fd);
// Ends the connection without ceremony.
void connection_close(struct connection *connection);
// Goes on with every connection that was woken since the last turn.
void connection_resume_woken(struct server *server);
// Looks at its deadlines; may end it.
void connection_sweep(struct connection *connection, uint64_t now_ns);
// The server drains: ends it when idle, tells an HTTP/2 peer to go.
void connection_drain(struct connection *connection);
// Ends the connection that has been idle longest; false when none has been for a moment.
bool connection_evict_oldest(struct server *server);
// The next in the server's list.
struct connection *connection_next(const struct connection *connection);
