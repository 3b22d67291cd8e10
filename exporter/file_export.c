// SPDX-License-Identifier: Apache-2.0
// The exporter `file`: one OTLP/JSON object per line, as the Collector writes it, or `format:
// proto`, each request behind its length in four bytes, big endian. Scores are lines of their own,
// {"score": {...}} (exporter/score/webhook.h), or, as protobuf, their log records. A request is one
// write; what was written of it is taken back when the disk is full, so a line is never torn.
//
// Rotation renames path to path.1, path.1 to path.2 and so on. Refused: names with times, which
// need a directory to be listed. Bounds: max_backups files; one request of text in memory.
// Exporter's thread.
#include "exporter/file_export.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "exporter/otlp_text.h"
#include "exporter/score/score_sink.h"
#include "exporter/score/webhook.h"
#include "exporter/sender.h"

#define FILE_MAGIC MAGIC('F', 'I', 'L', 'E')
#define FILE_BYTES_MAX ((size_t)8 << 20)
#define TEXT_BYTES_MAX ((size_t)256 << 20)
#define TEXT_KEPT_BYTES ((size_t)1 << 20)

enum { FORMAT_JSON, FORMAT_PROTO };
static const char *const formats[] = {"json", "proto", NULL};

struct rotation_config {
    int64_t max_megabytes;
    int64_t max_backups;
};

struct file_config {
    struct score_sink_config sink;
    struct bytes path;
    int format;
    bool append;
    struct rotation_config rotation;
    bool rotation_present;
    struct retry_config retry;
    struct queue_config queue;
};

static const struct option rotation_options[] = {
    {.key = "max_megabytes",
     .kind = OPTION_INT,
     .fallback = "100",
     .min = 1,
     .max = 1048576,
     .offset = offsetof(struct rotation_config, max_megabytes),
     .unit = "MiB",
     .doc = "A file that would grow beyond is renamed first."},
    {.key = "max_backups",
     .kind = OPTION_INT,
     .fallback = "100",
     .min = 1,
     .max = 1000,
     .offset = offsetof(struct rotation_config, max_backups),
     .doc = "Renamed files that are kept."},
    {.key = "max_days",
     .kind = OPTION_INT,
     .flags = OPTION_F_IGNORED,
     .doc = "No effect: max_backups bounds what is kept."},
    {.key = "localtime",
     .kind = OPTION_BOOL,
     .flags = OPTION_F_IGNORED,
     .doc = "No effect: names carry numbers, not times."},
    {.key = NULL},
};

static const struct option file_options[] = {
    {.key = "path",
     .kind = OPTION_TEXT,
     .flags = OPTION_F_REQUIRED,
     .offset = offsetof(struct file_config, path),
     .doc = "File that is written."},
    {.key = "format",
     .kind = OPTION_ENUM,
     .fallback = "json",
     .choices = formats,
     .offset = offsetof(struct file_config, format),
     .doc = "json: an OTLP/JSON object per line; proto: requests behind 4 bytes of length."},
    {.key = "append",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .offset = offsetof(struct file_config, append),
     .doc = "Keep what an earlier run wrote; else the file starts empty."},
    {.key = "rotation",
     .kind = OPTION_GROUP,
     .rows = rotation_options,
     .offset = offsetof(struct file_config, rotation),
     .present_offset = offsetof(struct file_config, rotation_present),
     .doc = "Rename the file when it is large; off when absent."},
    SCORE_SWITCH_ROW(struct file_config),
    SCORE_SINK_ROWS(struct file_config),
    {.key = "flush_interval",
     .kind = OPTION_DURATION,
     .flags = OPTION_F_IGNORED,
     .doc = "No effect: every request is written at once."},
    {.key = "retry_on_failure",
     .kind = OPTION_GROUP,
     .rows = retry_options,
     .offset = offsetof(struct file_config, retry),
     .doc = "A full disk is tried again."},
    {.key = "sending_queue",
     .kind = OPTION_GROUP,
     .rows = queue_options,
     .offset = offsetof(struct file_config, queue),
     .doc = "Between admission and the disk."},
    {.key = NULL},
};

static void file_validate(const void *arg, const struct config_node *node, const char *path,
                          struct option_errors *errors)
{
    const struct file_config *config = arg;
    if (config->rotation_present && config->append) {
        option_error(errors, path, config_get(node, "append"),
                     "append and rotation enabled at the same time is not supported");
    }
    score_sink_validate(&config->sink, node, path, errors);
    queue_validate(&config->queue, node, path, errors);
}

// --- transport ------------------------------------------------------------------------------

struct file_transport {
    uint32_t magic;
    int fd;  // -1: to be opened
    char *path;
    int format;
    int64_t rotate_at_bytes;  // 0: never
    int64_t backups_max;
    int64_t size;  // of the open file
    struct buffer text;
};

static bool file_open(struct file_transport *transport, bool truncate)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | (truncate ? O_TRUNC : 0);
    transport->fd = open(transport->path, flags, 0600);
    if (transport->fd < 0) {
        return false;
    }
    struct stat stat;
    transport->size = fstat(transport->fd, &stat) == 0 ? stat.st_size : 0;
    return true;
}

