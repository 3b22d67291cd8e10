// SPDX-License-Identifier: Apache-2.0
// `sidejudge_test`: edits, drops and delays what passes, by its options, to prove that a chain of
// processors works: what the next one sees, what is counted as dropped, what a flush lets go. And
// it ends the process on a marked item, as a fault in the evaluation of hostile bytes would: when
// the item is taken, or behind the delay, by which time it has been acknowledged and written down;
// a flush lets it pass. In builds for tests only (SIDEJUDGE_TEST_COMPONENTS), so that no
// configuration can name it elsewhere.
//
// Bounds: delayed parcels are admitted ones. Thread: the shard's; wants() any.
#include "processor/test_processor.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/timers.h"
#include "proto/attribute.h"

#define TEST_MAGIC MAGIC('T', 'S', 'T', 'P')

struct test_config {
    struct bytes append_key, append_value;
    struct bytes drop_name, abort_name;
    int64_t delay_ns;
};
struct test_component {
    uint32_t magic;
    const struct test_config *config;
};
struct delayed {
    struct delayed *next, **prev;
    struct timer timer;
    struct test_state *state;
    struct parcel *parcel;
    struct decision_debt *debt;  // the entry counts as being looked at meanwhile
};
struct test_state {
    uint32_t magic;
    struct test_component *component;
    struct shard_env *env;
    struct delayed *delayed;
};

static const struct option test_options[] = {
    {.key = "append_key",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct test_config, append_key),
     .doc = "Attribute appended to every item."},
    {.key = "append_value",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct test_config, append_value),
     .doc = "Its value."},
    {.key = "drop_name",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct test_config, drop_name),
     .doc = "Items with this name are dropped."},
    {.key = "abort_name",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct test_config, abort_name),
     .doc = "Items with this name abort the process, once `delay` is over."},
    {.key = "delay",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct test_config, delay_ns),
     .fallback = "0s",
     .doc = "How long parcels wait."},
    {0},
};

static struct test_component *component_of(const struct processor *processor)
{
    struct test_component *component = (struct test_component *)(uintptr_t)processor;
    CHECK(component->magic == TEST_MAGIC);
    return component;
}

static enum result test_create(const struct component_env *env, const void *config,
                               struct processor **processor, char *why, size_t why_len)
{
    (void)env, (void)why, (void)why_len;
    struct test_component *component = calloc(1, sizeof(*component));
    CHECK(component);
    component->magic = TEST_MAGIC;
    component->config = config;
    *processor = (struct processor *)component;
    return RESULT_OK;
}

static enum want test_wants(const struct processor *processor, const struct item_view *view)
{
    const struct test_config *config = component_of(processor)->config;
    (void)view;
    bool idle = config->append_key.len == 0 && config->drop_name.len == 0 &&
                config->abort_name.len == 0 && config->delay_ns == 0;
    return idle ? WANT_NOTHING : WANT_TAKE;
}

struct edits {
    const struct test_config *config;
    struct parcel *parcel;
    struct item_place *dropped;
    uint32_t count, capacity;
};

static bool edit_item(void *arg, const struct item_view *view)
{
    struct edits *edits = arg;
    const struct test_config *config = edits->config;
    if (config->drop_name.len > 0 && bytes_equal(view->name, config->drop_name)) {
        if (edits->count == edits->capacity) {
            edits->capacity = edits->capacity ? edits->capacity * 2 : 16;
            edits->dropped = realloc(edits->dropped, edits->capacity * sizeof(*edits->dropped));
            CHECK(edits->dropped);
        }
        edits->dropped[edits->count++] = view->place;
    } else if (config->append_key.len > 0) {
        struct buffer field;
        buffer_init(&field, 65536);
        attribute_write_text(&field, view->signal == SIGNAL_LOGS ? LOG_ATTRIBUTES : SPAN_ATTRIBUTES,
                             (const char *)config->append_key.ptr, config->append_value);
        CHECK(parcel_append(edits->parcel, view->place.item_at, buffer_view(&field)) == RESULT_OK);
        buffer_fini(&field);
    }
    return true;
}

