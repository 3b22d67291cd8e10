// SPDX-License-Identifier: Apache-2.0
//
// `sidejudge status`: one screen from the running process: received, forwarded, targets, graded,
// why not, spend, queues. --json prints the answer as it came.
//
// Main thread of a command.

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "service/api_client.h"
#include "service/commands.h"

#define STATUS_MAX ((size_t)4 << 20)

static int64_t count_of(const struct json_value *object, const char *key)
{
    return json_int(json_get(object, key), 0);
}

static void print_received(const struct json_value *root)
{
    const struct json_value *received = json_get(root, "received");
    printf("received     %" PRId64 " spans (%" PRId64 " refused), %" PRId64 " log records, %" PRId64
           " metric points\n",
           count_of(received, "spans"), count_of(received, "refused_spans"),
           count_of(received, "log_records"), count_of(received, "metric_points"));
}

static void print_config(const struct json_value *root)
{
    const struct json_value *config = json_get(root, "config");
    if (config != NULL && count_of(config, "in_force") == 0) {
        printf("config       REJECTED: what was saved last is not in force, what ran before is "
               "(sidejudge validate says why)\n");
    }
    if (count_of(config, "degraded") > 0) {
        printf("degraded     %" PRId64 " left out: the log and sidejudge_degraded name what\n",
               count_of(config, "degraded"));
    }
}

static void print_exporters(const struct json_value *root)
{
    const struct json_value *list = json_get(root, "exporters");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json_value *exporter = json_at(list, i);
        printf("%-12s %-14.*s ", i == 0 ? "forwarded" : "",
               BYTES_PRINTF(json_get_text(exporter, "id")));
        if (json_get_text(exporter, "degraded").len > 0) {
            printf("DEGRADED: %.*s\n", BYTES_PRINTF(json_get_text(exporter, "degraded")));
            continue;
        }
        int64_t max = count_of(exporter, "queue_bytes_max");
        printf("%" PRId64 " items sent, %" PRId64 " failed, %" PRId64 " not queued, queue %" PRId64
               " %% full\n",
               count_of(exporter, "sent"), count_of(exporter, "send_failed"),
               count_of(exporter, "enqueue_failed"),
               max > 0 ? count_of(exporter, "queue_bytes") * 100 / max : 0);
        if (json_get_text(exporter, "last_error").len > 0) {
            printf("%-12s %-14s last error: %.*s\n", "", "",
                   BYTES_PRINTF(json_get_text(exporter, "last_error")));
        }
    }
}

static bool print_reason(void *arg, struct bytes key, const struct json_value *value)
{
    bool *first = arg;
    if (json_int(value, 0) > 0 && !bytes_equal_text(key, "judged")) {
        printf("%-12s %-16.*s %" PRId64 "\n", *first ? "not graded" : "", BYTES_PRINTF(key),
               json_int(value, 0));
        *first = false;
    }
    return true;
}

static void print_spend(const struct json_value *evaluation)
{
    const struct json_value *budget = json_get(evaluation, "budget");
    if (count_of(evaluation, "judges") == 0) {
        printf("spend        none: no judge is configured, deterministic evaluators only\n");
    } else if (budget != NULL) {
        printf("spend        %.4f USD in the last 24 h of %.2f a day, %.4f available now; %" PRId64
               " over budget, %" PRId64 " throttled\n",
               json_double(json_get(budget, "spent_today_usd"), 0),
               json_double(json_get(budget, "usd_per_day"), 0),
               json_double(json_get(budget, "available_usd"), 0),
               count_of(budget, "refused_over_budget"), count_of(budget, "refused_throttled"));
    }
}

static void print_journal(const struct json_value *root)
{
    const struct json_value *journal = json_get(root, "journal");
    if (journal == NULL) {
        return;
    }
    char limit[32] = "";
    int64_t most = count_of(journal, "size_limit_bytes");
    if (most > 0) {
        snprintf(limit, sizeof(limit), " of %" PRId64, most >> 10);
    }
    printf("journal      %" PRId64 " entries, %" PRId64 "%s KiB on disk, %" PRId64
           " waiting there for room, %" PRId64 " replayed%s\n",
           count_of(journal, "entries"), count_of(journal, "file_bytes") >> 10, limit,
           count_of(journal, "backlog_entries"), count_of(journal, "replayed_entries"),
           count_of(journal, "failing") > 0 ? "; THE DISK FAILS: requests are not stored" : "");
    if (count_of(journal, "unstored_requests") > 0) {
        printf("             %" PRId64 " requests were taken in memory only\n",
               count_of(journal, "unstored_requests"));
    }
}

