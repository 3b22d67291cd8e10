// SPDX-License-Identifier: Apache-2.0
//
// Durations in Go's syntax (time.ParseDuration: "1h2m3.5s", "200ms", "0") and sizes ("64MiB",
// "4MB", plain bytes). Both are parsed with integers: a fraction is a numerator over a power of
// ten, so "0.1s" is exact, which a double would not be. A number without a unit is no duration,
// except 0, as in Go. Pure.
#include "base/option_units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t scale;
};

static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},  // micro sign
    {"\xce\xbcs", 1000},  // Greek mu
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60 * INT64_C(1000000000)},
    {"h", 3600 * INT64_C(1000000000)},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", INT64_C(1000000000000)},
    {"Ki", INT64_C(1) << 10},
    {"Mi", INT64_C(1) << 20},
    {"Gi", INT64_C(1) << 30},
};

// A decimal number at the start of `*text`, which moves behind it: whole + part / scale.
struct decimal {
    int64_t whole, part, scale;
};

static bool take_digits(struct bytes *text, unsigned count_max, int64_t *value, int64_t *scale)
{
    bool any = false;
    unsigned count = 0;
    while (text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9') {
        int64_t digit = text->ptr[0] - '0';
        any = true;
        if (count < count_max) {
            if (__builtin_mul_overflow(*value, 10, value) ||
                __builtin_add_overflow(*value, digit, value)) {
                return false;
            }
            *scale *= count_max < 18 ? 10 : 1;
            count++;
        }
        *text = bytes_slice(*text, 1, text->len);
    }
    return any;
}

static bool take_decimal(struct bytes *text, struct decimal *number)
{
    *number = (struct decimal){.scale = 1};
    int64_t unused = 1;
    struct bytes start = *text;
    bool whole = take_digits(text, 20, &number->whole, &unused);
    if (!whole && text->len != start.len) {
        return false;  // overflow
    }
    if (text->len == 0 || text->ptr[0] != '.') {
        return whole;
    }
    *text = bytes_slice(*text, 1, text->len);
    bool part = take_digits(text, 9, &number->part, &number->scale);
    return whole || part;
}

// number * unit in whole steps, rounded down.
static bool multiply(struct decimal number, int64_t unit, int64_t *value)
{
    int64_t whole;
    if (__builtin_mul_overflow(number.whole, unit, &whole)) {
        return false;
    }
    int64_t part = (int64_t)((__int128)number.part * unit / number.scale);
    return !__builtin_add_overflow(whole, part, value);
}

static bool take_duration_unit(struct bytes *text, int64_t *scale)
{
    size_t best = 0;
    for (size_t i = 0; i < sizeof duration_units / sizeof duration_units[0]; i++) {
        struct bytes name = bytes_from_text(duration_units[i].name);
        if (bytes_start_with(*text, name) && name.len > best) {
            best = name.len;
            *scale = duration_units[i].scale;
        }
    }
    *text = bytes_slice(*text, best, text->len);
    return best > 0;
}

bool duration_parse(struct bytes text, int64_t *ns)
{
    text = bytes_trim(text);
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        text = bytes_slice(text, 1, text.len);
    }
    if (bytes_equal_text(text, "0")) {
        *ns = 0;
        return true;
    }
    int64_t total = 0;
    bool any = false;
    while (text.len > 0) {
        struct decimal number;
        int64_t scale = 0;
        int64_t step;
        if (!take_decimal(&text, &number) || !take_duration_unit(&text, &scale) ||
            !multiply(number, scale, &step) || __builtin_add_overflow(total, step, &total)) {
            return false;
        }
        any = true;
    }
    if (any) {
        *ns = negative ? -total : total;
    }
    return any;
}

bool size_parse(struct bytes text, int64_t *bytes)
{
    text = bytes_trim(text);
    struct decimal number;
    if (!take_decimal(&text, &number)) {
        return false;
    }
    text = bytes_trim(text);
    for (size_t i = 0; i < sizeof size_units / sizeof size_units[0]; i++) {
        if (bytes_equal_nocase(text, size_units[i].name)) {
            return multiply(number, size_units[i].scale, bytes);
        }
    }
    return false;
}

// Seconds with as many decimals as needed.
static void append_seconds(char *out, size_t size, int64_t ns)
{
    size_t len = strlen(out);
    int64_t part = ns % 1000000000;
    len += (size_t)snprintf(out + len, size - len, "%" PRId64, ns / 1000000000);
    if (part > 0) {
        len += (size_t)snprintf(out + len, size - len, ".%09" PRId64, part);
        while (out[len - 1] == '0') {
            out[--len] = '\0';
        }
    }
    snprintf(out + len, size - len, "s");
}

void duration_format(int64_t ns, char out[OPTION_UNITS_TEXT_MAX])
{
    const int64_t hour = 3600 * INT64_C(1000000000);
    const int64_t minute = 60 * INT64_C(1000000000);
    out[0] = '\0';
    if (ns < 0 || (ns > 0 && ns < 1000000)) {
        snprintf(out, OPTION_UNITS_TEXT_MAX, "%" PRId64 "ns", ns);
        return;
    }
    if (ns > 0 && ns < 1000000000 && ns % 1000000 == 0) {
        snprintf(out, OPTION_UNITS_TEXT_MAX, "%" PRId64 "ms", ns / 1000000);
        return;
    }
    size_t len = 0;
    if (ns >= hour) {
        len += (size_t)snprintf(out, OPTION_UNITS_TEXT_MAX, "%" PRId64 "h", ns / hour);
        ns %= hour;
    }
    if (ns >= minute) {
        snprintf(out + len, OPTION_UNITS_TEXT_MAX - len, "%" PRId64 "m", ns / minute);
        ns %= minute;
    }
    if (ns > 0 || out[0] == '\0') {
        append_seconds(out, OPTION_UNITS_TEXT_MAX, ns);
    }
}

void size_format(int64_t bytes, char out[OPTION_UNITS_TEXT_MAX])
{
    static const struct unit units[] = {
        {"TiB", INT64_C(1) << 40},
        {"GiB", INT64_C(1) << 30},
        {"MiB", INT64_C(1) << 20},
        {"KiB", INT64_C(1) << 10},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (bytes >= units[i].scale && bytes % units[i].scale == 0) {
            snprintf(out, OPTION_UNITS_TEXT_MAX, "%" PRId64 "%s", bytes / units[i].scale,
                     units[i].name);
            return;
        }
    }
    snprintf(out, OPTION_UNITS_TEXT_MAX, "%" PRId64, bytes);
}
