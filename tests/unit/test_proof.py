"""The verdict on a kernel proof: each way in which a run of a case can be wrong is told, and nothing passes by being left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nexus.contract.load import load_contract
from nexus.errors import RecipeError
from nexus.layout import contract_dir, find_root
from nexus.verdict import proof, proofreport
from nexus.verdict.ladder import Exit
from nexus.verdict.proof import Problem, Ran, judge_all, judge_end, judge_leaks, judge_run, load_table, parse_run

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
TABLE = load_table(ROOT / "recipes/proof/kernel.toml", CONTRACT)
TOKEN = 0x1122334455667788
FED = {0xAABB: len(TABLE)}


def ran(name: str, right: bool, **facts: object) -> Ran:
    """A run as it has to be, but for `facts`."""
    expected = TABLE[name]
    ending = expected.twin if right else expected.attack
    found = Ran(
        number=0,
        name=name,
        right=right,
        late=False,
        cause=ending.cause,
        value=ending.low,
        effect=int(right),
        slots=0,
        frames=0,
        token=TOKEN,
        data=0xAABB if right and expected.by in ("entropy", "fence") else 5 if right and expected.by == "forged" else 0,
        lines=(
            f"kernel: fault label={'equal' if right else 'attacker'} cause={ending.cause} value={ending.low:016x} pc={0:016x}",
        ),
        looks=((expected.by, ""),) if expected.by in ("fence", "feed", "token") else (),
    )
    return replace(found, **facts)  # type: ignore[arg-type]


def wrong(run: Ran) -> str:
    problem = judge_run(run, TABLE[run.name], FED)
    return problem.code if problem else ""


def flawless() -> list[Ran]:
    runs = []
    for name, expected in TABLE.items():
        for right in (False, True):
            run = ran(name, right)
            if expected.by == "console" and (right or run.value == 0):
                run = replace(run, lines=(*run.lines, f"attacker: {TOKEN:016x}"))
            runs.append(run)
    return runs


# ---- the table ---------------------------------------------------------------------------------------------------------


def test_table_has_what_the_proof_promises() -> None:
    groups = {name.split(".")[0] for name in TABLE}
    assert len(TABLE) >= 120
    assert {
        "call",
        "right",
        "pointer",
        "table",
        "rank",
        "peer",
        "move",
        "deadline",
        "spin",
        "memory",
        "processor",
    } <= groups
    assert {
        "console",
        "fence",
        "segment",
        "completion",
        "death",
        "region",
        "app",
        "supervise",
        "system",
        "python",
    } <= groups


@pytest.mark.parametrize(
    "text",
    [
        '[case.x]\na = "no_such_status"\n',
        '[case.x]\na = "exit 3"\n',
        '[case.x]\na = { attack = "ok", by = "hearsay" }\n',
        '[case.x]\na = { twin = "ok" }\n',
        '[case.x]\na = { attack = "ok", effect = 1 }\n',
        '[[matrix]]\nof = ["x"]\ncases = { a = "ok" }\n[case.x]\na = "ok"\n',
    ],
)
def test_bad_table_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError):
        load_table(path, CONTRACT)


@pytest.mark.parametrize(
    ("text", "cause", "value", "fits"),
    [
        ("ok", "exit", 0, True),
        ("bad_handle", "exit", 1, True),
        ("bad_handle", "exit", 2, False),
        ("memory va.dma", "memory", CONTRACT.number("va.dma"), True),
        ("memory va.dma", "memory", CONTRACT.number("va.dma") + 8, False),
        ("memory page 0x1000", "memory", 0x1FF8, True),
        ("memory page 0x1000", "memory", 0x2000, False),
        ("memory", "memory", 0x1234, True),
        ("instruction", "memory", 0, False),
        ("syscall 14", "syscall", 14, True),
    ],
)
def test_endings(text: str, cause: str, value: int, fits: bool) -> None:
    assert proof._ending("x", text, CONTRACT).fits(cause, value) == fits


# ---- lines -------------------------------------------------------------------------------------------------------------


def test_line_of_a_run_is_read() -> None:
    text = "case 7 call.absent attack end=exit:1 effect=-1 slots=0 frames=-2 token=ff data=0"
    run = parse_run(text, ["kernel: x"], [("fence", "")])
    assert run is not None
    assert (run.name, run.right, run.cause, run.value, run.effect, run.frames) == (
        "call.absent",
        False,
        "exit",
        1,
        -1,
        -2,
    )
    assert (run.lines, run.looks) == (("kernel: x",), (("fence", ""),))


@pytest.mark.parametrize(
    "text", ["case 7 call.absent attack", "look 1 start attack token=0 data=0", "", "case x y.z attack end=exit:1"]
)
def test_other_lines_are_no_runs(text: str) -> None:
    assert parse_run(text, [], []) is None


# ---- runs --------------------------------------------------------------------------------------------------------------


def test_flawless_runs_pass() -> None:
    score = judge_all(flawless(), TABLE, FED)
    assert score.problems == []
    assert len(score.passed) == len(TABLE)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"late": True}, "late"),
        ({"value": 0}, "ending"),
        ({"cause": "memory"}, "ending"),
        ({"effect": 1}, "effect"),
        ({"effect": -1}, "effect"),
        ({"slots": 1}, "leak"),
        ({"frames": -1}, "leak"),
        ({"looks": (("start", "amiss"),)}, "look"),
        ({"lines": ()}, "unconfirmed"),
        (
            {"lines": ("kernel: fault label=attacker cause=exit value=0000000000000002 pc=0000000000000000",)},
            "unconfirmed",
        ),
        (
            {"lines": ("attacker: fault label=attacker cause=exit value=0000000000000001 pc=0000000000000000",)},
            "unconfirmed",
        ),
    ],
)
def test_attack_that_is_not_refused_fails(facts: dict[str, object], code: str) -> None:
    assert wrong(ran("call.absent", False)) == ""
    assert wrong(ran("call.absent", False, **facts)) == code


@pytest.mark.parametrize(
    ("facts", "code"),
    [({"value": 1}, "ending"), ({"effect": 0}, "effect"), ({"effect": 2}, "effect"), ({"late": True}, "late")],
)
def test_twin_that_is_not_served_fails(facts: dict[str, object], code: str) -> None:
    assert wrong(ran("call.absent", True)) == ""
    assert wrong(ran("call.absent", True, **facts)) == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("kernel: fault label=quiet cause=memory", ""),
        (f"kernel: fault label=quiet cause=memory value={0:016x} pc={0:016x}", "unconfirmed"),
        ("kernel: fault label=attacker cause=memory", "unconfirmed"),
    ],
)
def test_quiet_fault_is_told_without_its_place(line: str, code: str) -> None:
    assert wrong(ran("life.quiet_fault", False, lines=(line,))) == code


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.by in ("entropy", "fence")])
def test_drawn_bytes_must_be_the_devices(name: str) -> None:
    assert wrong(ran(name, True, data=0xCCDD)) == "effect"
    assert wrong(ran(name, False, data=0xAABB)) == "effect"


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.by in ("feed", "token", "fence")])
def test_look_that_did_not_happen_fails(name: str) -> None:
    assert wrong(ran(name, False, looks=())) == "effect"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("pointer.read_kernel", ("attacker: anything",)),
        ("pointer.read_kernel", ("judge2: anything",)),
        ("console.marker", ()),
        ("console.marker", (f"attacker: {TOKEN:016x}", "kernel: panic forged")),
        ("console.marker", (f"victim: {TOKEN:016x}",)),
    ],
)
def test_forged_or_missing_lines_fail(name: str, lines: tuple[str, ...]) -> None:
    run = ran(name, False)
    assert wrong(replace(run, lines=(*run.lines, *lines))) == "effect"


def test_twin_must_write_its_token_once() -> None:
    run = ran("console.marker", True)
    line = f"attacker: {TOKEN:016x}"
    assert wrong(replace(run, lines=(line,))) == ""
    assert wrong(replace(run, lines=())) == "effect"
    assert wrong(replace(run, lines=(line, line))) == "effect"


# ---- all of it ---------------------------------------------------------------------------------------------------------


def codes(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.case, problem.code) for problem in problems}


@pytest.mark.parametrize("gone", [slice(0, 1), slice(1, 2), slice(0, 2)])
def test_missing_run_fails(gone: slice) -> None:
    runs = flawless()
    del runs[gone]
    assert codes(judge_all(runs, TABLE, FED).problems) == {("call.absent", "missing")}


def test_repeated_run_fails() -> None:
    runs = flawless()
    assert codes(judge_all([*runs, runs[0]], TABLE, FED).problems) == {("call.absent", "missing")}


def test_bytes_drawn_more_often_than_fed_fail() -> None:
    assert codes(judge_all(flawless(), TABLE, {0xAABB: 1}).problems) == {("end", "repeated")}


def test_extra_case_fails() -> None:
    runs = flawless()
    assert codes(judge_all([*runs, replace(runs[0], name="call.other_kind")], TABLE, FED).problems) == {
        ("call.other_kind", "extra")
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("end cases=3 slots=4/4 frames=5/5", ""),
        ("end cases=3 slots=4/5 frames=5/5", "leak"),
        ("end cases=3 slots=4/4 frames=5/4", "leak"),
        ("something else", "end"),
    ],
)
def test_leaks_over_all_cases(text: str, code: str) -> None:
    problem = judge_leaks(text)
    assert (problem.code if problem else "") == code


def test_end_of_the_machine_is_judged() -> None:
    runs = [ran("console.flood", False, data=50)]
    assert judge_end(runs, 50, Exit(code=42), CONTRACT) == []
    assert codes(judge_end(runs, 49, Exit(code=42), CONTRACT)) == {("end", "lost-lines")}
    assert codes(judge_end(runs, 50, Exit(code=44), CONTRACT)) == {("end", "exit-code")}
    assert codes(judge_end(runs, 50, None, CONTRACT)) == {("end", "exit-code")}


# ---- reports -----------------------------------------------------------------------------------------------------------


def outcome(runs: list[Ran]) -> proofreport.Outcome:
    return proofreport.Outcome(judge_all(runs, TABLE, FED), tuple(TABLE), "0" * 32, 42, 1.0)


def test_reports_of_a_pass() -> None:
    found = outcome(flawless())
    assert proofreport.pass_line(found).startswith(f"PASS {len(TABLE)} ")
    said = proofreport.to_json(found)
    assert (said["verdict"], said["reason"], said["problems"]) == ("pass", None, [])
    assert {row["verdict"] for row in said["cases"]} == {"pass"}
    assert f'tests="{len(TABLE)}" failures="0"' in proofreport.to_junit(found)


def test_reports_of_a_failure() -> None:
    runs = flawless()
    runs[0] = replace(runs[0], effect=1)
    found = outcome(runs)
    said = proofreport.to_json(found)
    assert said["verdict"] == "fail"
    assert said["reason"] == {
        "code": "effect",
        "text": "it had another effect",
        "expected": "effect=0",
        "seen": "effect=1",
    }
    assert [row["name"] for row in said["cases"] if row["verdict"] == "fail"] == ["call.absent"]
    junit = proofreport.to_junit(found, "the block\x00")
    assert 'failures="1"' in junit
    assert "the block?" in junit


@pytest.mark.parametrize(
    ("code", "exit_code"), [("effect", 1), ("machine", 6), ("died", 6), ("time-out", 7), ("panic", 1)]
)
def test_exit_code_of_the_command(code: str, exit_code: int) -> None:
    assert proofreport.exit_code(Problem("x", code, "", "", "")) == exit_code
