// SPDX-License-Identifier: Apache-2.0
//
// The smallest exporter and processor that keep the contracts of proto/component.h. An exporter
// renders what it is given at once, on the calling thread; a sharded processor passes on at once.
// Refused: the product's own components, whose business is tested elsewhere. Bounds: 1 MiB kept.
// The test's thread.

#include "tests/unit/pipeline_rig.h"

#include <stdlib.h>
#include <string.h>

#include "proto/attribute.h"

static struct rig_exporter *rig_of(const struct exporter *exporter)
{
    return (struct rig_exporter *)(uintptr_t)exporter;
}

static enum result rig_reserve(struct exporter *exporter, enum signal signal, uint32_t items,
                               size_t bytes, bool own)
{
    struct rig_exporter *rig = rig_of(exporter);
    (void)signal, (void)items, (void)own;
    if (rig->reserved_bytes + bytes > rig->room_bytes) {
        rig->refusals++;
        return RESULT_SHED;
    }
    rig->reserved_bytes += bytes;
    rig->reservations++;
    return RESULT_OK;
}

static void rig_release(struct exporter *exporter, size_t bytes, bool own)
{
    struct rig_exporter *rig = rig_of(exporter);
    (void)own;
    CHECK(rig->reserved_bytes >= bytes);
    rig->reserved_bytes -= bytes;
    rig->releases++;
}

static void rig_push(struct exporter *exporter, struct parcel_link *link)
{
    struct rig_exporter *rig = rig_of(exporter);
    struct parcel *parcel = link->parcel;
    CHECK(rig->reserved_bytes >= parcel->charge_bytes);
    rig->reserved_bytes -= parcel->charge_bytes;
    rig->pushes++;
    rig->last_own = parcel->own;
    parcel_render(parcel, &rig->kept);
    parcel_unref(&parcel);
}

static void rig_status(const struct exporter *exporter, struct exporter_status *status)
{
    memset(status, 0, sizeof(*status));
    status->block_on_overflow = rig_of(exporter)->insists;
}

static const struct exporter_ops rig_exporter_ops = {
    .reserve = rig_reserve, .release = rig_release, .push = rig_push, .status = rig_status};

void rig_exporter_init(struct rig_exporter *exporter, const char *id, size_t room_bytes)
{
    memset(exporter, 0, sizeof(*exporter));
    exporter->slot.ops = &rig_exporter_ops;
    exporter->slot.id = id;
    atomic_init(&exporter->slot.exporter, (struct exporter *)exporter);
    exporter->room_bytes = room_bytes;
    buffer_init(&exporter->kept, (size_t)1 << 20);
}

void rig_exporter_fini(struct rig_exporter *exporter)
{
    buffer_fini(&exporter->kept);
}

static bool count_item(void *arg, const struct item_view *view)
{
    (void)view;
    ++*(unsigned *)arg;
    return true;
}

unsigned rig_exporter_spans(const struct rig_exporter *exporter)
{
    struct scan_report report;
    unsigned count = 0;
    CHECK(scan_request(SIGNAL_TRACES, buffer_view(&exporter->kept), 0, count_item, &count,
                       &report) == RESULT_OK);
    CHECK(report.rejected_count == 0);
    return count;
}

static struct rig_processor *processor_of(const struct processor *processor)
{
    return (struct rig_processor *)(uintptr_t)processor;
}

static enum want rig_wants(const struct processor *processor, const struct item_view *view)
{
    switch (processor_of(processor)->act) {
    case RIG_NOTHING:
        return WANT_NOTHING;
    case RIG_LOOK:
        return WANT_LOOK;
    case RIG_TAKE:
        return bytes_equal_text(view->name, "taken") ? WANT_TAKE : WANT_NOTHING;
    default:
        return WANT_TAKE;
    }
}

struct edits {
    struct parcel *parcel;
    struct item_place dropped[64];
    uint32_t count;
    bool edit;
};

static bool edit_item(void *arg, const struct item_view *view)
{
    struct edits *edits = arg;
    if (edits->edit) {
        struct buffer field;
        buffer_init(&field, 256);
        attribute_write_text(&field, SPAN_ATTRIBUTES, "edited", BYTES_LITERAL("yes"));
        CHECK(parcel_append(edits->parcel, view->place.item_at, buffer_view(&field)) == RESULT_OK);
        buffer_fini(&field);
    } else if (bytes_equal_text(view->name, "dropped")) {
        edits->dropped[edits->count++] = view->place;
    }
    return true;
}

static void rig_process(struct processor *processor, struct parcel *parcel, struct parcel **dropped)
{
    struct rig_processor *rig = processor_of(processor);
    struct edits edits = {.parcel = parcel, .edit = rig->act == RIG_EDIT};
    rig->processed++;
    if (rig->act == RIG_DROP_ALL) {
        *dropped = parcel;
        return;
    }
    parcel_each(parcel, edit_item, &edits);
    if (edits.count > 0) {
        *dropped = parcel_split(parcel, edits.dropped, edits.count);
        *dropped = *dropped == NULL ? parcel : *dropped;
    }
}

