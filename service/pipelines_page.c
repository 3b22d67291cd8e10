// SPDX-License-Identifier: Apache-2.0
//
// One walk over the generations, two writers. HTML is written by hand, every value escaped: a table
// needs no template. Refused: scripts, styles from elsewhere, and anything that changes something,
// since a page in a browser asks without having been asked.
//
// Bounds: those of settings. Main thread.

#include "service/pipelines_page.h"

#include <inttypes.h>

#include "base/json.h"

// What an exporter gets from this pipeline: its telemetry, the scores made in it, or both.
static const char *taken(const struct wiring *wiring, const struct pipeline_settings *from,
                         unsigned index)
{
    unsigned signals = wiring->settings->exporters.items[index].kind->signals;
    bool scores = false;
    for (size_t i = 0; i < from->processor_count; i++) {
        const struct processor_ops *ops =
            wiring->settings->processors.items[from->processors[i]].ops;
        scores = scores || ops->score_sinks != NULL;
    }
    scores = scores && (signals & 1U << SIGNAL_SCORES) != 0;
    if ((signals & 1U << from->signal) == 0) {
        return "scores";
    }
    return scores ? "telemetry and scores" : "telemetry";
}

static void put_exporter(const struct exporter_slot *slot, const char *takes,
                         struct json_writer *out)
{
    struct exporter *exporter = atomic_load_explicit(&slot->exporter, memory_order_acquire);
    json_begin_object(out);
    json_key(out, "id");
    json_put_literal(out, slot->id);
    json_key(out, "takes");
    json_put_literal(out, takes);
    if (exporter == NULL) {
        json_key(out, "degraded");
        json_put_literal(out, slot->why);
    } else {
        struct exporter_status status = {0};
        slot->ops->status(exporter, &status);
        json_key(out, "queue_bytes");
        json_put_int(out, (int64_t)status.queue_bytes);
        json_key(out, "queue_bytes_max");
        json_put_int(out, (int64_t)status.queue_bytes_max);
        json_key(out, "last_error");
        json_put_literal(out, status.last_error);
    }
    json_end_object(out);
}

static void put_receivers(const struct wiring *wiring, size_t index, struct json_writer *out)
{
    const struct pipeline_settings *from = &wiring->settings->pipelines[index];
    json_key(out, "receivers");
    json_begin_array(out);
    for (size_t i = 0; i < from->receiver_count; i++) {
        json_put_literal(out, wiring->settings->receivers.items[from->receivers[i]].id);
    }
    json_end_array(out);
}

static void put_processors(const struct wiring *wiring, size_t index, struct json_writer *out)
{
    const struct pipeline_settings *from = &wiring->settings->pipelines[index];
    json_key(out, "processors");
    json_begin_array(out);
    for (size_t i = 0; i < from->processor_count; i++) {
        const struct processor_part *part = wiring->processors[from->processors[i]];
        json_begin_object(out);
        json_key(out, "id");
        json_put_literal(out, wiring->settings->processors.items[from->processors[i]].id);
        if (part != NULL && part->slot.processor == NULL) {
            json_key(out, "degraded");
            json_put_literal(out, part->part.settings->why);
        }
        json_end_object(out);
    }
    json_end_array(out);
}

static void put_pipeline(const struct wiring *wiring, size_t index, struct json_writer *out)
{
    const struct pipeline *pipeline = wiring->pipelines[index];
    json_begin_object(out);
    json_key(out, "id");
    json_put_literal(out, pipeline->id);
    json_key(out, "parcels");
    json_put_int(out, (int64_t)atomic_load(&pipeline->alive));
    if (pipeline->exporter_count == 0) {
        json_key(out, "degraded");
        json_put_literal(out, pipeline->why);
    }
    put_receivers(wiring, index, out);
    put_processors(wiring, index, out);
    json_key(out, "exporters");
    json_begin_array(out);
    const struct pipeline_settings *from = &wiring->settings->pipelines[index];
    for (size_t i = 0; i < from->exporter_count; i++) {
        const struct exporter_part *part = wiring->exporters[from->exporters[i]];
        if (part != NULL) {
            put_exporter(&part->slot, taken(wiring, from, from->exporters[i]), out);
        }
    }
    json_end_array(out);
    json_end_object(out);
}

static void put_shards(const struct wiring *wiring, struct json_writer *out)
{
    size_t waiting = 0, open = 0;
    for (size_t i = 0; wiring->unit != NULL && i < wiring->unit->shard_count; i++) {
        waiting += shard_backlog(wiring->unit->shards[i]);
        open += shard_open_count(wiring->unit->shards[i]);
    }
    json_key(out, "shards");
    json_put_int(out, wiring->unit != NULL ? (int64_t)wiring->unit->shard_count : 0);
    json_key(out, "shard_messages");
    json_put_int(out, (int64_t)waiting);
    json_key(out, "shard_open");
    json_put_int(out, (int64_t)open);
}

static void put_generation(const struct wiring *wiring, struct json_writer *out)
{
    json_begin_object(out);
    json_key(out, "generation");
    json_put_int(out, (int64_t)wiring->number);
    put_shards(wiring, out);
    json_key(out, "pipelines");
    json_begin_array(out);
    for (size_t i = 0; i < wiring->settings->pipeline_count; i++) {
        put_pipeline(wiring, i, out);
    }
    json_end_array(out);
    json_end_object(out);
}

