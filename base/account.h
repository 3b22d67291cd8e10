// SPDX-License-Identifier: Apache-2.0
// The accountant: every pool of memory by name, each with its share of the process's cap; the sum
// of the shares is <= the cap. A pool is charged before memory is taken and refuses at its share.
// The cap is 75 % of the smaller of the cgroup limit and GOMEMLIMIT, 192 MiB where there is
// neither. Charges are atomic; any thread.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/overload.h"
#include "base/result.h"

enum account_pool {
#define POOL(name, label, percent, what) POOL_##name,
#include "base/pools.def"
#undef POOL
    POOL_COUNT
};

struct account;  // one per process, created by the service
struct account *account_new(size_t cap_bytes);
void account_free(struct account *account);
size_t account_detect_cap(void);  // from cgroup v1/v2 and GOMEMLIMIT, as above
// The same with another root directory than "" and the text of GOMEMLIMIT (borrowed; NULL: not
// set). For tests.
size_t account_detect_cap_at(const char *root, const char *gomemlimit);
// Charges `bytes`; false (counted as refused) when the pool's share would be exceeded or refusing
// is switched on.
bool account_charge(struct account *account, enum account_pool pool, size_t bytes);
void account_release(struct account *account, enum account_pool pool, size_t bytes);
size_t account_used(const struct account *account, enum account_pool pool);
size_t account_share(const struct account *account, enum account_pool pool);
uint64_t account_refused(const struct account *account, enum account_pool pool);
size_t account_cap(const struct account *account);
const char *account_pool_label(enum account_pool pool);
// memory_limiter: while `refuse` is set, POOL_REQUESTS refuses every charge (requests are answered
// with retry). Any thread.
void account_set_refuse(struct account *account, bool refuse);
// Because of that, or because the overload ladder is on its last rung.
bool account_is_refusing(const struct account *account);
// The rung of the process's overload ladder after a look at all pools: it goes up at once. Any
// thread; some ten loads, no locks.
enum overload_rung account_overload(struct account *account);
// The same as of the last look: one load.
enum overload_rung account_overload_level(const struct account *account);
// Lets the ladder come down, counts refused requests, keeps its gauge. About once a second, on the
// main thread; more often or by several callers does no harm.
void account_tick(struct account *account, uint64_t now_ns);
// Resident set of this process in bytes, from /proc/self/statm; 0 when unreadable.
size_t account_process_rss(void);
