"""The sections of a report that are about the image and the machine's memory: who has which page, what takes how much, what it was built
from. Used by report.py. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus.views.drawing import bar, bytes_text, strip
from nexus.views.facts import Facts
from nexus.views.frames import FREE, Region, Run, shares_of
from nexus.views.html import Html, join, tag
from nexus.views.sizes import Node

COLOURS = 12
FOLDED = 2  # levels of the tree that are open


def memory_section(facts: Facts) -> Html | None:
    runs = facts.inside.runs
    if not runs:
        return tag("p", f"Not known: {facts.inside.problem}.") if facts.inside.problem else None
    owners = list(dict.fromkeys(run.owner for run in runs if run.kind != FREE))
    colours = {owner: f"o{place % COLOURS}" for place, owner in enumerate(owners)}
    end = max((place for place, run in enumerate(runs) if run.kind != FREE), default=0)
    whole = sum(run.bytes for run in runs)
    taken = sum(run.bytes for run in runs if run.kind != FREE)
    return join(
        tag("h3", f"All of it, {bytes_text(whole)}: {bytes_text(taken)} are taken"),
        strip([_box(run, colours) for run in runs], "all memory"),
        tag("h3", "What is taken, closer"),
        strip([_box(run, colours) for run in runs[: end + 1]], "memory that is taken"),
        _owners(runs, owners, colours, taken),
        *_regions(facts.inside.regions),
    )


def _box(run: Run, colours: dict[str, str]) -> tuple[int, str, str]:
    title = f"{run.address:#x}: {bytes_text(run.bytes)} {run.kind} {run.owner}".rstrip()
    return run.bytes, "free" if run.kind == FREE else colours[run.owner], title


def _owners(runs: Sequence[Run], owners: Sequence[str], colours: dict[str, str], taken: int) -> Html:
    shares = shares_of(runs)
    rows = []
    for owner in owners:
        kinds = shares[owner]
        size = sum(kinds.values())
        swatch = tag(
            "svg", tag("rect", width=10, height=10, rx=2, class_=colours[owner]), viewBox="0 0 10 10", class_="swatch"
        )
        parts = ", ".join(f"{kind} {bytes_text(count)}" for kind, count in kinds.items())
        rows.append(
            tag(
                "tr",
                tag("td", swatch, tag("b", owner)),
                tag("td", bytes_text(size), class_="number"),
                tag("td", bar(size / taken)),
                tag("td", parts, class_="say soft"),
            )
        )
    return tag("div", tag("table", tag("tbody", *rows)), class_="wide")


def _regions(regions: Sequence[Region]) -> list[Html]:
    if not regions:
        return []
    cells = [
        tag(
            "tr",
            tag("td", one.number, class_="number"),
            tag("td", one.owner),
            tag("td", bytes_text(one.bytes)),
            tag("td", one.state),
        )
        for one in regions
    ]
    return [tag("h3", "Memory regions"), tag("div", tag("table", tag("tbody", *cells)), class_="wide")]


def sizes_section(facts: Facts) -> Html:
    note = "What the image takes in memory. The numbers of a program's sections are those of its ELF."
    return join(tag("div", _node(facts.sizes, facts.sizes.bytes, 0), class_="tree"), tag("p", note, class_="soft"))


def _node(node: Node, whole: int, depth: int) -> Html:
    share = bar(node.bytes / (whole or 1))
    text = join(share, tag("span", node.name), tag("span", bytes_text(node.bytes), class_="size"))
    if not node.parts:
        return tag("div", text, class_="leaf")
    inner = [_node(part, node.bytes, depth + 1) for part in node.parts]
    return tag("details", tag("summary", text), *inner, open="" if depth < FOLDED - 1 else None)


def versions_section(facts: Facts) -> Html:
    rows = [("run", facts.nonce), ("gates", ", ".join(facts.manifest.gates) or "none"), *facts.versions]
    pairs = [part for name, value in rows for part in (tag("dt", name), tag("dd", value, class_="mono"))]
    return join(
        tag("dl", *pairs),
        tag("h3", "This run again"),
        tag("pre", facts.repeat),
        tag("h3", "The same machine by hand"),
        tag("pre", facts.by_hand, class_="wrap"),
    )
