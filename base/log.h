// SPDX-License-Identifier: Apache-2.0
// Structured logs to stderr, in the Collector's two encodings (console, json). A full or broken
// pipe drops the line and counts it: logging never blocks the caller for longer than one write(2)
// on a non-blocking descriptor. Values pass as fields, never inside the message, so that messages
// stay greppable. No content of spans and no header value is ever logged. Process-wide state:
// level, encoding, descriptor, the count of dropped lines. A line has at most 4 KiB: values are cut
// at 1 KiB, fields beyond are left out and counted in `fields_omitted`. JSON keys: level, ts,
// component, msg, then the fields. The process ignores SIGPIPE. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_encoding { LOG_CONSOLE, LOG_JSON };

struct log_field {
    const char *key;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_DOUBLE, LOG_FIELD_BYTES } kind;
    union {
        const char *text;
        int64_t number;
        double real;
        struct bytes bytes;
    } as;
};

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_TEXT, .as.text = (v)})
#define LOG_INT(k, v)                                                                              \
    ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .as.number = (int64_t)(v)})
#define LOG_REAL(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_DOUBLE, .as.real = (v)})
#define LOG_BYTES(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_BYTES, .as.bytes = (v)})

// Before other threads log; default INFO, console, 2. Borrows `fd`, never changes its flags.
void log_configure(enum log_level level, enum log_encoding encoding, int fd);
bool log_is_on(enum log_level level);
void log_write(enum log_level level, const char *component, const char *message,
               const struct log_field *fields, unsigned count);
uint64_t log_dropped_count(void);

// log_line(LOG_INFO, "receiver/otlp", "listening", LOG_TEXT("endpoint", text));
#define log_line(level, component, message, ...)                                                   \
    log_write((level), (component), (message), (const struct log_field[]){{0}, ##__VA_ARGS__} + 1, \
              sizeof((const struct log_field[]){{0}, ##__VA_ARGS__}) / sizeof(struct log_field) -  \
                  1)

// Once per episode: true the first time, then again only after `quiet_ns` without a call.
// `swallowed` counts the calls that got false; it only grows unless the caller exchanges it with 0.
struct log_episode {
    _Atomic uint64_t last_ns;
    _Atomic uint64_t swallowed;
};
bool log_episode_opens(struct log_episode *episode, uint64_t now_ns, uint64_t quiet_ns);
