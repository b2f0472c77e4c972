"""The verb audit: show, verify, export. Loaded by cli.py when it is called; what a trail has to be lies in audit/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus import layout
from nexus.errors import UsageError, VerdictError
from nexus.verbs.image import json_option, write_json
from nexus.views.files import check_option

if TYPE_CHECKING:
    from nexus.audit.export import Export
    from nexus.audit.trail import Finding, Head, Trail
    from nexus.contract.load import Contract

SHOWN = 20  # findings beside the first
machine_option = click.option("--machine", metavar="ID", help="Which live machine; default the only one.")
file_argument = click.argument("file", required=False)


@click.group("audit")
def audit() -> None:
    """Show, verify and export the audit trail of a live machine, or of FILE, which was exported."""


@audit.command("show")
@machine_option
@click.option("--subject", metavar="NAME", help="About whom: the id name of a service, or app:<bundle>.")
@click.option("--action", metavar="ACTION", help="As in policy rules.")
@click.option("--verdict", type=click.Choice(["allow", "deny", "malformed"]))
@click.option("--since", metavar="SEQ", type=click.IntRange(min=0), default=0, help="From this number on.")
@json_option
@file_argument
def show(
    machine: str | None, subject: str | None, action: str | None, verdict: str | None, since: int,
    json_to: str | None, file: str | None,
) -> None:  # fmt: skip
    """List records, by number."""
    from nexus.audit.show import Filter, line

    contract = _contract()
    trail = _get(machine, file, contract)[0].trail
    wanted = Filter(subject, action, verdict, since)
    wanted.check(trail)
    rows = [(name, row) for name, row in trail.records if wanted.takes(trail.form, row)]
    if json_to:
        found = [{"class": name, **trail.form.to_json(row)} for name, row in rows]
        write_json(json.dumps(found, indent=1) + "\n", json_to)
        return
    for _, row in rows:
        click.echo(line(trail, row, contract.number("limit.tick_hz")))


@audit.command("verify")
@machine_option
@click.option(
    "--head", "told", metavar="SEQ:HASH", help="A head that was told before, as the console or verify prints it."
)
@file_argument
def verify(machine: str | None, told: str | None, file: str | None) -> None:
    """Check chains, gaps, numbers and heads. Exit code 1: it does not verify, and where."""
    from nexus.audit.show import summary
    from nexus.audit.trail import check_head
    from nexus.audit.trail import verify as findings_of

    contract = _contract()
    export, heads = _get(machine, file, contract)
    if told is not None:
        heads.append(("the head given", _parse_head(told)))
    findings = findings_of(export.trail)
    for whose, head in [("the head of the file", export.head), *heads]:
        finding = check_head(export.trail, head, whose)
        findings += [finding] if finding else []
    if findings:
        raise _refusal(findings, export, contract)
    click.echo(summary(export.trail, export.trail.head(), heads), nl=False)


@audit.command("export")
@machine_option
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_option,
    help="Default: stdout.",
)
def export(machine: str | None, out: Path | None) -> None:
    """Write the trail as JSON lines that verify alone; also one that does not verify, with exit code 1."""
    from nexus.audit.export import to_lines
    from nexus.audit.trail import verify as findings_of

    contract = _contract()
    found, _ = _get(machine, None, contract)
    text = to_lines(found)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
    if findings := findings_of(found.trail):
        raise _refusal(findings, found, contract)


def _contract() -> Contract:
    from nexus.contract.load import load_contract

    return load_contract(layout.contract_dir(layout.find_root()))


def _get(machine: str | None, file: str | None, contract: Contract) -> tuple[Export, list[tuple[str, Head]]]:
    """The trail, and what a machine's console has told of its head."""
    from nexus.audit.export import from_lines
    from nexus.audit.record import Form
    from nexus.audit.source import from_machine, told_head
    from nexus.audit.trail import check_head
    from nexus.machine.registry import pick_machine

    if file is not None:
        if machine is not None:
            raise UsageError("found --machine and a file, expected one of them")
        return from_lines(_read(file), Form(contract), file), []
    root = layout.find_root()
    record = pick_machine(root, machine)
    told = told_head(root, record, contract)  # before the trail, so that it can't be of a later one
    export = from_machine(root, record, contract)
    whose = "the head on its console"
    if told is None or (check_head(export.trail, told, whose) and _has_gone_on(export.trail, told)):
        return export, []
    return export, [(whose, told)]


def _has_gone_on(trail: Trail, told: Head) -> bool:
    """Since that head records may have counted on or been dropped, as they should: then it tells nothing."""
    from nexus.audit.trail import counted_on

    return told.seq < trail.seq or counted_on(trail, told)


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{file}: there is no such file") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: found no text, expected what nexus audit export writes") from error


def _parse_head(text: str) -> Head:
    from nexus.audit.trail import Head

    found = re.fullmatch("([0-9a-f]{16}):([0-9a-f]{64})", text)
    if not found:
        raise UsageError(
            f"--head: found {text!r}, expected 16 and 64 hex digits with a colon between, as they are printed"
        )
    return Head(int(found[1], 16), bytes.fromhex(found[2]))


def _refusal(findings: list[Finding], export: Export, contract: Contract) -> VerdictError:
    for finding in findings[1 : SHOWN + 1]:
        click.echo(f"also: {finding}", err=True)
    if len(findings) > SHOWN + 1:
        click.echo(f"also: {len(findings) - SHOWN - 1} more", err=True)
    hint = None
    if export.contract != contract.digest:
        hint = "it was exported under another contract; the clone that exported it may judge otherwise"
    return VerdictError(f"the trail of {export.system} does not verify: {findings[0]}", hint)
