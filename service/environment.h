// SPDX-License-Identifier: Apache-2.0
// The configuration that a start without a file amounts to: the environment, under the names that
// users have already set (DESIGN 6). Each backend that is set is an exporter; none set prints each
// interaction (debug). A judge is switched on by SIDEJUDGE_JUDGE only, never by a key that happens
// to be there. An endpoint that is our own listener is passed over with a line that says why.
#pragma once

#include "base/buffer.h"

// Appends YAML to `yaml` and one line per thing worth saying (what was found, passed over, missing)
// to `notes`. `get` is getenv in production. Secrets are not copied: the YAML refers to
// ${env:NAME}. Pure but for `get`.
void environment_config(const char *(*get)(const char *name), struct buffer *yaml,
                        struct buffer *notes);
