"""guest/lib/server.py and module `frame` beyond plain requests: rest, malformed messages and lost answers that a server keeps,
questions on somebody's behalf, capabilities that replies give.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from shims.asker import Asker, frame
from shims.kernel import Error
from shims.machine import Machine

Make = Callable[..., Machine]
ECHO = 1
NONCE = 0xC0FFEE11
FACET = 7
WAIT = "import kernel, caps\nkernel.wait(caps.NOTIFICATION)\n"


def served(make: Make, text: str, server: str = "logd", **others: str) -> Asker:
    """The selftest, played by the test, and a server of this text."""
    sources = {server: "import kernel, caps, contract, frame, server\n" + text, "selftest": WAIT, **others}
    machine = make(sources=sources)
    for name in (server, *others):
        machine.start(name)
    machine.run()
    return Asker(machine)


# keeping what is passed over otherwise

KEEPING = """
heard = []
def note(what):
    heard.append("%s sender=%d op=%d nonce=%x" % (what, kernel.sender(), frame.op(), frame.nonce()))
def tell():
    kernel.console("; ".join(heard))
    heard.clear()
    {broken}
handlers = {{1: (tell, "", 0)}}
"""


def test_malformed_message_is_told_with_its_sender_and_still_refused(machine: Make, contract: SimpleNamespace) -> None:
    asker = served(
        machine, KEEPING.format(broken="") + "server.serve(handlers, on_malformed=lambda: note('malformed'))"
    )
    to = asker.given("logd")
    for message, op, nonce in (
        (frame(9, b"", NONCE, version=3), 9, NONCE),
        (frame(9 | contract.WIRE_REPLY_BIT, b"", NONCE), 9 | contract.WIRE_REPLY_BIT, NONCE),
        (b"\x01\x05", 5, 0),
        (b"", 0, 0),
    ):
        answer = asker.send(to, message)
        refusal = (1, op | contract.WIRE_REPLY_BIT, contract.STATUS_MALFORMED, 0, nonce)
        assert struct.unpack("<BBBBI", answer) == refusal
        assert asker.ask(to, ECHO).status == contract.STATUS_OK
        index = asker.machine.process("selftest").row.index
        assert asker.machine.said("logd")[-1] == f"malformed sender={index} op={op} nonce={nonce:x}"


def test_fault_of_a_hook_does_not_end_the_service(machine: Make, contract: SimpleNamespace) -> None:
    asker = served(machine, "server.serve({1: (lambda: None, '', 0)}, on_malformed=lambda: 1 // 0)")
    to = asker.given("logd")
    assert asker.send(to, frame(5, b"", NONCE, version=0))[2] == contract.STATUS_MALFORMED
    assert asker.machine.said("logd") == [contract.LINE_HANDLER_FAULT + "05 ZeroDivisionError"]
    assert asker.ask(to, ECHO).status == contract.STATUS_OK


# A wait with a deadline can't outlast the request that is being served: it ends together with the caller's patience.
LATE = """
def wait():
    try:
        kernel.wait(caps.NOTIFICATION, kernel.time() + 10**9)
    except kernel.Error:
        pass
handlers = {1: (lambda: None, "", 0), 2: (wait, "", 0)}
"""


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "passed-over"])
def test_answer_that_nobody_waits_for_is_told_only_to_who_wants_it(
    machine: Make, contract: SimpleNamespace, keeps: bool
) -> None:
    hook = "on_gone=lambda: kernel.console('gone op=%d' % frame.op())" if keeps else ""
    asker = served(machine, LATE + f"server.serve(handlers, {hook})")
    to = asker.given("logd")
    with pytest.raises(Error) as late:
        asker.ask(to, 2, deadline=asker.kernel.time() + 1000)
    assert late.value.args[0] == contract.E_DEADLINE
    asker.machine.run()
    assert asker.machine.said("logd") == (["gone op=2"] if keeps else [])
    assert asker.ask(to, 1).status == contract.STATUS_OK


# rest

RESTING = """
def on_idle():
    kernel.console("idle")
def on_bits(bits):
    kernel.console("bits %d" % bits)
