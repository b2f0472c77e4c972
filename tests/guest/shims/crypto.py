"""Module `crypto` as a simulated process sees it: the same functions on the host's libraries, and the health tests over
the simulated DMA window.

Made by machine.py. The health tests repeat firmware/runtime's rules so that a driver meets the same verdicts.
"""

from __future__ import annotations

import hashlib
import math
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ALPHA_BITS = 20  # a healthy source fails one test in 2^20
ENTROPY_BITS = 4  # credited to a byte
WINDOW = 512
REPEATS = 1 + math.ceil(ALPHA_BITS / ENTROPY_BITS)
OLD_BLOCKS = 16


def _proportion() -> int:
    """1 + the smallest count that a byte of probability 2^-H exceeds in a window with probability at most alpha."""
    chance, limit, below = 2.0**-ENTROPY_BITS, 2.0**-ALPHA_BITS, 0.0
    for count in range(WINDOW + 1):
        below += math.comb(WINDOW, count) * chance**count * (1 - chance) ** (WINDOW - count)
        if 1 - below <= limit:
            return 1 + count
    raise AssertionError("unreachable")


PROPORTION = _proportion()


class Crypto:
    """An instance stands in for the module."""

    def __init__(self, window: bytearray, contract: SimpleNamespace) -> None:
        self.window, self.contract = window, contract
        self.verdict: int = contract.HEALTH_OK
        self.digests: list[bytes] = []
        self.health_start()

    def health_start(self) -> None:
        self.last, self.run = -1, 0
        self.first, self.seen, self.equal = -1, 0, 0

    def health(self, offset: int, count: int) -> int:
        """The verdict on one block; a bad one stays."""
        if self.verdict == self.contract.HEALTH_OK:
            self.verdict = self._tested(bytes(self.window[offset : offset + count]))
        return self.verdict

    def _tested(self, block: bytes) -> int:
        contract = self.contract
        if len(block) < contract.LIMIT_ENTROPY_BLOCK:
            return int(contract.HEALTH_TOO_SHORT)
        for byte in block:
            self.run = self.run + 1 if byte == self.last else 1
            self.last = byte
            if self.run >= REPEATS:
                return int(contract.HEALTH_REPETITION)
            if self._proportion_fails(byte):
                return int(contract.HEALTH_PROPORTION)
        digest = hashlib.sha256(block).digest()
        if digest in self.digests:
            return int(contract.HEALTH_DUPLICATE)
        self.digests = [*self.digests, digest][-OLD_BLOCKS:]
        return int(contract.HEALTH_OK)

    def _proportion_fails(self, byte: int) -> bool:
        if self.seen == 0:
            self.first, self.equal = byte, 0
        self.equal += byte == self.first
        self.seen = (self.seen + 1) % WINDOW
        return self.equal >= PROPORTION

    def sha256(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    def sha512(self, data: bytes) -> bytes:
        return hashlib.sha512(data).digest()

    def blake2b(self, data: bytes, size: int = 32) -> bytes:
        return hashlib.blake2b(data, digest_size=size).digest()

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whatever is wrong, lengths too, the answer is False."""
        try:
            Ed25519PublicKey.from_public_bytes(bytes(key)).verify(bytes(signature), bytes(message))
        except (InvalidSignature, ValueError):
            return False
        return True

    def wipe(self, buffer: bytearray | memoryview) -> None:
        buffer[:] = bytes(len(buffer))
