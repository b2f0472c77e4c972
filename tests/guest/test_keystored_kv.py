"""What callers store in keystored: nobody reaches another's, nobody takes another's room, nothing dropped is left in memory."""

from __future__ import annotations

import struct
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shims.alone import Caller
from shims.keyworld import APP, CLIENT, CONTRACT, PEER, ROOT, STATUS, World, app, refused, service

ENTRIES = CONTRACT.number("limit.kv_entries")
SPACES = (CONTRACT.number("limit.kv_service_spaces"), CONTRACT.number("limit.kv_app_spaces"))  # by kind

# The same id under another publisher, the same id as a service: each is somebody else.
OWNERS = [
    CLIENT,
    PEER,
    service("logd"),
    APP,
    app("one", 8),
    Caller(32, CLIENT.service_id, 1, 0),
    *(app(f"other{number}") for number in range(5)),
]
KEYS = [bytes([number]) for number in range(ENTRIES + 2)]
STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(OWNERS), st.sampled_from(KEYS), st.binary(max_size=3)),
    st.tuples(st.just("get"), st.sampled_from(OWNERS), st.sampled_from(KEYS), st.just(b"")),
    st.tuples(st.just("del"), st.sampled_from(OWNERS), st.sampled_from(KEYS), st.just(b"")),
    st.tuples(st.just("purge"), st.sampled_from(OWNERS), st.just(b""), st.just(b"")),
    st.tuples(st.just("fill"), st.sampled_from(OWNERS), st.just(b""), st.binary(max_size=3)),
)


class Model:
    """A dict for each caller, and how many of a kind may have one."""

    def __init__(self) -> None:
        self.spaces: dict[Caller, dict[bytes, bytes]] = {}

    def put(self, owner: Caller, key: bytes, value: bytes) -> str:
        others = sum(known.kind == owner.kind for known in self.spaces if known != owner)
        space = self.spaces.get(owner, {})
        if others == SPACES[owner.kind] or (key not in space and len(space) == ENTRIES):
            return "unavailable"
        self.spaces[owner] = {**space, key: value}
        return "ok"

    def delete(self, owner: Caller, key: bytes) -> str:
        if self.spaces.get(owner, {}).pop(key, None) is None:
            return "not_found"
        if not self.spaces[owner]:
            del self.spaces[owner]
        return "ok"

    def purge(self, owner: Caller) -> None:
        self.spaces = {
            known: space
            for known, space in self.spaces.items()
            if known.kind == 0 or (known.service_id, known.publisher) != (owner.service_id, owner.publisher)
        }


def follow(world: World, model: Model, step: tuple[str, Caller, bytes, bytes]) -> None:
    op, owner, key, value = step
    if op == "put":
        assert world.put(owner, key, value) == STATUS[model.put(owner, key, value)]
    elif op == "get":
        assert world.get(owner, key) == model.spaces.get(owner, {}).get(key)
    elif op == "del":
        assert world.ask("del", key, owner) == refused(model.delete(owner, key))
    elif op == "purge":
        assert world.ask("purge", struct.pack("<QQ", owner.service_id, owner.publisher)) == refused("ok")
        model.purge(owner)
    else:
        for one in KEYS:
            assert world.put(owner, one, value) == STATUS[model.put(owner, one, value)]


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=60))
def test_each_caller_has_exactly_what_it_stored(steps: list[tuple[str, Caller, bytes, bytes]]) -> None:
    world, model = World(), Model()
    world.policyd.allowed.update(OWNERS)
    for step in steps:
        follow(world, model, step)
    for owner in OWNERS:
        for key in KEYS:
            assert world.get(owner, key) == model.spaces.get(owner, {}).get(key)
    world.alone.close()


def test_nobody_reaches_the_value_of_another(world: World) -> None:
    world.policyd.allowed.update(OWNERS)
    for number, owner in enumerate((CLIENT, PEER, *OWNERS[3:9])):
        assert world.put(owner, b"key", bytes([number])) == STATUS["ok"]
    for number, owner in enumerate((CLIENT, PEER, *OWNERS[3:9])):
        assert world.get(owner, b"key") == bytes([number])
    assert world.ask("del", b"key", PEER) == refused("ok")
    assert world.get(CLIENT, b"key") == b"\x00"


