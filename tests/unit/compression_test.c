// SPDX-License-Identifier: Apache-2.0
/*
 * Codecs both ways and against hostile input: bombs, lying sizes, members, windows, truncation and
 * bit flips. Members with odd headers are put together here from stored blocks.
 */
#include "base/compression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libdeflate.h>
#include <zstd.h>

#include "tests/unit/allocation.h"

#define CEILING ((size_t)8 << 20)

struct fixture {
    struct compressor *compressor;
    struct buffer packed, plain;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->compressor = compressor_new();
    buffer_init(&fixture->packed, CEILING);
    buffer_init(&fixture->plain, CEILING);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    compressor_free(fixture->compressor);
    buffer_fini(&fixture->packed);
    buffer_fini(&fixture->plain);
    free(fixture);
    return 0;
}

static const enum codec packing_codecs[] = {CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD};
#define PACKING_COUNT (sizeof packing_codecs / sizeof packing_codecs[0])

// Text-like bytes that compress, the same for the same length.
static uint8_t *sample(size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t) "the quick brown fox {\"a\":1}, "[(x >> 24) % 30];
    }
    return bytes;
}

static void pack(struct fixture *fixture, enum codec codec, struct bytes plain)
{
    assert_int_equal(codec_deflate(fixture->compressor, codec, &plain, 1, &fixture->packed),
                     RESULT_OK);
}

static enum result inflate(struct fixture *fixture, enum codec codec, struct bytes packed)
{
    const char *why = NULL;
    buffer_reset(&fixture->plain);
    enum result result =
        codec_inflate(fixture->compressor, codec, packed, &fixture->plain, NULL, NULL, &why);
    assert_true((result == RESULT_OK) == (why == NULL));
    return result;
}

static void names_are_tokens_of_http(void **state)
{
    (void)state;
    enum codec codec = CODEC_COUNT;
    assert_int_equal(codec_from_name(BYTES_LITERAL("GZip"), &codec), RESULT_OK);
    assert_int_equal(codec, CODEC_GZIP);
    assert_int_equal(codec_from_name(BYTES_LITERAL(""), &codec), RESULT_OK);
    assert_int_equal(codec, CODEC_NONE);
    assert_int_equal(codec_from_name(BYTES_LITERAL("identity"), &codec), RESULT_OK);
    assert_int_equal(codec_from_name(BYTES_LITERAL("snappy"), &codec), RESULT_UNSUPPORTED);
    assert_int_equal(codec_from_name(BYTES_LITERAL("gzip, zstd"), &codec), RESULT_UNSUPPORTED);
    assert_string_equal(codec_name(CODEC_ZSTD), "zstd");
}

static void every_codec_gives_back_what_it_took(void **state)
{
    struct fixture *fixture = *state;
    static const size_t lengths[] = {0, 1, 100, 16383, 16384, 70000, 1000000, 3000000};
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            uint8_t *bytes = sample(lengths[l]);
            struct bytes plain = bytes_from(bytes, lengths[l]);
            buffer_reset(&fixture->packed);
            pack(fixture, packing_codecs[c], plain);
            assert_int_equal(inflate(fixture, packing_codecs[c], buffer_view(&fixture->packed)),
                             RESULT_OK);
            assert_true(bytes_equal(buffer_view(&fixture->plain), plain));
            free(bytes);
        }
    }
}

static void parts_are_packed_as_their_concatenation(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = sample(300000);
    struct bytes whole = bytes_from(bytes, 300000);
    struct bytes parts[] = {bytes_slice(whole, 0, 5), BYTES_NONE, bytes_slice(whole, 5, 200000),
                            bytes_slice(whole, 200005, 99995), BYTES_NONE};
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        buffer_reset(&fixture->packed);
        assert_int_equal(
            codec_deflate(fixture->compressor, packing_codecs[c], parts, 5, &fixture->packed),
            RESULT_OK);
        assert_int_equal(inflate(fixture, packing_codecs[c], buffer_view(&fixture->packed)),
                         RESULT_OK);
        assert_true(bytes_equal(buffer_view(&fixture->plain), whole));
        buffer_reset(&fixture->packed);
        assert_int_equal(
            codec_deflate(fixture->compressor, packing_codecs[c], NULL, 0, &fixture->packed),
            RESULT_OK);
        assert_int_equal(inflate(fixture, packing_codecs[c], buffer_view(&fixture->packed)),
                         RESULT_OK);
        assert_int_equal(fixture->plain.len, 0);
    }
    free(bytes);
}

