"""The rules of a whole trail: how records lie in logd's store, that each class is one chain, that no number is missing that no gap
accounts for, and what the head is. Called by the verbs and by tests.

Pure: bytes and rows in, findings out. Knows nothing of logd's code; recipes/contract/audit.toml is what both follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

from nexus.audit.record import Form, Record, show_target
from nexus.recipe.model import service_id

HASH = 32
COUNTED_ON = 64  # so many decisions, or outcomes of a bundle, back
MOST = 0xFFFF_FFFF  # a gap that counts so many has stopped counting


@dataclass(frozen=True)
class Finding:
    """What does not verify, and where: the class, and the record's number if it is about one."""

    where: str
    seq: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.where}{'' if self.seq is None else f', seq {self.seq}'}: {self.text}"


@dataclass(frozen=True)
class Chain:
    """One class, oldest record first."""

    name: str
    gap: Record | None = None
    records: tuple[Record, ...] = ()
    loose: tuple[str, ...] = ()  # what is wrong with the places of its records


@dataclass(frozen=True)
class Head:
    """Where a trail ends: number of its newest record, and the hash over the ends of all classes."""

    seq: int
    hash: bytes


@dataclass(frozen=True)
class Trail:
    """All classes of a system whose processes have these id names, by dense index."""

    form: Form
    processes: tuple[str, ...]
    chains: tuple[Chain, ...]

    @property
    def records(self) -> list[tuple[str, Record]]:
        """Every record with its class, gaps too, by number."""
        rows = [(chain.name, row) for chain in self.chains for row in (chain.gap, *chain.records) if row is not None]
        return sorted(rows, key=lambda row: row[1].seq)

    @property
    def seq(self) -> int:
        """Of the newest record."""
        ends = [chain.records[-1].seq for chain in self.chains if chain.records]
        return max([*ends, *(chain.gap.last for chain in self.chains if chain.gap)], default=0)

    @property
    def decisions(self) -> int:
        decision = self.form.kinds["decision"]
        rows = [row for chain in self.chains for row in chain.records if row.kind == decision]
        return sum(row.count for row in rows) + sum(chain.gap.count for chain in self.chains if chain.gap)

    @cached_property
    def apps(self) -> dict[int, str]:
        """Names by service id, of bundles that were taken: those are refused whose service id is another's."""
        kind, allow = self.form.kinds["bundle"], self.form.verdicts["allow"]
        rows = [row for _, row in self.records if row.kind == kind and row.verdict == allow]
        names = {f"app:{show_target(row.target)}" for row in rows}
        return {service_id(name): name for name in names}

    def head(self, seq: int | None = None) -> Head:
        """The end of the trail; with `seq`, what it was when that was the newest number, if nothing has been merged or dropped since."""
        parts = []
        for chain in self.chains:
            until = [row for row in chain.records if seq is None or row.seq <= seq]
            parts.append(self.form.hash(until[-1]) if until else bytes(HASH))
            parts.append(self.form.hash(chain.gap) if chain.gap else bytes(HASH))
        return Head(self.seq if seq is None else seq, hashlib.sha256(b"".join(parts)).digest())


def class_names(processes: Sequence[str]) -> list[str]:
    """By number: of each process, then of all apps, first what was allowed, then what was refused."""
    return [f"{who} {what}" for who in (*processes, "apps") for what in ("allowed", "refused")]


# ---- the store -------------------------------------------------------------------------------------------------------


def from_store(form: Form, processes: Sequence[str], data: bytes, slots: int | None = None) -> Trail:
    """The trail in the bytes of logd's region; raw places that make no ring are told by verify()."""
    names = class_names(processes)
    room = (slots or form.slots) // len(names)
    chains = []
    for number, name in enumerate(names):
        first = number * room
        rows = [data[slot * form.bytes : (slot + 1) * form.bytes] for slot in range(first, first + room)]
        chains.append(_chain(form, name, rows))
    return Trail(form, tuple(processes), tuple(chains))


def _chain(form: Form, name: str, rows: Sequence[bytes]) -> Chain:
    gap = form.parse(rows[0]) if rows[0][0] else None
    ring = [form.parse(row) if row[0] else None for row in rows[1:]]
    start = _start(ring) if gap else 0
    turned = ring[start:] + ring[:start]
    records = tuple(row for row in turned if row is not None)
    loose = []
    if None in turned and any(turned[turned.index(None) :]):
        loose.append("a free slot between records")
    if gap and len(records) < len(ring) - 1:
        loose.append(f"{len(ring) - len(records)} free slots, though records were dropped for lack of them")
    return Chain(name, gap, records, tuple(loose))


