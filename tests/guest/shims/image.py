"""What the image builder would give a process: its generated modules and the system's compiled policy, by the builder's own functions.

Used by machine.py; nothing here is written a second time.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from nexus.bundle.app import FILE
from nexus.bundle.trust import load_trust
from nexus.contract.load import Contract
from nexus.image import apps, policy
from nexus.image.apps import ImageApps
from nexus.image.caps import caps_module
from nexus.image.manual import manual_module
from nexus.image.modules import SHELL_BUILTIN, closure
from nexus.image.policy import ImagePolicy
from nexus.recipe.model import Process, System

_policies: dict[System, ImagePolicy | None] = {}
_apps: dict[System, ImageApps] = {}
_generated: dict[tuple[System, str, str | None, Path], dict[str, str]] = {}


def policy_of(system: System, contract: Contract, root: Path) -> ImagePolicy | None:
    """None where nobody decides."""
    if system not in _policies:
        _policies[system] = policy.policy_of(system, contract, root)
    return _policies[system]


def apps_of(system: System, process: Process, contract: Contract, root: Path) -> ImageApps:
    """Bundles are compiled only for whoever brings some along."""
    if not process.bundle_paths:
        return ImageApps(load_trust(system.trust, root, contract), {})
    if system not in _apps:
        _apps[system] = apps.apps_of(system, contract, root, lambda _text: None)
    return _apps[system]


def folders_of_apps(system: System, root: Path) -> dict[str, str | Path]:
    """The code of these bundles, by their ids."""
    files = [root / path / FILE for path in system.bundle_paths]
    return {tomllib.loads(file.read_text(encoding="utf-8"))["id"]: file.parent for file in files if file.is_file()}


def generated(
    system: System, process: Process, contract: Contract, held: ImagePolicy | None, root: Path
) -> dict[str, str]:
    """Source text by module name; made once for all machines of a system and a policy."""
    key = system, process.name, held.digest if held else None, root
    if key not in _generated:
        _generated[key] = _generate(system, process, contract, held, root)
    return dict(_generated[key])


def _generate(
    system: System, process: Process, contract: Contract, held: ImagePolicy | None, root: Path
) -> dict[str, str]:
    table_bytes = len(held.table) if held else 0
    return {
        **apps.guest_modules(process, apps_of(system, process, contract, root)),
        "caps": caps_module(system, process, contract, table_bytes),
        "boot_grants": policy.grants_module(held),
        **manual_of(process, root),
    }


def manual_of(process: Process, root: Path) -> dict[str, str]:
    """Only the shell's interpreter has modules with docstrings."""
    if process.runtime != "shell" or process.service is None:
        return {}
    return {"manual": manual_module(closure(root / "guest", process.service, SHELL_BUILTIN))}
