// SPDX-License-Identifier: Apache-2.0
//
// Content codecs. gzip and deflate come in by libdeflate: fuzzed for years, bounded by the room
// that it is given, and exact about where a member ends. It works in one go, so when the room was
// too small the work is repeated with twice as much: at most twice the final size is ever written.
// The first room is the sender's declared size, bounded, so that honest bodies take one pass.
// isa-l's resumable inflate was refused: up to a quarter faster, but before 2.32 it misplaces the
// end of a stream and may spin on malformed input. zstd streams into the same growing room.
//
// Room grows to one less than powers of two, which is what the buffer then holds in memory: the
// caller's `grow` hears the true figures. Out: isa-l at level 1, and zstd at level 1, over the
// parts without joining them first.
//
// Bounds: out->len_max; zstd windows of 8 MiB. A compressor belongs to one thread.
#include "base/compression.h"

#include <stdlib.h>
#include <string.h>

#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/check.h"

#define ROOM_MIN ((size_t)16 << 10)
#define HINT_BASE ((size_t)64 << 10)
#define HINT_FACTOR 8
#define GZIP_MEMBER_BYTES_MIN 18  // header and trailer (RFC 1952 2.3)
#define ZSTD_WINDOW_LOG_MAX 23
#define ZSTD_LEVEL 1
#define ZSTD_MAGIC_SKIPPABLE 0x184D2A50u  // the last four bits are free

struct compressor {
    struct libdeflate_decompressor *inflater;
    struct isal_zstream *deflater;
    uint8_t *deflater_level;
    ZSTD_DCtx *zstd_in;
    ZSTD_CCtx *zstd_out;
};

static const char *const codec_names[CODEC_COUNT] = {
    [CODEC_NONE] = "identity",
    [CODEC_GZIP] = "gzip",
    [CODEC_DEFLATE] = "deflate",
    [CODEC_ZSTD] = "zstd",
};

const char *codec_name(enum codec codec)
{
    CHECK(codec < CODEC_COUNT);
    return codec_names[codec];
}

enum result codec_from_name(struct bytes name, enum codec *codec)
{
    if (name.len == 0) {
        *codec = CODEC_NONE;
        return RESULT_OK;
    }
    for (int i = 0; i < CODEC_COUNT; i++) {
        if (bytes_equal_nocase(name, codec_names[i])) {
            *codec = (enum codec)i;
            return RESULT_OK;
        }
    }
    return RESULT_UNSUPPORTED;
}

struct compressor *compressor_new(void)
{
    struct compressor *compressor = calloc(1, sizeof *compressor);
    CHECK(compressor != NULL);
    return compressor;
}

void compressor_free(struct compressor *compressor)
{
    if (compressor == NULL) {
        return;
    }
    libdeflate_free_decompressor(compressor->inflater);
    free(compressor->deflater);
    free(compressor->deflater_level);
    ZSTD_freeDCtx(compressor->zstd_in);
    ZSTD_freeCCtx(compressor->zstd_out);
    free(compressor);
}

// One inflation: what goes in, where it goes, who is asked.
struct inflation {
    struct bytes packed;
    struct buffer *out;
    inflate_grow_fn grow;
    void *arg;
    const char **why;
    uint8_t *room;      // where the next byte goes
    size_t room_bytes;  // free there
};

static const char no_memory[] = "no memory is left for the inflated body";

static enum result refuse(struct inflation *inflation, enum result result, const char *why)
{
    *inflation->why = why;
    return result;
}

// A declared size is good for one first allocation of bounded size, never for more.
static size_t bounded_hint(struct bytes packed, uint64_t hint)
{
    size_t bound = HINT_BASE + HINT_FACTOR * packed.len;
    return hint < bound ? (size_t)hint : bound;
}