def _start(ring: Sequence[Record | None]) -> int:
    """Where a full ring begins: after its one free slot, else where numbers fall."""
    if None in ring:
        return (ring.index(None) + 1) % len(ring)
    seqs = [row.seq for row in ring if row is not None]
    return next((place for place in range(1, len(seqs)) if seqs[place] < seqs[place - 1]), 0)


def in_progress(trail: Trail) -> bool:
    """Whether logd was in the middle of a drop when its memory was taken."""
    return any(
        gap.via != gap.count | gap.dropped << 32 or any(row.seq == gap.last for row in chain.records[:1])
        for chain in trail.chains
        if (gap := chain.gap) is not None
    )


# ---- the rules -------------------------------------------------------------------------------------------------------


@dataclass
class _Check:
    """Collects findings of one trail."""

    trail: Trail
    findings: list[Finding] = field(default_factory=list)

    def say(self, where: str, seq: int | None, text: str) -> None:
        self.findings.append(Finding(where, seq, text))


def verify(trail: Trail) -> list[Finding]:
    """Everything that could not be so if logd alone had written it; class by class, then the whole."""
    check = _Check(trail)
    for number, chain in enumerate(trail.chains):
        for text in chain.loose:
            check.say(chain.name, None, text)
        if chain.gap:
            _check_gap(check, chain, number)
        _check_chain(check, chain)
        for row in chain.records:
            _check_record(check, chain, number, row)
    _check_numbers(check)
    return check.findings


def check_head(trail: Trail, told: Head, whose: str) -> Finding | None:
    """Whether the trail has what it had when somebody was told its head, and that head is still to be seen in it."""
    if told.seq > trail.seq:
        return Finding("all classes", told.seq, f"{whose} was told when this was the newest number; the end is missing")
    if trail.head(told.seq if told.seq < trail.seq else None).hash == told.hash:
        return None
    if told.seq == trail.seq:
        return Finding("all classes", told.seq, f"{whose} is of another trail, or an earlier one: its hash is another")
    return Finding(
        "all classes", told.seq, f"{whose} can't be seen in it any more: changed, counted on or dropped since"
    )


def counted_on(trail: Trail, told: Head) -> bool:
    """Whether that head is explained by what the newest record of one class has counted since."""
    form = trail.form
    if told.seq != trail.seq:
        return False
    for place, chain in enumerate(trail.chains):
        row = chain.records[-1] if chain.records else None
        if row is None or not form.is_counted(row):
            continue
        for count in range(max(1, row.count - COUNTED_ON), row.count):
            earlier = replace(chain, records=(*chain.records[:-1], replace(row, count=count)))
            if replace(trail, chains=(*trail.chains[:place], earlier, *trail.chains[place + 1 :])).head() == told:
                return True
    return False


def _check_chain(check: _Check, chain: Chain) -> None:
    """Each record holds the hash of the one before it, and its number is higher."""
    before = chain.gap.previous if chain.gap else bytes(HASH)
    seq = chain.gap.last if chain.gap else 0
    for row in chain.records:
        if row.previous != before:
            what = "record before it" if seq else "beginning of the class"
            check.say(chain.name, row.seq, f"it does not hold the hash of the {what}{f', seq {seq}' if seq else ''}")
        if row.seq <= seq:
            check.say(chain.name, row.seq, f"it comes after seq {seq}")
        before, seq = check.trail.form.hash(row), row.seq


