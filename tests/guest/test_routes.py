"""Routes that init hands out: only after policyd's yes about whoever asked, with their badge, one right, and nothing of whether a
name exists for those who may not have it.

Scenario: the selftest system up to init's ready line on the simulated kernel, asked by a test in the selftest's place.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from shims.asker import Answer, Asker
from shims.machine import Machine
from shims.objects import Cap

Make = Callable[..., Machine]
IDLE = "import kernel, caps\nwhile True:\n    kernel.wait(caps.NOTIFICATION)\n"
# In policyd's place: answers READY and STATS as it does, and every question by the line below.
JUDGE = """
import struct, kernel, caps, contract, server
from wire import Refuse
def on_route(name):
    kernel.console("asked about " + hex(kernel.subject_id()) + " " + bytes(name).decode())
    {answer}
server.serve({{
    contract.OP_POLICYD_ROUTE: (on_route, "*", 0),
    contract.OP_POLICYD_HOLD: (lambda: struct.pack("<QQQQ", 0, 0, 0, 0), "", contract.FACET_POLICYD_HOLD),
    contract.OP_POLICYD_GO_ON: (lambda: None, "", contract.FACET_POLICYD_HOLD),
}}, contract.MARK_POLICYD_READY)
"""
NO_YES = {
    "denied": "raise Refuse(contract.STATUS_DENIED)",
    "unavailable": "raise Refuse(contract.STATUS_UNAVAILABLE)",
    "malformed": "raise Refuse(contract.STATUS_MALFORMED)",
    "not found": "raise Refuse(contract.STATUS_NOT_FOUND)",
    "late": "kernel.wait(caps.NOTIFICATION, kernel.time() + 10 * contract.EDGE_DEADLINE_POLICYD_ALL)",
    "silent": "kernel.wait(caps.NOTIFICATION)",
    "dead": "kernel.exit(9)",
    "broken": "1 // 0",
    "nonsense": "kernel.buffer[:8] = bytes(8); kernel.reply(kernel.handle(), 8); kernel.exit(9)",
    "another nonce": "kernel.buffer[:8] = b'\\x01\\x82\\0\\0\\xff\\xff\\xff\\xff'; kernel.reply(kernel.handle(), 8); kernel.exit(9)",
}


def booted(machine: Make, **sources: str) -> Machine:
    made = machine(sources={"selftest": IDLE, **sources})
    made.boot()
    assert made.exit_code is None
    return made


class Client(Asker):
    """Asks init for routes."""

    def route(self, name: bytes) -> Answer:
        contract = self.machine.contract
        self.kernel.received = ()
        return self.ask(self.machine.handle(self.name, "INIT"), contract.OP_INIT_ROUTE_GET, name, accept=1)

    @property
    def given_caps(self) -> list[Cap]:
        caps = self.machine.process(self.name).caps
        return [caps[handle] for handle in self.kernel.received]


def facet(contract: SimpleNamespace, server: str, name: str) -> int:
    return int(getattr(contract, f"FACET_{server}_{name}".upper()) if name else contract.BADGE_FACET_ANY)


# ---- what is given ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["rngd", "keystored", "policyd", "policyd:stats", "logd:query", "logd:stats", "logd:audit_own", "selftest-peer"],
)
def test_route_is_one_capability_for_whoever_asked(machine: Make, contract: SimpleNamespace, name: str) -> None:
    made = booted(machine)
    client = Client(made, "selftest")
    assert client.route(name.encode()) == Answer(contract.STATUS_OK, b"")
    (cap,) = client.given_caps
    server, _, part = name.partition(":")
    assert (cap.type, cap.rights) == (contract.OBJ_ENDPOINT, contract.RIGHT_CALL)
    assert cap.object == made.process(server).row.endpoint
    own = made.process("selftest").row.index
    assert cap.badge == facet(contract, server, part) << contract.BADGE_FACET_SHIFT | own


def test_each_holder_has_a_badge_of_its_own(machine: Make, contract: SimpleNamespace) -> None:
    made = booted(machine)
    badges = []
    for name in ("selftest", "selftest-peer"):
        client = Client(made, name)
        assert client.route(b"rngd").status == contract.STATUS_OK
        badges.append(client.given_caps[0].badge)
    assert badges == [made.process(name).row.index for name in ("selftest", "selftest-peer")]


def test_route_works_and_only_for_what_its_facet_is(machine: Make, contract: SimpleNamespace) -> None:
    client = Client(booted(machine), "selftest")
    client.route(b"logd:stats")
    handle = client.kernel.received[0]
    assert client.ask(handle, contract.OP_LOGD_STATS).status == contract.STATUS_OK
    assert client.ask(handle, contract.OP_LOGD_QUERY, bytes(9)) == Answer(contract.STATUS_DENIED, b"")


# ---- what is not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"vault",
        b"logd:audit_all",
        b"logd:decision",
        b"logd:event",
        b"logd",
        b"nobody",
        b"rngd:",
        b"RNGD",
        b"",
        b"\xff" * 32,
    ],
)
def test_what_policy_does_not_allow_is_denied_whether_it_exists_or_not(
    machine: Make, contract: SimpleNamespace, name: bytes
) -> None:
    """The twin of each is the route that is allowed."""
    client = Client(booted(machine), "selftest")
    assert client.route(name) == Answer(contract.STATUS_DENIED, b"")
    assert client.given_caps == []
    assert client.route(b"rngd").status == contract.STATUS_OK


@pytest.mark.parametrize("name", [b"logd:query", b"logd:stats", b"policyd:stats", b"selftest-peer"])
def test_route_of_another_is_denied(machine: Make, contract: SimpleNamespace, name: bytes) -> None:
    made = booted(machine)
    assert Client(made, "selftest-peer").route(name) == Answer(contract.STATUS_DENIED, b"")
    assert Client(made, "selftest").route(name).status == contract.STATUS_OK


def test_allowed_route_to_nobody_is_not_found(machine: Make, contract: SimpleNamespace) -> None:
    """Policy allows what nobody's row in this system asks for; who may have the route may know."""
    made = booted(machine)
    assert Client(made, "selftest").route(b"init") == Answer(contract.STATUS_NOT_FOUND, b"")
    assert Client(made, "selftest").route(b"dropd") == Answer(contract.STATUS_DENIED, b"")


