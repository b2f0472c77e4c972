"""execd alone: who may start what, what it does with a bundle until an app runs, and what it refuses.

Around it policyd, bundlemgrd, logd and a kernel of apps are played by shims/execworld.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from shims.asker import Answer
from shims.execworld import (
    CLIENT,
    CONTRACT,
    DROPD,
    HELLO,
    OP,
    PEER,
    STATE,
    STATUS,
    E,
    World,
    app,
    refused,
)

from nexus.recipe.model import service_id

LONGEST = b"a" * CONTRACT.number("policy_limit.name_bytes")
RESTARTS = CONTRACT.number("limit.app_restarts")
CHILDREN = CONTRACT.number("limit.app_children")
BURST, REFILL = CONTRACT.number("limit.exec_burst"), CONTRACT.number("limit.exec_refill")
SECOND = CONTRACT.number("limit.tick_hz")
BUNDLES = (HELLO, b"selftest.two", b"dev.three", b"dev.four", b"dev.five")


@pytest.fixture
def execd() -> Iterator[World]:
    made = World()
    yield made
    made.alone.close()


def nothing_started(world: World) -> bool:
    return not (world.opened or world.kernel.made or world.kernel.apps or world.kernel.regions)


# ---- starting --------------------------------------------------------------------------------------------------------


def test_ready_is_said_by_the_contract_once(execd: World, contract: SimpleNamespace) -> None:
    assert execd.kernel.lines == []
    answer = execd.send(CLIENT, bytes([1, contract.OP_ALL_READY, 0, 0, 7, 0, 0, 0]), contract.BADGE_FACET_READY)
    assert answer is not None and answer[2] == STATUS["ok"]
    assert execd.kernel.lines == [contract.MARK_EXECD_READY]


def test_app_runs_once_policy_allows_its_bundle_to_the_caller(execd: World) -> None:
    answer = execd.exec()
    number, ident = struct.unpack("<IQ", answer.payload)
    assert answer.status == STATUS["ok"] and ident == service_id("app:selftest.hello") and number
    assert execd.asked == [(CLIENT, HELLO)]
    assert execd.opened == [HELLO]
    assert execd.app().resumed


def test_app_gets_what_the_contract_allows_an_app_and_no_more(execd: World) -> None:
    execd.started()
    wanted = CONTRACT.number("limit.app_stack_pages"), CONTRACT.number("limit.app_share")
    assert execd.kernel.made == [(HELLO, *wanted)]


def test_region_of_the_bundle_is_not_kept(execd: World) -> None:
    execd.started()
    execd.kernel.refuses = E["full"]
    execd.exec(b"selftest.two")
    assert execd.kernel.regions == {}


def test_each_child_has_a_number_of_its_own_also_after_a_restart(execd: World) -> None:
    numbers = [execd.started(bundle) for bundle in BUNDLES[:3]]
    execd.restart()
    numbers += [execd.started(bundle) for bundle in BUNDLES[:3]]
    assert len(set(numbers)) == 6


# ---- what is refused before anything starts --------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", [HELLO, b"nowhere", b"", b"init", b"app:init", b"keystored", b"-", LONGEST])
def test_reject_exec_that_policy_denies(execd: World, bundle: bytes) -> None:
    assert execd.exec(bundle, caller=PEER) == refused("denied")
    assert execd.asked == [(PEER, bundle)]
    assert nothing_started(execd)


@pytest.mark.parametrize("restarts", [RESTARTS + 1, 255])
def test_reject_exec_that_policy_denies_before_its_numbers_are_looked_at(execd: World, restarts: int) -> None:
    assert execd.exec(restarts=restarts, caller=PEER) == refused("denied")


@pytest.mark.parametrize("bundle", [LONGEST + b"a", bytes(400), b"\0", b"selftest.hello\0"])
@pytest.mark.parametrize("caller", [CLIENT, PEER])
def test_reject_name_that_no_bundle_can_have(execd: World, bundle: bytes, caller: object) -> None:
    assert execd.exec(bundle, caller=caller) == refused("malformed")  # type: ignore[arg-type]
    assert execd.list(bundle, caller=caller) == refused("malformed")  # type: ignore[arg-type]
    assert execd.asked == [] and nothing_started(execd)


@pytest.mark.parametrize("restarts", [RESTARTS + 1, 255])
def test_reject_more_restarts_than_there_are(execd: World, restarts: int) -> None:
    assert execd.exec(restarts=restarts) == refused("malformed")
    assert nothing_started(execd)
    execd.started(restarts=RESTARTS)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01\x00\x00"])
@pytest.mark.parametrize("name", ["wait", "kill", "list"])
def test_reject_half_a_request(execd: World, name: str, payload: bytes) -> None:
    assert execd.ask(name, payload) == refused("malformed")
    assert execd.asked == []


@pytest.mark.parametrize("name", ["exec", "wait", "kill", "list"])
def test_reject_badge_of_another_facet(execd: World, name: str) -> None:
    payload = bytes(1) + HELLO if name == "exec" else struct.pack("<I", 1) + (HELLO if name == "list" else b"")
    assert execd.ask(name, payload, facet=1) == refused("denied")
    assert execd.asked == [] and nothing_started(execd)


def test_reject_unknown_operation(execd: World) -> None:
    assert max(OP.values()) + 1 not in OP.values()
    answer = execd.send(CLIENT, bytes([1, max(OP.values()) + 1, 0, 0, 1, 0, 0, 0]))
    assert answer is not None and answer[2] == STATUS["unsupported"]


def test_reject_more_starts_than_the_rate(execd: World) -> None:
    """Of one asker: another is not held up, and with time it may again. What was denied costs nothing."""
    for _ in range(BURST):
        execd.end() if execd.kernel.apps else None
        execd.started()
    execd.end()
    opened = len(execd.opened)
    assert execd.exec() == refused("rate_limited")
    assert len(execd.opened) == opened
    for _ in range(2 * BURST):
        assert execd.exec(caller=PEER) == refused("denied")
    execd.started(caller=DROPD)
    execd.end()
    execd.kernel.now += SECOND // REFILL
    execd.started()


def test_reject_more_children_than_one_asker_may_have(execd: World) -> None:
    for bundle in BUNDLES[:CHILDREN]:
        execd.started(bundle)
    opened = len(execd.opened)
    assert execd.exec(BUNDLES[CHILDREN]) == refused("unavailable")
    assert len(execd.opened) == opened
    execd.started(BUNDLES[CHILDREN], caller=DROPD)


@pytest.mark.parametrize("status", ["denied", "not_found", "unavailable"])
def test_reject_what_bundlemgrd_refuses_in_its_words(execd: World, status: str) -> None:
    execd.broken = lambda: refused(status)
    assert execd.exec() == refused(status)
    assert execd.kernel.made == []


@pytest.mark.parametrize("status", ["malformed", "too_large", "rate_limited", "exists", "unsupported"])
def test_reject_what_bundlemgrd_may_not_say_without_its_words(execd: World, status: str) -> None:
    execd.broken = lambda: refused(status)
    assert execd.exec() == refused("unavailable")


@pytest.mark.parametrize("answer", [Answer(0, b""), Answer(0, b"more"), b"", b"\x01\x85\x00\x00\xff\xff\xff\xff"])
def test_reject_answer_of_bundlemgrd_without_a_region(execd: World, answer: Answer | bytes) -> None:
    execd.broken = lambda: answer
    assert execd.exec() == refused("unavailable")
    assert execd.kernel.made == []


def test_reject_answer_of_bundlemgrd_with_more_than_a_region(execd: World) -> None:
    def region_and_text() -> Answer:
        execd.kernel.regions[77] = HELLO
        execd.kernel.received = (77,)
        return Answer(0, b"text")

    execd.broken = region_and_text
    assert execd.exec() == refused("unavailable")
    assert execd.kernel.made == [] and execd.kernel.regions == {}


def test_reject_another_bundle_than_policy_was_asked_about(execd: World) -> None:
    """A fallen bundlemgrd hands out what the caller may not start: it never gets to run, and nothing of it stays."""
    execd.gives[HELLO] = b"dev.other"
    assert execd.exec() == refused("unavailable")
    assert [made[0] for made in execd.kernel.made] == [b"dev.other"]
    assert execd.kernel.apps == {} and execd.kernel.regions == {}
    assert execd.list() == refused("not_found")


@pytest.mark.parametrize(
    ("refusal", "status"),
    [("exists", "exists"), ("full", "unavailable"), ("no_slot", "unavailable"), ("bad_argument", "unavailable")],
)
def test_reject_what_the_kernel_does_not_start(execd: World, refusal: str, status: str) -> None:
    execd.kernel.refuses = E[refusal]
    assert execd.exec() == refused(status)
    execd.kernel.refuses = 0
    assert execd.list() == refused("not_found")
    execd.started()


def test_reject_second_instance_of_an_app(execd: World) -> None:
    execd.started()
    assert execd.exec() == execd.exec(caller=DROPD) == refused("exists")
    assert len(execd.kernel.apps) == 1


# ---- one's own children only -----------------------------------------------------------------------------------------


STRANGERS = {
    "another service": DROPD,
    "an app of the same service id": app("one"),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
@pytest.mark.parametrize("name", ["wait", "kill"])
def test_reject_child_of_another_as_if_there_were_none(execd: World, name: str, stranger: object) -> None:
    execd.allowed.add(stranger)  # type: ignore[arg-type]
    number = execd.started()
    execd.asked.clear()
    for wanted in (number, number + 1, 0, 0xFFFFFFFF):
        answer = execd.ask(name, struct.pack("<I", wanted), stranger)  # type: ignore[arg-type]
        assert answer == refused("denied")
    assert execd.asked == [(stranger, b"-")] * 4
    assert execd.app().state == STATE["ready"]


def test_reject_child_of_an_app_with_the_same_name_by_another_publisher(execd: World) -> None:
    one, other = app("one", 7), app("one", 8)
    execd.allowed |= {one, other}
    number = execd.started(caller=one)
    assert execd.wait(number, other) == refused("denied")
    assert execd.kill(number, other) == STATUS["denied"]
    assert execd.list(caller=other) == refused("not_found")
    assert execd.kill(number, one) == STATUS["ok"]


def test_reject_service_of_the_same_id_as_an_app(execd: World) -> None:
    """Kinds are apart: FNV can be made to collide."""
    one = app("one", 0)
    execd.allowed.add(one)
    number = execd.started(caller=one)
    twin = type(one)(5, one.service_id, 0, 0)
    execd.allowed.add(twin)
    assert execd.wait(number, twin) == refused("denied")


@pytest.mark.parametrize("name", ["wait", "kill", "list"])
def test_reject_own_child_once_policy_says_no(execd: World, name: str) -> None:
    number = execd.started()
    execd.allowed.clear()
    execd.asked.clear()
    payload = struct.pack("<I", number) + (HELLO if name == "list" else b"")
    assert execd.ask(name, payload) == refused("denied")
    assert execd.asked == [(CLIENT, HELLO)]
    assert execd.app().state == STATE["ready"]


def test_list_tells_of_own_children_in_their_order(execd: World) -> None:
    first = execd.started()
    execd.end(ticks=11)
    second = execd.started()
    execd.app().ticks = 5
    other = execd.started(b"dev.three", caller=DROPD)
    assert execd.list().payload == struct.pack("<IBBQ", first, 1, 1, 11)
    assert execd.list(first=first + 1).payload == struct.pack("<IBBQ", second, 0, 1, 5)
    assert execd.list(first=second + 1) == execd.list(b"dev.three") == refused("not_found")
    assert execd.list(b"dev.three", caller=DROPD).payload == struct.pack("<IBBQ", other, 0, 1, 0)


def test_policyd_that_does_not_answer_is_a_denial_on_record(execd: World) -> None:
    def gone(_: object) -> Answer:
        from shims.kernel import Error

        raise Error(E["peer_died"])

    execd.kernel.servers = {**execd.kernel.servers, 0x102: gone}
    number = struct.pack("<I", 1)
    for answer in (execd.exec(), execd.list(), execd.ask("wait", number), execd.ask("kill", number)):
        assert answer == refused("denied")
    action = CONTRACT.number("action.proc_exec")
    assert [int.from_bytes(one.payload[1:3], "little") for one in execd.audited] == [action] * 4
    assert nothing_started(execd)
