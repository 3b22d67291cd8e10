// SPDX-License-Identifier: Apache-2.0
//
// Reading tracestate and turning probabilities into thresholds. Follows OpenTelemetry's
// "Probability Sampling" and tracestate handling documents: lower-case hex only, th padded on the
// right, leading zeros significant. Refused: rounding to four digits on writing, since nothing is
// written (DESIGN 4). Bounds: the `ot` value at most 256 bytes. Pure.

#include "processor/trace_random.h"

#include <math.h>

#include "base/hash.h"
#include "processor/sampling.h"

#define TRACE_STATE_VALUE_MAX 256
#define RANDOM_HASH_SEED UINT64_C(0x5369646a75646765)  // "Sidjudge": part of the specification of R

uint64_t threshold_of(double probability, uint64_t threshold_in)
{
    if (probability >= 1) {
        return threshold_in;
    }
    if (!(probability > 0)) {
        return TRACE_RANDOM_RANGE;
    }
    double room = (double)(TRACE_RANDOM_RANGE - threshold_in);
    uint64_t threshold = threshold_in + (uint64_t)llround((1 - probability) * room);
    return threshold < TRACE_RANDOM_RANGE ? threshold : TRACE_RANDOM_RANGE - 1;
}

double threshold_probability(uint64_t threshold, uint64_t threshold_in)
{
    return (double)(TRACE_RANDOM_RANGE - threshold) / (double)(TRACE_RANDOM_RANGE - threshold_in);
}

static bool hex_parse(struct bytes text, uint64_t *value)
{
    uint64_t parsed = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c >= '0' && c <= '9') {
            parsed = parsed << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            parsed = parsed << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;  // upper case is not in the grammar
        }
    }
    *value = parsed;
    return true;
}

bool threshold_parse(struct bytes text, uint64_t *threshold)
{
    uint64_t value;
    if (text.len < 1 || text.len > 14 || !hex_parse(text, &value)) {
        return false;
    }
    *threshold = value << 4 * (14 - text.len);
    return true;
}

bool random_value_parse(struct bytes text, uint64_t *value)
{
    return text.len == 14 && hex_parse(text, value);
}

// The part of `text` up to `separator`, which is cut off together with it.
static struct bytes part_next(struct bytes *text, const char *separator)
{
    size_t at = bytes_find(*text, bytes_from_text(separator), 0);
    struct bytes part = bytes_slice(*text, 0, at == SIZE_MAX ? text->len : at);
    *text = at == SIZE_MAX ? BYTES_NONE : bytes_slice(*text, at + 1, SIZE_MAX);
    return part;
}

bool trace_state_find(struct bytes trace_state, const char *key, struct bytes *value)
{
    while (trace_state.len > 0) {
        struct bytes member = bytes_trim(part_next(&trace_state, ","));
        if (!bytes_start_with(member, BYTES_LITERAL("ot="))) {
            continue;
        }
        struct bytes rest = bytes_slice(member, 3, SIZE_MAX);
        if (rest.len > TRACE_STATE_VALUE_MAX) {
            return false;
        }
        while (rest.len > 0) {
            struct bytes pair = part_next(&rest, ";");
            struct bytes name = part_next(&pair, ":");
            if (bytes_equal_text(name, key)) {
                *value = pair;
                return true;
            }
        }
        return false;
    }
    return false;
}

static uint64_t last_bits(const struct trace_id *trace_id)
{
    uint64_t bits = 0;
    for (size_t i = 9; i < sizeof(trace_id->bytes); i++) {
        bits = bits << 8 | trace_id->bytes[i];
    }
    return bits;
}

void trace_random_of(const struct trace_id *trace_id, struct bytes trace_state,
                     struct trace_random *random)
{
    struct bytes text;
    uint64_t threshold = 0, value = 0;
    bool has_rv = trace_state_find(trace_state, "rv", &text) && random_value_parse(text, &value);
    random->has_th =
        trace_state_find(trace_state, "th", &text) && threshold_parse(text, &threshold);
    if (!has_rv) {
        value = last_bits(trace_id);
    }
    if (random->has_th && value < threshold) {
        // It arrived although its upstream would have dropped it: an inconsistent th says nothing,
        // so it counts as absent.
        random->has_th = false;
    }
    random->threshold_in = random->has_th ? threshold : 0;
    if (!has_rv && !random->has_th) {
        value = hash_stable(trace_id->bytes, sizeof(trace_id->bytes), RANDOM_HASH_SEED) >> 8;
    }
    random->r = value;
}