server.serve({1: (lambda: None, "", 0)}, on_bits=on_bits, on_idle=on_idle)
"""


def test_rest_is_told_once(machine: Make, contract: SimpleNamespace) -> None:
    asker = served(machine, RESTING)
    assert asker.machine.said("logd") == ["idle"]  # of its start
    asker.machine.now += 100 * contract.LIMIT_IDLE_TICKS
    before = asker.machine.now
    asker.ask(asker.given("logd"), 1)
    assert asker.machine.said("logd") == ["idle"]
    asker.machine.run()
    assert asker.machine.said("logd") == ["idle", "idle"]
    assert contract.LIMIT_IDLE_TICKS <= asker.machine.now - before < contract.LIMIT_IDLE_TICKS + 100


def test_whoever_was_asked_meanwhile_does_not_rest(machine: Make, contract: SimpleNamespace) -> None:
    asker = served(machine, RESTING)
    to = asker.given("logd")
    for _ in range(10):
        asker.ask(to, 1)
        asker.machine.now += contract.LIMIT_IDLE_TICKS // 2
        asker.machine.run(lambda: True)
    assert asker.machine.said("logd") == ["idle"]


def test_notification_ends_a_rest_and_is_none(machine: Make) -> None:
    asker = served(machine, RESTING)
    asker.machine.signal(asker.machine.process("logd"), 4)
    asker.machine.run()
    assert asker.machine.said("logd") == ["idle", "bits 4", "idle"]


# on somebody's behalf

STATING = """
def about():
    words = kernel.sender(), kernel.subject(), kernel.subject_id(), kernel.subject_mask(), kernel.subject_publisher()
    kernel.console("sender=%d subject=%d id=%x mask=%x publisher=%x" % words)
server.serve({1: (about, "", 0)})
"""
# rngd asks logd for whoever asks it. The capability is the test's: no recipe gives one for this.
ASKING = """
import kernel, caps, contract, server, client
def pass_on(handle, own):
    behalf = 0 if own else kernel.handle()
    client.call(handle, 1, b"", client.deadline(10_000_000), behalf)
server.serve({1: (pass_on, "<IB", 0)})
"""
MASK, PUBLISHER = 0x8000_0000_0000_0021, 0xFEED_0123_4567_89AB


def chain(machine: Make) -> tuple[Machine, int]:
    """logd states what it is told; rngd asks it. With it rngd's handle of logd."""
    made = machine(sources={"logd": "import kernel, caps, server\n" + STATING, "rngd": ASKING, "selftest": WAIT})
    made.start("logd")
    made.start("rngd")
    made.run()
    return made, made.handle("rngd", "LOGD_APPEND")


@pytest.mark.parametrize("own", [False, True], ids=["for-the-caller", "for-itself"])
def test_kernel_states_the_subject_only_of_a_question_on_behalf(machine: Make, own: bool) -> None:
    made, handle = chain(machine)
    made.process("rngd").caps[handle].badge = made.process("rngd").row.index  # no facet
    asker = Asker(made)
    assert asker.ask(asker.given("rngd"), 1, struct.pack("<IB", handle, own)).status == 0
    sender, row = made.process("rngd").row.index, made.process("selftest").row
    about = "subject=-1 id=0" if own else f"subject={row.index} id={row.service_id:x}"
    assert made.said("logd") == [f"sender={sender} {about} mask=0 publisher=0"]


def test_mask_and_publisher_of_an_app_are_stated(machine: Make) -> None:
    made, handle = chain(machine)
    made.process("rngd").caps[handle].badge = made.process("rngd").row.index
    app = Asker.app(made, "probe", MASK, PUBLISHER)
    assert app.ask(app.given("rngd"), 1, struct.pack("<IB", handle, 0)).status == 0
    row = made.process("app:probe").row
    assert row.service_id == 0x667CC3250FCFA84C  # as the kernel's own cases state it
    expected = f"subject={row.index} id={row.service_id:x} mask={MASK:x} publisher={PUBLISHER:x}"
    assert made.said("logd") == [f"sender={made.process('rngd').row.index} {expected}"]


def test_app_that_asks_itself_is_a_sender_with_its_mask(machine: Make, contract: SimpleNamespace) -> None:
    text = "kernel.kind(), kernel.sender_id(), kernel.sender_mask(), kernel.sender_publisher()"
    made = served(
        machine, f"server.serve({{1: (lambda: kernel.console('%x %x %x %x' % ({text})) and None, '', 0)}})"
    ).machine
    app = Asker.app(made, "probe", MASK, PUBLISHER)
    app.ask(app.given("logd"), 1)
    assert made.said("logd") == [
        f"{contract.KIND_APP:x} {app.machine.process('app:probe').row.service_id:x} {MASK:x} {PUBLISHER:x}"
    ]


def test_dead_reply_handle_is_no_subject(machine: Make, contract: SimpleNamespace) -> None:
    """rngd waits while its caller gives up, then asks for it."""
    text = ASKING.replace("    behalf =", "    kernel.wait(caps.NOTIFICATION)\n    behalf =")
    made = machine(sources={"logd": "import kernel, caps, server\n" + STATING, "rngd": text, "selftest": WAIT})
    made.start("logd")
    made.start("rngd")
    made.run()
    asker = Asker(made)
    handle = made.handle("rngd", "LOGD_APPEND")
    with pytest.raises(Error):
        asker.ask(asker.given("rngd"), 1, struct.pack("<IB", handle, 0), deadline=asker.kernel.time() + 100)
    made.signal(made.process("rngd"), 1)
    made.run()
    assert made.said("logd") == []
    assert made.process("rngd").state == contract.STATE_RECEIVING
    with pytest.raises(Error) as refused:
        asker.kernel.call(asker.given("logd"), 8, asker.kernel.time() + 100, asker.handle("NOTIFICATION"))
    assert refused.value.args[0] == contract.E_BAD_TYPE


