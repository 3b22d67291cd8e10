// SPDX-License-Identifier: Apache-2.0
// Out of memory on request, for unit tests. A test opts in by naming sj_allocation among its LIBS
// in tests/CMakeLists.txt; the linker then passes every malloc, calloc and realloc of the test and
// of our libraries (not those inside shared libraries, nor strdup, asprintf and aligned_alloc)
// through here. The usual loop lets the first, the second ... allocation fail until a run needs no
// more:
//
//     for (size_t nth = 1;; nth++) {
//         allocation_fail(nth, 1);
//         enum result result = thing_make(&thing);
//         if (allocation_pass() == 0) {
//             break;                          // nothing was refused: the run is complete
//         }
//         assert_int_equal(result, RESULT_SHED);
//     }
#pragma once

#include <stddef.h>

// Lets `count` allocations fail, beginning with the `nth` from now (1: the next). SIZE_MAX as
// count: all from there on.
void allocation_fail(size_t nth, size_t count);
// Lets all succeed again. Returns how many were refused since allocation_fail.
size_t allocation_pass(void);
// Allocations asked for since the last allocation_fail or allocation_count, refused ones included.
size_t allocation_count(void);
