// SPDX-License-Identifier: Apache-2.0
// Content codecs with ceilings on both forms, enforced while inflating: gzip (RFC 1952; every
// member, else malformed), deflate (zlib, RFC 1950, as the Collector understands the word), zstd
// (RFC 8878; every frame, window at most 8 MiB). gzip and deflate go out by isa-l, zstd at level 1.
// A sender's declared size (gzip ISIZE, zstd frame content size) is a hint that is never trusted
// for more than one first allocation of min(hint, 64 KiB + 8 x input). Contexts are reused per
// thread. The only file that includes compression headers.
#pragma once

#include "base/buffer.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD, CODEC_COUNT };

const char *codec_name(enum codec codec);  // HTTP token: "identity", "gzip", "deflate", "zstd"
// Content-Encoding / grpc-encoding token, case folded; "" and "identity" are CODEC_NONE.
// RESULT_UNSUPPORTED for others.
enum result codec_from_name(struct bytes name, enum codec *codec) MUST_USE;

struct compressor;  // contexts of one thread; made on first use inside
struct compressor *compressor_new(void);
void compressor_free(struct compressor *compressor);  // accepts NULL

// Asked before the output's memory grows to hold `bytes` in total (powers of two, less one): false
// stops with RESULT_SHED. NULL: only the ceiling counts.
typedef bool (*inflate_grow_fn)(void *arg, size_t bytes);

// What the packed form says of its inflated size, as far as that is believed; else a guess.
size_t codec_inflated_hint(enum codec codec, struct bytes packed);
// Appends the inflated form of `packed` to `out`, at most out->len_max in all. RESULT_REJECT:
// malformed, trailing bytes, or a window that is too large; RESULT_TOO_LARGE: beyond the ceiling;
// RESULT_SHED: `grow` refused or memory is out. `why` gets a static sentence on failure; what `out`
// holds behind its former length is then unspecified.
enum result codec_inflate(struct compressor *compressor, enum codec codec, struct bytes packed,
                          struct buffer *out, inflate_grow_fn grow, void *arg,
                          const char **why) MUST_USE;
// Appends the packed form of the concatenated parts to `out`. One gzip member, one zstd frame,
// always. RESULT_TOO_LARGE at out->len_max; RESULT_SHED out of memory.
enum result codec_deflate(struct compressor *compressor, enum codec codec,
                          const struct bytes *parts, size_t part_count,
                          struct buffer *out) MUST_USE;
