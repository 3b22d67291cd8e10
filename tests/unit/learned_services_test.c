// SPDX-License-Identifier: Apache-2.0
// Which services show agents.
#include "processor/learned_services.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#define HOUR (3600 * NS_PER_S)

static void unknown_services_are_agentless(void **arg)
{
    struct learned_services *services = learned_services_new(HOUR);
    (void)arg;
    assert_true(learned_services_is_agentless(services, BYTES_LITERAL("shop"), NS_PER_S));
    assert_true(learned_services_is_agentless(services, BYTES_NONE, NS_PER_S));
    learned_services_free(services);
}

static void an_agent_counts_for_its_service_and_an_hour(void **arg)
{
    struct learned_services *services = learned_services_new(HOUR);
    (void)arg;
    learned_services_saw_agent(services, BYTES_LITERAL("shop"), NS_PER_S);
    assert_false(learned_services_is_agentless(services, BYTES_LITERAL("shop"), HOUR));
    assert_true(learned_services_is_agentless(services, BYTES_LITERAL("shop2"), HOUR));
    assert_true(
        learned_services_is_agentless(services, BYTES_LITERAL("shop"), HOUR + 2 * NS_PER_S));
    learned_services_saw_agent(services, BYTES_LITERAL("shop"), HOUR + 2 * NS_PER_S);
    assert_false(learned_services_is_agentless(services, BYTES_LITERAL("shop"), 2 * HOUR));
    learned_services_free(services);
}

static void a_flood_of_names_stays_bounded(void **arg)
{
    struct learned_services *services = learned_services_new(HOUR);
    char name[32];
    (void)arg;
    for (unsigned i = 0; i < 100000; i++) {
        int len = snprintf(name, sizeof(name), "s%u", i);
        learned_services_saw_agent(services, bytes_from(name, (size_t)len), NS_PER_S + i);
    }
    learned_services_saw_agent(services, BYTES_LITERAL("last"), 2 * NS_PER_S);
    assert_false(learned_services_is_agentless(services, BYTES_LITERAL("last"), 3 * NS_PER_S));
    learned_services_free(services);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_services_are_agentless),
        cmocka_unit_test(an_agent_counts_for_its_service_and_an_hour),
        cmocka_unit_test(a_flood_of_names_stays_bounded),
    };
    return cmocka_run_group_tests_name("learned_services", tests, NULL, NULL);
}
