// SPDX-License-Identifier: Apache-2.0
//
// OTLP/JSON to protobuf by events. A stack holds one frame for each open message or array of the
// schema; a key looks up the field that the next value belongs to, a value is written as that field
// at once, and nested messages get their length when they close (wire_open). What the schema does
// not know is counted through by depth alone. Refused: a tree (250 times the input for [{},{},...])
// and two passes, one for sizes. Bounds: 256 levels, and an output below twice the input (bucket
// counts are the one thing that grows: "0," becomes 8 bytes). YAJL checks JSON's grammar and that
// strings are UTF-8 in shape; the scanner checks the rest, as of all requests. Pure; any thread.
#include "proto/otlp_json.h"

#include <math.h>
#include <stdio.h>
#include <yajl/yajl_parse.h>

#include "base/check.h"
#include "base/ids.h"
#include "proto/base64.h"
#include "proto/schema.h"

enum { LEVEL_MAX = 256 };

#define OUTPUT_BYTES_MIN ((size_t)4 * 1024 * 1024)
#define RESERVE_BYTES_MIN ((size_t)64 * 1024)
#define JSON_MAGIC MAGIC('J', 'S', 'O', 'N')

struct frame {
    bool is_array;
    bool is_packed;                // an array of numbers, written as one LEN field
    enum schema_message message;   // that is open, or whose field the array is
    uint32_t number;               // field that the next value is for; 0: unknown
    uint32_t index;                // of the next element
    size_t mark;                   // from wire_open
};

struct transcoder {
    uint32_t magic;
    enum schema_message request;
    struct buffer *out;
    struct frame frames[LEVEL_MAX];
    unsigned level_count;
    unsigned skipped_count;        // open containers that the schema does not know
    const char *fault;             // static sentence; NULL while all is well
};

static struct transcoder *transcoder_of(void *ctx)
{
    struct transcoder *json = ctx;
    CHECK(json->magic == JSON_MAGIC);
    return json;
}

// What YAJL wants of a callback: 0 stops.
static int go_on(const struct transcoder *json)
{
    return json->fault == NULL && buffer_status(json->out) == RESULT_OK;
}

static int fail(struct transcoder *json, const char *sentence)
{
    json->fault = sentence;
    return 0;
}

static struct frame *top(struct transcoder *json)
{
    return json->level_count > 0 ? &json->frames[json->level_count - 1] : NULL;
}

// The field that a value is for: NULL when unknown or skipped. Steps on in an array.
static const struct schema_field *field_take(struct transcoder *json)
{
    struct frame *frame = top(json);
    if (frame == NULL || json->skipped_count > 0) {
        return NULL;
    }
    frame->index += frame->is_array;
    return schema_field(frame->message, frame->number);
}

static bool is_number_kind(enum schema_kind kind)
{
    return kind >= KIND_BOOL && kind <= KIND_DOUBLE;
}

// A scalar stands where the schema wants one: not an array's place, not a message's.
static bool scalar_fits(struct transcoder *json, const struct schema_field *field)
{
    if (field->kind == KIND_MESSAGE) {
        json->fault = "not an object";
        return false;
    }
    if (field->label == LABEL_MANY && !top(json)->is_array) {
        json->fault = "not an array";
        return false;
    }
    return true;
}

static void varint_write(struct transcoder *json, uint64_t value)
{
    const struct frame *frame = top(json);
    if (!frame->is_packed) {
        wire_write_varint(json->out, frame->number, value);
        return;
    }
    uint8_t room[10];
    buffer_append(json->out, room, (size_t)(wire_put_varint(room, value) - room));
}

static void fixed64_write(struct transcoder *json, uint64_t value)
{
    const struct frame *frame = top(json);
    if (!frame->is_packed) {
        wire_write_fixed64(json->out, frame->number, value);
        return;
    }
    uint8_t room[8];
    for (unsigned i = 0; i < sizeof room; i++) {
        room[i] = (uint8_t)(value >> (8 * i));
    }
    buffer_append(json->out, room, sizeof room);
}

struct integer {
    bool is_negative;
    uint64_t size;                 // absolute value
};

