"""The verdict on a kernel proof: what every case must end with (recipes/proof/kernel.toml), what the judge's lines say, and whether
the two agree. Called by machine/proof.py; pure, and never believes a line that the kernel's own do not bear out.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus.contract.load import Contract
from nexus.errors import RecipeError
from nexus.verdict.ladder import Exit

CASE = re.compile(
    r"case (\d+) ([a-z0-9_]+\.[a-z0-9_]+) (attack|twin) (end|late)=([a-z]+):([0-9a-f]+) effect=(-?\d+) "
    r"slots=(-?\d+) frames=(-?\d+) token=([0-9a-f]+) data=([0-9a-f]+)"
)
END = re.compile(r"end cases=(\d+) slots=(\d+)/(\d+) frames=(\d+)/(\d+)")
FAULT = re.compile(r"fault label=(\S+) cause=([a-z]+)(?: value=([0-9a-f]{16}) pc=[0-9a-f]{16})?")
QUIET = "quiet"  # the label whose faults are told without value and pc
EFFECTS = ("console", "entropy", "fence", "forged", "feed", "token")
JUDGE = "judge"
PAGE = 4096


@dataclass(frozen=True)
class Ending:
    """How a run has to end: a cause of [fault], and its value, any one of a page, or any at all."""

    cause: str
    low: int = 0
    high: int = (1 << 64) - 1
    text: str = ""

    def fits(self, cause: str, value: int) -> bool:
        return cause == self.cause and self.low <= value <= self.high

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Expected:
    """One case of the table. `by`: the host judges the effect itself, and how."""

    name: str
    attack: Ending
    twin: Ending
    by: str = ""


@dataclass(frozen=True)
class Ran:
    """One run of a case, as the judge's line has it, with what came before that line."""

    number: int
    name: str
    right: bool
    late: bool
    cause: str
    value: int
    effect: int
    slots: int
    frames: int
    token: int
    data: int
    lines: tuple[str, ...] = ()  # of everybody else, since the line before
    looks: tuple[tuple[str, str], ...] = ()  # of the host: what, and what was wrong

    @property
    def variant(self) -> str:
        return "twin" if self.right else "attack"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a run, in the words of a failure block."""

    case: str
    code: str
    text: str
    expected: str
    seen: str


@dataclass
class Score:
    """Everything that a proof has shown."""

    passed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    runs: list[Ran] = field(default_factory=list)


def load_table(path: Path, contract: Contract) -> dict[str, Expected]:
    """Every case by its name; the file is the only place that says how one has to end."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    table: dict[str, Expected] = {}
    for group, rows in _groups(data):
        for case, row in rows.items():
            name = f"{group}.{case}"
            if name in table:
                raise RecipeError(f"{path}: {name}: found twice, expected once")
            table[name] = _expected(name, row, data.get("by", {}).get(group, ""), contract)
    return table