static void file_rotate(struct file_transport *transport)
{
    size_t len = strlen(transport->path) + 16;
    char *from = malloc(len);
    char *to = malloc(len);
    CHECK(from != NULL && to != NULL);
    for (int64_t i = transport->backups_max - 1; i >= 0; i--) {
        snprintf(from, len, i > 0 ? "%s.%lld" : "%s", transport->path, (long long)i);
        snprintf(to, len, "%s.%lld", transport->path, (long long)i + 1);
        (void)rename(from, to);  // most of them do not exist
    }
    free(from);
    free(to);
    close(transport->fd);
    (void)file_open(transport, false);
}

// All or nothing: on failure the file is as it was.
static bool file_write(struct file_transport *transport, struct bytes bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t count = write(transport->fd, bytes.ptr + done, bytes.len - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            int error = count == 0 ? ENOSPC : errno;
            if (done > 0 && ftruncate(transport->fd, (off_t)transport->size) != 0) {
                transport->size += (int64_t)done;
            }
            errno = error;
            return false;
        }
        done += (size_t)count;
    }
    transport->size += (int64_t)bytes.len;
    return true;
}

static void text_make(struct file_transport *transport, const struct shipment *shipment)
{
    struct buffer *text = &transport->text;
    struct bytes request = shipment->payload->wire;
    buffer_reset(text);
    if (transport->format == FORMAT_PROTO) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            buffer_append_byte(text, (uint8_t)(request.len >> shift));
        }
        buffer_append_bytes(text, request);
        return;
    }
    if (shipment->payload->is_encoded) {
        buffer_append_bytes(text, request);
        return;
    }
    otlp_text_write(shipment->signal, request, text);
    buffer_append_byte(text, '\n');
}

static void file_send(void *arg, struct shipment *shipment)
{
    struct file_transport *transport = arg;
    CHECK(transport->magic == FILE_MAGIC);
    struct delivery_reply reply = {.protocol = DELIVERY_HTTP, .code = 200};
    text_make(transport, shipment);
    int64_t len = (int64_t)transport->text.len;
    if (transport->fd >= 0 && transport->rotate_at_bytes > 0 && transport->size > 0 &&
        transport->size + len > transport->rotate_at_bytes) {
        file_rotate(transport);
    }
    if (buffer_status(&transport->text) != RESULT_OK) {
        reply.code = 413;  // halved, and tried again
        reply.text = BYTES_LITERAL("the text of the request is too large");
    } else if ((transport->fd < 0 && !file_open(transport, false)) ||
               !file_write(transport, buffer_view(&transport->text))) {
        reply.transport = RESULT_RETRY;
        reply.text = bytes_from_text(strerror(errno));
    }
    if (transport->text.capacity > TEXT_KEPT_BYTES) {
        buffer_fini(&transport->text);
        buffer_init(&transport->text, TEXT_BYTES_MAX);
    }
    sender_answer(shipment, &reply);
}

static void file_cancel(void *transport, struct shipment *shipment)
{
    (void)transport;
    (void)shipment;
    CHECK(false);  // nothing is ever in flight between two turns
}

static void file_free(void *arg)
{
    struct file_transport *transport = arg;
    if (transport->fd >= 0) {
        close(transport->fd);
    }
    buffer_fini(&transport->text);
    free(transport->path);
    free(transport);
}

static const struct transport_ops file_transport_ops = {
    .send = file_send, .cancel = file_cancel, .free = file_free};

static struct file_transport *file_transport_new(const struct file_config *config)
{
    struct file_transport *transport = calloc(1, sizeof(*transport));
    CHECK(transport != NULL);
    transport->magic = FILE_MAGIC;
    transport->path = strndup((const char *)config->path.ptr, config->path.len);
    CHECK(transport->path != NULL);
    transport->format = config->format;
    if (config->rotation_present) {
        transport->rotate_at_bytes = config->rotation.max_megabytes << 20;
        transport->backups_max = config->rotation.max_backups;
    }
    buffer_init(&transport->text, TEXT_BYTES_MAX);
    return transport;
}

static enum result file_start(const struct component_env *env, const void *arg,
                              struct exporter **exporter, char *why, size_t why_len)
{
    const struct file_config *config = arg;
    struct file_transport *transport = file_transport_new(config);
    if (!file_open(transport, !config->append && !config->rotation_present)) {
        snprintf(why, why_len, "%.*s: %s", BYTES_PRINTF(config->path), strerror(errno));
        file_free(transport);
        return RESULT_FAIL;
    }
    struct score_encoder encoder = score_sink_encoder(&config->sink, &score_lines_form, BYTES_NONE);
    struct sender_setup setup = {.queue = &config->queue,
                                 .encoder = config->format == FORMAT_JSON ? &encoder : NULL,
                                 .destination = config->path,
                                 .retry = &config->retry,
                                 .codec = CODEC_NONE,
                                 .bytes_max = FILE_BYTES_MAX};
    enum result result = sender_new(env, &setup, exporter, why, why_len);
    if (result != RESULT_OK) {
        file_free(transport);
        return result;
    }
    result = sender_start(*exporter, &file_transport_ops, transport, why, why_len);
    if (result != RESULT_OK) {
        sender_free(exporter);
    }
    return result;
}

const struct exporter_ops file_exporter = {
    .kind = {.type = "file",
             .doc = "OTLP/JSON lines or length-prefixed protobuf into a file; scores as lines.",
             .signals = 1U << SIGNAL_TRACES | 1U << SIGNAL_METRICS | 1U << SIGNAL_LOGS |
                        1U << SIGNAL_SCORES,
             .options = file_options,
             .config_size = sizeof(struct file_config),
             .validate = file_validate},
    .start = file_start,
    SENDER_OPS,
    .score_send = score_sink_send_switched,
};
