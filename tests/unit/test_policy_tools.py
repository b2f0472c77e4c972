"""What tells people about policy: explain, lint, diff, matrix. Each is held against the reference or against brute force."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import CONTRACT, HEAD, ROOT, base, delegate, domain, evaluator, reference, rule
from reference import reference_of

from nexus import layout
from nexus.cli import main
from nexus.errors import VerdictError
from nexus.policy import automaton
from nexus.policy.diff import delegate_diff, diff, grouped, joint_universe
from nexus.policy.evaluate import Evaluator, policy_files
from nexus.policy.explain import MAY_NOT_ASK, NO_RULE, NOT_IN_MASK, UNKNOWN, Question, explain
from nexus.policy.lint import BROAD, SHADOWED, UNREACHABLE, UNUSED, lint, questions, take_census
from nexus.policy.matrix import ALL, GATED, NONE, SOME, matrix
from nexus.policy.universe import UNDECLARED_APP, universe_of
from nexus.policy.world import Names

NAMES = Names.of(CONTRACT)
BASE = policy_files(ROOT)[0]


# ---- explain ---------------------------------------------------------------------------------------------------------


def why(asked: Evaluator, *question: Any) -> tuple[str, int]:
    answer = explain(asked, NAMES, Question(*question))
    return answer.why, answer.decisive.number if answer.decisive else 0


def test_explain_names_every_rule_that_matches_denies_first() -> None:
    asked = evaluator(
        rule("shell", "bundle.*", "*") + rule("shell", "bundle.open", "a*", "deny") + rule("shell", "proc.exec", "*")
    )
    answer = explain(asked, NAMES, Question("shell", "bundle.open", "ab"))
    assert [(row.effect, row.target) for row in answer.matching] == [("deny", "a*"), ("allow", "*")]
    assert answer.decisive is answer.matching[0]
    assert not answer.allow
    assert explain(asked, NAMES, Question("shell", "bundle.open", "b")).allow


def test_explain_says_what_is_missing() -> None:
    asked = evaluator(
        rule("app:*", "keystore.kv")
        + rule("shell", "rng.entropy", gates=("bring_up",))
        + delegate("rngd", "*", "rng.entropy")
    )
    nothing, kv = frozenset[str](), frozenset(["keystore.kv"])
    assert why(asked, "app:a", "keystore.kv", "-", nothing, None, kv)[0] == "rule"
    assert why(asked, "app:a", "keystore.kv", "-", nothing, None, nothing)[0] == NOT_IN_MASK
    assert why(asked, "app:a", "keystore.kv", "-", nothing, "rngd")[0] == MAY_NOT_ASK
    assert why(asked, "shell", "rng.entropy", "-", frozenset(["bring_up"]), "rngd")[0] == "rule"
    assert why(asked, "shell", "rng.entropy", "-") == (NO_RULE, 0)
    assert "closed" in explain(asked, NAMES, Question("shell", "rng.entropy", "-")).text


@pytest.mark.parametrize(
    ("question", "hint"),
    [
        (("shell", "rng.entropi", "-"), "did you mean 'rng.entropy'?"),
        (("shall", "rng.entropy", "-"), "did you mean 'shell'?"),
        (("shell", "bundle.open", "A B"), "can't be the name of a target"),
        (("shell", "bundle.open", "-", frozenset(), "nobody"), "no service of this system is called 'nobody'"),
    ],
)
def test_explain_of_what_nobody_knows(question: tuple[Any, ...], hint: str) -> None:
    """Also where a rule matches what is said of a name that nothing has."""
    answer = explain(evaluator(rule("shell", "bundle.*", "*")), NAMES, Question(*question))
    assert (answer.allow, answer.why, answer.decisive) == (False, UNKNOWN, None)
    assert hint in answer.text


def test_explain_shows_what_comes_close() -> None:
    asked = evaluator(
        rule("rngd", "bundle.open", "a") + rule("shell", "bundle.open", "b") + rule("shell", "proc.exec", "a")
    )
    answer = explain(asked, NAMES, Question("shell", "bundle.open", "a"))
    assert len(answer.near) == 3
    assert explain(asked, NAMES, Question("shell", "bundle.open", "b")).near == ()


def test_explain_refuses_to_explain_another_answer() -> None:
    asked, other = evaluator(rule("shell", "rng.entropy")), evaluator(rule("shell", "crypto.verify"))
    asked.rules = other.rules
    with pytest.raises(VerdictError, match="one of the two is wrong"):
        explain(asked, NAMES, Question("shell", "rng.entropy", "-"))


def test_explain_agrees_with_the_evaluator_everywhere() -> None:
    """It compares by itself; this asks it about a tenth of the base policy's universe."""
    asked = base()
    points = list(universe_of([asked.policy], asked.world, NAMES).points())
    for point in random.Random(1).sample(points, len(points) // 10):
        explain(asked, NAMES, Question(*point))


# ---- lint ------------------------------------------------------------------------------------------------------------


def findings(*texts: str, idle: bool = False, broad_from: int = 200) -> list[tuple[str, int]]:
    """Kind and line of each finding, the line counted in the text of the test."""
    asked = evaluator(*texts, idle=idle)
    found, _ = lint(asked.policy, asked.world, NAMES, broad_from)
    return [(one.kind, one.where.line - HEAD.count("\n")) for one in found]


WAY = rule("shell", "route", "rngd")  # seven lines
AFTER = WAY.count("\n") + 1


def test_lint_finds_nothing_in_the_base() -> None:
    assert main(["policy", "lint"]) == 0


def test_lint_of_sound_rules_is_silent() -> None:
    assert findings(WAY + rule("shell", "rng.entropy")) == []


def test_lint_finds_a_rule_that_several_others_make_needless() -> None:
    """No single rule covers it, so the compiler takes it."""
    others = rule("shell", "bundle.open", "selftest.*") + rule("shell", "bundle.open", "*.echo", "deny")
    way = rule("shell", "route", "bundlemgrd")
    text = way + others + rule("shell", "bundle.open", "selftest.*.echo", "deny", gates=("bring_up",))
    assert findings(way + others) == []
    with pytest.raises(Exception, match="part of"):
        findings(text)
    assert (SHADOWED, text[: text.rindex("[[rule]]")].count("\n") + 1) in findings(text, idle=True)


def test_lint_finds_domains_that_cover_a_rule_together() -> None:
    halves = '[domains]\none = ["rngd", "execd"]\ntwo = ["init", "shell"]\nall = ["rngd", "shell"]\n'
    rules = [rule(f"@{name}", "route", "logd:append") for name in ("one", "two", "all")]
    found = findings(halves + "".join(rules))
    assert found == [(SHADOWED, (halves + rules[0] + rules[1]).count("\n") + 1)]


def test_lint_finds_a_rule_that_nobody_can_reach() -> None:
    """A rule for a service that this system has not."""
    asked = evaluator(rule("shell", "route", "rngd"), services=("init", "rngd"))
    found, _ = lint(asked.policy, asked.world, NAMES)
    assert [one.kind for one in found] == [UNREACHABLE]


def test_lint_finds_a_right_without_a_way_to_use_it() -> None:
    assert findings(rule("shell", "rng.entropy")) == [(UNUSED, 1)]
    assert findings(rule("shell", "rng.entropy") + rule("shell", "route", "rngd", gates=("provisioning",))) == []


def test_lint_finds_a_deny_that_takes_nothing_away() -> None:
    assert findings(WAY + rule("shell", "rng.entropy", effect="deny")) == [(UNUSED, AFTER)]


def test_lint_finds_a_delegate_that_never_asks_and_a_domain_of_nobody() -> None:
    assert findings(delegate("rngd", "*", "rng.entropy")) == []
    assert findings(delegate("rngd", "*", "crypto.sign")) == [(UNUSED, 1)]
    assert findings(domain("some", "rngd")) == [(UNUSED, 2)]


def test_lint_finds_a_wide_rule_and_counts_its_points() -> None:
    way = rule("shell", "route", "bundlemgrd")
    text = way + rule("shell", "bundle.*", "*")
    line = way.count("\n") + 1
    asked = evaluator(text)
    census = take_census(asked.policy, universe_of([asked.policy], asked.world, NAMES), NAMES)
    number = next(row.number for row in asked.policy.rules if row.action == "bundle.*")
    opened = census.opened[number]
    assert (BROAD, line) in findings(text, broad_from=opened - 1)
    assert findings(text, broad_from=opened) == []


def test_lint_counts_what_the_reference_counts() -> None:
    """Points that each rule opens: allowed with it, and matched by it."""
    text = WAY + rule("shell", "bundle.*", "s*") + rule("shell", "bundle.open", "sa", "deny", gates=("bring_up",))
    asked, second = evaluator(text, idle=True), reference(text)
    universe = universe_of([asked.policy], asked.world, NAMES)
    census = take_census(asked.policy, universe, NAMES)
    for row in asked.policy.rules:
        counted = 0
        for subject, action, target, gates in questions(universe, NAMES):
            allowed = second.allows(subject, action, target, set(gates))
            counted += allowed == row.allow and row.matches(subject, action, target) and row.counts(gates)
        assert census.opened[row.number] == counted > 0


# ---- diff ------------------------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["shell", "rngd", "@some", "app:*", "app:one"]),
        st.sampled_from(["bundle.open", "bundle.*", "proc.exec"]),
        st.sampled_from(["*", "a", "a*", "*a", "b.a"]),
        st.sampled_from(["allow", "deny"]),
        st.sampled_from([(), ("provisioning",), ("bring_up",)]),
    ),
    max_size=8,
    unique_by=lambda row: (row[:3], row[4]),
)
PAIR = domain("some", "rngd", "execd")
POOL = ["a", "aa", "ab", "ba", "b.a", "bab", "c", "-", "logd", "logd:append", "x.y-z_1"]


