"""Refusals of policy: every file of tests/policy/bad with exactly its messages, limits of the table, and what files may do to each
other. A bad file states in its head `# expect: <exit code> <message>`; {file} is the file, {line} any line of the base."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from make import CONTRACT, HEAD, SERVICES, checked, delegate, domain, evaluator, rule
from mangle import mangled

from nexus import layout
from nexus.cli import main
from nexus.contract.load import Contract
from nexus.errors import RecipeError, UsageError
from nexus.policy.check import check_policy, load_policy
from nexus.policy.compile import compile_table
from nexus.policy.evaluate import compile_policy, load_evaluator, policy_files, refused_grants, route_name
from nexus.policy.model import glob_covers, glob_matches
from nexus.policy.raw import parse_raw
from nexus.policy.world import Names, world_of
from nexus.recipe.check import load_system
from nexus.recipe.raw import load_raw

ROOT = layout.find_root()
FOLDER = ROOT / "tests/policy"
BAD = sorted((FOLDER / "bad").glob("*.toml"))
GOOD = sorted((FOLDER / "good").glob("*.toml"))
MANGLED = 1_000
EXPECT = re.compile(r"^# expect: (\d+) (.*)$", re.MULTILINE)
OVER = re.compile(r"^# over: (.*)$", re.MULTILINE)
BASE_LINE = re.compile(r"recipes/policy/base\.toml:(\d+)")


def layers_of(path: Path) -> list[Path]:
    return [*(ROOT / below for below in OVER.findall(path.read_text(encoding="utf-8"))), path]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_policy_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = EXPECT.findall(path.read_text(encoding="utf-8"))
    assert rows, "a bad policy has to say what it expects"
    code = main(["policy", "check", *(word for layer in layers_of(path) for word in ("--policy", str(layer)))])
    said = capsys.readouterr().err.removeprefix("nexus: ").splitlines()
    lines = [BASE_LINE.findall(line) for line in said]
    shown = str(path.relative_to(ROOT))
    expected = [
        text.replace("{file}", shown).replace("{line}", "".join(line))
        for (_, text), line in zip(rows, lines, strict=True)
    ]
    assert said == expected
    assert {int(number) for number, _ in rows} == {code}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_policy_is_accepted(path: Path, contract: Contract) -> None:
    assert load_policy(layers_of(path), contract, ROOT).rules


@pytest.mark.parametrize(
    "defect",
    [
        "subject_unknown", "action_unknown", "domain_unknown", "unknown_key", "gate_unknown", "route_unknown",
        "allow_and_deny", "allow_denied_altogether", "allow_within_a_wider_one", "key_export_allowed", "route_while_bring_up",
    ],
)  # fmt: skip
def test_what_must_be_refused_has_a_file(defect: str) -> None:
    assert (FOLDER / "bad" / f"{defect}.toml").is_file()


def test_whatever_is_no_policy_is_refused_with_its_line() -> None:
    """Never another exception, never a message without a place; some of it is a policy, and that compiles."""
    sound = domain("some", "rngd", "execd") + rule("shell", "bundle.*", "demo.*") + delegate("rngd", "*", "rng.*")
    sound += rule("@some", "rng.entropy", gates=("bring_up",)) + rule("app:one", "keystore.kv")
    said = [refusal_of(mangled(HEAD + sound, random.Random(seed))) for seed in range(MANGLED)]
    assert 0 < said.count("") < MANGLED
    lines = [line for text in said for line in text.splitlines()]
    assert [line for line in lines if not re.match(r"x\.toml:\d+: ", line)] == []


def refusal_of(text: str) -> str:
    """The message that refuses it; empty for a policy that compiles."""
    try:
        policy = check_policy([parse_raw(text, "x.toml")], CONTRACT)
        compile_table(policy, world_of(CONTRACT, policy.services), CONTRACT)
    except RecipeError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[services]\n# \xa4\n", "x.toml:2: found byte 0xa4, expected UTF-8"),
        (b"x = " + b"[" * 5000, "x.toml:1: found values within values too deep to read, expected a few"),
    ],
)
def test_file_that_is_no_text_or_too_deep_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.toml").write_bytes(data)
    for load in (lambda path: load_policy([path], CONTRACT, tmp_path), lambda path: load_raw(path, tmp_path, tmp_path)):
        with pytest.raises(RecipeError) as refused:
            load(tmp_path / "x.toml")
        assert refused.value.message == said


# ---- the table's limits ----------------------------------------------------------------------------------------------


def test_more_targets_than_the_table_can_tell_apart() -> None:
    limit = CONTRACT.number("policy_limit.targets")
    text = "".join(rule("shell", "bundle.open", f"b{number}") for number in range(limit))
    with pytest.raises(RecipeError, match=rf"targets: found {limit + 2}, expected at most {limit} \(recipes/contract"):
        evaluator(text)


def test_more_subjects_than_the_table_has_rows() -> None:
    limit = CONTRACT.number("policy_limit.subjects")
    text = "".join(rule(f"app:a{number}", "keystore.kv") for number in range(limit))
    with pytest.raises(RecipeError, match=rf"subjects: found {limit + len(SERVICES) + 3}, expected at most {limit}"):
        evaluator(text)


def test_more_rules_than_the_audit_can_name() -> None:
    limit = CONTRACT.number("policy_limit.rules")
    text = "".join(rule("shell", "bundle.open", f"b{number}") for number in range(limit + 1))
    with pytest.raises(RecipeError, match=rf"rules: found {limit + 1}, expected at most {limit}"):
        checked(text)


def test_patterns_that_no_table_could_hold() -> None:
    """Stars in many patterns multiply the states of what reads them."""
    text = "".join(rule("shell", "bundle.open", f"*{one}*{two}*{one}") for one in "abcdef" for two in "abcdef")
    with pytest.raises(RecipeError, match=r"target: found \d+ states of \d+ words, expected at most 65535 words"):
        evaluator(text)


# ---- files over each other -------------------------------------------------------------------------------------------


def test_overlay_may_take_back_and_give_back() -> None:
    allow, deny = rule("shell", "rng.entropy"), rule("shell", "rng.entropy", effect="deny")
    assert [row.effect for row in checked(allow, deny).rules] == ["deny"]
    assert [row.effect for row in checked(allow, deny, allow).rules] == ["allow"]


def test_overlay_may_widen_what_the_base_says() -> None:
    policy = checked(rule("shell", "bundle.open", "demo.a"), rule("shell", "bundle.*", "demo.*"))
    assert len(policy.rules) == 2


def test_overlay_is_told_where_it_stands() -> None:
    with pytest.raises(RecipeError, match=r"^1\.toml:2: \[rule 1\] subject: found 'shelf', .* did you mean 'shell'\?$"):
        checked("", rule("shelf", "rng.entropy"))


def test_overlay_declares_services_for_itself_and_for_those_above() -> None:
    policy = checked("", '[services]\ntoold = "new"\n', rule("toold", "rng.entropy"))
    assert "toold" in policy.services


def test_rules_are_numbered_by_what_they_say() -> None:
    rows = [rule("shell", "rng.entropy"), rule("rngd", "crypto.verify"), rule("app:*", "keystore.kv")]
    orders = [rows, rows[::-1], [rows[1], rows[0], rows[2]]]
    said = [[(row.number, row.subject.text) for row in checked("".join(order)).rules] for order in orders]
    assert said[0] == said[1] == said[2] == [(1, "app:*"), (2, "rngd"), (3, "shell")]


def test_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", "--policy", str(ROOT / "recipes/policy/nowhere.toml")]) == 2
    assert capsys.readouterr().err == "nexus: no policy file recipes/policy/nowhere.toml\n"


def test_system_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="system 'nowhere'"):
        load_system("nowhere", ROOT, CONTRACT)
    assert main(["policy", "check", "--system", "nowhere"]) == 2


# ---- what the builder gets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default", "selftest"])
def test_table_of_a_system_is_reproducible(name: str) -> None:
    system = load_system(name, ROOT, CONTRACT)
    table, digest = compile_policy(system, CONTRACT, ROOT)
    assert (table, digest) == compile_policy(system, CONTRACT, ROOT)
    assert len(table) <= CONTRACT.number("policy_limit.bytes")
    assert compile_policy(system, CONTRACT, ROOT, open_gates=[*system.gates, "provisioning"])[1] != digest


@pytest.mark.parametrize("name", ["default", "selftest"])
def test_static_grants_are_those_that_policy_allows(name: str) -> None:
    system = load_system(name, ROOT, CONTRACT)
    assert refused_grants(system, load_evaluator(system, CONTRACT, ROOT)) == []


def test_static_grant_that_policy_denies_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "greedy.toml"
    recipe.write_text(
        'base = "default"\n[[process]]\nname = "rngd"\ncalls = ["logd:append", "logd:query"]\n', encoding="utf-8"
    )
    system = load_system(str(recipe), ROOT, CONTRACT)
    refused = refused_grants(system, load_evaluator(system, CONTRACT, ROOT))
    assert [(one.holder.name, route_name(one.edge)) for one in refused] == [("rngd", "logd:query")]
    assert main(["policy", "check", "--system", str(recipe)]) == 4
    assert "[process rngd] calls: found 'logd:query', which policy denies" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ("", ["app:undeclared"]),
        (rule("app:*", "route", "init"), []),
        (rule("app:*", "route", "init") + rule("app:dev.one", "route", "init", "deny"), ["app:dev.one"]),
    ],
    ids=["no rule", "every app", "all but one"],
)
def test_what_every_app_gets_is_decided_for_each(rules: str, refused: list[str]) -> None:
    """Even one app that may not have it stands against it: it could not be kept from that one."""
    system = load_system("default", ROOT, CONTRACT)
    asked = evaluator(rules, services=tuple(process.id_name for process in system.processes))
    found = [one.subject for one in refused_grants(system, asked) if one.key == "app_calls"]
    assert found == refused


def test_gates_that_the_image_opens_are_open() -> None:
    system = load_system("default", ROOT, CONTRACT)
    text = FOLDER / "good/deny_beside_an_allow.toml"
    asked = load_evaluator(system, CONTRACT, ROOT, [text], open_gates=["debug_image"])
    assert asked.open_gates == CONTRACT.number("gate.debug_image")


def test_overlay_named_after_the_system_is_laid_over_the_base(tmp_path: Path) -> None:
    folder = layout.policy_dir(tmp_path)
    folder.mkdir(parents=True)
    assert policy_files(tmp_path, "bench") == [folder / "base.toml"]
    (folder / "bench.toml").write_text("", encoding="utf-8")
    assert policy_files(tmp_path, "bench") == [folder / "base.toml", folder / "bench.toml"]


# ---- words and patterns ----------------------------------------------------------------------------------------------


def test_every_action_has_a_name_a_kind_of_target_and_a_server() -> None:
    tables = [CONTRACT.table(name) for name in ("action", "action_name", "action_target", "action_server")]
    assert len({tuple(table) for table in tables}) == 1
    numbers = list(tables[0].values())
    assert len(set(numbers)) == len(numbers)
    assert 0 < min(numbers) <= max(numbers) < CONTRACT.number("policy_limit.actions")
    assert set(tables[2].values()) <= {"route", "purpose", "bundle", "none"}
    assert CONTRACT.table("policy")["never_allowed"] in tables[1].values()


def test_gates_are_bits_that_the_table_has_room_for() -> None:
    bits = list(CONTRACT.table("gate").values())
    assert [bit & (bit - 1) for bit in bits] == [0] * len(bits)
    assert sum(bits) < 1 << CONTRACT.number("policy_limit.gates")
    assert CONTRACT.table("policy")["not_for_routes"] in CONTRACT.table("gate")


def test_routes_are_services_and_facets() -> None:
    routes = Names.of(CONTRACT).routes(["logd", "shell"])
    assert routes[:2] == ["logd", "logd:append"]
    assert {"logd:ready", "shell", "shell:ready"} <= set(routes)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("*", "a", True), ("a*", "ab*", True), ("a*", "a", True), ("a*c", "abc", True), ("*c", "a*c", True), ("*", "*", True),
        ("a", "*", False), ("ab*", "a*", False), ("a*c", "a*", False), ("a*b*", "a*", False), ("a*b", "a*b*", False),
    ],
)  # fmt: skip
def test_pattern_covers_another(wide: str, narrow: str, covers: bool) -> None:
    assert glob_covers(wide, narrow) is covers


def test_pattern_takes_no_character_but_the_star_for_another() -> None:
    assert glob_matches("a.b", "a.b")
    assert not glob_matches("a.b", "axb")
    assert not glob_matches("[ab]", "a")


def test_position_of_a_value_is_its_line() -> None:
    raw = parse_raw(HEAD + domain("some", "rngd") + rule("shell", "rng.entropy"), "x.toml")
    lines = (HEAD + domain("some", "rngd") + rule("shell", "rng.entropy")).splitlines()
    for key, entry in raw.rows["rule"][0].entries.items():
        assert lines[entry.where.line - 1].startswith(f"{key} = ")
    assert lines[raw.tables["domains"].entries["some"].where.line - 1].startswith("some = ")
