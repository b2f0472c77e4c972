"""init: the order of bring-up, restarts within a budget, what each death costs, and who may close which phase."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from shims.asker import Asker
from shims.device import Device, healthy, silent
from shims.machine import Machine

Make = Callable[..., Machine]
IDLE = "import kernel, caps\nwhile True:\n    kernel.wait(caps.NOTIFICATION)\n"
FAULTY = "import kernel\nkernel.exit(9)\n"
ROW = ("rngd", 2, 4, 2, False, True, 0x105, 0x106)


@pytest.fixture
def rules(pure: Callable[..., Any]) -> Any:
    return pure("supervision", "services/init")


# the rules as functions


def after(rules: Any, row: tuple[Any, ...], fault: int, value: int = 0, up: bool = True, proven: bool = True) -> Any:
    return rules.after(rules.Child(row), fault, value, up, proven)


def test_fault_is_restarted_within_the_budget(rules: Any, contract: SimpleNamespace) -> None:
    child = rules.Child(ROW)
    actions = [rules.after(child, contract.FAULT_MEMORY, 0, False, False)[0] for _ in range(4)]
    assert actions == [rules.RESTART, rules.RESTART, rules.DEGRADE, rules.DEGRADE]


def test_exhausted_critical_process_ends_the_system(rules: Any, contract: SimpleNamespace) -> None:
    row = ("logd", 1, 5, 0, True, True, 1, 2)
    for up in (True, False):
        assert after(rules, row, contract.FAULT_HUNG, 0, up) == (rules.END, contract.EXIT_CRITICAL_DIED)


def test_exit_that_calls_itself_final_is_not_restarted(rules: Any, contract: SimpleNamespace) -> None:
    action, _ = after(rules, ROW, contract.FAULT_EXIT, contract.LEAVE_FINAL, False, False)
    assert action == rules.DEGRADE
    action, _ = after(rules, ROW, contract.FAULT_MEMORY, contract.LEAVE_FINAL, False, False)
    assert action == rules.RESTART


def test_proof_that_dies_fails_the_run(rules: Any, contract: SimpleNamespace) -> None:
    for name in ("selftest", "selftest-peer"):
        row = (name, 3, 1, 3, False, name != "selftest", 0, 2)
        assert after(rules, row, contract.FAULT_EXIT, 1) == (rules.END, contract.EXIT_SELFTEST_FAILED)
        assert after(rules, row, contract.FAULT_KILLED) == (rules.END, contract.EXIT_SELFTEST_FAILED)


def test_exit_of_a_process_that_serves_nobody_is_its_end(rules: Any, contract: SimpleNamespace) -> None:
    row = ("selftest", 3, 1, 3, False, False, 0, 2)
    assert after(rules, row, contract.FAULT_EXIT, contract.LEAVE_OK)[0] == rules.LEAVE
    assert after(rules, ROW, contract.FAULT_EXIT, contract.LEAVE_OK)[0] == rules.RESTART


def test_bring_up_without_a_service_fails_a_proven_run_only(rules: Any, contract: SimpleNamespace) -> None:
    row = (*ROW[:3], 0, *ROW[4:])
    assert after(rules, row, contract.FAULT_HUNG, 0, True, True) == (rules.END, contract.EXIT_SELFTEST_FAILED)
    assert after(rules, row, contract.FAULT_HUNG, 0, True, False)[0] == rules.DEGRADE
    assert after(rules, row, contract.FAULT_HUNG, 0, False, True)[0] == rules.DEGRADE


def test_phases_close_in_order_and_once(rules: Any, contract: SimpleNamespace) -> None:
    assert rules.closing(3, 3, 8) == contract.STATUS_OK
    assert rules.closing(2, 3, 8) == contract.STATUS_EXISTS
    assert rules.closing(4, 3, 8) == contract.STATUS_UNAVAILABLE
    for wanted in (8, 9, 255):
        assert rules.closing(wanted, 3, 8) == contract.STATUS_MALFORMED
    assert rules.closing(7, 8, 8) == contract.STATUS_EXISTS


# on the simulated kernel


def test_bring_up_goes_from_the_highest_rank_down(machine: Make) -> None:
    m = machine(sources={"selftest": IDLE})
    m.boot()
    marks = [(row.label, row.text) for row in m.loaded_contract.markers if row.phase == "bring-up"]
    assert m.lines[: len(marks)] == [f"{label}: {text}" for label, text in marks]
    assert m.lines[len(marks)] == "init: phase bring-up decisions=0"
    assert not m.bring_up_open


def test_latch_closes_after_ready_and_before_anything_below_runs(machine: Make) -> None:
    watcher = 'import kernel\nkernel.console("bring-up open" if kernel.bring_up() else "bring-up closed")\n'
    m = machine(sources={"selftest": watcher + IDLE, "selftest-peer": watcher + IDLE, "logd": watcher + FAULTY})
    m.boot()
    assert m.said("logd")[0] == "bring-up open"
    m = machine(sources={"selftest": watcher + IDLE})
    m.boot()
    assert m.said("SELFTEST") == ["bring-up closed"]


@pytest.mark.parametrize("name", ["logd", "rngd"])
def test_service_that_faults_at_start_uses_up_its_restarts(machine: Make, name: str) -> None:
    m = machine(sources={name: FAULTY})
    m.boot()
    allowed = m.process(name).row.restarts
    assert m.process(name).incarnation == 1 + allowed
    assert m.lines.count(f"kernel: fault label={name} why=exit value=9") == 1 + allowed
    critical = "critical" in m.process(name).row.flags
    assert m.exit_code == (m.contract.EXIT_CRITICAL_DIED if critical else m.contract.EXIT_SELFTEST_FAILED)
    assert m.said("init") == [m.contract.LINE_UNAVAILABLE + name]


def test_service_that_neither_answers_nor_stops_is_stopped(machine: Make) -> None:
    m = machine(sources={"rngd": IDLE})
    m.boot()
    assert m.lines.count("init: not ready rngd") == 1 + m.process("rngd").row.restarts
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED


def test_silent_device_ends_the_run_with_its_reason(machine: Make) -> None:
    m = machine(device=Device(silent))
    m.boot()
    assert set(m.said("rngd")) == {m.contract.LINE_DEVICE_SILENT}
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED
    assert m.now < m.contract.EDGE_DEADLINE_ALL_READY


def test_default_system_goes_on_without_a_device(machine: Make) -> None:
    """Nobody proves anything there; init never says ready, but the latch is closed all the same."""
    m = machine("default", device=Device(healthy(), present=False))
    m.boot()
    assert m.exit_code is None
    assert m.said("init") == ["unavailable rngd", "phase bring-up decisions=0"]
    assert not m.bring_up_open
    assert m.process("rngd").incarnation == 1


@pytest.mark.parametrize("fault", ["FAULT_MEMORY", "FAULT_HUNG", "FAULT_KILLED"])
def test_service_that_dies_later_is_restarted_and_ready_again(machine: Make, fault: str) -> None:
    m = machine(sources={"selftest": IDLE})
    m.boot()
    m.crash("rngd", getattr(m.contract, fault))
    m.run()
    assert m.process("rngd").state == m.contract.STATE_RECEIVING
    assert m.process("rngd").incarnation == 2
    assert m.said("rngd") == ["ready", "ready"]
    assert m.exit_code is None


MUTE = """
import kernel, caps, server, contract
if kernel.incarnation() == 1:
    server.serve({}, contract.MARK_DROPD_READY)
