// SPDX-License-Identifier: Apache-2.0
//
// The accountant: one row of counters per pool, each on a cache line of its own, because receivers,
// shards and exporters charge different pools at the same time. A charge is a compare-and-swap, so
// a refused one leaves no trace that could make a neighbour's fail. Shares do not lend to each
// other: what the evidence leaves free is not there for bodies when the evidence comes. Refused:
// one counter for all pools, and asking malloc or the kernel what is in use.
//
// The cap is looked for as a container sees it (the cgroup's root) and as a service of systemd sees
// it (the process's own cgroup and all above it); the smallest limit wins. Bounds: POOL_COUNT
// pools; nesting of cgroups by PATH_BYTES_MAX. Any thread.
#include "base/account.h"

#include <assert.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/file.h"

#define ACCOUNT_MAGIC MAGIC('A', 'C', 'C', 'T')
#define CAP_OTHERWISE ((size_t)192 << 20)
#define NO_LIMIT UINT64_MAX

enum { PATH_BYTES_MAX = 4096, SMALL_FILE_MAX = 16 * 1024 };

struct pool {
    alignas(64) atomic_size_t used;
    size_t share;
    _Atomic uint64_t refused;
};

struct account {
    uint32_t magic;
    atomic_bool refuse;
    size_t cap;
    struct overload overload;
    uint64_t refused_before;  // account_tick
    struct pool pools[POOL_COUNT];
};

#define POOL(name, label, percent, what) +(percent)
static_assert(0
#include "base/pools.def"
                  <= 100,
              "the shares fit under the cap");
#undef POOL

struct account *account_new(size_t cap_bytes)
{
    static const unsigned char percent[POOL_COUNT] = {
#define POOL(name, label, share, what) [POOL_##name] = (share),
#include "base/pools.def"
#undef POOL
    };
    struct account *account = aligned_alloc(alignof(struct account), sizeof *account);
    CHECK(account);
    memset(account, 0, sizeof *account);
    account->magic = ACCOUNT_MAGIC;
    account->cap = cap_bytes;
    for (unsigned i = 0; i < POOL_COUNT; i++) {
        account->pools[i].share = cap_bytes / 100 * percent[i];
    }
    return account;
}

void account_free(struct account *account)
{
    if (account) {
        CHECK(account->magic == ACCOUNT_MAGIC);
        account->magic = 0;
        free(account);
    }
}

static struct pool *pool_of(const struct account *account, enum account_pool pool)
{
    CHECK(account->magic == ACCOUNT_MAGIC);
    CHECK((unsigned)pool < POOL_COUNT);
    return (struct pool *)&account->pools[pool];
}