@settings(max_examples=20, deadline=None)
@given(before=ROWS, after=ROWS)
def test_diff_is_the_set_that_brute_force_finds(before: list[Any], after: list[Any]) -> None:
    """Every question with names that diff has never heard of is answered as diff says of the name that stands for them."""
    texts = [PAIR + "".join(rule(*row) for row in rows) for rows in (before, after)]
    old, new = (evaluator(text, idle=True) for text in texts)
    universe = joint_universe(old, new, NAMES)
    changes = diff(old, new, universe)
    said = {change.point: change.now_allowed for change in changes}
    assert len(said) == len(changes)
    stands_for = representatives(old, new, universe.targets)
    first, second = (reference(text) for text in texts)
    for subject, action, name, gates in product(universe.subjects, universe.actions, POOL, universe.settings):
        answers = [one.allows(subject, action, name, set(gates)) for one in (first, second)]
        expected = answers[1] if answers[0] != answers[1] else None
        assert said.get((subject, action, stands_for[name], gates)) == expected


def representatives(old: Evaluator, new: Evaluator, targets: tuple[str, ...]) -> dict[str, str]:
    """For each name the target of the universe that the same patterns of both policies match."""
    patterns = {row.target for asked in (old, new) for row in asked.policy.rules}
    reader = automaton.build(patterns, 65535)
    kinds = {reader.kind(name): name for name in reversed(targets)}
    return {name: kinds[reader.kind(name)] for name in POOL}


