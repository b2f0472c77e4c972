/*
 * Continuous health tests over delivered blocks of entropy. Called through crypto.health by rngd, for every block, before a
 * byte of it is served. Keeps two samples and digests, never a block; what failed once stays failed.
 */
#include "health.h"

#include <stdbool.h>
#include <string.h>
#include "contract.h"

static struct {
    int verdict; /* HEALTH_OK until the first failure */
    bool started;
    uint8_t last; /* repetition: the sample before, and how often it came in a row */
    uint32_t run;
    uint8_t first; /* proportion: first sample of the window, how often it came, samples seen of the window */
    uint32_t matches, seen;
    uint8_t digests[HEALTH_BLOCKS_KEPT][HEALTH_DIGEST_BYTES];
    uint32_t blocks; /* delivered so far; the newest digest is at (blocks - 1) % HEALTH_BLOCKS_KEPT */
} health;

void health_start(void) {
    health.started = false;
    health.run = health.seen = 0;
}

static bool repeats(uint8_t sample) {
    health.run = health.started && sample == health.last ? health.run + 1 : 1;
    health.started = true;
    health.last = sample;
    return health.run >= HEALTH_REPETITION_CUTOFF;
}

static bool dominates(uint8_t sample) {
    if (health.seen == 0) {
        health.first = sample;
        health.matches = 0;
    }
    health.matches += sample == health.first;
    health.seen = (health.seen + 1) % HEALTH_WINDOW;
    return health.matches >= HEALTH_PROPORTION_CUTOFF;
}

static bool known_block(const uint8_t *samples, size_t count) {
    uint8_t digest[HEALTH_DIGEST_BYTES];
    uint32_t kept = health.blocks < HEALTH_BLOCKS_KEPT ? health.blocks : HEALTH_BLOCKS_KEPT;
    health_digest(digest, samples, count);
    for (uint32_t i = 0; i < kept; i++) {
        if (memcmp(digest, health.digests[i], sizeof digest) == 0) return true;
    }
    memcpy(health.digests[health.blocks++ % HEALTH_BLOCKS_KEPT], digest, sizeof digest);
    return false;
}

static int tested(const uint8_t *samples, size_t count) {
    if (count < LIMIT_ENTROPY_BLOCK) return HEALTH_TOO_SHORT; /* such a block may repeat by accident */
    for (size_t i = 0; i < count; i++) {
        if (repeats(samples[i])) return HEALTH_REPETITION;
        if (dominates(samples[i])) return HEALTH_PROPORTION;
    }
    return known_block(samples, count) ? HEALTH_DUPLICATE : HEALTH_OK;
}

int health_block(const uint8_t *samples, size_t count) {
    if (health.verdict == HEALTH_OK) health.verdict = tested(samples, count);
    return health.verdict;
}
