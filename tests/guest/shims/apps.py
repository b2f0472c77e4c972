"""Apps of the simulated kernel, after firmware/kernel/spawn.c: all that an app is comes from the sealed region's first page. The part
of Machine that makes and frees them, and that lets a test play them.

Their code is a source or a folder that the test gives; the contents of a bundle are compiled for another machine and are not run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nexus.recipe.model import PAGE, Capability, System, service_id
from nexus.recipe.model import Process as Row
from shims.kernel import Kernel
from shims.loader import Loader
from shims.objects import Cap, Process
from shims.regions import Region, Regions

ID = re.compile(rb"([a-z0-9.-]{1,32})\0*")
# What each app has at boot, by the place in its list. The code of an app finds it in module caps.
ENTRY = re.compile("[a-z][a-z0-9_]*")
NO_ENTRY = 2  # exit status of an interpreter that is to begin with what is no module's name
CAPS = ("CONSOLE", "NOTIFICATION", "INIT")


@dataclass(frozen=True)
class Stamp:
    """What the kernel takes from a manifest."""

    id: str
    publisher: int
    mask: int
    heap_pages: int
    entry: bytes


class Apps(Regions):
    """Base of Machine."""

    system_row: System
    sources_of_apps: Mapping[str, str | Path]  # by bundle id: text of its entry module, or a folder with it
    no_room: bool = False  # a test may let memory run out

    def _stop(self, process: Process, fault: int, value: int, pc: int = 0) -> None:
        raise NotImplementedError

    # what a test asks for

    def playing(self, name: str) -> Kernel:
        """The module `kernel` of a process that runs no code, as it is: the test plays it without starting it anew."""
        process = next(p for p in self.processes if p.name == name and p.state != self.contract.STATE_EMPTY)
        assert process.thread is None, f"{name} runs code of its own"
        return Kernel(self, process)  # type: ignore[arg-type]

    def exit_app(self, bundle: str, status: int = 0) -> None:
        self._stop(self.app(bundle), self.contract.FAULT_EXIT, status)

    def fault_app(self, bundle: str, fault: int | None = None, value: int = 0, pc: int = 0) -> None:
        """A memory fault, or another one."""
        self._stop(self.app(bundle), self.contract.FAULT_MEMORY if fault is None else fault, value, pc)

    def app(self, bundle: str) -> Process:
        name = f"app:{bundle}"
        return next(p for p in self.processes if p.name == name and p.state != self.contract.STATE_EMPTY)

    def running_apps(self) -> list[str]:
        """Bundle ids of those that are not over."""
        over = (self.contract.STATE_EMPTY, self.contract.STATE_STOPPED)
        apps = [p for p in self.processes if p.kind == self.contract.KIND_APP and p.state not in over]
        return [process.name.removeprefix("app:") for process in apps]

    def add_app(self, bundle: str, mask: int, publisher: int, supervisor: int, endpoint: Cap | None = None) -> Process:
        """An app in a slot of its own, not yet resumed."""
        index = self._slot()
        assert index is not None, "no slot for one more app"
        row = app_row(self.system_row, f"app:{bundle}", index, supervisor, endpoint)
        app = Process(row, self.contract.STATE_SUSPENDED, kind=self.contract.KIND_APP, mask=mask, publisher=publisher)
        self.processes[index : index + 1] = [app]
        return app

    def code_of(self, process: Process) -> str | Path | None:
        """None: the test plays it."""
        return self.sources_of_apps.get(process.name.removeprefix("app:"))

    # what the kernel does

    def spawn(
        self, process: Process, spawn: int, handle: int, stack_pages: int, share: int, endpoint: int
    ) -> tuple[int, int]:
        contract = self.contract
        status, _ = self.find(process, spawn, "spawn", "use")
        if status == contract.E_OK:
            status, cap = self.find(process, handle, "region", "map_r")
        if status != contract.E_OK:
            return status, 0
        assert cap is not None
        region = self.regions[cap.object]
        if not region.sealed:
            return contract.E_SEALED, 0
        if self.system_row.app is None:
            return contract.E_STATE, 0
        status, passed = self._passed_on(process, endpoint)
        if status != contract.E_OK:
            return status, 0
        stamp = stamp_of(region, contract.__dict__)
        in_range = 1 <= stack_pages <= contract.LIMIT_APP_STACK_PAGES and 1 <= share <= contract.LIMIT_APP_SHARE
        if stamp is None or not in_range:
            return contract.E_BAD_ARGUMENT, 0
        if len(process.caps) >= contract.LIMIT_CAP_SLOTS:
            return contract.E_NO_SLOT, 0
        self._reap()
        if self._slot() is None or self.no_room:
            return contract.E_FULL, 0
        if self._taken(service_id(f"app:{stamp.id}")):
            return contract.E_EXISTS, 0
        child = self.add_app(stamp.id, stamp.mask, stamp.publisher, process.row.index, passed)
        child.region, child.entry = cap.object, stamp.entry
        child.row = replace(child.row, heap_pages=stamp.heap_pages, stack_pages=stack_pages, share=share)
        return contract.E_OK, process.put(Cap(contract.OBJ_SUPERVISE, contract.RIGHT_USE, child.row.index))

    def _passed_on(self, process: Process, handle: int) -> tuple[int, Cap | None]:
        """The endpoint that the app begins with."""
        if handle == 0:
            return self.contract.E_OK, None
        status, cap = self.find(process, handle, "endpoint", "call")
        if status == self.contract.E_OK:
            status, _ = self.find(process, handle, "endpoint", "grant")
        if cap is None or status != self.contract.E_OK:
            return status, None
        return status, replace(cap, rights=self.contract.RIGHT_CALL)

    def _slot(self) -> int | None:
        """A free dense index."""
        first, limit = len(self.system_row.processes), self.contract.LIMIT_APP_SLOTS
        for process in self.processes[first:]:
            if process.state == self.contract.STATE_EMPTY:
                return process.row.index
        return len(self.processes) if len(self.processes) < first + limit else None

    def _taken(self, identity: int) -> bool:
        live = [process for process in self.processes if process.state != self.contract.STATE_EMPTY]
        return any(process.row.service_id == identity for process in live)

    def _free(self, child: Process) -> int:
        """Of a stopped app: memory, slot, name and region."""
        if child.kind != self.contract.KIND_APP or child.state != self.contract.STATE_STOPPED:
            return int(self.contract.E_STATE)
        child.state, child.region, child.caps = self.contract.STATE_EMPTY, None, {}
        return int(self.contract.E_OK)

    def _orphan_children(self, spawner: Process) -> None:
        """With a process end the apps that it spawned; nobody but the kernel can give their memory back then."""
        for child in self.processes:
            mine = child.kind == self.contract.KIND_APP and child.row.supervisor == spawner.row.index
            if not mine or child.orphan or child.state == self.contract.STATE_EMPTY:
                continue
            child.orphan = True
            self._stop(child, self.contract.FAULT_KILLED, 0)

    def _reap(self) -> None:
        for child in self.processes:
            if child.orphan and self._free(child) == self.contract.E_OK:
                child.orphan = False


def stamp_of(region: Region, contract: Mapping[str, int]) -> Stamp | None:
    """None for a first page that no bundle has. Nothing behind it is looked at."""
    page, at = bytes(region.memory[:PAGE]), contract

    def number(name: str, size: int) -> int:
        return int.from_bytes(page[at[name] : at[name] + size], "little")

    magic = str(contract["BUNDLE_MAGIC"]).encode()
    contents = number("BUNDLE_AT_CONTENTS_BYTES", 4)
    heap = number("BUNDLE_AT_HEAP_PAGES", 2)
    name = ID.fullmatch(page[at["BUNDLE_AT_ID"] : at["BUNDLE_AT_MAJOR"]])
    entry = page[at["BUNDLE_AT_ENTRY"] : at["BUNDLE_AT_HEAP_PAGES"]]
    room = min(contract["LIMIT_APP_ROMFS_PAGES"], region.pages - 1) * PAGE
    if not page.startswith(magic) or number("BUNDLE_AT_FORMAT", 2) != contract["BUNDLE_FORMAT"]:
        return None
    mask = _mask(page, number("BUNDLE_AT_ACTIONS", 2), number("BUNDLE_AT_MANIFEST_BYTES", 2), contract)
    if name is None or mask is None or not 1 <= contents <= room or not 1 <= heap <= contract["LIMIT_APP_HEAP_PAGES"]:
        return None
    return Stamp(name[1].decode(), number("BUNDLE_AT_KEY_ID", 8), mask, heap, entry)


def _mask(page: bytes, rows: int, end: int, contract: Mapping[str, int]) -> int | None:
    """A bit for each row's action. Rows ascend, and the last one ends where the manifest does."""
    at, row, mask, last = contract["BUNDLE_HEADER_BYTES"], contract["BUNDLE_ROW_BYTES"], 0, 0
    most = at + contract["BUNDLE_ACTIONS"] * (row + contract["BUNDLE_REASON_BYTES"])
    if rows > contract["BUNDLE_ACTIONS"] or end > most:
        return None
    for _ in range(rows):
        action = int.from_bytes(page[at : at + 2], "little")
        if at + row > end or not last < action < contract["POLICY_LIMIT_ACTIONS"]:
            return None
        mask, last, at = mask | 1 << action, action, at + row + page[at + row - 1]
    return mask if at == end else None


