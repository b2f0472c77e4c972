"""The page about a run: well-formed, alone, and nothing in it that a guest said is more than text; made of values, no machine."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus.contract.load import Contract
from nexus.image.manifest import File, Manifest, ProcessRow
from nexus.image.romfs import pack
from nexus.layout import RAM_BASE
from nexus.verdict.grammar import Seen
from nexus.verdict.ladder import Failure, PhaseResult, Reached, Verdict
from nexus.views.drawing import bytes_text, seconds, timeline_svg
from nexus.views.facts import GONE, STALE, Facts, Inside, Row, length_of, look_inside, phases_of
from nexus.views.frames import Region, Run, shares_of
from nexus.views.heap import Use
from nexus.views.html import VOID, hash_source, join, tag
from nexus.views.report import SHOWN_LINES, to_html
from nexus.views.sample import Process, Sample
from nexus.views.sizes import Node, romfs_nodes
from nexus.views.timeline import Clock, Decision, timeline_of

UP = "ready"
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
PROCESS = ProcessRow(
    0, "init", "init", "init", "0x0", 1, "service", "guest/services/init", [], 0, 4096, 4096, 0, False, 3, []
)


def manifest() -> Manifest:
    values: dict[str, Any] = {field.name: [] for field in fields(Manifest)}
    values |= dict.fromkeys(("contract_digest", "policy_digest", "input_digest"), "0" * 64)
    values |= {"format": 4, "system": "small", "recipe": "small.toml", "policy_bytes": 0, "app": None}
    values |= {
        "image": File("nexus.elf", 1, "0" * 64),
        "image_end": 0,
        "ram_bytes": 8192,
        "processes": [PROCESS],
        "compiler": "gcc",
        "inputs": {},
    }
    return Manifest(**values)


def sample() -> Sample:
    process = Process(0, "init", "service", "stopped", "memory", 3, 0, 50, 7, 3, 2, Use(10, 4096), Use(4000, 4096))
    return Sample(100, 50, 1, 2, 4, (process,))


def verdict(failure: Failure | None = None) -> Verdict:
    phases = (
        PhaseResult("bring-up", 50, "pass"),
        PhaseResult("mmio", 0, "fail" if failure else "pass"),
        PhaseResult("end", 0, "not-run"),
    )
    return Verdict(failure, "00", 42, phases, (Reached(f"init: {UP}", "bring-up", 40),), 2)


def facts(said: str = "ready", **changes: Any) -> Facts:
    lines = (
        Seen(0.01, b"kernel: boot run=0"),
        Seen(0.04, f"init: {UP}".encode()),
        Seen(0.05, f"init: {said}".encode()),
    )
    runs = (
        Run(0x8000_0000, 4096, "text", "kernel"),
        Run(0x8000_1000, 4096, "user", said),
        Run(0x8000_2000, 8192, "free", ""),
    )
    inside = Inside(
        sample(), runs, (Region(0, "init", 8192, "sealed"),), (Row(1, 0.02, said, "deny", "route", said, "rule 1"),)
    )  # fmt: skip
    decisions = [Decision(0.03, "init", "", "deny", said)]
    found = Facts(
        run="run-1",
        system="small",
        nonce="00",
        end="exit code 42",
        lines=lines,
        timeline=timeline_of(lines, ["init"], phases=[("bring-up", 0.0, 0.05)], decisions=decisions, end=0.06),
        manifest=manifest(),
        sizes=Node("image", 300, (Node("kernel", 200, (Node(said, 100),)), Node("policy", 100))),
        inside=inside,
        versions=(("QEMU", "7.2.22"),),
        repeat="./scripts/nexus test-os",
        by_hand="qemu",
        verdict=verdict(),
    )
    return replace(found, **changes)


class Page(HTMLParser):
    """Every element with its attributes and text; wrong nesting is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def text_of(self, element: str) -> str:
        return "\n".join(self.texts.get(element, []))

    @property
    def ids(self) -> set[str]:
        return {str(attributes["id"]) for _, attributes in self.elements if "id" in attributes}


