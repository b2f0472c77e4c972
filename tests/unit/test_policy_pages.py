"""The policy as a machine has it mapped (machine/policypages.py), on memory that is put together here from a real image.

Scenario: the image of a system in which rngd reads the policy, as it lies in RAM, with page tables made by this file in place
of the kernel's. One thing is wrong with each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus import layout
from nexus.contract.load import Contract
from nexus.errors import MachineError
from nexus.image.build import build_image
from nexus.image.kernel import read_image
from nexus.layout import RAM_BASE
from nexus.machine import policypages
from nexus.machine.kernelview import PAGE, PTE_R, PTE_U, PTE_V, PTE_W, PTE_X, KernelView
from nexus.machine.policypages import PolicyLook, Stated, problem_of
from nexus.verdict.grammar import Seen
from nexus.verdict.ladder import Ladder
from nexus.verdict.rehearsal import Rehearsal

RECIPE = 'base = "default"\n[[process]]\nname = "rngd"\npolicy = true\n'
READ = PTE_V | PTE_U | PTE_R
LOGD, RNGD = 1, 2
OTHER_VA = 0x2000_0000


@dataclass
class Ram:
    """Memory from RAM_BASE on, and tables taken from the kernel's pool one after the other."""

    elf: Path
    data: bytearray
    pool: int
    view: KernelView

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.data[address - RAM_BASE : address - RAM_BASE + size])

    def write(self, address: int, value: int) -> None:
        self.data[address - RAM_BASE : address - RAM_BASE + 8] = value.to_bytes(8, "little")

    def table(self) -> int:
        self.pool += PAGE
        return self.pool - PAGE

    def space(self, index: int) -> int:
        """The root of a process, made if it has none."""
        at = self.view.process(index) + self.view.member("process", "root")[0]
        if int.from_bytes(self.read(at, 8), "little") == 0:
            self.write(at, self.table())
        return int.from_bytes(self.read(at, 8), "little")

    def map(self, index: int, va: int, pa: int, rights: int) -> None:
        table = self.space(index)
        for level in (2, 1):
            slot = table + 8 * (va >> 12 + 9 * level & 511)
            if int.from_bytes(self.read(slot, 8), "little") == 0:
                self.write(slot, self.table() >> 12 << 10 | PTE_V)
            table = int.from_bytes(self.read(slot, 8), "little") >> 10 << 12
        self.write(table + 8 * (va >> 12 & 511), pa >> 12 << 10 | rights)


@dataclass(frozen=True)
class Built:
    elf: Path
    stated: Stated
    policy: int  # where it lies
    va: int
    slots: int
    end: int

    def ram(self, rights: int = READ, at: int | None = None, skip: int = -1, reader: int = RNGD) -> Ram:
        """The image in memory, its policy mapped page by page."""
        linked = read_image(self.elf)
        data = bytearray(linked.end - RAM_BASE)
        for segment in linked.segments:
            data[segment.va - RAM_BASE : segment.va - RAM_BASE + len(segment.data)] = segment.data
        ram = Ram(self.elf, data, linked.symbols["ld_pool_start"], None)  # type: ignore[arg-type]
        ram.view = KernelView(self.elf, ram.read)
        ram.map(LOGD, OTHER_VA, linked.symbols["ld_pool_start"] + 200 * PAGE, READ | PTE_W)
        for offset in range(0, self.stated.bytes, PAGE):
            if offset // PAGE != skip:
                ram.map(reader, self.va + offset, (self.policy if at is None else at) + offset, rights)
        return ram

    def problem(self, ram: Ram, stated: Stated | None = None) -> str:
        return problem_of(ram.view, stated or self.stated, self.va, self.slots)


