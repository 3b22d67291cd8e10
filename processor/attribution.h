// SPDX-License-Identifier: Apache-2.0
// To whom a score belongs in a backend: environment, session and user of its target, under the
// attribute names that Langfuse reads (eval-backends.md 1.3), of which the conventions' own are a
// part. Pure; any thread.
#pragma once

#include "proto/scan.h"

struct attribution {           // views into what was read; empty when absent
    struct bytes environment;  // langfuse.environment, deployment.environment.name,
                               // deployment.environment; of the span, else of its Resource
    struct bytes session_id;   // langfuse.session.id, session.id, gen_ai.conversation.id
    struct bytes user_id;      // langfuse.user.id, user.id
};
// The earlier name wins; of one name the last value that is text and not empty.
void attribution_read(const struct item_view *view, struct attribution *attribution);
