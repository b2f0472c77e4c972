"""The one page that shows a run: verdict, timeline, ladder, processes, audit, console, memory, sizes, versions. Called by the verbs run and
test-os.

Pure: facts in, HTML out, that loads nothing from anywhere. What a guest wrote is text (html.py) and printable (grammar.escape).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nexus.errors import EXIT_INTERRUPTED
from nexus.verdict.grammar import KERNEL, Malformed, Seen, escape, parse
from nexus.views.drawing import bar, bytes_text, seconds, timeline_svg
from nexus.views.facts import Facts
from nexus.views.heap import Use
from nexus.views.html import Child, Html, join, page, tag
from nexus.views.imagepages import memory_section, sizes_section, versions_section
from nexus.views.sample import Process
from nexus.views.timeline import Mark

FOLDER = Path(__file__).parent
SHOWN_LINES = 5000  # the newest; the log has all
ZOOM = 1.25  # how much of a boot's length is shown of what comes after it
NEAR_FULL = 0.85

Section = Callable[[Facts], Html | None]


def to_html(facts: Facts) -> str:
    """The page; sections for which there is nothing are left out."""
    parts: list[tuple[str, str, Section]] = [
        ("timeline", "Timeline", timeline_section),
        ("ladder", "Ladder", ladder_section),
        ("processes", "Processes", processes_section),
        ("audit", "Audit", audit_section),
        ("console", "Console", console_section),
        ("memory", "Memory", memory_section),
        ("sizes", "Sizes", sizes_section),
        ("versions", "Versions", versions_section),
    ]
    made = [(anchor, title, part) for anchor, title, make in parts if (part := make(facts)) is not None]
    sections = [tag("section", tag("h2", title), part, id=anchor) for anchor, title, part in made]
    links = [tag("a", title, href=f"#{anchor}") for anchor, title, _ in made]
    return page(
        f"Nexus: {facts.system}, {_outcome(facts)[0]}",
        _source("report.css"),
        _source("report.js"),
        _header(facts),
        tag("nav", *links),
        tag("main", _summary(facts), *sections),
        tag("footer", f"nexus wrote this page when run {facts.run} was over. It holds all it shows and loads nothing."),
    )


def _source(name: str) -> str:
    return "\n" + (FOLDER / name).read_text(encoding="utf-8")


def _outcome(facts: Facts) -> tuple[str, str]:
    """In a word, and its class."""
    if facts.verdict is None:
        return "ran", ""
    failure = facts.verdict.failure
    if failure is not None and failure.exit_code == EXIT_INTERRUPTED:
        return "interrupted", ""
    return ("failed", "bad") if failure else ("passed", "good")


def _header(facts: Facts) -> Html:
    word, kind = _outcome(facts)
    title = tag("h1", facts.system, tag("span", word, class_=f"badge {kind}".strip()))
    return tag("header", title, tag("p", f"run {facts.run}, machine ended with {facts.end}", class_="soft"))


def _summary(facts: Facts) -> Html:
    timeline, verdict = facts.timeline, facts.verdict
    faults = sum(mark.kind == "fault" for mark in timeline.marks)
    denied = sum(row.verdict not in ("allow", "none") for row in facts.inside.audit)
    tiles: list[tuple[str, str]] = [
        (seconds(timeline.booted), "until the last was ready"),
        (seconds(timeline.end), "in all"),
    ]
    if verdict is not None:
        tiles.append((f"{len(verdict.markers)} of {verdict.total}", "markers"))
    tiles += [(str(len(facts.lines)), "console lines"), (str(faults), "faults")]
    if facts.inside.audit:
        tiles += [(str(len(facts.inside.audit)), "audit records"), (str(denied), "of them refusals")]
    if facts.inside.sample is not None:
        tiles.append((bytes_text(4096 * facts.inside.sample.free_frames), "memory free"))
    boxes = [tag("div", tag("b", value), tag("span", what)) for value, what in tiles]
    failure = [tag("pre", facts.block, class_="wrap")] if facts.block else []
    return tag("section", tag("div", *boxes, class_="tiles"), *failure, id="summary")


# ---- timeline and ladder ---------------------------------------------------------------------------------------------

LEGEND = (
    ("s-start", "starts"),
    ("s-up", "is up"),
    ("m-ready", "ready, or allowed"),
    ("m-marker", "marker"),
    ("m-deny", "denied, or fault"),
    ("m-line", "other line"),
)


def timeline_section(facts: Facts) -> Html | None:
    timeline = facts.timeline
    if not timeline.marks:
        return None
    first = min(timeline.end, ZOOM * timeline.booted)
    told_apart = (
        len({mark.at for mark in timeline.marks if mark.kind == "ready"}) > 2
    )  # or the host was too busy to read them in time
    figures = [_figure(facts, "The boot", 0.0, first)] if told_apart and first < 0.8 * timeline.end else []
    figures.append(_figure(facts, "The whole run", 0.0, timeline.end))
    keys = [tag("span", _swatch(kind), text) for kind, text in LEGEND]
    note = (
        "Dots are console lines, strokes below them decisions about that process; hold the pointer over one to read it."
    )
    return join(*figures, tag("div", *keys, class_="legend"), tag("p", note, class_="soft"))


def _figure(facts: Facts, name: str, start: float, end: float) -> Html:
    return join(tag("h3", name), tag("div", timeline_svg(facts.timeline, start, end, name), class_="wide"))


def _swatch(kind: str) -> Html:
    return tag("svg", tag("rect", width=10, height=10, rx=2, class_=kind), viewBox="0 0 10 10", class_="swatch")


def ladder_section(facts: Facts) -> Html | None:
    verdict = facts.verdict
    if verdict is None:
        return None
    parts = []
    for phase in verdict.phases:
        rows = [(seconds(one.ms / 1000), one.text) for one in verdict.markers if one.phase == phase.name]
        words = tag("span", phase.verdict.replace("-", " "), class_=phase.verdict)
        took = f", {seconds(phase.ms / 1000)}" if phase.verdict == "pass" else ""
        head = tag(
            "summary", tag("b", phase.name), " ", words, tag("span", f"{len(rows)} markers{took}", class_="size")
        )
        cells = [tag("tr", tag("td", at, class_="number"), tag("td", text, class_="say mono")) for at, text in rows]
        parts.append(tag("details", head, tag("table", tag("tbody", *cells)), open=_opened(phase.verdict == "fail")))
    return join(*parts)


def _opened(yes: bool) -> str | None:
    return "" if yes else None


# ---- processes -------------------------------------------------------------------------------------------------------


def processes_section(facts: Facts) -> Html | None:
    sample = facts.inside.sample
    if sample is None:
        return tag("p", f"Not known: {facts.inside.problem}.") if facts.inside.problem else None
    heads = ("process", "state", "CPU", "heap", "stack, most used", "messages", "restarts", "caps", "frames")
    rows = [_process(one, sample.ticks) for one in sample.processes]
    idle = 100 * sample.idle_ticks / sample.ticks if sample.ticks else 0.0
    note = f"As the machine's memory had it at the end; {idle:.1f} % of the time it was idle."
    if sample.lost_lines:
        note += f" {sample.lost_lines} console lines were lost."
    return join(table(heads, rows), tag("p", note, class_="soft"))


def _process(one: Process, ticks: int) -> Html:
    state = f"{one.state}, {one.fault}" if one.state == "stopped" else one.state
    cells: list[Child] = [
        tag("td", tag("b", one.label)),
        tag("td", state, class_=one.state),
        tag("td", f"{100 * one.cpu_ticks / ticks:.1f} %" if ticks else "-", class_="number"),
        tag("td", _use(one.heap)),
        tag("td", _use(one.stack)),
        tag("td", f"{one.messages:,}", class_="number"),
        *(tag("td", value, class_="number") for value in (one.restarts, one.capabilities, one.frames)),
    ]
    return tag("tr", *cells)


def _use(use: Use | None) -> Html:
    if use is None or use.total == 0:
        return join("-")
    share = use.used / use.total
    return join(
        f"{use.used / 1024:.1f} of {use.total / 1024:.0f} KiB", bar(share, "b-near" if share > NEAR_FULL else "b-use")
    )


def table(heads: Sequence[str], rows: Sequence[Html], rows_id: str | None = None, box: str = "wide") -> Html:
    head = tag("thead", tag("tr", *(tag("th", name) for name in heads)))
    return tag("div", tag("table", head, tag("tbody", *rows, id=rows_id)), class_=box)


# ---- audit and console -----------------------------------------------------------------------------------------------


def audit_section(facts: Facts) -> Html | None:
    inside = facts.inside
    if not inside.audit:
        return tag("p", f"No trail: {inside.problem}.") if inside.problem else None
    rows = [
        tag(
            "tr",
            tag("td", row.seq, class_="number"),
            tag("td", f"{row.at:.6f}", class_="number"),
            tag("td", row.subject),
            tag("td", row.verdict, class_=row.verdict),
            tag("td", row.action),
            tag("td", row.target, class_="mono"),
            tag("td", row.rest, class_="soft"),
            data_of=row.verdict,
        )
        for row in inside.audit
    ]
    heads = ("seq", "at, s", "subject", "verdict", "action", "target", "")
    verified = (
        f"It does not verify: {'; '.join(inside.findings)}."
        if inside.findings
        else "It verifies: chains, numbers and gaps."
    )
    return join(
        tag("p", verified, class_="fail" if inside.findings else "soft"),
        _filter(
            "audit-rows", "subject, action, target …", "any verdict", sorted({row.verdict for row in inside.audit})
        ),
        table(heads, rows, "audit-rows", "tall"),
    )


def console_section(facts: Facts) -> Html | None:
    if not facts.lines:
        return None
    labels = frozenset([KERNEL, *(row.label for row in facts.manifest.processes)])
    shown = facts.lines[-SHOWN_LINES:]
    said = [_said(one, labels) for one in shown]
    kinds = {id(one): mark for one, mark in zip(facts.lines, facts.timeline.marks, strict=False)}
    rows = [_console_row(one, label, text, kinds.get(id(one))) for one, (label, text) in zip(shown, said, strict=True)]
    more = len(facts.lines) - len(shown)
    note = (
        [tag("p", f"The newest {len(shown)} lines; {more} earlier ones are in the run's console.log.", class_="soft")]
        if more
        else []
    )
    return join(
        *note,
        _filter("console-rows", "words …", "any process", sorted({label for label, _ in said})),
        table(("at, s", "process", "line"), rows, "console-rows", "tall"),
    )


def _said(one: Seen, labels: frozenset[str]) -> tuple[str, str]:
    line = parse(one, labels)
    return ("?", escape(one.data)) if isinstance(line, Malformed) else (line.label, line.text)


def _console_row(one: Seen, label: str, text: str, mark: Mark | None) -> Html:
    kind = mark.kind if mark is not None and mark.kind in ("ready", "allow", "deny", "fault") else None
    return tag(
        "tr",
        tag("td", f"{one.at:.3f}", class_="number"),
        tag("td", label),
        tag("td", text, class_=f"say mono {kind or ''}".strip()),
        data_of=label,
    )


def _filter(rows_id: str, hint: str, anything: str, values: Sequence[str]) -> Html:
    """Shown by the script alone: without one it could do nothing."""
    options = [tag("option", anything, value=""), *(tag("option", value, value=value) for value in values)]
    field = tag("input", type="search", placeholder=hint, aria_label=hint)
    chooser = tag("select", *options, aria_label=anything)
    return tag("div", field, chooser, tag("output"), class_="filter", data_rows=rows_id, hidden="")
