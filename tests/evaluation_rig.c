// SPDX-License-Identifier: Apache-2.0
// The rig behind evaluation tests and the simulator.
#include "tests/evaluation_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "processor/legacy.h"
#include "proto/attribute.h"
#include "proto/otlp_json.h"

static enum result rig_job_new(void *arg, int judge, const struct rubric *rubric,
                               const struct interaction *interaction, struct redactor *redactor,
                               struct judge_job **job)
{
    struct rig *rig = arg;
    (void)redactor;
    struct rig_job *made = calloc(1, sizeof(*made));
    CHECK(made && rig);
    made->judge = judge;
    if (rig->judge_says) {
        rig->judge_says(rig->judge_arg, rubric, interaction, &made->said);
        made->is_said = true;
    }
    *job = &made->job;
    return RESULT_OK;
}

static void rig_job_free(void *arg, struct judge_job **job)
{
    (void)arg;
    free(*job);
    *job = NULL;
}

static enum result rig_submit(void *arg, struct judge_job **job)
{
    struct rig *rig = arg;
    if (rig->judge_submit != RESULT_OK) {
        return rig->judge_submit;
    }
    struct rig_job *made = (struct rig_job *)*job;
    *job = NULL;
    made->due_ns =
        rig->judge_delay_ns == UINT64_MAX ? UINT64_MAX : rig->now_ns + rig->judge_delay_ns;
    struct rig_job **end = &rig->jobs;
    while (*end) {
        end = &(*end)->next;
    }
    *end = made;
    rig->job_count++;
    rig->jobs_asked++;
    return RESULT_OK;
}

static double rig_estimate(void *arg, int judge, size_t bytes)
{
    (void)judge, (void)bytes;
    return ((struct rig *)arg)->judge_usd;
}

static void job_answer(struct rig *rig, struct rig_job *job, enum outcome outcome, double value)
{
    struct judge_result *result = &job->job.result;
    memset(result, 0, sizeof(*result));
    result->score.outcome = outcome;
    result->score.value = value;
    snprintf(result->score.explanation, sizeof(result->score.explanation), "because");
    if (job->is_said) {
        *result = job->said;
    }
    rig->job_count--;
    job->job.done(&job->job);
}

void rig_judge_answer(struct rig *rig, enum outcome outcome, double value)
{
    struct rig_job *job;
    while ((job = rig->jobs) != NULL) {
        rig->jobs = job->next;
        job_answer(rig, job, outcome, value);
    }
    rig_advance(rig, 0);
}

static void jobs_due(struct rig *rig)
{
    for (struct rig_job **at = &rig->jobs; *at;) {
        struct rig_job *job = *at;
        if (job->due_ns <= rig->now_ns) {
            *at = job->next;
            job_answer(rig, job, rig->judge_outcome, rig->judge_value);
        } else {
            at = &job->next;
        }
    }
}

struct keep {
    struct rig *rig;
    bool own;
};

static bool keep_span(void *arg, const struct item_view *view)
{
    struct keep *keep = arg;
    struct rig *rig = keep->rig;
    CHECK(view->fault == SCAN_OK);
    if (rig->forgets) {
        rig->forgotten++;
        return true;
    }
    CHECK(rig->span_count < RIG_SPANS_MAX);
    struct rig_span *span = &rig->spans[rig->span_count++];
    memset(span, 0, sizeof(*span));
    if (view->trace_id) {
        memcpy(span->trace_id, view->trace_id, 16);
    }
    if (view->span_id) {
        memcpy(span->span_id, view->span_id, 8);
    }
    span->item = malloc(view->item.len + 1);
    CHECK(span->item);
    memcpy(span->item, view->item.ptr, view->item.len);
    span->len = view->item.len;
    span->at_ns = rig->now_ns;
    span->own = keep->own;
    return true;
}

static void export_bytes(struct rig *rig, struct bytes request, bool own)
{
    struct keep keep = {rig, own};
    struct scan_report report;
    enum result result =
        scan_request(SIGNAL_TRACES, request, SCAN_CHECK_UTF8, keep_span, &keep, &report);
    CHECK(result == RESULT_OK && report.rejected_count == 0);
}

static void export_parcel(struct rig *rig, struct parcel **parcel)
{
    struct buffer out;
    buffer_init(&out, (size_t)64 << 20);
    CHECK(parcel_rendered_size(*parcel) > 0 || (*parcel)->item_count == 0);
    parcel_render(*parcel, &out);
    CHECK(buffer_status(&out) == RESULT_OK);
    export_bytes(rig, buffer_view(&out), false);
    buffer_fini(&out);
    parcel_unref(parcel);
}

