"""Whose bundles an image takes and which ones it brings along, as the guest modules `trust` and `bundled`.

Called by build.py, and by the tests' stand-in for the machine. What the guest would refuse refuses the image here, and so does a
specimen that the guest would take; a publisher whose secret is known to everybody is for images that debug.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus.bundle.make import bundle_of
from nexus.bundle.model import BundleRefused, Form
from nexus.bundle.sign import verify_trusted
from nexus.bundle.trust import Publisher, load_trust, trust_module
from nexus.contract.load import Contract
from nexus.errors import RecipeError
from nexus.recipe.apps import bundle_name
from nexus.recipe.model import Process, System

Progress = Callable[[str], None]
DEBUG_GATE = "debug_image"
TRUST, BUNDLED = "trust", "bundled"  # the guest modules


@dataclass(frozen=True)
class HeldBundle:
    """A bundle, and what it says of itself; of a specimen only why it is refused."""

    data: bytes
    id: str | None = None
    version: str | None = None
    publisher: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class ImageApps:
    """What an image holds of others."""

    publishers: tuple[Publisher, ...]
    bundles: Mapping[str, HeldBundle]  # by path as the recipe writes it


def apps_of(system: System, contract: Contract, root: Path, progress: Progress) -> ImageApps:
    """The publishers of the system, and every bundle of its rows, made now from what it is made of."""
    publishers = load_trust(system.trust, root, contract)
    refuse_known_seeds(system, publishers)
    form, found = Form(contract), {}
    for process in system.processes:
        for path in process.bundle_paths:
            data = bundle_of(root / path, root, contract, progress)
            found[path] = _held(form, data, publishers)
            _refuse_wrong_key(process, path, found[path])
    return ImageApps(publishers, found)


def refuse_known_seeds(system: System, publishers: tuple[Publisher, ...]) -> None:
    """Everybody can sign as such a publisher."""
    if DEBUG_GATE in system.gates:
        return
    for one in publishers:
        if one.known_seed is not None:
            found = f"{one.name!r}, whose secret everybody knows"
            raise RecipeError(f"{system.trust_place}: trust: found {found}, expected the gate {DEBUG_GATE} beside it")


def _held(form: Form, data: bytes, publishers: tuple[Publisher, ...]) -> HeldBundle:
    try:
        says = verify_trusted(form, data, publishers).manifest
    except BundleRefused as error:
        return HeldBundle(data, refused=error.message)
    publisher = next(one.name for one in publishers if one.public_key == says.public_key)
    return HeldBundle(data, says.id, str(says.version), publisher)


def _refuse_wrong_key(process: Process, path: str, held: HeldBundle) -> None:
    """Of the row: a specimen is one that the guest must refuse, every other bundle one that it takes."""
    if path in process.bundles and held.refused is not None:
        place, found = process.places.bundles, f"bundles: found {path!r}"
        expected = f"one that this system takes: {held.refused}"
    elif path in process.specimens and held.refused is None:
        place, found = process.places.specimens, f"specimens: found {path!r}, which is right"
        expected = "one that this system must refuse"
    else:
        return
    raise RecipeError(f"{place}: [process {process.name}] {found}, expected {expected}")


def guest_modules(process: Process, held: ImageApps) -> dict[str, str]:
    """The text of each module that the process may import, by name."""
    return {TRUST: trust_module(held.publishers), BUNDLED: bundled_module(process, held)}


def bundled_module(process: Process, held: ImageApps) -> str:
    """Whole bundles; compiled, they lie in the ROMFS as they are and cost no heap."""
    lines = ["# Generated: bundles that the image brings along, by the last name of their path. Do not edit.", ""]
    rows = [f"    {bundle_name(path)!r}: {held.bundles[path].data!r}," for path in process.bundle_paths]
    return "\n".join([*lines, "BUNDLES = {", *rows, "}"]) + "\n"
