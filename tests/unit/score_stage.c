// SPDX-License-Identifier: Apache-2.0
// See the header.
#include "tests/unit/score_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "tests/unit/export_sample.h"

void score_stage_records(struct score_record records[SCORE_STAGE_RECORDS])
{
    records[0] = score_sample(SAMPLE_NUMERIC, 1);
    records[1] = score_sample(SAMPLE_BOOLEAN, 1);
    records[2] = score_sample(SAMPLE_CATEGORICAL, 1);
    records[3] = score_sample(SAMPLE_FAILED, 1);
    records[4] = score_sample(SAMPLE_TARGETED, 2);
    records[5] = score_sample(SAMPLE_ERROR, 3);
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void score_stage_send(struct score_server *server, const struct exporter_ops *ops, const char *yaml,
                      const struct score_record *records, size_t count,
                      struct exporter_status *status)
{
    char text[1024], why[512] = "";
    snprintf(text, sizeof(text), yaml, score_server_port(server));
    struct exporter *exporter = sample_start(ops, ops->kind.type, text, why, sizeof(why));
    if (exporter == NULL) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    score_server_sync(server);
    sample_push(ops, exporter, score_sample_parcel(records, count));
    ops->drain(exporter, clock_mono_ns() + 10 * NS_PER_S);
    ops->status(exporter, status);
    ops->free(&exporter);
    score_server_sync(server);
    if (server->refused > 0) {
        fprintf(stderr, "%s\n", server->refusal);
    }
}

bool score_stage_same_json(struct bytes text, const char *expected)
{
    struct json_document *a = NULL;
    struct json_document *b = NULL;
    bool same = json_parse(text, &a, NULL) == RESULT_OK &&
                json_parse(bytes_from_text(expected), &b, NULL) == RESULT_OK &&
                json_equal(json_root(a), json_root(b));
    json_free(&a);
    json_free(&b);
    if (!same) {
        fprintf(stderr, "got  %.*s\nwant %s\n", BYTES_PRINTF(text), expected);
    }
    return same;
}

bool score_stage_refuses(const struct exporter_ops *ops, const char *const rows[][2], size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        struct buffer errors;
        buffer_init(&errors, 8192);
        sample_errors(ops, rows[i][0], &errors);
        if (strstr(buffer_text(&errors), rows[i][1]) == NULL) {
            fprintf(stderr, "%s: got \"%s\"\n", rows[i][0], buffer_text(&errors));
            all = false;
        }
        buffer_fini(&errors);
    }
    return all;
}
