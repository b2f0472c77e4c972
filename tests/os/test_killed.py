"""A service faults, at each phase of the ladder, asleep or in the midst of a call: whatever follows, nothing is allowed that policy
denies, no proof is claimed that was not made, the trail verifies and tells what happened, and the service is back or the run has ended
with its named code.

Scenario: the selftest system under a debugger, one boot after the other; see machine/breaker.py for what "faults" means.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import pairwise

import pytest

from nexus.audit.record import Form, Record
from nexus.audit.source import Reader, head_in, region_of
from nexus.audit.trail import Trail, from_store, verify
from nexus.bundle.app import FILE, load_app
from nexus.contract.load import load_contract
from nexus.layout import RAM_BASE, contract_dir, find_root
from nexus.machine.breaker import Breaker
from nexus.machine.kernelview import KernelView
from nexus.machine.live import Machine
from nexus.machine.probe import Probe
from nexus.plugin import Boot
from nexus.policy.evaluate import EVERY_ACTION, Evaluator, load_evaluator
from nexus.recipe.check import load_system
from nexus.recipe.model import service_id

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
FORM = Form(CONTRACT)
SYSTEM = load_system("selftest", ROOT, CONTRACT)
NAMES = tuple(process.id_name for process in SYSTEM.processes)
EXITS = CONTRACT.table("exit")
LINES = {name: str(text) for name, text in CONTRACT.table("line").items()}
ACTIONS = {number: name for name, number in FORM.actions.items()}
PROOFS = [re.compile(row.pattern or re.escape(row.text or "")) for row in CONTRACT.markers if row.label == "SELFTEST"]
FAILED = re.compile(r" FAIL |^uncaught (?:Refuse|Unreachable|BadReply) ")
READY = next(f"{row.label}: {row.text}" for row in CONTRACT.markers if row.name == "init_ready")
DECISION = re.compile(r"policyd: (allow|deny) \(subject=(\S+) action=(\S+)\)")
# So often, at least, is each found at work; and so many returns of the kernel later it is in the midst of it.
WORKS = {"logd": 7, "policyd": 7, "rngd": 2, "vault": 1, "keystored": 3, "bundlemgrd": 3, "execd": 3}
LATER = {"logd": 4, "policyd": 4, "rngd": 4, "vault": 2, "keystored": 6, "bundlemgrd": 6, "execd": 6}
SERVICES = ("logd", "policyd", "rngd", "vault", "keystored", "bundlemgrd", "execd")
# Phases in which it is broken, where that is not all of them: what nobody asks shows nothing.
PHASES = dict.fromkeys(("bundlemgrd", "execd", "dropd"), ("bring-up", "bundle", "exec"))
# Phases in which it is asked for something; to look for it in others means a stop at each call of the kernel.
AT_WORK = {
    **dict.fromkeys(("logd", "policyd"), CONTRACT.phases[1:]),
    "rngd": ("mmio", "routing", "policy", "logd", "exec", "end"),
    "vault": ("policy", "logd", "bundle"),  # in the last one it is woken, and asked for nothing more
    "keystored": ("routing", "policy", "logd", "bundle", "exec"),
    **dict.fromkeys(("bundlemgrd", "execd"), ("routing", "bundle", "exec")),
}
# Time is counted in instructions, so that no busy host makes anybody late. Not sleep=off: each stop would take the clock to QEMU's next timer.
EXACT = "shift=0"
MEMORY = CONTRACT.number("fault.memory")
CLIENT = "SELFTEST"
BUNDLEMGRD, EXECD = CONTRACT.table("op.bundlemgrd"), CONTRACT.table("op.execd")
RECORD, PURGE = CONTRACT.number("op.logd.bundle"), CONTRACT.number("op.keystored.purge")
APP = re.compile(r"kernel: fault label=app:(\S+) ")


@dataclass(frozen=True)
class Run:
    """One boot, from its console and from the memory of its last moment."""

    code: int
    lines: list[str]
    trail: Trail

    @cached_property
    def proofs(self) -> list[str]:
        return [line.removeprefix("SELFTEST: ") for line in self.lines if line.startswith("SELFTEST: ")]

    @cached_property
    def fallbacks(self) -> list[Record]:
        """Decisions that logd did not take."""
        text = "\n".join(self.lines).replace("\npolicyd| ", "")
        found = re.findall(rf"^policyd: {LINES['fallback']}([0-9a-f]+)$", text, re.MULTILINE)
        return [FORM.parse(bytes.fromhex(one).ljust(FORM.bytes, b"\0")) for one in found]

    def records(self, kind: str) -> list[Record]:
        return [row for _, row in self.trail.records if row.kind == FORM.kinds[kind]]

    def told(self, label: str, text: str) -> int:
        return self.lines.count(f"{label}: {text}")


def ended(machine: Machine, breaker: Breaker) -> Run:
    """Let the boot come to its end."""
    code = breaker.until_end()
    reader = Reader(machine.read_phys(RAM_BASE, machine.target.ram_bytes))
    data = region_of(KernelView(machine.target.elf, reader), "logd", CONTRACT, FORM)
    return Run(code, machine.last_boot("kernel: end run="), from_store(FORM, NAMES, data))


# ---- what must hold whatever has happened ----------------------------------------------------------------------------


def check_proofs(run: Run) -> None:
    """Those claimed are the first ones in their order; a run that passed has all, one that failed says at which it did."""
    claimed = [text for text in run.proofs if not FAILED.search(text)]
    assert all(pattern.fullmatch(text) for pattern, text in zip(PROOFS, claimed, strict=False)), claimed
    if run.code == EXITS["ok"]:
        assert run.proofs == claimed and len(claimed) == len(PROOFS), run.proofs
    if run.code == EXITS["selftest_failed"]:
        assert len(run.proofs) == len(claimed) + 1 and FAILED.search(run.proofs[-1]), run.proofs
    assert run.code in (EXITS["ok"], EXITS["selftest_failed"], EXITS["critical_died"]), run.code


@cache
def host_evaluator() -> Evaluator:
    return load_evaluator(SYSTEM, CONTRACT, ROOT)


@cache
def apps() -> dict[int, tuple[str, tuple[int, ...]]]:
    """By service id: name of the app, and the mask of each manifest that it can be started with."""
    known: dict[str, list[int]] = {}
    for path in SYSTEM.bundle_paths:
        if (ROOT / path / FILE).is_file():
            app = load_app(ROOT / path, ROOT, CONTRACT)
            known.setdefault(f"app:{app.id}", []).append(sum(1 << request.action for request in app.requests))
    return {service_id(name): (name, tuple(masks)) for name, masks in known.items()}


def subject_of(row: Record) -> tuple[str, str, tuple[int, ...]]:
    """Its name, that name on the console, and what its mask may be."""
    if not row.subject_ix & FORM.app:
        return NAMES[row.subject_ix], NAMES[row.subject_ix], (EVERY_ACTION,)
    name, masks = apps()[row.subject]
    return name, LINES["app"], masks


def check_decisions(run: Run) -> None:
    """Each verdict on record is the host's own; each line on the console has a record."""
    evaluator = host_evaluator()
    latch = min((row.seq for row in run.records("latch")), default=run.trail.seq + 1)
    made: Counter[tuple[str, str, str]] = Counter()
    for row in [*run.records("decision"), *run.fallbacks]:
        subject, shown, masks = subject_of(row)
        via = None if row.via_ix == FORM.nobody else NAMES[row.via_ix]
        action, target = ACTIONS.get(row.action, LINES["unknown"]), row.target.rstrip(b"\0").decode("latin1")
        gates = ("bring_up",) if 0 < row.seq < latch else ()
        allows = [evaluator.decide(subject, action, target, gates, via, mask).allow for mask in masks]
        if row.verdict == FORM.verdicts["allow"]:
            assert any(allows), (subject, action, target, gates, via)
        elif row.verdict == FORM.verdicts["deny"] and all(
            allows
        ):  # a record does not tell "rngd" from "rngd" and a zero
            assert not evaluator.decide(subject, action, target + "\0", gates, via).allow
        made["allow" if row.verdict == FORM.verdicts["allow"] else "deny", shown, action] += row.count or 1
    for line in run.lines:
        if found := DECISION.fullmatch(line):
            made[found[1], found[2], found[3]] -= 1
    assert min(made.values(), default=0) >= 0, made


