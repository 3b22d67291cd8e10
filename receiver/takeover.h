// SPDX-License-Identifier: Apache-2.0
// One's own listening socket found again, for a receiver that replaces another one on the same
// address while the process runs: the two share it, and what waits in its queue is lost by neither.
// Reload only; any thread.
#pragma once

#include <sys/socket.h>

#define TAKEOVER_DESCRIPTORS_MAX 65536

// A duplicate of this process's TCP socket that listens on exactly this address; -1: there is none
// among the first TAKEOVER_DESCRIPTORS_MAX descriptors.
int takeover_find(const struct sockaddr_storage *address);