@settings(max_examples=20, deadline=None)
@given(before=ROWS, after=ROWS)
def test_diff_draws_together_what_it_found_and_nothing_else(before: list[Any], after: list[Any]) -> None:
    old, new = (evaluator(PAIR + "".join(rule(*row) for row in rows), idle=True) for rows in (before, after))
    changes = diff(old, new, joint_universe(old, new, NAMES))
    drawn = [
        (subject, group.action, target, gates, group.now_allowed)
        for group in grouped(changes)
        for subject, target, gates in product(group.subjects, group.targets, group.settings)
    ]
    assert len(drawn) == len(set(drawn)) == sum(map(len, grouped(changes)))
    assert set(drawn) == {(*change.point, change.now_allowed) for change in changes}


def test_diff_of_equal_policies_is_empty() -> None:
    rules = [rule("shell", "rng.entropy"), rule("rngd", "crypto.verify")]
    old, new = evaluator("".join(rules)), evaluator("".join(rules[::-1]))
    assert diff(old, new, joint_universe(old, new, NAMES)) == []


def test_diff_names_the_rules_of_both_sides() -> None:
    old, new = evaluator(rule("shell", "rng.entropy")), evaluator(rule("app:*", "keystore.kv"))
    found = {change.subject: change for change in diff(old, new, joint_universe(old, new, NAMES))}
    assert (found["shell"].now_allowed, found["shell"].old_rule, found["shell"].new_rule) == (False, 1, 0)
    app = found[UNDECLARED_APP]
    assert (app.now_allowed, app.old_rule, app.new_rule) == (True, 0, 1)