@pytest.fixture(scope="module")
def built(interpreters: Path, contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> Built:
    path = tmp_path_factory.mktemp("pages") / "pages.toml"
    path.write_text(RECIPE, encoding="utf-8")
    made = build_image(str(path), interpreters, lambda _: None)
    assert made.policy_digest
    return Built(
        elf=layout.image_path(interpreters, "pages"),
        stated=Stated(made.policy_digest, made.policy_bytes, {RNGD: "rngd"}),
        policy=next(part.address for part in made.parts if part.name == "policy"),
        va=contract.number("va.policy"),
        slots=contract.number("limit.processes"),
        end=made.image_end,
    )


def test_pages_that_are_the_manifests_pass(built: Built) -> None:
    assert built.stated.bytes > PAGE, "one page alone would not show that the walk goes on"
    assert built.problem(built.ram()) == ""


def test_another_digest_is_found(built: Built) -> None:
    wrong = replace(built.stated, digest="0" * 64)
    found = built.problem(built.ram(), wrong)
    assert found == f"rngd: digest {built.stated.digest} of {built.stated.bytes} bytes"


@pytest.mark.parametrize("place", ["first", "last"])
def test_one_changed_byte_of_the_pages_is_found(built: Built, place: str) -> None:
    ram = built.ram()
    ram.data[built.policy - RAM_BASE + (0 if place == "first" else built.stated.bytes - 1)] ^= 1
    assert built.problem(ram).startswith("rngd: digest ")


def test_byte_after_the_table_does_not_count(built: Built) -> None:
    ram = built.ram()
    assert built.stated.bytes % PAGE
    ram.data[built.policy - RAM_BASE + built.stated.bytes] ^= 1
    assert built.problem(ram) == ""


def test_another_page_is_found_though_the_image_holds_the_right_one(built: Built) -> None:
    ram = built.ram()
    ram.map(RNGD, built.va + PAGE, built.policy, READ)
    assert built.problem(ram).startswith("rngd: digest ")


def test_page_outside_the_image_is_found(built: Built) -> None:
    ram = built.ram(at=built.end + (1 << 20))
    assert built.problem(ram).startswith("rngd: digest ")


def test_missing_page_is_found(built: Built) -> None:
    assert built.problem(built.ram(skip=1)) == "rngd: page 1 of it is not mapped"


def test_process_without_a_space_is_found(built: Built) -> None:
    assert built.problem(built.ram(reader=LOGD), built.stated) == "rngd: page 0 of it is not mapped"


@pytest.mark.parametrize("more", [PTE_W, PTE_X])
def test_pages_that_the_reader_can_write_or_run_are_found(built: Built, more: int) -> None:
    assert built.problem(built.ram(READ | more)) == "rngd: page 0 of it is not read-only"


def test_page_of_the_kernel_alone_is_found(built: Built) -> None:
    assert built.problem(built.ram(READ & ~PTE_U)) == "rngd: page 0 of it is not mapped"


@pytest.mark.parametrize("who", [LOGD, RNGD, 31])
def test_second_way_to_the_frames_that_can_write_is_found(built: Built, who: int) -> None:
    """From another process, from the reader itself at another address, and from an app that no row describes."""
    ram = built.ram()
    ram.map(who, OTHER_VA + PAGE, built.policy + PAGE, READ | PTE_W)
    assert built.problem(ram) == f"process {who} can write to it at {OTHER_VA + PAGE:#x}"


def test_second_way_that_can_only_read_is_no_harm(built: Built) -> None:
    ram = built.ram()
    ram.map(LOGD, OTHER_VA + PAGE, built.policy, READ)
    assert built.problem(ram) == ""


def test_reader_that_no_row_states_is_found(built: Built) -> None:
    ram = built.ram()
    ram.map(LOGD, built.va, built.policy, READ)
    assert built.problem(ram) == f"process {LOGD} has it mapped and its row does not say so"


# ---- when a run is looked at -----------------------------------------------------------------------------------------


class FakeSession:
    """Memory that can be read until the machine has ended, and where it stood then."""

    def __init__(self, *snapshots: bytes) -> None:
        self.left = list(snapshots)
        self.reads: list[tuple[int, int]] = []
        self.stops: list[int] = []

    @contextmanager
    def attached(self, _session: object) -> Iterator[FakeSession]:
        yield self

    def run_to(self, address: int, satp: int) -> None:
        assert satp == 0, "no process has run yet"
        self.stops.append(address)

    def read_phys(self, address: int, size: int) -> bytes:
        self.reads.append((address, size))
        if not self.left:
            raise MachineError("QMP pmemsave: the machine ended")
        return self.left.pop(0)


@pytest.fixture
def look(built: Built, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """look(*snapshots) -> after a whole run: what is wrong, how often memory was read, where the machine was stopped."""

    def run(*snapshots: bytes) -> Any:
        session: Any = FakeSession(*snapshots)
        monkeypatch.setattr(policypages, "attached", session.attached)
        found = PolicyLook(session, built.elf, built.end, built.stated, contract)
        found.at_start()
        rehearsal = Rehearsal(contract)
        ladder = Ladder(rehearsal.plan())
        for text in rehearsal.transcript():
            ladder.feed(Seen(0.0, text.encode()))
            found.on_line(ladder)
        assert ladder.failure is None
        return SimpleNamespace(problem=found.problem(), reads=session.reads, stops=session.stops)

    return run


def test_run_is_looked_at_before_any_process_runs_and_when_all_are_up(built: Built, look: Callable[..., Any]) -> None:
    good = bytes(built.ram().data)
    done = look(good, good)
    assert (done.problem, done.reads) == ("", [(RAM_BASE, built.end - RAM_BASE)] * 2)
    assert done.stops == [read_image(built.elf).symbols["sched_run"]]


@pytest.mark.parametrize("bad", [0, 1])
def test_each_look_counts(built: Built, look: Callable[..., Any], bad: int) -> None:
    snapshots = [bytes(built.ram(skip=0 if number == bad else -1).data) for number in range(2)]
    assert look(*snapshots).problem == "rngd: page 0 of it is not mapped"


def test_run_that_ends_before_the_second_look_has_the_first(built: Built, look: Callable[..., Any]) -> None:
    assert look(bytes(built.ram().data)).problem == ""
    assert look(bytes(built.ram(skip=0).data)).problem


def test_run_at_which_nobody_could_look_does_not_pass(look: Callable[..., Any]) -> None:
    assert look().problem == "nobody could read it (QMP pmemsave: the machine ended)"
