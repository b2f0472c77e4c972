"""The verbs new-app and bundle: from an app's source to a signed file. Loaded by cli.py; what a bundle is lies in bundle/.

Shows a stranger's bundle escaped, and writes over no file that is not a bundle.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus import layout
from nexus.errors import UsageError, VerdictError
from nexus.verbs.image import json_option, progress_to, write_json

if TYPE_CHECKING:
    from nexus.bundle.model import Form
    from nexus.bundle.trust import Publisher
    from nexus.contract.load import Contract

existing = click.Path(exists=True, dir_okay=False, path_type=Path)
file_argument = click.argument("file", type=existing)


@click.command("new-app")
@click.argument("name")
def new_app(name: str) -> None:
    """Write an app NAME into a folder of that name, here."""
    from nexus.bundle.new import new_app as write

    root = layout.find_root()
    for path in write(name, Path(), root, _contract()):
        click.echo(path)
    click.echo(f"\nrun it:   {_command(root)} run --app {name}")
    click.echo(f"a file:   {_command(root)} bundle build {name} && {_command(root)} bundle sign dev.{name}.nxb")


@click.group("bundle")
def bundle() -> None:
    """Build, sign, verify and show bundles: apps as files."""


@bundle.command("build")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Default <id>.nxb beside PATH.")
def build(path: Path, target: Path | None) -> None:
    """Compile the app in PATH (a folder with app.toml, or a .py file) into a bundle that nobody has signed yet."""
    from nexus.bundle.app import load_app
    from nexus.bundle.make import SUFFIX, unsigned_of

    root, contract = layout.find_root(), _contract()
    app = load_app(path, root, contract)
    data = unsigned_of(app, root, contract, progress_to(sys.stderr.isatty()))
    target = target or Path(os.path.normpath(path)).parent / f"{app.id}{SUFFIX}"
    _write(target, data, contract)
    click.echo(f"{target}  {len(data)} bytes, not signed")
    click.echo(f"sign it:  {_command(root)} bundle sign {shlex.quote(str(target))}")


@bundle.command("sign")
@file_argument
@click.option("--key", "key_file", type=existing, metavar="PEM", help="The publisher's private key.")
@click.option("--publisher", metavar="NAME", help="One whose key everybody knows; default: to whom the id belongs.")
def sign(file: Path, key_file: Path | None, publisher: str | None) -> None:
    """Sign FILE, whatever signature it has."""
    from nexus.bundle import decode
    from nexus.bundle.model import Form
    from nexus.bundle.sign import sign as signed
    from nexus.bundle.signer import key_of_file, key_of_publisher

    if key_file is not None and publisher is not None:
        raise UsageError("found --key and --publisher, expected one of them")
    root, contract = layout.find_root(), _contract()
    form = Form(contract)
    parts = decode.frame(form, file.read_bytes())
    manifest = decode.manifest(form, parts.manifest)
    owner: Publisher | None
    if key_file is not None:
        key, owner = key_of_file(key_file, manifest.id, root, contract)
    else:
        key, owner = key_of_publisher(publisher, manifest.id, root, contract)
    _write(file, signed(form, manifest, parts.contents, key), contract)
    if owner is None:
        click.echo(f"{file}  signed by a key that no publisher of recipes/trust has")
    else:
        click.echo(f"{file}  {manifest.id} {manifest.version}, signed by {owner.name}")


@bundle.command("key")
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Make a publisher's key in the new FILE, and show what goes into recipes/trust."""
    from nexus.bundle.keys import create_key, trust_row

    public_key = create_key(file).public_key().public_bytes_raw()
    click.echo(trust_row(file, public_key), nl=False)
    click.echo(f"{file}: the private key; what is above goes into recipes/trust/NAME.toml", err=True)


@bundle.command("verify")
@file_argument
@click.option("--system", default="default", show_default=True, help="By whom that system trusts.")
def verify(file: Path, system: str) -> None:
    """Check FILE as a machine of that system would. Exit code 1: it would be refused, and why."""
    from nexus.bundle.model import BundleRefused, Form
    from nexus.bundle.sign import verify_trusted

    root, contract = layout.find_root(), _contract()
    publishers = _trusted_by(system, root, contract)
    try:
        manifest = verify_trusted(Form(contract), file.read_bytes(), publishers).manifest
    except BundleRefused as error:
        raise VerdictError(f"{file}: {error.message}", _hint(error.reason, file, root)) from error
    name = next(one.name for one in publishers if one.public_key == manifest.public_key)
    click.echo(f"{file}  {manifest.id} {manifest.version}, right, signed by {name}, whom system {system} trusts")


@bundle.command("inspect")
@file_argument
@json_option
def inspect(file: Path, json_to: str | None) -> None:
    """Show what FILE says, who signed it and what is in it, also where no machine would take it."""
    from nexus.bundle.model import BundleRefused, Form
    from nexus.bundle.show import as_json, lines, look
    from nexus.bundle.trust import load_all

    root, contract = layout.find_root(), _contract()
    form = Form(contract)
    try:
        found = look(form, file.read_bytes(), load_all(root, contract))
    except BundleRefused as error:
        raise VerdictError(f"{file}: {error.message}") from error
    if json_to:
        write_json(json.dumps({"file": str(file), **as_json(form, found)}, indent=1) + "\n", json_to)
        return
    click.echo(f"{file}  {found.size} bytes")
    for line in lines(form, found):
        click.echo(line.rstrip())


def _contract() -> Contract:
    from nexus.contract.load import load_contract

    return load_contract(layout.contract_dir(layout.find_root()))


def _trusted_by(system: str, root: Path, contract: Contract) -> tuple[Publisher, ...]:
    from nexus.bundle.trust import load_trust
    from nexus.recipe.check import load_system

    return load_trust(load_system(system, root, contract).trust, root, contract)


def _hint(reason: str, file: Path, root: Path) -> str | None:
    """What to do about a bundle that is refused."""
    quoted = shlex.quote(str(file))
    if reason in ("signature", "signature_form"):
        return f"{_command(root)} bundle sign {quoted}"
    if reason == "unknown":
        return "docs/apps.md says how to have a publisher trusted"
    return None


def _write(target: Path, data: bytes, contract: Contract) -> None:
    """Whole or not at all; over a bundle or nothing."""
    from nexus.bundle.model import Form

    form = Form(contract)
    if target.exists() and not (target.is_file() and _begins_as_bundle(target, form)):
        raise UsageError(f"{target}: found something that is no bundle, expected a bundle to replace, or nothing")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: found no folder {target.parent}, expected one")
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(target)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def _begins_as_bundle(path: Path, form: Form) -> bool:
    with path.open("rb") as file:
        return file.read(len(form.magic)) == form.magic


def _command(root: Path) -> str:
    """How this command is called from here."""
    script = root / "scripts" / "nexus"
    return f"./{script.relative_to(Path.cwd())}" if script.is_relative_to(Path.cwd()) else shlex.quote(str(script))