def test_diff_of_delegates() -> None:
    old, new = (
        evaluator(delegate("rngd", "shell", "rng.entropy")),
        evaluator(delegate("rngd", "shell", "crypto.verify")),
    )
    found = delegate_diff(old, new, joint_universe(old, new, NAMES))
    assert {(one.asker, one.subject, one.action, one.now_allowed) for one in found} == {
        ("rngd", "shell", "rng.entropy", False),
        ("rngd", "shell", "crypto.verify", True),
    }


# ---- matrix ----------------------------------------------------------------------------------------------------------


def test_matrix_marks_what_the_reference_allows() -> None:
    second = reference_of([BASE], layout.contract_dir(ROOT) / "policy.toml")
    cells = matrix(base(), NAMES)
    assert {cell.mark for cell in cells} == {NONE, GATED, SOME, ALL}
    for cell in cells:
        for target, open_in in cell.allowed.items():
            for gates in open_in:
                assert second.allows(cell.subject, cell.action, target, set(gates))
    marks = {(cell.subject, cell.action): cell.mark for cell in cells}
    assert marks["selftest-client", "rng.entropy"] == ALL
    assert marks["shell", "system.stats"] == GATED
    assert marks["selftest-client", "bundle.open"] == SOME
    assert {mark for (_, action), mark in marks.items() if action == "device.key.export"} == {NONE}


# ---- the verbs -------------------------------------------------------------------------------------------------------


