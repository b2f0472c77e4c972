"""A bundlemgrd that died and was started again: what is sealed and right stays, what was on its way in or out does not come back."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import pytest
from nxb import ACTION, CONTENTS, CONTRACT, GOOD, OP, PAGE, STATUS, made
from shims.asker import Asker
from shims.bundles import Keeping
from shims.machine import Machine

Make = Callable[..., Machine]
ONE, TWO = b"selftest.one", b"selftest.two"
KV = CONTRACT.table("op.keystored")


@pytest.fixture
def keeping(machine: Make) -> Callable[..., Keeping]:
    def make(bundled: Mapping[str, bytes] | None = None) -> Keeping:
        return Keeping(machine("test-bundles", modules=Keeping.modules(bundled or {})))

    return make


@pytest.fixture
def kept(keeping: Callable[..., Keeping]) -> Keeping:
    return keeping()


def restart(kept: Keeping) -> list[tuple[str, str, str, str]]:
    """What it records about that."""
    kept.news()
    kept.crash("bundlemgrd")
    kept.start("bundlemgrd")
    return kept.news()


def ids(kept: Keeping) -> list[tuple[bytes, tuple[int, int, int], int]]:
    return [(row[5], row[0], row[4]) for row in kept.listed()]


def test_what_was_installed_is_verified_and_stays(kept: Keeping) -> None:
    kept.install(GOOD)
    kept.install(made(id="selftest.two", version=(3, 2, 1)), TWO)
    before = kept.listed()
    assert restart(kept) == [("verify", "bundle_verify", name.decode(), "") for name in (ONE, TWO)]
    assert kept.listed() == before
    assert kept.open()[0] == kept.open(TWO)[0] == STATUS["ok"]
    kept.stage(made(version=(0, 1, 0)))
    assert kept.ask("install", ONE).status == STATUS["denied"], "older than the one that stayed"


def test_what_was_changed_in_between_does_not_stay(kept: Keeping) -> None:
    kept.install(GOOD)
    kept.install(made(id="selftest.two"), TWO)
    kept.region(0)[PAGE + len(CONTENTS) - 1] ^= 1
    told = restart(kept)
    assert ("verify", "bundle_verify", "unknown", "digest") in told
    assert ids(kept) == [(TWO, (1, 0, 0), 0)]
    assert not any(kept.region(0))


def test_what_was_on_its_way_in_is_gone(kept: Keeping) -> None:
    kept.stage(GOOD)
    assert restart(kept) == []
    assert kept.ask("put", bytes(4) + GOOD).status == STATUS["denied"]
    assert kept.ask("install", ONE).status == STATUS["denied"]
    assert not any(any(kept.region(number)) for number in range(8))


def test_what_was_only_verified_is_not_installed(kept: Keeping) -> None:
    kept.stage(GOOD)
    kept.ask("verify", ONE)
    assert kept.machine.region_of("bundlemgrd", 0).sealed
    assert restart(kept) == []
    assert kept.listed() == []
    assert not any(kept.region(0))
    assert not kept.machine.region_of("bundlemgrd", 0).sealed


def test_what_was_uninstalled_in_use_is_still_purged_at_its_last_use(kept: Keeping) -> None:
    kept.install(GOOD)
    publisher = kept.listed()[0][1]
    _, handle = kept.open()
    assert handle is not None
    app = Asker.app(kept.machine, ONE.decode(), 1 << ACTION["keystore_kv"], publisher)
    kept.ask("uninstall", ONE)
    assert restart(kept) == []
    assert ids(kept) == [(ONE, (1, 0, 0), 1)]
    assert kept.open()[0] == STATUS["not_found"]
    store = app.given("keystored")
    assert app.ask(store, KV["put"], b"\3keyvalue").status == STATUS["ok"]
    kept.asker.kernel.drop(handle)
    assert ids(kept) == []
    assert app.ask(store, KV["get"], b"key").status == STATUS["not_found"]


def test_what_could_not_be_purged_before_is_purged_then(kept: Keeping) -> None:
    kept.install(GOOD)
    publisher = kept.listed()[0][1]
    app = Asker.app(kept.machine, ONE.decode(), 1 << ACTION["keystore_kv"], publisher)
    store = app.given("keystored")
    app.ask(store, KV["put"], b"\3keyvalue")
    purge = kept.machine.process("keystored").state
    kept.machine.process("keystored").state = kept.machine.contract.STATE_STOPPED
    assert kept.ask("uninstall", ONE).status == STATUS["unavailable"]
    kept.crash("bundlemgrd")
    kept.machine.process("keystored").state = purge
    kept.start("bundlemgrd")
    assert kept.listed() == []
    assert app.ask(store, KV["get"], b"key").status == STATUS["not_found"]


def test_keystored_that_is_mute_is_waited_for_once_however_many_are_to_be_purged(kept: Keeping) -> None:
    """execd, which gives up sooner than two such waits are long, can go on starting other apps."""
    names = [f"selftest.{number}".encode() for number in range(4)]
    for name in names:
        assert kept.install(made(id=name.decode()), name) == STATUS["ok"]
    kept.crash("keystored")
    kept.machine.actor("keystored")  # it is there, and takes no request
    wait = CONTRACT.number("edge_deadline.keystored.all")
    for name in names[:3]:
        begun = kept.machine.now
        asker = kept.asker
        asked = asker.ask(asker.given("bundlemgrd"), OP["uninstall"], name, deadline=begun + 10 * wait)
        assert (asked.status, kept.machine.now < begun + 2 * wait + wait // 2) == (STATUS["unavailable"], True)
    begun = kept.machine.now
    assert kept.open(names[3])[0] == STATUS["ok"]
    assert kept.machine.now < begun + wait + wait // 2


def test_of_two_versions_the_newer_stays(kept: Keeping) -> None:
    """It died after it had taken the newer one in, before it let the older one go."""
    kept.install(GOOD)
    kept.open()
    kept.install(made(version=(2, 0, 0)))
    memory = kept.machine.process("bundlemgrd").kept
    assert (memory[16], memory[40]) == (3, 1)
    memory[16] = 1
    assert [one[2:] for one in restart(kept)] == [(ONE.decode(), "")] * 2
    assert ids(kept) == [(ONE, (1, 0, 0), 1), (ONE, (2, 0, 0), 0)]


def test_bundles_of_the_image_come_once(keeping: Callable[..., Keeping]) -> None:
    kept = keeping({"one": GOOD, "two": made(id="selftest.two")})
    kept.ask("uninstall", ONE)
    assert restart(kept) == [("verify", "bundle_verify", TWO.decode(), "")]
    assert ids(kept) == [(TWO, (1, 0, 0), 0)]


def test_memory_that_says_what_was_never_so_installs_nothing(kept: Keeping) -> None:
    memory = kept.machine.process("bundlemgrd").kept
    for number in range(8):
        struct.pack_into("<QQB", memory, 24 * number, number, number, number % 4)
    told = restart(kept)
    assert {one[2:] for one in told} == {("unknown", "incomplete")}
    assert kept.listed() == []
    assert kept.install(GOOD) == STATUS["ok"]