# ---- what it must never do -------------------------------------------------------------------------------------------


def test_page_is_well_formed() -> None:
    elements = [name for name, _ in Page(to_html(facts())).elements]
    assert elements.count("svg") > 3
    assert (elements.count("html"), elements.count("body"), elements.count("main")) == (1, 1, 1)


def test_what_a_guest_said_is_text_wherever_it_is_shown() -> None:
    plain, evil = Page(to_html(facts("harmless"))), Page(to_html(facts(EVIL)))
    assert [name for name, _ in evil.elements] == [name for name, _ in plain.elements]
    assert sum(EVIL in text for texts in evil.texts.values() for text in texts) >= 5


def test_failure_of_a_guests_making_is_text() -> None:
    page = Page(to_html(facts(block=EVIL, repeat=EVIL, by_hand=EVIL, run=EVIL, end=EVIL)))
    assert EVIL in page.text_of("pre")
    assert [name for name, _ in page.elements].count("script") == 1


def test_page_loads_nothing_and_refers_to_nobody() -> None:
    text = to_html(facts())
    assert re.findall(r"https?:|//[a-z]|@import|url\(", text) == []
    for name, attributes in Page(text).elements:
        assert not {"src", "action", "srcset", "data", "style"} & attributes.keys(), name
        assert not any(key.startswith("on") for key in attributes)
        assert str(attributes.get("href", "#")).startswith("#")


def test_policy_of_the_page_allows_its_own_style_and_script_alone() -> None:
    text = to_html(facts())
    page = Page(text)
    policy = next(str(row["content"]) for name, row in page.elements if name == "meta" and "http-equiv" in row)
    style, script = (re.findall(f"<{name}>(.*?)</{name}>", text, re.DOTALL) for name in ("style", "script"))
    assert (len(style), len(script)) == (1, 1)
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src {hash_source(style[0])}; script-src {hash_source(script[0])};" in policy
    assert "unsafe" not in policy


def test_escaping_cannot_be_forgotten() -> None:
    assert tag("p", EVIL).count("<") == 2
    assert tag("p", title=EVIL).count('"') == 2
    assert join("<b>", tag("b", "x")) == "&lt;b&gt;<b>x</b>"


# ---- what it shows ---------------------------------------------------------------------------------------------------


def test_sections_are_those_that_have_something_to_show() -> None:
    whole = {"summary", "timeline", "ladder", "processes", "audit", "console", "memory", "sizes", "versions"}
    assert whole <= Page(to_html(facts())).ids
    gone = Inside(problem="the machine never started")
    bare = Page(to_html(facts(inside=gone, verdict=None, lines=(), timeline=timeline_of([], ["init"]))))
    assert bare.ids == {"summary", "processes", "audit", "memory", "sizes", "versions"}
    assert "Not known: the machine never started." in bare.text_of("p")


def test_links_lead_to_what_is_there() -> None:
    page = Page(to_html(facts(verdict=None)))
    links = {str(row["href"])[1:] for name, row in page.elements if name == "a"}
    assert links
    assert links <= page.ids


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (None, "ran"),
        (verdict(), "passed"),
        (verdict(Failure("missing", "x", "y", "z")), "failed"),
        (verdict(Failure("interrupted", "x", "y", "z", 130)), "interrupted"),
    ],
)
def test_outcome_is_said_at_the_top(found: Verdict | None, word: str) -> None:
    page = Page(to_html(facts(verdict=found)))
    badges = [
        attributes for name, attributes in page.elements if name == "span" and "badge" in str(attributes.get("class"))
    ]
    assert len(badges) == 1
    assert word in page.text_of("span").splitlines()
    assert page.text_of("title").startswith(f"Nexus: small, {word}")


def test_trail_that_does_not_verify_is_told() -> None:
    inside = replace(facts().inside, findings=("init allowed, seq 3: it comes after seq 4",))
    assert "It does not verify: init allowed, seq 3" in Page(to_html(facts(inside=inside))).text_of("p")


