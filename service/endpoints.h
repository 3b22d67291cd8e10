// SPDX-License-Identifier: Apache-2.0
// The process's own endpoints, on the main loop: Prometheus metrics (:8888/metrics), health_check
// (:13133, never dependent on judges or backends; beside its own path /readyz, /livez and
// /-/drain), and the API that `sidejudge status` and
// `sidejudge explain` ask (localhost:13134). All answer at once.
#pragma once

#include "base/loop.h"
#include "service/settings.h"

struct runtime;
struct endpoints;

// Opens what the settings ask for. An endpoint that cannot be opened is logged and counted
// degraded; the process goes on.
struct endpoints *endpoints_open(struct loop *loop, const struct settings *settings,
                                 struct runtime *runtime);
// Other settings: those whose address or path differs are opened anew; the old one goes on where
// the new one cannot be opened.
void endpoints_apply(struct endpoints *endpoints, const struct settings *settings);
void endpoints_close(struct endpoints **endpoints);
