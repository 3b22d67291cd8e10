// SPDX-License-Identifier: Apache-2.0
// The exporter `debug`: what passes, as text on stdout. Sampling is the Collector's: in each second
// the first sampling_initial requests are printed, then every sampling_thereafter-th.
//
// Refused: the Collector's default of writing through the logger, which would mix telemetry with
// our own lines. A stdout that takes nothing for a second costs the text of that request, nothing
// else; the request counts as delivered. Bounds: TEXT_BYTES_MAX of one request. Exporter's thread.
#include "exporter/debug.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "exporter/debug_text.h"
#include "exporter/sender.h"

#define DEBUG_MAGIC MAGIC('D', 'E', 'B', 'G')
#define TEXT_BYTES_MAX ((size_t)64 << 20)
#define REQUEST_BYTES_MAX ((size_t)8 << 20)
#define CHUNK_BYTES 4096  // what a pipe that polls writable takes at once
#define STALL_MS 1000

static const char *const verbosities[] = {"basic", "normal", "detailed", NULL};

struct debug_config {
    int verbosity;
    int64_t sampling_initial, sampling_thereafter;
    struct retry_config retry;
    struct queue_config queue;
};

static const struct option debug_options[] = {
    {.key = "verbosity",
     .kind = OPTION_ENUM,
     .fallback = "basic",
     .choices = verbosities,
     .offset = offsetof(struct debug_config, verbosity),
     .doc = "basic: counts; normal: a line per item; detailed: everything."},
    {.key = "sampling_initial",
     .kind = OPTION_INT,
     .fallback = "2",
     .min = 0,
     .max = 1e9,
     .offset = offsetof(struct debug_config, sampling_initial),
     .doc = "Requests printed in each second whatever comes."},
    {.key = "sampling_thereafter",
     .kind = OPTION_INT,
     .fallback = "1",
     .min = 0,
     .max = 1e9,
     .offset = offsetof(struct debug_config, sampling_thereafter),
     .doc = "Of the others in that second, one in this many; 0: none."},
    {.key = "use_internal_logger",
     .kind = OPTION_BOOL,
     .flags = OPTION_F_IGNORED,
     .doc = "No effect: text goes to stdout."},
    {.key = "output_paths",
     .kind = OPTION_TEXTS,
     .flags = OPTION_F_IGNORED,
     .doc = "No effect: text goes to stdout."},
    {.key = "retry_on_failure",
     .kind = OPTION_GROUP,
     .rows = retry_options,
     .offset = offsetof(struct debug_config, retry),
     .doc = "Kept for compatibility."},
    {.key = "sending_queue",
     .kind = OPTION_GROUP,
     .rows = queue_options,
     .offset = offsetof(struct debug_config, queue),
     .doc = "Between admission and stdout."},
    {.key = NULL},
};

static void debug_validate(const void *arg, const struct config_node *node, const char *path,
                           struct option_errors *errors)
{
    const struct debug_config *config = arg;
    queue_validate(&config->queue, node, path, errors);
}

struct debug_transport {
    uint32_t magic;
    enum debug_verbosity verbosity;
    int64_t initial, thereafter;
    uint64_t second;  // that is being counted
    int64_t count;    // requests in it
    struct buffer text;
};

static bool is_sampled(struct debug_transport *transport, uint64_t now_ns)
{
    uint64_t second = now_ns / NS_PER_S;
    if (second != transport->second) {
        transport->second = second;
        transport->count = 0;
    }
    int64_t index = transport->count++;
    if (index < transport->initial) {
        return true;
    }
    return transport->thereafter > 0 && (index - transport->initial) % transport->thereafter == 0;
}

static void print(struct bytes text)
{
    size_t done = 0;
    while (done < text.len) {
        struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
        int ready = poll(&out, 1, STALL_MS);
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            return;
        }
        struct bytes chunk = bytes_slice(text, done, CHUNK_BYTES);
        ssize_t count = write(STDOUT_FILENO, chunk.ptr, chunk.len);
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (count <= 0) {
            return;
        }
        done += (size_t)count;
    }
}

static void debug_send(void *arg, struct shipment *shipment)
{
    struct debug_transport *transport = arg;
    CHECK(transport->magic == DEBUG_MAGIC);
    if (is_sampled(transport, clock_mono_ns())) {
        buffer_reset(&transport->text);
        debug_text_write(transport->verbosity, shipment->signal, shipment->payload->wire,
                         &transport->text);
        print(buffer_view(&transport->text));
    }
    sender_answer(shipment, &(struct delivery_reply){.protocol = DELIVERY_HTTP, .code = 200});
}

static void debug_cancel(void *transport, struct shipment *shipment)
{
    (void)transport;
    (void)shipment;
    CHECK(false);  // nothing is ever in flight between two turns
}

static void debug_free(void *arg)
{
    struct debug_transport *transport = arg;
    buffer_fini(&transport->text);
    free(transport);
}

static const struct transport_ops debug_transport_ops = {
    .send = debug_send, .cancel = debug_cancel, .free = debug_free};

static enum result debug_start(const struct component_env *env, const void *arg,
                               struct exporter **exporter, char *why, size_t why_len)
{
    const struct debug_config *config = arg;
    struct sender_setup setup = {.queue = &config->queue,
                                 .destination = BYTES_LITERAL("stdout"),
                                 .retry = &config->retry,
                                 .codec = CODEC_NONE,
                                 .bytes_max = REQUEST_BYTES_MAX};
    enum result result = sender_new(env, &setup, exporter, why, why_len);
    if (result != RESULT_OK) {
        return result;
    }
    struct debug_transport *transport = calloc(1, sizeof(*transport));
    CHECK(transport != NULL);
    transport->magic = DEBUG_MAGIC;
    transport->verbosity = (enum debug_verbosity)config->verbosity;
    transport->initial = config->sampling_initial;
    transport->thereafter = config->sampling_thereafter;
    buffer_init(&transport->text, TEXT_BYTES_MAX);
    result = sender_start(*exporter, &debug_transport_ops, transport, why, why_len);
    if (result != RESULT_OK) {
        sender_free(exporter);
    }
    return result;
}

// Not all: for the sake of a debugging exporter, nobody makes scores that no backend will get.
static enum score_send debug_score_send(const void *config)
{
    (void)config;
    return SCORE_SEND_JUDGED;
}

const struct exporter_ops debug_exporter = {
    .kind = {.type = "debug",
             .doc = "What passes, as text on stdout.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_METRICS | 1U << SIGNAL_LOGS |
                        1U << SIGNAL_SCORES,
             .options = debug_options,
             .config_size = sizeof(struct debug_config),
             .validate = debug_validate},
    .start = debug_start,
    SENDER_OPS,
    .score_send = debug_score_send,
};
