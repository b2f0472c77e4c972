"""Builds one system: recipe -> contract code -> programs -> guest modules -> ROMFS -> image -> manifest.

`build_image` is what every verb calls that needs an image. Each stage skips what has not changed; two builds of one clone
wait for each other. Never leaves a manifest that does not belong to the image beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nexus import layout
from nexus.bundle.model import Form
from nexus.contract.emit import emit_contract, guest_module, guest_names, write_if_changed
from nexus.contract.load import Contract, load_contract
from nexus.errors import BuildError, NexusError, RecipeError
from nexus.image import apps, caps, code, kernel, manifest, modules, mpy, programs, table, toolchain
from nexus.image.apps import ImageApps
from nexus.image.fold import Values
from nexus.image.manifest import Manifest
from nexus.image.manual import manual_module
from nexus.image.policy import ImagePolicy, grants_module, policy_of
from nexus.image.program import Program
from nexus.policy.evaluate import route_name
from nexus.policy.sheets import module_text, sheets
from nexus.recipe import memory
from nexus.recipe.check import load_system
from nexus.recipe.model import PAGE, Process, System
from nexus.recipe.raw import find_recipe

if TYPE_CHECKING:
    from nexus.bundle.trust import Publisher

Progress = Callable[[str], None]
LOCK = ".lock"


def build_image(name: str, root: Path, progress: Progress) -> Manifest:
    """The manifest of an up-to-date image of that system (a name, or the path of a recipe)."""
    build = root / "build"
    build.mkdir(exist_ok=True)
    with _lock(build / LOCK, progress):
        current = up_to_date(name, root)
        return current if current is not None else _build(name, root, progress)


def up_to_date(name: str, root: Path) -> Manifest | None:
    """The manifest, if image, inputs and compiler are what it says."""
    recipe = find_recipe(name, layout.systems_dir(root))
    system = recipe.stem
    path, image = layout.manifest_path(root, system), layout.image_path(root, system)
    if not path.is_file() or not image.is_file():
        return None
    try:
        found = manifest.load_manifest(path)
    except NexusError:
        return None  # of another version of nexus
    if not manifest.is_of(found, recipe, root):
        return None  # of another recipe with the same last name
    same = manifest.file_entry(image.name, image) == found.image and not manifest.is_stale(found, root)
    return found if same and toolchain.compiler_version() == found.compiler else None


def _build(name: str, root: Path, progress: Progress) -> Manifest:
    named = load_system(name, root, load_contract(layout.contract_dir(root)))  # tells which files are inputs, no more
    inputs = manifest.hash_inputs(root, named.files, named.bundle_paths)
    # What the image is made from is read from here on: a file that is saved meanwhile has another hash at the end.
    contract = load_contract(layout.contract_dir(root))
    system = load_system(name, root, contract)
    policy = policy_of(system, contract, root)
    held = apps.apps_of(system, contract, root, progress)
    toolchain.check_tools()
    progress(f"{system.name}: {len(system.processes)} processes from {system.files[-1]}")
    emit_contract(contract, layout.gen_dir(root))
    folder = layout.system_dir(root, system.name)
    write_caps(system, contract, policy, folder / "caps")
    write_policy(policy, layout.policy_table_path(root, system.name))
    built = programs.build_programs(system, contract, root, progress)
    filesystems = build_romfs(system, contract, policy, held, root, built.mpy_version, progress)
    write_sources(system, built.programs, filesystems, policy, contract, folder)
    progress("kernel: compile and link")
    linked = kernel.link(root, folder, contract.number("limit.kernel_stack_bytes"))
    check_memory(system, built.programs, linked.end)
    check_unchanged(inputs, system, root)
    result = describe(system, contract, built, filesystems, policy, held, linked, inputs, root)
    write_if_changed(layout.manifest_path(root, system.name), manifest.to_json(result))
    progress(f"{layout.image_path(root, system.name).relative_to(root)}: {result.image.bytes >> 10} KiB")
    return result


def write_policy(policy: ImagePolicy | None, path: Path) -> None:
    """The table for whoever wants to look at it; none is left of an earlier build that had one."""
    if policy is None:
        path.unlink(missing_ok=True)
    else:
        write_if_changed(path, policy.table)


def write_caps(system: System, contract: Contract, policy: ImagePolicy | None, folder: Path) -> None:
    """What each process knows of itself, as a whole."""
    size = len(policy.table) if policy else 0
    for process in system.processes:
        write_if_changed(folder / f"{process.name}.h", caps.caps_header(process, contract))
        write_if_changed(folder / f"{process.name}.py", caps.caps_module(system, process, contract, size))


def build_romfs(
    system: System,
    contract: Contract,
    policy: ImagePolicy | None,
    held: ImageApps,
    root: Path,
    version: mpy.MpyVersion | None,
    progress: Progress,
) -> dict[str, bytes]:
    """The ROMFS of each process that runs an interpreter."""
    if version is None:
        return {}
    compiler = mpy.Compiler(root / "build" / "mpy", version)
    packed = {}
    for process in system.processes:
        if process.service is not None:
            packed[process.name] = _process_romfs(system, process, contract, policy, held, root, compiler)
    progress(f"guest: {compiler.compiled} modules compiled, {compiler.unchanged} unchanged")
    return packed


def _process_romfs(
    system: System,
    process: Process,
    contract: Contract,
    policy: ImagePolicy | None,
    held: ImageApps,
    root: Path,
    compiler: mpy.Compiler,
) -> bytes:
    guest = root / "guest"
    builtin = modules.SHELL_BUILTIN if process.runtime == "shell" else modules.BUILTIN
    needed = modules.closure(guest, process.service or "", builtin, process.modules)
    _check_generated(system, process, needed, contract)
    size = len(policy.table) if policy else 0
    known = dict(caps.handles(process, contract)) | caps.sizes(system, process, size)
    values: dict[str, Values] = {"contract": contract.constants, "caps": known}
    generated: dict[str, code.Generator] = {
        "boot_grants": lambda _: grants_module(policy),
        "caps": lambda left: caps.caps_module(system, process, contract, size, modules.names_used(left, "caps")),
        "contract": lambda left: guest_module(contract, modules.names_used(left, "contract")),
        "manual": manual_module,
        "policy_sheets": lambda _: module_text(sheets(contract, root), contract),
        **{name: _always(text) for name, text in apps.guest_modules(process, held).items()},
    }
    return code.pack(needed, values, generated, lambda path: str(path.relative_to(guest)), compiler)


def _always(text: str) -> code.Generator:
    return lambda _: text


def _check_generated(system: System, process: Process, needed: Sequence[modules.Module], contract: Contract) -> None:
    """Refuse names of `contract` and `caps` that do not exist."""
    known = caps.known_names(system, process, contract)
    handles = modules.names_used(needed, "caps")
    expected = f"a name of [process {process.name}]: {', '.join(sorted(known))}"
    modules.check_names(handles or {}, known, "caps", expected)
    if process.bundle_paths and not any(
        name == apps.BUNDLED for module in needed for name, _ in modules.imports(module)
    ):
        place = f"{process.places.bundles}: [process {process.name}] bundles"
        raise BuildError(f"{place}: found no module that imports {apps.BUNDLED!r}, expected one that uses them")
    used = modules.names_used(needed, "contract")
    modules.check_names(used or {}, guest_names(contract), "contract", "a name of recipes/contract")


def write_sources(
    system: System,
    built: Sequence[Program],
    filesystems: dict[str, bytes],
    policy: ImagePolicy | None,
    contract: Contract,
    folder: Path,
) -> None:
    """What the kernel is linked with; parts of processes that are gone are removed."""
    parts = table.parts_of(system, built, filesystems, policy)
    for part in parts:
        write_if_changed(folder / "parts" / f"{part.name}.bin", part.data)
    kept = {f"{part.name}.bin" for part in parts}
    for path in (folder / "parts").iterdir():
        if path.name not in kept:
            path.unlink()
    write_if_changed(folder / "payload.S", table.payload_source(system, parts, folder / "parts"))
    write_if_changed(folder / "image_table.c", table.image_table(system, built, filesystems, contract, policy))


def check_memory(system: System, built: Sequence[Program], image_end: int) -> None:
    """The check of the recipe again, now that the image's real size is known."""
    own = {program.name: program.writable_pages for program in built}
    if expected := memory.shortage(system, image_end - layout.RAM_BASE, own):
        raise RecipeError(f"{system.files[-1]}: memory: found {system.memory >> 10} KiB, expected {expected}")


