"""Keys as keystored tells them, and the signatures that it checks: of this key, of old ones, of none. Signatures are real ones."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from shims.alone import Caller
from shims.asker import Answer
from shims.keyworld import CLIENT, CONTRACT, KEPT_BYTES, PEER, PURPOSE, World, refused

from nexus.verdict.signature import key_id

KNOWN_KEYS = CONTRACT.number("limit.known_keys")
GENUINE, FORGED = Answer(0, b"\x01"), Answer(0, b"\x00")
SIGN = struct.pack("<H", PURPOSE["selftest"])


def test_key_is_told_as_vault_says_it(world: World) -> None:
    made = world.ask("device_keygen")
    assert made == Answer(0, struct.pack("<IB", 1, 0) + key_id(CONTRACT, world.vault.public) + world.vault.public)
    assert world.ask("device_pubkey") == made
    assert world.ask("device_keygen") == refused("exists")
    assert world.ask("device_key_destroy") == Answer(0, struct.pack("<I", 1))
    for op in ("device_pubkey", "device_key_destroy"):
        assert world.ask(op) == refused("not_found")
    assert world.ask("sign", SIGN + b"message") == refused("not_found")


def test_each_key_is_called_ephemeral_once(world: World) -> None:
    line = CONTRACT.constants["LINE_KEY_EPHEMERAL"]
    world.ask("device_keygen")
    assert world.lines == [line]
    world.ask("device_keygen")
    world.ask("device_pubkey")
    world.restart()
    world.ask("device_pubkey")
    assert world.lines == [line]
    world.rotate()
    assert world.lines == [line, line]


# verifying


def test_signature_is_good_for_exactly_what_was_signed(world: World) -> None:
    world.ask("device_keygen")
    signed = world.sign(b"message")
    assert world.verify(CLIENT, signed, b"message") == GENUINE
    assert world.verify(CLIENT, signed, b"massage") == FORGED
    assert world.verify(CLIENT, signed, b"message\x00") == FORGED
    assert world.verify(CLIENT, signed, b"message", PURPOSE["attest"]) == FORGED
    assert world.verify(PEER, signed, b"message") == FORGED
    assert world.verify(Caller(0, CLIENT.service_id, 1), signed, b"message") == FORGED
    for place in range(8, 72):
        damaged = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
        assert world.verify(CLIENT, damaged, b"message") == FORGED


def test_mode_is_that_of_the_key(world: World) -> None:
    """A key of known entropy stays one, whatever the key is that there is now."""
    world.vault.mode = CONTRACT.number("key_mode.test_entropy")
    world.ask("device_keygen")
    old = world.sign(b"message")
    world.vault.mode = CONTRACT.number("key_mode.device")
    world.rotate()
    new = world.sign(b"message")
    assert world.verify(CLIENT, old, b"message") == world.verify(CLIENT, new, b"message") == GENUINE
    assert world.verify(CLIENT, new[:8] + old[8:], b"message") == FORGED


@pytest.mark.parametrize("restarted", [False, True])
def test_old_signatures_outlive_their_key(world: World, restarted: bool) -> None:
    signatures = []
    for _ in range(3):
        world.rotate()
        signatures.append(world.sign(b"message"))
    world.ask("device_key_destroy")
    if restarted:
        world.restart()
    world.vault.asked.clear()
    assert [world.verify(CLIENT, one, b"message") for one in signatures] == [GENUINE] * 3
    assert world.vault.asked == []


def test_oldest_key_makes_room(world: World) -> None:
    signatures = []
    for turn in range(2 * KNOWN_KEYS + 3):
        world.rotate()
        signatures.append(world.sign(b"message"))
        if turn % 5 == 0:
            world.restart()
    known, forgotten = signatures[-KNOWN_KEYS:], signatures[:-KNOWN_KEYS]
    assert [world.verify(CLIENT, one, b"message") for one in known] == [GENUINE] * len(known)
    assert [world.verify(CLIENT, one, b"message") for one in forgotten] == [refused("not_found")] * len(forgotten)


def test_key_that_nobody_had_is_not_found(world: World) -> None:
    assert world.verify(CLIENT, bytes(72), b"message") == refused("not_found")
    world.ask("device_keygen")
    assert world.verify(CLIENT, bytes(72), b"message") == refused("not_found")


def test_key_whose_making_got_no_answer_is_asked_for(world: World) -> None:
    world.vault.broken = lambda _honest: b""
    assert world.ask("device_keygen") == refused("unavailable")
    world.vault.broken = None
    assert world.lines == []
    signed = world.sign(b"message")
    assert world.verify(CLIENT, signed, b"message") == GENUINE
    assert world.lines == [CONTRACT.constants["LINE_KEY_EPHEMERAL"]]


def test_vault_that_can_not_be_asked_for_a_key_is_unavailable(world: World) -> None:
    world.vault.broken = lambda _honest: b""
    assert world.verify(CLIENT, bytes(72), b"message") == refused("unavailable")


class Torn(bytearray):
    """Memory of a process that dies before its n-th write."""

    left = -1

    def __setitem__(self, place: Any, value: Any) -> None:
        if self.left == 0:
            raise RuntimeError("died")
        self.left -= 1
        super().__setitem__(place, value)


@pytest.mark.parametrize("writes", range(4))
def test_key_that_was_half_written_is_none(world: World, writes: int) -> None:
    """Each turn of the ring once, so that the half one lies over an old one too."""
    known_keys = world.alone.module("keys").KnownKeys
    memory = Torn(KEPT_BYTES)
    names: list[bytes] = []
    for turn in range(2 * KNOWN_KEYS):
        public = bytes([turn + 1]) * 32
        memory.left = writes
        with pytest.raises(RuntimeError):
            known_keys(memory).add(0, public)
        memory.left = -1
        found = [known_keys(memory).find(name) is not None for name in [*names, key_id(CONTRACT, public)]]
        assert not found[-1]
        assert all(found[-KNOWN_KEYS:-1])
        assert known_keys(memory).add(0, public)
        names.append(key_id(CONTRACT, public))
        assert known_keys(memory).find(names[-1]) == (0, public)
