// SPDX-License-Identifier: Apache-2.0
//
// The fakes keep pointers to the stage that stands now: processors and exporters are opaque to the
// pipeline, so their structs are declared here.
//
// Bounds: those of the tests. One thread.

#include "tests/unit/pipeline_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/attribute.h"
#include "proto/scan.h"

#define BODY_MAX ((size_t)1 << 20)

struct processor {
    struct stage *stage;
};

static struct processor sharded_processor, editing_processor;

static struct fake_exporter *fake_of(struct exporter *exporter)
{
    return (struct fake_exporter *)(void *)exporter;
}

static enum result fake_reserve(struct exporter *exporter, enum signal signal, uint32_t items,
                                size_t bytes, bool own)
{
    (void)signal;
    (void)items;
    struct fake_exporter *fake = fake_of(exporter);
    if (fake->reserved + bytes > fake->capacity) {
        return RESULT_SHED;
    }
    fake->reserved += bytes;
    fake->own_reserved += own ? bytes : 0;
    return RESULT_OK;
}

static void fake_release(struct exporter *exporter, size_t bytes, bool own)
{
    struct fake_exporter *fake = fake_of(exporter);
    CHECK(fake->reserved >= bytes);
    fake->reserved -= bytes;
    fake->own_reserved -= own ? bytes : 0;
}

static void fake_push(struct exporter *exporter, struct parcel_link *link)
{
    struct fake_exporter *fake = fake_of(exporter);
    struct parcel *parcel = link->parcel;
    fake->pushes++;
    fake->items += parcel->item_count;
    parcel_render(parcel, &fake->bodies);
    fake_release(exporter, parcel->charge_bytes, parcel->own);
    parcel_unref(&parcel);
}

static void fake_status(const struct exporter *exporter, struct exporter_status *status)
{
    *status = (struct exporter_status){
        .block_on_overflow = ((const struct fake_exporter *)(const void *)exporter)->blocks};
}

static const struct exporter_ops fake_ops = {
    .reserve = fake_reserve, .release = fake_release, .push = fake_push, .status = fake_status};

static enum want wants_sharded(const struct processor *processor, const struct item_view *view)
{
    (void)processor;
    char first = view->name.len > 0 ? (char)view->name.ptr[0] : '\0';
    return first == 't' ? WANT_TAKE : first == 'l' ? WANT_LOOK : WANT_NOTHING;
}

static enum want wants_editing(const struct processor *processor, const struct item_view *view)
{
    (void)processor;
    char first = view->name.len > 0 ? (char)view->name.ptr[0] : '\0';
    return first == 'd' || first == 'e' ? WANT_TAKE : WANT_NOTHING;
}

static void *sharded_open(struct processor *processor, struct shard_env *env)
{
    processor->stage->env = env;
    return processor->stage;
}

static void sharded_look(void *state, const struct parcel *parcel, uint64_t now_ns)
{
    (void)now_ns;
    ((struct stage *)state)->looked += parcel->item_count;
}

// The note: which letter ended the name, and the one of the note before.
static enum want wants_noted(const struct processor *processor, const struct item_view *view,
                             const void *before, void *note)
{
    enum want want = wants_sharded(processor, view);
    if (want == WANT_LOOK) {
        uint8_t *letters = note;
        memset(letters, 0, sizeof(uint64_t));
        letters[0] = view->name.ptr[view->name.len - 1];
        letters[1] = before != NULL ? *(const uint8_t *)before : 0;
    }
    return want;
}

struct note_check {
    const uint8_t *note;
    uint8_t before;
};

static bool note_item(void *arg, const struct item_view *view)
{
    struct note_check *check = arg;
    if (view->name.ptr[0] == 'l') {
        CHECK(check->note[0] == view->name.ptr[view->name.len - 1]);
        CHECK(check->note[1] == check->before);
        check->before = check->note[0];
        check->note += sizeof(uint64_t);
    }
    return true;
}

