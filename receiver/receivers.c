// SPDX-License-Identifier: Apache-2.0
//
// The visible array of receivers: a kind exists when it stands here, and the configuration knows
// its keys from its ops. There is one, because every instrumentation that this project serves sends
// OTLP; what else a Collector receives is named, with the remedy, in service/known.def. Refused:
// constructors that register themselves, which nobody can read in one place. Immutable; any
// thread.
#include "receiver/receivers.h"

#include <stddef.h>

const struct receiver_ops *const receivers[] = {
    &otlp_receiver,
    NULL,
};