// Room for at least `more` bytes behind out->len, rounded up as the head comment says.
static enum result make_room(struct inflation *inflation, size_t more)
{
    struct buffer *out = inflation->out;
    size_t left = out->len_max - out->len;
    if (left == 0) {
        return refuse(inflation, RESULT_TOO_LARGE, "the inflated body exceeds the limit");
    }
    size_t total = ROOM_MIN;
    while (total - 1 - out->len < more || total - 1 < out->len) {
        total *= 2;
    }
    size_t room = total - 1 - out->len;
    room = room < left ? room : left;
    if (inflation->grow != NULL && !inflation->grow(inflation->arg, out->len + room)) {
        return refuse(inflation, RESULT_SHED, no_memory);
    }
    inflation->room = buffer_reserve(out, room);
    inflation->room_bytes = room;
    if (inflation->room == NULL) {
        return refuse(inflation, buffer_status(out), no_memory);
    }
    return RESULT_OK;
}

static enum result make_more_room(struct inflation *inflation)
{
    if (inflation->room_bytes == inflation->out->len_max - inflation->out->len) {
        return refuse(inflation, RESULT_TOO_LARGE, "the inflated body exceeds the limit");
    }
    return make_room(inflation, inflation->room_bytes + 1);
}

static void use_room(struct inflation *inflation, size_t bytes)
{
    CHECK(bytes <= inflation->room_bytes);
    buffer_commit(inflation->out, bytes);
    inflation->room = inflation->room != NULL ? inflation->room + bytes : NULL;
    inflation->room_bytes -= bytes;
}

typedef enum libdeflate_result (*member_fn)(struct libdeflate_decompressor *, const void *, size_t,
                                            void *, size_t, size_t *, size_t *);

// One gzip member or zlib stream at the start of inflation->packed, which moves behind it.
static enum result inflate_member(struct inflation *inflation,
                                  struct libdeflate_decompressor *inflater, member_fn inflate,
                                  const char *malformed)
{
    uint8_t nowhere[1];
    if (inflater == NULL) {
        return refuse(inflation, RESULT_SHED, no_memory);
    }
    for (;;) {
        size_t used = 0;
        size_t written = 0;
        uint8_t *room = inflation->room_bytes > 0 ? inflation->room : nowhere;
        switch (inflate(inflater, inflation->packed.ptr, inflation->packed.len, room,
                        inflation->room_bytes, &used, &written)) {
        case LIBDEFLATE_SUCCESS:
            CHECK(used > 0 && used <= inflation->packed.len);
            use_room(inflation, written);
            inflation->packed = bytes_slice(inflation->packed, used, inflation->packed.len);
            return RESULT_OK;
        case LIBDEFLATE_INSUFFICIENT_SPACE: {
            enum result result = make_more_room(inflation);
            if (result != RESULT_OK) {
                return result;
            }
            break;
        }
        default:
            return refuse(inflation, RESULT_REJECT, malformed);
        }
    }
}

static uint32_t read_u32_le(const uint8_t *ptr)
{
    return (uint32_t)ptr[0] | (uint32_t)ptr[1] << 8 | (uint32_t)ptr[2] << 16 |
           (uint32_t)ptr[3] << 24;
}

// NULL: out of memory.
static struct libdeflate_decompressor *inflater_of(struct compressor *compressor)
{
    if (compressor->inflater == NULL) {
        compressor->inflater = libdeflate_alloc_decompressor();
    }
    return compressor->inflater;
}

// RFC 1952 2.2: a file is a series of members. Anything behind the last one is refused.
static enum result inflate_gzip(struct compressor *compressor, struct inflation *inflation)
{
    static const char malformed[] = "the gzip body is malformed";
    struct bytes *packed = &inflation->packed;
    if (packed->len < GZIP_MEMBER_BYTES_MIN) {
        return refuse(inflation, RESULT_REJECT, malformed);
    }
    uint32_t isize = read_u32_le(packed->ptr + packed->len - 4);
    if (isize > 0) {
        enum result result = make_room(inflation, bounded_hint(*packed, isize));
        if (result != RESULT_OK) {
            return result;
        }
    }
    while (packed->len > 0) {
        enum result result = inflate_member(inflation, inflater_of(compressor),
                                            libdeflate_gzip_decompress_ex, malformed);
        if (result != RESULT_OK) {
            return result;
        }
    }
    return RESULT_OK;
}

