"""Looks for what is left of an Ed25519 key in a machine's memory, in every form in which the code that handles it holds it.

Called by tests that know the seed because they chose the entropy. Pure: gets memory as bytes, gives back places; whether a place
may hold it is the caller's to say. Finds any eight bytes in a row of a secret, at any address, forwards and backwards.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

PIECE = 8  # bytes of a secret that can't be in memory by chance
PAGE = 4096
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point: nonces are taken modulo it
LIMB_BITS, LIMBS = 21, 12
TELLING = 1 << (LIMB_BITS - 8)  # a smaller limb may be a count of something
LIMB_SPAN = 256  # two limbs of one number so near to each other are no chance
DIGITS = 64


@dataclass(frozen=True, order=True)
class Hit:
    """A piece of a secret: where in memory, and of what."""

    address: int
    name: str


# ---- what there is to find -------------------------------------------------------------------------------------------


def key_secrets(seed: bytes) -> dict[str, bytes]:
    """What follows from the seed alone (RFC 8032, 5.1.5); the name says how it is held."""
    expansion = hashlib.sha512(seed).digest()
    return {"seed": seed, "expansion": expansion, "scalar": clamp(expansion[:32])}


def nonce_secrets(seed: bytes, signed: bytes) -> dict[str, bytes]:
    """What one signature needs besides: whoever has its nonce and the signature has the key (RFC 8032, 5.1.6)."""
    nonce = hashlib.sha512(hashlib.sha512(seed).digest()[32:] + signed).digest()
    reduced = int.from_bytes(nonce, "little") % ORDER
    return {"nonce": nonce, "nonce-scalar": reduced.to_bytes(32, "little")}


def clamp(half: bytes) -> bytes:
    scalar = bytearray(half)
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    return bytes(scalar)


def digits(scalar: bytes) -> tuple[bytes, bytes]:
    """Radix 16, a byte each: as split, and signed from -8 to 7 after the carry (ge25519_scalarmult_base)."""
    plain = [nibble for byte in scalar for nibble in (byte & 15, byte >> 4)]
    carried, carry = list(plain), 0
    for place in range(DIGITS - 1):
        carried[place] += carry
        carry = (carried[place] + 8) >> 4
        carried[place] -= carry << 4
    carried[-1] += carry
    return bytes(plain), bytes(value & 0xFF for value in carried)


def limbs(number: bytes) -> tuple[bytes, ...]:
    """21 bits in each 64-bit word, the last with all that is left (sc25519_muladd, sc25519_reduce)."""
    value, count = int.from_bytes(number, "little"), LIMBS * len(number) // 32
    parts = [value >> LIMB_BITS * place & (1 << LIMB_BITS) - 1 for place in range(count - 1)]
    parts.append(value >> LIMB_BITS * (count - 1))
    return tuple(part.to_bytes(8, "little") for part in parts)


def pieces(secrets: Mapping[str, bytes]) -> dict[bytes, str]:
    """Every run of eight bytes of every form, and what it is of."""
    found: dict[bytes, str] = {}
    for name, secret in secrets.items():
        forms = {name: secret, f"{name} backwards": secret[::-1], f"{name} by words": _swap_words(secret)}
        if name.endswith("scalar"):
            forms |= dict(zip((f"{name} digits", f"{name} signed digits"), digits(secret), strict=True))
        for form, data in forms.items():
            found |= {data[at : at + PIECE]: form for at in range(len(data) - PIECE + 1)}
    return found


def _swap_words(secret: bytes) -> bytes:
    """As a hash of 32-bit words holds its block."""
    return b"".join(secret[at : at + 4][::-1] for at in range(0, len(secret), 4))


# ---- the search ------------------------------------------------------------------------------------------------------


def search(memory: bytes, base: int, secrets: Mapping[str, bytes]) -> list[Hit]:
    """Every place at which a piece of a secret begins; `base` is the address of the first byte."""
    whole = {_word(piece): name for piece, name in pieces(secrets).items()}
    parts = {
        (_word(part), f"{name} limbs"): place
        for name, secret in secrets.items()
        for place, part in enumerate(limbs(secret))
        if int.from_bytes(part, "little") >= TELLING
    }
    names: dict[int, list[str]] = {}
    for word, name in parts:
        names.setdefault(word, []).append(name)
    hits: set[Hit] = set()
    lone: dict[str, list[tuple[int, int]]] = {}
    for address, word in _words_among(memory, frozenset(whole) | frozenset(names)):
        if word in whole:
            hits.add(Hit(base + address, whole[word]))
        for name in names.get(word, ()):
            lone.setdefault(name, []).append((address, parts[word, name]))
    hits |= {Hit(base + address, name) for name, found in lone.items() for address in _near_another(sorted(found))}
    return sorted(hits)


def outside(hits: Iterable[Hit], allowed: Sequence[range]) -> list[Hit]:
    """Those that lie nowhere in the allowed ranges of addresses."""
    return [hit for hit in hits if not any(hit.address in area for area in allowed)]


def _words_among(memory: bytes, wanted: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Address and value of every word of eight bytes, at whatever address, that is one of those."""
    view = memoryview(memory + bytes(PIECE))
    for page in _used_pages(memory):
        for start in range(page, page + PIECE):
            words = view[start : start + PAGE].cast("Q")
            if not wanted.isdisjoint(words):
                yield from ((start + PIECE * place, word) for place, word in enumerate(words) if word in wanted)


def _used_pages(memory: bytes) -> Iterator[int]:
    """Most of a machine's memory is never used. A secret that begins in a page of nothing ends in the next one: hence the one before."""
    empty, yielded = bytes(PAGE), -1
    for page in range(0, len(memory), PAGE):
        if memory[page : page + PAGE] != empty:
            yield from (at for at in (page - PAGE, page) if at > yielded)
            yielded = page


def _near_another(found: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Addresses of limbs near another one of the same number; one alone may be any small number."""
    addresses = [address for address, _ in found]
    for address, place in found:
        near = range(bisect_left(addresses, address - LIMB_SPAN), bisect_left(addresses, address + LIMB_SPAN + 1))
        if any(found[other][1] != place for other in near):
            yield address


def _word(piece: bytes) -> int:
    """As a view of memory by words has it here."""
    return int.from_bytes(piece, sys.byteorder)
