"""What the image builder would give a process: its generated modules and the system's compiled policy, by the builder's own functions.

Used by machine.py; nothing here is written a second time.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from nexus.contract.load import Contract
from nexus.recipe.model import Process, System

_policies: dict[System, Any] = {}


def _builder(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(f"nexus.image.{module}"), name)
    except ImportError:
        return None


def policy_of(system: System, contract: Contract, root: Path) -> Any:
    """The builder's ImagePolicy, or None where nobody decides."""
    if system not in _policies:
        make = _builder("policy", "policy_of")
        _policies[system] = make(system, contract, root) if make else None
    return _policies[system]


def generated(system: System, process: Process, contract: Contract, policy: Any) -> dict[str, str]:
    """Source text by module name."""
    caps = _builder("caps", "caps_module")
    if caps is None:
        return {"caps": _builder("table", "caps_module")(system, process, contract)}
    table = len(policy.table) if policy else 0
    return {
        "caps": caps(system, process, contract, table),
        "boot_grants": _builder("policy", "grants_module")(policy),
    }