static enum result inflate_zlib(struct compressor *compressor, struct inflation *inflation)
{
    static const char malformed[] = "the deflate body is malformed (zlib format is expected)";
    size_t hint = HINT_FACTOR * inflation->packed.len;
    enum result result = make_room(inflation, hint);
    if (result == RESULT_OK) {
        result = inflate_member(inflation, inflater_of(compressor), libdeflate_zlib_decompress_ex,
                                malformed);
    }
    if (result == RESULT_OK && inflation->packed.len > 0) {
        return refuse(inflation, RESULT_REJECT, malformed);
    }
    return result;
}

// RFC 8878 3.1.1.1.2: the window a frame asks for, 0 where it is the frame's own content. The
// library looks only when it must allocate one; refusing always is easier to reason about.
static uint64_t zstd_window_bytes(struct bytes frame)
{
    uint8_t descriptor = frame.ptr[4];
    if ((descriptor & 0x20) != 0 || frame.len < 6) {
        return 0;
    }
    uint64_t base = UINT64_C(1) << (10 + (frame.ptr[5] >> 3));
    return base + base / 8 * (frame.ptr[5] & 7);
}

// Checks what stands at the start of a frame. Formats before 1.0, which the packaged library would
// still read, are refused here.
static enum result check_zstd_frame(struct inflation *inflation, struct bytes frame)
{
    if (frame.len < 5) {
        return refuse(inflation, RESULT_REJECT, "the zstd body is malformed");
    }
    uint32_t magic = read_u32_le(frame.ptr);
    if ((magic & 0xFFFFFFF0u) == ZSTD_MAGIC_SKIPPABLE) {
        return RESULT_OK;
    }
    if (magic != ZSTD_MAGICNUMBER) {
        return refuse(inflation, RESULT_REJECT, "the zstd body is malformed");
    }
    if (zstd_window_bytes(frame) > UINT64_C(1) << ZSTD_WINDOW_LOG_MAX) {
        return refuse(inflation, RESULT_REJECT, "the zstd window is larger than 8 MiB");
    }
    return RESULT_OK;
}

static enum result zstd_error(struct inflation *inflation, size_t code)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return refuse(inflation, RESULT_SHED, no_memory);
    case ZSTD_error_frameParameter_windowTooLarge:
        return refuse(inflation, RESULT_REJECT, "the zstd window is larger than 8 MiB");
    default:
        return refuse(inflation, RESULT_REJECT, "the zstd body is malformed");
    }
}

// One frame at input->pos.
static enum result inflate_zstd_frame(struct inflation *inflation, ZSTD_DCtx *context,
                                      ZSTD_inBuffer *input)
{
    size_t hint;
    do {
        if (inflation->room_bytes == 0 && inflation->out->len < inflation->out->len_max) {
            enum result result = make_room(inflation, 1);
            if (result != RESULT_OK) {
                return result;
            }
        }
        uint8_t nowhere[1];
        ZSTD_outBuffer output = {.dst = inflation->room_bytes > 0 ? inflation->room : nowhere,
                                 .size = inflation->room_bytes};
        size_t before = input->pos;
        hint = ZSTD_decompressStream(context, &output, input);
        if (ZSTD_isError(hint)) {
            return zstd_error(inflation, hint);
        }
        bool full = output.pos == inflation->room_bytes;
        use_room(inflation, output.pos);
        if (hint > 0 && input->pos == before && output.pos == 0) {
            return full ? refuse(inflation, RESULT_TOO_LARGE, "the inflated body exceeds the limit")
                        : refuse(inflation, RESULT_REJECT, "the zstd body ends too early");
        }
    } while (hint > 0);
    return RESULT_OK;
}