@pytest.mark.parametrize("size", [33, 64, 504])
def test_name_that_is_none_is_malformed_and_asks_nobody(machine: Make, contract: SimpleNamespace, size: int) -> None:
    made = booted(machine, policyd=JUDGE.format(answer="pass"))
    client = Client(made, "selftest")
    assert client.route(b"r" * size) == Answer(contract.STATUS_MALFORMED, b"")
    assert client.given_caps == []
    assert made.said("policyd") == ["ready"]
    assert client.route(b"rngd").status == contract.STATUS_OK


@pytest.mark.parametrize("answer", NO_YES.values(), ids=NO_YES.keys())
def test_route_needs_a_plain_yes_in_time(machine: Make, contract: SimpleNamespace, answer: str) -> None:
    made = booted(machine, policyd=JUDGE.format(answer=answer))
    client = Client(made, "selftest")
    assert client.route(b"rngd") == Answer(contract.STATUS_DENIED, b"")
    assert client.given_caps == []
    asked = [line for line in made.said("policyd") if line.startswith("asked")]
    assert asked == [f"asked about {made.process('selftest').row.service_id:#x} rngd"]


def test_yes_is_asked_for_each_time(machine: Make, contract: SimpleNamespace) -> None:
    """The twin of the refusals above; and a route once given opens nothing the second time."""
    made = booted(machine, policyd=JUDGE.format(answer="pass"))
    client = Client(made, "selftest")
    for _ in range(3):
        assert client.route(b"rngd").status == contract.STATUS_OK
        assert len(client.given_caps) == 1
    assert len([line for line in made.said("policyd") if line.startswith("asked")]) == 3


def test_service_that_was_given_up_is_unavailable_to_those_who_may(machine: Make, contract: SimpleNamespace) -> None:
    made = booted(machine)
    for _ in range(made.process("rngd").row.restarts + 1):
        made.crash("rngd", contract.FAULT_MEMORY)
        made.run()
    assert made.exit_code is None
    assert f"init: {contract.LINE_UNAVAILABLE}rngd" in made.lines
    client = Client(made, "selftest")
    assert client.route(b"rngd") == Answer(contract.STATUS_UNAVAILABLE, b"")
    assert client.given_caps == []
    assert client.route(b"vault") == Answer(contract.STATUS_DENIED, b"")
    assert client.route(b"keystored").status == contract.STATUS_OK