static void out_pass(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    (void)shard, (void)processor;
    export_parcel(arg, parcel);
}

static void out_drop(void *arg, struct shard *shard, struct processor *processor,
                     struct parcel **parcel)
{
    struct rig *rig = arg;
    (void)shard, (void)processor;
    rig->dropped += (*parcel)->item_count;
    parcel_unref(parcel);
}

static void scores_take(struct rig *rig, struct bytes request, uint32_t count)
{
    rig->score_count += count;
    rig->score_batches++;
    if (rig->on_scores) {
        rig->on_scores(rig->scores_arg, request);
    } else {
        buffer_append_bytes(&rig->scores, request);
    }
}

static enum result out_emit(void *arg, struct shard *shard, struct processor *processor,
                            enum signal signal, enum emit_to to, struct batch **batch,
                            uint32_t item_count)
{
    struct rig *rig = arg;
    (void)shard, (void)processor;
    enum result result = rig->own_refused ? RESULT_SHED : RESULT_OK;
    bool nobody = (signal == SIGNAL_LOGS && rig->no_logs) ||
                  (signal == SIGNAL_SCORES && rig->no_scores) ||
                  (signal == SIGNAL_TRACES && rig->all_native && to == EMIT_TO_SCORELESS);
    if (nobody) {
        result = RESULT_MISSING;
    } else if (signal == SIGNAL_SCORES && result == RESULT_OK) {
        scores_take(rig, (*batch)->body, item_count);
    } else if (signal == SIGNAL_LOGS && result == RESULT_OK) {
        buffer_append_bytes(&rig->logs, (*batch)->body);
        rig->log_count += item_count;
    } else if (result == RESULT_OK) {
        rig->carrier_to = to;
        export_bytes(rig, (*batch)->body, true);
    }
    batch_release(batch);
    return result;
}

static void options_load(struct rig *rig, const char *yaml)
{
    struct buffer text, errors, warnings;
    buffer_init(&text, 65536);
    buffer_init(&errors, 65536);
    buffer_init(&warnings, 65536);
    buffer_printf(&text, "yaml:evaluation: %s", yaml);
    const char *sources[] = {buffer_text(&text)};
    if (config_load(sources, 1, NULL, 0, &rig->config, &errors, &warnings) != RESULT_OK) {
        fprintf(stderr, "%s\n", buffer_text(&errors));
        abort();
    }
    struct option_errors collected = {.out = &errors, .warnings = &warnings};
    const struct config_node *node = config_get(config_root(rig->config), "evaluation");
    rig->options = arena_zalloc(&rig->memory, sizeof(*rig->options));
    CHECK(rig->options);
    option_bind(evaluation_options, node, "processors::evaluation", rig->options,
                sizeof(*rig->options), &rig->memory, &collected);
    if (collected.count > 0) {
        fprintf(stderr, "%s\n", buffer_text(&errors));
        abort();
    }
    buffer_fini(&text);
    buffer_fini(&errors);
    buffer_fini(&warnings);
}

// The budget was made on the machine's clock.
static void budget_on_clock(struct rig *rig)
{
    struct evaluation *evaluation = evaluation_of(rig->processor);
    if (evaluation->budget) {
        budget_free(evaluation->budget);
        evaluation->budget = budget_new(&evaluation->config->budget, rig->now_ns);
        evaluation->legacy->budget = evaluation->budget;
    }
}

void rig_open(struct rig *rig, const char *yaml)
{
    size_t account_bytes = rig->account_bytes;
    memset(rig, 0, sizeof(*rig));
    arena_init(&rig->memory, (size_t)16 << 20);
    options_load(rig, yaml);
    rig->spans = calloc(RIG_SPANS_MAX, sizeof(*rig->spans));
    CHECK(rig->spans);
    buffer_init(&rig->logs, (size_t)64 << 20);
    buffer_init(&rig->scores, (size_t)64 << 20);
    rig->now_ns = UINT64_C(1000000000000);
    rig->judge_value = 1;
    rig->judge_outcome = OUTCOME_SCORE;
    rig->judge_submit = RESULT_OK;
    if (account_bytes > 0) {
        rig->account = account_new(account_bytes);
    }
    struct component_env env = {.id = "evaluation", .account = rig->account};
    char why[512] = "";
    if (evaluation_processor.create(&env, rig->options, &rig->processor, why, sizeof(why)) !=
        RESULT_OK) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    struct judge_port port = {rig_job_new, rig_submit, rig_job_free, rig_estimate, rig};
    evaluation_use_judges(rig->processor, &port);
    budget_on_clock(rig);
    evaluation_processor.tick(rig->processor, rig->now_ns);
    const struct processor_ops *ops = &evaluation_processor;
    struct shard_config config = {.out = {out_pass, out_drop, out_emit, rig},
                                  .processors = &rig->processor,
                                  .ops = &ops,
                                  .processor_count = 1};
    rig->shard = shard_new(&config, rig->now_ns);
}

