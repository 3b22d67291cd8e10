// SPDX-License-Identifier: Apache-2.0
// A small set-associative table of hashes: a service is looked for in eight places. A collision of
// 64 bit hashes would only let a model span pass that could have waited. Refused: a list of names,
// which a flood of service names would grow or which would have to be searched.
//
// Bounds: 32 x 8 entries. Any thread; MUTEX_LEARNED is held for a look-up only.
#include "processor/learned_services.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/thread.h"

enum { SETS = 32, WAYS = 8 };

struct learned_services {
    uint64_t age_max_ns;
    struct {
        uint64_t hash, seen_ns;
    } at[SETS][WAYS];
};

struct learned_services *learned_services_new(uint64_t age_max_ns)
{
    struct learned_services *services = calloc(1, sizeof(*services));
    CHECK(services);
    services->age_max_ns = age_max_ns;
    return services;
}

void learned_services_free(struct learned_services *services)
{
    free(services);
}

static uint64_t service_hash(struct bytes service)
{
    return hash_keyed(service.ptr, service.len) | 1;
}

void learned_services_saw_agent(struct learned_services *services, struct bytes service,
                                uint64_t now_ns)
{
    uint64_t hash = service_hash(service);
    size_t set = (hash >> 32) % SETS, way = 0;
    mutex_lock(MUTEX_LEARNED);
    for (size_t i = 0; i < WAYS; i++) {
        if (services->at[set][i].hash == hash) {
            way = i;
            break;
        }
        if (services->at[set][i].seen_ns < services->at[set][way].seen_ns) {
            way = i;
        }
    }
    services->at[set][way].hash = hash;
    services->at[set][way].seen_ns = now_ns;
    mutex_unlock(MUTEX_LEARNED);
}

bool learned_services_is_agentless(struct learned_services *services, struct bytes service,
                                   uint64_t now_ns)
{
    uint64_t hash = service_hash(service);
    size_t set = (hash >> 32) % SETS;
    bool shown = false;
    mutex_lock(MUTEX_LEARNED);
    for (size_t i = 0; i < WAYS; i++) {
        shown |= services->at[set][i].hash == hash &&
                 now_ns - services->at[set][i].seen_ns < services->age_max_ns;
    }
    mutex_unlock(MUTEX_LEARNED);
    return !shown;
}
