"""Any bytes as a console: never an exception, no byte reaches a terminal raw, and nothing passes that does not hold the whole transcript."""

from __future__ import annotations

import re
from random import Random

from target import Generic, Target

from nexus import layout
from nexus.contract.load import load_contract
from nexus.verdict.grammar import MAX_LINE_BYTES, Malformed, Seen, escape, parse
from nexus.verdict.ladder import Exit, Ladder
from nexus.verdict.rehearsal import NONCE, Rehearsal

CONTRACT = load_contract(layout.contract_dir(layout.find_root()))
# A whole run has ten times as many lines of the same kinds, and each input would take ten times as long.
PHASES, ROWS = 2, 3
RUN = Rehearsal(CONTRACT, count=0x1A0)
CHOSEN = [row for phase in CONTRACT.phases for row in [one for one in RUN.gates if one.phase == phase][:ROWS]]
PLAN = RUN.plan(CONTRACT.phases[PHASES - 1], markers=CHOSEN)
WHOLE = RUN.transcript(PLAN)
REMARK = "rngd: some remark"


def patterns() -> list[re.Pattern[str]]:
    """What each line of a passing console must be, from the contract's rows and nothing of the ladder."""
    words = CONTRACT.table("line")
    made = [re.escape(WHOLE[0])]
    for phase in PLAN.phases:
        for row in PLAN.markers:
            if row.phase == phase:
                text = re.escape(row.text) if row.text is not None else str(row.pattern)
                made.append(re.escape(f"{row.label}: ") + text)
        made.append(re.escape(f"init: {words['phase']}{phase}{words['decisions']}") + "[0-9]+")
    return [re.compile(one) for one in [*made, re.escape(WHOLE[-1])]]


PATTERNS = patterns()


def target() -> Target:
    return Target(check, ["\n".join(WHOLE).encode(), REMARK.encode()], mutate)


def check(data: bytes) -> None:
    """The last byte chooses the machine's exit code among those of the contract."""
    codes = sorted(PLAN.exits)
    console, exit_code = data[:-1], codes[data[-1] % len(codes)] if data[-1:] not in (b"", b"\n") else PLAN.ok_code
    lines = console.split(b"\n")
    ladder = Ladder(PLAN)
    for number, line in enumerate(lines):
        seen = Seen(number / 1000, line[:MAX_LINE_BYTES], whole=len(line) <= MAX_LINE_BYTES)
        found = parse(seen, PLAN.labels)
        assert isinstance(found, Malformed) or str(found).encode() == line
        shown = escape(line)
        assert shown.isascii()
        assert shown.isprintable() or not shown
        ladder.feed(seen)
    ladder.end(Exit(code=exit_code))
    verdict = ladder.verdict(exit_code)
    for text in (verdict.failure.text, verdict.failure.seen) if verdict.failure else ():
        assert text.isprintable()
    if verdict.passed:
        assert exit_code == PLAN.ok_code
        assert_whole([line.decode("ascii") for line in lines])


def assert_whole(lines: list[str]) -> None:
    """Every gate in its order and once; what lies between is a remark of somebody who is no judge."""
    wanted = iter(PATTERNS)
    pattern = next(wanted, None)
    for line in lines:
        if pattern is not None and pattern.fullmatch(line):
            pattern = next(wanted, None)
        else:
            assert not line.startswith("SELFTEST: "), f"passed with {line!r}"
            assert not any(one.fullmatch(line) for one in PATTERNS), f"passed with {line!r} out of its place"
    assert pattern is None, f"passed without {pattern}"
    assert NONCE in lines[0]


def mutate(data: bytes, chance: Random, generic: Generic) -> bytes:
    """Lines exchanged, lost, doubled and laid into each other, of the flawless transcript at times."""
    kind = chance.randrange(8)
    if kind < 2:
        return generic(data)
    lines = data.split(b"\n") if kind < 6 else "\n".join(WHOLE).encode().split(b"\n")
    for _ in range(chance.randint(1, 3)):
        place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        edit = chance.randrange(6)
        if edit == 0:
            lines[place], lines[other] = lines[other], lines[place]
        elif edit == 1 and len(lines) > 1:
            del lines[place]
        elif edit == 2:
            lines.insert(place, lines[other])
        elif edit == 3:
            lines.insert(place, REMARK.encode())
        elif edit == 4:
            lines.insert(place, lines[place][:6] + lines[other])
        else:
            lines[place] = generic(lines[place]) if lines[place] else chance.choice(WHOLE).encode()
    return b"\n".join(lines) + bytes([chance.choice([0x0A, 0x0A, chance.randrange(256)])])