while True:
    kernel.wait(caps.NOTIFICATION)
"""


def test_service_that_comes_back_mute_keeps_nobody_from_an_answer(machine: Make) -> None:
    """Not for longer than it may take to be ready; and whoever dies meanwhile and ranks higher is started before its next try."""
    m = machine(sources={"selftest": IDLE, "dropd": MUTE})
    m.boot()
    me, ready = Asker(m, "selftest"), m.contract.SERVICE_TIME_ALL_READY
    m.crash("dropd", m.contract.FAULT_MEMORY)
    m.crash("policyd", m.contract.FAULT_MEMORY)
    for _ in range(3):
        until = m.now + m.contract.EDGE_DEADLINE_INIT_ALL
        answer = me.ask(me.handle("INIT"), m.contract.OP_INIT_ROUTE_GET, b"rngd", deadline=until, accept=1)
        assert (answer.status, m.process("policyd").incarnation) == (m.contract.STATUS_OK, 2)
    assert m.now < (2 + m.process("dropd").row.restarts) * ready


def test_two_deaths_at_once_are_both_seen(machine: Make) -> None:
    m = machine(sources={"selftest": IDLE})
    m.boot()
    m.crash("logd", m.contract.FAULT_MEMORY)
    m.crash("rngd", m.contract.FAULT_MEMORY)
    m.run()
    assert [m.process(name).incarnation for name in ("logd", "rngd")] == [2, 2]


def test_critical_service_beyond_its_restarts_ends_the_system(machine: Make) -> None:
    m = machine(sources={"selftest": IDLE})
    m.boot()
    for _ in range(m.process("logd").row.restarts):
        m.crash("logd", m.contract.FAULT_MEMORY)
        m.run()
        assert m.exit_code is None
    m.crash("logd", m.contract.FAULT_MEMORY)
    m.run()
    assert m.exit_code == m.contract.EXIT_CRITICAL_DIED


@pytest.mark.parametrize("name", ["selftest", "selftest-peer"])
def test_death_of_a_proof_ends_the_run(machine: Make, name: str) -> None:
    m = machine(sources={"selftest": IDLE})
    m.boot()
    m.crash(name, m.contract.FAULT_MEMORY)
    m.run()
    assert m.exit_code == m.contract.EXIT_SELFTEST_FAILED


def places(lines: list[str]) -> list[int]:
    """Where phases are closed."""
    return [at for at, line in enumerate(lines) if line.startswith("init: phase")]


@pytest.mark.parametrize("stop", range(8))
def test_run_ends_with_the_phase_that_was_asked_for(machine: Make, stop: int) -> None:
    m = machine()
    m.stop_phase = stop
    m.boot()
    assert m.exit_code == m.contract.EXIT_OK
    closed = [line for line in m.said("init") if line.startswith("phase")]
    assert [line.split(" decisions=")[0] for line in closed] == [
        f"phase {name}" for name in m.contract.PHASES.split()[: stop + 1]
    ]
    lines = [line for line in m.lines if line.startswith(("policyd: allow", "policyd: deny", "init: phase"))]
    for before, line in zip([-1, *places(lines)], places(lines), strict=False):
        assert int(lines[line].split("=")[1]) == line - before - 1


# A logd that dies of the first record that it is given, and a policyd that gives it one.
MORTAL = """
import kernel, contract, server
def on_event(kind, reason, index):
    kernel.console("event %d %d" % (kind, index))