static void packing_stops_at_the_buffers_maximum(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = sample(200000);
    struct bytes plain = bytes_from(bytes, 200000);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        struct buffer exact;
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], plain);
        buffer_init(&exact, fixture->packed.len);
        assert_int_equal(codec_deflate(fixture->compressor, packing_codecs[c], &plain, 1, &exact),
                         RESULT_OK);
        buffer_fini(&exact);
        buffer_init(&exact, fixture->packed.len - 1);
        assert_int_equal(codec_deflate(fixture->compressor, packing_codecs[c], &plain, 1, &exact),
                         RESULT_TOO_LARGE);
        buffer_fini(&exact);
    }
    free(bytes);
}

static void bombs_stop_at_the_ceiling(void **state)
{
    struct fixture *fixture = *state;
    size_t len = 4 * CEILING;
    uint8_t *zeros = calloc(1, len);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], bytes_from(zeros, len));
        assert_int_equal(inflate(fixture, packing_codecs[c], buffer_view(&fixture->packed)),
                         RESULT_TOO_LARGE);
        assert_true(fixture->plain.capacity <= CEILING + 1);
    }
    free(zeros);
}

static void a_body_of_exactly_the_ceiling_passes(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = sample(50000);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        struct buffer out;
        const char *why = NULL;
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], bytes_from(bytes, 50000));
        buffer_init(&out, 50000);
        assert_int_equal(codec_inflate(fixture->compressor, packing_codecs[c],
                                       buffer_view(&fixture->packed), &out, NULL, NULL, &why),
                         RESULT_OK);
        assert_int_equal(out.len, 50000);
        buffer_fini(&out);
        buffer_init(&out, 49999);
        assert_int_equal(codec_inflate(fixture->compressor, packing_codecs[c],
                                       buffer_view(&fixture->packed), &out, NULL, NULL, &why),
                         RESULT_TOO_LARGE);
        buffer_fini(&out);
    }
    free(bytes);
}

static bool grow_until(void *arg, size_t bytes)
{
    size_t *limit = arg;
    return bytes <= *limit;
}

static void growth_is_asked_for_and_may_be_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *zeros = calloc(1, 1 << 20);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        size_t limit = (size_t)1 << 17;
        const char *why = NULL;
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], bytes_from(zeros, 1 << 20));
        buffer_fini(&fixture->plain);
        buffer_init(&fixture->plain, CEILING);
        assert_int_equal(codec_inflate(fixture->compressor, packing_codecs[c],
                                       buffer_view(&fixture->packed), &fixture->plain, grow_until,
                                       &limit, &why),
                         RESULT_SHED);
        assert_non_null(why);
        assert_true(fixture->plain.capacity <= limit);
    }
    free(zeros);
}

static void a_lying_size_is_harmless(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t lies[] = {0, 1, 0x7fffffff, 0xffffffff};
    uint8_t *bytes = sample(100000);
    pack(fixture, CODEC_GZIP, bytes_from(bytes, 100000));
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        memcpy(fixture->packed.ptr + fixture->packed.len - 4, &lies[i], 4);
        assert_int_equal(inflate(fixture, CODEC_GZIP, buffer_view(&fixture->packed)),
                         RESULT_REJECT);
        assert_true(fixture->plain.capacity <= 2 * (65536 + 8 * fixture->packed.len));
    }
    free(bytes);
}

static void checksums_are_checked(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = sample(1000);
    pack(fixture, CODEC_GZIP, bytes_from(bytes, 1000));
    fixture->packed.ptr[fixture->packed.len - 8] ^= 1;
    assert_int_equal(inflate(fixture, CODEC_GZIP, buffer_view(&fixture->packed)), RESULT_REJECT);
    buffer_reset(&fixture->packed);
    pack(fixture, CODEC_DEFLATE, bytes_from(bytes, 1000));
    fixture->packed.ptr[fixture->packed.len - 1] ^= 1;
    assert_int_equal(inflate(fixture, CODEC_DEFLATE, buffer_view(&fixture->packed)), RESULT_REJECT);
    free(bytes);
}

