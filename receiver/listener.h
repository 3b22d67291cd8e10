// SPDX-License-Identifier: Apache-2.0
// An endpoint that is listened on: one or two sockets (localhost has two) of one port. Accepts
// under the server's cap on connections and survives the exhaustion of descriptors. The loop's
// thread.
#pragma once

#include "receiver/server.h"

struct listener;

enum result listener_open(struct server *server, const struct listen_config *config,
                          struct listener **listener, char *why, size_t why_len) MUST_USE;
// Accepts what waits in the kernel's queue, which would be reset by closing; before a drain.
void listener_accept_rest(struct listener *listener);
void listener_close(struct listener **listener);
uint16_t listener_port(const struct listener *listener);
int listener_fd(const struct listener *listener);  // its first socket
const struct listen_policy *listener_policy(const struct listener *listener);  // NULL: none
struct tls_server *listener_tls(const struct listener *listener);  // NULL: plain text
// A connection has gone: what was disarmed for want of room may accept again.
void listener_resume(struct listener *listener);
