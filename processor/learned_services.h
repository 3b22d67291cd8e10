// SPDX-License-Identifier: Apache-2.0
// Which services have shown an agent span lately. Their model spans are never targets, so they need
// not wait. Shared by shards and receivers; MUTEX_LEARNED. Bounded: 256 services, the longest
// unseen makes room. Any thread.
#pragma once

#include "base/bytes.h"

struct learned_services;
struct learned_services *learned_services_new(uint64_t age_max_ns);
void learned_services_free(struct learned_services *services);
void learned_services_saw_agent(struct learned_services *services, struct bytes service,
                                uint64_t now_ns);
// No agent span of this service within the age.
bool learned_services_is_agentless(struct learned_services *services, struct bytes service,
                                   uint64_t now_ns);
