"""What a process knows of itself and its system from its first instruction on: the names of its handles, and facts of the recipe.

Called by build.py and by the tests' stand-in for the machine. Pure: text from a checked system. Names nothing that the
process was not given.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexus.contract.load import Contract, constant_name
from nexus.policy.evaluate import route_name
from nexus.recipe.model import PAGE, Edge, Process, System


def handles(process: Process, contract: Contract) -> list[tuple[str, int]]:
    """Name and handle of each boot capability; the handle of a slot is stated by the contract."""
    first = contract.number("handle.boot")
    return [(cap.name, first + slot) for slot, cap in enumerate(process.capabilities)]


def sizes(system: System, process: Process, policy_bytes: int) -> dict[str, int]:
    """Numbers that are no handles; a folded one costs the process nothing."""
    return {
        "KEPT_BYTES": process.kept_pages * PAGE,
        "POLICY_BYTES": policy_bytes if process.policy else 0,
        "PROCESS_COUNT": len(system.processes),
        "REGION_COUNT": sum(region.owner == process.index for region in system.regions),
    }


def caps_header(process: Process, contract: Contract) -> str:
    """Handles of a native program."""
    lines = [f"/* Generated: the capabilities that {process.name} has at boot. Do not edit. */", "#pragma once", ""]
    lines += [f"#define CAP_{name} {handle:#x}" for name, handle in handles(process, contract)]
    return "\n".join(lines) + "\n"


def caps_module(
    system: System, process: Process, contract: Contract, policy_bytes: int = 0, names: Iterable[str] | None = None
) -> str:
    """The guest module `caps`; with `names`, only those, so that a process does not pay heap for what it never reads."""
    wanted = None if names is None else set(names)
    numbers = dict(handles(process, contract)) | {"INDEX": process.index} | sizes(system, process, policy_bytes)
    lines = [f"# Generated: what {process.name} has at boot. Do not edit.", "from micropython import const", ""]
    for name, value in numbers.items():
        if wanted is None or name in wanted:
            lines.append(f"{name} = const({value:#x})")
    for name, rows in _tables(system, process, contract).items():
        if wanted is None or name in wanted:
            lines += ["", *rows]
    return "\n".join(lines) + "\n"


def known_names(system: System, process: Process, contract: Contract) -> list[str]:
    """What `caps.NAME` may be in the code of this process."""
    named = [name for name, _ in handles(process, contract)]
    return [*named, "INDEX", *sizes(system, process, 0), *_tables(system, process, contract)]


def _tables(system: System, process: Process, contract: Contract) -> dict[str, list[str]]:
    """Facts that are tuples or dictionaries, as lines of source."""
    found = {"SUBJECTS": _rows("SUBJECTS", "id name by dense index", [repr(row.id_name) for row in system.processes])}
    ids = b"".join(row.service_id.to_bytes(8, "little") for row in system.processes)
    found["SUBJECT_IDS"] = ["# service ids by dense index, 8 bytes each", f"SUBJECT_IDS = {ids!r}"]
    found["DEVICES"] = _rows("DEVICES", "names by number", [repr(device.name) for device in system.devices])
    found["ENDPOINTS"] = _endpoints(system, contract)
    names = [repr(route_name(edge).encode()) for edge in process.routes]
    found["ROUTE_NAMES"] = _rows("ROUTE_NAMES", "of the routes that it may ask init for", names)
    if process.supervises:
        found["PROCESSES"] = _children(system, process, contract)
    if "root" in process.flags:
        found["ROUTES"] = _routes(system, process, contract)
    return found


def _endpoints(system: System, contract: Contract) -> list[str]:
    """What a capability to an endpoint is called, by the endpoint's number and the facet in the badge."""
    rows = []
    for server in system.processes:
        if server.endpoint is not None:
            facets = contract.table(f"facet.{server.name.replace('-', '_')}")
            named = {"": contract.number("badge.facet_any"), "ready": contract.number("badge.facet_ready"), **facets}
            for facet, number in named.items():
                name = route_name(Edge("", server.id_name, facet or None))
                rows.append(f"({server.endpoint}, {number}): {name!r}")
    return ["# (endpoint, facet): its name", "ENDPOINTS = {", *_indented(rows), "}"]


def _children(system: System, process: Process, contract: Contract) -> list[str]:
    named = dict(handles(process, contract))
    rows = []
    for child in (system.process(name) for name in process.supervises):
        serves = child.endpoint is not None
        known = (child.name, child.index, child.rank, child.restarts, "critical" in child.flags, serves)
        ready = named.get(constant_name("ready", child.name), 0)
        rows.append(repr((*known, ready, named[constant_name("supervise", child.name)])))
    what = "(name, dense index, rank, restarts, critical, serves, READY handle or 0, supervise handle)"
    return _rows("PROCESSES", what, rows)


def _routes(system: System, process: Process, contract: Contract) -> list[str]:
    """Each name that a question for a route can have, and what the one who may have it is given."""
    named = dict(handles(process, contract))
    rows = []
    for edge in system.routes:
        facets = contract.table(f"facet.{edge.server.replace('-', '_')}")
        facet = facets[edge.facet] if edge.facet else contract.number("badge.facet_any")
        handle = named[constant_name("route", edge.server)]
        rows.append(f"{route_name(edge).encode()!r}: ({handle:#x}, {facet})")
    return ["# name of a route: (handle of the server's endpoint, facet)", "ROUTES = {", *_indented(rows), "}"]


def _rows(name: str, what: str, rows: list[str]) -> list[str]:
    return [f"# {what}", f"{name} = (", *_indented(rows), ")"]


def _indented(rows: list[str]) -> list[str]:
    return [f"    {row}," for row in rows]