static void all_members_are_read(void **state)
{
    struct fixture *fixture = *state;
    pack(fixture, CODEC_GZIP, BYTES_LITERAL("first "));
    pack(fixture, CODEC_GZIP, BYTES_LITERAL(""));
    pack(fixture, CODEC_GZIP, BYTES_LITERAL("second"));
    assert_int_equal(inflate(fixture, CODEC_GZIP, buffer_view(&fixture->packed)), RESULT_OK);
    assert_true(bytes_equal_text(buffer_view(&fixture->plain), "first second"));
    buffer_reset(&fixture->packed);
    pack(fixture, CODEC_ZSTD, BYTES_LITERAL("first "));
    pack(fixture, CODEC_ZSTD, BYTES_LITERAL("second"));
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_OK);
    assert_true(bytes_equal_text(buffer_view(&fixture->plain), "first second"));
}

static void members_of_different_size_share_the_ceiling(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = sample(200000);
    pack(fixture, CODEC_GZIP, bytes_from(bytes, 200000));
    pack(fixture, CODEC_GZIP, bytes_from(bytes, 3));
    assert_int_equal(inflate(fixture, CODEC_GZIP, buffer_view(&fixture->packed)), RESULT_OK);
    assert_int_equal(fixture->plain.len, 200003);
    struct buffer small;
    const char *why = NULL;
    buffer_init(&small, 200002);
    assert_int_equal(codec_inflate(fixture->compressor, CODEC_GZIP, buffer_view(&fixture->packed),
                                   &small, NULL, NULL, &why),
                     RESULT_TOO_LARGE);
    buffer_fini(&small);
    free(bytes);
}

static void bytes_behind_the_end_are_refused(void **state)
{
    struct fixture *fixture = *state;
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], BYTES_LITERAL("body"));
        buffer_append_byte(&fixture->packed, 0);
        assert_int_equal(inflate(fixture, packing_codecs[c], buffer_view(&fixture->packed)),
                         RESULT_REJECT);
        buffer_append_text(&fixture->packed, "and a good deal more of it, in plain text");
        assert_int_equal(inflate(fixture, packing_codecs[c], buffer_view(&fixture->packed)),
                         RESULT_REJECT);
    }
}

static void truncation_is_refused_everywhere(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = sample(3000);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], bytes_from(bytes, 3000));
        for (size_t len = 0; len < fixture->packed.len; len++) {
            uint8_t *exact = malloc(len + 1);  // so that reading beyond is seen
            memcpy(exact, fixture->packed.ptr, len);
            assert_int_equal(inflate(fixture, packing_codecs[c], bytes_from(exact, len)),
                             RESULT_REJECT);
            free(exact);
        }
    }
    free(bytes);
}

static void flipped_bits_never_do_harm(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = sample(600);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], bytes_from(bytes, 600));
        for (size_t bit = 0; bit < fixture->packed.len * 8; bit++) {
            fixture->packed.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            enum result result = inflate(fixture, packing_codecs[c], buffer_view(&fixture->packed));
            assert_true(result == RESULT_OK || result == RESULT_REJECT ||
                        result == RESULT_TOO_LARGE);
            fixture->packed.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
    free(bytes);
}

static void other_formats_are_refused(void **state)
{
    struct fixture *fixture = *state;
    pack(fixture, CODEC_GZIP, BYTES_LITERAL("some text that is long enough"));
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_REJECT);
    assert_int_equal(inflate(fixture, CODEC_DEFLATE, buffer_view(&fixture->packed)), RESULT_REJECT);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        assert_int_equal(inflate(fixture, packing_codecs[c], BYTES_NONE), RESULT_REJECT);
        assert_int_equal(inflate(fixture, packing_codecs[c],
                                 BYTES_LITERAL("plain text in place of a packed body")),
                         RESULT_REJECT);
    }
    // zstd before 1.0 (0.7), which the packaged library still reads.
    assert_int_equal(inflate(fixture, CODEC_ZSTD, BYTES_LITERAL("\x27\xb5\x2f\xfd\x00\x00\x00")),
                     RESULT_REJECT);
}

