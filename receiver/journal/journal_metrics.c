// SPDX-License-Identifier: Apache-2.0
//
// What is told of the journal: one series each, made when it is opened, published after each commit
// by its thread. The store's own counts are followed rather than counted a second time. Refused:
// reading the store when somebody asks, which would be another thread.
//
// Bounds: one series per outlet besides. Journal's thread; the first call before it starts.
#include "receiver/journal/journal_state.h"

#define PLAIN(field, metric_name, metric_type, text)                                               \
    {                                                                                              \
        static const struct metric_family family = {                                               \
            .name = "sidejudge_journal_" metric_name, .type = metric_type, .help = text};          \
        journal->metrics.field = metric_plain(&family);                                            \
    }

void journal_metrics_init(struct journal *journal, const char *const *names)
{
    static const struct metric_family backlog = {
        .name = "sidejudge_journal_backlog_entries",
        .type = METRIC_GAUGE,
        .help = "Entries owed to an exporter that are on disk only.",
        .labels = {"exporter"}};
    PLAIN(entries, "entries", METRIC_GAUGE, "Entries in the journal.")
    PLAIN(bytes, "bytes", METRIC_GAUGE, "Bytes of the bodies in the journal.")
    PLAIN(file_bytes, "file_bytes", METRIC_GAUGE, "Bytes of the database and its WAL.")
    PLAIN(size_limit, "size_limit_bytes", METRIC_GAUGE, "max_size of both together; 0: none.")
    PLAIN(commits, "commits_total", METRIC_COUNTER, "Group commits.")
    PLAIN(failures, "failures_total", METRIC_COUNTER, "Calls that the disk or the store failed.")
    PLAIN(unstored, "unstored_requests_total", METRIC_COUNTER,
          "Requests and own products that were not stored, because the disk failed or is full.")
    PLAIN(replayed, "replayed_entries_total", METRIC_COUNTER,
          "Entries handed on again: after a restart, or to an exporter that had no room.")
    PLAIN(quarantined, "quarantined_entries_total", METRIC_COUNTER,
          "Entries set aside because the process kept dying while it worked on them.")
    PLAIN(corrupt, "corrupt_records_total", METRIC_COUNTER, "Records that could not be read back.")
    PLAIN(expired, "expired_items_total", METRIC_COUNTER, "Items erased at max_age, undelivered.")
    PLAIN(dropped, "dropped_items_total", METRIC_COUNTER,
          "Items erased at max_size by the policy drop_oldest, undelivered.")
    PLAIN(failing, "failing", METRIC_GAUGE, "1 while the disk fails and requests are not stored.")
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        journal->metrics.backlog[i] = metric_series(&backlog, &names[i]);
    }
    metric_set(journal->metrics.size_limit, (double)journal->config.store.size_max);
}

// The store counts since it was opened, as a counter does since its process began.
static void counter_follow(struct metric *metric, uint64_t value)
{
    uint64_t before = (uint64_t)metric_value(metric);
    metric_add(metric, value > before ? value - before : 0);
}

void journal_counts_publish(struct journal *journal)
{
    const struct journal_counts *counts = journal_store_counts(journal->store);
    atomic_store_explicit(&journal->file_bytes, counts->file_bytes, memory_order_relaxed);
    if (journal->config.policy == JOURNAL_REJECT) {
        atomic_store(&journal->room_bytes, journal_store_room(journal->store));
    }
    atomic_fetch_sub(&journal->pending_bytes, journal->admitted_bytes);
    journal->admitted_bytes = 0;
    metric_set(journal->metrics.entries, (double)counts->entries);
    metric_set(journal->metrics.bytes, (double)counts->bytes);
    metric_set(journal->metrics.file_bytes, (double)counts->file_bytes);
    counter_follow(journal->metrics.commits, counts->commits);
    counter_follow(journal->metrics.failures, counts->failures);
    counter_follow(journal->metrics.corrupt, counts->corrupt_records);
    counter_follow(journal->metrics.expired, counts->expired_items);
    counter_follow(journal->metrics.dropped, counts->dropped_items);
    metric_set(journal->metrics.failing, journal_is_failing(journal) ? 1 : 0);
    for (unsigned i = 0; i < journal->outlet_count; i++) {
        metric_set(journal->metrics.backlog[i], (double)atomic_load(&journal->backlog[i]));
    }
}