static void sharded_look_noted(void *state, const struct parcel *parcel, uint64_t now_ns)
{
    struct note_check check = {.note = parcel->notes};
    parcel_each(parcel, note_item, &check);
    ((struct stage *)state)->noted += parcel->item_count;
    sharded_look(state, parcel, now_ns);
}

static void sharded_take(void *state, struct parcel **parcel, uint64_t now_ns)
{
    (void)now_ns;
    struct stage *stage = state;
    CHECK(stage->held_count < sizeof(stage->held) / sizeof(stage->held[0]));
    stage->taken += (*parcel)->item_count;
    stage->took_whole += parcel_is_whole(*parcel);
    stage->held[stage->held_count++] = *parcel;
    *parcel = NULL;
}

static void sharded_flush(void *state, uint64_t now_ns)
{
    (void)state;
    (void)now_ns;
}

static void sharded_close(void *state)
{
    (void)state;
}

static void sharded_feedback(void *state, const struct feedback *feedback, uint64_t now_ns)
{
    (void)now_ns;
    ((struct stage *)state)->feedbacks += feedback->is_bad;
}

static const struct shard_ops sharded_shard = {.open = sharded_open,
                                               .look = sharded_look,
                                               .take = sharded_take,
                                               .flush = sharded_flush,
                                               .close = sharded_close,
                                               .note_bytes = sizeof(uint64_t),
                                               .wants_noted = wants_noted,
                                               .look_noted = sharded_look_noted,
                                               .feedback = sharded_feedback};
static const struct processor_ops sharded_ops = {.wants = wants_sharded, .shard = &sharded_shard};

struct edit_walk {
    struct parcel *parcel;
    struct item_place drop[16];
    uint32_t drop_count;
};

static bool edit_item(void *arg, const struct item_view *view)
{
    struct edit_walk *walk = arg;
    if (view->name.ptr[0] == 'd') {
        CHECK(walk->drop_count < 16);
        walk->drop[walk->drop_count++] = view->place;
    } else if (view->name.ptr[0] == 'e') {
        struct buffer field;
        buffer_init(&field, 256);
        attribute_write_text(&field, SPAN_ATTRIBUTES, "edited", BYTES_LITERAL("yes"));
        CHECK(parcel_append(walk->parcel, view->place.item_at, buffer_view(&field)) == RESULT_OK);
        buffer_fini(&field);
    }
    return true;
}

static void editing_process(struct processor *processor, struct parcel *parcel,
                            struct parcel **dropped)
{
    (void)processor;
    struct edit_walk walk = {.parcel = parcel};
    parcel_each(parcel, edit_item, &walk);
    if (walk.drop_count > 0) {
        *dropped = parcel_split(parcel, walk.drop, walk.drop_count);
        *dropped = *dropped == NULL ? parcel : *dropped;
    }
}

static const struct processor_ops editing_ops = {.wants = wants_editing,
                                                 .process = editing_process};

static void out_pass(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)arg;
    (void)processor;
    pipeline_pass(parcel, (int)shard_index(shard));
}

static void out_drop(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)arg;
    (void)shard;
    (void)processor;
    pipeline_drop(parcel);
}

static enum result out_emit(void *arg, struct shard *shard, struct processor *processor,
                            enum signal signal, enum emit_to to, struct batch **batch,
                            uint32_t item_count)
{
    struct stage *stage = arg;
    struct pipeline *pipelines[] = {&stage->pipeline};
    return pipeline_emit(pipelines, 1, processor, signal, to, batch, item_count,
                         (int)shard_index(shard));
}