static bool abort_item(void *arg, const struct item_view *view)
{
    const struct test_config *config = arg;
    if (config->abort_name.len > 0 && bytes_equal(view->name, config->abort_name)) {
        log_line(LOG_ERROR, "processor/sidejudge_test", "aborting, as configured",
                 LOG_BYTES("name", view->name));
        abort();
    }
    return true;
}

static void parcel_abort_by(const struct parcel *parcel, const struct test_config *config)
{
    if (config->abort_name.len > 0) {
        parcel_each(parcel, abort_item, (void *)(uintptr_t)config);
    }
}

static void delayed_pass(struct delayed *delayed)
{
    *delayed->prev = delayed->next;
    if (delayed->next) {
        delayed->next->prev = delayed->prev;
    }
    delayed->state->env->pass(delayed->state->env, &delayed->parcel);
    decision_debt_pay(&delayed->debt);
    free(delayed);
}

static void delay_over(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct delayed *delayed = arg;
    (void)timer, (void)now_ns;
    parcel_abort_by(delayed->parcel, delayed->state->component->config);
    delayed_pass(delayed);
}

static void parcel_delay(struct test_state *state, struct parcel **parcel, uint64_t at_ns)
{
    struct delayed *delayed = calloc(1, sizeof(*delayed));
    CHECK(delayed);
    delayed->state = state;
    delayed->parcel = *parcel;
    delayed->debt = (*parcel)->batch->debt;
    decision_debt_hold(delayed->debt);
    *parcel = NULL;
    delayed->next = state->delayed;
    delayed->prev = &state->delayed;
    if (delayed->next) {
        delayed->next->prev = &delayed->next;
    }
    state->delayed = delayed;
    timer_init(&delayed->timer, delay_over, delayed);
    timers_set(state->env->timers, &delayed->timer, at_ns);
}

static void test_take(void *arg, struct parcel **parcel, uint64_t now_ns)
{
    struct test_state *state = arg;
    CHECK(state->magic == TEST_MAGIC);
    const struct test_config *config = state->component->config;
    struct edits edits = {.config = config, .parcel = *parcel};
    parcel_each(*parcel, edit_item, &edits);
    if (edits.count > 0) {
        struct parcel *gone = parcel_split(*parcel, edits.dropped, edits.count);
        if (!gone) {
            gone = *parcel;
            *parcel = NULL;
        }
        state->env->drop(state->env, &gone);
    }
    free(edits.dropped);
    if (*parcel && config->delay_ns > 0) {
        parcel_delay(state, parcel, now_ns + (uint64_t)config->delay_ns);
    } else if (*parcel) {
        parcel_abort_by(*parcel, config);
        state->env->pass(state->env, parcel);
    }
}

static void *test_open(struct processor *processor, struct shard_env *env)
{
    struct test_state *state = calloc(1, sizeof(*state));
    CHECK(state);
    state->magic = TEST_MAGIC;
    state->component = component_of(processor);
    state->env = env;
    return state;
}

static void test_flush(void *arg, uint64_t now_ns)
{
    struct test_state *state = arg;
    (void)now_ns;
    while (state->delayed) {
        timers_cancel(state->env->timers, &state->delayed->timer);
        delayed_pass(state->delayed);
    }
}

static size_t test_open_traces(void *arg, void (*each)(void *arg, const struct trace_id *id),
                               void *each_arg)
{
    struct test_state *state = arg;
    (void)each;
    (void)each_arg;
    return state->delayed != NULL;  // what is delayed has left its trace behind
}

static void test_close(void *arg)
{
    test_flush(arg, 0);
    free(arg);
}

static void test_free(struct processor **processor)
{
    if (*processor) {
        free(component_of(*processor));
        *processor = NULL;
    }
}

static const struct shard_ops test_shard = {.open = test_open,
                                            .take = test_take,
                                            .flush = test_flush,
                                            .open_traces = test_open_traces,
                                            .close = test_close};

const struct processor_ops test_processor = {
    .kind = {.type = "sidejudge_test",
             .doc = "Edits, drops, delays and aborts, to test chains.",
             .signals = 1u << SIGNAL_TRACES | 1u << SIGNAL_LOGS,
             .options = test_options,
             .config_size = sizeof(struct test_config)},
    .create = test_create,
    .wants = test_wants,
    .shard = &test_shard,
    .free = test_free,
};
