"""policyd: decides about whom the kernel states, records before it answers, and says no more than yes or no.

The trail is a stand-in for logd that shows each record it is given; logd's own tests are elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from shims.asker import Answer, Asker, frame
from shims.kernel import Error
from shims.machine import Machine

Make = Callable[..., Machine]
WAIT = "import kernel, caps\nkernel.wait(caps.NOTIFICATION)\n"
# Shows each record; op 99 tells it to refuse from now on (1), to take nothing in time (2), to take the next and answer too late (3),
# to tell its head late (4).
TRAIL = """
import struct, kernel, caps, contract, server
from wire import Refuse
state = {"mode": 0, "taken": DECISIONS}
def delay(ticks):
    try:
        kernel.wait(caps.NOTIFICATION, kernel.time() + ticks)
    except kernel.Error:
        pass
def take(record):
    if state["mode"] == 1:
        raise Refuse(contract.STATUS_UNAVAILABLE)
    if state["mode"] == 2:
        delay(contract.EDGE_DEADLINE_LOGD_POLICYD)
        raise Refuse(contract.STATUS_UNAVAILABLE)
    kernel.console("took " + bytes(record).hex())
    state["taken"] += record[0] == contract.AUDIT_KIND_DECISION
    if state["mode"] == 3:
        state["mode"] = 0
        delay(2000)
def head():
    if state["mode"] == 4:
        state["mode"] = 0
        delay(2000)
    return struct.pack("<QQ", 7, state["taken"]) + bytes(32)
def mode(value):
    state["mode"] = value
server.serve({
    contract.OP_LOGD_DECISION: (take, "*", contract.FACET_LOGD_DECISION),
    contract.OP_LOGD_HEAD: (head, "", contract.FACET_LOGD_HEAD),
    99: (mode, "<B", 0),
}, contract.MARK_LOGD_READY)
"""
# Asks policyd on behalf of whoever asks it: a message for policyd comes in, the status goes out.
RELAY = """
import kernel, caps, contract, server, client, wire
def relay(op, payload):
    payload = bytes(payload)
    try:
        client.call(caps.POLICYD, op, payload, client.deadline(90_000_000), kernel.handle())
    except wire.Refuse as refusal:
        raise wire.Refuse(refusal.status)
server.serve({1: (relay, "<B*", 0)})
"""


@dataclass(frozen=True)
class Record:
    kind: int
    verdict: int
    op: int
    reason: int
    action: int
    rule: int
    subject: int
    via: int
    subject_ix: int
    via_ix: int
    nonce: int
    target: bytes


def record_of(text: str) -> Record:
    data = bytes.fromhex(text.removeprefix("took "))
    assert len(data) == 96
    kind, verdict, op, reason, action, rule, seq, time, subject, via, subject_ix, via_ix, nonce, count = (
        struct.unpack_from("<BBBBHHQQQQHHII", data)
    )
    assert (seq, time, count, data[52:64]) == (0, 0, 0, bytes(12))
    target = data[64:]
    return Record(
        kind, verdict, op, reason, action, rule, subject, via, subject_ix, via_ix, nonce, target.rstrip(b"\0")
    )


def line(verdict: str, subject: str, action: str) -> str:
    return f"{verdict} (subject={subject} action={action})"


class World:
    """logd's stand-in, policyd, and relays in the places of rngd and keystored."""

    def __init__(self, make: Make, decisions: int = 0) -> None:
        trail = TRAIL.replace("DECISIONS", str(decisions))
        self.machine = make(sources={"logd": trail, "rngd": RELAY, "keystored": RELAY, "selftest": WAIT})
        for name in ("logd", "policyd", "rngd", "keystored"):
            self.machine.start(name)
        self.machine.run()
        self.contract = self.machine.contract
        self.selftest = Asker(self.machine)
        self.peer = Asker(self.machine, "selftest-peer")

    def index(self, name: str) -> int:
        return self.machine.process(name).row.index

    def ident(self, name: str) -> int:
        return self.machine.process(name).row.service_id

    def check(self, asker: Asker, action: int, target: bytes = b"-", nonce: int | None = None) -> Answer:
        """A question about oneself."""
        return asker.ask(asker.given("policyd"), self.contract.OP_POLICYD_CHECK, struct.pack("<H", action) + target)

    def relayed(self, server: str, asker: Asker, action: int, target: bytes = b"-") -> int:
        """The status of a question that a server asks about its client."""
        payload = bytes((self.contract.OP_POLICYD_CHECK,)) + struct.pack("<H", action) + target
        return asker.ask(asker.given(server), 1, payload).status

    def records(self) -> list[Record]:
        return [record_of(line) for line in self.machine.said("logd") if line.startswith("took ")]

    def stats(self) -> tuple[int, ...]:
        handle = self.selftest.given("policyd", self.contract.FACET_POLICYD_STATS)
        answer = self.selftest.ask(handle, self.contract.OP_POLICYD_STATS)
        assert answer.status == self.contract.STATUS_OK
        return struct.unpack("<QQQQ", answer.payload)

    def stats_of(self, subjects: int) -> tuple[int, ...]:
        handle = self.selftest.given("policyd", self.contract.FACET_POLICYD_STATS)
        answer = self.selftest.ask(handle, self.contract.OP_POLICYD_STATS_OF, struct.pack("<Q", subjects))
        assert answer.status == self.contract.STATUS_OK
        return struct.unpack("<QQQQ", answer.payload)

    def lines(self) -> list[str]:
        return [line for line in self.machine.said("policyd") if line.startswith(("allow", "deny"))]

    def trail_mode(self, value: int) -> None:
        assert self.selftest.ask(self.selftest.given("logd"), 99, bytes((value,))).status == 0


