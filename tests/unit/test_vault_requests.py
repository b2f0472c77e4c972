"""Requests of every kind, whole and damaged, to vault's own C under the sanitizers: each gets the one answer that the contract defines.

The kernel, rngd and the key around it are tests/vault/host.c; what may come out is worked out here once more.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from vault_model import (
    ANSWER,
    HEAD,
    MESSAGE_BYTES,
    MESSAGE_MAX,
    OP,
    READY,
    STATUS,
    Expected,
    Request,
    compile_vault,
    framed,
)

REQUESTS = 50_000


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_vault(tmp_path_factory.mktemp("vault"))


def answers(vault: Path, requests: list[Request]) -> list[bytes]:
    done = subprocess.run(
        [vault], input=b"".join(request.packed for request in requests), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")
    found, rest = [], done.stdout
    while rest:
        size = int.from_bytes(rest[:2], "little")
        found.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return found


def any_requests(seed: int) -> Iterator[Request]:
    """Mostly whole ones of known operations, then damaged in one place, cut or prolonged."""
    chance = random.Random(seed)
    for _ in range(REQUESTS):
        op = chance.choice([*OP.values(), OP["sign"], OP["sign"], READY, chance.randrange(256)])
        size = chance.choice([0, 0, 1, 2, 3, 34, 257, 258, 259, chance.randrange(MESSAGE_BYTES - HEAD.size + 1)])
        payload = chance.choice([struct.pack("<H", chance.choice([1, 2, 3])), b""]) + chance.randbytes(size)
        message = bytearray(framed(op, payload[: MESSAGE_BYTES - HEAD.size], chance.randrange(1 << 32)))
        if chance.random() < 0.3:
            message[chance.randrange(len(message))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.1:
            del message[chance.randrange(len(message) + 1) :]
        yield Request(bytes(message), chance.random() < 0.1, chance.random() < 0.9)


def test_every_request_gets_its_one_answer(vault: Path) -> None:
    requests = list(any_requests(1))
    expected = Expected()
    wanted = [expected.answer(request) for request in requests]
    found = answers(vault, requests)
    wrong = next((place for place, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), None)
    assert wrong is None, (requests[wrong], found[wrong].hex(), wanted[wrong].hex())
    assert len(found) == len(wanted)
    assert {answer[2] for answer in found} == {
        STATUS[name] for name in STATUS if name not in ("rate_limited", "unavailable")
    }


def test_a_signed_message_is_covered_to_its_last_byte(vault: Path) -> None:
    longest = framed(OP["sign"], struct.pack("<H", 1) + bytes(MESSAGE_MAX))
    changed = longest[:-1] + b"\x80"
    found = answers(vault, [Request(framed(OP["seed"], b"")), Request(longest), Request(changed)])
    assert found[1] != found[2]
    assert found[1][: ANSWER.size] == found[2][: ANSWER.size]