# capabilities in replies

GIVING = """
def give(count, badge):
    for index in range(count):
        kernel.grant(index, caps.ENDPOINT, contract.RIGHT_CALL, badge + index)
    return server.grant(count)
def badge():
    return kernel.badge().to_bytes(8, "little")
server.serve({1: (give, "<BQ", 0), 2: (badge, "", 7)})
"""


def test_granted_capability_works_with_its_badge_and_rights(machine: Make, contract: SimpleNamespace) -> None:
    asker = served(machine, GIVING)
    index = asker.machine.process("selftest").row.index
    badge = FACET << contract.BADGE_FACET_SHIFT | index
    assert asker.ask(asker.given("logd"), 1, struct.pack("<BQ", 1, badge), accept=1).status == contract.STATUS_OK
    (handle,) = asker.kernel.received
    assert asker.kernel.info(handle) == (contract.OBJ_ENDPOINT, contract.RIGHT_CALL, badge)
    assert asker.ask(handle, 2).payload == badge.to_bytes(8, "little")


@pytest.mark.parametrize(("count", "accept"), [(1, 0), (2, 1), (4, 3)])
def test_more_than_accepted_is_answered_without_capabilities(
    machine: Make, contract: SimpleNamespace, count: int, accept: int
) -> None:
    asker = served(machine, GIVING)
    answer = asker.ask(asker.given("logd"), 1, struct.pack("<BQ", count, 1), accept=accept)
    assert answer.status == contract.STATUS_UNAVAILABLE
    assert asker.kernel.received == ()


def test_server_can_grant_only_what_it_may(machine: Make, contract: SimpleNamespace) -> None:
    text = GIVING.replace("caps.ENDPOINT, contract.RIGHT_CALL,", "caps.CONSOLE, contract.RIGHT_USE,")
    asker = served(machine, text)
    answer = asker.ask(asker.given("logd"), 1, struct.pack("<BQ", 1, 0), accept=1)
    assert answer.status == contract.STATUS_UNAVAILABLE
    assert asker.kernel.received == ()


# answers that are put off

PARKING = """
parked = []
def wait(word):
    parked.append(later.keep())
    return later.LATER
def release(place, status, word):
    word = bytes(word)
    kernel.buffer[server.PAYLOAD:server.PAYLOAD + len(word)] = word
    return bytes((later.answer(parked[place], status, len(word)),))
def give_up(word):
    parked.append(later.keep())
    1 // 0
def on_bits(bits):
    until = kernel.time() + 50_000
    try:
        kernel.wait(caps.NOTIFICATION, until)
    except kernel.Error:
        kernel.console("waited" if kernel.time() >= until else "cut short")
handlers = {1: (release, "<BB*", 0), 2: (wait, "*", 0), 3: (give_up, "*", 0)}
server.serve(handlers, on_bits=on_bits, on_gone=lambda: kernel.console("gone"))
"""
# Asks once, and says what came of it.
WAITING = """
import kernel, caps, contract, client, wire
try:
    answer = client.call(caps.INIT, {op}, b"some words", client.deadline({ticks}))
    kernel.console("answered " + bytes(answer).decode())
except wire.Unreachable as error:
    kernel.console("not answered %d" % error.kernel)
except wire.Refuse as refusal:
    kernel.console("refused %d" % refusal.status)
"""
APPS = ("one", "two")


def parked(make: Make, contract: SimpleNamespace, ticks: int = 1_000_000_000, op: int = 2) -> Asker:
    """The selftest, played by the test, and logd that has put off what two apps asked it."""
    code = {name: WAITING.format(ticks=ticks, op=op) for name in APPS}
    text = "import kernel, caps, contract, frame, later, server\n" + PARKING
    made = make(sources={"logd": text, "selftest": WAIT}, apps=code)
    made.start("logd")
    made.run()
    asker = Asker(made)
    cap = made.process("selftest").caps[asker.given("logd")]
    for name in APPS:
        given = replace(cap, badge=contract.BADGE_ANY_APP)
        made.add_app(name, 0, 0, made.system_row.root.index, given)
        made.start(f"app:{name}")
        made.settle()
    return asker