bool account_charge(struct account *account, enum account_pool pool, size_t bytes)
{
    struct pool *row = pool_of(account, pool);
    bool refused = pool == POOL_REQUESTS && account_is_refusing(account);
    size_t used = atomic_load_explicit(&row->used, memory_order_relaxed);
    do {
        if (refused || bytes > row->share - used) {
            atomic_fetch_add_explicit(&row->refused, 1, memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&row->used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void account_release(struct account *account, enum account_pool pool, size_t bytes)
{
    struct pool *row = pool_of(account, pool);
    size_t before = atomic_fetch_sub_explicit(&row->used, bytes, memory_order_relaxed);
    CHECK(before >= bytes);  // released more than was charged
}

size_t account_used(const struct account *account, enum account_pool pool)
{
    return atomic_load_explicit(&pool_of(account, pool)->used, memory_order_relaxed);
}

size_t account_share(const struct account *account, enum account_pool pool)
{
    return pool_of(account, pool)->share;
}

uint64_t account_refused(const struct account *account, enum account_pool pool)
{
    return atomic_load_explicit(&pool_of(account, pool)->refused, memory_order_relaxed);
}

size_t account_cap(const struct account *account)
{
    return account->cap;
}

const char *account_pool_label(enum account_pool pool)
{
    static const char *const labels[POOL_COUNT] = {
#define POOL(name, label, percent, what) [POOL_##name] = (label),
#include "base/pools.def"
#undef POOL
    };
    CHECK((unsigned)pool < POOL_COUNT);
    return labels[pool];
}

void account_set_refuse(struct account *account, bool refuse)
{
    atomic_store_explicit(&account->refuse, refuse, memory_order_relaxed);
}

bool account_is_refusing(const struct account *account)
{
    return atomic_load_explicit(&account->refuse, memory_order_relaxed) ||
           overload_level(&account->overload) == OVERLOAD_REQUESTS;
}

static struct overload_fill fill_of(const struct account *account)
{
    size_t used = 0, percent = account->cap / 100;
    for (unsigned i = 0; i < POOL_COUNT; i++) {
        used += account_used(account, (enum account_pool)i);
    }
    size_t evidence = account_used(account, POOL_EVIDENCE);
    size_t evidence_percent = account_share(account, POOL_EVIDENCE) / 100;
    return (struct overload_fill){
        .total = percent > 0 ? (unsigned)(used / percent) : 0,
        .evidence = evidence_percent > 0 ? (unsigned)(evidence / evidence_percent) : 0};
}

enum overload_rung account_overload(struct account *account)
{
    const struct overload_fill fill = fill_of(account);
    return overload_rise(&account->overload, &fill);
}

enum overload_rung account_overload_level(const struct account *account)
{
    return overload_level(&account->overload);
}

void account_tick(struct account *account, uint64_t now_ns)
{
    const struct overload_fill fill = fill_of(account);
    uint64_t refused = account_refused(account, POOL_REQUESTS);
    if (overload_level(&account->overload) == OVERLOAD_REQUESTS &&
        refused > account->refused_before) {
        metric_add(overload_shed(OVERLOAD_REQUESTS, "memory"), refused - account->refused_before);
    }
    account->refused_before = refused;
    (void)overload_tick(&account->overload, &fill, now_ns);
}

static void read_small(const char *path, struct buffer *out)
{
    buffer_reset(out);
    if (file_read(path, out) != RESULT_OK) {
        buffer_reset(out);  // absent or strange: no limit from there
    }
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// "268435456", "256MiB" (Go's forms), "256Mi", "256M" (Kubernetes' forms); NO_LIMIT for "max",
// "off" and what is none of these.
static uint64_t limit_parse(struct bytes text)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"KiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
        {"TiB", UINT64_C(1) << 40},
        {"Ki", UINT64_C(1) << 10},
        {"Mi", UINT64_C(1) << 20},
        {"Gi", UINT64_C(1) << 30},
        {"Ti", UINT64_C(1) << 40},
        {"k", UINT64_C(1000)},
        {"M", UINT64_C(1000000)},
        {"G", UINT64_C(1000000000)},
        {"T", UINT64_C(1000000000000)},
    };
    text = bytes_trim(text);
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        digits++;
    }
    uint64_t number;
    if (!bytes_to_u64(bytes_slice(text, 0, digits), &number)) {
        return NO_LIMIT;
    }
    struct bytes suffix = bytes_slice(text, digits, SIZE_MAX);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (bytes_equal_text(suffix, units[i].suffix)) {
            bool overflows = __builtin_mul_overflow(number, units[i].factor, &number);
            // cgroup v1 says "none" by a number near 2^63.
            return overflows || number == 0 || number >= UINT64_C(1) << 62 ? NO_LIMIT : number;
        }
    }
    return NO_LIMIT;
}

// The smallest limit of the cgroup `path` and of all above it, up to the mount's root.
static uint64_t limit_along(const char *root, const char *mount, struct bytes path,
                            const char *file, struct buffer *scratch)
{
    uint64_t limit = NO_LIMIT;
    char name[PATH_BYTES_MAX];
    if (bytes_find(path, BYTES_LITERAL(".."), 0) != SIZE_MAX) {
        path = BYTES_NONE;  // outside this namespace's view
    }
    for (;;) {
        while (path.len > 0 && path.ptr[path.len - 1] == '/') {
            path.len--;
        }
        int len = snprintf(name, sizeof name, "%s%s%.*s/%s", root, mount, BYTES_PRINTF(path), file);
        if (len > 0 && len < (int)sizeof name) {
            read_small(name, scratch);
            limit = smaller(limit, limit_parse(buffer_view(scratch)));
        }
        if (path.len == 0) {
            return limit;
        }
        while (path.len > 0 && path.ptr[path.len - 1] != '/') {
            path.len--;
        }
    }
}

// One line of /proc/self/cgroup, "id:controllers:path"; v2 has no controllers there.
static uint64_t limit_of_line(const char *root, struct bytes line, struct buffer *scratch)
{
    size_t first = bytes_find(line, BYTES_LITERAL(":"), 0);
    if (first == SIZE_MAX) {
        return NO_LIMIT;
    }
    size_t second = bytes_find(line, BYTES_LITERAL(":"), first + 1);
    if (second == SIZE_MAX) {
        return NO_LIMIT;
    }
    struct bytes controllers = bytes_slice(line, first + 1, second - first - 1);
    struct bytes path = bytes_slice(line, second + 1, PATH_BYTES_MAX / 2);
    if (controllers.len == 0) {
        return limit_along(root, "/sys/fs/cgroup", path, "memory.max", scratch);
    }
    if (bytes_find(controllers, BYTES_LITERAL("memory"), 0) != SIZE_MAX) {
        return limit_along(root, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", scratch);
    }
    return NO_LIMIT;
}

static uint64_t limit_of_cgroup(const char *root)
{
    struct buffer table, scratch;
    buffer_init(&table, SMALL_FILE_MAX);
    buffer_init(&scratch, SMALL_FILE_MAX);
    char name[PATH_BYTES_MAX];
    // Also without /proc: the root of the mount is what a container sees.
    uint64_t limit = smaller(limit_of_line(root, BYTES_LITERAL("0::/"), &scratch),
                             limit_of_line(root, BYTES_LITERAL("0:memory:/"), &scratch));
    snprintf(name, sizeof name, "%s/proc/self/cgroup", root);
    read_small(name, &table);
    struct bytes rest = buffer_view(&table);
    while (rest.len > 0) {
        size_t end = bytes_find(rest, BYTES_LITERAL("\n"), 0);
        struct bytes line = bytes_slice(rest, 0, end);
        limit = smaller(limit, limit_of_line(root, line, &scratch));
        rest = bytes_slice(rest, line.len + 1, SIZE_MAX);
    }
    buffer_fini(&scratch);
    buffer_fini(&table);
    return limit;
}

size_t account_detect_cap_at(const char *root, const char *gomemlimit)
{
    uint64_t limit = smaller(limit_of_cgroup(root), limit_parse(bytes_from_text(gomemlimit)));
    if (limit == NO_LIMIT) {
        return CAP_OTHERWISE;
    }
    return (size_t)(limit / 4 * 3 + limit % 4 * 3 / 4);
}

size_t account_detect_cap(void)
{
    return account_detect_cap_at("", getenv("GOMEMLIMIT"));
}

size_t account_process_rss(void)
{
    struct buffer text;
    uint64_t pages = 0;
    buffer_init(&text, SMALL_FILE_MAX);
    read_small("/proc/self/statm", &text);
    struct bytes view = buffer_view(&text);
    size_t from = bytes_find(view, BYTES_LITERAL(" "), 0);
    if (from != SIZE_MAX) {
        size_t to = bytes_find(view, BYTES_LITERAL(" "), from + 1);
        if (!bytes_to_u64(bytes_slice(view, from + 1, to - from - 1), &pages)) {
            pages = 0;
        }
    }
    buffer_fini(&text);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}