// Any JSON number that is whole: 12, -3, 1.0, 5e3 (proto3 JSON mapping, integers).
static bool integer_parse(struct bytes text, struct integer *integer)
{
    int64_t small = 0;
    double real = 0;
    *integer = (struct integer){0};
    if (bytes_to_u64(text, &integer->size)) {
        return true;
    }
    if (bytes_to_i64(text, &small)) {
        integer->is_negative = small < 0;
        integer->size = small < 0 ? (uint64_t)0 - (uint64_t)small : (uint64_t)small;
        return true;
    }
    if (!bytes_to_double(text, &real) || real != trunc(real) || fabs(real) >= 0x1p64) {
        return false;
    }
    integer->is_negative = real < 0;
    integer->size = (uint64_t)fabs(real);
    return true;
}

struct range {
    uint64_t below, above;         // largest absolute values on either side of 0
};

static const struct range ranges[KIND_COUNT] = {
    [KIND_ENUM] = {UINT64_C(1) << 31, INT32_MAX}, [KIND_SINT32] = {UINT64_C(1) << 31, INT32_MAX},
    [KIND_UINT32] = {0, UINT32_MAX},              [KIND_FIXED32] = {0, UINT32_MAX},
    [KIND_INT64] = {UINT64_C(1) << 63, INT64_MAX}, [KIND_SFIXED64] = {UINT64_C(1) << 63, INT64_MAX},
    [KIND_UINT64] = {0, UINT64_MAX},              [KIND_FIXED64] = {0, UINT64_MAX},
};

static int integer_write(struct transcoder *json, enum schema_kind kind, struct bytes text)
{
    struct integer integer;
    if (!integer_parse(text, &integer)) {
        return fail(json, kind == KIND_ENUM ? "not an enum value" : "not an integer");
    }
    if (integer.size > (integer.is_negative ? ranges[kind].below : ranges[kind].above)) {
        return fail(json, "out of range");
    }
    uint64_t value = integer.is_negative ? (uint64_t)0 - integer.size : integer.size;
    switch (kind) {
    case KIND_FIXED32:
        wire_write_fixed32(json->out, top(json)->number, (uint32_t)value);
        break;
    case KIND_FIXED64:
    case KIND_SFIXED64:
        fixed64_write(json, value);
        break;
    case KIND_SINT32:  // zigzag
        varint_write(json, (uint32_t)(value << 1) ^ (integer.is_negative ? UINT32_MAX : 0));
        break;
    default:
        varint_write(json, value);
        break;
    }
    return go_on(json);
}

static void double_write(struct transcoder *json, double real)
{
    uint64_t bits = 0;
    memcpy(&bits, &real, sizeof bits);
    fixed64_write(json, bits);
}

static int on_number(void *ctx, const char *ptr, size_t len)
{
    struct transcoder *json = transcoder_of(ctx);
    const struct schema_field *field = field_take(json);
    struct bytes text = {(const uint8_t *)ptr, len};
    double real = 0;
    if (field == NULL) {
        return json->level_count > 0 ? go_on(json) : fail(json, "not an object");
    }
    if (!scalar_fits(json, field)) {
        return 0;
    }
    if (field->kind == KIND_DOUBLE) {
        if (!bytes_to_double(text, &real)) {
            return fail(json, "out of range");
        }
        double_write(json, real);
        return go_on(json);
    }
    if (!is_number_kind(field->kind) || field->kind == KIND_BOOL) {
        return fail(json, field->kind == KIND_BOOL ? "not true or false" : "not a string");
    }
    return integer_write(json, field->kind, text);
}

static int double_text_write(struct transcoder *json, struct bytes text)
{
    static const struct {
        const char *name;
        double value;
    } names[] = {{"NaN", (double)NAN}, {"Infinity", HUGE_VAL}, {"-Infinity", -HUGE_VAL}};
    double real = 0;
    bool is_known = bytes_to_double(text, &real);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !is_known; i++) {
        is_known = bytes_equal_text(text, names[i].name);
        real = is_known ? names[i].value : real;
    }
    if (!is_known) {
        return fail(json, "not a number");
    }
    double_write(json, real);
    return go_on(json);
}

// Ids: hex, whatever their length; the scanner knows which lengths are sound.
static int hex_write(struct transcoder *json, struct bytes text)
{
    size_t len = text.len / 2;
    size_t mark = wire_open(json->out, top(json)->number);
    uint8_t *room = buffer_reserve(json->out, len);
    if (room == NULL) {
        return 0;
    }
    if (text.len % 2 != 0 || (len > 0 && !hex_decode(text, room, len))) {
        return fail(json, "not hexadecimal");
    }
    buffer_commit(json->out, len);
    wire_close(json->out, mark);
    return go_on(json);
}