def check_bundles(run: Run) -> None:
    """Nothing was done with a bundle, and no app ran, that nobody was allowed to."""
    rows = [row for row in (*run.records("decision"), *run.fallbacks) if row.verdict == FORM.verdicts["allow"]]
    allowed = {(row.subject, row.action, row.target) for row in rows}
    for row in run.records("bundle"):
        if row.verdict == FORM.verdicts["allow"] and row.via:  # without it bundlemgrd's own
            assert (row.subject, row.action, row.target) in allowed, FORM.to_json(row)
    ran = {found[1] for line in run.lines if (found := APP.match(line))}
    exec = FORM.actions["proc.exec"]
    assert ran <= {row.target.rstrip(b"\0").decode() for row in rows if row.action == exec}


def check_counts(run: Run) -> None:
    """What init told at the ends of the phases is what the trail and the fallback lines hold."""
    told = re.findall(rf"^init: {LINES['phase']}\S+{LINES['decisions']}(\d+)$", "\n".join(run.lines), re.MULTILINE)
    if run.code == EXITS["ok"]:
        assert sum(map(int, told)) == run.trail.decisions + len(run.fallbacks), told


def check_trail(run: Run) -> None:
    assert [str(finding) for finding in verify(run.trail)] == []
    told = head_in("\n".join(run.lines), CONTRACT)
    assert told is None or told == run.trail.head()
    assert told is not None or run.code == EXITS["critical_died"] or run.told("logd", "ready") == 0


