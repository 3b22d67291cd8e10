// SPDX-License-Identifier: Apache-2.0
// Hands a journalled entry on again (receiver/journal/journal.h, journal_ports.replay): what had
// left goes to the exporters that have not got it, with exactly the edits that were recorded; what
// had not is taken by the processors once more, if its decision is open. On the journal's thread.
#pragma once

#include "service/door.h"

struct replay {  // what the service knows
    // The door of a receiver's id and signal; NULL: not configured any more.
    struct door *(*door)(void *arg, struct bytes route, enum signal signal);
    // A pipeline without processors whose exporters are the journal's outlets in their order; NULL:
    // an outlet has none for now.
    struct pipeline *(*direct)(void *arg, enum signal signal);
    struct turnstile *turnstile;  // both may be used while inside
    void *arg;
};

// As journal_ports.replay; `arg` is the struct replay.
enum result replay_entry(void *arg, struct journal_replay *call);