// A member of one stored block, with the optional header fields that `flags` names.
static void stored_member(struct buffer *out, uint8_t flags, struct bytes plain)
{
    const uint8_t head[] = {0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255};
    buffer_append(out, head, sizeof head);
    if ((flags & 4) != 0) {
        buffer_append(out, "\x03\x00xyz", 5);
    }
    if ((flags & 8) != 0) {
        buffer_append(out, "name", 5);
    }
    if ((flags & 16) != 0) {
        buffer_append(out, "comment", 8);
    }
    if ((flags & 2) != 0) {
        uint32_t crc = libdeflate_crc32(0, out->ptr, out->len);
        buffer_append(out, &crc, 2);
    }
    uint16_t len = (uint16_t)plain.len;
    uint16_t complement = (uint16_t)~len;
    uint32_t crc = libdeflate_crc32(0, plain.ptr, plain.len);
    uint32_t isize = (uint32_t)plain.len;
    buffer_append_byte(out, 1);
    buffer_append(out, &len, 2);
    buffer_append(out, &complement, 2);
    buffer_append_bytes(out, plain);
    buffer_append(out, &crc, 4);
    buffer_append(out, &isize, 4);
}

static void optional_header_fields_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned flags = 0; flags < 32; flags++) {
        buffer_reset(&fixture->packed);
        stored_member(&fixture->packed, (uint8_t)flags, BYTES_LITERAL("stored"));
        assert_int_equal(inflate(fixture, CODEC_GZIP, buffer_view(&fixture->packed)), RESULT_OK);
        assert_true(bytes_equal_text(buffer_view(&fixture->plain), "stored"));
    }
    buffer_reset(&fixture->packed);
    stored_member(&fixture->packed, 0x80, BYTES_LITERAL("stored"));  // reserved
    assert_int_equal(inflate(fixture, CODEC_GZIP, buffer_view(&fixture->packed)), RESULT_REJECT);
}

static void zstd_pack(struct fixture *fixture, int window_log, bool checksum, bool size)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    uint8_t *bytes = sample(20000);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, size);
    uint8_t *room = buffer_reserve(&fixture->packed, 100000);
    ZSTD_outBuffer output = {.dst = room, .size = 100000};
    ZSTD_inBuffer input = {.src = bytes, .size = 20000};
    if (size) {
        ZSTD_CCtx_setPledgedSrcSize(context, 20000);
    }
    ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush);
    assert_int_equal(ZSTD_compressStream2(context, &output, &input, ZSTD_e_end), 0);
    buffer_commit(&fixture->packed, output.pos);
    ZSTD_freeCCtx(context);
    free(bytes);
}

static void windows_above_eight_mebibytes_are_refused(void **state)
{
    struct fixture *fixture = *state;
    zstd_pack(fixture, 27, false, false);
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_REJECT);
    buffer_reset(&fixture->packed);
    zstd_pack(fixture, 24, false, false);
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_REJECT);
    buffer_reset(&fixture->packed);
    zstd_pack(fixture, 23, true, false);
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_OK);
    assert_int_equal(fixture->plain.len, 20000);
}

static void a_large_window_in_a_later_frame_is_refused(void **state)
{
    struct fixture *fixture = *state;
    zstd_pack(fixture, 17, false, true);
    zstd_pack(fixture, 27, false, false);
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_REJECT);
}

static void zstd_checksums_and_skippable_frames_are_understood(void **state)
{
    struct fixture *fixture = *state;
    buffer_append(&fixture->packed, "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
    zstd_pack(fixture, 17, true, true);
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_OK);
    assert_int_equal(fixture->plain.len, 20000);
    fixture->packed.ptr[fixture->packed.len - 1] ^= 1;
    assert_int_equal(inflate(fixture, CODEC_ZSTD, buffer_view(&fixture->packed)), RESULT_REJECT);
}