static int base64_write(struct transcoder *json, struct bytes text)
{
    size_t mark = wire_open(json->out, top(json)->number);
    if (!base64_decode(text, json->out)) {
        return buffer_status(json->out) == RESULT_OK ? fail(json, "not base64") : 0;
    }
    wire_close(json->out, mark);
    return go_on(json);
}

static int enum_text_write(struct transcoder *json, enum schema_message which, struct bytes text)
{
    int32_t value = 0;
    if (!schema_enum_value(which, text, &value)) {
        return integer_write(json, KIND_ENUM, text);
    }
    varint_write(json, (uint64_t)(int64_t)value);
    return go_on(json);
}

static int on_string(void *ctx, const unsigned char *ptr, size_t len)
{
    struct transcoder *json = transcoder_of(ctx);
    const struct schema_field *field = field_take(json);
    struct bytes text = {ptr, len};
    if (field == NULL) {
        return json->level_count > 0 ? go_on(json) : fail(json, "not an object");
    }
    if (!scalar_fits(json, field)) {
        return 0;
    }
    switch (field->kind) {
    case KIND_STRING:
        wire_write_bytes(json->out, top(json)->number, text);
        return go_on(json);
    case KIND_TRACE_ID:
    case KIND_SPAN_ID:
        return hex_write(json, text);
    case KIND_BYTES:
        return base64_write(json, text);
    case KIND_DOUBLE:
        return double_text_write(json, text);
    case KIND_ENUM:
        return enum_text_write(json, field->holds, text);
    case KIND_BOOL:
        return fail(json, "not true or false");
    default:
        return integer_write(json, field->kind, text);
    }
}

static int on_boolean(void *ctx, int value)
{
    struct transcoder *json = transcoder_of(ctx);
    const struct schema_field *field = field_take(json);
    if (field == NULL) {
        return json->level_count > 0 ? go_on(json) : fail(json, "not an object");
    }
    if (!scalar_fits(json, field)) {
        return 0;
    }
    if (field->kind != KIND_BOOL) {
        return fail(json, is_number_kind(field->kind) ? "not a number" : "not a string");
    }
    varint_write(json, value != 0);
    return go_on(json);
}

static int on_null(void *ctx)
{
    struct transcoder *json = transcoder_of(ctx);
    (void)field_take(json);  // absent
    return json->level_count > 0 ? go_on(json) : fail(json, "not an object");
}

static int container_push(struct transcoder *json, struct frame frame)
{
    if (json->level_count + json->skipped_count == LEVEL_MAX) {
        return fail(json, "nested deeper than 256 levels");
    }
    json->frames[json->level_count++] = frame;
    return go_on(json);
}

static int container_skip(struct transcoder *json)
{
    if (json->level_count + json->skipped_count == LEVEL_MAX) {
        return fail(json, "nested deeper than 256 levels");
    }
    json->skipped_count++;
    return go_on(json);
}

static int on_start_map(void *ctx)
{
    struct transcoder *json = transcoder_of(ctx);
    if (json->level_count == 0) {
        return container_push(json, (struct frame){.message = json->request});
    }
    const struct schema_field *field = field_take(json);
    if (field == NULL) {
        return container_skip(json);
    }
    if (field->label == LABEL_MANY && !top(json)->is_array) {
        return fail(json, "not an array");
    }
    if (field->kind != KIND_MESSAGE) {
        return fail(json, "an object where a plain value belongs");
    }
    size_t mark = wire_open(json->out, top(json)->number);
    return container_push(json, (struct frame){.message = field->holds, .mark = mark});
}

static int on_map_key(void *ctx, const unsigned char *ptr, size_t len)
{
    struct transcoder *json = transcoder_of(ctx);
    if (json->skipped_count == 0) {
        struct frame *frame = top(json);
        CHECK(frame != NULL && !frame->is_array);
        frame->number = schema_number(frame->message, (struct bytes){ptr, len});
    }
    return go_on(json);
}

static int on_end(void *ctx)
{
    struct transcoder *json = transcoder_of(ctx);
    if (json->skipped_count > 0) {
        json->skipped_count--;
        return go_on(json);
    }
    struct frame *frame = top(json);
    CHECK(frame != NULL);
    if (frame->mark > 0) {
        wire_close(json->out, frame->mark);
    }
    json->level_count--;
    return go_on(json);
}

