"""The gate that every enforcer asks before it acts: a plain OK of policyd in time opens it, and nothing else does.

Scenario: a service of three operations that do nothing but ask; policyd and logd are played by the test.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from shims.alone import Alone, Caller, Question
from shims.asker import Answer
from shims.kernel import Error

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
STATUS, ACTION = CONTRACT.table("status"), CONTRACT.table("action")
DEADLINE = CONTRACT.number("edge_deadline.policyd.all")
POLICYD, LOGD = 0x102, 0x103
CLIENT, OTHER = Caller(6, 0x52C6C4A34FFB3F69), Caller(33, 77, 1, 9)
DO, ROUTE, EXEC = 0x21, 0x22, 0x23
SERVICE = f"""
import gate, server
def on_do(action, target):
    target = bytes(target)
    gate.require(action, target)
    return b"done"
def on_route(name):
    name = bytes(name)
    gate.require_route(name)
    return b"done"
def on_exec(bundle):
    bundle = bytes(bundle)
    gate.require_exec(bundle)
    return b"done"
server.serve({{{DO}: (on_do, "<H*", 0), {ROUTE}: (on_route, "*", 0), {EXEC}: (on_exec, "*", 0)}})
"""
# operation, its payload, what policyd must be asked, what a record of its silence must say of the question
ASKED = [
    (DO, struct.pack("<H", ACTION["crypto_sign"]) + b"selftest", ACTION["crypto_sign"], b"selftest"),
    (DO, struct.pack("<H", 0x1234) + b"-", 0x1234, b"-"),
    (ROUTE, b"logd:query", ACTION["route"], b"logd:query"),
    (EXEC, b"dev.hello", ACTION["proc_exec"], b"dev.hello"),
]
QUESTION = {DO: "check", ROUTE: "route", EXEC: "exec"}  # operation of policyd
EACH = pytest.mark.parametrize(("op", "payload", "action", "target"), ASKED, ids=["action", "unknown", "route", "exec"])
EACH_REQUEST = pytest.mark.parametrize(
    ("op", "payload"), [row[:2] for row in ASKED], ids=["action", "unknown", "route", "exec"]
)
DONE, DENIED = Answer(STATUS["ok"], b"done"), Answer(STATUS["denied"], b"")


class World:
    """The service, and how policyd and logd answer it."""

    def __init__(self, folder: Path) -> None:
        (folder / "main.py").write_text(SERVICE, encoding="utf-8")
        self.asked: list[Question] = []
        self.audited: list[Question] = []
        self.policyd: Callable[[Question], Answer | bytes] = lambda _question: Answer(STATUS["ok"], b"")
        self.logd: Callable[[Question], Answer | bytes] = lambda _question: Answer(STATUS["ok"], b"")
        caps = SimpleNamespace(ENDPOINT=0x101, POLICYD=POLICYD, LOGD_AUDIT=LOGD)
        servers = {POLICYD: self._policyd, LOGD: self._logd}
        self.alone = Alone(SimpleNamespace(**CONTRACT.constants), [folder, ROOT / "guest/lib"], caps, servers)

    def _policyd(self, question: Question) -> Answer | bytes:
        self.asked.append(question)
        return self.policyd(question)

    def _logd(self, question: Question) -> Answer | bytes:
        self.audited.append(question)
        return self.logd(question)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.alone.close()


def raises(status: str) -> Callable[[Question], Answer | bytes]:
    def answer(_question: Question) -> Answer | bytes:
        raise Error(CONTRACT.number(f"e.{status}"))

    return answer


def says(version: int = 1, op: int = 0, status: int = 0, zero: int = 0, nonce: int = 0, rest: bytes = b"") -> bytes:
    return struct.pack("<BBBBI", version, op | 0x80, status, zero, nonce) + rest


# ---- what is asked ---------------------------------------------------------------------------------------------------


@EACH_REQUEST
def test_question_is_about_whom_is_served_and_is_asked_once(world: World, op: int, payload: bytes) -> None:
    number = CONTRACT.number(f"op.policyd.{QUESTION[op]}")
    for caller in (CLIENT, OTHER):
        world.asked.clear()
        assert world.alone.ask(caller, op, payload) == DONE
        assert world.asked == [Question(number, payload, caller)]
    assert world.audited == []


# ---- what is no yes --------------------------------------------------------------------------------------------------


@EACH_REQUEST
def test_refusal_of_policyd_is_passed_on_and_is_not_recorded_twice(world: World, op: int, payload: bytes) -> None:
    world.policyd = lambda _question: DENIED
    assert world.alone.ask(CLIENT, op, payload) == DENIED
    assert (len(world.asked), world.audited) == (1, [])


NOT_ASKED_AGAIN = ["bad_handle", "bad_right", "rank", "deadline", "peer_died", "caller_gone", "full"]
OTHER_STATUSES = [*sorted(set(STATUS.values()) - {STATUS["ok"], STATUS["denied"]}), 9, 0x7F, 0xFF]
NONSENSE = {
    "nothing": b"",
    "half a header": says(op=1)[:7],
    "another version": says(version=2, op=1, nonce=1),
    "another operation": says(op=4, nonce=1),
    "a request": struct.pack("<BBHI", 1, 1, 0, 1),
    "another nonce": says(op=1, nonce=2),
    "nonce of none": says(op=1, nonce=0),
    "a fourth byte": says(op=1, zero=1, nonce=1),
    "a refusal with a payload": says(op=1, status=1, nonce=1, rest=b"\0"),
}


@EACH
@pytest.mark.parametrize("why", NOT_ASKED_AGAIN)
def test_policyd_that_is_not_reached_is_a_no_on_record(
    world: World, op: int, payload: bytes, action: int, target: bytes, why: str
) -> None:
    world.policyd = raises(why)
    assert world.alone.ask(CLIENT, op, payload) == DENIED
    assert len(world.asked) == 1
    record = struct.pack("<BH", op, action) + target
    assert world.audited == [Question(CONTRACT.number("op.logd.audit"), record, CLIENT)]


@EACH
@pytest.mark.parametrize("status", OTHER_STATUSES)
def test_any_other_status_is_a_no_on_record(
    world: World, op: int, payload: bytes, action: int, target: bytes, status: int
) -> None:
    world.policyd = lambda _question: Answer(status, b"")
    assert world.alone.ask(CLIENT, op, payload) == DENIED
    assert [question.payload for question in world.audited] == [struct.pack("<BH", op, action) + target]


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_a_no_on_record(world: World, answer: bytes) -> None:
    op, payload, action, target = ASKED[0]
    world.policyd = lambda _question: answer
    assert world.alone.ask(CLIENT, op, payload) == DENIED
    assert [question.payload for question in world.audited] == [struct.pack("<BH", op, action) + target]


def test_yes_to_an_older_question_is_none(world: World) -> None:
    """The same bytes that opened the gate once. The twin has the nonce of the question that is asked; one went to logd in between."""
    op, payload, _, _ = ASKED[0]
    nonces = iter((1, 1, 4))
    world.policyd = lambda _question: says(op=CONTRACT.number("op.policyd.check"), nonce=next(nonces))
    assert [world.alone.ask(CLIENT, op, payload) for _ in range(3)] == [DONE, DENIED, DONE]


@EACH
def test_yes_that_comes_late_is_a_no_on_record(
    world: World, op: int, payload: bytes, action: int, target: bytes
) -> None:
    """The twin comes as late as it may."""

    def after(ticks: int) -> Callable[[Question], Answer | bytes]:
        def answer(_question: Question) -> Answer | bytes:
            world.alone.kernel.now += ticks
            return Answer(STATUS["ok"], b"")

        return answer

    world.policyd = after(DEADLINE)
    assert world.alone.ask(CLIENT, op, payload) == DENIED
    assert [question.payload for question in world.audited] == [struct.pack("<BH", op, action) + target]
    world.policyd = after(DEADLINE - 10)
    assert world.alone.ask(CLIENT, op, payload) == DONE


@pytest.mark.parametrize("why", ["deadline", "peer_died", "unavailable", "denied"])
def test_record_that_nobody_takes_changes_no_refusal(world: World, why: str) -> None:
    op, payload, _, _ = ASKED[0]
    world.policyd = raises("deadline")
    world.logd = raises(why) if why in CONTRACT.table("e") else lambda _question: Answer(STATUS[why], b"")
    assert world.alone.ask(CLIENT, op, payload) == DENIED
    assert len(world.audited) == 1
    world.policyd = lambda _question: Answer(STATUS["ok"], b"")
    assert world.alone.ask(CLIENT, op, payload) == DONE