def _groups(data: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The plain groups, and each name of a [[matrix]] with its cases."""
    for matrix in data.get("matrix", []):
        shared = {key: value for key, value in matrix.items() if key not in ("of", "cases")}
        for group in matrix["of"]:
            yield group, {case: {"attack": ending, **shared} for case, ending in matrix["cases"].items()}
    yield from data.get("case", {}).items()


def _expected(name: str, row: Any, by: str, contract: Contract) -> Expected:
    facts = {"attack": row} if isinstance(row, str) else row
    unknown = set(facts) - {"attack", "twin", "by"}
    by = facts.get("by", by)
    if unknown or "attack" not in facts or (by and by not in EFFECTS):
        raise RecipeError(
            f"recipes/proof: {name}: found {row!r}, expected attack, twin and by (one of {', '.join(EFFECTS)})"
        )
    return Expected(
        name, _ending(name, facts["attack"], contract), _ending(name, facts.get("twin", "ok"), contract), by
    )


def _ending(name: str, text: str, contract: Contract) -> Ending:
    """`ok`, a status of [e], or a cause of [fault] with an address, `page ADDRESS`, or nothing."""
    statuses, faults = contract.table("e"), contract.table("fault")
    cause, _, rest = text.partition(" ")
    if text in statuses:
        return Ending("exit", statuses[text], statuses[text], text)
    if cause not in faults or cause == "exit":
        raise RecipeError(f"recipes/proof: {name}: found {text!r}, expected a status of [e] or a cause of [fault]")
    if not rest:
        return Ending(cause, text=text)
    kind, _, where = rest.rpartition(" ")
    value = contract.number(where) if where.startswith("va.") else int(where, 0)
    return Ending(cause, value, value + (PAGE - 1 if kind == "page" else 0), text)


def parse_run(text: str, lines: Sequence[str], looks: Sequence[tuple[str, str]]) -> Ran | None:
    """The judge's line of a run, or None if it is none."""
    found = CASE.fullmatch(text)
    if found is None:
        return None
    return Ran(
        number=int(found[1]),
        name=found[2],
        right=found[3] == "twin",
        late=found[4] == "late",
        cause=found[5],
        value=int(found[6], 16),
        effect=int(found[7]),
        slots=int(found[8]),
        frames=int(found[9]),
        token=int(found[10], 16),
        data=int(found[11], 16),
        lines=tuple(lines),
        looks=tuple(looks),
    )


def judge_run(run: Ran, expected: Expected, entropy: Mapping[int, int]) -> Problem | None:
    """The first thing that is wrong with a run. `entropy`: how often the host fed each block of eight bytes."""

    def problem(code: str, text: str, wanted: object, seen: object) -> Problem:
        return Problem(f"{run.name} {run.variant}", code, text, str(wanted), str(seen))

    ending = expected.twin if run.right else expected.attack
    ended = f"{run.cause} {run.value:#x}"
    if run.late:
        return problem("late", "the attacker did not end", ending, ended)
    if not ending.fits(run.cause, run.value):
        return problem("ending", "the kernel's record of the end is another", ending, ended)
    if (run.cause, run.value) != ("exit", 0) and not _told_by_kernel(run):
        wanted = f"kernel: fault cause={run.cause} value={run.value:016x}"
        return problem("unconfirmed", "the kernel's own line does not bear the judge's out", wanted, _tail(run.lines))
    if run.slots or run.frames:
        return problem(
            "leak", "something was not given back", "slots=0 frames=0", f"slots={run.slots} frames={run.frames}"
        )
    for what, amiss in run.looks:
        if amiss:
            return problem("look", f"the host looked ({what})", "nothing amiss", amiss)
    wrong = _effect(run, expected.by, entropy)
    return problem("effect", "it had another effect", *wrong) if wrong else None


def _told_by_kernel(run: Ran) -> bool:
    told = [FAULT.fullmatch(line.removeprefix("kernel: ")) for line in run.lines if line.startswith("kernel: ")]
    return any(fault and fault[2] == run.cause and _value_told(fault, run.value) for fault in told)


def _value_told(fault: re.Match[str], value: int) -> bool:
    return fault[3] is None if fault[1] == QUIET else fault[3] is not None and int(fault[3], 16) == value


def _effect(run: Ran, by: str, entropy: Mapping[int, int]) -> tuple[str, str] | None:
    """(expected, seen) if the effect is not what it has to be."""
    if by == "console":
        return _console_effect(run)
    if by in ("entropy", "fence"):
        if by == "fence" and not any(what == "fence" for what, _ in run.looks):
            return "a look at the fence", "none"
        drawn = run.data in entropy
        return (
            None
            if drawn == run.right
            else (f"bytes of the device {'drawn' if run.right else 'not drawn'}", f"{run.data:#x}")
        )
    if by == "forged":
        return (
            None
            if (run.data > 0) == run.right
            else ("a completion believed" if run.right else "none", f"{run.data:#x}")
        )
    if by in ("feed", "token"):
        return None if any(what == by for what, _ in run.looks) else (f"a look ({by})", "none")
    wanted = int(run.right)
    return None if run.effect == wanted else (f"effect={wanted}", f"effect={run.effect}")


def _console_effect(run: Ran) -> tuple[str, str] | None:
    """The attacker's own lines: none but its own, whole and labelled; the twin's is its token and nothing else."""
    token = f"{run.token:016x}"
    lines = [line for line in run.lines if not line.startswith(("kernel: ", "judge: "))]
    owners = {re.split(r"[:|] ", line, maxsplit=1)[0] for line in lines}
    if not owners <= {"attacker", "holder", "python"}:
        return "lines of the attacker's label", " / ".join(lines)
    forged = [line for line in run.lines if line.startswith("kernel: ") and not line.startswith(KERNEL_SAYS)]
    if forged:
        return "no line of the kernel's that it does not say", " / ".join(forged)
    if run.right:
        own = [line for line in lines if token in line]
        return None if len(own) == 1 or run.data else (f"one line with {token}", _tail(lines))
    if run.cause == "exit" and run.value == 0:  # it may write, and it did: under its own label
        return None if any(token in line for line in lines) else (f"a line with {token}", _tail(lines))
    return None if not lines or run.data else ("no line", _tail(lines))


KERNEL_SAYS = ("kernel: fault ", "kernel: console lost ", "kernel: device ")


def judge_all(runs: Sequence[Ran], table: Mapping[str, Expected], entropy: Mapping[int, int]) -> Score:
    """Every case of the table exactly once without and once with the right, and no other."""
    score = Score(runs=list(runs))
    seen: dict[str, list[Ran]] = {}
    for run in runs:
        seen.setdefault(run.name, []).append(run)
    for name in seen.keys() - table.keys():
        score.problems.append(
            Problem(name, "extra", "a case that the table does not have", "a row in recipes/proof", name)
        )
    for name, expected in table.items():
        found = seen.get(name, [])
        if [run.right for run in found] != [False, True]:
            ran = " ".join(run.variant for run in found) or "nothing"
            score.problems.append(Problem(name, "missing", "a case did not run as it has to", "attack twin", ran))
            continue
        wrong = [problem for run in found if (problem := judge_run(run, expected, entropy))]
        score.problems += wrong
        if not wrong:
            score.passed.append(name)
    score.problems += _repeated(runs, entropy)
    return score


def _repeated(runs: Sequence[Ran], entropy: Mapping[int, int]) -> list[Problem]:
    """Bytes of the device that more runs have drawn than the host has fed: they came from somewhere else."""
    drawn = Counter(run.data for run in runs if run.data in entropy)
    text = "drawn more often than fed"
    return [
        Problem("end", "repeated", f"{data:#x}: {text}", str(entropy[data]), str(count))
        for data, count in drawn.items()
        if count > entropy[data]
    ]


def judge_end(runs: Sequence[Ran], lost: int, exit: Exit | None, contract: Contract) -> list[Problem]:
    """What concerns all cases: how the machine ended, and that every line refused was told to be lost."""
    problems = []
    ok = contract.number("exit.ok")
    if exit is None or exit.code != ok:
        problems.append(Problem("end", "exit-code", "the machine ended in another way", f"exit code {ok}", str(exit)))
    refused = sum(run.data for run in runs if run.name.startswith("console.") and run.cause == "exit")
    if refused != lost:
        text = "lines refused and lines told to be lost differ"
        problems.append(Problem("end", "lost-lines", text, f"{refused} lost lines told", str(lost)))
    return problems


def judge_leaks(text: str) -> Problem | None:
    """The judge's last line: as much is free at the end as at the start."""
    found = END.fullmatch(text)
    if found is None:
        return Problem("end", "end", "the judge did not come to its end", "end cases=N slots=A/A frames=B/B", text)
    if found[2] != found[3] or found[4] != found[5]:
        return Problem("end", "leak", "something has leaked over all cases", "the same before and after", text)
    return None


def _tail(lines: Sequence[str]) -> str:
    return " / ".join(lines[-3:]) or "nothing"
