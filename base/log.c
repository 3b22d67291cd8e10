// SPDX-License-Identifier: Apache-2.0
//
// A line is put together in memory of its own and leaves by one write, so threads need no lock
// between them. It never exceeds LINE_MAX_BYTES = PIPE_BUF, below which a pipe takes all of it or
// nothing. Fields that do not fit are left out and their number is said.
//
// Not blocking without disturbing others: O_NONBLOCK belongs to the open file, which an inherited
// stderr shares with the shell and with the neighbours of a Pod. So a pipe or terminal is opened
// once more through /proc/self/fd, which gives an open file of our own; sockets have MSG_DONTWAIT;
// what cannot be opened again (another user's pipe) is polled first, and a pipe that polls writable
// has PIPE_BUF bytes free. Regular files are written as they are. Refused: a logging thread, which
// would lose the last words before a crash. Any thread.
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"

enum { LINE_MAX_BYTES = 4096, LINE_TAIL_BYTES = 48, VALUE_MAX_BYTES = 1024 };
static_assert(LINE_MAX_BYTES <= PIPE_BUF, "a pipe takes a line whole or not at all");

enum sink_kind { SINK_POLLED, SINK_NONBLOCKING, SINK_SOCKET };

static _Atomic int log_level = LOG_INFO;
static _Atomic int log_encoding = LOG_CONSOLE;
static _Atomic int sink_fd = STDERR_FILENO;
static _Atomic int sink_kind = SINK_POLLED;
static int sink_owned_fd = -1;  // touched by log_configure only
static _Atomic uint64_t dropped;

static int reopen(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void log_configure(enum log_level level, enum log_encoding encoding, int fd)
{
    struct stat status;
    enum sink_kind kind = SINK_POLLED;
    int owned_fd = -1;
    if (fstat(fd, &status) == 0) {
        if (S_ISSOCK(status.st_mode)) {
            kind = SINK_SOCKET;
        } else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
            owned_fd = reopen(fd);
            kind = owned_fd >= 0 ? SINK_NONBLOCKING : SINK_POLLED;
        }
    }
    atomic_store(&log_level, (int)level);
    atomic_store(&log_encoding, (int)encoding);
    atomic_store(&sink_kind, (int)kind);
    atomic_store(&sink_fd, owned_fd >= 0 ? owned_fd : fd);
    if (sink_owned_fd >= 0) {
        close(sink_owned_fd);
    }
    sink_owned_fd = owned_fd;
}

bool log_is_on(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

uint64_t log_dropped_count(void)
{
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}

// JSON string escapes (RFC 8259, section 7), without quotes. What is not UTF-8 becomes U+FFFD as a
// whole, character by character, so that a line is always text.
static void put_escaped(struct buffer *out, struct bytes text)
{
    bool valid = utf8_is_valid(text);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '"' || byte == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, byte);
        } else if (byte == '\n') {
            buffer_append_text(out, "\\n");
        } else if (byte < 0x20 || byte == 0x7f) {
            buffer_printf(out, "\\u%04x", byte);
        } else if (byte >= 0x80 && !valid) {
            buffer_append_text(out, "\xef\xbf\xbd");
        } else {
            buffer_append_byte(out, byte);
        }
    }
}

static void put_quoted(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '"');
    put_escaped(out, utf8_prefix(text, VALUE_MAX_BYTES));
    if (text.len > VALUE_MAX_BYTES) {
        buffer_append_text(out, "...");
    }
    buffer_append_byte(out, '"');
}

static void put_real(struct buffer *out, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) {
        snprintf(text, sizeof text, "%.17g", value);
    }
    buffer_printf(out, isfinite(value) ? "%s" : "\"%s\"", text);
}

static void put_field(struct buffer *out, const struct log_field *field)
{
    put_quoted(out, bytes_from_text(field->key));
    buffer_append_text(out, ": ");
    switch (field->kind) {
    case LOG_FIELD_TEXT:
        put_quoted(out, bytes_from_text(field->as.text));
        break;
    case LOG_FIELD_INT:
        buffer_printf(out, "%lld", (long long)field->as.number);
        break;
    case LOG_FIELD_DOUBLE:
        put_real(out, field->as.real);
        break;
    case LOG_FIELD_BYTES:
        put_quoted(out, field->as.bytes);
        break;
    }
}

