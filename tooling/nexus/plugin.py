"""pytest plugin: the fixture `boot`, which starts a real machine and hands out its console, control and memory.

Loaded by pytest through the entry point `pytest11`. Imports nothing heavy until a test really boots.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from nexus.machine.argv import Rng
    from nexus.machine.live import Machine
    from nexus.machine.target import Target

MACHINES = pytest.StashKey["list[Machine]"]()
TARGETS = pytest.StashKey["dict[tuple[Path, str], Target]"]()


class Boot(Protocol):
    """What the fixture is. Call it as often as wanted; every machine ends with the test, killed if need be."""

    def __call__(
        self,
        system: str = "selftest",
        rng: Rng | str = "",
        fw_cfg: Mapping[str, str] | None = None,
        qemu_args: Sequence[str] = (),
        *,
        phase: str | None = None,
        icount: str | None = None,
        trace_rng: bool = False,
        disk: bytes | None = None,
        root: Path | None = None,
    ) -> Machine: ...


@pytest.fixture
def boot(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """Build a system if its sources changed (once per test run), boot it, and hand out the live machine."""
    machines = request.node.stash.setdefault(MACHINES, [])

    def start(
        system: str = "selftest",
        rng: Rng | str = "",
        fw_cfg: Mapping[str, str] | None = None,
        qemu_args: Sequence[str] = (),
        *,
        phase: str | None = None,
        icount: str | None = None,
        trace_rng: bool = False,
        disk: bytes | None = None,
        root: Path | None = None,
    ) -> Machine:
        machine = _start(
            _target(request.config, root, system), rng, fw_cfg or {}, qemu_args, phase, icount, trace_rng, disk, root
        )
        machines.append(machine)
        return machine

    try:
        yield start
    finally:
        for machine in machines:
            machine.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test shows the last lines of its machines' consoles and where their logs lie."""
    report = yield
    if report.failed and call.when == "call":
        for machine in item.stash.get(MACHINES, []):
            report.sections.append((f"console of {machine.session.run.id}", "\n".join(machine.evidence())))
    return report


def _target(config: pytest.Config, root: Path | None, system: str) -> Target:
    from nexus.layout import find_root
    from nexus.machine.target import prepare

    targets = config.stash.setdefault(TARGETS, {})
    key = (root or find_root(), system)
    if key not in targets:
        targets[key] = prepare(*key, build=True, progress=lambda _text: None)
    return targets[key]


def _start(
    target: Target,
    rng: Rng | str,
    fw_cfg: Mapping[str, str],
    qemu_args: Sequence[str],
    phase: str | None,
    icount: str | None,
    trace_rng: bool,
    disk: bytes | None,
    root: Path | None,
) -> Machine:
    from dataclasses import replace

    from nexus.contract.load import load_contract
    from nexus.layout import contract_dir, find_root
    from nexus.machine.argv import parse_rng
    from nexus.machine.live import Machine
    from nexus.machine.session import Session
    from nexus.machine.target import launch_of

    contract = load_contract(contract_dir(root or find_root()))
    source = parse_rng(rng) if isinstance(rng, str) else rng
    launch = launch_of(target, contract, rng=source, phase=phase, facts=fw_cfg, disk=disk)
    launch = replace(launch, extra=tuple(qemu_args), icount=icount)
    session = Session(root or find_root(), target.system, launch, trace_rng=trace_rng)
    session.__enter__()
    return Machine(session, target, contract)
