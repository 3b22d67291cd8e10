// SPDX-License-Identifier: Apache-2.0
// Thousands of targets at once, as a hostile or an unlucky sender makes them: no turn of the shard
// decides more than its share, every span leaves once and in time, and giving up evidence for one
// large trace goes through thousands of small ones. Counts, not clocks.
#include "processor/evaluation_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/attribute.h"
#include "proto/wire.h"
#include "tests/evaluation_rig.h"

#define PLAIN_YAML "{sampling: {baseline: 1}, hold: 4s}"
#define TURN_DECISIONS_MAX 576  // TURN_TRACES_MAX and the fragments of the last one

enum shape { SHAPE_TRACES, SHAPE_ONE_TRACE, SHAPE_CHAIN };

static void id_write(struct buffer *out, uint32_t number, size_t len, uint32_t value)
{
    uint8_t id[16] = {0xaa};
    memcpy(id + 4, &value, sizeof(value));
    wire_write_bytes(out, number, bytes_from(id, len));
}

// An agent span: in a trace of its own, one of many roots, or under the one before it, as another
// process's.
static void agent_write(struct buffer *out, uint32_t index, enum shape shape, struct bytes question)
{
    size_t span = wire_open(out, SCOPE_ITEMS);
    id_write(out, SPAN_TRACE_ID, 16, shape == SHAPE_TRACES ? index : 0);
    id_write(out, SPAN_SPAN_ID, 8, index);
    if (shape == SHAPE_CHAIN && index > 0) {
        id_write(out, SPAN_PARENT_ID, 8, index - 1);
        wire_write_fixed32(out, SPAN_FLAGS, SPAN_FLAG_HAS_IS_REMOTE | SPAN_FLAG_IS_REMOTE);
    }
    attribute_write_text(out, SPAN_ATTRIBUTES, "openinference.span.kind", BYTES_LITERAL("AGENT"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "input.value", question);
    attribute_write_text(out, SPAN_ATTRIBUTES, "output.value",
                         BYTES_LITERAL("it is noon in Vienna now"));
    wire_close(out, span);
}

static void offer(struct rig *rig, uint32_t from, uint32_t count, enum shape shape,
                  struct bytes question)
{
    struct buffer request;
    buffer_init(&request, (size_t)16 << 20);
    size_t resource = wire_open(&request, REQUEST_RESOURCES);
    size_t scope = wire_open(&request, RESOURCE_SCOPES);
    for (uint32_t i = from; i < from + count; i++) {
        agent_write(&request, i, shape, question);
    }
    wire_close(&request, scope);
    wire_close(&request, resource);
    assert_int_equal(buffer_status(&request), RESULT_OK);
    rig_offer(rig, buffer_view(&request), false);
    buffer_fini(&request);
}

static size_t exported(const struct rig *rig)
{
    return rig->span_count - rig_own_count(rig);
}

static void is_decided_in_turns(enum shape shape, uint32_t count)
{
    struct rig rig = {0};
    rig_open(&rig, PLAIN_YAML);
    offer(&rig, 0, count, shape, BYTES_LITERAL("how late is it in Vienna"));
    assert_int_equal(exported(&rig), 0);
    uint64_t before = 0, most = 0;
    for (unsigned ms = 0; ms < 2000; ms++) {
        rig_advance(&rig, NS_PER_MS);
        uint64_t now = rig_decisions_all(&rig);
        most = now - before > most ? now - before : most;
        before = now;
    }
    assert_int_equal(before, count);
    assert_in_range(most, 1, TURN_DECISIONS_MAX);
    assert_int_equal(exported(&rig), count);
    assert_int_equal(rig.dropped, 0);
    rig_close(&rig);
}

static void traces_due_at_once_are_decided_in_turns(void **arg)
{
    (void)arg;
    is_decided_in_turns(SHAPE_TRACES, 3000);
}

static void roots_of_one_trace_are_decided_in_turns(void **arg)
{
    (void)arg;
    is_decided_in_turns(SHAPE_ONE_TRACE, 1500);
}

static void a_chain_of_processes_is_decided_in_turns(void **arg)
{
    (void)arg;
    is_decided_in_turns(SHAPE_CHAIN, 1500);
}

static void many_held_spans_leave_once_at_their_hold(void **arg)
{
    struct rig rig = {0};
    (void)arg;
    rig_open(&rig, "{sampling: {baseline: 1}, hold: 500ms}");
    offer(&rig, 0, 1000, SHAPE_TRACES, BYTES_LITERAL("how late is it in Vienna"));
    rig_advance(&rig, 499 * NS_PER_MS);
    assert_int_equal(exported(&rig), 0);
    rig_advance(&rig, 2 * NS_PER_MS);
    assert_int_equal(exported(&rig), 1000);
    rig_advance(&rig, 2 * NS_PER_S);
    assert_int_equal(exported(&rig), 1000);
    assert_int_equal(rig_decisions_all(&rig), 1000);
    rig_close(&rig);
}

static void one_large_trace_takes_the_room_of_thousands(void **arg)
{
    struct rig rig = {.account_bytes = (size_t)32 << 20};
    (void)arg;
    rig_open(&rig, PLAIN_YAML);
    for (uint32_t i = 0; i < 12; i++) {
        offer(&rig, i * 500, 500, SHAPE_TRACES, BYTES_LITERAL("how late is it in Vienna"));
    }
    static uint8_t text[60000];
    for (uint32_t i = 0; i < 15; i++) {
        memset(text, (int)('a' + i), sizeof(text));
        offer(&rig, 6000 + i, 1, SHAPE_CHAIN, bytes_from(text, sizeof(text)));
    }
    assert_true(rig_decisions(&rig, DECISION_OVERLOAD) > 0);
    assert_in_range(account_used(rig.account, POOL_EVIDENCE), 0,
                    account_share(rig.account, POOL_EVIDENCE));
    rig_advance(&rig, 10 * NS_PER_S);
    assert_int_equal(exported(&rig), 6015);
    assert_int_equal(rig_decisions_all(&rig), 6015);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_due_at_once_are_decided_in_turns),
        cmocka_unit_test(roots_of_one_trace_are_decided_in_turns),
        cmocka_unit_test(a_chain_of_processes_is_decided_in_turns),
        cmocka_unit_test(many_held_spans_leave_once_at_their_hold),
        cmocka_unit_test(one_large_trace_takes_the_room_of_thousands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
