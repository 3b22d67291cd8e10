// SPDX-License-Identifier: Apache-2.0
//
// xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018),
// seeded through splitmix64 as its authors advise, so that near seeds give unrelated streams. It is
// for decisions that must repeat, not for secrets; whoever needs bytes that cannot be guessed seeds
// from random_entropy for each use. Refused: rand_r and a process-wide generator, which would tie
// the decisions of one part to the calls of another.
#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"

__extension__ typedef unsigned __int128 uint128;

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

void random_seed(struct random *random, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t mixed = seed;
        mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = mixed ^ mixed >> 31;
    }
}

uint64_t random_next(struct random *random)
{
    uint64_t *state = random->state;
    CHECK(state[0] | state[1] | state[2] | state[3]);  // seeded
    uint64_t value = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return value;
}

// Lemire, "Fast Random Integer Generation in an Interval", 2019: the high half of a 128-bit
// product, with the few values that would favour some results drawn again.
uint64_t random_below(struct random *random, uint64_t bound)
{
    CHECK(bound > 0);
    uint128 product = (uint128)random_next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t unfair = (UINT64_C(0) - bound) % bound;
        while ((uint64_t)product < unfair) {
            product = (uint128)random_next(random) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

void random_fill(struct random *random, void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        uint64_t value = random_next(random);
        size_t part = len < sizeof value ? len : sizeof value;
        memcpy(at, &value, part);
        at += part;
        len -= part;
    }
}

uint64_t random_entropy(void)
{
    uint64_t value = 0;
    ssize_t len;
    do {
        len = getrandom(&value, sizeof value, 0);
    } while (len < 0 && errno == EINTR);
    CHECK(len == sizeof value);  // eight bytes are never cut short once the kernel's pool is up
    return value;
}
