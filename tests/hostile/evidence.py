"""One boot of system test-hostile with all cases, watched from outside: console, and at each moment that counts all of its memory.

Used by tests/os/test_hostile.py. Never asks anything in the machine; what the runner prints are numbers that it has measured itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path

from cases import Case

from nexus.audit.record import Form, Record
from nexus.audit.source import Reader, region_of
from nexus.audit.trail import Trail, from_store, in_progress
from nexus.bundle.model import BundleRefused
from nexus.bundle.model import Form as BundleForm
from nexus.bundle.sign import verify_trusted
from nexus.bundle.trust import load_trust
from nexus.contract.load import Contract
from nexus.layout import RAM_BASE, systems_dir
from nexus.machine.captables import Tables, read_tables, shared_pages
from nexus.machine.debugger import attached
from nexus.machine.kernelview import KernelView
from nexus.machine.live import Machine
from nexus.recipe.model import System
from nexus.verdict.grammar import escape

SYSTEM = "test-hostile"
OWN_ROW = 'bundles = ["guest/apps/hostile"]'
SECONDS = 60.0
TRIES = 20
MOMENT = re.compile(r"runner: (amid|late|done)(?: ([a-z0-9-]+))?")
DONE = "done"
RUNNER = "runner"
LEAVES = "trap_return"  # the kernel comes here with a process to go on with


@dataclass(frozen=True)
class Look:
    """The whole machine at one moment between two entries of its kernel."""

    label: str  # of the case that ran
    moment: str
    tables: Tables
    trail: Trail
    shared: list[str]  # pages that an app shares and somebody can write


@dataclass
class Evidence:
    """What there is to judge by, when all is over."""

    cases: Sequence[Case] = field(repr=False)
    system: System = field(repr=False)
    contract: Contract = field(repr=False)
    looks: list[Look] = field(default_factory=list, repr=False)
    console: list[str] = field(default_factory=list, repr=False)
    code: int | None = None  # of a machine that has ended, which none may

    @cached_property
    def by_label(self) -> dict[str, Case]:
        return {case.label: case for case in self.cases}

    def said(self, word: str, label: str) -> dict[str, int] | None:
        """The runner's numbers of one case; None if it has said nothing."""
        pattern = re.compile(rf"runner: {word} {re.escape(label)}((?: \w+=[0-9a-f]+)*)")
        found = next((match for line in self.console if (match := pattern.fullmatch(line))), None)
        return {key: int(value, 16) for key, value in re.findall(r"(\w+)=([0-9a-f]+)", found[1])} if found else None

    @cached_property
    def records(self) -> list[Record]:
        """Every record that any look has seen, as it was last: a ring may have dropped some since."""
        seen: dict[int, Record] = {}
        for look in self.looks:
            seen |= {row.seq: row for _, row in look.trail.records if row.kind != look.trail.form.kinds["gap"]}
        return [seen[seq] for seq in sorted(seen)]

    @property
    def last(self) -> Look:
        return self.looks[-1]

    @cached_property
    def faults(self) -> Counter[str]:
        """How often the kernel says that a label has stopped."""
        return Counter(re.findall(r"^kernel: fault label=(\S+)", "\n".join(self.console), re.MULTILINE))


def recipe_of(root: Path, contract: Contract, cases: Sequence[Case], folder: Path) -> Path:
    """System test-hostile with all these in the runner's row: those whose signature does not hold as specimens."""
    text = (systems_dir(root) / f"{SYSTEM}.toml").read_text(encoding="utf-8")
    assert text.count(OWN_ROW) == 1
    publishers = load_trust(("dev", "selftest"), root, contract)
    right: list[str] = []
    wrong: list[str] = []
    for case in cases:
        (right if case.path.is_dir() or _verifies(contract, case, publishers) else wrong).append(f'"{case.path}"')
    rows = f"bundles = [{', '.join(right)}]\nspecimens = [{', '.join(wrong)}]"
    path = folder / f"{SYSTEM}.toml"
    path.write_text(text.replace(OWN_ROW, rows), encoding="utf-8")
    return path


def _verifies(contract: Contract, case: Case, publishers: tuple[object, ...]) -> bool:
    try:
        verify_trusted(BundleForm(contract), case.path.read_bytes(), publishers)  # type: ignore[arg-type]
    except BundleRefused:
        return False
    return True


# ---- the boot --------------------------------------------------------------------------------------------------------


def watch(machine: Machine, evidence: Evidence) -> None:
    """Until the runner is done: two looks at each app that lives so long, in the midst of it and before its end, and one at the end."""
    for number in count():
        seen = machine.session.console.line(number, SECONDS)
        assert seen is not None, "the runner says nothing any more"
        line = escape(seen.data)
        evidence.console.append(line)
        found = MOMENT.fullmatch(line)
        if found is None:
            continue
        moment, label = found[1], found[2] or ""
        evidence.looks.append(look(machine, evidence, label, moment))
        if moment == DONE:
            break
        _seen(machine, len(evidence.looks), evidence.contract)
    ended = machine.wait(0)
    evidence.code = ended.code if ended else None


def look(machine: Machine, evidence: Evidence, label: str, moment: str) -> Look:
    """The machine stands meanwhile."""
    names, form = tuple(row.id_name for row in evidence.system.processes), Form(evidence.contract)
    for _ in range(TRIES):
        view = KernelView(machine.target.elf, Reader(_memory(machine)))
        trail = from_store(form, names, region_of(view, "logd", evidence.contract, form))
        if not in_progress(trail):
            tables = read_tables(view, evidence.contract)
            return Look(label, moment, tables, trail, shared_pages(view, tables, len(names)))
    raise AssertionError(f"logd was never at rest at {label} {moment}")


def _seen(machine: Machine, looks: int, contract: Contract) -> None:
    """Tell the runner, which lets the app live until then."""
    with attached(machine.session) as debugger:
        view = KernelView(machine.target.elf, debugger.read)
        place = view.translate(view.index_of(RUNNER), contract.number("va.kept"))
        assert place is not None
        debugger.write(place, bytes([looks & 0xFF]))


def _memory(machine: Machine) -> bytes:
    """All of it when the hart is in a process, leaves the kernel for one, or has nobody to run: no table is half changed then."""
    with attached(machine.session) as debugger:
        view = KernelView(machine.target.elf, debugger.read)
        if debugger.register("pc") >= RAM_BASE and view.running():
            debugger.run_to(view.symbol(LEAVES))
        return machine.read_phys(RAM_BASE, machine.target.ram_bytes)
