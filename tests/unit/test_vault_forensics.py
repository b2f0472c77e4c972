"""The search for a key in memory finds every form at every address, and nothing where nothing is."""

from __future__ import annotations

import hashlib
import random

import pytest

from nexus.machine.forensics import (
    LIMB_SPAN,
    ORDER,
    PAGE,
    PIECE,
    Hit,
    clamp,
    digits,
    key_secrets,
    limbs,
    nonce_secrets,
    outside,
    search,
)

BASE = 0x8000_0000
SEED = hashlib.sha256(b"a seed").digest()
SECRETS = {**key_secrets(SEED), **nonce_secrets(SEED, b"message")}
SCALARS = ("scalar", "nonce-scalar")
# At the start, across a page's end, at an odd address, where the page before is empty, at the very end.
PLACES = (0, PAGE - 3, 2 * PAGE + 1, 5 * PAGE - 2)
SIZE = 8 * PAGE


def memory_with(*found: tuple[int, bytes]) -> bytes:
    memory = bytearray(SIZE)
    for place, data in found:
        memory[place : place + len(data)] = data
    return bytes(memory)


def forms() -> dict[str, bytes]:
    reverse = {f"{name} backwards": secret[::-1] for name, secret in SECRETS.items()}
    words = {
        f"{name} by words": b"".join(secret[at : at + 4][::-1] for at in range(0, len(secret), 4))
        for name, secret in SECRETS.items()
    }
    split = {f"{name} digits": digits(SECRETS[name])[0] for name in SCALARS}
    carried = {f"{name} signed digits": digits(SECRETS[name])[1] for name in SCALARS}
    return {**SECRETS, **reverse, **words, **split, **carried}


@pytest.mark.parametrize("name", forms())
@pytest.mark.parametrize("place", [*PLACES, SIZE - PIECE])
def test_any_eight_bytes_of_any_form_are_found(name: str, place: int) -> None:
    form = forms()[name]
    for start in (0, 5, len(form) - PIECE):
        piece = form[start : start + PIECE]
        found = search(memory_with((place, piece)), BASE, SECRETS)
        assert BASE + place in {hit.address for hit in found}, start


@pytest.mark.parametrize("name", SECRETS)
def test_two_limbs_of_a_number_near_each_other_are_found(name: str) -> None:
    parts = limbs(SECRETS[name])
    near = search(memory_with((64, parts[1]), (64 + LIMB_SPAN, parts[3])), BASE, SECRETS)
    assert {hit.address for hit in near} == {BASE + 64, BASE + 64 + LIMB_SPAN}
    assert search(memory_with((64, parts[1]), (72 + LIMB_SPAN, parts[3])), BASE, SECRETS) == []
    assert search(memory_with((64, parts[1]), (80, parts[1])), BASE, SECRETS) == []


def test_nothing_is_found_where_nothing_is() -> None:
    assert search(bytes(SIZE), BASE, SECRETS) == []
    assert search(random.Random(1).randbytes(SIZE), BASE, SECRETS) == []
    seven = SEED[: PIECE - 1]
    assert search(memory_with((100, seven), (200, SEED[1:PIECE])), BASE, SECRETS) == []


def test_another_key_is_not_this_one() -> None:
    other = key_secrets(hashlib.sha256(b"another").digest())
    memory = memory_with(*((128 * number, secret) for number, secret in enumerate(other.values())))
    assert search(memory, BASE, SECRETS) == []
    assert search(memory, BASE, other) != []


def test_what_is_allowed_is_left_out() -> None:
    hits = [Hit(1, "a"), Hit(10, "b"), Hit(20, "c")]
    assert outside(hits, [range(5), range(20, 30)]) == [Hit(10, "b")]


def test_secrets_are_those_of_rfc_8032() -> None:
    """Test 1 of its section 7.1: the signature's second half is made of the nonce and the scalar that are searched for."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    scalar = int.from_bytes(key_secrets(seed)["scalar"], "little")
    nonce = int.from_bytes(nonce_secrets(seed, b"")["nonce-scalar"], "little")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public).digest(), "little")
    assert (nonce + challenge * scalar) % ORDER == int.from_bytes(signature[32:], "little")


def test_digits_and_limbs_are_the_number() -> None:
    number = clamp(SEED)
    value = int.from_bytes(number, "little")
    plain, carried = digits(number)
    assert sum(digit << 4 * place for place, digit in enumerate(plain)) == value
    signed = [digit - 256 if digit > 127 else digit for digit in carried]
    assert sum(digit * 16**place for place, digit in enumerate(signed)) == value
    assert all(-8 <= digit <= 8 for digit in signed)
    assert sum(int.from_bytes(limb, "little") << 21 * place for place, limb in enumerate(limbs(number))) == value