def test_quota_of_one_caller_is_not_eaten_by_another(world: World) -> None:
    """One entry each, then every other caller fills what it can: nobody is refused before its own quota."""
    world.policyd.allowed.update(OWNERS)
    holders = [CLIENT, PEER, *OWNERS[3:9]]
    for owner in holders:
        assert world.put(owner, KEYS[0], b"") == STATUS["ok"]
    for owner in holders:
        assert [world.put(owner, key, b"") for key in KEYS[1:ENTRIES]] == [STATUS["ok"]] * (ENTRIES - 1)
        assert world.put(owner, KEYS[ENTRIES], b"") == STATUS["unavailable"]
        assert world.put(owner, KEYS[0], b"again") == STATUS["ok"]


def test_apps_leave_room_for_services(world: World) -> None:
    apps = [app(f"many{number}") for number in range(SPACES[1] + 1)]
    world.policyd.allowed.update(apps)
    assert [world.put(one, b"key", b"") for one in apps] == [STATUS["ok"]] * SPACES[1] + [STATUS["unavailable"]]
    assert world.put(CLIENT, b"key", b"") == STATUS["ok"]
    world.ask("del", b"key", apps[0])
    assert world.put(apps[-1], b"key", b"") == STATUS["ok"]


def test_services_that_may_store_have_a_space_each() -> None:
    rules = tomllib.loads((ROOT / "recipes/policy/base.toml").read_text("utf-8"))["rule"]
    names = {
        rule["subject"]
        for rule in rules
        if rule["effect"] == "allow" and rule["action"] in ("keystore.kv", "keystore.*", "*")
    }
    assert "app:*" in names
    assert len([name for name in names if not name.startswith("app:")]) <= SPACES[0]
    assert not any(name.startswith("@") for name in names)
    assert SPACES[1] >= CONTRACT.number("limit.app_slots")


def test_purge_takes_one_app_and_no_service(world: World) -> None:
    twin = app("one", 8)
    impostor = Caller(32, CLIENT.service_id, 1, 0)
    world.policyd.allowed.update({twin, impostor})
    for owner in (APP, twin, CLIENT, impostor):
        world.put(owner, b"key", b"value")
    assert world.ask("purge", struct.pack("<QQ", APP.service_id, APP.publisher)) == refused("ok")
    assert world.ask("purge", struct.pack("<QQ", CLIENT.service_id, 0)) == refused("ok")
    assert [world.get(owner, b"key") for owner in (APP, twin, CLIENT, impostor)] == [None, b"value", b"value", None]
    assert world.ask("purge", bytes(16)) == refused("ok")


def values(world: World) -> list[bytearray]:
    """The very objects that hold values now."""
    return [value for space in world.alone.module("main")._store.spaces.values() for value in space.values()]


@pytest.mark.parametrize(
    ("op", "payload"),
    [("put", b"\x03keyother"), ("del", b"key"), ("purge", struct.pack("<QQ", APP.service_id, APP.publisher))],
    ids=["overwritten", "deleted", "purged"],
)
def test_value_that_is_dropped_is_wiped(world: World, op: str, payload: bytes) -> None:
    world.put(APP, b"key", b"secret")
    (value,) = values(world)
    assert value == b"secret"
    assert world.ask(op, payload, APP) == refused("ok")
    assert value == bytes(6)


@pytest.mark.parametrize("caller", [CLIENT, PEER, app("full")], ids=["stored", "denied", "no-room"])
def test_copies_of_a_value_are_wiped_however_it_ends(world: World, caller: Caller) -> None:
    others = [app(f"many{number}") for number in range(SPACES[1])]
    world.policyd.allowed.update({*others, app("full")})
    for other in others:
        world.put(other, b"key", b"")
    made: list[bytearray] = []

    class Watched(bytearray):
        def __init__(self, source: Any) -> None:
            super().__init__(source)
            made.append(self)

        def __getitem__(self, place: Any) -> Any:
            return Watched(super().__getitem__(place)) if isinstance(place, slice) else super().__getitem__(place)

    world.alone.loader.builtins["bytearray"] = Watched
    world.put(caller, b"key", b"secret")
    held = values(world)
    assert made
    assert [one for one in made if b"secret" in one and not any(one is value for value in held)] == []


def test_nothing_stored_outlives_keystored(world: World) -> None:
    world.put(CLIENT, b"key", b"secret")
    assert b"secret" not in bytes(world.kept)
    world.restart()
    assert world.get(CLIENT, b"key") is None
