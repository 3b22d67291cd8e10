// SPDX-License-Identifier: Apache-2.0
//
// Evaluator `valid_json`: 1 when the response is JSON (and conforms to the schema, where one is
// configured), else 0. Applies where JSON was asked for, or always with a schema; one Markdown
// fence around the JSON is looked through. Truncated evidence is not applicable. Pure after
// prepare.

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json_schema.h"
#include "processor/answer_json.h"
#include "processor/evaluator.h"

struct valid_json_config {
    struct bytes schema;
};

static const struct option options[] = {
    {.key = "schema",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct valid_json_config, schema),
     .doc = "file:/path of a JSON Schema that the response must conform to, or the schema itself."},
    {0}};

static enum result prepare(const void *config, void **prepared, char *why, size_t why_len)
{
    const struct valid_json_config *own = config;
    *prepared = NULL;
    if (own == NULL || own->schema.len == 0) {
        return RESULT_OK;
    }
    struct buffer text;
    buffer_init(&text, JSON_BYTES_MAX);
    struct bytes source = own->schema;
    if (bytes_start_with(source, BYTES_LITERAL("file:"))) {
        enum result result = file_read((const char *)source.ptr + 5, &text);
        if (result != RESULT_OK) {
            snprintf(why, why_len, "cannot read the schema %.*s: %s", BYTES_PRINTF(source),
                     result_text(result));
            buffer_fini(&text);
            return RESULT_FAIL;
        }
        source = buffer_view(&text);
    }
    struct json_schema *schema = NULL;
    enum result result = json_schema_compile(source, &schema, why, why_len);
    buffer_fini(&text);
    *prepared = schema;
    return result == RESULT_OK ? RESULT_OK : RESULT_FAIL;
}

static void release(void *prepared)
{
    struct json_schema *schema = prepared;
    json_schema_free(&schema);
}

static void grade(const void *prepared, const struct interaction *interaction, struct score *score)
{
    if ((!interaction->json_requested && prepared == NULL) || interaction->truncated ||
        interaction->response.len == 0) {
        score->outcome = OUTCOME_NOT_APPLICABLE;
        return;
    }
    struct json_document *document = NULL;
    const char *why = "";
    score->outcome = OUTCOME_SCORE;
    if (json_parse(answer_json(interaction->response), &document, &why) != RESULT_OK) {
        score->value = 0;
        snprintf(score->explanation, sizeof(score->explanation), "not JSON: %s", why);
        return;
    }
    score->value =
        prepared == NULL || json_schema_check(prepared, json_root(document), score->explanation,
                                              sizeof(score->explanation))
            ? 1
            : 0;
    json_free(&document);
}

const struct evaluator_ops evaluator_valid_json = {
    .type = "valid_json",
    .doc = "Whether the response is JSON where JSON was asked for, or conforms to a schema.",
    .options = options,
    .config_size = sizeof(struct valid_json_config),
    .prepare = prepare,
    .release = release,
    .grade = grade,
    .is_boolean = true};