@pytest.fixture
def world(machine: Make) -> World:
    return World(machine)


# who it is about


def test_question_about_oneself_is_decided_for_the_sender(world: World, contract: SimpleNamespace) -> None:
    action = contract.ACTION_RNG_ENTROPY
    assert world.check(world.selftest, action) == Answer(contract.STATUS_OK, b"")
    assert world.check(world.peer, action) == Answer(contract.STATUS_DENIED, b"")
    allow, deny = world.records()
    assert (allow.verdict, allow.subject, allow.subject_ix) == (
        contract.AUDIT_VERDICT_ALLOW,
        world.ident("selftest"),
        world.index("selftest"),
    )
    assert (deny.verdict, deny.subject) == (contract.AUDIT_VERDICT_DENY, world.ident("selftest-peer"))
    assert {allow.via_ix, deny.via_ix} == {contract.AUDIT_NOBODY} and {allow.via, deny.via} == {0}
    assert allow.rule > 0 and deny.rule == 0


def test_question_on_behalf_is_decided_for_the_client_and_names_the_asker(
    world: World, contract: SimpleNamespace
) -> None:
    action = contract.ACTION_RNG_ENTROPY
    assert world.relayed("rngd", world.selftest, action) == contract.STATUS_OK
    assert world.relayed("rngd", world.peer, action) == contract.STATUS_DENIED
    for record, name in zip(world.records(), ("selftest", "selftest-peer"), strict=True):
        assert (record.subject, record.subject_ix) == (world.ident(name), world.index(name))
        assert (record.via, record.via_ix) == (world.ident("rngd"), world.index("rngd"))


def test_subject_inside_a_question_is_only_bytes(world: World, contract: SimpleNamespace) -> None:
    """Whatever the peer puts behind the action, it stays the peer; a name of somebody allowed is a target like any other."""
    for claim in (b"selftest-client", struct.pack("<Q", world.ident("selftest")), b"\x01\x02"):
        assert world.check(world.peer, contract.ACTION_RNG_ENTROPY, claim).status == contract.STATUS_DENIED
    assert {record.subject for record in world.records()} == {world.ident("selftest-peer")}


@pytest.mark.parametrize("action", ["device_keygen", "crypto_sign", "run_phase"])
def test_who_may_not_ask_about_others_is_told_no(world: World, contract: SimpleNamespace, action: str) -> None:
    """rngd has a delegate row for entropy only; that selftest itself may, changes nothing."""
    number, target = getattr(contract, f"ACTION_{action.upper()}"), b"selftest" if action == "crypto_sign" else b"-"
    assert world.check(world.selftest, number, target).status == contract.STATUS_OK
    assert world.relayed("rngd", world.selftest, number, target) == contract.STATUS_DENIED
    allowed, denied = world.records()
    assert allowed.reason == 7 and denied.reason == 3  # all but MAY_ASK


