// SPDX-License-Identifier: Apache-2.0
//
// Gathers the numbers of one screen from metrics, exporters, the ledger and the budget, as one
// JSON object. Nothing is kept here: what is derivable is read when somebody asks.
//
// Main thread.

#include "service/status_report.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "processor/evaluation.h"

static void put_count(struct json_writer *out, const char *key, double value)
{
    json_key(out, key);
    json_put_int(out, (int64_t)value);
}

static void put_received(struct json_writer *out)
{
    json_key(out, "received");
    json_begin_object(out);
    for (int s = 0; s < SIGNAL_OTLP_COUNT; s++) {
        char name[80];
        snprintf(name, sizeof(name), "otelcol_receiver_accepted_%s", signal_items((enum signal)s));
        put_count(out, signal_items((enum signal)s), metrics_sum(name));
        snprintf(name, sizeof(name), "otelcol_receiver_refused_%s", signal_items((enum signal)s));
        char key[64];
        snprintf(key, sizeof(key), "refused_%s", signal_items((enum signal)s));
        put_count(out, key, metrics_sum(name));
    }
    json_end_object(out);
}

static void put_exporters(const struct status_report *report, struct json_writer *out)
{
    json_key(out, "exporters");
    json_begin_array(out);
    for (size_t i = 0; i < report->wiring->settings->exporters.count; i++) {
        const struct exporter_part *part = report->wiring->exporters[i];
        if (part == NULL) {
            continue;
        }
        const struct exporter_slot *slot = &part->slot;
        json_begin_object(out);
        json_key(out, "id");
        json_put_literal(out, slot->id);
        struct exporter *exporter = atomic_load_explicit(&slot->exporter, memory_order_acquire);
        if (exporter == NULL) {
            json_key(out, "degraded");
            json_put_literal(out, slot->why);
        } else {
            struct exporter_status status = {0};
            slot->ops->status(exporter, &status);
            put_count(out, "sent", (double)status.sent);
            put_count(out, "send_failed", (double)status.send_failed);
            put_count(out, "enqueue_failed", (double)status.enqueue_failed);
            put_count(out, "queue_bytes", (double)status.queue_bytes);
            put_count(out, "queue_bytes_max", (double)status.queue_bytes_max);
            json_key(out, "last_error");
            json_put_literal(out, status.last_error);
        }
        json_end_object(out);
    }
    json_end_array(out);
}

static void put_evaluation(const struct status_report *report, struct json_writer *out)
{
    const struct processor *evaluation = report->evaluation;
    struct evaluation_counts counts = {0};
    evaluation_counts(evaluation, &counts);
    json_key(out, "evaluation");
    json_begin_object(out);
    put_count(out, "targets", (double)counts.targets);
    put_count(out, "graded", (double)counts.graded);
    put_count(out, "open_traces", (double)counts.open_traces);
    put_count(out, "evidence_bytes", (double)counts.evidence_bytes);
    put_count(out, "late_spans", (double)counts.late_spans);
    put_count(out, "carriers", (double)counts.carriers);
    put_count(out, "without_content", (double)counts.without_content);
    put_count(out, "judge_in_flight", (double)counts.judge_in_flight);
    put_count(out, "plain_graded", (double)counts.plain_graded);
    put_count(out, "plain_refused", (double)counts.plain_refused);
    json_key(out, "baseline_probability");
    json_put_double(out, baseline_probability(evaluation_baseline(evaluation)));
    size_t judges = 0;
    evaluation_judges(evaluation, &judges);
    put_count(out, "judges", (double)judges);
    if (evaluation_budget(evaluation) != NULL) {
        struct budget_status budget;
        budget_status(evaluation_budget(evaluation), &budget, clock_mono_ns());
        json_key(out, "budget");
        json_begin_object(out);
        json_key(out, "usd_per_day");
        json_put_double(out, budget.usd_per_day);
        json_key(out, "spent_usd");
        json_put_double(out, budget.spent_usd);
        json_key(out, "spent_today_usd");
        json_put_double(out, budget.spent_today_usd);
        json_key(out, "available_usd");
        json_put_double(out, budget.available_usd);
        put_count(out, "refused_over_budget", (double)budget.refused_over);
        put_count(out, "refused_throttled", (double)budget.refused_throttled);
        json_end_object(out);
    }
    json_key(out, "ledger");
    ledger_summary(evaluation_ledger(evaluation), 8, out);
    json_end_object(out);
}

static void put_journal(const struct status_report *report, struct json_writer *out)
{
    if (report->wiring->env.journaling == NULL) {
        return;
    }
    json_key(out, "journal");
    json_begin_object(out);
    put_count(out, "entries", metrics_sum("sidejudge_journal_entries"));
    put_count(out, "file_bytes", metrics_sum("sidejudge_journal_file_bytes"));
    put_count(out, "size_limit_bytes", metrics_sum("sidejudge_journal_size_limit_bytes"));
    put_count(out, "replayed_entries", metrics_sum("sidejudge_journal_replayed_entries_total"));
    put_count(out, "backlog_entries", metrics_sum("sidejudge_journal_backlog_entries"));
    put_count(out, "failing", metrics_sum("sidejudge_journal_failing"));
    put_count(out, "unstored_requests", metrics_sum("sidejudge_journal_unstored_requests_total"));
    json_end_object(out);
}

// The sums over all instances that whoever reads averages in a backend wants to know.
static void put_delivery(struct json_writer *out)
{
    put_count(out, "scores", metrics_sum("sidejudge_evaluation_scores_total"));
    put_count(out, "scores_lost", metrics_sum("sidejudge_evaluation_scores_lost_total"));
    put_count(out, "overload_level", metrics_sum("sidejudge_overload_level"));
    put_count(out, "shed", metrics_sum("sidejudge_shed_total"));
}

static void put_config(struct json_writer *out)
{
    json_key(out, "config");
    json_begin_object(out);
    // Before the listeners are open nothing has been read again.
    bool in_force = metrics_sum("sidejudge_config_reload_success") > 0 ||
                    metrics_sum("sidejudge_config_last_reload_success_timestamp") == 0;
    put_count(out, "in_force", in_force ? 1 : 0);
    put_count(out, "degraded", metrics_sum("sidejudge_degraded"));
    json_end_object(out);
}

void status_report_write(const struct status_report *report, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_key(&writer, "version");
    json_put_literal(&writer, SIDEJUDGE_VERSION);
    put_count(&writer, "uptime_s",
              (double)((clock_wall_ns() - report->started_wall_ns) / NS_PER_S));
    put_count(&writer, "rss_bytes", (double)account_process_rss());
    put_count(&writer, "memory_cap_bytes", (double)account_cap(report->account));
    put_count(&writer, "generation", (double)report->wiring->number);
    put_config(&writer);
    put_received(&writer);
    put_exporters(report, &writer);
    put_journal(report, &writer);
    put_delivery(&writer);
    if (report->evaluation != NULL) {
        put_evaluation(report, &writer);
    }
    json_end_object(&writer);
}
