"""The verbs that build: build-image, inspect, new-service. Loaded by cli.py when one of them is called."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from nexus import layout
from nexus.errors import VerdictError
from nexus.views.files import check_option

if TYPE_CHECKING:
    from nexus.image.inspect import Finding
    from nexus.image.manifest import Manifest

F = TypeVar("F", bound=Callable[..., object])


def json_option_for(told: str) -> Callable[[F], F]:
    """`--json` alone for standard output, `--json FILE` for a file; `told` is its line of help."""
    return click.option(
        "--json", "json_to", is_flag=False, flag_value="-", metavar="[FILE]", callback=check_option, help=told
    )


json_option = json_option_for("As JSON.")


@click.command("build-image")
@click.option("--system", default="default", show_default=True, help="The recipe in recipes/systems, or a path to one.")
@json_option
def build_image(system: str, json_to: str | None) -> None:
    """Build what changed and write the image and its manifest."""
    from nexus.image.build import build_image as build
    from nexus.image.manifest import to_json

    root = layout.find_root()
    manifest = build(system, root, progress_to(sys.stderr.isatty()))
    if json_to:
        write_json(to_json(manifest), json_to)
        return
    image = layout.image_path(root, manifest.system).relative_to(root)
    click.echo(f"{image}  {manifest.image.bytes} bytes  sha256 {manifest.image.sha256}")


@click.command("inspect")
@click.argument("image", default="default")
@json_option
def inspect(image: str, json_to: str | None) -> None:
    """Verify IMAGE (a system's name or the path of a nexus.elf) against the manifest beside it."""
    from nexus.contract.load import load_contract
    from nexus.image.contents import known_keys
    from nexus.image.inspect import forbidden_symbols, inspect_image
    from nexus.image.manifest import load_manifest

    root = layout.find_root()
    path = Path(image) if image.endswith(".elf") else layout.image_path(root, image)
    manifest = load_manifest(path.with_name("manifest.json"))
    contract = load_contract(layout.contract_dir(root))
    keys = known_keys(root, contract)
    findings = inspect_image(path, manifest, contract, path.parent.parent, forbidden_symbols(root), keys)
    if json_to:
        write_json(json.dumps(_as_json(manifest, findings), indent=1) + "\n", json_to)
    else:
        _show(manifest, findings)
    wrong = [finding.check for finding in findings if finding.problems]
    if wrong:
        raise VerdictError(
            f"{path}: {len(wrong)} of {len(findings)} checks failed", "build the image again and compare"
        )


def progress_to(person: bool) -> Callable[[str], None]:
    """A line per stage with the seconds since the start; nothing when nobody watches."""
    begun = time.monotonic()

    def show(text: str) -> None:
        if person:
            click.echo(f"{time.monotonic() - begun:6.1f} s  {text}", err=True)

    return show


def write_json(text: str, target: str) -> None:
    """To a file, or to standard output for "-"."""
    if target == "-":
        click.echo(text, nl=False)
    else:
        Path(target).write_text(text, encoding="utf-8")


def _as_json(manifest: Manifest, findings: list[Finding]) -> dict[str, object]:
    checks = [
        {"check": finding.check, "ok": not finding.problems, "problems": finding.problems} for finding in findings
    ]
    return {"ok": all(not finding.problems for finding in findings), "checks": checks, "manifest": asdict(manifest)}


def _show(manifest: Manifest, findings: list[Finding]) -> None:
    """A table for people."""
    click.echo(f"system {manifest.system}, contract {manifest.contract_digest[:16]}")
    _show_policy(manifest)
    _show_apps(manifest)
    image = manifest.image
    click.echo(f"image {image.bytes} bytes on disk, sha256 {image.sha256}")
    for area in manifest.areas:
        click.echo(f"  {area.start:#010x}..{area.start + area.bytes:#010x} {area.access} {area.bytes >> 10:6} KiB")
    frames = sum(row.frames for row in manifest.processes) * 4
    free = (manifest.ram_bytes - (manifest.image_end - manifest.areas[0].start) >> 10) - frames
    click.echo(f"memory {manifest.ram_bytes >> 10} KiB: processes {frames} KiB, free {free} KiB\n")
    click.echo("ix  rank  name              label             program    KiB  caps  flags")
    for row in manifest.processes:
        click.echo(
            f"{row.index:2}  {row.rank:4}  {row.name:<16}  {row.label:<16}  {row.program:<8}  {row.frames * 4:4}  "
            f"{len(row.capabilities):4}  {' '.join(row.flags)}".rstrip()
        )
    click.echo()
    for finding in findings:
        click.echo(f"{'FAILED' if finding.problems else 'ok':<6}  {finding.check}")
        for problem in finding.problems:
            click.echo(f"        {problem}")


def _show_policy(manifest: Manifest) -> None:
    """Which table, who decides by it, and what may be asked for at run time."""
    if manifest.policy_digest is None:
        click.echo("policy none")
    else:
        readers = ", ".join(row.name for row in manifest.processes if row.policy)
        gates = ", ".join(manifest.gates) or "none"
        click.echo(
            f"policy {manifest.policy_digest}, {manifest.policy_bytes} bytes, mapped by {readers}, gates {gates}"
        )
    for row in manifest.processes:
        if routes := [cap.name for cap in row.capabilities if cap.name.startswith("ROUTE_")]:
            click.echo(f"routes handed out by {row.name}: {', '.join(routes)}")


def _show_apps(manifest: Manifest) -> None:
    """Whom the image trusts, what it brings along, and what every app comes to."""
    for one in manifest.trust:
        notes = [
            "" if one.revoked is None else f", revoked: {one.revoked}",
            ", secret known" if one.secret_known else "",
        ]
        click.echo(f"trusts {one.name}, key {one.key_id}, ids {', '.join(one.prefixes)}{''.join(notes)}")
    for held in manifest.bundles:
        what = f"{held.id} {held.version} of {held.publisher}" if held.refused is None else f"refused, {held.refused}"
        click.echo(f"bundle in {held.process}: {held.source}, {held.bytes} bytes: {what}")
    for row in manifest.processes:
        if given := [cap.name for cap in row.capabilities if cap.name.startswith("APPS_")]:
            click.echo(f"every app that {row.name} spawns gets: {', '.join(given)}")
    if manifest.app_routes:
        click.echo(f"apps run {manifest.app} and may ask for: {', '.join(manifest.app_routes)}")


@click.command("new-service")
@click.argument("name")
@click.option("--system", default="default", show_default=True, help="The recipe that gets the row.")
def new_service(name: str, system: str) -> None:
    """Write a service NAME that builds, boots and passes its test at once."""
    from nexus.image.service import new_service as write

    root = layout.find_root()
    for path in write(name, system, root):
        click.echo(path.relative_to(root))
    click.echo(f"\ntry it:       ./scripts/just test-host -k {name} && ./scripts/nexus run --until '{name}: '")
    click.echo(f'let it serve: add "{name}" to the `calls` of a process in recipes/systems')
