"""A checked system as frozen values: what the builder, the inspector and the harness work from.

Made only by check.py; whoever holds a System may rely on every rule. Holds no rule and reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

PAGE = 4096
APP_PREFIX = "app:"  # of the id name and label of each spawned app
APPS = "app:*"  # as caller of an edge: whichever app it is
RUNTIMES = ("service", "shell")  # the interpreters; every other program is a native folder
FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3


def service_id(id_name: str) -> int:
    """FNV-1a-64 of the id name; names with equal ids are refused, so this is an identity, not a secret.

    They are of ASCII alone; any other word that somebody asks about has an id, too, which is that of nobody.
    """
    value = FNV_OFFSET
    for byte in id_name.encode("utf-8", "surrogateescape"):
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFF_FFFF_FFFF_FFFF
    return value


def pages(size: int) -> int:
    """Whole pages that hold that many bytes."""
    return -(-size // PAGE)


@dataclass(frozen=True)
class Capability:
    """One boot capability; `name` is the constant that the process's own code uses for its handle."""

    name: str
    type: str  # a key of [obj]
    rights: int
    object: int
    badge: int = 0


@dataclass(frozen=True)
class Edge:
    """Who may call whom: a static grant (`calls`) or a route that may be asked for. The caller may be APPS."""

    caller: str
    server: str
    facet: str | None = None


@dataclass(frozen=True)
class Device:
    """A virtio-mmio device with its one driver."""

    name: str
    index: int
    virtio_id: int
    owner: int
    first_queue: int
    queue_count: int
    dma_pages: int
    features: tuple[int, ...]
    qemu: str


@dataclass(frozen=True)
class Region:
    """A memory region that a process owns."""

    owner: int
    pages: int


@dataclass(frozen=True)
class Places:
    """File and line of keys that are judged once the recipe has been read; of the row where the key is left out."""

    calls: str
    app_calls: str
    bundles: str
    specimens: str


@dataclass(frozen=True)
class Process:
    """One row, every default filled in."""

    name: str
    index: int
    id_name: str
    label: str
    service_id: int
    rank: int
    service: str | None  # folder under guest/
    modules: tuple[str, ...]  # files of guest/ that it has beside what its main.py imports
    native: str | None  # folder of the clone with a program of its own
    runtime: str
    heap_pages: int
    stack_pages: int
    kept_pages: int
    policy: bool  # the compiled policy is mapped into it
    request_budget: int  # ticks; 0: none
    restarts: int
    share: int
    flags: tuple[str, ...]
    endpoint: int | None
    supervisor: int
    calls: tuple[Edge, ...]
    routes: tuple[Edge, ...]
    app_calls: Edge | None  # what each app that it spawns may call from its start on
    supervises: tuple[str, ...]
    capabilities: tuple[Capability, ...]
    bundles: tuple[str, ...]  # folders and files as the recipe writes them
    specimens: tuple[str, ...]  # bundles that the system must refuse, for tests
    places: Places = field(compare=False)

    @property
    def program(self) -> str:
        """The ELF it runs: a runtime's name, or the last part of the native folder."""
        return self.runtime if self.native is None else self.native.rsplit("/", 1)[-1]

    @property
    def bundle_paths(self) -> tuple[str, ...]:
        """Of all that it brings along."""
        return self.bundles + self.specimens


@dataclass(frozen=True)
class System:
    """A whole system; a process's place in `processes` is its dense index."""

    name: str
    memory: int
    flags: tuple[str, ...]
    processes: tuple[Process, ...]
    devices: tuple[Device, ...]
    regions: tuple[Region, ...]
    gates: tuple[str, ...]  # of the policy contract, open from boot on
    app: str | None  # what spawned apps run: a runtime, or a folder with a native program
    app_routes: tuple[Edge, ...]
    trust: tuple[str, ...]  # publishers, by the names of their files
    trust_place: str = field(compare=False)
    files: tuple[str, ...]  # recipe files that were read, relative to the clone where they lie in it

    @property
    def endpoints(self) -> tuple[int, ...]:
        """Owner of each endpoint, by endpoint number."""
        owners = [process for process in self.processes if process.endpoint is not None]
        return tuple(process.index for process in sorted(owners, key=lambda process: process.endpoint or 0))

    @property
    def holds_policy(self) -> bool:
        """Whether anybody decides by it: without, the image has none and no static grant is decided."""
        return any(process.policy for process in self.processes)

    @property
    def routes(self) -> tuple[Edge, ...]:
        """What may be asked for at run time, each server and facet once; callers are not told apart."""
        edges = [edge for process in self.processes for edge in process.routes]
        known = {(edge.server, edge.facet or ""): edge for edge in (*edges, *self.app_routes)}
        return tuple(known[key] for key in sorted(known))

    @property
    def bundle_paths(self) -> tuple[str, ...]:
        """Of all processes, each once."""
        return tuple(dict.fromkeys(path for process in self.processes for path in process.bundle_paths))

    @property
    def root(self) -> Process:
        return next(process for process in self.processes if "root" in process.flags)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Runtimes that some process needs, each once."""
        app = {self.app} if self.app in RUNTIMES else set()
        return tuple(sorted({process.runtime for process in self.processes if process.native is None} | app))

    @property
    def natives(self) -> tuple[str, ...]:
        """Folders of native programs, each once."""
        app = {self.app} if self.app and self.app not in RUNTIMES else set()
        return tuple(sorted({process.native for process in self.processes if process.native is not None} | app))

    @property
    def app_program(self) -> str | None:
        """The ELF of spawned apps, by the name that `Process.program` gives it."""
        return self.app.rsplit("/", 1)[-1] if self.app else None

    def process(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def edges(self) -> Iterator[Edge]:
        """Every edge of the call graph: static grants, then routes; last those of apps."""
        for process in self.processes:
            yield from process.calls
            yield from process.routes
        yield from (process.app_calls for process in self.processes if process.app_calls)
        yield from self.app_routes
