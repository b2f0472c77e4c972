/*
 * The contract that this program was compiled against, where the kernel looks for it before it starts anything.
 * Linked into every user ELF.
 */
#include <stdint.h>
#include "contract.h"

extern const uint8_t contract_digest[32];
const uint8_t contract_digest[32] __attribute__((section(".rodata.contract_digest"))) = CONTRACT_DIGEST_BYTES;
