"""guest/lib/client.py and route.py against servers that answer nonsense, late, never, or restart: one typed error each, one repetition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from shims.machine import Machine

Make = Callable[..., Machine]
# The selftest asks logd once and says how that ended.
CALLER = """
import kernel, caps, client, contract, wire
try:
    payload = client.call(caps.LOGD_APPEND, contract.OP_LOGD_STATS, b"abc", client.deadline(10_000_000))
    kernel.console("answer " + bytes(payload).hex())
except wire.Unreachable as error:
    kernel.console("unreachable %d %d" % (error.status, error.kernel))
except wire.BadReply as error:
    kernel.console("bad reply %d" % error.status)
except wire.Refuse as error:
    kernel.console("refused %d" % error.status)
kernel.exit(0)
"""
# A server that answers one message with what `answer` makes of (operation, nonce bytes).
SERVER = """
import kernel, caps
length = kernel.recv(caps.ENDPOINT)
op, nonce = kernel.buffer[1], bytes(kernel.buffer[4:8])
answer = {answer}
kernel.buffer[:len(answer)] = answer
kernel.reply(kernel.handle(), len(answer))
kernel.recv(caps.ENDPOINT)
"""


def outcome(make: Make, server: str) -> list[str]:
    machine = make(sources={"logd": server, "selftest": CALLER})
    machine.start("logd")
    machine.run()
    machine.start("selftest")
    machine.run()
    return machine.said("SELFTEST")


def test_answer_is_the_payload(machine: Make) -> None:
    assert outcome(machine, SERVER.format(answer="bytes((1, op | 0x80, 0, 0)) + nonce + b'xyz'")) == ["answer 78797a"]


@pytest.mark.parametrize("status", range(1, 9))
def test_refusal_keeps_its_status(machine: Make, status: int) -> None:
    assert outcome(machine, SERVER.format(answer=f"bytes((1, op | 0x80, {status}, 0)) + nonce")) == [
        f"refused {status}"
    ]


BAD_REPLIES = {
    "empty": "b''",
    "cut": "bytes((1, op | 0x80, 0, 0)) + nonce[:3]",
    "version": "bytes((2, op | 0x80, 0, 0)) + nonce",
    "other operation": "bytes((1, (op + 1) | 0x80, 0, 0)) + nonce",
    "no reply bit": "bytes((1, op, 0, 0)) + nonce",
    "spare byte": "bytes((1, op | 0x80, 0, 1)) + nonce",
    "other nonce": "bytes((1, op | 0x80, 0, 0)) + bytes((nonce[0] ^ 1,)) + nonce[1:]",
    "refusal with a payload": "bytes((1, op | 0x80, 1, 0)) + nonce + b'x'",
    "refusal to another": "bytes((1, op | 0x80, 1, 0)) + bytes(4)",
}


@pytest.mark.parametrize("answer", BAD_REPLIES.values(), ids=BAD_REPLIES.keys())
def test_nonsense_is_a_bad_reply(machine: Make, answer: str) -> None:
    assert outcome(machine, SERVER.format(answer=answer)) == ["bad reply 5"]


def test_silence_ends_at_the_deadline(machine: Make) -> None:
    assert outcome(machine, "import kernel, caps\nkernel.recv(caps.ENDPOINT)\nkernel.wait(caps.NOTIFICATION)\n") == [
        "unreachable 5 7"
    ]


def test_death_of_the_server_is_told_at_once(machine: Make) -> None:
    assert outcome(machine, "import kernel, caps\nkernel.recv(caps.ENDPOINT)\nkernel.exit(3)\n") == ["unreachable 5 8"]


def test_restart_of_the_server_is_repeated_once(machine: Make) -> None:
    """The capability knows the first incarnation; the second one gets the request, once."""
    server = SERVER.format(answer="bytes((1, op | 0x80, 0, 0)) + nonce + b'2'")
    made = machine(
        sources={"logd": server, "selftest": "import kernel, caps\nkernel.wait(caps.NOTIFICATION)\n" + CALLER}
    )
    made.start("logd")
    made.start("selftest")
    made.run()
    made.crash("logd", made.contract.FAULT_MEMORY)
    made.start("logd")
    made.run()
    made.signal(made.process("selftest"), 1)
    made.run()
    assert made.said("SELFTEST") == ["answer 32"]


@pytest.mark.parametrize("end", ["kernel.exit(3)", "kernel.wait(caps.NOTIFICATION)"], ids=["death", "silence"])
def test_nothing_else_is_repeated(machine: Make, end: str) -> None:
    made = machine(sources={"logd": f"import kernel, caps\nkernel.recv(caps.ENDPOINT)\n{end}\n", "selftest": CALLER})
    made.start("logd")
    made.start("selftest")
    made.run()
    assert made.said("SELFTEST")[0].startswith("unreachable ")
    assert made.calls == 1


def test_form_that_does_not_fit_is_a_bad_reply(machine: Make) -> None:
    """ask() decodes by the contract's form; a payload of another length is no answer."""
    caller = CALLER.replace("client.call(", "client.ask(").replace('b"abc", ', 'b"abc", contract.REPLY_LOGD_STATS, ')
    server = SERVER.format(answer="bytes((1, op | 0x80, 0, 0)) + nonce + bytes(15)")
    made = machine(sources={"logd": server, "selftest": caller})
    made.start("logd")
    made.run()
    made.start("selftest")
    made.run()
    assert made.said("SELFTEST") == ["bad reply 5"]