server.serve({
    contract.OP_LOGD_DECISION: (lambda record: kernel.exit(9), "*", contract.FACET_LOGD_DECISION),
    contract.OP_LOGD_EVENT: (on_event, contract.REQUEST_LOGD_EVENT, contract.FACET_LOGD_EVENT),
    contract.OP_LOGD_CLOSE: (lambda: kernel.console("closed") and None, "", contract.FACET_LOGD_EVENT),
}, contract.MARK_LOGD_READY)
"""
DEADLY = """
import struct, caps, client, contract, server
from wire import Refuse
def on_check(action, target):
    try:
        client.call(caps.LOGD_DECISION, contract.OP_LOGD_DECISION, b"", client.deadline(1000000))
    except Refuse:
        return
server.serve({
    contract.OP_POLICYD_CHECK: (on_check, "<H*", 0),
    contract.OP_POLICYD_HOLD: (lambda: bytes(32), "", contract.FACET_POLICYD_HOLD),
    contract.OP_POLICYD_GO_ON: (lambda: None, "", contract.FACET_POLICYD_HOLD),
}, contract.MARK_POLICYD_READY)
"""
LAST = "import proof, contract\nproof.close_phase(contract.PHASE_MMIO)\n"


def test_service_that_dies_in_the_last_moment_is_looked_after_before_the_end(machine: Make) -> None:
    """So its death is in the trail, and a new logd can tell where that ends."""
    m = machine(sources={"logd": MORTAL, "policyd": DEADLY, "selftest": LAST})
    m.stop_phase = m.contract.PHASE_MMIO
    m.boot()
    assert m.exit_code == m.contract.EXIT_OK
    latch, restart = m.contract.AUDIT_KIND_LATCH, m.contract.AUDIT_KIND_RESTART
    events = [f"event {latch} {m.process('init').row.index}", f"event {restart} {m.process('logd').row.index}"]
    assert m.said("logd") == ["ready", events[0], "ready", events[1], "closed"]


def test_keep_leaves_the_machine_running(machine: Make) -> None:
    m = machine()
    m.flags = m.contract.FLAG_KEEP
    m.boot()
    assert m.exit_code is None
    assert m.said("init")[-1].startswith("phase end decisions=")
    assert m.process("selftest").fault == m.contract.FAULT_EXIT


def test_phase_out_of_turn_is_refused(machine: Make) -> None:
    m = machine(sources={"selftest": "import kernel, caps\nkernel.exit(0)\n"})
    m.boot()
    asker = Asker(m)
    op, handle = m.contract.OP_INIT_PHASE_DONE, asker.handle("INIT")
    answers = [asker.ask(handle, op, bytes([phase])).status for phase in (0, 2, 8, 1, 1)]
    contract = m.contract
    assert answers == [
        contract.STATUS_EXISTS,
        contract.STATUS_UNAVAILABLE,
        contract.STATUS_MALFORMED,
        contract.STATUS_OK,
        contract.STATUS_EXISTS,
    ]


LATE = """
import struct, kernel, caps, server, contract
held = []

