"""The policy evaluator that ships: wildcards, deny precedence, gates, merge of files, delegation, masks, and what is unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import CONTRACT, SERVICES, delegate, domain, evaluator, reference, rule

from nexus.policy.evaluate import Evaluator
from nexus.recipe.model import service_id

ACTIONS = tuple(CONTRACT.table("action_name").values())
BITS = {CONTRACT.table("action_name")[key]: number for key, number in CONTRACT.table("action").items()}
GATES = tuple(CONTRACT.table("gate"))


@pytest.fixture(scope="session")
def compiled(pure: Callable[..., Any]) -> Callable[..., Evaluator]:
    """compiled(*files, services=...) -> that policy, decided by the module as services import it."""
    return lambda *texts, **rest: evaluator(*texts, module=pure("nexus_sel"), **rest)


Compiled = Callable[..., Evaluator]


def allowed(asked: Evaluator, *question: Any, **rest: Any) -> bool:
    return asked.decide(*question, **rest).allow


def test_nothing_is_allowed_by_default(compiled: Compiled) -> None:
    asked = compiled("")
    for subject in (*SERVICES, "app:any"):
        for action in ACTIONS:
            assert not allowed(asked, subject, action, "-", GATES)


# ---- wildcards -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "logd", "a.b", "x" * 32], ["", "x" * 33, "A", "a b", "\x00", "é"]),
        ("demo.*", ["demo.", "demo.a", "demo.a.b"], ["demo", "demon.a", "a.demo.b"]),
        ("*.tool", [".tool", "a.tool", "a.tool.tool"], ["tool", "a.tools"]),
        ("a*b*c", ["abc", "axbxc", "abbcc", "aabcbc"], ["ab", "acb", "bac", "abcd"]),
        ("*a*", ["a", "xa", "ax", "aaa"], ["b", ""]),
        ("one", ["one"], ["on", "onee", "xone"]),
    ],
)
def test_wildcard_in_a_target(compiled: Compiled, pattern: str, matching: list[str], others: list[str]) -> None:
    asked = compiled(rule("shell", "bundle.open", pattern))
    assert [name for name in matching if not allowed(asked, "shell", "bundle.open", name)] == []
    assert [name for name in others if allowed(asked, "shell", "bundle.open", name)] == []


def test_wildcard_in_an_action(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "bundle.*", "*"))
    found = {action for action in ACTIONS if allowed(asked, "shell", action, "a")}
    assert found == {action for action in ACTIONS if action.startswith("bundle.")}


def test_wildcard_for_apps_is_for_no_service(compiled: Compiled) -> None:
    asked = compiled(rule("app:*", "keystore.kv"))
    assert [name for name in ("app:a", "app:b.c", "shell", "init") if allowed(asked, name, "keystore.kv", "-")] == [
        "app:a",
        "app:b.c",
    ]


def test_app_that_is_named_has_its_own_rules_besides(compiled: Compiled) -> None:
    asked = compiled(rule("app:*", "keystore.kv"), rule("app:one", "rng.entropy"))
    found = {
        name for name in ("app:one", "app:two") for action in ("rng.entropy",) if allowed(asked, name, action, "-")
    }
    assert found == {"app:one"}
    assert allowed(asked, "app:one", "keystore.kv", "-")


def test_domain_stands_for_its_members(compiled: Compiled) -> None:
    asked = compiled(domain("pair", "rngd", "shell") + rule("@pair", "rng.entropy"))
    assert {name for name in SERVICES if allowed(asked, name, "rng.entropy", "-")} == {"rngd", "shell"}


# ---- deny precedence -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_deny_beats_allow_in_either_order(compiled: Compiled, order: int) -> None:
    rules = [rule("shell", "bundle.*", "*"), rule("shell", "bundle.open", "a*", "deny")]
    asked = compiled("".join(rules[::order]))
    assert [name for name in ("a", "ab", "b") if allowed(asked, "shell", "bundle.open", name)] == ["b"]
    assert allowed(asked, "shell", "bundle.verify", "a")


def test_deny_of_a_domain_reaches_each_member(compiled: Compiled) -> None:
    text = (
        domain("pair", "rngd", "shell") + rule("shell", "bundle.open", "*") + rule("@pair", "bundle.open", "a", "deny")
    )
    asked = compiled(text)
    assert not allowed(asked, "shell", "bundle.open", "a")
    assert allowed(asked, "shell", "bundle.open", "b")


def test_rule_that_decided_is_told(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "bundle.*", "*") + rule("shell", "bundle.open", "a", "deny"))
    effects = {row.number: row.effect for row in asked.policy.rules}
    denied, granted = (asked.decide("shell", "bundle.open", name) for name in "ab")
    assert (effects[denied.rule], effects[granted.rule]) == ("deny", "allow")
    assert asked.decide("init", "bundle.open", "a").rule == 0


# ---- gates -----------------------------------------------------------------------------------------------------------


def test_gates_must_all_be_open(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "device.keygen", gates=("provisioning", "bring_up")))
    settings = [(), ("provisioning",), ("bring_up",), ("provisioning", "bring_up"), GATES]
    assert [allowed(asked, "shell", "device.keygen", "-", gates) for gates in settings] == [False] * 3 + [True] * 2


def test_gated_deny_counts_while_its_gate_is_open(compiled: Compiled) -> None:
    asked = compiled(
        rule("shell", "rng.entropy") + rule("shell", "rng.entropy", effect="deny", gates=("provisioning",))
    )
    assert allowed(asked, "shell", "rng.entropy", "-", ["bring_up"])
    assert not allowed(asked, "shell", "rng.entropy", "-", ["provisioning"])


def test_gate_that_no_rule_knows_changes_nothing(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "rng.entropy", gates=("bring_up",)))
    unknown = 1 << (CONTRACT.number("policy_limit.gates") - 1)
    assert unknown not in CONTRACT.table("gate").values()
    for setting in range(unknown):
        both = [
            asked.sel.decide(asked.rules, asked.oneself, asked.place("shell"), -1, BITS["rng.entropy"], 1, gates)
            for gates in (setting, setting | unknown)
        ]
        assert both[0] == both[1]


# ---- merge -----------------------------------------------------------------------------------------------------------


def test_merge_adds_rules_of_an_overlay(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "rng.entropy"), rule("shell", "crypto.verify"))
    assert allowed(asked, "shell", "rng.entropy", "-")
    assert allowed(asked, "shell", "crypto.verify", "-")


def test_merge_lets_an_overlay_take_back_what_the_base_allows(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "rng.entropy"), rule("shell", "rng.entropy", effect="deny"))
    assert not allowed(asked, "shell", "rng.entropy", "-")
    wider = compiled(rule("shell", "rng.entropy"), rule("shell", "*", "*", "deny"))
    assert not allowed(wider, "shell", "rng.entropy", "-")


def test_merge_takes_the_last_word_on_the_same_question(compiled: Compiled) -> None:
    allow, deny = rule("shell", "rng.entropy"), rule("shell", "rng.entropy", effect="deny")
    assert not allowed(compiled(allow, deny), "shell", "rng.entropy", "-")
    assert allowed(compiled(deny, allow), "shell", "rng.entropy", "-")


def test_merge_replaces_a_domain(compiled: Compiled) -> None:
    asked = compiled(domain("some", "rngd", "shell") + rule("@some", "rng.entropy"), domain("some", "execd"))
    assert [name for name in SERVICES if allowed(asked, name, "rng.entropy", "-")] == ["execd"]


# ---- who asks, and what an app asked for -----------------------------------------------------------------------------


def test_only_a_delegate_may_ask_about_another(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "rng.entropy") + rule("shell", "crypto.verify") + delegate("rngd", "*", "rng.*"))
    askers = {name for name in SERVICES if allowed(asked, "shell", "rng.entropy", "-", asker=name)}
    assert askers == {"rngd"}
    assert not allowed(asked, "shell", "crypto.verify", "-", asker="rngd")
    refused = asked.decide("shell", "rng.entropy", "-", asker="shell")
    assert (refused.rule_allows, refused.in_mask, refused.may_ask) == (True, True, False)


def test_delegate_grants_nothing_by_itself(compiled: Compiled) -> None:
    asked = compiled(delegate("rngd", "*", "rng.entropy"))
    assert not allowed(asked, "shell", "rng.entropy", "-", asker="rngd")
    assert not allowed(asked, "rngd", "rng.entropy", "-")


def test_app_gets_what_its_mask_and_the_rules_both_allow(compiled: Compiled) -> None:
    asked = compiled(rule("app:*", "keystore.kv") + rule("app:*", "route", "logd"))
    both = 1 << BITS["keystore.kv"] | 1 << BITS["rng.entropy"]
    assert allowed(asked, "app:a", "keystore.kv", "-", mask=both)
    assert not allowed(asked, "app:a", "rng.entropy", "-", mask=both)
    refused = asked.decide("app:a", "route", "logd", mask=both)
    assert (refused.allow, refused.rule_allows, refused.in_mask) == (False, True, False)


# ---- what is unknown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [0, 20, 61, 62, 63, 64, 65, 127, 128, 4095, 65535])
def test_unknown_action_is_denied_to_everybody(compiled: Compiled, action: int) -> None:
    asked = compiled(rule("shell", "bundle.*", "*") + rule("shell", "rng.entropy"))
    assert action not in BITS.values()
    for kind in range(len(asked.compiled.names.kinds) + 1):
        said = asked.sel.decide(asked.rules, asked.oneself, asked.place("shell"), -1, action, kind, 0)
        assert said < 0


def test_action_beyond_a_row_is_not_the_next_subjects(compiled: Compiled) -> None:
    asked = compiled(rule("logd", "rng.entropy"))
    before, after = (asked.place(SERVICES[SERVICES.index("logd") + step]) for step in (-1, 1))
    for place, action in ((before, BITS["rng.entropy"] + 64), (after, BITS["rng.entropy"] - 64)):
        assert asked.sel.decide(asked.rules, asked.oneself, place, -1, action & 0xFFFF, asked.kind("-"), 0) < 0


def test_service_beyond_the_table_is_nobody(compiled: Compiled) -> None:
    asked = compiled(rule("shell", "rng.entropy") + rule("app:*", "rng.entropy"))
    subjects, service = asked.subjects, asked.service
    assert [asked.sel.subject(subjects, service, index, 0) for index in (len(SERVICES), 31, 65535)] == [0, 0, 0]
    assert asked.sel.subject(subjects, 2, 0, service_id("shell")) == 0


def test_id_alone_makes_no_service(compiled: Compiled) -> None:
    """Anybody can compute a name with the id of another; a service is its place in the image."""
    asked = compiled(rule("shell", "rng.entropy"))
    place = asked.sel.subject(asked.subjects, asked.app, SERVICES.index("shell"), service_id("shell"))
    assert place == asked.place("app:nobody")


def test_service_of_the_same_id_as_a_named_app_is_not_that_app(compiled: Compiled) -> None:
    asked = compiled(rule("app:one", "rng.entropy"))
    for index in range(len(SERVICES)):
        place = asked.sel.subject(asked.subjects, asked.service, index, service_id("app:one"))
        assert place != asked.place("app:one")


def test_table_of_another_form_is_refused(compiled: Compiled, pure: Callable[..., Any]) -> None:
    load = pure("nexus_sel").load
    table = compiled(rule("shell", "rng.entropy")).compiled.table
    load(memoryview(table).cast("H"))
    for bad in (table[:-2], table + bytes(2), bytes(2) + table[2:], table[:4] + b"\xff\xff" + table[6:]):
        with pytest.raises(ValueError, match="policy table"):
            load(memoryview(bad).cast("H"))


# ---- properties ------------------------------------------------------------------------------------------------------

SETTINGS: list[tuple[str, ...]] = [(), ("provisioning",), ("debug_image",), ("provisioning", "debug_image")]
RULE = st.tuples(
    st.sampled_from(["shell", "rngd", "@some", "app:*", "app:one"]),
    st.sampled_from(["bundle.open", "bundle.*", "proc.exec"]),
    st.sampled_from(["*", "a", "a*", "*a", "b.a", "a*a"]),
    st.sampled_from(["allow", "allow", "deny"]),
    st.sampled_from(SETTINGS),
)
RULES = st.lists(RULE, max_size=12, unique_by=lambda row: (row[:3], row[4]))
DELEGATES = st.lists(
    st.tuples(
        st.sampled_from(["rngd", "execd", "@some"]),
        st.sampled_from(["*", "shell", "app:*", "app:one", "@some"]),
        st.sampled_from(["bundle.*", "proc.exec", "*"]),
    ),
    max_size=4,
    unique=True,
)
SOME = domain("some", "rngd", "execd")
ASKED = [
    (subject, action, name, gates)
    for subject in ("shell", "rngd", "execd", "init", "app:one", "app:two", "stranger")
    for action in ("bundle.open", "bundle.list", "proc.exec", "route", "unheard.of")
    for name in ("a", "ab", "ba", "aa", "b.a", "-", "")
    for gates in SETTINGS
]
FEW = settings(max_examples=30, deadline=None)


def texts_of(rows: Iterable[tuple[str, str, str, str, tuple[str, ...]]]) -> str:
    return "".join(rule(*row) for row in rows)


def answers(*texts: str) -> list[bool]:
    asked = evaluator(SOME + texts[0], *texts[1:], idle=True)
    return [asked.decide(*question).allow for question in ASKED]


@FEW
@given(rows=RULES, delegates=DELEGATES, mask=st.sets(st.sampled_from(ACTIONS)))
def test_agrees_with_the_reference(rows: list[Any], delegates: list[Any], mask: set[str]) -> None:
    text = SOME + texts_of(rows) + "".join(delegate(*row) for row in delegates)
    asked, second = evaluator(text, idle=True), reference(text)
    bits = sum(1 << BITS[action] for action in mask)
    for subject, action, name, gates in ASKED:
        for asker in (None, "rngd", "shell"):
            found = asked.decide(subject, action, name, gates, asker, bits)
            assert found.allow == second.allows(subject, action, name, set(gates), asker, mask), (subject, action, name)


@FEW
@given(rows=RULES, data=st.data())
def test_order_of_rules_changes_no_byte(rows: list[Any], data: st.DataObject) -> None:
    other = data.draw(st.permutations(rows))
    tables = [evaluator(SOME + texts_of(some), idle=True).compiled.table for some in (rows, other, rows)]
    assert tables[0] == tables[1] == tables[2]


@FEW
@given(rows=RULES, more=RULE)
def test_one_more_rule_moves_answers_one_way(rows: list[Any], more: Any) -> None:
    """A deny takes away and an allow gives, whatever else is said."""
    rows = [row for row in rows if (row[:3], row[4]) != (more[:3], more[4])]
    before, after = answers(texts_of(rows)), answers(texts_of([*rows, more]))
    worse, better = (True, False) if more[3] == "deny" else (False, True)
    assert {pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]} <= {(worse, better)}


@FEW
@given(rows=RULES, data=st.data())
def test_merge_of_files_is_the_merge_of_their_rules(rows: list[Any], data: st.DataObject) -> None:
    """Files in any number and order, as long as no two speak of the same."""
    places = [data.draw(st.integers(0, 2)) for _ in rows]
    files = [texts_of(row for row, place in zip(rows, places, strict=True) if place == file) for file in range(3)]
    assert answers(*files) == answers(files[2], files[1], files[0]) == answers(texts_of(rows))


@FEW
@given(base=RULES, overlay=RULES)
def test_merge_gives_the_later_file_the_last_word(base: list[Any], overlay: list[Any]) -> None:
    overlay = [row for row in overlay if row not in base]
    said_again = {(row[:3], row[4]) for row in overlay}
    left = [row for row in base if (row[:3], row[4]) not in said_again]
    assert answers(texts_of(base), texts_of(overlay)) == answers(texts_of([*left, *overlay]))


@FEW
@given(rows=RULES)
def test_open_gates_only_add_what_gated_rules_say(rows: list[Any]) -> None:
    """With every rule's gates open, a gated policy decides as one without gates."""
    bare = {
        (*row[:3], "deny" if any(r[:3] == row[:3] and r[3] == "deny" for r in rows) else row[3], ()) for row in rows
    }
    asked, plain = evaluator(SOME + texts_of(rows), idle=True), evaluator(SOME + texts_of(bare), idle=True)
    for subject, action, name, gates in ASKED:
        if gates == SETTINGS[-1]:
            assert asked.decide(subject, action, name, gates).allow == plain.decide(subject, action, name).allow


@given(name=st.binary(max_size=40))
def test_any_bytes_are_a_kind_of_target(name: bytes) -> None:
    asked = evaluator(rule("shell", "bundle.open", "*") + rule("shell", "bundle.open", "a.b*", "deny"))
    kind = asked.sel.target(asked.names, name)
    legal = 0 < len(name) <= 32 and all(chr(byte) in "abcdefghijklmnopqrstuvwxyz0123456789.:_-" for byte in name)
    assert (kind != 0) == legal
    said = asked.sel.decide(asked.rules, asked.oneself, asked.place("shell"), -1, BITS["bundle.open"], kind, 0)
    assert (said > 0) == (legal and not name.startswith(b"a.b"))
