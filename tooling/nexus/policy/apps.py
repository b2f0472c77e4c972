"""What an app may hold: every capability that recipe and policy let it come to, from its start on and by asking.

Called by tests that compare it with the tables of a running machine. Pure; policy's evaluator decides, nothing here does.
"""

from __future__ import annotations

from collections.abc import Iterator

from nexus.contract.load import Contract
from nexus.policy.evaluate import ROUTE, Evaluator, route_name
from nexus.recipe.model import Capability, Edge, System


def app_capabilities(
    system: System, evaluator: Evaluator, contract: Contract, app: str, mask: int, index: int
) -> tuple[Capability, ...]:
    """Of the app with that id name and mask, in the slot of that dense index. What it makes of its own ones is not told."""
    return (*_first(system, contract, index), *_routed(system, evaluator, contract, app, mask, index))


def _first(system: System, contract: Contract, index: int) -> Iterator[Capability]:
    """What the kernel gives it, and what its spawner passes on."""
    use, call = contract.number("right.use"), contract.number("right.call")
    yield Capability("CONSOLE", "console", use, index)
    yield Capability("NOTIFICATION", "notification", use, index)
    for process in system.processes:
        if process.app_calls:
            passed = next(cap for cap in process.capabilities if cap.name.startswith("APPS_"))
            yield Capability(process.app_calls.server.upper(), "endpoint", call, passed.object, passed.badge)


def _routed(
    system: System, evaluator: Evaluator, contract: Contract, app: str, mask: int, index: int
) -> Iterator[Capability]:
    """What the root hands out when it is asked, each badged for this holder and not to be passed on."""
    for edge in system.app_routes:
        if evaluator.decide(app, ROUTE, route_name(edge), asker=system.root.id_name, mask=mask).allow:
            badge = _facet(edge, contract) << contract.number("badge.facet_shift") | index
            endpoint = system.process(edge.server).endpoint
            assert endpoint is not None  # check.py
            yield Capability(route_name(edge), "endpoint", contract.number("right.call"), endpoint, badge)


def _facet(edge: Edge, contract: Contract) -> int:
    if edge.facet is None:
        return contract.number("badge.facet_any")
    return contract.number(f"facet.{edge.server.replace('-', '_')}.{edge.facet}")
