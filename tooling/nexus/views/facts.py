"""All that is known of a run once it is over: what it said, how it was judged, what its memory held. Gathered by the verbs; report.py and
trace.py show it.

`gather` reads the run's folder and the files of its image; everything it gives is values. What can't be had is told, never guessed.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus.errors import NexusError
from nexus.layout import RAM_BASE
from nexus.verdict.grammar import Seen
from nexus.views.frames import Region, Run, regions_of, runs_of
from nexus.views.sizes import Node, tree_of
from nexus.views.timeline import Clock, Decision, Timeline, timeline_of

if TYPE_CHECKING:
    from nexus.audit.trail import Finding, Trail
    from nexus.contract.load import Contract
    from nexus.image.manifest import Manifest
    from nexus.machine.kernelview import KernelView
    from nexus.machine.session import Session
    from nexus.machine.target import Target
    from nexus.verdict.ladder import Verdict
    from nexus.views.sample import Sample

STALE = "the image has been built anew since, and the symbols of another build would name the wrong places"
GONE = "the machine never started, or its memory was not kept"


@dataclass(frozen=True)
class Row:
    """One audit record as people see it."""

    seq: int
    at: float  # of the machine's own clock
    subject: str
    verdict: str
    action: str
    target: str
    rest: str


@dataclass(frozen=True)
class Inside:
    """What the machine's memory held at its end."""

    sample: Sample | None = None
    runs: tuple[Run, ...] = ()
    regions: tuple[Region, ...] = ()
    audit: tuple[Row, ...] = ()
    decisions: tuple[Decision, ...] = ()
    findings: tuple[str, ...] = ()  # what does not verify in the trail
    problem: str = ""  # why something is missing here


@dataclass(frozen=True)
class Facts:
    run: str
    system: str
    nonce: str
    end: str  # how the machine ended
    lines: tuple[Seen, ...]
    timeline: Timeline
    manifest: Manifest
    sizes: Node
    inside: Inside
    versions: tuple[tuple[str, str], ...]
    repeat: str
    by_hand: str
    verdict: Verdict | None = None
    block: str = ""  # what a failing run prints


def gather(
    root: Path,
    session: Session,
    target: Target,
    contract: Contract,
    repeat: str,
    verdict: Verdict | None = None,
    block: str = "",
) -> Facts:
    """Of a session that is closed."""
    from nexus.image.manifest import load_manifest

    manifest = load_manifest(target.elf.with_name("manifest.json"))
    events = read_events(session.run.events)
    hz = contract.number("limit.tick_hz")
    inside = look_inside(root, session.last_memory, target, manifest, contract, Clock(events), hz)
    lines = tuple(session.console.lines()) if hasattr(session, "console") else ()
    return Facts(
        run=session.run.id,
        system=target.system,
        nonce=session.nonce,
        end=str(session.exit or "it never started"),
        lines=lines,
        timeline=timeline_of(
            lines,
            [row.label for row in manifest.processes],
            phases=phases_of(verdict) if verdict else (),
            markers=[marker.text for marker in verdict.markers] if verdict else (),
            decisions=inside.decisions,
            end=length_of(events),
        ),
        manifest=manifest,
        sizes=tree_of(manifest, target.elf, root / "build"),
        inside=inside,
        versions=versions_of(manifest, events),
        repeat=repeat,
        by_hand=session.by_hand,
        verdict=verdict,
        block=block,
    )


def phases_of(verdict: Verdict) -> list[tuple[str, float, float]]:
    """Those that were reached, with start and end; one that failed ends with its last marker."""
    found, begun = [], 0.0
    for row in verdict.phases:
        if row.verdict == "not-run":
            continue
        last = max((marker.ms for marker in verdict.markers if marker.phase == row.name), default=round(begun * 1000))
        end = begun + row.ms / 1000 if row.verdict == "pass" else max(begun, last / 1000)
        found.append((row.name, begun, end))
        begun = end
    return found


