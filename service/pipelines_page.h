// SPDX-License-Identifier: Apache-2.0
// /debug/pipelines: which receivers, processors and exporters each pipeline has, how full their
// queues are, what is degraded and why, and which generation of the configuration this is; as JSON,
// or as a table for people in the manner of the Collector's zpages. Shows no secret. Main thread.
#pragma once

#include "service/status_report.h"

void pipelines_page_write_json(const struct status_report *report, struct buffer *out);
void pipelines_page_write_html(const struct status_report *report, struct buffer *out);
// Appends text with what HTML gives a meaning to escaped, in elements and in quoted attributes.
void pipelines_page_escape(struct bytes text, struct buffer *out);
