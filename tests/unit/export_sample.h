// SPDX-License-Identifier: Apache-2.0
// What the exporter tests share: requests with numbered spans, parcels of them, and an exporter
// made from the YAML of its section, as the service makes it.
#pragma once

#include "proto/component.h"

// One resource, one scope, `count` spans "span-<first>" and so on; each has `filler` bytes of text.
void sample_spans(struct buffer *out, uint32_t first, uint32_t count, size_t filler);
// The same as a whole parcel with one link, on a batch without a home.
struct parcel *sample_parcel(uint32_t first, uint32_t count, size_t filler);
// On a batch of `home`, which keeps the gzip form too.
struct parcel *sample_parcel_packed(struct batch_home *home, uint32_t first, uint32_t count,
                                    size_t filler);
// `points` data points of one gauge each, in `count` metrics.
struct parcel *sample_metrics(uint32_t count, uint32_t points);

// Binds `yaml` to the rows of `ops`, validates and starts. NULL when that fails; `why` says why.
struct exporter *sample_start(const struct exporter_ops *ops, const char *id, const char *yaml,
                              char *why, size_t why_len);
// The errors of binding and validating, as text; empty when there are none.
void sample_errors(const struct exporter_ops *ops, const char *yaml, struct buffer *out);
// Reserves and pushes; the reservation must be granted.
void sample_push(const struct exporter_ops *ops, struct exporter *exporter, struct parcel *parcel);
// Drains for at most ten seconds and frees.
void sample_finish(const struct exporter_ops *ops, struct exporter **exporter);

// Marks the numbers of the spans in a request: fate[n] is counted up. False: it does not scan.
bool sample_mark(struct bytes request, uint32_t *fate, uint32_t count);