void pipelines_page_write_json(const struct status_report *report, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_key(&writer, "current");
    put_generation(report->wiring, &writer);
    json_key(&writer, "retiring");
    json_begin_array(&writer);
    for (const struct wiring *at = report->retiring; at != NULL; at = at->next_retiring) {
        if (at != report->wiring) {
            put_generation(at, &writer);
        }
    }
    json_end_array(&writer);
    json_end_object(&writer);
}

// --- for people ---

void pipelines_page_escape(struct bytes text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '&':
            buffer_append_text(out, "&amp;");
            break;
        case '<':
            buffer_append_text(out, "&lt;");
            break;
        case '>':
            buffer_append_text(out, "&gt;");
            break;
        case '"':
            buffer_append_text(out, "&quot;");
            break;
        case '\'':
            buffer_append_text(out, "&#39;");
            break;
        default:
            buffer_append_byte(out, text.ptr[i]);
        }
    }
}

static void put_text(struct buffer *out, const char *text)
{
    pipelines_page_escape(bytes_from_text(text), out);
}

static void put_degraded(struct buffer *out, const char *why)
{
    buffer_append_text(out, " <b>degraded: ");
    put_text(out, why);
    buffer_append_text(out, "</b>");
}

static void cell_receivers(const struct wiring *wiring, size_t index, struct buffer *out)
{
    const struct pipeline_settings *from = &wiring->settings->pipelines[index];
    buffer_append_text(out, "<td>");
    for (size_t i = 0; i < from->receiver_count; i++) {
        put_text(out, wiring->settings->receivers.items[from->receivers[i]].id);
        buffer_append_text(out, "<br>");
    }
    buffer_append_text(out, "</td>");
}

static void cell_processors(const struct wiring *wiring, size_t index, struct buffer *out)
{
    const struct pipeline_settings *from = &wiring->settings->pipelines[index];
    buffer_append_text(out, "<td>");
    for (size_t i = 0; i < from->processor_count; i++) {
        const struct processor_part *part = wiring->processors[from->processors[i]];
        buffer_append_text(out, i > 0 ? " &rarr; " : "");
        put_text(out, wiring->settings->processors.items[from->processors[i]].id);
        if (part != NULL && part->slot.processor == NULL) {
            put_degraded(out, part->part.settings->why);
        }
    }
    buffer_append_text(out, "</td>");
}

static void exporter_write(const struct exporter_slot *slot, const char *takes, struct buffer *out)
{
    struct exporter *exporter = atomic_load(&slot->exporter);
    put_text(out, slot->id);
    if (exporter == NULL) {
        put_degraded(out, slot->why);
    } else {
        struct exporter_status status = {0};
        slot->ops->status(exporter, &status);
        buffer_printf(out, " (%s; queue %" PRIu64 " of %" PRIu64 " KiB) ", takes,
                      status.queue_bytes >> 10, status.queue_bytes_max >> 10);
        put_text(out, status.last_error);
    }
    buffer_append_text(out, "<br>");
}

static void cell_exporters(const struct wiring *wiring, size_t index, struct buffer *out)
{
    const struct pipeline_settings *from = &wiring->settings->pipelines[index];
    const struct pipeline *pipeline = wiring->pipelines[index];
    buffer_append_text(out, "<td>");
    for (size_t i = 0; i < from->exporter_count; i++) {
        const struct exporter_part *part = wiring->exporters[from->exporters[i]];
        if (part != NULL) {
            exporter_write(&part->slot, taken(wiring, from, from->exporters[i]), out);
        }
    }
    if (pipeline->exporter_count == 0) {
        put_degraded(out, pipeline->why);
    }
    buffer_append_text(out, "</td>");
}

static void table_write(const struct wiring *wiring, const char *what, struct buffer *out)
{
    buffer_printf(out, "<h2>Generation %" PRIu64 ", %s</h2>\n<table border=\"1\">\n",
                  wiring->number, what);
    buffer_append_text(out, "<tr><th>Pipeline</th><th>Receivers</th><th>Processors</th>"
                            "<th>Exporters</th></tr>\n");
    for (size_t i = 0; i < wiring->settings->pipeline_count; i++) {
        buffer_append_text(out, "<tr><td>");
        put_text(out, wiring->pipelines[i]->id);
        buffer_append_text(out, "</td>");
        cell_receivers(wiring, i, out);
        cell_processors(wiring, i, out);
        cell_exporters(wiring, i, out);
        buffer_append_text(out, "</tr>\n");
    }
    buffer_append_text(out, "</table>\n");
}

void pipelines_page_write_html(const struct status_report *report, struct buffer *out)
{
    buffer_append_text(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                            "<title>Pipelines</title></head><body>\n<h1>Pipelines</h1>\n");
    table_write(report->wiring, "current", out);
    for (const struct wiring *at = report->retiring; at != NULL; at = at->next_retiring) {
        if (at != report->wiring) {
            table_write(at, "retiring", out);
        }
    }
    buffer_append_text(out, "</body></html>\n");
}
