"""Writes the contract as a C header and as MicroPython modules, so that no program types a contract number by hand.

Called by the image builder. A file is touched only if its content changed, so that make rebuilds nothing for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from nexus.contract.load import Contract

SOURCE = "recipes/contract"


def write_if_changed(path: Path, content: str | bytes) -> bool:
    """Write the file unless it holds exactly this already; whether it was written."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return True


def emit_contract(contract: Contract, folder: Path) -> None:
    """Write contract.h and contract.py."""
    write_if_changed(folder / "contract.h", c_header(contract))
    write_if_changed(folder / "contract.py", guest_module(contract))


def c_header(contract: Contract) -> str:
    """Also included by assembly, hence #define and numbers without suffix."""
    lines = [f"/* Generated from {SOURCE}, digest {contract.digest}. Do not edit. */", "#pragma once", ""]
    lines += [f"#define {name} {_c_value(value)}" for name, value in contract.constants.items()]
    digest = bytes.fromhex(contract.digest)
    lines += ["", "#define CONTRACT_DIGEST_BYTES { " + ", ".join(f"0x{byte:02x}" for byte in digest) + " }", ""]
    return "\n".join(lines)


def guest_module(contract: Contract, names: Iterable[str] | None = None) -> str:
    """The module `contract`; with `names`, only those, so that a process does not pay heap for what it never reads."""
    wanted = None if names is None else set(names)
    lines = [f"# Generated from {SOURCE}, digest {contract.digest}. Do not edit.", "from micropython import const", ""]
    for name, value in contract.constants.items():
        if wanted is None or name in wanted:
            lines.append(f"{name} = {_guest_value(value)}")
    if wanted is None or "DIGEST" in wanted:
        lines.append(f'DIGEST = "{contract.digest}"')
    return "\n".join(lines) + "\n"


def guest_names(contract: Contract) -> frozenset[str]:
    """What `contract.NAME` may be in guest code."""
    return frozenset(contract.constants) | {"DIGEST"}


def _c_value(value: int | str) -> str:
    return _number(value) if isinstance(value, int) else json.dumps(value)


def _guest_value(value: int | str) -> str:
    return f"const({_number(value)})" if isinstance(value, int) else json.dumps(value)


def _number(value: int) -> str:
    """Round addresses and masks read better in hex; to C, a number of 64 bits is one in hex only."""
    return hex(value) if value >= 4096 and (value % 256 == 0 or value >= 1 << 63) else str(value)