def _check_gap(check: _Check, chain: Chain, number: int) -> None:
    form, gap = check.trail.form, chain.gap
    assert gap is not None
    if gap.kind != form.kinds["gap"]:
        check.say(chain.name, gap.seq, f"kind {gap.kind} in the place of the gap record")
    if chain.records and chain.records[0].seq == gap.last:
        check.say(
            chain.name, gap.last, "its drop was begun and not finished: logd stopped there, and was not started again"
        )
    if not gap.seq <= gap.last or not 1 <= gap.dropped <= gap.last - gap.seq + 1:
        check.say(chain.name, gap.seq, f"a gap of {gap.dropped} records can't reach from there to seq {gap.last}")
    if gap.via != gap.count | gap.dropped << 32:
        check.say(chain.name, gap.seq, "the gap's numbers are not those written first")
    subject, index = 0, form.app | form.nobody
    if number < 2 * len(check.trail.processes):
        subject, index = service_id(check.trail.processes[number // 2]), number // 2
    if (gap.subject, gap.subject_ix, gap.via_ix) != (subject, index, form.nobody):
        check.say(chain.name, gap.seq, "the gap names another subject than its class has")
    if (gap.verdict, gap.op, gap.reason, gap.action, gap.rule, gap.nonce) != (0,) * 6 or any(gap.target):
        check.say(chain.name, gap.seq, "the gap says more than a gap can")


def _check_record(check: _Check, chain: Chain, number: int, row: Record) -> None:
    form = check.trail.form
    if row.kind not in form.kinds.values() or row.kind == form.kinds["gap"]:
        check.say(chain.name, row.seq, f"kind {row.kind}, which no record has")
    elif row.verdict not in _verdicts(form, row.kind):
        check.say(chain.name, row.seq, f"verdict {row.verdict}, which a record of its kind can't have")
    if not _is_subject(check.trail, row.subject_ix, row.subject):
        check.say(chain.name, row.seq, f"its subject {row.subject:#018x} is not process {row.subject_ix:#x}")
    elif _class_of(check.trail, row) != number:
        check.say(chain.name, row.seq, "it belongs to another class")
    if row.via_ix == form.nobody:
        if row.via:
            check.say(chain.name, row.seq, "it has an asker's id and no asker")
    elif not _is_subject(check.trail, row.via_ix, row.via):
        check.say(chain.name, row.seq, f"its asker {row.via:#018x} is not process {row.via_ix:#x}")
    if row.kind == form.kinds["bundle"] and not _is_outcome(form, row):
        check.say(chain.name, row.seq, f"reason {row.reason}, which a bundle of verdict {row.verdict} can't have")
    if row.dropped or row.last or row.count < 1 or (row.count > 1 and not form.is_counted(row)):
        check.say(chain.name, row.seq, "its counts are not those of one record")
    if b"\0" in row.target.rstrip(b"\0"):
        check.say(chain.name, row.seq, "its target goes on after its end")


def _verdicts(form: Form, kind: int) -> set[int]:
    names = {"boot_grant": {"allow"}, "enforce_deny": {"deny"}, "restart": {"none"}, "latch": {"none"}}
    names["bundle"] = {"allow", "deny"}
    asked = {"allow", "deny", "malformed"}
    return {form.verdicts[name] for name in next((names[key] for key in names if form.kinds[key] == kind), asked)}


def _is_outcome(form: Form, row: Record) -> bool:
    """A reason for each refusal, and none for what was taken."""
    if row.verdict == form.verdicts["allow"]:
        return row.reason == 0
    return row.reason in form.refusals.values()


def _is_subject(trail: Trail, index: int, ident: int) -> bool:
    """Apps are known by what logd was told alone."""
    if index & trail.form.app:
        return index ^ trail.form.app >= len(trail.processes)
    return index < len(trail.processes) and ident == service_id(trail.processes[index])


def _class_of(trail: Trail, row: Record) -> int:
    pair = len(trail.processes) if row.subject_ix & trail.form.app else row.subject_ix
    return 2 * pair + (row.verdict in (trail.form.verdicts["deny"], trail.form.verdicts["malformed"]))


def _check_numbers(check: _Check) -> None:
    """seq is one series: each number is that of a record, or of one that a gap accounts for; time never runs back."""
    rows = sorted(
        ((row, chain.name) for chain in check.trail.chains for row in chain.records), key=lambda pair: pair[0].seq
    )
    for (before, _), (row, name) in pairwise(rows):
        if row.seq == before.seq:
            check.say(name, row.seq, "another record has the same number")
        elif row.time < before.time:
            check.say(name, row.seq, f"it is older than seq {before.seq}")
    gaps = [(chain.gap, chain.name) for chain in check.trail.chains if chain.gap]
    missing = _missing([row.seq for row, _ in rows], check.trail.seq)
    for first, last in missing:
        if not any(gap.seq <= first and last <= gap.last for gap, _ in gaps) and not _covered(first, last, gaps):
            check.say(
                "all classes", first, f"{last - first + 1} records from there on are missing, and no gap has them"
            )
    dropped, gone = sum(gap.dropped for gap, _ in gaps), sum(last - first + 1 for first, last in missing)
    if dropped != gone and all(gap.dropped < MOST for gap, _ in gaps):
        check.say("all classes", None, f"{gone} numbers have no record, but gaps tell of {dropped}")
    live = {row.seq for row, _ in rows}
    for gap, name in gaps:
        for end in (gap.seq, gap.last):
            if end in live and check.trail.seq >= end:
                check.say(name, end, "a gap tells that it was dropped, but it is there")


def _missing(seqs: Sequence[int], newest: int) -> list[tuple[int, int]]:
    """Runs of numbers that no record has."""
    runs, before = [], 0
    for seq in [*seqs, newest + 1]:
        if seq > before + 1:
            runs.append((before + 1, seq - 1))
        before = seq
    return runs


def _covered(first: int, last: int, gaps: Sequence[tuple[Record, str]]) -> bool:
    """Whether several gaps together reach over that run."""
    at = first
    for gap, _ in sorted(gaps, key=lambda pair: pair[0].seq):
        if gap.seq <= at:
            at = max(at, gap.last + 1)
    return at > last
