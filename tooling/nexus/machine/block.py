"""The launch block: what the host tells the kernel of this run, as the bytes that QEMU puts behind the image at each reset.

Pure. Offsets are the contract's ([launch] of abi.toml); firmware/kernel/launch.c reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from nexus.errors import UsageError

PREFIX = "opt/nexus/"
LAST_PHASE = 0xFFFF_FFFF
NAMES = ("nonce", "phase", "flags")


def checked_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Facts by their short names; `opt/nexus/phase` and `phase` are the same."""
    short = {name.removeprefix(PREFIX): value for name, value in facts.items()}
    unknown = sorted(short.keys() - set(NAMES))
    if unknown:
        raise UsageError(f"`{unknown[0]}` can't be told to the kernel", f"known: {', '.join(NAMES)}")
    for name in ("phase", "flags"):
        if name in short and not short[name].isdecimal():
            raise UsageError(f"{name}: found `{short[name]}`, expected a decimal number")
    return short


def pack(facts: Mapping[str, str], layout: Mapping[str, int]) -> bytes:
    """The block. A nonce that the kernel refuses may be packed: a test wants to see that."""
    block = bytearray(layout["bytes"])
    struct.pack_into("<Q", block, 0, layout["magic"])
    nonce = facts.get("nonce", "").encode("utf-8")[: layout["nonce_bytes"]]
    block[layout["nonce"] : layout["nonce"] + len(nonce)] = nonce
    struct.pack_into("<I", block, layout["phase"], int(facts.get("phase", LAST_PHASE)))
    struct.pack_into("<I", block, layout["flags"], int(facts.get("flags", 0)))
    return bytes(block)