def check_unchanged(inputs: dict[str, str], system: System, root: Path) -> None:
    """Refuse an image of which nobody can say from which state of a file it was made."""
    now = manifest.hash_inputs(root, system.files, system.bundle_paths)
    if changed := manifest.differing(inputs, now):
        kernel.forget(layout.system_dir(root, system.name))
        shown = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        raise BuildError(f"{system.name}: changed during the build: {shown}", "build again")


def describe(
    system: System,
    contract: Contract,
    built: programs.Built,
    filesystems: dict[str, bytes],
    policy: ImagePolicy | None,
    held: ImageApps,
    linked: kernel.Linked,
    inputs: dict[str, str],
    root: Path,
) -> Manifest:
    """The manifest of what was built."""
    own = {program.name: program.writable_pages for program in built.programs}
    parts = table.parts_of(system, built.programs, filesystems, policy)
    return Manifest(
        format=manifest.FORMAT,
        system=system.name,
        recipe=system.files[-1],
        contract_digest=contract.digest,
        policy_digest=policy.digest if policy else None,
        policy_bytes=len(policy.table) if policy else 0,
        gates=list(system.gates),
        app=system.app_program,
        app_routes=[route_name(edge) for edge in system.app_routes],
        trust=[_publisher_row(one, contract) for one in held.publishers],
        bundles=[_bundle_row(process, path, held) for process in system.processes for path in process.bundle_paths],
        image=manifest.file_entry(linked.path.name, linked.path),
        image_end=linked.end,
        ram_bytes=system.memory,
        flags=list(system.flags),
        qemu_devices=[device.qemu for device in system.devices],
        areas=list(linked.areas),
        programs=[manifest.file_entry(str(path.relative_to(root / "build")), path) for path in built.paths],
        parts=[
            manifest.PlacedPart(part.name, linked.symbols[part.symbol], len(part.data), part.sha256) for part in parts
        ],
        processes=[_process_row(system, process, contract, own) for process in system.processes],
        compiler=toolchain.compiler_version(),
        input_digest=manifest.digest_inputs(inputs),
        inputs=inputs,
    )