def release(asker: Asker, place: int, word: bytes, status: int = 0) -> bool:
    """Whether logd heard that the answer has arrived."""
    answer = asker.ask(asker.given("logd"), 1, bytes((place, status)) + word)
    assert answer.status == 0
    asker.machine.settle()
    return answer.payload == b"\1"


def heard(asker: Asker) -> list[list[str]]:
    return [asker.machine.said(f"app:{name}") for name in APPS]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_answer_that_was_put_off_reaches_whom_it_is_for(
    machine: Make, contract: SimpleNamespace, order: tuple[int, int]
) -> None:
    """In whatever order, and while the server serves others."""
    asker, words = parked(machine, contract), [b"first", b"second"]
    assert heard(asker) == [[], []]
    first, second = order
    assert release(asker, first, words[first])
    assert heard(asker)[first] == [f"answered {words[first].decode()}"]
    assert heard(asker)[second] == []
    assert release(asker, second, words[second])
    assert heard(asker) == [["answered first"], ["answered second"]]


def test_refusal_that_was_put_off_is_one(machine: Make, contract: SimpleNamespace) -> None:
    asker = parked(machine, contract)
    assert release(asker, 0, b"", contract.STATUS_DENIED)
    assert heard(asker) == [[f"refused {contract.STATUS_DENIED}"], []]


def test_answer_is_given_once(machine: Make, contract: SimpleNamespace) -> None:
    asker = parked(machine, contract)
    assert [release(asker, 0, b"word"), release(asker, 0, b"again")] == [True, False]
    assert heard(asker) == [["answered word"], []]
    assert asker.machine.process("logd").state == contract.STATE_RECEIVING


@pytest.mark.parametrize("how", ["gave up", "ended"])
def test_caller_that_has_gone_is_no_error(machine: Make, contract: SimpleNamespace, how: str) -> None:
    asker = parked(machine, contract, ticks=1000 if how == "gave up" else 1_000_000_000)
    if how == "ended":
        asker.machine.crash("app:one", contract.FAULT_MEMORY)
    else:
        asker.machine.run()
    held = len(asker.machine.process("logd").caps)
    assert not release(asker, 0, b"late")
    assert len(asker.machine.process("logd").caps) == held - 1
    assert heard(asker)[0] == ([f"not answered {contract.E_DEADLINE}"] if how == "gave up" else [])
    assert asker.machine.said("logd") == []


def test_fault_after_putting_off_is_answered_by_the_fault(machine: Make, contract: SimpleNamespace) -> None:
    asker = parked(machine, contract, op=3)
    assert heard(asker) == [[f"refused {contract.STATUS_UNAVAILABLE}"]] * 2
    assert not release(asker, 0, b"word")


def test_patience_of_who_was_put_off_bounds_nothing_else(machine: Make, contract: SimpleNamespace) -> None:
    """What the server does for itself meanwhile may take longer than that caller waits."""
    asker = parked(machine, contract, ticks=1000)
    before = asker.machine.now
    asker.machine.signal(asker.machine.process("logd"), 1)
    asker.machine.run()
    assert asker.machine.said("logd") == ["waited"]
    assert asker.machine.now - before > 50_000


# who may use which badge


@pytest.mark.parametrize(
    ("holder", "status"), [("own", "OK"), ("any_app", "OK"), ("another", "DENIED"), ("service", "DENIED")]
)
def test_app_is_served_by_its_own_badge_or_that_of_every_app(
    machine: Make, contract: SimpleNamespace, holder: str, status: str
) -> None:
    made = served(machine, "server.serve({1: (lambda: None, '', 0)})").machine
    app, other = Asker.app(made, "one"), Asker.app(made, "two")
    to = app.given("logd")
    numbers = {"own": made.app("one").row.index, "any_app": contract.BADGE_ANY_APP}
    numbers |= {"another": made.process(other.name).row.index, "service": made.process("selftest").row.index}
    made.app("one").caps[to].badge = numbers[holder]
    assert app.ask(to, 1).status == getattr(contract, f"STATUS_{status}")


@pytest.mark.parametrize("facet", [0, FACET])
def test_badge_of_every_app_is_worth_nothing_to_a_service(machine: Make, contract: SimpleNamespace, facet: int) -> None:
    """A twin of it with the service's own number is served."""
    asker = served(machine, f"server.serve({{1: (lambda: None, '', {facet})}})")
    own, anybodys = asker.given("logd", facet), asker.given("logd", facet)
    caps = asker.machine.process("selftest").caps
    caps[anybodys].badge = facet << contract.BADGE_FACET_SHIFT | contract.BADGE_ANY_APP
    assert [asker.ask(to, 1).status for to in (own, anybodys)] == [contract.STATUS_OK, contract.STATUS_DENIED]