// NULL: out of memory.
static ZSTD_DCtx *zstd_in_of(struct compressor *compressor)
{
    if (compressor->zstd_in == NULL) {
        compressor->zstd_in = ZSTD_createDCtx();
    }
    if (compressor->zstd_in != NULL) {
        ZSTD_DCtx_reset(compressor->zstd_in, ZSTD_reset_session_and_parameters);
        size_t code =
            ZSTD_DCtx_setParameter(compressor->zstd_in, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
        CHECK(!ZSTD_isError(code));
    }
    return compressor->zstd_in;
}

static enum result inflate_zstd(struct compressor *compressor, struct inflation *inflation)
{
    ZSTD_DCtx *context = zstd_in_of(compressor);
    if (context == NULL) {
        return refuse(inflation, RESULT_SHED, no_memory);
    }
    struct bytes packed = inflation->packed;
    if (packed.len == 0) {
        return refuse(inflation, RESULT_REJECT, "the zstd body is empty");
    }
    unsigned long long size = ZSTD_getFrameContentSize(packed.ptr, packed.len);
    bool known = size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR;
    ZSTD_inBuffer input = {.src = packed.ptr, .size = packed.len};
    enum result result = check_zstd_frame(inflation, packed);
    if (result == RESULT_OK && (!known || size > 0)) {
        result = make_room(inflation, bounded_hint(packed, known ? size : ROOM_MIN));
    }
    while (result == RESULT_OK && input.pos < input.size) {
        result = check_zstd_frame(inflation, bytes_slice(packed, input.pos, packed.len));
        if (result == RESULT_OK) {
            result = inflate_zstd_frame(inflation, context, &input);
        }
    }
    return result;
}

static enum result copy_plain(struct inflation *inflation)
{
    struct buffer *out = inflation->out;
    struct bytes plain = inflation->packed;
    if (plain.len > out->len_max - out->len) {
        return refuse(inflation, RESULT_TOO_LARGE, "the body exceeds the limit");
    }
    if (inflation->grow != NULL && !inflation->grow(inflation->arg, out->len + plain.len)) {
        return refuse(inflation, RESULT_SHED, no_memory);
    }
    buffer_append_bytes(out, plain);
    return buffer_status(out);
}

size_t codec_inflated_hint(enum codec codec, struct bytes packed)
{
    if (codec == CODEC_GZIP && packed.len >= GZIP_MEMBER_BYTES_MIN) {
        return bounded_hint(packed, read_u32_le(packed.ptr + packed.len - 4));
    }
    unsigned long long size = codec == CODEC_ZSTD && packed.len > 0
                                  ? ZSTD_getFrameContentSize(packed.ptr, packed.len)
                                  : ZSTD_CONTENTSIZE_UNKNOWN;
    bool known = size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR;
    return known ? bounded_hint(packed, size) : HINT_FACTOR * packed.len;
}

enum result codec_inflate(struct compressor *compressor, enum codec codec, struct bytes packed,
                          struct buffer *out, inflate_grow_fn grow, void *arg, const char **why)
{
    CHECK(buffer_status(out) == RESULT_OK);
    CHECK(codec < CODEC_COUNT);
    struct inflation inflation = {
        .packed = packed, .out = out, .grow = grow, .arg = arg, .why = why};
    switch (codec) {
    case CODEC_GZIP:
        return inflate_gzip(compressor, &inflation);
    case CODEC_DEFLATE:
        return inflate_zlib(compressor, &inflation);
    case CODEC_ZSTD:
        return inflate_zstd(compressor, &inflation);
    default:
        return copy_plain(&inflation);
    }
}

// NULL: out of memory.
static struct isal_zstream *deflater_of(struct compressor *compressor)
{
    if (compressor->deflater_level == NULL) {
        compressor->deflater_level = malloc(ISAL_DEF_LVL1_DEFAULT);
    }
    if (compressor->deflater == NULL) {
        compressor->deflater = malloc(sizeof *compressor->deflater);
        if (compressor->deflater != NULL) {
            isal_deflate_init(compressor->deflater);
        }
    }
    struct isal_zstream *stream = compressor->deflater;
    if (stream == NULL || compressor->deflater_level == NULL) {
        return NULL;
    }
    isal_deflate_reset(stream);
    stream->level = 1;
    stream->level_buf = compressor->deflater_level;
    stream->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    stream->flush = NO_FLUSH;
    stream->end_of_stream = 0;
    return stream;
}

// Room for output; what is left at the ceiling decides itself when the stream wants more.
static uint8_t *output_room(struct buffer *out, size_t *bytes)
{
    size_t left = out->len_max - out->len;
    size_t room = out->capacity > out->len + 1 ? out->capacity - out->len - 1 : 0;
    room = room > ROOM_MIN ? room : ROOM_MIN;
    *bytes = room < left ? room : left;
    return buffer_reserve(out, *bytes > 0 ? *bytes : 1);
}

static enum result deflate_part(struct isal_zstream *stream, struct bytes part, bool last,
                                struct buffer *out)
{
    const uint8_t *next = part.ptr;
    size_t left = part.len;
    do {
        size_t room;
        stream->next_out = output_room(out, &room);
        if (stream->next_out == NULL) {
            return buffer_status(out);
        }
        stream->avail_out = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
        uint32_t offered = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
        uint32_t out_offered = stream->avail_out;
        stream->next_in = (uint8_t *)(uintptr_t)next;  // isa-l reads only
        stream->avail_in = offered;
        stream->end_of_stream = last && offered == left;
        CHECK(isal_deflate(stream) == COMP_OK);
        next = next != NULL ? next + (offered - stream->avail_in) : NULL;
        left -= offered - stream->avail_in;
        buffer_commit(out, out_offered - stream->avail_out);
    } while (left > 0 || (last && stream->internal_state.state != ZSTATE_END));
    return RESULT_OK;
}

static enum result deflate_isal(struct compressor *compressor, uint16_t format,
                                const struct bytes *parts, size_t part_count, struct buffer *out)
{
    struct isal_zstream *stream = deflater_of(compressor);
    if (stream == NULL) {
        return RESULT_SHED;
    }
    stream->gzip_flag = format;
    for (size_t i = 0; i < part_count; i++) {
        enum result result = deflate_part(stream, parts[i], i + 1 == part_count, out);
        if (result != RESULT_OK) {
            return result;
        }
    }
    return part_count > 0 ? RESULT_OK : deflate_part(stream, BYTES_NONE, true, out);
}

static enum result deflate_zstd_part(ZSTD_CCtx *context, struct bytes part, bool last,
                                     struct buffer *out)
{
    ZSTD_inBuffer input = {.src = part.ptr, .size = part.len};
    size_t hint;
    do {
        size_t room;
        uint8_t *ptr = output_room(out, &room);
        if (ptr == NULL) {
            return buffer_status(out);
        }
        ZSTD_outBuffer output = {.dst = ptr, .size = room};
        hint = ZSTD_compressStream2(context, &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(hint)) {
            return RESULT_SHED;  // its tables are made on first use: out of memory
        }
        buffer_commit(out, output.pos);
    } while (last ? hint > 0 : input.pos < input.size);
    return RESULT_OK;
}

static enum result deflate_zstd(struct compressor *compressor, const struct bytes *parts,
                                size_t part_count, struct buffer *out)
{
    if (compressor->zstd_out == NULL) {
        compressor->zstd_out = ZSTD_createCCtx();
        if (compressor->zstd_out == NULL) {
            return RESULT_SHED;
        }
        size_t code =
            ZSTD_CCtx_setParameter(compressor->zstd_out, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        CHECK(!ZSTD_isError(code));
    }
    unsigned long long total = 0;
    for (size_t i = 0; i < part_count; i++) {
        total += parts[i].len;
    }
    ZSTD_CCtx_reset(compressor->zstd_out, ZSTD_reset_session_only);
    CHECK(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(compressor->zstd_out, total)));
    for (size_t i = 0; i < part_count; i++) {
        enum result result =
            deflate_zstd_part(compressor->zstd_out, parts[i], i + 1 == part_count, out);
        if (result != RESULT_OK) {
            return result;
        }
    }
    return part_count > 0 ? RESULT_OK
                          : deflate_zstd_part(compressor->zstd_out, BYTES_NONE, true, out);
}

enum result codec_deflate(struct compressor *compressor, enum codec codec,
                          const struct bytes *parts, size_t part_count, struct buffer *out)
{
    switch (codec) {
    case CODEC_GZIP:
        return deflate_isal(compressor, IGZIP_GZIP, parts, part_count, out);
    case CODEC_DEFLATE:
        return deflate_isal(compressor, IGZIP_ZLIB, parts, part_count, out);
    case CODEC_ZSTD:
        return deflate_zstd(compressor, parts, part_count, out);
    default:
        CHECK(codec == CODEC_NONE);
        for (size_t i = 0; i < part_count; i++) {
            buffer_append_bytes(out, parts[i]);
        }
        return buffer_status(out);
    }
}