void rig_close(struct rig *rig)
{
    shard_stop(rig->shard, rig->now_ns);
    shard_free(&rig->shard);
    while (rig->jobs) {
        struct rig_job *job = rig->jobs;
        rig->jobs = job->next;
        job_answer(rig, job, OUTCOME_ERROR, 0);  // the processor is ending: thrown away
    }
    evaluation_processor.free(&rig->processor);
    for (size_t i = 0; i < rig->span_count; i++) {
        free(rig->spans[i].item);
    }
    free(rig->spans);
    buffer_fini(&rig->logs);
    buffer_fini(&rig->scores);
    config_free(&rig->config);
    arena_fini(&rig->memory);
    account_free(rig->account);
    memset(rig, 0, sizeof(*rig));
}

enum { SPAN_BYTES_MIN = 28 };  // its two ids

struct door {
    struct rig *rig;
    struct item_place *look, *take;
    struct span_note *notes;  // of what is looked at
    uint32_t look_count, take_count;
};

static bool door_item(void *arg, const struct item_view *view)
{
    struct door *door = arg;
    CHECK(view->fault == SCAN_OK);
    const struct shard_ops *shard = evaluation_processor.shard;
    struct span_note *note = &door->notes[door->look_count];
    switch (shard->wants_noted(door->rig->processor, view, door->look_count > 0 ? note - 1 : NULL,
                               note)) {
    case WANT_LOOK:
        door->look[door->look_count++] = view->place;
        break;
    case WANT_TAKE:
        door->take[door->take_count++] = view->place;
        break;
    case WANT_NOTHING:
        break;
    }
    return true;
}

// By notes, as the service does it; every other request without, as it does when they are large.
static void offer_look(struct rig *rig, struct batch *batch, struct door *door)
{
    if (door->look_count == 0) {
        return;
    }
    batch_hold(batch);
    struct parcel *parcel = parcel_new(batch, PARCEL_ONLY, door->look, door->look_count, 1);
    if (rig->without_notes) {
        free(door->notes);
    } else {
        parcel->notes = door->notes;
    }
    door->notes = NULL;
    rig->without_notes = !rig->without_notes;
    struct shard_ticket *ticket = shard_reserve(rig->shard);
    CHECK(ticket);
    shard_post_look(&ticket, rig->processor, &parcel);
}

static void offer_take(struct rig *rig, struct parcel *parcel)
{
    struct shard_ticket *ticket = shard_reserve(rig->shard);
    CHECK(ticket);
    shard_post_take(&ticket, rig->processor, &parcel);
}

void rig_offer(struct rig *rig, struct bytes request, bool packed)
{
    struct batch *batch = batch_make(SIGNAL_TRACES, request, rig->now_ns);
    struct scan_report report;
    struct door door = {.rig = rig};
    if (packed) {
        batch->packed = BYTES_LITERAL("as it came");
    }
    const size_t spans_max = request.len / SPAN_BYTES_MIN + 1;
    door.look = calloc(spans_max, sizeof(*door.look));
    door.notes = calloc(spans_max, sizeof(*door.notes));
    door.take = calloc(spans_max, sizeof(*door.take));
    CHECK(door.look && door.take && door.notes);
    CHECK(scan_request(SIGNAL_TRACES, batch->body, 0, door_item, &door, &report) == RESULT_OK);
    batch->item_count = report.item_count;
    if (packed && door.take_count > 0) {
        batch_hold(batch);
        offer_take(rig, parcel_new(batch, PARCEL_ALL, NULL, 0, 1));
    } else {
        if (door.take_count < report.item_count) {
            batch_hold(batch);
            struct parcel *rest =
                parcel_new(batch, door.take_count > 0 ? PARCEL_EXCEPT : PARCEL_ALL,
                           door.take_count > 0 ? door.take : NULL, door.take_count, 1);
            export_parcel(rig, &rest);
        }
        offer_look(rig, batch, &door);
        if (door.take_count > 0) {
            batch_hold(batch);
            offer_take(rig, parcel_new(batch, PARCEL_ONLY, door.take, door.take_count, 1));
        }
    }
    batch_release(&batch);
    free(door.notes);
    free(door.look);
    free(door.take);
    rig_advance(rig, 0);
}