# The selftest asks init for a route, then calls by what it got.
ROUTED = """
import kernel, caps, client, contract, route, wire
try:
    handle = route.get(b"logd:query")
    kernel.console("route %x" % kernel.info(handle)[2])
except wire.BadReply:
    kernel.console("bad reply")
except wire.Refuse as error:
    kernel.console("refused %d" % error.status)
kernel.exit(0)
"""
# An init that answers one question for a route with this status, so many capabilities and this payload.
GIVER = """
import kernel, caps, contract
length = kernel.recv(caps.ENDPOINT)
kernel.console(bytes(kernel.buffer[8:length]).decode())
answer = bytes((1, kernel.buffer[1] | 0x80, {status}, 0)) + bytes(kernel.buffer[4:8]) + {payload}
kernel.buffer[:len(answer)] = answer
for index in range({count}):
    kernel.grant(index, caps.ENDPOINT, contract.RIGHT_CALL, 0xabc)
kernel.reply(kernel.handle(), len(answer), 0, {count})
kernel.recv(caps.ENDPOINT)
"""


def routed(make: Make, status: int = 0, count: int = 1, payload: bytes = b"") -> Machine:
    giver = GIVER.format(status=status, count=count, payload=payload)
    made = make(sources={"init": giver, "selftest": ROUTED})
    made.start("init")
    made.run()
    made.start("selftest")
    made.run()
    assert made.said("init") == ["logd:query"]
    return made


def test_route_is_the_capability_of_the_answer(machine: Make) -> None:
    assert routed(machine).said("SELFTEST") == ["route abc"]


@pytest.mark.parametrize("status", range(1, 9))
def test_refused_route_keeps_its_status(machine: Make, status: int) -> None:
    assert routed(machine, status, 0).said("SELFTEST") == [f"refused {status}"]


@pytest.mark.parametrize(
    ("status", "count", "payload"),
    [(0, 0, b""), (1, 1, b""), (0, 1, b"x"), (0, 0, b"x")],
    ids=["nothing given", "refusal with a capability", "payload", "payload alone"],
)
def test_route_that_is_half_given_is_a_bad_reply_and_leaves_nothing(
    machine: Make, status: int, count: int, payload: bytes
) -> None:
    made = routed(machine, status, count, payload)
    assert made.said("SELFTEST") == ["bad reply"]
    caps = made.process("selftest").caps
    assert len(caps) == len(made.process("selftest").row.capabilities)
