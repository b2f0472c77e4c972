"""What is to be booted: a built image with the facts that a boot and its judgement need, and the refusal of a stale one.

Called by the verbs, the trial and the fixture. The builder is imported only when something has to be built or compared.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nexus import layout
from nexus.contract.load import Contract
from nexus.errors import BuildError
from nexus.machine.argv import Launch, Port, Rng, has_disk, has_terminal
from nexus.machine.block import checked_facts
from nexus.machine.drop import empty_disk
from nexus.verdict.grammar import KERNEL
from nexus.verdict.ladder import Plan
from nexus.verdict.signature import of_the_prover

if TYPE_CHECKING:
    from nexus.image.manifest import Manifest
    from nexus.machine.session import Session

KEEP_FLAG = "flag.keep"
TEST_ENTROPY_FLAG = "flag.test_entropy"


@dataclass(frozen=True)
class Target:
    """One system's image, from its manifest."""

    system: str
    elf: Path
    ram_bytes: int
    image_end: int
    policy: str
    policy_bytes: int
    deciders: Mapping[int, str]  # label by dense index of those who have the policy mapped
    devices: tuple[str, ...]
    labels: frozenset[str]
    programs: Mapping[str, Path]  # of each label, for decoding program counters


def prepare(root: Path, system: str, *, build: bool, progress: Callable[[str], None]) -> Target:
    """Build what changed, or with build=False refuse an image that is not what the sources say."""
    if build:
        from nexus.image.build import build_image

        return of_manifest(build_image(system, root, progress), root)
    return of_manifest(_checked(root, system), root)


def of_manifest(manifest: Manifest, root: Path) -> Target:
    programs = {Path(file.name).stem: root / "build" / file.name for file in manifest.programs}
    return Target(
        system=manifest.system,
        elf=layout.image_path(root, manifest.system),
        ram_bytes=manifest.ram_bytes,
        image_end=manifest.image_end,
        policy=manifest.policy_digest or "none",
        policy_bytes=manifest.policy_bytes,
        deciders={row.index: row.label for row in manifest.processes if row.policy},
        devices=tuple(manifest.qemu_devices),
        labels=frozenset([KERNEL, *(row.label for row in manifest.processes)]),
        programs={row.label: programs[row.program] for row in manifest.processes if row.program in programs},
    )


def _checked(root: Path, system: str) -> Manifest:
    """The manifest of an image that nobody is to build now; of that very recipe."""
    from nexus.image.manifest import changed_inputs, file_entry, is_of, load_manifest
    from nexus.recipe.raw import find_recipe

    recipe = find_recipe(system, layout.systems_dir(root))
    hint = f"build it: nexus build-image --system {shlex.quote(system)}"
    path, image = layout.manifest_path(root, recipe.stem), layout.image_path(root, recipe.stem)
    if not path.is_file() or not image.is_file():
        raise BuildError(f"there is no image of `{system}`", hint)
    manifest = load_manifest(path)
    if not is_of(manifest, recipe, root):
        raise BuildError(f"the image of `{system}` is stale: it was built from another recipe, {manifest.recipe}", hint)
    changed = changed_inputs(manifest, root)
    if changed:
        shown = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        raise BuildError(f"the image of `{system}` is stale: it was built before {shown} changed", hint)
    if file_entry(image.name, image) != manifest.image:
        raise BuildError(f"{image} is not the file that its manifest describes", hint)
    return manifest


def launch_of(
    target: Target,
    contract: Contract,
    *,
    rng: Rng,
    phase: str | None = None,
    keep: bool = False,
    facts: Mapping[str, str] | None = None,
    disk: bytes | None = None,
) -> Launch:
    """The boot of an image and what the kernel is told of it; `facts` are further ones, which win. `disk`: what lies on the drop disk
    of a system that has one, if not nothing.
    """
    flags = (contract.number(KEEP_FLAG) if keep else 0) | (contract.number(TEST_ENTROPY_FLAG) if rng.known else 0)
    told = {"flags": str(flags)}
    if phase is not None:
        told["phase"] = str(contract.phases.index(phase))
    return Launch(
        image=target.elf,
        ram_bytes=target.ram_bytes,
        devices=target.devices,
        rng=rng,
        facts={**told, **checked_facts(facts or {})},
        block_layout=contract.table("launch"),
        block_address=target.image_end,
        disk=(disk or empty_disk(contract)) if has_disk(target.devices) else None,
        terminal=_port(contract) if has_terminal(target.devices) else None,
    )


def _port(contract: Contract) -> Port:
    return Port(contract.number("terminal.port"), str(contract.table("terminal")["name"]))


def knows_entropy(launch: Launch, contract: Contract) -> bool:
    """Whether the kernel is told that the host knows the entropy of this run."""
    return bool(int(launch.facts.get("flags", "0")) & contract.number(TEST_ENTROPY_FLAG))


def plan_of(
    target: Target, contract: Contract, session: Session, *, phase: str | None = None, keep: bool = False
) -> Plan:
    """What that boot must print. The digest is the contract's own, so an image from another contract can't pass."""
    exits = contract.table("exit")
    return Plan(
        phases=contract.phases,
        markers=contract.markers,
        nonce=session.nonce,
        contract=contract.digest,
        policy=target.policy,
        labels=target.labels,
        exits={code: name for name, code in exits.items()},
        ok_code=contract.number("exit.ok"),
        line_bytes=contract.number("limit.line_bytes"),
        lines=contract.table("line"),
        stop=phase or contract.phases[-1],
        keep=keep,
        signed=of_the_prover(contract, knows_entropy(session.launch, contract)),
    )