def test_app_is_held_to_its_mask(world: World, contract: SimpleNamespace) -> None:
    bit = 1 << contract.ACTION_KEYSTORE_KV
    masked, bare = Asker.app(world.machine, "some", bit), Asker.app(world.machine, "none", ~bit & (1 << 64) - 1)
    assert world.relayed("keystored", masked, contract.ACTION_KEYSTORE_KV) == contract.STATUS_OK
    assert world.relayed("keystored", bare, contract.ACTION_KEYSTORE_KV) == contract.STATUS_DENIED
    assert world.check(masked, contract.ACTION_KEYSTORE_KV).status == contract.STATUS_OK
    assert all(record.subject_ix & contract.AUDIT_APP for record in world.records())
    assert world.records()[1].reason == 5  # all but IN_MASK
    world.stats()
    assert world.lines()[0] == line("allow", "app", "keystore.kv")


# what the answer says


def test_refusals_are_alike(world: World, contract: SimpleNamespace) -> None:
    """No rule, an action that only others have, one that is none, a name that is too long to be one of a rule."""
    asked = [(contract.ACTION_CRYPTO_SIGN, b"selftest"), (contract.ACTION_DEVICE_KEY_EXPORT, b"-"), (0, b"-")]
    asked += [(contract.ACTION_CRYPTO_SIGN, b"x" * 32), (0xFFFF, b"\xff\x01\n"), (contract.ACTION_ROUTE, b"nobody")]
    to = world.peer.given("policyd")
    answers = set()
    for number, (action, target) in enumerate(asked):
        message = frame(contract.OP_POLICYD_CHECK, struct.pack("<H", action) + target, 0x1000 + number)
        answers.add(world.peer.send(to, message)[:4])
    assert answers == {bytes((1, contract.OP_POLICYD_CHECK | 0x80, contract.STATUS_DENIED, 0))}
    assert len(world.records()) == len(asked)


def test_route_and_exec_are_their_actions(world: World, contract: SimpleNamespace) -> None:
    to = world.selftest.given("policyd")
    assert world.selftest.ask(to, contract.OP_POLICYD_ROUTE, b"rngd").status == contract.STATUS_OK
    assert world.selftest.ask(to, contract.OP_POLICYD_ROUTE, b"vault").status == contract.STATUS_DENIED
    assert world.selftest.ask(to, contract.OP_POLICYD_EXEC, b"selftest.app").status == contract.STATUS_OK
    assert world.selftest.ask(to, contract.OP_POLICYD_EXEC, b"other.app").status == contract.STATUS_DENIED
    actions = [contract.ACTION_ROUTE] * 2 + [contract.ACTION_PROC_EXEC] * 2
    assert [record.action for record in world.records()] == actions
    assert [record.target for record in world.records()] == [b"rngd", b"vault", b"selftest.app", b"other.app"]


def test_stats_need_their_facet(world: World, contract: SimpleNamespace) -> None:
    plain = world.selftest.ask(world.selftest.given("policyd"), contract.OP_POLICYD_STATS)
    assert plain == Answer(contract.STATUS_DENIED, b"")
    assert world.stats() == (0, 0, 0, 0)


# what is written down

MALFORMED = [
    ("payload too short", lambda c: frame(c.OP_POLICYD_CHECK, b"\x06", 5)),
    ("name too long", lambda c: frame(c.OP_POLICYD_CHECK, b"\x06\x00" + b"x" * 33, 5)),
    ("name with a zero byte", lambda c: frame(c.OP_POLICYD_CHECK, b"\x06\x00a\x00b", 5)),
    ("route too long", lambda c: frame(c.OP_POLICYD_ROUTE, b"x" * 33, 5)),
    ("other version", lambda c: frame(c.OP_POLICYD_CHECK, b"\x06\x00-", 5, version=2)),
    ("length too small", lambda c: frame(c.OP_POLICYD_CHECK, b"\x06\x00-", 5, length=2)),
    ("length too large", lambda c: frame(c.OP_POLICYD_CHECK, b"\x06\x00-", 5, length=400)),
    ("as large as a message can be", lambda c: frame(c.OP_POLICYD_CHECK, bytes(504), 5)),
]


