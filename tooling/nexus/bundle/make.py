"""From an app's source to its bundle: compile, pack, put the manifest in front, sign. Called by the image builder and by `nexus bundle`.

The same source gives the same bytes, wherever it lies. Never signs with a key that it was not given or that is a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nexus.bundle import encode, sign
from nexus.bundle.app import App, load_app
from nexus.bundle.model import Bundle, Form, Manifest
from nexus.bundle.trust import known_key
from nexus.contract.emit import guest_module, guest_names
from nexus.contract.load import Contract
from nexus.errors import BuildError, UsageError
from nexus.image import code, modules, mpy, programs
from nexus.image.fold import Values
from nexus.image.modules import Module

if TYPE_CHECKING:  # loaded only where something is signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SUFFIX = ".nxb"
HANDLES = ("CONSOLE", "NOTIFICATION", "INIT")  # of an app, in the order in which the kernel gives them
GENERATED = ("caps", "contract")
Progress = Callable[[str], None]


def bundle_of(
    path: Path, root: Path, contract: Contract, progress: Progress, key: Ed25519PrivateKey | None = None
) -> bytes:
    """The signed bundle of a folder or a .py file, or the bytes of a .nxb as they are. Without a key, that of a publisher whom
    everybody can sign as."""
    if path.suffix == SUFFIX and path.is_file():
        return path.read_bytes()
    app = load_app(path, root, contract)
    key = key or known_key(app.publisher)
    if key is None:
        raise UsageError(
            f"{path}: found publisher {app.publisher.name}, whose key is a secret, expected that key",
            f"nexus bundle build {path}, then nexus bundle sign FILE --key PEM",
        )
    form = Form(contract)
    contents = contents_of(app, root, contract, progress)
    return sign.sign(form, manifest_of(app, contents), contents, key)


def unsigned_of(app: App, root: Path, contract: Contract, progress: Progress) -> bytes:
    """The bundle with zeros where the signature will be."""
    form = Form(contract)
    contents = contents_of(app, root, contract, progress)
    bundle = Bundle(manifest_of(app, contents), bytes(form.signature_bytes), contents)
    return encode.bundle_bytes(form, bundle)


def manifest_of(app: App, contents: bytes) -> Manifest:
    """With the publisher's key, until somebody signs with another."""
    return Manifest(
        app.id,
        app.version,
        app.publisher.public_key,
        app.entry,
        app.heap_pages,
        app.requests,
        len(contents),
        sign.digest_of(contents),
    )


def contents_of(app: App, root: Path, contract: Contract, progress: Progress) -> bytes:
    """The ROMFS: modules of the app's own folder and of guest/lib, nothing else."""
    compiler = mpy.Compiler(root / "build" / "mpy", programs.mpy_version(root, progress))
    library = root / "guest" / "lib"
    needed = needed_modules(app, library)
    _check_names(needed, contract)
    values: dict[str, Values] = {"contract": contract.constants, "caps": handles(contract)}
    generated: dict[str, code.Generator] = {
        "caps": lambda _: _caps_module(contract),
        "contract": lambda left: guest_module(contract, modules.names_used(left, "contract")),
    }
    packed = code.pack(needed, values, generated, lambda path: _shown(path, app, root), compiler)
    progress(f"{app.id}: {len(needed)} modules, {len(packed)} bytes")
    most = Form(contract).contents_max
    if len(packed) > most:
        raise BuildError(f"{app.source.parent}: found {len(packed)} bytes of compiled modules, expected at most {most}")
    return packed


def needed_modules(app: App, library: Path) -> list[Module]:
    """Its first module, by the name that the manifest gives it, and all that this one needs."""
    first = modules.parse(app.entry, app.source, app.source.read_bytes())
    roots = [library] if app.folder is None else [app.folder, library]
    found = modules.closure_of([first], roots, modules.BUILTIN, GENERATED)
    for module in found:
        if not module.name.isascii():
            raise BuildError(f"{module.path}: found a module whose name is not ASCII, expected a-z, 0-9 and _")
    return found


def handles(contract: Contract) -> dict[str, int]:
    """The capabilities that every app begins with."""
    first = contract.number("handle.boot")
    return {name: first + slot for slot, name in enumerate(HANDLES)}


def _caps_module(contract: Contract) -> str:
    lines = [f"{name} = const({handle:#x})" for name, handle in handles(contract).items()]
    return "\n".join(["# Generated: what an app has at its start.", "from micropython import const", "", *lines]) + "\n"


def _check_names(needed: list[Module], contract: Contract) -> None:
    """Refuse names of `contract` and `caps` that no app has."""
    used = modules.names_used(needed, "caps")
    modules.check_names(used or {}, HANDLES, "caps", f"a handle of every app: {', '.join(HANDLES)}")
    used = modules.names_used(needed, "contract")
    modules.check_names(used or {}, guest_names(contract), "contract", "a name of recipes/contract")


def _shown(path: Path, app: App, root: Path) -> str:
    """As a traceback names it: an app's own modules as they lie in its folder, those of the library as in a service."""
    if app.folder is not None and path.is_relative_to(app.folder):
        return str(path.relative_to(app.folder))
    guest = root / "guest"
    return str(path.relative_to(guest)) if path.is_relative_to(guest) else path.name
