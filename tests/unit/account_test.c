// SPDX-License-Identifier: Apache-2.0
//
// The accountant: shares that hold under threads, and the cap found in made-up cgroup trees under a
// root directory of the test's own.
#include "base/account.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"
#include "tests/unit/allocation.h"
#include "tests/unit/crash.h"

#define MIB ((size_t)1 << 20)

static void a_pool_refuses_beyond_its_share(void **state)
{
    (void)state;
    struct account *account = account_new(100 * MIB);
    size_t share = account_share(account, POOL_EVIDENCE);
    assert_true(account_charge(account, POOL_EVIDENCE, share));
    assert_false(account_charge(account, POOL_EVIDENCE, 1));
    assert_false(account_charge(account, POOL_EVIDENCE, SIZE_MAX));
    assert_true(account_charge(account, POOL_EVIDENCE, 0));
    assert_int_equal(account_refused(account, POOL_EVIDENCE), 2);
    assert_int_equal(account_used(account, POOL_EVIDENCE), share);
    account_release(account, POOL_EVIDENCE, share);
    assert_int_equal(account_used(account, POOL_EVIDENCE), 0);
    assert_false(account_charge(account, POOL_EVIDENCE, share + 1));
    account_free(account);
}

static void pools_do_not_borrow_from_each_other(void **state)
{
    (void)state;
    struct account *account = account_new(100 * MIB);
    assert_false(account_charge(account, POOL_JUDGE, 50 * MIB));
    assert_int_equal(account_refused(account, POOL_REQUESTS), 0);
    assert_true(account_charge(account, POOL_REQUESTS, account_share(account, POOL_REQUESTS)));
    assert_true(account_charge(account, POOL_JUDGE, account_share(account, POOL_JUDGE)));
    account_release(account, POOL_JUDGE, account_share(account, POOL_JUDGE));
    account_release(account, POOL_REQUESTS, account_share(account, POOL_REQUESTS));
    account_free(account);
}

static void shares_add_up_to_at_most_the_cap(void **state)
{
    (void)state;
    const size_t caps[] = {0, 1, 99, 100, 101, 192 * MIB, SIZE_MAX};
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        struct account *account = account_new(caps[i]);
        size_t sum = 0;
        for (int pool = 0; pool < POOL_COUNT; pool++) {
            size_t share = account_share(account, (enum account_pool)pool);
            assert_true(share <= caps[i] - sum);
            sum += share;
            assert_true(strlen(account_pool_label((enum account_pool)pool)) > 2);
        }
        assert_int_equal(account_cap(account), caps[i]);
        account_free(account);
    }
}

static void refusing_stops_requests_and_nothing_else(void **state)
{
    (void)state;
    struct account *account = account_new(100 * MIB);
    assert_true(account_charge(account, POOL_REQUESTS, 100));
    account_set_refuse(account, true);
    assert_true(account_is_refusing(account));
    assert_false(account_charge(account, POOL_REQUESTS, 1));
    assert_int_equal(account_refused(account, POOL_REQUESTS), 1);
    assert_true(account_charge(account, POOL_EVIDENCE, 1));
    account_release(account, POOL_REQUESTS, 100);
    account_set_refuse(account, false);
    assert_true(account_charge(account, POOL_REQUESTS, 1));
    account_free(account);
}

enum { ROUNDS = 20000, STEP = 1000 };

static void charge_and_release(void *arg)
{
    struct account *account = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (account_charge(account, POOL_LEDGER, STEP)) {
            CHECK(account_used(account, POOL_LEDGER) <= account_share(account, POOL_LEDGER));
            account_release(account, POOL_LEDGER, STEP);
        }
    }
}