@pytest.mark.parametrize("message", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_malformed_question_is_refused_and_recorded(
    world: World, contract: SimpleNamespace, message: Callable[[SimpleNamespace], bytes]
) -> None:
    answer = world.peer.send(world.peer.given("policyd"), message(contract))
    assert (answer[2], answer[4:]) == (contract.STATUS_MALFORMED, b"\x05\0\0\0")
    (record,) = world.records()
    assert (record.kind, record.verdict) == (contract.AUDIT_KIND_DECISION, contract.AUDIT_VERDICT_MALFORMED)
    assert (record.subject, record.nonce) == (world.ident("selftest-peer"), 5)
    assert world.stats() == (1, 0, 1, 0)
    assert world.lines() == [line("deny", "selftest-peer", "unknown")]


def test_message_too_short_for_a_frame_is_recorded_too(world: World, contract: SimpleNamespace) -> None:
    for length in range(8):
        answer = world.peer.send(world.peer.given("policyd"), b"\x01\x01\0\0\x07\0\0\0"[:length])
        assert answer[2] == contract.STATUS_MALFORMED
    assert [record.verdict for record in world.records()] == [contract.AUDIT_VERDICT_MALFORMED] * 8


def test_record_tells_all_of_the_question(world: World, contract: SimpleNamespace) -> None:
    handle = world.selftest.given("policyd")
    message = frame(contract.OP_POLICYD_CHECK, struct.pack("<H", contract.ACTION_CRYPTO_SIGN) + b"selftest", 0xCAFE)
    assert world.selftest.send(handle, message)[2] == contract.STATUS_OK
    (record,) = world.records()
    assert (record.op, record.action, record.reason) == (contract.OP_POLICYD_CHECK, contract.ACTION_CRYPTO_SIGN, 7)
    assert (record.nonce, record.target) == (0xCAFE, b"selftest")


def test_longer_target_leaves_nothing_for_the_next_record(world: World, contract: SimpleNamespace) -> None:
    world.check(world.peer, contract.ACTION_ROUTE, b"a" * 32)
    world.check(world.peer, contract.ACTION_ROUTE, b"b")
    world.peer.send(world.peer.given("policyd"), b"\x09")
    assert [record.target for record in world.records()] == [b"a" * 32, b"b", b""]


def test_audit_comes_before_the_answer(world: World, contract: SimpleNamespace) -> None:
    """A trail that is slow makes the answer late, not the record."""
    world.trail_mode(2)
    before = world.machine.now
    world.check(world.selftest, contract.ACTION_RNG_ENTROPY)
    assert world.machine.now >= before + contract.EDGE_DEADLINE_LOGD_POLICYD


# when the trail can't be reached


@pytest.mark.parametrize("how", ["refuses", "late", "dead"])
def test_decision_that_logd_does_not_take_goes_to_the_console(
    world: World, contract: SimpleNamespace, how: str
) -> None:
    if how == "dead":
        world.machine.crash("logd", contract.FAULT_MEMORY)
    else:
        world.trail_mode(1 if how == "refuses" else 2)
    assert world.check(world.selftest, contract.ACTION_RNG_ENTROPY).status == contract.STATUS_OK
    assert world.check(world.peer, contract.ACTION_RNG_ENTROPY).status == contract.STATUS_DENIED
    told = [line for line in world.machine.said("policyd") if line.startswith(contract.LINE_FALLBACK)]
    records = [record_of("took " + line.removeprefix(contract.LINE_FALLBACK)) for line in told]
    assert [record.verdict for record in records] == [contract.AUDIT_VERDICT_ALLOW, contract.AUDIT_VERDICT_DENY]
    assert [record.subject for record in records] == [world.ident("selftest"), world.ident("selftest-peer")]
    assert world.stats() == (2, 1, 1, 2)


def test_what_can_not_be_recorded_is_refused(world: World, contract: SimpleNamespace) -> None:
    world.machine.crash("logd", contract.FAULT_MEMORY)
    world.machine.full_labels.add("policyd")
    assert world.check(world.selftest, contract.ACTION_RNG_ENTROPY) == Answer(contract.STATUS_DENIED, b"")
    world.machine.full_labels.clear()
    assert world.stats() == (0, 0, 0, 0)
    assert world.check(world.selftest, contract.ACTION_RNG_ENTROPY).status == contract.STATUS_OK


def test_answer_that_reached_nobody_is_recorded_as_undelivered(world: World, contract: SimpleNamespace) -> None:
    world.trail_mode(3)
    handle = world.selftest.given("policyd")
    message = frame(contract.OP_POLICYD_CHECK, struct.pack("<H", contract.ACTION_RNG_ENTROPY) + b"-", 77)
    with pytest.raises(Error) as late:
        world.selftest.send(handle, message, world.machine.now + 1000)
    assert late.value.args[0] == contract.E_DEADLINE
    world.machine.run()
    kinds = [(record.kind, record.verdict, record.nonce) for record in world.records()]
    allow = contract.AUDIT_VERDICT_ALLOW
    assert kinds == [(contract.AUDIT_KIND_DECISION, allow, 77), (contract.AUDIT_KIND_UNDELIVERED, allow, 77)]


def test_other_answer_that_reached_nobody_is_no_decision(world: World, contract: SimpleNamespace) -> None:
    """The answer to STATS is lost, after a decision that arrived."""
    world.trail_mode(2)
    assert world.check(world.selftest, contract.ACTION_RNG_ENTROPY).status == contract.STATUS_OK
    world.trail_mode(4)
    handle = world.selftest.given("policyd", contract.FACET_POLICYD_STATS)
    with pytest.raises(Error):
        world.selftest.send(handle, frame(contract.OP_POLICYD_STATS, b"", 5), world.machine.now + 1000)
    world.machine.run()
    kinds = [record.kind for record in world.records()] + [
        bytes.fromhex(told.removeprefix(contract.LINE_FALLBACK))[0]
        for told in world.machine.said("policyd")
        if told.startswith(contract.LINE_FALLBACK)
    ]
    assert kinds == [contract.AUDIT_KIND_DECISION]


def test_record_that_logd_took_too_late_is_counted_once_with_its_line(world: World, contract: SimpleNamespace) -> None:
    """Nobody can say whether a server that did not answer did the work; the trail's own count settles it."""
    world.trail_mode(3)
    handle = world.selftest.given("policyd")
    with pytest.raises(Error):
        world.selftest.send(handle, frame(contract.OP_POLICYD_CHECK, b"\x06\x00-", 1), world.machine.now + 1000)
    world.machine.run()
    fallbacks = [line for line in world.machine.said("policyd") if line.startswith(contract.LINE_FALLBACK)]
    decisions = [record for record in world.records() if record.kind == contract.AUDIT_KIND_DECISION]
    assert (len(fallbacks), len(decisions)) == (1, 1)
    assert world.stats()[0] == 2 and world.stats()[3] == 1


# counts and lines


def test_audit_all_decisions_in_counts_lines_and_records(world: World, contract: SimpleNamespace) -> None:
    for _ in range(20):
        world.check(world.selftest, contract.ACTION_RNG_ENTROPY)
        world.check(world.peer, contract.ACTION_DEVICE_KEYGEN)
        world.peer.send(world.peer.given("policyd"), b"")
    assert world.stats() == (60, 20, 40, 0)
    assert len(world.records()) == 60
    lines = world.lines()
    assert lines.count(line("allow", "selftest-client", "rng.entropy")) == 20
    assert lines.count(line("deny", "selftest-peer", "device.keygen")) == 20
    assert lines.count(line("deny", "selftest-peer", "unknown")) == 20


def test_decisions_are_counted_by_whom_they_are_about(world: World, contract: SimpleNamespace) -> None:
    """By the subject, whoever asks for it; apps by their dense index, too."""
    for _ in range(3):
        world.check(world.selftest, contract.ACTION_RNG_ENTROPY)
        world.check(world.peer, contract.ACTION_DEVICE_KEYGEN)
    world.relayed("rngd", world.peer, contract.ACTION_RNG_ENTROPY)
    app = Asker.app(world.machine, "some.app")
    world.check(app, contract.ACTION_RNG_ENTROPY)
    own, peer, of_app = (1 << world.index(name) for name in ("selftest", "selftest-peer", "app:some.app"))
    assert world.stats_of(own) == (3, 3, 0, 0)
    assert world.stats_of(peer) == (4, 0, 4, 0)
    assert world.stats_of(of_app) == (1, 0, 1, 0)
    assert world.stats_of(own | peer | 1 << 63) == (7, 3, 4, 0)
    assert world.stats_of((1 << 64) - 1) == world.stats() == (8, 3, 5, 0)


def test_lines_of_later_decisions_wait_until_the_number_of_those_before_is_told(
    world: World, contract: SimpleNamespace
) -> None:
    """Idle or asked for its counts, policyd prints none; a hold that is asked for again tells of all that were held."""
    hold = world.selftest.given("policyd", contract.FACET_POLICYD_HOLD)
    world.check(world.selftest, contract.ACTION_RNG_ENTROPY)
    for before in (1, 3):
        answer = world.selftest.ask(hold, contract.OP_POLICYD_HOLD)
        assert struct.unpack("<QQQQ", answer.payload)[0] == before == len(world.lines())
        for _ in range(2):
            world.check(world.peer, contract.ACTION_DEVICE_KEYGEN)
            world.machine.run()
            world.stats()
            assert len(world.lines()) == before
    assert world.selftest.ask(hold, contract.OP_POLICYD_GO_ON).status == contract.STATUS_OK
    world.machine.run()
    assert len(world.lines()) == 5


def test_nobody_but_init_can_hold_lines_back(world: World, contract: SimpleNamespace) -> None:
    for facet in (0, contract.FACET_POLICYD_STATS):
        handle = world.selftest.given("policyd", facet)
        for op in (contract.OP_POLICYD_HOLD, contract.OP_POLICYD_GO_ON):
            assert world.selftest.ask(handle, op).status == contract.STATUS_DENIED
    assert not [edge for edge in world.machine.system_row.routes if edge.facet == "hold"]


def test_line_waits_until_nobody_asks(world: World, contract: SimpleNamespace) -> None:
    world.check(world.selftest, contract.ACTION_RNG_ENTROPY)
    assert world.lines() == []
    world.machine.run()
    assert world.lines() == [line("allow", "selftest-client", "rng.entropy")]


def test_restarted_policyd_goes_on_counting_where_the_trail_ends(machine: Make, contract: SimpleNamespace) -> None:
    world = World(machine, decisions=5)
    world.machine.crash("logd", contract.FAULT_MEMORY)
    world.check(world.selftest, contract.ACTION_RNG_ENTROPY)
    assert world.stats() == (6, 1, 0, 1)
    world.machine.start("logd")
    world.machine.run()
    world.machine.crash("policyd", contract.FAULT_MEMORY)
    world.machine.start("policyd")
    world.machine.run()
    assert world.stats() == (6, 1, 0, 1)


def test_latch_that_is_closed_stays_closed_for_a_restarted_policyd(machine: Make, contract: SimpleNamespace) -> None:
    """Which gates count is asked of the kernel at each decision."""
    source = "guest/services/policyd/main.py"
    world = World(machine)
    text = (world.machine.root / source).read_text(encoding="utf-8")
    shown = text.replace("server.serve(", "HANDLERS[100] = (lambda: bytes((_gates(),)), '', 0)\nserver.serve(")
    made = machine(sources={"policyd": shown, "selftest": WAIT, "logd": TRAIL.replace("DECISIONS", "0")})
    for name in ("logd", "policyd"):
        made.start(name)
    made.run()
    asker = Asker(made)

    def gates() -> int:
        return asker.ask(asker.given("policyd"), 100).payload[0]

    always = contract.GATE_DEBUG_IMAGE
    assert gates() == always | contract.GATE_BRING_UP
    made.bring_up_open = False
    assert gates() == always
    made.crash("policyd", contract.FAULT_MEMORY)
    made.start("policyd")
    made.run()
    assert gates() == always
