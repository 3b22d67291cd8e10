// SPDX-License-Identifier: Apache-2.0
// Says when the configuration's files may have changed: inotify on the folder of each file, because
// editors and deployments put a new file in the old one's place, and because a mounted ConfigMap
// changes by the swap of a symbolic link "..data" beside its files. What happens within a second is
// told once; a file that keeps changing is told every five. Main loop's thread.
#pragma once

#include <stddef.h>

#include "base/loop.h"

#define CONFIG_WATCH_FILES_MAX 32
#define CONFIG_WATCH_QUIET_NS (UINT64_C(1) * 1000000000)
#define CONFIG_WATCH_PATIENCE_NS (UINT64_C(5) * 1000000000)

struct config_watch;

// `sources` as the command line has them: bare paths and "file:PATH" are watched, others are not.
// `changed` is called on the loop's thread. NULL: nothing to watch, or no descriptor for it (then
// a line says so, and a reload is by signal only).
struct config_watch *config_watch_new(struct loop *loop, const char *const *sources, size_t count,
                                      void (*changed)(void *arg), void *arg);
void config_watch_free(struct config_watch **watch);  // accepts NULL inside
