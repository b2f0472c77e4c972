"""The rules of a whole trail one by one, each against somebody who has mended all hashes after his change; and the verbs on a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nexus import cli, layout
from nexus.audit.export import Export, from_lines, to_lines
from nexus.audit.record import Form, Record
from nexus.audit.show import Filter, line, name_of
from nexus.audit.trail import Chain, Head, Trail, check_head, class_names, counted_on, from_store, in_progress, verify
from nexus.contract.load import load_contract
from nexus.errors import UsageError
from nexus.recipe.model import service_id

CONTRACT = load_contract(layout.contract_dir(layout.find_root()))
FORM = Form(CONTRACT)
NAMES = ("init", "shell")
KINDS, VERDICTS = FORM.kinds, FORM.verdicts
BLANK = FORM.parse(bytes(FORM.bytes))


def decision(seq: int, who: int = 1, verdict: str = "allow", **fields: int | bytes) -> Record:
    row = replace(BLANK, kind=KINDS["decision"], verdict=VERDICTS[verdict], seq=seq, time=100 * seq, count=1)
    row = replace(row, subject=service_id(NAMES[who]), subject_ix=who, via_ix=FORM.nobody, target=b"-".ljust(32, b"\0"))
    return replace(row, action=1 + seq % 19, **fields)  # type: ignore[arg-type]


def gap(first: int, last: int, dropped: int, count: int, who: int = 1) -> Record:
    row = replace(BLANK, kind=KINDS["gap"], seq=first, last=last, dropped=dropped, count=count, via_ix=FORM.nobody)
    return replace(
        row, via=count | dropped << 32, subject=service_id(NAMES[who]), subject_ix=who, previous=b"\x11" * 32
    )


def chained(name: str, rows: list[Record], before: Record | None = None) -> Chain:
    """With the hashes that belong there."""
    previous, held = before.previous if before else bytes(32), []
    for row in rows:
        held.append(replace(row, previous=previous))
        previous = FORM.hash(held[-1])
    return Chain(name, before, tuple(held))


def trail(**classes: list[Record]) -> Trail:
    """Of the classes named (as `shell_allowed`), each with its records, a gap first."""
    chains = []
    for name in class_names(NAMES):
        rows = classes.get(name.replace(" ", "_"), [])
        first = rows[0] if rows and rows[0].kind == KINDS["gap"] else None
        chains.append(chained(name, rows[1:] if first else rows, first))
    return Trail(FORM, NAMES, tuple(chains))


def told(found: Trail) -> list[str]:
    return [str(finding) for finding in verify(found)]


SOUND = trail(
    init_allowed=[decision(1, 0), decision(4, 0, count=3)],
    shell_allowed=[gap(2, 3, 2, 9), decision(5), decision(7)],
    shell_refused=[decision(6, verdict="deny"), decision(8, verdict="malformed")],
)


def test_a_sound_trail_has_no_finding() -> None:
    assert told(SOUND) == []
    assert (SOUND.seq, SOUND.decisions) == (8, 1 + 3 + 9 + 2 + 2)


# ---- each rule -------------------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[Trail, str]] = {
    "kind": (trail(shell_allowed=[decision(1, kind=99)]), "shell allowed, seq 1: kind 99, which no record has"),
    "gap in a ring": (
        trail(shell_allowed=[decision(1), decision(2, kind=KINDS["gap"])]),
        "shell allowed, seq 2: kind 2, which no record has",
    ),
    "verdict of a grant": (
        trail(shell_refused=[decision(1, verdict="deny", kind=KINDS["boot_grant"])]),
        "shell refused, seq 1: verdict 2, which a record of its kind can't have",
    ),
    "class": (trail(shell_allowed=[decision(1, verdict="deny")]), "shell allowed, seq 1: it belongs to another class"),
    "class of another": (trail(init_allowed=[decision(1)]), "init allowed, seq 1: it belongs to another class"),
    "subject": (
        trail(shell_allowed=[decision(1, subject=5)]),
        "shell allowed, seq 1: its subject 0x0000000000000005 is not process 0x1",
    ),
    "subject beyond": (
        trail(shell_allowed=[decision(1, subject_ix=2)]),
        f"shell allowed, seq 1: its subject {service_id('shell'):#018x} is not process 0x2",
    ),
    "asker": (
        trail(shell_allowed=[decision(1, via_ix=0, via=service_id("shell"))]),
        f"shell allowed, seq 1: its asker {service_id('shell'):#018x} is not process 0x0",
    ),
    "asker without index": (
        trail(shell_allowed=[decision(1, via=5)]),
        "shell allowed, seq 1: it has an asker's id and no asker",
    ),
    "no count": (
        trail(shell_allowed=[decision(1, count=0)]),
        "shell allowed, seq 1: its counts are not those of one record",
    ),
    "count of what is no decision": (
        trail(shell_allowed=[decision(1, count=2, kind=KINDS["undelivered"])]),
        "shell allowed, seq 1: its counts are not those of one record",
    ),
    "reason of a bundle that was taken": (
        trail(shell_allowed=[decision(1, kind=KINDS["bundle"], reason=1)]),
        "shell allowed, seq 1: reason 1, which a bundle of verdict 1 can't have",
    ),
    "no reason of a bundle that was not": (
        trail(shell_refused=[decision(1, verdict="deny", kind=KINDS["bundle"])]),
        "shell refused, seq 1: reason 0, which a bundle of verdict 2 can't have",
    ),
    "verdict of a bundle": (
        trail(shell_refused=[decision(1, verdict="malformed", kind=KINDS["bundle"], reason=1)]),
        "shell refused, seq 1: verdict 3, which a record of its kind can't have",
    ),
    "target": (
        trail(shell_allowed=[decision(1, target=b"a\0b".ljust(32, b"\0"))]),
        "shell allowed, seq 1: its target goes on after its end",
    ),
    "order": (trail(shell_allowed=[decision(2), decision(1)]), "shell allowed, seq 1: it comes after seq 2"),
    "doubled number": (
        trail(init_allowed=[decision(1, 0)], shell_allowed=[decision(1)]),
        "shell allowed, seq 1: another record has the same number",
    ),
    "time": (
        trail(init_allowed=[decision(1, 0, time=900)], shell_allowed=[decision(2)]),
        "shell allowed, seq 2: it is older than seq 1",
    ),
    "missing": (
        trail(shell_allowed=[decision(1), decision(3)]),
        "all classes, seq 2: 1 records from there on are missing, and no gap has them",
    ),
    "missing beside a gap": (
        trail(init_allowed=[decision(6, 0)], shell_allowed=[gap(1, 2, 2, 2), decision(3), decision(5)]),
        "all classes, seq 4: 1 records from there on are missing, and no gap has them",
    ),
    "missing within a gap": (
        trail(shell_allowed=[gap(1, 3, 2, 2), decision(4), decision(5)]),
        "all classes: 3 numbers have no record, but gaps tell of 2",
    ),
    "dropped and there": (
        trail(init_allowed=[decision(1, 0), decision(2, 0)], shell_allowed=[gap(2, 3, 2, 2), decision(4), decision(5)]),
        "shell allowed, seq 2: a gap tells that it was dropped, but it is there",
    ),
    "a gap of too many": (
        trail(shell_allowed=[gap(1, 2, 3, 3), decision(3), decision(4)]),
        "shell allowed, seq 1: a gap of 3 records can't reach from there to seq 2",
    ),
    "a gap whose numbers differ": (
        trail(shell_allowed=[replace(gap(1, 2, 2, 2), via=5), decision(3), decision(4)]),
        "shell allowed, seq 1: the gap's numbers are not those written first",
    ),
    "a gap of another": (
        trail(shell_allowed=[gap(1, 2, 2, 2, who=0), decision(3), decision(4)]),
        "shell allowed, seq 1: the gap names another subject than its class has",
    ),
    "a gap with a rule": (
        trail(shell_allowed=[replace(gap(1, 2, 2, 2), rule=1), decision(3), decision(4)]),
        "shell allowed, seq 1: the gap says more than a gap can",
    ),
    "a drop that was not finished": (
        trail(shell_allowed=[gap(1, 2, 2, 2), decision(2), decision(3)]),
        "shell allowed, seq 2: its drop was begun and not finished: logd stopped there, and was not started again",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule_is_told_with_its_place(name: str) -> None:
    found, expected = BROKEN[name]
    assert expected in told(found)


@pytest.mark.parametrize(("place", "expected"), [(0, "beginning of the class"), (1, "record before it, seq 1")])
def test_broken_link_is_told_with_its_place(place: int, expected: str) -> None:
    chain = chained("shell allowed", [decision(1), decision(2)])
    rows = list(chain.records)
    rows[place] = replace(rows[place], previous=b"\x22" * 32)
    whole = Trail(
        FORM,
        NAMES,
        tuple(replace(chain, records=tuple(rows)) if one.name == chain.name else one for one in trail().chains),
    )
    assert told(whole)[0] == f"shell allowed, seq {place + 1}: it does not hold the hash of the {expected}"


def test_a_drop_that_is_under_way_is_seen() -> None:
    assert [name for name, (found, _) in BROKEN.items() if in_progress(found)] == [
        "a gap whose numbers differ",
        "a drop that was not finished",
    ]
    assert not in_progress(SOUND)


def test_apps_are_known_by_what_logd_was_told() -> None:
    app = replace(decision(1), subject_ix=FORM.app | 2, subject=service_id("app:one"))
    assert told(trail(apps_allowed=[app])) == []
    assert told(trail(apps_allowed=[replace(app, subject_ix=FORM.app | 1)])) != []


def test_outcomes_of_a_bundle_are_counted_together_and_are_no_decisions() -> None:
    taken = decision(1, kind=KINDS["bundle"], count=3)
    refused = decision(2, verdict="deny", kind=KINDS["bundle"], reason=11, count=2)
    found = trail(shell_allowed=[taken], shell_refused=[refused])
    assert told(found) == []
    assert found.decisions == 0
    fewer = trail(shell_allowed=[replace(taken, count=2)], shell_refused=[refused])
    assert counted_on(found, fewer.head())


# ---- the head --------------------------------------------------------------------------------------------------------


def test_head_of_another_trail_is_none_of_this() -> None:
    shorter = trail(init_allowed=[decision(1, 0)])
    assert "the end is missing" in str(check_head(shorter, SOUND.head(), "head"))
    other = trail(init_allowed=[decision(1, 0, rule=4)])
    assert "its hash is another" in str(check_head(other, shorter.head(), "head"))
    assert check_head(shorter, shorter.head(), "head") is None


def test_earlier_head_is_seen_in_what_came_after() -> None:
    before = trail(init_allowed=[decision(1, 0)], shell_allowed=[decision(2)])
    after = trail(init_allowed=[decision(1, 0), decision(3, 0)], shell_allowed=[decision(2), decision(4)])
    other = trail(init_allowed=[decision(1, 0, rule=4), decision(3, 0)], shell_allowed=[decision(2), decision(4)])
    assert check_head(after, before.head(), "head") is None
    assert "can't be seen in it any more" in str(check_head(other, before.head(), "head"))


def test_what_the_newest_record_has_counted_since_explains_a_head() -> None:
    before = trail(init_allowed=[decision(1, 0)], shell_allowed=[decision(2, count=2)])
    after = trail(init_allowed=[decision(1, 0)], shell_allowed=[decision(2, count=5)])
    assert counted_on(after, before.head())
    assert not counted_on(before, after.head())
    assert not counted_on(after, Head(2, bytes(32)))


# ---- the store -------------------------------------------------------------------------------------------------------

ROOM = 4


def store(found: Trail, turned: int = 0) -> bytearray:
    """The bytes of that trail, the rings of those that dropped something turned."""
    data = bytearray(ROOM * len(found.chains) * FORM.bytes)
    for number, chain in enumerate(found.chains):
        rows = [FORM.to_bytes(row) for row in chain.records] + [bytes(FORM.bytes)] * (ROOM - 1 - len(chain.records))
        turn = turned if chain.gap else 0
        rows = rows[turn:] + rows[:turn]
        head = FORM.to_bytes(chain.gap) if chain.gap else bytes(FORM.bytes)
        data[number * ROOM * FORM.bytes : (number + 1) * ROOM * FORM.bytes] = head + b"".join(rows)
    return data


FULL = trail(shell_allowed=[gap(1, 2, 2, 2), decision(3), decision(4), decision(5)], init_allowed=[decision(6, 0)])


@pytest.mark.parametrize("found", [SOUND, FULL], ids=["one free", "full"])
@pytest.mark.parametrize("turned", range(ROOM - 1))
def test_a_ring_begins_wherever_its_oldest_record_lies(found: Trail, turned: int) -> None:
    assert from_store(FORM, NAMES, bytes(store(found, turned)), 24) == found


def test_a_free_slot_between_records_is_told() -> None:
    data = store(trail(init_allowed=[decision(1, 0), decision(2, 0), decision(3, 0)]))
    data[2 * FORM.bytes] = 0
    assert "init allowed: a free slot between records" in told(from_store(FORM, NAMES, bytes(data), 24))


def test_slots_that_a_full_class_can_not_have_free_are_told() -> None:
    data = store(FULL)
    data[2 * ROOM * FORM.bytes + 1 * FORM.bytes] = data[2 * ROOM * FORM.bytes + 2 * FORM.bytes] = 0
    expected = "shell allowed: 2 free slots, though records were dropped for lack of them"
    assert expected in told(from_store(FORM, NAMES, bytes(data), 24))


# ---- how it is shown -------------------------------------------------------------------------------------------------


def test_line_of_a_record() -> None:
    row = decision(
        7, verdict="deny", rule=12, count=3, target=b"\x1b]0;x".ljust(32, b"\0"), via_ix=0, via=service_id("init")
    )
    shown = line(SOUND, replace(row, action=1, time=12_345_678), 10_000_000).split()
    assert shown[:5] == ["7", "1.234568", "shell", "deny", "route"]
    assert " ".join(shown[5:]) == "\\x1b]0;x by rule 12 3 times asked by init"


def test_line_of_a_gap_and_of_a_restart() -> None:
    assert line(SOUND, gap(2, 9, 5, 70), 10).endswith(
        "shell              gap: 5 records to seq 9 dropped, 70 decisions"
    )
    restart = replace(decision(3), kind=KINDS["restart"], verdict=0, reason=2, via_ix=0, via=service_id("init"))
    assert line(SOUND, restart, 10).endswith("shell              restart after fault 2 by init")


def test_line_of_a_bundle_has_the_reason() -> None:
    row = decision(3, verdict="deny", kind=KINDS["bundle"], reason=11, target=b"dev.one".ljust(32, b"\0"))
    shown = line(SOUND, replace(row, action=FORM.actions["bundle.install"]), 10)
    assert shown.split()[3:] == ["deny", "bundle.install", "dev.one", "(bundle", "signature)"]
    taken = line(SOUND, decision(4, kind=KINDS["bundle"]), 10)
    assert taken.endswith("(bundle)")


def test_apps_have_no_name_but_their_id() -> None:
    assert name_of(SOUND, FORM.app | 3, 0xABC) == "app 0000000000000abc"
    assert name_of(SOUND, FORM.app | FORM.nobody, 0) == "apps"


@pytest.mark.parametrize(("verdict", "shown"), [("allow", "app:dev.one"), ("deny", "app {ident:016x}")])
def test_app_has_the_name_of_a_bundle_that_was_taken(verdict: str, shown: str) -> None:
    """What was refused may have been made to have another's service id."""
    ident = service_id("app:dev.one")
    bundle = decision(1, verdict=verdict, kind=KINDS["bundle"], target=b"dev.one".ljust(32, b"\0"))
    assert name_of(trail(shell_allowed=[bundle]), FORM.app | 3, ident) == shown.format(ident=ident)


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (Filter(), [1, 2, 4, 5, 6, 7, 8]),
        (Filter(subject="init"), [1, 4]),
        (Filter(subject="app:init"), []),
        (Filter(verdict="deny"), [6]),
        (Filter(verdict="malformed"), [8]),
        (Filter(since=6), [6, 7, 8]),
        (Filter(action="rng.entropy"), [5]),
    ],
)
def test_filter(wanted: Filter, seqs: list[int]) -> None:
    wanted.check(SOUND)
    assert [row.seq for _, row in SOUND.records if wanted.takes(FORM, row)] == seqs