def on_hold():
    held.append(1)
    if len(held) > 1:
        kernel.wait(caps.NOTIFICATION, kernel.time() + 2 * contract.EDGE_DEADLINE_POLICYD_ALL)
    return struct.pack(contract.REPLY_POLICYD_HOLD, 0, 0, 0, 0)

server.serve({
    contract.OP_POLICYD_CHECK: (lambda action, target: None, contract.REQUEST_POLICYD_CHECK, contract.BADGE_FACET_ANY),
    contract.OP_POLICYD_HOLD: (on_hold, contract.REQUEST_POLICYD_HOLD, contract.FACET_POLICYD_HOLD),
    contract.OP_POLICYD_GO_ON: (lambda: kernel.console("goes on"), "", contract.FACET_POLICYD_HOLD),
}, contract.MARK_POLICYD_READY)
"""


def test_policyd_that_was_too_late_to_hold_its_lines_is_let_go_on(machine: Make) -> None:
    m = machine(sources={"selftest": IDLE, "policyd": LATE})
    m.boot()
    assert m.said("policyd").count("goes on") == 1  # bring-up is closed
    asker = Asker(m)
    until = m.now + m.contract.EDGE_DEADLINE_INIT_ALL
    answer = asker.ask(asker.handle("INIT"), m.contract.OP_INIT_PHASE_DONE, bytes([1]), deadline=until)
    assert answer.status == m.contract.STATUS_UNAVAILABLE
    assert m.said("policyd").count("goes on") == 2


def test_ps_states_what_the_kernel_states(machine: Make) -> None:
    m = machine(sources={"selftest": "import kernel, caps\nkernel.exit(0)\n"})
    m.boot()
    asker = Asker(m)
    row = m.process("rngd").row
    answer = asker.ask(asker.handle("INIT"), m.contract.OP_INIT_PS, bytes([row.index]))
    state, _, _, _, _, service_id, incarnation, rank, _, _, messages = struct.unpack("<IIQQQQIIIIQ", answer.payload)
    assert (state, service_id, incarnation, rank) == (m.contract.STATE_RECEIVING, row.service_id, 1, row.rank)
    assert messages == 1, "READY"
    assert asker.ask(asker.handle("INIT"), m.contract.OP_INIT_PS, b"\xff").status == m.contract.STATUS_NOT_FOUND
