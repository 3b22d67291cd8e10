// SPDX-License-Identifier: Apache-2.0
// What senders can make the extractor read. First byte 0: a trace request, scanned, classified,
// read, kept, resolved and put together; else the rest is the text of a message attribute, read as
// every shape. Whatever comes, an interaction stays within its bounds.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "processor/assembly.h"
#include "processor/message_json.h"
#include "processor/target.h"
#include "proto/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
    struct trace trace;
    bool open;
};

static bool scene_span(void *arg, const struct item_view *view)
{
    struct scene *scene = arg;
    struct span_class found;
    struct arena scratch;
    struct reading reading;
    if (view->fault != SCAN_OK || !view->trace_id || !view->span_id) {
        return true;
    }
    if (!scene->open) {
        struct trace_id id;
        memcpy(id.bytes, view->trace_id, sizeof(id.bytes));
        trace_init(&scene->trace, &id, 0);
        scene->open = true;
    }
    dialect_classify(view, &found);
    struct trace_span *span = trace_add(&scene->trace, view, &found, 0);
    if (span) {
        arena_init(&scratch, READING_SCRATCH_MAX);
        reading_init(&reading, &scratch);
        dialect_read(view, &found, &reading);
        (void)trace_keep_reading(&scene->trace, span, &reading);
        arena_fini(&scratch);
    }
    return true;
}

static void check_bounds(const struct interaction *interaction)
{
    size_t bytes = interaction->question.len + interaction->response.len + interaction->system.len;
    CHECK(interaction->context_count <= INTERACTION_CONTEXTS_MAX);
    CHECK(interaction->tool_call_count <= INTERACTION_TOOL_CALLS_MAX);
    for (size_t i = 0; i < interaction->tool_call_count; i++) {
        bytes += interaction->tool_calls[i].arguments.len + interaction->tool_calls[i].result.len;
    }
    CHECK(bytes <= INTERACTION_BYTES_MAX);
}

static void scene_choose(struct scene *scene, enum target_mode mode)
{
    for (const struct trace_span *span = scene->trace.spans; span; span = span->next) {
        struct target_choice choice;
        CHECK(span->top);
        if (span->top != span) {
            continue;
        }
        targets_choose(&scene->trace, span, mode, &choice);
        for (size_t i = 0; i < choice.count; i++) {
            struct interaction interaction;
            assembly_build(&scene->trace, choice.spans[i], choice.whole, &interaction);
            check_bounds(&interaction);
        }
    }
}

static void request_read(struct bytes request)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct scan_report report;
    CHECK(scene);
    enum result result =
        scan_request(SIGNAL_TRACES, request, SCAN_CHECK_UTF8, scene_span, scene, &report);
    if (scene->open) {
        if (result == RESULT_OK) {
            trace_resolve(&scene->trace);
            scene_choose(scene, TARGET_AUTO);
            scene_choose(scene, TARGET_LLM);
        }
        trace_fini(&scene->trace);
    }
    free(scene);
}

static void text_read(struct bytes text)
{
    struct arena scratch;
    struct reading reading;
    arena_init(&scratch, READING_SCRATCH_MAX);
    reading_init(&reading, &scratch);
    (void)message_json_input(&reading, text);
    (void)message_json_output(&reading, text);
    message_json_system(&reading, text);
    message_json_documents(&reading, text);
    (void)message_json_unwrap(&reading, text, NULL);
    (void)reading_result_failed(text);
    reading_finish(&reading, text);
    CHECK(reading.context_count <= INTERACTION_CONTEXTS_MAX);
    arena_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes rest = bytes_from(data + 1, size - 1);
    if (data[0] == 0) {
        request_read(rest);
    } else {
        text_read(rest);
    }
    return 0;
}
