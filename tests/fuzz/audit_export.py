"""Any text as an exported audit trail: refused with its place, or read without loss; and no trail that ends where the true one ended verifies
with other records than its.
"""

from __future__ import annotations

import json
from random import Random
from types import SimpleNamespace

from shims.store import FORM, Guest, draft
from target import Generic, Target

from nexus import layout
from nexus.audit.export import Export, from_lines, to_lines
from nexus.audit.trail import check_head, verify
from nexus.contract.load import load_contract
from nexus.errors import UsageError

CONTRACT = load_contract(layout.contract_dir(layout.find_root()))
ROOM = 4  # slots of a class, so that some records are dropped and a gap tells of them
NUMBERS = (-1, 0, 1, 2, 3, 5, 255, 1 << 32, 1 << 64, 1 << 200)


def whole() -> Export:
    """A trail of several classes, merged records and a gap."""
    guest = Guest(SimpleNamespace(**CONTRACT.constants), ROOM)
    for number in range(4):
        guest.append(draft(number % 2, 1, "deny" if number == 3 else "allow"))
    for number in range(ROOM):
        guest.append(draft(2, 1 + number, "deny", target=b"vault"))
    trail = guest.sound()
    return Export(trail, "selftest", CONTRACT.digest, "00" * 16, trail.head())


def target() -> Target:
    true = whole()
    text, rows = to_lines(true), true.trail.records
    assert any(chain.gap for chain in true.trail.chains)

    def check(data: bytes) -> None:
        try:
            read = from_lines(data.decode("utf-8", errors="replace"), FORM, "x")
        except UsageError as error:
            check_message(error.message)
            return
        again = to_lines(read)
        assert to_lines(from_lines(again, FORM, "x")) == again, "it is read otherwise than it is written"
        findings = verify(read.trail)
        if read.trail.processes == true.trail.processes and read.trail.seq == true.head.seq:
            sound = not findings and check_head(read.trail, true.head, "the test") is None
            assert not sound or read.trail.records == rows, "a changed trail verifies"

    check(text.encode())
    return Target(check, [text.encode(), text.partition("\n")[0].encode()], mutate)


def check_message(message: str) -> None:
    assert message.startswith("x:"), message


def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
    """Rows exchanged, lost and doubled, and fields of theirs changed, in lines that stay JSON."""
    if chance.random() < 0.2:
        return generic(data)
    lines = data.split(b"\n")
    place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(6)
    if kind == 0:
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == 1:
        del lines[place]
    elif kind == 2:
        lines.insert(place, lines[other])
    else:
        lines[place] = _changed(lines[place], chance)
    return b"\n".join(lines)


def _changed(line: bytes, chance: Random) -> bytes:
    """The same object with one field changed."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(row, dict) or not row:
        return line
    key = chance.choice(sorted(row))
    near = row[key] + chance.choice((-1, 1)) if isinstance(row[key], int) else row[chance.choice(sorted(row))]
    row[key] = chance.choice((near, near, chance.choice(NUMBERS), "", None, [], {"a": 1}, 1.5, True))
    return json.dumps(row).encode()