static void output_is_appended_behind_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    const char *why = NULL;
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], BYTES_LITERAL("body"));
        buffer_reset(&fixture->plain);
        buffer_append_text(&fixture->plain, "head ");
        assert_int_equal(codec_inflate(fixture->compressor, packing_codecs[c],
                                       buffer_view(&fixture->packed), &fixture->plain, NULL, NULL,
                                       &why),
                         RESULT_OK);
        assert_true(bytes_equal_text(buffer_view(&fixture->plain), "head body"));
    }
}

static void identity_is_copied_under_the_same_limits(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(inflate(fixture, CODEC_NONE, BYTES_LITERAL("body")), RESULT_OK);
    assert_true(bytes_equal_text(buffer_view(&fixture->plain), "body"));
    struct buffer small;
    const char *why = NULL;
    buffer_init(&small, 3);
    assert_int_equal(codec_inflate(fixture->compressor, CODEC_NONE, BYTES_LITERAL("body"), &small,
                                   NULL, NULL, &why),
                     RESULT_TOO_LARGE);
    buffer_fini(&small);
}

static void a_failed_body_leaves_the_contexts_usable(void **state)
{
    struct fixture *fixture = *state;
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        buffer_reset(&fixture->packed);
        pack(fixture, packing_codecs[c], BYTES_LITERAL("a body of some length, for truncation"));
        struct bytes packed = buffer_view(&fixture->packed);
        assert_int_equal(
            inflate(fixture, packing_codecs[c], bytes_slice(packed, 0, packed.len - 3)),
            RESULT_REJECT);
        assert_int_equal(inflate(fixture, packing_codecs[c], packed), RESULT_OK);
    }
}

static void out_of_memory_sheds_and_leaves_nothing_broken(void **state)
{
    (void)state;
    uint8_t *bytes = sample(100000);
    struct bytes plain = bytes_from(bytes, 100000);
    for (size_t c = 0; c < PACKING_COUNT; c++) {
        size_t refused = 1;
        for (size_t nth = 1; refused > 0; nth++) {
            struct compressor *compressor = compressor_new();
            struct buffer packed;
            struct buffer out;
            const char *why = NULL;
            buffer_init(&packed, CEILING);
            buffer_init(&out, CEILING);
            allocation_fail(nth, 1);
            enum result result = codec_deflate(compressor, packing_codecs[c], &plain, 1, &packed);
            if (result == RESULT_OK) {
                result = codec_inflate(compressor, packing_codecs[c], buffer_view(&packed), &out,
                                       NULL, NULL, &why);
            }
            refused = allocation_pass();
            assert_int_equal(result, refused > 0 ? RESULT_SHED : RESULT_OK);
            buffer_fini(&packed);
            buffer_fini(&out);
            compressor_free(compressor);
        }
    }
    free(bytes);
}

int main(void)
{
#define CODEC_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CODEC_TEST(names_are_tokens_of_http),
        CODEC_TEST(every_codec_gives_back_what_it_took),
        CODEC_TEST(parts_are_packed_as_their_concatenation),
        CODEC_TEST(packing_stops_at_the_buffers_maximum),
        CODEC_TEST(bombs_stop_at_the_ceiling),
        CODEC_TEST(a_body_of_exactly_the_ceiling_passes),
        CODEC_TEST(growth_is_asked_for_and_may_be_refused),
        CODEC_TEST(a_lying_size_is_harmless),
        CODEC_TEST(checksums_are_checked),
        CODEC_TEST(all_members_are_read),
        CODEC_TEST(members_of_different_size_share_the_ceiling),
        CODEC_TEST(bytes_behind_the_end_are_refused),
        CODEC_TEST(truncation_is_refused_everywhere),
        CODEC_TEST(flipped_bits_never_do_harm),
        CODEC_TEST(other_formats_are_refused),
        CODEC_TEST(optional_header_fields_are_skipped),
        CODEC_TEST(windows_above_eight_mebibytes_are_refused),
        CODEC_TEST(a_large_window_in_a_later_frame_is_refused),
        CODEC_TEST(zstd_checksums_and_skippable_frames_are_understood),
        CODEC_TEST(output_is_appended_behind_what_is_there),
        CODEC_TEST(identity_is_copied_under_the_same_limits),
        CODEC_TEST(a_failed_body_leaves_the_contexts_usable),
        cmocka_unit_test(out_of_memory_sheds_and_leaves_nothing_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