// Appends the fields behind whatever the object has already, as many as fit.
static void put_fields(struct buffer *out, const struct log_field *fields, unsigned count,
                       const char *separator)
{
    for (unsigned i = 0; i < count; i++) {
        size_t len_before = out->len;
        buffer_append_text(out, separator);
        put_field(out, &fields[i]);
        if (out->len > LINE_MAX_BYTES - LINE_TAIL_BYTES) {
            out->len = len_before;
            buffer_printf(out, "%s\"fields_omitted\": %u", separator, count - i);
            return;
        }
        separator = ", ";
    }
}

static const char *level_text(enum log_level level)
{
    static const char *const texts[] = {"debug", "info", "warn", "error"};
    CHECK((unsigned)level < sizeof texts / sizeof *texts);
    return texts[level];
}

static struct bytes cut(const char *text)
{
    return utf8_prefix(bytes_from_text(text), VALUE_MAX_BYTES / 4);
}

static void put_line_console(struct buffer *out, enum log_level level, const char *component,
                             const char *message, const struct log_field *fields, unsigned count)
{
    char time[25];
    clock_format(clock_wall_ns(), time);
    buffer_printf(out, "%s\t%s\t", time, level_text(level));
    put_escaped(out, cut(component));
    buffer_append_byte(out, '\t');
    put_escaped(out, cut(message));
    if (count > 0) {
        buffer_append_text(out, "\t{");
        put_fields(out, fields, count, "");
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, '\n');
}

static void put_line_json(struct buffer *out, enum log_level level, const char *component,
                          const char *message, const struct log_field *fields, unsigned count)
{
    char time[25];
    clock_format(clock_wall_ns(), time);
    buffer_printf(out, "{\"level\": \"%s\", \"ts\": \"%s\", \"component\": ", level_text(level),
                  time);
    put_quoted(out, cut(component));
    buffer_append_text(out, ", \"msg\": ");
    put_quoted(out, cut(message));
    put_fields(out, fields, count, ", ");
    buffer_append_text(out, "}\n");
}

static bool sink_write(struct bytes line)
{
    int fd = atomic_load_explicit(&sink_fd, memory_order_relaxed);
    int kind = atomic_load_explicit(&sink_kind, memory_order_relaxed);
    ssize_t len;
    if (kind == SINK_SOCKET) {
        len = send(fd, line.ptr, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        struct pollfd polled = {.fd = fd, .events = POLLOUT};
        // Also before a non-blocking write: it tells a pipe without reader, which would raise
        // SIGPIPE.
        if (poll(&polled, 1, 0) != 1 || polled.revents != POLLOUT) {
            return false;
        }
        len = write(fd, line.ptr, line.len);
    }
    return len == (ssize_t)line.len;
}

void log_write(enum log_level level, const char *component, const char *message,
               const struct log_field *fields, unsigned count)
{
    if (!log_is_on(level)) {
        return;
    }
    // Room for one field too many, which put_fields takes back: six bytes per escaped one.
    struct buffer line;
    buffer_init(&line, LINE_MAX_BYTES + 16 * VALUE_MAX_BYTES);
    bool json = atomic_load_explicit(&log_encoding, memory_order_relaxed) == LOG_JSON;
    (json ? put_line_json : put_line_console)(&line, level, component, message, fields, count);
    if (buffer_status(&line) != RESULT_OK || line.len > LINE_MAX_BYTES ||
        !sink_write(buffer_view(&line))) {
        atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    }
    buffer_fini(&line);
}

bool log_episode_opens(struct log_episode *episode, uint64_t now_ns, uint64_t quiet_ns)
{
    uint64_t stamp = now_ns ? now_ns : 1;  // 0 is "never"
    uint64_t last_ns = atomic_exchange_explicit(&episode->last_ns, stamp, memory_order_relaxed);
    if (last_ns == 0 || (stamp > last_ns && stamp - last_ns >= quiet_ns)) {
        return true;
    }
    atomic_fetch_add_explicit(&episode->swallowed, 1, memory_order_relaxed);
    return false;
}
