// SPDX-License-Identifier: Apache-2.0
//
// A thread for each receiver that goes: there are as many as a reload replaces, for seconds.
// Refused: draining in turns of the main loop, which every kind of receiver would have to support.
// Bounds: the receivers of a configuration for each reload, and the deadline. Main thread, but for
// the draining.

#include "service/closing.h"

#include <stdlib.h>

#include "base/check.h"

static void closing_run(void *arg)
{
    struct closing *closing = arg;
    const struct receiver_ops *ops = closing->part->part.settings->ops;
    ops->drain(closing->part->receiver, closing->deadline_ns);
    atomic_store(&closing->done, true);
}

void closing_start(struct closing **list, struct receiver_part **part, uint64_t deadline_ns)
{
    struct closing *closing = calloc(1, sizeof(*closing));
    CHECK(closing != NULL && (*part)->receiver != NULL);
    closing->part = *part;
    *part = NULL;
    closing->deadline_ns = deadline_ns;
    closing->next = *list;
    *list = closing;
    if (thread_start(&closing->thread, "sj-closing", closing_run, closing) != RESULT_OK) {
        closing_run(closing);
    }
}

void closing_hurry(const struct closing *list, uint64_t deadline_ns)
{
    for (; list != NULL; list = list->next) {
        if (!atomic_load(&list->done) && deadline_ns < list->deadline_ns) {
            const struct receiver_ops *ops = list->part->part.settings->ops;
            ops->drain(list->part->receiver, deadline_ns);
        }
    }
}

void closing_collect(struct closing **list, bool wait)
{
    for (struct closing **at = list; *at != NULL;) {
        struct closing *closing = *at;
        if (!wait && !atomic_load(&closing->done)) {
            at = &closing->next;
            continue;
        }
        thread_join(&closing->thread);
        receiver_part_unref(&closing->part);
        *at = closing->next;
        free(closing);
    }
}