def first_module(process: Process) -> str:
    """What its interpreter imports first; what no manifest may say ends it with that status."""
    name = process.entry.rstrip(b"\0").decode("latin-1") or "main"
    return name if ENTRY.fullmatch(name) else ""


def app_row(system: System, name: str, index: int, supervisor: int, endpoint: Cap | None) -> Row:
    """As of a recipe; no recipe has one."""
    own = {cap.name: cap for cap in system.root.capabilities}
    capabilities = [replace(own[kind], object=index) for kind in CAPS[:2]]
    if endpoint is not None:
        capabilities.append(Capability(CAPS[2], "endpoint", endpoint.rights, endpoint.object, endpoint.badge))
    return replace(
        system.root,
        name=name,
        id_name=name,
        label=name,
        index=index,
        service_id=service_id(name),
        rank=0,
        service=None,
        native=None,
        flags=(),
        endpoint=None,
        supervisor=supervisor,
        calls=(),
        routes=(),
        supervises=(),
        policy=False,
        kept_pages=0,
        capabilities=tuple(capabilities),
    )


def loader(root: Path, app: Process, code: str | Path | None, given: Mapping[str, Any]) -> Loader:
    """Of an app with code: its own modules, the library, and where its capabilities are."""
    folders, handles = [root / "guest" / "lib"], "from micropython import const\n"
    for place, name in enumerate(CAPS):
        handles += f"{name} = const({min(app.caps, default=0) + place:#x})\n"
    sources = {"caps": handles}
    if isinstance(code, str):
        sources[first_module(app)] = code
    elif code is not None:
        folders.insert(0, code)
    return Loader(folders, given, sources)
