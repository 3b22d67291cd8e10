// SPDX-License-Identifier: Apache-2.0
// The processors of this build: the array `processors` that proto/component.h declares.
#pragma once

#include "processor/attributes_processor.h"
#include "processor/batch_processor.h"
#include "processor/evaluation.h"
#include "processor/memory_limiter.h"
#include "processor/resource_processor.h"
#include "processor/test_processor.h"