def check(run: Run) -> None:
    for rule in (check_proofs, check_decisions, check_bundles, check_counts, check_trail):
        rule(run)


def check_back(run: Run, service: str, faults: int = 1) -> None:
    """It was started again, which is on record with the fault, and it has answered since."""
    assert sum(line.startswith(f"kernel: fault label={service} cause=memory") for line in run.lines) == faults
    assert run.told(service, "ready") >= 1
    ident = service_id(service)
    found = [row for row in run.records("restart") if (row.subject, row.reason) == (ident, MEMORY)]
    assert len(found) == faults, found
    later = [row for row in run.records("restart") if (row.subject, row.reason) == (ident, 0)]
    assert len(later) == (faults if service == "logd" else 0)  # what a new logd says of itself


# ---- a fault in each phase -------------------------------------------------------------------------------------------


def restarts_of(service: str) -> int:
    return SYSTEM.process(service).restarts


def asleep(service: str, breaker: Breaker, phase: str) -> bool:
    """At the beginning of the phase; in the first one, while init waits for the answer that it is ready."""
    if phase == CONTRACT.phases[0]:
        return breaker.until_line(f"{service}: ready") is not None
    return breaker.until_phase(phase)


def at_work(service: str, times: int, breaker: Breaker, phase: str) -> bool:
    return breaker.until_phase(phase) and breaker.into(service, times)


