"""Gets the trail of a live machine: its memory is taken while it stands still, logd's region found by the page tables in it; and the
head that its console has told. Called by the verbs. Never writes to a machine; one that stood still before stands still afterwards.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from nexus.audit.export import Export
from nexus.audit.record import Form
from nexus.audit.trail import Head, Trail, from_store, in_progress
from nexus.contract.load import Contract
from nexus.errors import BuildError, MachineError, UsageError
from nexus.image.manifest import Manifest, ProcessRow, load_manifest
from nexus.layout import RAM_BASE
from nexus.machine.control import connected, dump, standing_still
from nexus.machine.kernelview import PAGE, KernelView
from nexus.machine.qmp import Qmp
from nexus.machine.registry import Record, RunDir, runs_dir

KEEPER = "logd"
TRIES = 20
PAUSE_SECONDS = 0.01


def from_machine(root: Path, record: Record, contract: Contract) -> Export:
    """The trail as it is now, between two operations of logd."""
    manifest = load_manifest(Path(record.image).with_name("manifest.json"))
    if manifest.contract_digest != contract.digest:
        raise BuildError(
            f"machine {record.id} runs an image of another contract ({manifest.contract_digest[:16]}) than this clone's",
            f"start it anew: nexus console --machine {record.id} --stop; nexus run --detach --system {record.system}",
        )
    keeper_of(manifest, contract)  # or there is nothing to look for
    with connected(record) as qmp:
        for _ in range(TRIES):
            ram = _snapshot(qmp, RunDir(runs_dir(root) / record.id), manifest.ram_bytes)
            trail = trail_in(KernelView(Path(record.image), Reader(ram)), manifest, contract)
            if not in_progress(trail):
                break
            time.sleep(PAUSE_SECONDS)
    return Export(trail, manifest.system, contract.digest, record.nonce, trail.head())


def trail_in(view: KernelView, manifest: Manifest, contract: Contract) -> Trail:
    """The trail in a machine's memory of one moment."""
    form = Form(contract)
    names = tuple(row.id_name for row in manifest.processes)
    return from_store(form, names, region_of(view, keeper_of(manifest, contract).label, contract, form))


def keeper_of(manifest: Manifest, contract: Contract) -> ProcessRow:
    needed = contract.number("audit.slots") * contract.number("audit.record_bytes")
    for row in manifest.processes:
        if row.name == KEEPER and row.kept_bytes >= needed:
            return row
    raise UsageError(
        f"system {manifest.system} keeps no trail: its recipe has no row {KEEPER} with {needed} bytes of `kept`",
        "the default system has one",
    )


def region_of(view: KernelView, label: str, contract: Contract, form: Form) -> bytes:
    """The trail's bytes in a machine's memory."""
    index, first = view.index_of(label), contract.number("va.kept")
    pages = []
    for va in range(first, first + form.slots * form.bytes, PAGE):
        place = view.translate(index, va)
        if place is None:
            raise MachineError(f"{label} has no page at {va:#x}: the machine has not built its memory yet", "try again")
        pages.append(view.read(place, PAGE))
    return b"".join(pages)


def told_head(root: Path, record: Record, contract: Contract) -> Head | None:
    """The head that logd printed last in this boot of the machine."""
    path = RunDir(runs_dir(root) / record.id).console
    return head_in(path.read_text(encoding="utf-8", errors="replace"), contract) if path.is_file() else None


def head_in(console: str, contract: Contract) -> Head | None:
    lines = contract.table("line")
    opening = re.escape(f"{KEEPER}: {lines['audit_head']}")
    pattern = rf"^{opening}([0-9a-f]{{16}}){re.escape(lines['audit_hash'])}([0-9a-f]{{64}})\r?$"
    boot = console.rfind("kernel: boot run=")
    found = re.findall(pattern, console[max(boot, 0) :], re.MULTILINE)
    return Head(int(found[-1][0], 16), bytes.fromhex(found[-1][1])) if found else None


def _snapshot(qmp: Qmp, run: RunDir, size: int) -> bytes:
    """All of its memory at one moment."""
    with standing_still(qmp):
        return dump(qmp, run.path, RAM_BASE, size)


class Reader:
    """Physical memory out of a snapshot."""

    def __init__(self, ram: bytes) -> None:
        self.ram = ram

    def __call__(self, address: int, size: int) -> bytes:
        start = address - RAM_BASE
        if start < 0 or start + size > len(self.ram):
            raise MachineError(f"{address:#x} is no memory of this machine")
        return self.ram[start : start + size]