struct rig_state {
    struct rig_processor *rig;
    struct shard_env *env;
};

static void *rig_open(struct processor *processor, struct shard_env *env)
{
    struct rig_state *state = calloc(1, sizeof(*state));
    CHECK(state != NULL);
    state->rig = processor_of(processor);
    state->env = env;
    return state;
}

static bool look_item(void *arg, const struct item_view *view)
{
    (void)view;
    ((struct rig_processor *)arg)->looked++;
    return true;
}

static void rig_look(void *arg, const struct parcel *parcel, uint64_t now_ns)
{
    (void)now_ns;
    parcel_each(parcel, look_item, ((struct rig_state *)arg)->rig);
}

static void rig_take(void *arg, struct parcel **parcel, uint64_t now_ns)
{
    struct rig_state *state = arg;
    (void)now_ns;
    state->rig->taken += (*parcel)->item_count;
    state->env->pass(state->env, parcel);
}

static void rig_flush(void *arg, uint64_t now_ns)
{
    (void)arg, (void)now_ns;
}

static const struct shard_ops rig_shard_ops = {
    .open = rig_open, .look = rig_look, .take = rig_take, .flush = rig_flush, .close = free};
static const struct processor_ops rig_plain = {.wants = rig_wants, .process = rig_process};
static const struct processor_ops rig_sharded = {.wants = rig_wants, .shard = &rig_shard_ops};

void rig_processor_add(struct pipeline *pipeline, struct rig_processor *processor, enum rig_act act)
{
    memset(processor, 0, sizeof(*processor));
    processor->act = act;
    pipeline->chain[pipeline->chain_count++] =
        (struct processor_slot){.ops = act >= RIG_TAKE ? &rig_sharded : &rig_plain,
                                .processor = (struct processor *)processor,
                                .id = "rig"};
}

void rig_pipeline_init(struct pipeline *pipeline, struct rig_exporter *const *exporters)
{
    pipeline_init(pipeline);
    pipeline->id = "traces/rig";
    pipeline->signal = SIGNAL_TRACES;
    pipeline->why = "the rig says so";
    while (exporters[pipeline->exporter_count] != NULL) {
        pipeline->exporters[pipeline->exporter_count] = &exporters[pipeline->exporter_count]->slot;
        pipeline->exporter_count++;
    }
}

static void out_pass(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)arg, (void)processor;
    pipeline_pass(parcel, (int)shard_index(shard));
}

static void out_drop(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)arg, (void)shard, (void)processor;
    pipeline_drop(parcel);
}

struct shard *rig_shard_new(struct pipeline *pipeline, struct shard **slot)
{
    struct processor *processors[SETTINGS_CHAIN_MAX];
    const struct processor_ops *ops[SETTINGS_CHAIN_MAX];
    size_t count = 0;
    for (size_t i = 0; i < pipeline->chain_count; i++) {
        if (pipeline->chain[i].ops->shard != NULL) {
            processors[count] = pipeline->chain[i].processor;
            ops[count++] = pipeline->chain[i].ops;
        }
    }
    *slot = shard_new(&(struct shard_config){.out = {.pass = out_pass, .drop = out_drop},
                                             .processors = processors,
                                             .ops = ops,
                                             .processor_count = count},
                      1);
    pipeline->shards = slot;
    pipeline->shard_count = 1;
    return *slot;
}

void rig_spans(struct buffer *request, const char *const *names)
{
    size_t resource = wire_open(request, REQUEST_RESOURCES);
    size_t scope = wire_open(request, RESOURCE_SCOPES);
    for (uint8_t i = 0; names[i] != NULL; i++) {
        size_t span = wire_open(request, SCOPE_ITEMS);
        uint8_t id[16] = {1, i};
        size_t id_len = strncmp(names[i], "bad", 3) == 0 ? 3 : 16;
        wire_write_bytes(request, SPAN_TRACE_ID, bytes_from(id, id_len));
        wire_write_bytes(request, SPAN_SPAN_ID, bytes_from(id, 8));
        wire_write_bytes(request, SPAN_NAME, bytes_from_text(names[i]));
        wire_close(request, span);
    }
    wire_close(request, scope);
    wire_close(request, resource);
}

struct batch *rig_batch(const char *const *names)
{
    struct buffer request;
    buffer_init(&request, (size_t)1 << 20);
    rig_spans(&request, names);
    struct batch *batch = batch_make(SIGNAL_TRACES, buffer_view(&request), 1);
    buffer_fini(&request);
    return batch;
}