def said_as_json(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    code = main(["policy", *args, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def narrower(tmp_path: Path) -> Path:
    """The base without one rule."""
    text = BASE.read_text(encoding="utf-8")
    block = text[text.index('[[rule]]\nsubject = "vault"\naction = "rng.entropy"') :].split("\n\n")[0]
    path = tmp_path / "narrower.toml"
    path.write_text(text.replace(block, ""), encoding="utf-8")
    return path


def test_verb_check(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_as_json(capsys, "check", "--system", "default")
    assert (code, said["ok"], said["files"]) == (0, True, ["recipes/policy/base.toml"])
    assert said["bytes"] > 0
    assert len(said["sha256"]) == 64
    assert main(["policy", "check"]) == 0
    assert "rules" in capsys.readouterr().out


def test_verb_explain(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_as_json(capsys, "explain", "vault", "rng.entropy", "--asker", "rngd")
    assert (code, said["allow"], said["asker"], len(said["matching"])) == (0, True, "rngd", 1)
    number = str(said["rule"])
    assert said_as_json(capsys, "explain", "--rule", number)[1]["subject"] == "vault"
    assert main(["policy", "explain", "shell", "system.stats", "--gate", "debug_image"]) == 0
    assert capsys.readouterr().out.startswith("allow: shell system.stats -\n")
    assert main(["policy", "explain", "app:x", "keystore.kv", "--mask", "route"]) == 0
    assert "mask has no keystore.kv" in capsys.readouterr().out
    assert main(["policy", "explain", "selftest-peer", "rng.entropy"]) == 0
    assert "comes close" in capsys.readouterr().out


@pytest.mark.parametrize(
    "args",
    [
        ["explain"], ["explain", "shell"], ["explain", "--rule", "0"], ["explain", "shell", "route", "--gate", "bringup"],
        ["explain", "shell", "route", "--mask", "rout"], ["diff", "recipes/policy/base.toml"], ["nonsense"],
    ],
)  # fmt: skip
def test_verb_with_a_wrong_word_is_a_usage_error(args: list[str]) -> None:
    assert main(["policy", *args]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["\u00e9", "rng.entropy"], "no service of this system is called '\u00e9'"),
        (["vault", "rng.entropy", "--asker", "\u00e9"], "no service of this system is called '\u00e9'"),
        (["\udcff", "rng.entropy"], "no service of this system is called '\\udcff'"),
        (["app:\u00e9", "rng.entropy"], "no rule matches"),
        (["shell", "rng.entrop\u00e9"], "action 'rng.entrop\u00e9' does not exist"),
        (["shell", "rng.entropy", "\u00e9"], "'\u00e9' can't be the name of a target"),
        (["shell", "rng.entropy", "\udcff"], "'\\udcff' can't be the name of a target"),
    ],
)
def test_name_that_is_not_ascii_is_unknown_like_any_other(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "explain", *words]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("deny: ")
    assert said in shown


def test_system_that_can_not_be_read_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.toml").mkdir()
    for name in ("none.toml", "folder.toml"):
        assert main(["policy", "check", "--system", str(tmp_path / name)]) == 2
        assert f"system '{tmp_path / name}': found no such file, expected a recipe" in capsys.readouterr().err


def test_verb_lint(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_as_json(capsys, "lint")
    assert (code, said["ok"], said["findings"]) == (0, True, [])
    assert len(said["rules"]) == len(base().policy.rules)
    assert all(row["alone"] > 0 for row in said["rules"])
    code, said = said_as_json(capsys, "lint", "--broad", "50")
    assert code == 1
    assert {row["kind"] for row in said["findings"]} == {BROAD}
    assert main(["policy", "lint", "--broad", "50"]) == 1
    assert "over-broad: opens" in capsys.readouterr().out


def test_verb_diff(narrower: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_as_json(capsys, "diff", str(BASE), str(narrower))
    assert code == 0
    assert {(row["subject"], row["action"], row["target"], row["now"]) for row in said["changes"]} == {
        ("vault", "rng.entropy", "-", "deny")
    }
    assert len(said["changes"]) == 1 << len(CONTRACT.table("gate"))
    assert main(["policy", "diff", str(BASE), str(narrower)]) == 0
    assert capsys.readouterr().out.startswith("now deny: vault  rng.entropy  -  (gates open: none, ")
    overlay = ROOT / "tests/policy/good/overlay_for_a_tool.toml"
    _, said = said_as_json(capsys, "diff", str(BASE), f"{BASE}+{overlay}")
    assert {row["subject"] for row in said["changes"]} == {"metricsd", "selftest-client", "shell"}


def test_verb_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_as_json(capsys, "matrix")
    assert code == 0
    cell = next(row for row in said if (row["subject"], row["action"]) == ("shell", "system.stats"))
    assert cell["allowed"] == {"-": [["debug_image"]]}
    assert main(["policy", "matrix"]) == 0
    assert "device.key.export" in capsys.readouterr().out