static int on_start_array(void *ctx)
{
    struct transcoder *json = transcoder_of(ctx);
    if (json->level_count == 0) {
        return fail(json, "not an object");
    }
    const struct schema_field *field = field_take(json);
    if (field == NULL) {
        return container_skip(json);
    }
    struct frame *outer = top(json);
    if (field->label != LABEL_MANY || outer->is_array) {
        return fail(json, "an array where a single value belongs");
    }
    struct frame frame = {.is_array = true,
                          .is_packed = is_number_kind(field->kind),
                          .message = outer->message,
                          .number = outer->number};
    frame.mark = frame.is_packed ? wire_open(json->out, frame.number) : 0;
    return container_push(json, frame);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

// Appends the name as JSON writes it.
static void name_write(const char *name, struct buffer *out)
{
    for (; *name != '\0'; name++) {
        bool is_upper = *name == '_' && name[1] != '\0';
        name += is_upper;
        buffer_append_byte(out, (uint8_t)(is_upper ? *name - 'a' + 'A' : *name));
    }
}

// "resourceSpans[0].scopeSpans[2].kind"; frames of the middle are left out when it grows too long.
static void path_write(const struct transcoder *json, struct buffer *out)
{
    for (unsigned i = 0; i < json->level_count; i++) {
        const struct frame *frame = &json->frames[i];
        const struct schema_field *field = schema_field(frame->message, frame->number);
        if (frame->is_array) {
            buffer_printf(out, "[%u]", frame->index > 0 ? frame->index - 1 : 0);
        } else if (field != NULL) {
            if (out->len > 0) {
                buffer_append_byte(out, '.');
            }
            name_write(field->name, out);
        }
    }
}

static void why_write(const struct transcoder *json, yajl_handle handle, struct bytes text,
                      char *why, size_t why_len)
{
    struct buffer path;
    size_t offset = yajl_get_bytes_consumed(handle);
    buffer_init(&path, 4096);
    if (json->fault != NULL) {
        path_write(json, &path);
        const char *sep = path.len > 0 ? ": " : "";
        snprintf(why, why_len, "%.160s%s%s (at byte %zu)", buffer_text(&path), sep, json->fault,
                 offset);
    } else if (buffer_status(json->out) != RESULT_OK) {
        snprintf(why, why_len, "too large as protobuf (at byte %zu)", offset);
    } else {
        unsigned char *sentence = yajl_get_error(handle, 0, text.ptr, text.len);
        size_t len = sentence != NULL ? strcspn((const char *)sentence, "\n") : 0;
        snprintf(why, why_len, "not JSON: %.*s (at byte %zu)", (int)(len < 120 ? len : 120),
                 sentence != NULL ? (const char *)sentence : "", offset);
        yajl_free_error(handle, sentence);
    }
    buffer_fini(&path);
}

static enum result transcode(struct transcoder *json, struct bytes text, char *why, size_t why_len)
{
    yajl_handle handle = yajl_alloc(&callbacks, NULL, json);
    if (handle == NULL) {
        snprintf(why, why_len, "out of memory");
        return RESULT_SHED;
    }
    yajl_status status = yajl_parse(handle, text.ptr, text.len);
    if (status == yajl_status_ok) {
        status = yajl_complete_parse(handle);
    }
    enum result result = buffer_status(json->out);
    if (json->fault != NULL || (result == RESULT_OK && status != yajl_status_ok)) {
        result = RESULT_REJECT;
    }
    if (result != RESULT_OK) {
        why_write(json, handle, text, why, why_len);
    }
    yajl_free(handle);
    return result;
}

enum result otlp_json_to_protobuf(enum signal signal, struct bytes json, struct buffer *out,
                                  char *why, size_t why_len)
{
    CHECK(why_len > 0);
    CHECK(buffer_status(out) == RESULT_OK);
    struct transcoder transcoder = {
        .magic = JSON_MAGIC, .request = schema_request(signal), .out = out};
    size_t len_before = out->len;
    size_t len_max = out->len_max;
    size_t ceiling = json.len / 8 * 15;  // with what the parser needs still within twice the body
    ceiling = ceiling > OUTPUT_BYTES_MIN ? ceiling : OUTPUT_BYTES_MIN;
    why[0] = '\0';
    if (ceiling < len_max - len_before) {
        out->len_max = len_before + ceiling;
    }
    if (json.len >= RESERVE_BYTES_MIN && json.len <= out->len_max - len_before) {
        (void)buffer_reserve(out, json.len);  // what it mostly comes to, without growing by copies
    }
    enum result result = transcode(&transcoder, json, why, why_len);
    if (result != RESULT_OK) {
        out->len = len_before;
        out->status = RESULT_OK;
    }
    out->len_max = len_max;
    return result;
}