def read_events(path: Path) -> list[dict[str, Any]]:
    """The session's own; a run that was cut off may have half a line."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return [row for row in rows if isinstance(row, dict)]


def length_of(events: Sequence[Mapping[str, Any]]) -> float:
    """From when the machine was about to run until it was gone."""
    begun = next((float(row["t"]) for row in events if row.get("event") == "clock"), 0.0)
    return max((float(row["t"]) - begun for row in events if row.get("event") == "exit"), default=0.0)


def versions_of(manifest: Manifest, events: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    return (
        ("QEMU", next((str(row["qemu"]) for row in events if "qemu" in row), "unknown")),
        ("compiler", manifest.compiler),
        ("Python", f"{platform.python_version()} on {sys.platform}"),
        ("contract", manifest.contract_digest),
        ("policy", manifest.policy_digest or "none"),
        ("image", f"{manifest.image.sha256} ({manifest.image.bytes} bytes)"),
        ("inputs", manifest.input_digest),
        *((f"program {Path(file.name).stem}", file.sha256) for file in manifest.programs),
    )


# ---- memory ----------------------------------------------------------------------------------------------------------


def look_inside(
    root: Path, ram: bytes | None, target: Target, manifest: Manifest, contract: Contract, clock: Clock, hz: int
) -> Inside:
    """A guest that has broken its own tables must not keep a report from being written."""
    from nexus.audit.source import Reader
    from nexus.machine.kernelview import KernelView
    from nexus.views.watch import text_of

    if not ram:
        return Inside(problem=GONE)
    address, text = text_of(target.elf)
    if ram[address - RAM_BASE :][: len(text)] != text:
        return Inside(problem=STALE)
    view = KernelView(target.elf, Reader(ram))
    try:
        inside = _inside(root, view, manifest, contract)
    except NexusError as error:
        return Inside(problem=f"its memory can't be read: {error.message}")
    try:
        return _with_trail(inside, view, manifest, contract, clock, hz)
    except NexusError as error:
        return Inside(inside.sample, inside.runs, inside.regions, problem=error.message)


def _inside(root: Path, view: KernelView, manifest: Manifest, contract: Contract) -> Inside:
    from nexus.views.sample import read_sample

    programs = {Path(file.name).stem: root / "build" / file.name for file in manifest.programs}
    sample = read_sample(view, contract, programs)
    labels = {one.index: one.label for one in sample.processes}
    return Inside(sample, tuple(runs_of(view, labels)), tuple(regions_of(view, labels)))


def _with_trail(
    inside: Inside, view: KernelView, manifest: Manifest, contract: Contract, clock: Clock, hz: int
) -> Inside:
    from nexus.audit.source import trail_in
    from nexus.audit.trail import verify

    trail = trail_in(view, manifest, contract)
    labels = {row.id_name: row.label for row in manifest.processes}
    return Inside(
        inside.sample,
        inside.runs,
        inside.regions,
        tuple(audit_rows(trail, hz)),
        tuple(decisions_of(trail, labels, clock, hz)),
        tuple(_tell(verify(trail))),
    )


def _tell(findings: Sequence[Finding]) -> list[str]:
    return [str(finding) for finding in findings]


def audit_rows(trail: Trail, hz: int) -> list[Row]:
    from nexus.audit.record import show_target
    from nexus.audit.show import name_of

    form, rows = trail.form, []
    for _, record in trail.records:
        shown = form.to_json(record)
        notes = [f"{record.count} times"] if record.count > 1 else []
        notes += [f"rule {record.rule}"] if record.rule else []
        notes += [str(shown["kind"]).replace("_", " ")] if record.kind != form.kinds["decision"] else []
        notes += [f"asked by {name_of(trail, record.via_ix, record.via)}"] if record.via_ix != form.nobody else []
        rows.append(
            Row(
                seq=record.seq,
                at=record.time / hz,
                subject=name_of(trail, record.subject_ix, record.subject),
                verdict=str(shown["verdict"]),
                action=str(shown["action"]) if record.action else "",
                target=show_target(record.target),
                rest=", ".join(notes),
            )
        )
    return rows


def decisions_of(trail: Trail, labels: dict[str, str], clock: Clock, hz: int) -> list[Decision]:
    """What policyd was asked, at the console's time, by console labels. One record may stand for several questions."""
    from nexus.audit.record import show_target
    from nexus.audit.show import name_of

    found = []
    for _, record in trail.records:
        if record.kind != trail.form.kinds["decision"]:
            continue
        shown = trail.form.to_json(record)
        subject = name_of(trail, record.subject_ix, record.subject)
        asker = "" if record.via_ix == trail.form.nobody else name_of(trail, record.via_ix, record.via)
        times = f" ({record.count} times)" if record.count > 1 else ""
        text = f"{shown['action']} {show_target(record.target)}".rstrip() + times
        found.append(
            Decision(
                clock.at(record.time / hz),
                labels.get(subject, subject),
                labels.get(asker, asker),
                str(shown["verdict"]),
                text,
            )
        )
    return found
