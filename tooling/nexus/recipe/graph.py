"""The call graph of a system: ranks, cycles, and whether every deadline covers the queue ahead of its caller.

Called by check.py with resolved edges. Pure: takes edges and contract tables, returns numbers and names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexus.contract.load import Contract
from nexus.recipe.model import APPS, Edge

READY = "ready"  # the facet of init's question, asked once per incarnation
APP_RANK = 0  # spawned apps; what the recipe lists ranks above them


def find_cycle(names: Sequence[str], edges: Iterable[Edge]) -> list[str]:
    """A path that comes back to its first name, or nothing."""
    servers: dict[str, list[str]] = {name: [] for name in names}
    for edge in edges:
        servers.setdefault(edge.caller, []).append(edge.server)
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for server in servers[name]:
            if cycle := visit(server, [*path, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in names if (cycle := visit(name, []))), [])


def ranks(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """A server ranks one above the highest of its callers; needs a graph without cycle."""
    callers: dict[str, list[str]] = {name: [] for name in names}
    for edge in edges:
        callers[edge.server].append(edge.caller)
    known = {APPS: APP_RANK}

    def rank(name: str) -> int:
        if name not in known:
            known[name] = 1 + max((rank(caller) for caller in callers[name]), default=APP_RANK)
        return known[name]

    return {name: rank(name) for name in names}


def reaches(start: str, goal: str, edges: Sequence[Edge]) -> bool:
    """Whether a chain of calls leads from one process to the other."""
    seen = {start}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        for edge in edges:
            if edge.caller == name and edge.server not in seen:
                seen.add(edge.server)
                waiting.append(edge.server)
    return goal in seen


class Deadlines:
    """Sums service times along the call graph.

    Ahead of a caller stands every other caller of the server once (one call is outstanding per process; of apps there can be
    limit.app_slots), each with its longest operation, and an operation may make one call on each of its server's own edges. READY is left out of
    other callers' queues: it is asked before anybody else may call. Who is impatient waits no longer than its deadline,
    whatever is ahead of it. `missing` names the times that were needed but
    are not stated.
    """

    def __init__(self, contract: Contract, edges: Sequence[Edge]) -> None:
        self.contract = contract
        self.edges = tuple(edges)
        self.missing: set[str] = set()
        self._nested: dict[str, int] = {}

    def stated(self, server: str) -> bool:
        """Whether the contract knows the server's operations; test programs have none, so nothing can be summed."""
        return bool(self.contract.table(f"op.{_key(server)}"))

    def deadline(self, edge: Edge) -> int:
        """How long the caller waits, by the contract."""
        if edge.facet == READY:
            return self._time("edge_deadline.all", "ready")
        table = f"edge_deadline.{_key(edge.server)}"
        caller = _key(edge.caller)
        return self._time(table, caller if caller in self.contract.table(table) else "all")

    def impatient(self, edge: Edge) -> bool:
        """Whether the caller rather gives up than waits for all who can be ahead of it."""
        server, caller = ("all", READY) if edge.facet == READY else (_key(edge.server), _key(edge.caller))
        return caller in self.contract.table(f"edge_impatient.{server}")

    def need(self, edge: Edge) -> int:
        """What a deadline has to cover: of somebody impatient its own request, else everybody ahead of it too."""
        return self._longest(edge) if self.impatient(edge) else self._queue(edge)

    def _queue(self, edge: Edge) -> int:
        """The longest that an answer can take: everybody ahead, then the caller itself."""
        ahead: dict[str, int] = {}
        for other in self.edges:
            if other.server == edge.server and self._others(edge, other.caller) and other.facet != READY:
                ahead[other.caller] = max(ahead.get(other.caller, 0), self._longest(other))
        counts = {caller: self._others(edge, caller) for caller in ahead}
        waits = sum(counts[caller] * time for caller, time in ahead.items())
        return self._longest(edge) + waits + (1 + sum(counts.values())) * self._nested_need(edge.server)

    def _others(self, edge: Edge, caller: str) -> int:
        """How many processes that caller stands for, the one that asks not counted."""
        copies = self.contract.number("limit.app_slots") if caller == APPS else 1
        return copies - (caller == edge.caller)

    def _nested_need(self, server: str) -> int:
        if server not in self._nested:
            needs = {
                edge.server: self._wait(edge) for edge in self.edges if edge.caller == server and edge.facet != READY
            }
            self._nested[server] = sum(needs.values())
        return self._nested[server]

    def _wait(self, edge: Edge) -> int:
        return self.deadline(edge) if self.impatient(edge) else self._queue(edge)

    def _longest(self, edge: Edge) -> int:
        if edge.facet == READY:
            return self._time("service_time.all", "ready")
        operations = self.contract.table(f"op.{_key(edge.server)}")
        allowed = [edge.facet] if edge.facet in operations else list(operations)
        return max((self._time(f"service_time.{_key(edge.server)}", name) for name in allowed), default=0)

    def _time(self, table: str, key: str) -> int:
        value = self.contract.table(table).get(key)
        if isinstance(value, int):
            return value
        self.missing.add(f"[{table}] {key}")
        return 0


def _key(name: str) -> str:
    return name.replace("-", "_")
