// SPDX-License-Identifier: Apache-2.0
// What tells this process from every other one. The hop header `sidejudge-hop` carries it: what
// comes back with our own id has gone round in a circle.
#pragma once

#include <stdint.h>

// Random, the same for the life of the process, never 0. Any thread.
uint64_t process_instance_id(void);
