// SPDX-License-Identifier: Apache-2.0
// The processors of this build: the array `processors` that proto/component.h declares.
#pragma once

#include "processor/evaluation.h"
#include "processor/memory_limiter.h"
#include "processor/test_processor.h"