void stage_open(struct stage *stage, size_t exporter_count, size_t messages_max)
{
    memset(stage, 0, sizeof(*stage));
    sharded_processor.stage = editing_processor.stage = stage;
    stage->sharded = (struct processor_slot){&sharded_ops, &sharded_processor, "sharded"};
    stage->editing = (struct processor_slot){&editing_ops, &editing_processor, "editing"};
    struct processor *list[] = {&sharded_processor};
    const struct processor_ops *ops[] = {&sharded_ops};
    stage->shards[0] =
        shard_new(&(struct shard_config){.messages_max = messages_max,
                                         .out = {out_pass, out_drop, out_emit, stage},
                                         .processors = list,
                                         .ops = ops,
                                         .processor_count = 1},
                  clock_mono_ns());
    pipeline_init(&stage->pipeline);
    stage->pipeline.id = "traces";
    stage->pipeline.shards = stage->shards;
    stage->pipeline.shard_count = 1;
    for (size_t i = 0; i < exporter_count; i++) {
        stage->fakes[i].capacity = SIZE_MAX;
        buffer_init(&stage->fakes[i].bodies, BODY_MAX);
        stage->slots[i].ops = &fake_ops;
        stage->slots[i].id = i == 0 ? "first" : "second";
        atomic_store(&stage->slots[i].exporter, (struct exporter *)(void *)&stage->fakes[i]);
        stage->pipeline.exporters[stage->pipeline.exporter_count++] = &stage->slots[i];
    }
    turnstile_init(&stage->turnstile);
    door_init(&stage->door, &stage->turnstile);
    stage->routes.current.pipelines[stage->routes.current.count++] = &stage->pipeline;
    (void)door_lead(&stage->door, &stage->routes);
}

void stage_turn(struct stage *stage)
{
    (void)shard_turn(stage->shards[0], clock_mono_ns());
}

void stage_pass_held(struct stage *stage)
{
    for (size_t i = 0; i < stage->held_count; i++) {
        stage->env->pass(stage->env, &stage->held[i]);
    }
    stage->held_count = 0;
}

void stage_close(struct stage *stage)
{
    stage_turn(stage);
    stage_pass_held(stage);
    shard_stop(stage->shards[0], clock_mono_ns() + NS_PER_S);
    shard_free(&stage->shards[0]);
    loop_guard_fini(&stage->door.loops);
    for (size_t i = 0; i < stage->pipeline.exporter_count; i++) {
        CHECK(stage->fakes[i].reserved == 0);
        buffer_fini(&stage->fakes[i].bodies);
    }
}

static void span_write(struct buffer *out, const char *name, unsigned index)
{
    uint8_t trace_id[16] = {7}, span_id[8] = {(uint8_t)(index + 1)};
    bool faulty = name[0] == '!';
    const char *own_trace = strchr(name, '@');
    trace_id[15] = own_trace != NULL ? (uint8_t)own_trace[1] : 0;
    size_t mark = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(trace_id, faulty ? 15 : 16));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(span_id, sizeof(span_id)));
    wire_write_text(out, SPAN_NAME, name);
    wire_close(out, mark);
}

struct batch *stage_request(const char *const *names)
{
    struct buffer body;
    buffer_init(&body, BODY_MAX);
    size_t resource = wire_open(&body, REQUEST_RESOURCES);
    size_t scope = wire_open(&body, RESOURCE_SCOPES);
    for (unsigned i = 0; names[i] != NULL; i++) {
        span_write(&body, names[i], i);
    }
    wire_close(&body, scope);
    wire_close(&body, resource);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&body), clock_mono_ns());
    buffer_fini(&body);
    return batch;
}

enum result stage_offer(struct stage *stage, struct batch *batch, struct offer_reply *reply)
{
    return stage->door.sink.offer(&stage->door.sink, &batch, reply);
}

struct search {
    const char *name;
    bool found;
};

static bool search_item(void *arg, const struct item_view *view)
{
    struct search *search = arg;
    search->found = search->found || bytes_equal_text(view->name, search->name);
    return true;
}

bool stage_has(const struct stage *stage, size_t index, const char *name)
{
    struct search search = {.name = name};
    struct scan_report report;
    CHECK(scan_request(SIGNAL_TRACES, buffer_view(&stage->fakes[index].bodies), SCAN_CHECK_UTF8,
                       search_item, &search, &report) == RESULT_OK);
    return search.found;
}
