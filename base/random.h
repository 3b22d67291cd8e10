// SPDX-License-Identifier: Apache-2.0
// Seeded generator (xoshiro256**, Blackman and Vigna 2018): same seed, same numbers. One per owner,
// one thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound);  // uniform in [0, bound); bound > 0
double random_unit(struct random *random);                     // uniform in [0, 1)
void random_fill(struct random *random, void *out, size_t len);
uint64_t random_entropy(void);  // from the kernel; for seeds