void rig_offer_json(struct rig *rig, const char *json)
{
    struct buffer request;
    char why[256] = "";
    buffer_init(&request, (size_t)16 << 20);
    if (otlp_json_to_protobuf(SIGNAL_TRACES, bytes_from_text(json), &request, why, sizeof(why)) !=
        RESULT_OK) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    rig_offer(rig, buffer_view(&request), false);
    buffer_fini(&request);
}

void rig_advance(struct rig *rig, uint64_t ns)
{
    uint64_t until_ns = rig->now_ns + ns;
    for (unsigned turns = 0; turns < 1000000; turns++) {
        jobs_due(rig);
        uint64_t next_ns = shard_turn(rig->shard, rig->now_ns);
        for (const struct rig_job *job = rig->jobs; job; job = job->next) {
            next_ns = job->due_ns < next_ns ? job->due_ns : next_ns;
        }
        if (next_ns <= rig->now_ns) {
            next_ns = rig->now_ns + NS_PER_MS;  // the wheel's resolution
            if (until_ns == rig->now_ns && shard_backlog(rig->shard) == 0) {
                return;
            }
        }
        if (next_ns > until_ns) {
            rig->now_ns = until_ns;
            jobs_due(rig);
            (void)shard_turn(rig->shard, rig->now_ns);
            return;
        }
        rig->now_ns = next_ns;
    }
    CHECK(!"the shard does not come to rest");
}

static void ids_of(uint8_t trace, uint8_t span, uint8_t trace_id[16], uint8_t span_id[8])
{
    memset(trace_id, 0, 16);
    memset(span_id, 0, 8);
    trace_id[0] = 0xa0;
    trace_id[15] = trace;
    span_id[0] = 0x50;
    span_id[7] = span;
}

const struct rig_span *rig_find(const struct rig *rig, uint8_t trace, uint8_t span, unsigned nth)
{
    uint8_t trace_id[16], span_id[8];
    ids_of(trace, span, trace_id, span_id);
    for (size_t i = 0; i < rig->span_count; i++) {
        if (memcmp(rig->spans[i].trace_id, trace_id, 16) == 0 &&
            memcmp(rig->spans[i].span_id, span_id, 8) == 0 && nth-- == 0) {
            return &rig->spans[i];
        }
    }
    return NULL;
}

size_t rig_count(const struct rig *rig, uint8_t trace, uint8_t span)
{
    size_t count = 0;
    while (rig_find(rig, trace, span, (unsigned)count)) {
        count++;
    }
    return count;
}

size_t rig_own_count(const struct rig *rig)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->span_count; i++) {
        count += rig->spans[i].own;
    }
    return count;
}

const struct rig_span *rig_own(const struct rig *rig, size_t index)
{
    for (size_t i = 0; i < rig->span_count; i++) {
        if (rig->spans[i].own && index-- == 0) {
            return &rig->spans[i];
        }
    }
    return NULL;
}

static bool find_value(const struct rig_span *span, const char *key, struct any_view *value)
{
    return span && attribute_find(bytes_from(span->item, span->len), SPAN_ATTRIBUTES, key, value);
}

struct nth {
    size_t left;
    struct score_record *record;
    bool found;
};

static bool score_item(void *arg, const struct item_view *view)
{
    struct nth *nth = arg;
    CHECK(view->fault == SCAN_OK);
    if (nth->left-- > 0) {
        return true;
    }
    nth->found = score_record_read(view->item, nth->record);
    CHECK(nth->found);
    return false;
}

bool rig_score(const struct rig *rig, size_t index, struct score_record *record)
{
    struct nth nth = {index, record, false};
    struct scan_report report;
    enum result result = scan_request(SIGNAL_SCORES, buffer_view(&rig->scores), SCAN_CHECK_UTF8,
                                      score_item, &nth, &report);
    CHECK(result == RESULT_OK || result == RESULT_STOP);
    return nth.found;
}