def test_filters_are_for_tables_that_are_there() -> None:
    page = Page(to_html(facts()))
    filters = {str(row["data-rows"]) for name, row in page.elements if row.get("class") == "filter"}
    assert filters == {"audit-rows", "console-rows"}
    assert filters <= page.ids


def test_long_console_is_cut_and_says_so() -> None:
    lines = tuple(Seen(number / 1000, b"init: line %d" % number) for number in range(SHOWN_LINES + 7))
    page = Page(to_html(facts(lines=lines, timeline=timeline_of(lines, ["init"]))))
    assert f"The newest {SHOWN_LINES} lines; 7 earlier ones" in page.text_of("p")
    said = page.text_of("td").splitlines()
    assert "line 7" in said
    assert "line 6" not in said


def test_marks_in_one_place_are_one_dot_that_tells_of_the_worst() -> None:
    fault = Seen(0.5, b"kernel: fault label=init cause=memory")
    crowd = timeline_of([*(Seen(0.5, b"init: x") for _ in range(50)), fault, Seen(0.9, b"init: y")], ["init"], end=1.0)
    dots = [row["class"] for name, row in Page(timeline_svg(crowd, 0.0, 1.0, "all")).elements if name == "circle"]
    assert sorted(map(str, dots)) == ["m-fault", "m-line"]


def test_zoomed_timeline_leaves_out_what_lies_outside() -> None:
    part = Page(timeline_svg(facts().timeline, 0.0, 0.02, "part"))
    assert [row["class"] for name, row in part.elements if name == "circle"] == ["m-boot"]


@pytest.mark.parametrize(("value", "text"), [(0.0, "0 ms"), (0.0595, "60 ms"), (1.5, "1.50 s"), (123.4, "123 s")])
def test_times_are_short(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (5 << 20, "5.00 MiB")])
def test_sizes_are_short(value: int, text: str) -> None:
    assert bytes_text(value) == text


# ---- where its facts are from ----------------------------------------------------------------------------------------


def test_phases_follow_each_other_and_stop_at_the_failure() -> None:
    found = phases_of(verdict(Failure("missing", "x", "y", "z")))
    assert found == [("bring-up", 0.0, 0.05), ("mmio", 0.05, 0.05)]


def test_length_is_from_the_first_instruction_to_the_end() -> None:
    assert length_of([{"t": 0.25, "event": "clock"}, {"t": 3.25, "event": "exit"}]) == 3.0
    assert length_of([]) == 0.0


@pytest.mark.parametrize(("ram", "problem"), [(None, GONE), (b"", GONE), (b"another build", STALE)])
def test_memory_that_the_files_do_not_fit_is_not_read(
    ram: bytes | None, problem: str, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus.views.watch.text_of", lambda _image: (RAM_BASE, b"this build"))
    target: Any = SimpleNamespace(elf=tmp_path / "nexus.elf")
    assert look_inside(tmp_path, ram, target, manifest(), contract, Clock([]), 1) == Inside(problem=problem)


def test_shares_add_up_by_owner_and_kind() -> None:
    runs = [
        Run(0, 1, "user", "a"),
        Run(1, 2, "ipc", "a"),
        Run(3, 4, "user", "b"),
        Run(7, 8, "user", "a"),
        Run(15, 9, "free", ""),
    ]
    assert shares_of(runs) == {"a": {"user": 9, "ipc": 2}, "b": {"user": 4}}


def test_modules_are_found_in_a_romfs() -> None:
    data = pack({"main.mpy": bytes(300), "lib/gate.mpy": bytes(20), "lib/wire.mpy": bytes(40)})
    nodes = romfs_nodes(data + bytes(4096 - len(data)))
    assert [node.name for node in nodes] == ["main.mpy", "lib/"]
    assert 300 <= nodes[0].bytes < 330
    assert [node.name for node in nodes[1].parts] == ["wire.mpy", "gate.mpy"]
    assert romfs_nodes(bytes(64)) == []


def test_contract_has_the_states_that_the_page_colours(contract: Contract) -> None:
    assert {"ready", "stopped"} <= contract.table("state").keys()
