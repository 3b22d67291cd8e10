// SPDX-License-Identifier: Apache-2.0
//
// The other end of -Wl,--wrap: the linker sends calls of malloc to __wrap_malloc, and __real_malloc
// is whatever malloc is in this build, a sanitizer's included. Numbers are atomic, so that tests
// with threads may opt in, though which thread meets the n-th is then open. Refused: replacing
// malloc as a whole, which the sanitizers do themselves.
#include "tests/unit/allocation.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *ptr, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *ptr, size_t len);

static atomic_size_t seen;
static atomic_size_t refused;
static atomic_size_t first = SIZE_MAX;  // number of the first to refuse
static atomic_size_t last;              // and of the last

void allocation_fail(size_t nth, size_t count)
{
    atomic_store(&seen, 0);
    atomic_store(&refused, 0);
    atomic_store(&last, count > SIZE_MAX - nth ? SIZE_MAX : nth + count - 1);
    atomic_store(&first, nth);
}

size_t allocation_pass(void)
{
    atomic_store(&first, SIZE_MAX);
    return atomic_load(&refused);
}

size_t allocation_count(void)
{
    return atomic_exchange(&seen, 0);
}

static bool refuse(void)
{
    size_t number = atomic_fetch_add(&seen, 1) + 1;
    if (number < atomic_load(&first) || number > atomic_load(&last)) {
        return false;
    }
    atomic_fetch_add(&refused, 1);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t len)
{
    return refuse() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len)
{
    return refuse() ? NULL : __real_calloc(count, len);
}

void *__wrap_realloc(void *ptr, size_t len)
{
    return refuse() ? NULL : __real_realloc(ptr, len);
}