bool rig_text(const struct rig_span *span, const char *key, char *out, size_t out_len)
{
    struct any_view value;
    if (!find_value(span, key, &value) || value.kind != ANY_KIND_STRING) {
        return false;
    }
    snprintf(out, out_len, "%.*s", BYTES_PRINTF(value.bytes));
    return true;
}

bool rig_number(const struct rig_span *span, const char *key, double *number)
{
    struct any_view value;
    if (!find_value(span, key, &value) || value.kind != ANY_KIND_DOUBLE) {
        return false;
    }
    *number = value.real;
    return true;
}

bool rig_has(const struct rig_span *span, const char *key)
{
    struct any_view value;
    return find_value(span, key, &value);
}

uint64_t rig_decisions(const struct rig *rig, enum decision decision)
{
    return ledger_count(evaluation_ledger(rig->processor), decision);
}

uint64_t rig_decisions_all(const struct rig *rig)
{
    struct evaluation_counts counts;
    evaluation_counts(rig->processor, &counts);
    return counts.targets;
}

size_t rig_rows(const struct rig *rig, uint8_t trace)
{
    struct trace_id id;
    uint8_t span_id[8];
    struct buffer out;
    struct json_document *document;
    size_t count = 0;
    ids_of(trace, 0, id.bytes, span_id);
    buffer_init(&out, 1 << 20);
    if (ledger_explain(evaluation_ledger(rig->processor), &id, &out) &&
        json_parse(buffer_view(&out), &document, NULL) == RESULT_OK) {
        count = json_count(json_get(json_root(document), "decisions"));
        json_free(&document);
    }
    buffer_fini(&out);
    return count;
}

static void spec_write(struct buffer *out, const struct rig_spec *spec)
{
    uint8_t trace_id[16], span_id[8], parent_id[8];
    const uint64_t base_ns = UINT64_C(1700000000) * NS_PER_S;
    ids_of(spec->trace, spec->span, trace_id, span_id);
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_bytes(out, SPAN_TRACE_ID, bytes_from(trace_id, 16));
    wire_write_bytes(out, SPAN_SPAN_ID, bytes_from(span_id, 8));
    if (spec->parent) {
        ids_of(spec->trace, spec->parent, trace_id, parent_id);
        wire_write_bytes(out, SPAN_PARENT_ID, bytes_from(parent_id, 8));
    }
    wire_write_text(out, SPAN_NAME, spec->name ? spec->name : "span");
    wire_write_varint(out, SPAN_KIND, spec->kind ? spec->kind : SPAN_KIND_INTERNAL);
    wire_write_fixed64(out, SPAN_START, base_ns + (uint64_t)(spec->start_s * 1e9));
    wire_write_fixed64(out, SPAN_END, base_ns + (uint64_t)(spec->end_s * 1e9));
    for (size_t i = 0; i + 1 < 24 && spec->attributes[i]; i += 2) {
        attribute_write_text(out, SPAN_ATTRIBUTES, spec->attributes[i],
                             bytes_from_text(spec->attributes[i + 1]));
    }
    if (spec->error) {
        size_t status = wire_open(out, SPAN_STATUS);
        wire_write_varint(out, STATUS_CODE, SPAN_STATUS_ERROR);
        wire_close(out, status);
    }
    if (spec->flags) {
        wire_write_fixed32(out, SPAN_FLAGS, spec->flags);
    }
    wire_close(out, span);
}

void rig_request(struct buffer *out, const char *service, const char *scope,
                 const struct rig_spec *specs, size_t count)
{
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    size_t message = wire_open(out, RESOURCE_RESOURCE);
    attribute_write_text(out, RES_ATTRIBUTES, "service.name", bytes_from_text(service));
    wire_close(out, message);
    size_t scopes = wire_open(out, RESOURCE_SCOPES);
    size_t scope_message = wire_open(out, SCOPE_SCOPE);
    wire_write_text(out, SCOPE_NAME, scope);
    wire_close(out, scope_message);
    for (size_t i = 0; i < count; i++) {
        spec_write(out, &specs[i]);
    }
    wire_close(out, scopes);
    wire_close(out, resource);
}

void rig_send(struct rig *rig, const char *service, const struct rig_spec *specs, size_t count)
{
    struct buffer request;
    buffer_init(&request, (size_t)16 << 20);
    rig_request(&request, service, "test", specs, count);
    rig_offer(rig, buffer_view(&request), false);
    buffer_fini(&request);
}
