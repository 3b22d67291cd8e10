// SPDX-License-Identifier: Apache-2.0
// All kinds of processor, in one place. The test processor is in builds for tests only.
#include "processor/processors.h"

#include <stddef.h>

const struct processor_ops *const processors[] = {
    &evaluation_processor,
    &memory_limiter_processor,
#ifdef SIDEJUDGE_TEST_COMPONENTS
    &test_processor,
#endif
    NULL,
};