@pytest.mark.parametrize("wanted", [Filter(subject="shel"), Filter(action="rng.entropi")])
def test_filter_of_an_unknown_name_is_refused_with_the_likely_one(wanted: Filter) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        wanted.check(SOUND)


# ---- files and verbs -------------------------------------------------------------------------------------------------


def export(found: Trail, head: Head | None = None) -> str:
    return to_lines(Export(found, "default", CONTRACT.digest, "ab" * 16, head or found.head()))


Write = Callable[[str], str]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "trail.jsonl"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_export_says_what_it_is_about() -> None:
    header = json.loads(export(SOUND).splitlines()[0])
    assert (header["system"], header["contract"], header["processes"]) == ("default", CONTRACT.digest, list(NAMES))
    rows = [json.loads(text) for text in export(SOUND).splitlines()[1:]]
    assert [row["seq"] for row in rows] == [1, 2, 4, 5, 6, 7, 8]
    assert [list(row) for row in rows] == [["class", *FORM.places]] * 7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: "", r"^file:1: found no header"),
        (lambda text: text.split("\n", 1)[1], r"^file:1: found no header"),
        (lambda text: text.replace("{", "[", 1), r"^file:1: found no JSON"),
        (lambda text: text + "7\n", r"^file:9: found no JSON object"),
        (lambda text: text + "[" * 100_000 + "\n", r"^file:9: found no JSON"),
        (lambda text: text.replace('["init", "shell"]', "7"), r"^file:1: processes: found 7"),
        (lambda text: text.replace('"hash": "', '"hash": "g'), r"^file:1: head: found"),
        (lambda text: text.replace('"class": "init allowed"', '"class": "rngd allowed"', 1), r"^file:2: class: found"),
    ],
)
def test_file_that_is_no_export_is_refused_with_its_line(change: Callable[[str], str], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        from_lines(change(export(SOUND)), FORM, "file")


def test_verb_verify(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    head = SOUND.head()
    assert cli.main(["audit", "verify", file(export(SOUND))]) == 0
    shown = capsys.readouterr().out
    assert "verified: 6 records, 2 dropped, 17 decisions\n" in shown
    assert f"head {8:016x}:{head.hash.hex()}\n" in shown
    assert "can't be excluded" in shown
    assert cli.main(["audit", "verify", "--head", f"{8:016x}:{head.hash.hex()}", file(export(SOUND))]) == 0
    shown = capsys.readouterr().out
    assert "the head given agrees with it" in shown
    assert "can't be excluded" not in shown


def test_verb_verify_says_where_it_does_not(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    text = export(SOUND)
    assert cli.main(["audit", "verify", file(text.replace('"rule": 0', '"rule": 7', 1))]) == 1
    shown = capsys.readouterr().err
    assert "does not verify: init allowed, seq 4: it does not hold the hash of the record before it, seq 1" in shown
    short = trail(init_allowed=[decision(1, 0)])
    assert cli.main(["audit", "verify", "--head", f"{8:016x}:{SOUND.head().hash.hex()}", file(export(short))]) == 1
    assert "the head given was told when this was the newest number; the end is missing" in capsys.readouterr().err


def test_verb_verify_compares_the_files_own_head(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    cut = "\n".join(export(SOUND).splitlines()[:-1]) + "\n"
    assert cli.main(["audit", "verify", file(cut)]) == 1
    assert "all classes, seq 8: the head of the file" in capsys.readouterr().err


@pytest.mark.parametrize("head", ["", "8", "8:00", "g" * 16 + ":" + "0" * 64, "0" * 16 + "0" * 64])
def test_verb_verify_refuses_what_is_no_head(file: Write, head: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "verify", "--head", head, file(export(SOUND))]) == 2
    assert "--head: found" in capsys.readouterr().err


def test_verb_show(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(export(SOUND))
    assert cli.main(["audit", "show", "--subject", "init", path]) == 0
    assert [text.split()[0] for text in capsys.readouterr().out.splitlines()] == ["1", "4"]
    assert cli.main(["audit", "show", "--json", "-", "--verdict", "deny", path]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["seq"], row["class"]) == (6, "shell refused")


def test_verb_without_a_file_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "show", str(tmp_path / "none")]) == 2
    assert cli.main(["audit", "verify", str(tmp_path)]) == 2
    assert cli.main(["audit", "show", "--machine", "x", str(tmp_path / "none")]) == 2
    assert "expected one of them" in capsys.readouterr().err