static void print_delivery(const struct json_value *root)
{
    int64_t lost = count_of(root, "scores_lost");
    if (count_of(root, "scores") + lost > 0) {
        printf("scores       %" PRId64 " queued for score sinks, %" PRId64
               " lost for want of room\n",
               count_of(root, "scores"), lost);
    }
    if (count_of(root, "overload_level") > 0 || count_of(root, "shed") > 0) {
        printf("overload     level %" PRId64 " of 4; shed so far: %" PRId64 "\n",
               count_of(root, "overload_level"), count_of(root, "shed"));
    }
}

// Who averages the plain scores in a backend must know how many of the sample are not there.
static void print_sample(const struct json_value *evaluation)
{
    int64_t graded = count_of(evaluation, "plain_graded");
    int64_t refused = count_of(evaluation, "plain_refused");
    int64_t all = graded + refused;
    if (all > 0) {
        printf("plain sample %" PRId64 " graded, %" PRId64 " refused after selection (%.1f %%)%s\n",
               graded, refused, 100.0 * (double)refused / (double)all,
               refused * 20 > all ? ": its average is NOT to be trusted" : "");
    }
}

static void print_evaluation(const struct json_value *evaluation)
{
    if (evaluation == NULL) {
        printf("graded       nothing: no evaluation processor runs here\n");
        return;
    }
    const struct json_value *ledger = json_get(evaluation, "ledger");
    const struct json_value *decisions = json_get(ledger, "decisions");
    bool first = true;
    printf("targets      %" PRId64 " (open traces %" PRId64 ", late spans %" PRId64
           ", without content %" PRId64 ")\n",
           count_of(evaluation, "targets"), count_of(evaluation, "open_traces"),
           count_of(evaluation, "late_spans"), count_of(evaluation, "without_content"));
    printf("graded       %" PRId64 " (baseline probability %g, carriers %" PRId64
           ", judge calls in flight %" PRId64 ")\n",
           count_of(decisions, "judged"),
           json_double(json_get(evaluation, "baseline_probability"), 0),
           count_of(evaluation, "carriers"), count_of(evaluation, "judge_in_flight"));
    json_each(decisions, print_reason, &first);
    print_sample(evaluation);
    print_spend(evaluation);
    const struct json_value *recent = json_get(ledger, "recent");
    for (size_t i = 0; i < json_count(recent); i++) {
        const struct json_value *row = json_at(recent, i);
        printf("%-12s %.*s  %-14.*s %.*s\n", i == 0 ? "recent" : "",
               BYTES_PRINTF(json_get_text(row, "trace_id")),
               BYTES_PRINTF(json_get_text(row, "decision")),
               BYTES_PRINTF(json_get_text(row, "target")));
    }
}

int command_status(struct arguments *arguments)
{
    char why[512];
    struct buffer body;
    buffer_init(&body, STATUS_MAX);
    int status = 1;
    struct json_document *document = NULL;
    if (api_get(arguments->api, "/v1/status", &body, why, sizeof(why)) != RESULT_OK) {
        fprintf(stderr, "Error: %s\n", why);
    } else if (arguments->json) {
        printf("%s\n", buffer_text(&body));
        status = 0;
    } else if (json_parse(buffer_view(&body), &document, NULL) != RESULT_OK) {
        fprintf(stderr, "Error: the answer is not JSON\n");
    } else {
        const struct json_value *root = json_root(document);
        printf("sidejudge    %.*s, up %" PRId64 " s, %" PRId64 " MiB resident of %" PRId64 " MiB\n",
               BYTES_PRINTF(json_get_text(root, "version")), count_of(root, "uptime_s"),
               count_of(root, "rss_bytes") >> 20, count_of(root, "memory_cap_bytes") >> 20);
        print_config(root);
        print_received(root);
        print_exporters(root);
        print_journal(root);
        print_delivery(root);
        print_evaluation(json_get(root, "evaluation"));
        status = 0;
    }
    json_free(&document);
    buffer_fini(&body);
    return status;
}