def break_in_each(machine: Machine, service: str, phases: Sequence[str], reach: Callable[[Breaker, str], bool]) -> int:
    """Break the service where `reach` leads to in each of these phases, in as few boots as its restarts allow; where it could be."""
    left, broken = list(phases), 0
    with machine.held() as breaker:
        while left:
            faults = 0
            for phase in left[:: -(-len(left) // restarts_of(service))]:
                if reach(breaker, phase):
                    assert breaker.break_process(service)
                    faults += 1
                    left.remove(phase)
                elif faults == 0:
                    left.remove(phase)  # it has nothing to do there
            run = ended(machine, breaker)
            check(run)
            check_back(run, service, faults)
            broken += faults
            breaker.again()
    return broken


@pytest.mark.parametrize("service", [*SERVICES, "dropd"])
def test_fault_in_its_sleep_at_the_beginning_of_each_phase(boot: Boot, service: str) -> None:
    machine = boot(icount=EXACT)
    phases = PHASES.get(service, CONTRACT.phases)
    broken = break_in_each(machine, service, phases, partial(asleep, service))
    assert broken == len(phases)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("later", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["woken", "later"])
def test_fault_in_the_midst_of_its_work_in_each_phase(boot: Boot, service: str, later: bool) -> None:
    """Behind the wait for what it is asked; and at a later return of the kernel, in the midst of an answer or a call of its own."""
    machine = boot(icount=EXACT)
    reach = partial(at_work, service, LATER[service] if later else 1)
    phases = AT_WORK[service]
    if service == "vault" and later:
        phases = phases[:-1]
    broken = break_in_each(machine, service, phases, reach)
    assert broken >= WORKS[service]


def test_each_is_broken_in_every_phase_in_which_it_works(boot: Boot) -> None:
    """By the kernel's own count of the calls that each was given."""
    given = []
    with boot(icount=EXACT).held() as breaker:
        for phase in CONTRACT.phases[1:]:
            assert breaker.until_phase(phase)
            given.append({service: breaker.calls_of(service) for service in SERVICES})
        breaker.until_end()
        given.append({service: breaker.calls_of(service) for service in SERVICES})
    for service in SERVICES:
        counts = zip(CONTRACT.phases[1:], pairwise(one[service] for one in given), strict=True)
        assert tuple(phase for phase, (before, after) in counts if after > before) == AT_WORK[service]


# ---- a fault in the midst of what has more than one step -------------------------------------------------------------


def stages(breaker: Breaker) -> bool:
    """bundlemgrd has a region for a new bundle."""
    return breaker.until_phase("bundle") and breaker.until_kernel("region_map", "bundlemgrd")


def puts(breaker: Breaker) -> bool:
    """A piece of it is there, and the next one comes."""
    return stages(breaker) and all(breaker.until_request(CLIENT, BUNDLEMGRD["put"]) for _ in range(2))


def seals(breaker: Breaker) -> bool:
    return stages(breaker) and breaker.until_kernel("region_seal", "bundlemgrd")


def records(breaker: Breaker) -> bool:
    """It is judged, and not entered."""
    return seals(breaker) and breaker.until_request("bundlemgrd", RECORD)


def purges(breaker: Breaker) -> bool:
    """A bundle is uninstalled, its region empty, and what its app has stored still there."""
    return breaker.until_phase("bundle") and breaker.until_request("bundlemgrd", PURGE)


def spawns(breaker: Breaker) -> bool:
    """There is a child that was never resumed."""
    return breaker.until_phase("bundle") and breaker.until_kernel("spawn_app", "execd")


def waits(breaker: Breaker) -> bool:
    """There is a child that runs, and somebody asks how it ended."""
    return spawns(breaker) and breaker.until_request(CLIENT, EXECD["wait"])


@pytest.mark.parametrize(
    ("service", "reach"),
    [
        *(("bundlemgrd", reach) for reach in (stages, puts, seals, records, purges)),
        *(("execd", reach) for reach in (spawns, waits)),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_fault_of_who_does_it(boot: Boot, service: str, reach: Callable[[Breaker], bool]) -> None:
    check_broken(boot(icount=EXACT), service, reach)


@pytest.mark.parametrize(
    ("service", "times", "reach"),
    [
        ("logd", 1, records),
        ("logd", LATER["logd"], records),
        ("keystored", 1, purges),
        ("keystored", 3, purges),
        ("execd", LATER["execd"], waits),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_fault_of_who_is_asked(boot: Boot, service: str, times: int, reach: Callable[[Breaker], bool]) -> None:
    check_broken(boot(icount=EXACT), service, lambda breaker: reach(breaker) and breaker.into(service, times))


def check_broken(machine: Machine, service: str, reach: Callable[[Breaker], bool]) -> None:
    with machine.held() as breaker:
        assert reach(breaker)
        assert breaker.break_process(service)
        run = ended(machine, breaker)
    check(run)
    check_back(run, service)


# ---- more faults than restarts ---------------------------------------------------------------------------------------


def use_up(breaker: Breaker, service: str) -> None:
    """Break it as soon as it is ready again, until nobody starts it any more."""
    assert breaker.until_phase("mmio")
    for _ in range(restarts_of(service)):
        assert breaker.break_process(service)
        assert breaker.until_line(f"{service}: ready")
    assert breaker.break_process(service)


@pytest.mark.parametrize("service", ["logd", "policyd"])
def test_system_ends_with_its_named_code_when_a_critical_service_is_used_up(boot: Boot, service: str) -> None:
    machine = boot(icount=EXACT)
    with machine.held() as breaker:
        use_up(breaker, service)
        run = ended(machine, breaker)
    check(run)
    assert run.code == EXITS["critical_died"]
    assert run.told(service, "ready") == 1 + restarts_of(service)
    assert run.told("init", LINES["unavailable"] + service) == 1
    exit = machine.wait()
    assert exit is not None and exit.code == EXITS["critical_died"]


@pytest.mark.parametrize("service", ["rngd", "vault", "keystored", "bundlemgrd", "execd", "dropd"])
def test_system_goes_on_without_a_service_that_is_used_up(boot: Boot, service: str) -> None:
    """Whatever needs it fails with a type; nobody else notices."""
    machine = boot(icount=EXACT)
    with machine.held() as breaker:
        use_up(breaker, service)
        run = ended(machine, breaker)
    check(run)
    assert run.told(service, "ready") == 1 + restarts_of(service)
    assert run.told("init", LINES["unavailable"] + service) == 1
    found = [row for row in run.records("restart") if row.subject == service_id(service)]
    assert [row.reason for row in found] == [MEMORY] * restarts_of(service)


@pytest.mark.parametrize("service", ["rngd", "keystored", "bundlemgrd", "execd"])
def test_route_to_a_service_that_is_used_up_is_unavailable(boot: Boot, service: str) -> None:
    """And only that: other routes are given and work, and what nobody may have is still denied."""
    machine = boot("test-attack", icount=EXACT)
    with machine.held() as breaker:
        assert breaker.until_line(READY)
        for _ in range(restarts_of(service)):
            assert breaker.break_process(service)
            assert breaker.until_line(f"{service}: ready")
        assert breaker.break_process(service)
        assert breaker.until_line(f"init: {LINES['unavailable']}{service}")
    probe = Probe(machine, "probe")
    names = [cap.name for cap in load_system("test-attack", ROOT, CONTRACT).process("probe").capabilities]
    init, status = CONTRACT.number("handle.boot") + names.index("INIT"), CONTRACT.table("status")
    other = "keystored" if service == "rngd" else "rngd"
    wanted = {service: "unavailable", other: "ok", "vault": "denied", "nobody": "denied"}
    answers = {name: probe.ask(init, CONTRACT.number("op.init.route_get"), name.encode(), accept=1) for name in wanted}
    assert {name: answer.status for name, answer in answers.items()} == {
        name: status[one] for name, one in wanted.items()
    }
    assert [name for name, answer in answers.items() if answer.received] == [other]
    assert probe.ask(answers[other].received, 0x7E).status == status["unsupported"]
