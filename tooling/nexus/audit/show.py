"""How people see a trail: which records they asked for, a line for each, and what a verification came to. Called by the verbs.

Pure. What a guest wrote is escaped; names are the manifest's and the contract's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus.audit.record import Form, Record, show_target
from nexus.audit.trail import Head, Trail, check_head
from nexus.errors import UsageError
from nexus.recipe.model import service_id
from nexus.recipe.raw import did_you_mean


@dataclass(frozen=True)
class Filter:
    """What is wanted; None is everything."""

    subject: str | None = None
    action: str | None = None
    verdict: str | None = None
    since: int = 0

    def check(self, trail: Trail) -> None:
        """Refuse names that nothing has."""
        form = trail.form
        if self.subject is not None and not self.subject.startswith("app:") and self.subject not in trail.processes:
            names = ", ".join(trail.processes)
            hint = did_you_mean(self.subject, trail.processes)
            raise UsageError(f"--subject: found {self.subject!r}, expected app:<bundle> or one of {names}{hint}")
        if self.action is not None and self.action not in form.actions:
            hint = did_you_mean(self.action, form.actions)
            raise UsageError(f"--action: found {self.action!r}, expected one of {', '.join(form.actions)}{hint}")

    def takes(self, form: Form, row: Record) -> bool:
        if self.subject is not None:
            is_app = bool(row.subject_ix & form.app)
            if row.subject != service_id(self.subject) or is_app != self.subject.startswith("app:"):
                return False
        return (
            row.seq >= self.since
            and (self.action is None or row.action == form.actions[self.action])
            and (self.verdict is None or row.verdict == form.verdicts[self.verdict])
        )


def line(trail: Trail, row: Record, ticks: int) -> str:
    """One record; `ticks` make a second."""
    form = trail.form
    shown = form.to_json(row)
    opening = f"{row.seq:>6} {row.time / ticks:>10.6f}  {name_of(trail, row.subject_ix, row.subject):<18}"
    if row.kind == form.kinds["gap"]:
        return f"{opening} gap: {row.dropped} records to seq {row.last} dropped, {row.count} decisions"
    if row.kind in (form.kinds["restart"], form.kinds["latch"]):
        return (
            f"{opening} {shown['kind']}{f' after fault {row.reason}' if row.reason else ''}{_asker(trail, row, 'by')}"
        )
    kind = "" if row.kind == form.kinds["decision"] else f" ({_kind(form, row)})"
    times = f" {row.count} times" if row.count > 1 else ""
    rule = f" by rule {row.rule}" if row.rule else ""
    what = f"{shown['action']!s:<18} {show_target(row.target):<18}"
    return f"{opening} {shown['verdict']!s:<9} {what}{rule}{times}{kind}{_asker(trail, row)}".rstrip()


def _kind(form: Form, row: Record) -> str:
    """In words; why a bundle was refused is for those who read the trail alone."""
    shown = form.to_json(row)
    kind = str(shown["kind"]).replace("_", " ")
    return f"{kind} {shown['reason']}" if row.kind == form.kinds["bundle"] and row.reason else kind


def _asker(trail: Trail, row: Record, word: str = "asked by") -> str:
    if row.via_ix == trail.form.nobody:
        return ""
    return f" {word} {name_of(trail, row.via_ix, row.via)}"


def name_of(trail: Trail, index: int, ident: int) -> str:
    """Of a service its id name; of an app the name of its bundle, if that is on record, else what logd knows of it."""
    if index < len(trail.processes):
        return trail.processes[index]
    if index == trail.form.app | trail.form.nobody:
        return "apps"
    return trail.apps.get(ident, f"app {ident:016x}")


def summary(trail: Trail, head: Head, told: Sequence[tuple[str, Head]]) -> str:
    """What verified, and what that can't exclude."""
    dropped = sum(chain.gap.dropped for chain in trail.chains if chain.gap)
    count = sum(len(chain.records) for chain in trail.chains)
    text = f"verified: {count} records, {dropped} dropped, {trail.decisions} decisions\n{head_line(head)}\n"
    agreeing = [whose for whose, one in told if check_head(trail, one, whose) is None]
    if agreeing:
        return text + "".join(f"{whose} agrees with it\n" for whose in agreeing)
    return text + "no head of another hand to compare with: that the end was cut off, or changed, can't be excluded\n"


def head_line(head: Head) -> str:
    """As --head takes it."""
    return f"head {head.seq:016x}:{head.hash.hex()}"
