// SPDX-License-Identifier: Apache-2.0
//
// `batch` stands in nearly every Collector file. Requests are merged by the exporters' queues here
// (DESIGN 3), where an acknowledgement is still owed for them, so it takes nothing, stands in no
// chain and costs nothing; `validate` says so in one line. Its keys are checked by the Collector's
// rules (batchprocessor), so that a file that passes here passes there.
//
// Refused: metrics otelcol_processor_batch_* of batches that are not made. Any thread.
#include "processor/batch_processor.h"

#include <stdlib.h>

#include "base/check.h"

#define BATCH_PROCESSOR_MAGIC MAGIC('P', 'B', 'A', 'T')

struct batch_config {
    int64_t timeout_ns, send_batch_size, send_batch_max_size, cardinality;
    struct option_texts metadata_keys;
};

struct batch_component {
    uint32_t magic;
};

#define AT(member) offsetof(struct batch_config, member)
static const struct option batch_options[] = {
    {.key = "timeout",
     .kind = OPTION_DURATION,
     .offset = AT(timeout_ns),
     .fallback = "200ms",
     .unit = "duration",
     .doc = "Checked only; see an exporter's sending_queue.batch.flush_timeout."},
    {.key = "send_batch_size",
     .kind = OPTION_INT,
     .offset = AT(send_batch_size),
     .fallback = "8192",
     .min = 0,
     .max = 4294967295.0,
     .unit = "items",
     .doc = "Checked only; see an exporter's sending_queue.batch.min_size."},
    {.key = "send_batch_max_size",
     .kind = OPTION_INT,
     .offset = AT(send_batch_max_size),
     .fallback = "0",
     .min = 0,
     .max = 4294967295.0,
     .unit = "items",
     .doc = "Checked only; see an exporter's sending_queue.batch.max_size."},
    {.key = "metadata_keys",
     .kind = OPTION_TEXTS,
     .offset = AT(metadata_keys),
     .doc = "Checked only."},
    {.key = "metadata_cardinality_limit",
     .kind = OPTION_INT,
     .offset = AT(cardinality),
     .fallback = "1000",
     .min = 0,
     .max = 4294967295.0,
     .doc = "Checked only."},
    {0},
};
#undef AT

static void batch_validate(const void *config, const struct config_node *node, const char *path,
                           struct option_errors *errors)
{
    const struct batch_config *own = config;
    if (own->send_batch_max_size > 0 && own->send_batch_max_size < own->send_batch_size) {
        option_error(errors, path, node,
                     "'send_batch_max_size' must be greater or equal to 'send_batch_size'");
    }
    for (size_t i = 0; i < own->metadata_keys.count; i++) {
        const char *key = (const char *)own->metadata_keys.items[i].ptr;
        for (size_t k = 0; k < i; k++) {
            if (bytes_equal_nocase(own->metadata_keys.items[k], key)) {
                option_error(errors, path, node,
                             "duplicate entry in 'metadata_keys': \"%s\" (case-insensitive)", key);
                break;
            }
        }
    }
    option_warning(errors, path, node,
                   "holds nothing back here: exporters merge requests (sending_queue.batch)");
}

static enum result batch_create(const struct component_env *env, const void *config,
                                struct processor **processor, char *why, size_t why_len)
{
    (void)env, (void)config, (void)why, (void)why_len;
    struct batch_component *component = calloc(1, sizeof *component);
    CHECK(component != NULL);
    component->magic = BATCH_PROCESSOR_MAGIC;
    *processor = (struct processor *)component;
    return RESULT_OK;
}

static void batch_free(struct processor **processor)
{
    if (*processor != NULL) {
        struct batch_component *component = (struct batch_component *)*processor;
        CHECK(component->magic == BATCH_PROCESSOR_MAGIC);
        free(component);
        *processor = NULL;
    }
}

const struct processor_ops batch_processor = {
    .kind = {.type = "batch",
             .doc = "Accepted from Collector files; exporters merge requests by themselves.",
             .signals = 1u << SIGNAL_TRACES | 1u << SIGNAL_METRICS | 1u << SIGNAL_LOGS,
             .options = batch_options,
             .config_size = sizeof(struct batch_config),
             .validate = batch_validate},
    .create = batch_create,
    .free = batch_free,
};