static void threads_never_exceed_a_share_together(void **state)
{
    (void)state;
    struct account *account = account_new(20 * STEP * 2);  // the share has room for two
    struct thread threads[4];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(thread_start(&threads[i], "charger", charge_and_release, account),
                         RESULT_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(account_used(account, POOL_LEDGER), 0);
    account_free(account);
}

static void release_unowned(void *arg)
{
    account_release(arg, POOL_JUDGE, 1);
}

static void charge_nowhere(void *arg)
{
    account_charge(arg, POOL_COUNT, 1);
}

static void misuse_crashes(void **state)
{
    (void)state;
    struct account *account = account_new(MIB);
    assert_true(crashes(release_unowned, account));
    assert_true(crashes(charge_nowhere, account));
    account_free(account);
    account_free(NULL);
}

// A root directory of our own to find limits in.

static char root[64];

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", "account_test.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const char *content)
{
    char name[256];
    snprintf(name, sizeof name, "%s%s", root, path);
    for (char *at = strchr(name + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(name, 0700);
        *at = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static size_t cap_of(const char *gomemlimit)
{
    return account_detect_cap_at(root, gomemlimit);
}

static void without_any_limit_the_cap_is_192_mib(void **state)
{
    (void)state;
    assert_int_equal(cap_of(NULL), 192 * MIB);
    put("/sys/fs/cgroup/memory.max", "max\n");
    assert_int_equal(cap_of(NULL), 192 * MIB);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(cap_of("off"), 192 * MIB);
}

static void the_smaller_of_cgroup_and_gomemlimit_counts_for_three_quarters(void **state)
{
    (void)state;
    put("/sys/fs/cgroup/memory.max", "268435456\n");
    assert_int_equal(cap_of(NULL), 192 * MIB);
    assert_int_equal(cap_of("1GiB"), 192 * MIB);
    assert_int_equal(cap_of("128MiB"), 96 * MIB);
    put("/sys/fs/cgroup/memory.max", "104857600\n");
    assert_int_equal(cap_of("128MiB"), 75 * MIB);
}

static void a_limit_of_version_one_counts_too(void **state)
{
    (void)state;
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
    assert_int_equal(cap_of(NULL), 48 * MIB);
    put("/proc/self/cgroup", "12:cpu:/a\n7:hugetlb,memory:/docker/b\n0::/\n");
    put("/sys/fs/cgroup/memory/docker/b/memory.limit_in_bytes", "33554432\n");
    assert_int_equal(cap_of(NULL), 24 * MIB);
}

static void limits_of_the_own_cgroup_and_of_those_above_it_count(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/sidejudge.service\n");
    put("/sys/fs/cgroup/system.slice/sidejudge.service/memory.max", "max\n");
    put("/sys/fs/cgroup/system.slice/memory.max", "134217728\n");
    assert_int_equal(cap_of(NULL), 96 * MIB);
    put("/sys/fs/cgroup/system.slice/sidejudge.service/memory.max", "67108864\n");
    assert_int_equal(cap_of(NULL), 48 * MIB);
    put("/proc/self/cgroup", "0::/../../sidejudge.service\n");  // outside the namespace
    assert_int_equal(cap_of(NULL), 192 * MIB);
}

static void gomemlimit_is_read_in_the_forms_of_go_and_of_kubernetes(void **state)
{
    (void)state;
    assert_int_equal(cap_of("134217728"), 96 * MIB);
    assert_int_equal(cap_of("134217728B"), 96 * MIB);
    assert_int_equal(cap_of("131072KiB"), 96 * MIB);
    assert_int_equal(cap_of("128Mi"), 96 * MIB);
    assert_int_equal(cap_of(" 128MiB\n"), 96 * MIB);
    assert_int_equal(cap_of("2Gi"), 1536 * MIB);
    assert_int_equal(cap_of("100M"), 75000000);
    assert_int_equal(cap_of("1TiB"), 786432 * MIB);
}

static void what_is_no_limit_is_passed_over(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "0",
                               "MiB",
                               "-1",
                               "128 MiB",
                               "128mib",
                               "128MB",
                               "128MiBx",
                               "1.5GiB",
                               "0x1000",
                               "nan",
                               "off",
                               "max",
                               "99999999999999999999",
                               "18446744073709551615TiB",
                               "9223372036854775807"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(cap_of(bad[i]), 192 * MIB);
        put("/sys/fs/cgroup/memory.max", bad[i]);
        assert_int_equal(cap_of(NULL), 192 * MIB);
    }
    put("/proc/self/cgroup", "nonsense\n\n:\n::::\n0:\n0::\n0::no-slash");
    assert_int_equal(cap_of(NULL), 192 * MIB);
}

static void out_of_memory_while_looking_means_no_limit_found(void **state)
{
    (void)state;
    put("/sys/fs/cgroup/memory.max", "104857600\n");
    allocation_fail(1, SIZE_MAX);
    assert_int_equal(cap_of(NULL), 192 * MIB);
    assert_true(allocation_pass() > 0);
}

static void this_process_occupies_memory(void **state)
{
    (void)state;
    assert_in_range(account_process_rss(), MIB / 4, (size_t)1 << 40);
    assert_true(account_detect_cap() > 0);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_refuses_beyond_its_share),
        cmocka_unit_test(pools_do_not_borrow_from_each_other),
        cmocka_unit_test(shares_add_up_to_at_most_the_cap),
        cmocka_unit_test(refusing_stops_requests_and_nothing_else),
        cmocka_unit_test(misuse_crashes),
        cmocka_unit_test(threads_never_exceed_a_share_together),
        WITH_ROOT(without_any_limit_the_cap_is_192_mib),
        WITH_ROOT(the_smaller_of_cgroup_and_gomemlimit_counts_for_three_quarters),
        WITH_ROOT(a_limit_of_version_one_counts_too),
        WITH_ROOT(limits_of_the_own_cgroup_and_of_those_above_it_count),
        WITH_ROOT(gomemlimit_is_read_in_the_forms_of_go_and_of_kubernetes),
        WITH_ROOT(what_is_no_limit_is_passed_over),
        WITH_ROOT(out_of_memory_while_looking_means_no_limit_found),
        cmocka_unit_test(this_process_occupies_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
