"""From a recipe as written to a checked System: every rule of a recipe, and the message for each way to break it.

Called by the image builder and the inspector. Reads no file but the recipe's own; builds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nexus import layout
from nexus.contract.load import Contract
from nexus.recipe import apps, fields, graph, memory
from nexus.recipe.assemble import Resolved, assemble
from nexus.recipe.fields import DeviceRow, Problems, ProcessRow, TopRow
from nexus.recipe.model import APP_PREFIX, APPS, PAGE, RUNTIMES, Edge, System, pages, service_id
from nexus.recipe.raw import RawSystem, RawTable, did_you_mean, find_recipe, load_raw

KERNEL_LABEL = "kernel"


def load_system(name: str, root: Path, contract: Contract) -> System:
    """The checked system of that name: a recipe of the clone, or a path to one."""
    systems = layout.systems_dir(root)
    return check_system(load_raw(find_recipe(name, systems), systems, root), contract, root)


def check_system(raw: RawSystem, contract: Contract, root: Path, identify: Callable[[str], int] = service_id) -> System:
    """Apply every rule; all problems of one stage are told together."""
    problems = Problems()
    top = fields.top_row(raw.top, problems)
    rows = [fields.process_row(table, index, problems) for index, table in enumerate(raw.processes.values())]
    devices = [fields.device_row(table, name, problems) for name, table in raw.devices.items()]
    problems.raise_if_any()
    return _Checker(raw, top, rows, devices, contract, root, identify, problems).system()


class _Checker:
    """One pass over the rows; each method is a group of rules."""

    def __init__(
        self,
        raw: RawSystem,
        top: TopRow,
        rows: list[ProcessRow],
        devices: list[DeviceRow],
        contract: Contract,
        root: Path,
        identify: Callable[[str], int],
        problems: Problems,
    ) -> None:
        self.raw, self.top, self.rows, self.device_rows = raw, top, rows, devices
        self.contract, self.root, self.identify, self.problems = contract, root, identify, problems
        self.by_name = {row.name: row for row in rows}
        self.limits = contract.table("limit")
        self.edges: dict[str, tuple[Edge, ...]] = {}
        self.routes: dict[str, tuple[Edge, ...]] = {}
        self.app_calls: dict[str, Edge] = {}
        self.app_routes: tuple[Edge, ...] = ()

    def system(self) -> System:
        """All rules, then the result; a later rule is asked only where the earlier ones hold."""
        self.identities()
        self.programs()
        self.named_modules()
        self.gates()
        apps.check(self.top, self.rows, self.root, self.problems)
        self.call_lists()
        self.device_drivers()
        supervisors = self.supervision()
        self.sizes()
        self.problems.raise_if_any()
        edges = self.all_edges(supervisors)
        self.cycles(edges)
        self.problems.raise_if_any()
        self.deadlines(edges)
        resolved = Resolved(
            self.rows,
            self.device_rows,
            self.edges,
            self.routes,
            self.app_calls,
            self.app_routes,
            edges,
            supervisors,
            self.identify,
        )
        files = tuple(_shown(path, self.root) for path in self.raw.files)
        system = assemble(resolved, self.raw.name, self.top, files, self.contract)
        self.capability_names(system)
        self.counts(system)
        known = self.limits["pool_pages"] * PAGE  # of the image, which is not built yet
        if expected := memory.shortage(system, known):
            self.problems.at(self.raw.top, "memory", f"{self.top.memory >> 10} KiB", expected)
        self.problems.raise_if_any()
        return system

    def identities(self) -> None:
        """Names, ids and labels are each unique; the kernel's label is taken, and so are those of apps."""
        ids: dict[int, ProcessRow] = {}
        labels: dict[str, str] = {KERNEL_LABEL: "the kernel"}
        for row in self.rows:
            identity = self.identify(row.id_name)
            if identity in ids:
                other = ids[identity]
                found = f"{row.id_name!r} with service id 0x{identity:016x}, which is also that of {other.id_name!r}"
                expected = f"an id unlike that of [{other.table.title}] ({other.table.at('id_name')})"
                self.problems.at(row.table, "id_name", found, expected)
            ids.setdefault(identity, row)
            for label, owner in labels.items():
                if f"{row.label}: ".startswith(f"{label}: ") or f"{label}: ".startswith(f"{row.label}: "):
                    found = f"{row.label!r}, whose lines can't be told from those of {owner}"
                    self.problems.at(row.table, "label", found, "a label of its own")
            labels.setdefault(row.label, f"[{row.table.title}]")
            if row.label.startswith(APP_PREFIX):
                found = f"{row.label!r}, whose lines can't be told from those of an app"
                self.problems.at(row.table, "label", found, f"a label that does not begin with {APP_PREFIX}")

    def programs(self) -> None:
        """A row is a guest service or a native program; what it names exists and is the only program of its name."""
        folders = {name: f"runtime {name!r}" for name in RUNTIMES}
        for row in self.rows:
            if row.native is not None:
                name = row.native.rsplit("/", 1)[-1]
                if folders.setdefault(name, row.native) != row.native:
                    found = f"{row.native!r}, whose program would be called as that of {folders[name]}"
                    self.problems.at(row.table, "native", found, "a folder with a name of its own")
            if (row.service is None) == (row.native is None):
                found = "neither" if row.service is None else "both"
                self.problems.at(row.table, "service", found, "exactly one of service and native")
            if row.service is not None:
                if not (self.root / "guest" / row.service / "main.py").is_file():
                    self.problems.at(
                        row.table, "service", repr(row.service), f"a folder with guest/{row.service}/main.py"
                    )
                if row.heap == 0:
                    self.problems.at(row.table, "heap", "nothing", "a heap for the interpreter")
            elif row.native is not None and not (self.root / row.native).is_dir():
                self.problems.at(row.table, "native", repr(row.native), "a folder of the clone")

    def named_modules(self) -> None:
        """Modules that a row names are there, each with a name of its own, in a row whose files can hold them."""
        for row in self.rows:
            names = ["main"]
            if row.modules and row.service is None:
                self.problems.at(row.table, "modules", "a native program", "a service, whose files can hold modules")
            for name in row.modules:
                last = name.rsplit("/", 1)[-1]
                if not (self.root / "guest" / f"{name}.py").is_file():
                    self.problems.at(row.table, "modules", repr(name), f"a module guest/{name}.py")
                if last in names:
                    self.problems.at(
                        row.table, "modules", repr(name), f"another last name than {last!r}, which is taken"
                    )
                names.append(last)

    def gates(self) -> None:
        """An image opens gates for good; the one that closes after boot is the kernel's."""
        known = set(self.contract.table("gate")) - {self.contract.table("policy")["not_for_routes"]}
        for gate in self.top.gates:
            if gate not in known:
                expected = f"a gate that an image can open: {', '.join(sorted(known))}{did_you_mean(gate, known)}"
                self.problems.at(self.raw.top, "gates", repr(gate), expected)

    def call_lists(self) -> None:
        """Every call and route names an endpoint, and a facet that the contract knows."""
        for row in self.rows:
            self.edges[row.name] = self._edges(row.table, row.name, "calls", row.calls)
            self.routes[row.name] = self._edges(row.table, row.name, "routes", row.routes)
            if row.app_calls:
                for edge in self._edges(row.table, APPS, "app_calls", (row.app_calls,)):
                    self.app_calls[row.name] = edge
        self.app_routes = self._edges(self.raw.top, APPS, "app_routes", self.top.app_routes)

    def _edges(self, table: RawTable, caller: str, key: str, entries: tuple[str, ...]) -> tuple[Edge, ...]:
        edges = []
        for entry in entries:
            server, _, facet = entry.partition(":")
            target = self.by_name.get(server)
            facets = self.contract.table(f"facet.{server.replace('-', '_')}")
            if target is None:
                expected = f"the name of a process{did_you_mean(server, self.by_name)}"
                self.problems.at(table, key, repr(entry), expected)
            elif target.name == caller:
                self.problems.at(table, key, repr(entry), "another process than itself")
            elif not target.endpoint:
                expected = (
                    f"a process with an endpoint; [{target.table.title}] has none ({target.table.at('endpoint')})"
                )
                self.problems.at(table, key, repr(entry), expected)
            elif facet and facet not in facets:
                expected = f"a facet of [facet.{server.replace('-', '_')}] in recipes/contract/wire.toml"
                self.problems.at(table, key, repr(entry), expected + did_you_mean(facet, facets))
            else:
                edges.append(Edge(caller, server, facet or None))
        return tuple(edges)

    def device_drivers(self) -> None:
        """Every device has one driver, and a driver can be told of interrupts."""
        drivers: dict[str, ProcessRow] = {}
        known = [row.name for row in self.device_rows]
        for row in self.rows:
            for name in row.devices:
                if name not in known:
                    expected = f"a device that the recipe declares as [devices.{name}]{did_you_mean(name, known)}"
                    self.problems.at(row.table, "devices", repr(name), expected)
                elif name in drivers:
                    found = f"{name!r}, which [{drivers[name].table.title}] drives"
                    self.problems.at(row.table, "devices", found, "a device without a driver")
                drivers.setdefault(name, row)
            if row.devices and "notification" not in row.capabilities:
                self.problems.at(
                    row.table, "capabilities", repr(list(row.capabilities)), "notification, for its interrupts"
                )
        for device in self.device_rows:
            if device.name not in drivers:
                self.problems.at(device.table, "virtio_id", "a device that no process drives", "one driver")
        identities = [device.virtio_id for device in self.device_rows]
        for device in self.device_rows:
            if identities.count(device.virtio_id) > 1:
                self.problems.at(device.table, "virtio_id", str(device.virtio_id), "an id that no other device has")

    def supervision(self) -> dict[str, str]:
        """One root; everybody else has exactly one supervisor. The supervisor of each process, by name."""
        roots = [row for row in self.rows if "root" in row.flags]
        if len(roots) != 1:
            names = ", ".join(row.name for row in roots) or "none"
            where = roots[-1].table if roots else self.raw.top
            self.problems.at(where, "flags", f"{names} with the flag root", "exactly one process with it")
            return {}
        supervisors = {roots[0].name: roots[0].name}
        for row in self.rows:
            for name in row.supervises:
                if name != "*" and name not in self.by_name:
                    expected = f"the name of a process{did_you_mean(name, self.by_name)}"
                    self.problems.at(row.table, "supervises", repr(name), expected)
                elif name in supervisors:
                    found = f"{name!r}, which {supervisors[name]!r} supervises"
                    self.problems.at(row.table, "supervises", found, "a process without a supervisor")
                elif name != "*":
                    supervisors[name] = row.name
            if row.supervises and "notification" not in row.capabilities:
                self.problems.at(row.table, "capabilities", repr(list(row.capabilities)), "notification, for deaths")
        for row in self.rows:
            if "*" in row.supervises:
                supervisors.update({other.name: row.name for other in self.rows if other.name not in supervisors})
            if row.name not in supervisors and not any("*" in other.supervises for other in self.rows):
                self.problems.at(row.table, "name", repr(row.name), "a process that some row supervises")
        return supervisors

    def sizes(self) -> None:
        """Every area fits between its address and the next one."""
        va = self.contract.table("va")
        bounds = {
            "heap": va["romfs"] - va["heap"] - PAGE,
            "stack": va["stack_top"] - va["ipc"] - 3 * PAGE,  # IPC page, and an unmapped page on either side
            "kept": va["policy"] - va["kept"] - PAGE,
        }
        for row in self.rows:
            for key, bound in bounds.items():
                if getattr(row, key) > bound:
                    self.problems.at(row.table, key, f"{getattr(row, key) >> 10} KiB", f"at most {bound >> 10} KiB")
            for bytes_ in row.regions:
                if bytes_ > va["region_stride"] - PAGE:
                    self.problems.at(
                        row.table, "regions", f"{bytes_ >> 10} KiB", f"at most {va['region_stride'] - PAGE >> 10} KiB"
                    )
        for device in self.device_rows:
            if pages(device.dma) > self.limits["dma_pages"]:
                expected = f"at most {self.limits['dma_pages'] * PAGE >> 10} KiB (limits.toml: dma_pages)"
                self.problems.at(device.table, "dma", f"{device.dma >> 10} KiB", expected)

    def all_edges(self, supervisors: dict[str, str]) -> list[Edge]:
        """Calls, routes, those of apps, and the root's READY question to each server that does not itself call the root."""
        edges = [edge for row in self.rows for edge in (*self.edges[row.name], *self.routes[row.name])]
        edges += [*self.app_calls.values(), *self.app_routes]
        root = next(name for name, supervisor in supervisors.items() if name == supervisor)
        ready = [
            Edge(root, row.name, graph.READY)
            for row in self.rows
            if row.endpoint and row.name != root and not graph.reaches(row.name, root, edges)
        ]
        self.edges[root] += tuple(ready)
        return edges + ready

    def cycles(self, edges: list[Edge]) -> None:
        if cycle := graph.find_cycle([row.name for row in self.rows], edges):
            row = self.by_name[cycle[0]]
            key = "calls" if any(edge.server == cycle[1] for edge in self.edges[row.name]) else "routes"
            found = f"the circle {' -> '.join(cycle)}"
            self.problems.at(
                row.table, key, found, "a call graph without a circle, or callers could wait for each other"
            )

    def deadlines(self, edges: list[Edge]) -> None:
        """Every caller's deadline covers the queue that can stand ahead of it; told once per server."""
        sums = graph.Deadlines(self.contract, edges)
        told: set[str] = set()
        for edge in edges:
            if not sums.stated(edge.server) or edge.server in told:
                continue
            need, deadline = sums.need(edge), sums.deadline(edge)
            if sums.missing:
                found = f"the edge to {edge.server!r} without {', '.join(sorted(sums.missing))}"
                self._edge_problem(edge, found, "these times in recipes/contract/limits.toml")
                return
            if need > deadline:
                told.add(edge.server)
                found = f"a deadline of {self._seconds(deadline)} for {edge.server!r}"
                expected = f"at least {self._seconds(need)}: the queue ahead of {edge.caller!r} can take that long"
                self._edge_problem(
                    edge, found, f"{expected} (recipes/contract/limits.toml: edge_deadline, service_time)"
                )

    def _seconds(self, ticks: int) -> str:
        return f"{ticks / self.limits['tick_hz']:g} s"

    def _edge_problem(self, edge: Edge, found: str, expected: str) -> None:
        table, key = self._place(edge)
        self.problems.at(table, key, found, expected)

    def _place(self, edge: Edge) -> tuple[RawTable, str]:
        """The table and the key in which the edge is written."""
        if edge in self.app_routes:
            return self.raw.top, "app_routes"
        for name, given in self.app_calls.items():
            if edge == given:
                return self.by_name[name].table, "app_calls"
        return self.by_name[edge.caller].table, "calls" if edge in self.edges[edge.caller] else "routes"

    def capability_names(self, system: System) -> None:
        """A process can tell its capabilities apart by name."""
        for process in system.processes:
            names = [cap.name for cap in process.capabilities]
            for name in sorted({name for name in names if names.count(name) > 1}):
                table = self.by_name[process.name].table
                self.problems.at(table, "calls", f"two capabilities that would be called {name}", "names that differ")

    def counts(self, system: System) -> None:
        """Nothing exceeds a fixed pool of the kernel."""
        found = {
            "processes": len(system.processes),
            "endpoints": len(system.endpoints),
            "devices": len(system.devices),
            "queues": sum(device.queue_count for device in system.devices),
            "regions": len(system.regions),
            "pool_pages": memory.pool_pages(system, self.contract),
        }
        for key, count in found.items():
            if count > self.limits[key]:
                self.problems.at(self.raw.top, key, str(count), f"at most {self.limits[key]} (limits.toml: {key})")
        for process in system.processes:
            table = self.by_name[process.name].table
            if len(process.capabilities) > self.limits["cap_slots"]:
                expected = f"at most {self.limits['cap_slots']} (limits.toml: cap_slots)"
                self.problems.at(table, "calls", f"{len(process.capabilities)} capabilities", expected)
            if process.rank >= self.limits["processes"]:
                self.problems.at(table, "calls", f"rank {process.rank}", f"at most {self.limits['processes'] - 1}")


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
