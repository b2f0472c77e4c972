"""A trail as a file: JSON lines, the first of which says what the others are about. Lossless, so that whoever has the file alone
can verify it. Called by the verbs. Pure: text in, text out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as joined

from nexus.audit.record import Form, Record
from nexus.audit.trail import Chain, Head, Trail, class_names
from nexus.errors import UsageError

FORMAT = "nexus audit trail 1"
HINT = "it has to be what nexus audit export wrote"


@dataclass(frozen=True)
class Export:
    """A trail, and where it is from."""

    trail: Trail
    system: str
    contract: str  # digest
    run: str  # nonce of the boot
    head: Head  # as the exporter saw it


def to_lines(export: Export) -> str:
    """The header, then records by number."""
    header = {
        "format": FORMAT,
        "system": export.system,
        "contract": export.contract,
        "run": export.run,
        "processes": list(export.trail.processes),
        "head": {"seq": export.head.seq, "hash": export.head.hash.hex()},
    }
    form = export.trail.form
    rows = ({"class": name, **form.to_json(row)} for name, row in export.trail.records)
    return "".join(json.dumps(row) + "\n" for row in joined([header], rows))


def from_lines(text: str, form: Form, file: str) -> Export:
    """What to_lines gave; anything else is refused with its line."""
    rows = [_row(line, f"{file}:{number}") for number, line in enumerate(text.splitlines(), 1)]
    if not rows or rows[0].get("format") != FORMAT:
        raise UsageError(f"{file}:1: found no header of the format {FORMAT!r}", HINT)
    header = rows[0]
    processes = header.get("processes")
    if not isinstance(processes, list) or not all(isinstance(name, str) and name.isascii() for name in processes):
        raise UsageError(f"{file}:1: processes: found {processes!r}, expected the id names of the system", HINT)
    words = [header.get(name) for name in ("system", "contract", "run")]
    system, contract, run = (word if isinstance(word, str) else "" for word in words)
    trail = _trail(form, processes, rows[1:], file)
    return Export(trail, system, contract, run, _head(header.get("head"), file))


def _row(line: str, where: str) -> Mapping[str, object]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: found no JSON", HINT) from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: found no JSON object", HINT)
    return row


def _head(found: object, file: str) -> Head:
    if isinstance(found, dict):
        seq, digest = found.get("seq"), found.get("hash")
        if isinstance(seq, int) and isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest):
            return Head(seq, bytes.fromhex(digest))
    raise UsageError(f"{file}:1: head: found {found!r}, expected seq and hash", HINT)


def _trail(form: Form, processes: Sequence[str], rows: Sequence[Mapping[str, object]], file: str) -> Trail:
    """Records of each class in the order of the file, so that rows that changed places are seen."""
    names = class_names(processes)
    held: dict[str, list[Record]] = {name: [] for name in names}
    gaps: dict[str, list[Record]] = {name: [] for name in names}
    for number, row in enumerate(rows, 2):
        where = f"{file}:{number}"
        name = row.get("class")
        if not isinstance(name, str) or name not in held:
            raise UsageError(
                f"{where}: class: found {name!r}, expected one of a process of the header, or of apps", HINT
            )
        record = form.from_json(row, where)
        (gaps if record.kind == form.kinds["gap"] else held)[name].append(record)
    chains = (Chain(name, next(iter(gaps[name]), None), tuple(held[name]), _loose(gaps[name])) for name in names)
    return Trail(form, tuple(processes), tuple(chains))


def _loose(gaps: Sequence[Record]) -> tuple[str, ...]:
    return () if len(gaps) < 2 else (f"{len(gaps)} gap records, where there can be one",)
