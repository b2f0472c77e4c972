"""What an image is made of, as manifest.json beside it: hashes, sizes, addresses, the service table, and its inputs.

Written by build.py as the last step; read by inspect, by the machine and by the harness. Holds no path of this machine
and no date, so that two builds of one source have equal manifests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nexus.errors import BuildError, SetupError

FORMAT = 4
# Folders of which every source file counts as an input, whichever system is built.
INPUT_FOLDERS = (
    "firmware",
    "guest",
    "recipes/contract",
    "recipes/policy",
    "recipes/trust",
    "tooling/nexus/bundle",
    "tooling/nexus/contract",
    "tooling/nexus/policy",
    "tooling/nexus/recipe",
    "tooling/nexus/image",
    "tests/vectors",  # of the native test programs
)
INPUT_FILES = ("sources.lock", "requirements.lock")  # C sources; the packages that compile guest code
INPUT_SUFFIXES = (".c", ".h", ".S", ".ld", ".py", ".toml", ".mk", ".json", ".txt", "Makefile")


@dataclass(frozen=True)
class File:
    """A file of the build and what was in it."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class PlacedPart:
    """A part of the payload and where it lies in RAM."""

    name: str
    address: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Area:
    """A loaded area of the kernel's ELF."""

    start: int
    bytes: int
    access: str


@dataclass(frozen=True)
class CapRow:
    """One boot capability: the name that the process's code uses, then what the image table says of it."""

    name: str
    handle: str
    type: int
    rights: int
    object: int
    badge: str


@dataclass(frozen=True)
class ProcessRow:
    """One process, by dense index. Ids are hex, since JSON readers lose bits of large numbers."""

    index: int
    name: str
    label: str
    id_name: str
    service_id: str
    rank: int
    program: str
    source: str  # folder of the guest service or native program
    flags: list[str]
    supervisor: int
    heap_bytes: int
    stack_bytes: int
    kept_bytes: int
    policy: bool  # the policy is mapped into it
    frames: int  # pages of RAM, page tables not counted
    capabilities: list[CapRow]


@dataclass(frozen=True)
class PublisherRow:
    """Somebody whose bundles the system takes."""

    name: str
    key_id: str
    public_key: str
    prefixes: list[str]  # of ids
    revoked: str | None  # why its bundles are refused all the same
    secret_known: bool  # everybody can sign as this one


@dataclass(frozen=True)
class BundleRow:
    """A bundle that lies in the ROMFS of a process."""

    process: str
    source: str  # as the recipe writes it
    id: str | None  # this and the next two are of a bundle that the system takes
    version: str | None
    publisher: str | None
    refused: str | None  # why it does not: a specimen for tests
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    format: int
    system: str
    recipe: str  # path in the clone where it lies in it; its bases are among the inputs alone
    contract_digest: str
    policy_digest: str | None  # of the compiled table, which is the part `policy`
    policy_bytes: int
    gates: list[str]
    app: str | None  # the program of spawned apps
    app_routes: list[str]  # what they may ask for
    trust: list[PublisherRow]
    bundles: list[BundleRow]
    image: File
    image_end: int  # first address after all that the image takes at boot
    ram_bytes: int
    flags: list[str]
    qemu_devices: list[str]
    areas: list[Area]
    programs: list[File]  # ELFs, by path from the folder build/
    parts: list[PlacedPart]
    processes: list[ProcessRow]
    compiler: str
    input_digest: str
    inputs: dict[str, str]  # path in the clone -> SHA-256


ROWS: dict[str, type[Any]] = {
    "trust": PublisherRow,
    "bundles": BundleRow,
    "areas": Area,
    "programs": File,
    "parts": PlacedPart,
    "processes": ProcessRow,
}


def to_json(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), indent=1) + "\n"


def load_manifest(path: Path) -> Manifest:
    """Read a manifest; an image without one can't be judged."""
    if not path.is_file():
        raise SetupError(f"{path}: no such manifest", f"build the image: nexus build-image --system {path.parent.name}")
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{path}: not a manifest of this version: {error}", "build the image again") from error


def _from_json(data: dict[str, Any]) -> Manifest:
    if data["format"] != FORMAT or data.keys() != {field.name for field in fields(Manifest)}:
        raise ValueError(f"found format {data['format']}, expected {FORMAT}")
    rows: dict[str, Any] = dict(data)
    rows["image"] = File(**data["image"])
    for key, kind in ROWS.items():
        rows[key] = [kind(**row) for row in data[key]]
    rows["processes"] = [
        replace(row, capabilities=[CapRow(**cap) for cap in data["processes"][place]["capabilities"]])
        for place, row in enumerate(rows["processes"])
    ]
    return Manifest(**rows)


def file_entry(name: str, path: Path) -> File:
    data = path.read_bytes()
    return File(name, len(data), hashlib.sha256(data).hexdigest())


def hash_inputs(root: Path, recipes: Iterable[str], bundles: Iterable[str]) -> dict[str, str]:
    """Every file that can change an image of these recipes, which bring these bundles along, with its hash."""
    paths = {root / name for name in (*INPUT_FILES, *recipes, *bundles)}
    for bundle in bundles:
        paths.update(path for path in (root / bundle).rglob("*") if "__pycache__" not in path.parts)
    for folder in INPUT_FOLDERS:
        paths.update(path for path in (root / folder).rglob("*") if path.name.endswith(INPUT_SUFFIXES))
    return {
        _shown(path, root): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths) if path.is_file()
    }


def digest_inputs(inputs: dict[str, str]) -> str:
    """One hash over all inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode("utf-8")).hexdigest()


def changed_inputs(manifest: Manifest, root: Path) -> list[str]:
    """Paths that differ from what the image was built from: changed, gone, or new."""
    recipes = tuple(
        name for name in manifest.inputs if name.endswith(".toml") and not name.startswith("recipes/contract/")
    )
    now = hash_inputs(root, recipes, [row.source for row in manifest.bundles])
    return differing(manifest.inputs, now)


def differing(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Paths of which the two hashes differ, or that are in one alone."""
    return sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))


def is_of(manifest: Manifest, recipe: Path, root: Path) -> bool:
    """Whether it was built from that recipe; another one of the same last name gives an image in the same place."""
    return _shown(recipe, root) == manifest.recipe


def is_stale(manifest: Manifest, root: Path) -> bool:
    """Whether a build would give another image."""
    return bool(changed_inputs(manifest, root))


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