def _publisher_row(one: Publisher, contract: Contract) -> manifest.PublisherRow:
    key_id = Form(contract).key_id(one.public_key).hex()
    known = one.known_seed is not None
    return manifest.PublisherRow(one.name, key_id, one.public_key.hex(), list(one.prefixes), one.revoked, known)


def _bundle_row(process: Process, path: str, held: ImageApps) -> manifest.BundleRow:
    bundle = held.bundles[path]
    sha256 = hashlib.sha256(bundle.data).hexdigest()
    stated = bundle.id, bundle.version, bundle.publisher, bundle.refused
    return manifest.BundleRow(process.name, path, *stated, len(bundle.data), sha256)


def _process_row(system: System, process: Process, contract: Contract, own: dict[str, int]) -> manifest.ProcessRow:
    return manifest.ProcessRow(
        index=process.index,
        name=process.name,
        label=process.label,
        id_name=process.id_name,
        service_id=f"{process.service_id:#018x}",
        rank=process.rank,
        program=process.program,
        source=process.native or f"guest/{process.service}",
        flags=list(process.flags),
        supervisor=process.supervisor,
        heap_bytes=process.heap_pages * PAGE,
        stack_bytes=process.stack_pages * PAGE,
        kept_bytes=process.kept_pages * PAGE,
        policy=process.policy,
        frames=memory.process_pages(system, process) + own.get(process.program, 0),
        capabilities=_cap_rows(process, contract),
    )


def _cap_rows(process: Process, contract: Contract) -> list[manifest.CapRow]:
    types = contract.table("obj")
    named = caps.handles(process, contract)
    return [
        manifest.CapRow(name, f"{handle:#x}", types[cap.type], cap.rights, cap.object, f"{cap.badge:#x}")
        for (name, handle), cap in zip(named, process.capabilities, strict=True)
    ]


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    """One build at a time in a clone; the lock goes with the process that holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of this clone")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
