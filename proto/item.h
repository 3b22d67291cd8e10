// SPDX-License-Identifier: Apache-2.0
// One span, log record or metric: validated and turned into a view. Used by the scan, which knows
// the containers, and by parcels, which come back to single items. Pure; any thread.
#pragma once

#include "proto/scan.h"

enum item_trust {
    ITEM_UNTRUSTED,      // validate everything
    ITEM_TRUSTED,        // validated before, or left out anyway: only framing is checked, nested
                         // messages are stepped over
};

// Fills the view's members about the item itself, from `signal` on but not place, resource, scope
// and fault, from the payload `item`. Returns SCAN_OK or the first fault; the view then has what
// came before it, and is safe to use.
enum scan_fault item_read(enum signal signal, struct bytes item, enum item_trust trust,
                          unsigned flags, struct item_view *view);
