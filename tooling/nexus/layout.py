"""Where things lie in a clone: the one place that spells a path of the source tree or of build/.

Used by every stage of the host tool. Never creates a folder and never looks at what is in one.
"""

from __future__ import annotations

from pathlib import Path

RAM_BASE = 0x8000_0000  # of QEMU -M virt; nexus inspect refuses an image whose first byte lies elsewhere


def find_root() -> Path:
    """The clone that this package belongs to."""
    return Path(__file__).resolve().parents[2]


def contract_dir(root: Path) -> Path:
    return root / "recipes" / "contract"


def systems_dir(root: Path) -> Path:
    return root / "recipes" / "systems"


def policy_dir(root: Path) -> Path:
    return root / "recipes" / "policy"


def trust_dir(root: Path) -> Path:
    return root / "recipes" / "trust"


def gen_dir(root: Path) -> Path:
    """Generated code that every system shares."""
    return root / "build" / "gen"


def system_dir(root: Path, system: str) -> Path:
    return root / "build" / system


def image_path(root: Path, system: str) -> Path:
    return system_dir(root, system) / "nexus.elf"


def policy_table_path(root: Path, system: str) -> Path:
    return system_dir(root, system) / "policy.bin"


def manifest_path(root: Path, system: str) -> Path:
    return system_dir(root, system) / "manifest.json"
