"""Where a trail is got from: logd's pages by its page table, wherever they lie, and the head that a console has told."""

from __future__ import annotations

import random
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus import layout
from nexus.audit import source
from nexus.audit.record import Form
from nexus.audit.source import Reader, from_machine, head_in, region_of
from nexus.contract.load import load_contract
from nexus.errors import BuildError, MachineError, UsageError
from nexus.layout import RAM_BASE
from nexus.machine.kernelview import PAGE
from nexus.machine.registry import Record, RunDir

CONTRACT = load_contract(layout.contract_dir(layout.find_root()))
FORM = Form(CONTRACT)
PAGES = FORM.slots * FORM.bytes // PAGE
KEPT = CONTRACT.number("va.kept")
HEAD = "logd: audit head seq=000000000000002a hash=" + "5e" * 32


class View:
    """Pages of process 3 in any order; of another process none."""

    def __init__(self, ram: bytes, places: list[int]) -> None:
        self.read, self.places = Reader(ram), places

    def index_of(self, label: str) -> int:
        return {"logd": 3}[label]

    def translate(self, index: int, va: int) -> int | None:
        number = (va - KEPT) // PAGE
        return self.places[number] if index == 3 and 0 <= number < len(self.places) else None


def view_of(count: int) -> tuple[View, bytes]:
    """A view, and the bytes of the region in their order."""
    order = random.Random(1).sample(range(count), count)
    ram = b"".join(number.to_bytes(4, "little") * (PAGE // 4) for number in range(count))
    return View(ram, [RAM_BASE + PAGE * place for place in order]), b"".join(
        ram[PAGE * at : PAGE * at + PAGE] for at in order
    )


def test_region_is_read_page_by_page_wherever_they_lie() -> None:
    view, expected = view_of(PAGES)
    found: Any = view
    assert region_of(found, "logd", CONTRACT, FORM) == expected


def test_region_with_a_page_that_is_not_there_is_told() -> None:
    found: Any = view_of(PAGES - 1)[0]
    with pytest.raises(MachineError, match=f"no page at {KEPT + (PAGES - 1) * PAGE:#x}"):
        region_of(found, "logd", CONTRACT, FORM)


@pytest.mark.parametrize(("address", "size"), [(RAM_BASE - 1, 1), (RAM_BASE + 4096, 1), (RAM_BASE + 4095, 2), (0, 8)])
def test_what_is_no_memory_of_the_machine_is_not_read(address: int, size: int) -> None:
    with pytest.raises(MachineError, match="is no memory"):
        Reader(bytes(4096))(address, size)


@pytest.mark.parametrize(
    ("console", "seq"),
    [
        (f"kernel: boot run=0\n{HEAD}\nkernel: end\n", 42),
        (f"kernel: boot run=0\r\n{HEAD}\r\n", 42),
        (f"kernel: boot run=0\n{HEAD}\n{HEAD.replace('2a', '2b')}\n", 43),
        (f"kernel: boot run=0\n{HEAD}\nkernel: boot run=1\n", None),
        (f"kernel: boot run=0\napp:x: {HEAD}\n", None),
        (f"kernel: boot run=0\nlogd| {HEAD[6:]}\n", None),
        (f"kernel: boot run=0\n{HEAD}0\n", None),
        (f"kernel: boot run=0\n{HEAD[:-1]}\n", None),
        ("", None),
    ],
)
def test_head_on_the_console_is_the_last_that_logd_told_in_this_boot(console: str, seq: int | None) -> None:
    head = head_in(console, CONTRACT)
    assert (head.seq if head else None) == seq
    assert head is None or head.hash == b"\x5e" * 32


def machine(tmp_path: Path) -> Record:
    return Record("run-1", 1, "small", str(tmp_path / "nexus.elf"), "00", str(tmp_path / "none"), "")


def test_system_without_a_trail_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = SimpleNamespace(name="logd", kept_bytes=FORM.slots * FORM.bytes - PAGE)
    found = SimpleNamespace(contract_digest=CONTRACT.digest, processes=[row], system="small")
    monkeypatch.setattr("nexus.audit.source.load_manifest", lambda _path: found)
    with pytest.raises(UsageError, match="system small keeps no trail"):
        from_machine(tmp_path, machine(tmp_path), CONTRACT)


def test_image_of_another_contract_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(contract_digest="0" * 64, processes=[], system="small")
    monkeypatch.setattr("nexus.audit.source.load_manifest", lambda _path: found)
    with pytest.raises(BuildError, match="image of another contract"):
        from_machine(tmp_path, machine(tmp_path), CONTRACT)


def test_machine_that_has_just_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = SimpleNamespace(name="logd", kept_bytes=FORM.slots * FORM.bytes, id_name="logd", label="logd")
    found = SimpleNamespace(contract_digest=CONTRACT.digest, processes=[row], system="small", ram_bytes=PAGE)
    monkeypatch.setattr("nexus.audit.source.load_manifest", lambda _path: found)
    with pytest.raises(MachineError, match="machine run-1 has just ended"):
        from_machine(tmp_path, machine(tmp_path), CONTRACT)


# ---- one moment ------------------------------------------------------------------------------------------------------


class Qmp:
    """Notes what it is told and writes the dump that it is asked for."""

    def __init__(self, runs: bool, fails: bool = False) -> None:
        self.runs, self.fails, self.told = runs, fails, list[str]()

    def execute(self, command: str, arguments: dict[str, object] | None = None, timeout: float = 0.0) -> object:
        self.told.append(command)
        if command == "pmemsave":
            assert arguments is not None
            if self.fails:
                raise MachineError("no memory")
            Path(str(arguments["filename"])).write_bytes(b"\x07" * int(str(arguments["size"])))
        return {"running": self.runs} if command == "query-status" else {}


@pytest.mark.parametrize(("runs", "told"), [(True, ["stop", "pmemsave", "cont"]), (False, ["pmemsave"])])
def test_memory_is_taken_of_a_machine_that_stands(tmp_path: Path, runs: bool, told: list[str]) -> None:
    qmp: Any = Qmp(runs)
    assert source._snapshot(qmp, RunDir(tmp_path), 5) == b"\x07" * 5
    assert qmp.told == ["query-status", *told]
    assert list(tmp_path.iterdir()) == []


def test_machine_goes_on_though_its_memory_could_not_be_taken(tmp_path: Path) -> None:
    qmp: Any = Qmp(runs=True, fails=True)
    with pytest.raises(MachineError, match="no memory"):
        source._snapshot(qmp, RunDir(tmp_path), 5)
    assert qmp.told[-1] == "cont"


def test_trail_that_is_being_written_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = SimpleNamespace(name="logd", kept_bytes=FORM.slots * FORM.bytes, id_name="logd", label="logd")
    found = SimpleNamespace(contract_digest=CONTRACT.digest, processes=[row], system="small", ram_bytes=PAGE)
    torn, whole = bytearray(FORM.slots * FORM.bytes), bytes(FORM.slots * FORM.bytes)
    torn[0], torn[CONTRACT.number("audit_at.via")] = FORM.kinds["gap"], 1
    taken = iter([bytes(torn), bytes(torn), whole])
    monkeypatch.setattr(source, "load_manifest", lambda _path: found)
    monkeypatch.setattr(source, "connected", nullcontext)
    monkeypatch.setattr(source, "_snapshot", lambda *_: b"")
    monkeypatch.setattr(source, "region_of", lambda *_: next(taken))
    assert from_machine(tmp_path, machine(tmp_path), CONTRACT).trail.seq == 0
    assert list(taken) == []
