// SPDX-License-Identifier: Apache-2.0
// Processor `sidejudge_test`, in builds for tests only (SIDEJUDGE_TEST_COMPONENTS): edits, drops
// and delays what passes, and aborts the process on an item of a configured name.
#pragma once

#include "proto/component.h"

extern const struct processor_ops test_processor;
