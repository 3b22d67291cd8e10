// SPDX-License-Identifier: Apache-2.0
// All kinds of processor, in one place: what is not in this array does not exist. Chosen over
// constructors and loadable modules, so that a reader finds the list and a linker keeps it. The
// test processor is in builds for tests only, where SIDEJUDGE_TEST_COMPONENTS is set by the
// folder's CMakeLists.txt.
//
// Immutable; any thread.
#include "processor/processors.h"

#include <stddef.h>

const struct processor_ops *const processors[] = {
    &attributes_processor,
    &batch_processor,
    &evaluation_processor,
    &memory_limiter_processor,
    &resource_processor,
#ifdef SIDEJUDGE_TEST_COMPONENTS
    &test_processor,
#endif
    NULL,
};
