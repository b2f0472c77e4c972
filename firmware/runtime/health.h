/*
 * Health tests of an entropy source (SP 800-90B, 4.4), for crypto.health and for its test on the host.
 * Knows nothing of MicroPython, devices or where the samples lie.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * What is claimed and what follows from it. A sample is one byte.
 *
 *   H      min-entropy of a sample, in bits; half of what an ideal source has, so that a good one is never accused
 *   alpha  2^-20, the chance that a source with just H trips a test though it is sound
 *
 *   repetition (4.4.1)  fails at C = 1 + ceil(-log2(alpha) / H) equal samples in a row: 1 + 20 / 4
 *   proportion (4.4.2)  fails when the first of W samples occurs C times in them, with C = 1 + the smallest k for which
 *                       P(Binomial(W, 2^-H) <= k) >= 1 - alpha; no closed form, tests/unit/test_health.py computes it anew
 *   duplicate           fails when a delivered block of n >= LIMIT_ENTROPY_BLOCK samples equals one of the last 16 blocks;
 *                       by chance at most 16 * 2^-(H * n) = 2^-60
 */
#define HEALTH_ENTROPY_BITS 4
#define HEALTH_ALPHA_BITS 20
#define HEALTH_REPETITION_CUTOFF (1 + (HEALTH_ALPHA_BITS + HEALTH_ENTROPY_BITS - 1) / HEALTH_ENTROPY_BITS)
#define HEALTH_WINDOW 512
#define HEALTH_PROPORTION_CUTOFF 62
#define HEALTH_BLOCKS_KEPT 16
#define HEALTH_DIGEST_BYTES 32

/* Forget the samples seen before the source was started anew. A failure is not forgotten: only a restart of the process is. */
void health_start(void);

/* Test one delivered block: HEALTH_OK, or why nothing of it and nothing that follows may be used. */
int health_block(const uint8_t *samples, size_t count);

/* Given by the program that links this: a collision-resistant digest of a block. */
void health_digest(uint8_t digest[HEALTH_DIGEST_BYTES], const uint8_t *samples, size_t count);
