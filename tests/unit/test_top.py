"""What two samples of a machine amount to, where a heap's figures come from, and how memory is fetched: all with values, no machine."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.errors import UsageError
from nexus.machine.kernelview import PAGE
from nexus.views.files import check_target, write_whole
from nexus.views.heap import BLOCKS_A_BYTE, Interpreter, Use, heap_of, stack_of
from nexus.views.memory import GAP_PAGES, Memory, pieces_of
from nexus.views.sample import Process, Sample
from nexus.views.top import Row, Totals, rows_of, table_of, to_json, totals_of
from nexus.views.watch import Look

HZ = 1000
RNGD = Process(
    index=3,
    label="rngd",
    program="service",
    state="receiving",
    fault="none",
    incarnation=1,
    life=0,
    cpu_ticks=100,
    messages=10,
    frames=59,
    capabilities=10,
    heap=Use(1024, 4096),
    stack=Use(512, 8192),
)
SAMPLE = Sample(ticks=1000, idle_ticks=800, free_frames=6000, frames=8192, lost_lines=0, processes=(RNGD,))


def later(**changes: object) -> Sample:
    """Two seconds on, with half of them spent in rngd."""
    process = replace(RNGD, **{"cpu_ticks": 1100, "messages": 60, **changes})  # type: ignore[arg-type]
    return replace(SAMPLE, ticks=3000, idle_ticks=1600, processes=(process,))


# ---- rows ------------------------------------------------------------------------------------------------------------


def test_rates_are_those_of_the_interval() -> None:
    [row] = rows_of(SAMPLE, later(), HZ)
    assert (row.cpu, row.messages) == (50.0, 25.0)
    assert row.cpu_total == pytest.approx(100 * 1100 / 3000)


def test_without_a_sample_before_the_interval_is_all_time() -> None:
    [row] = rows_of(None, SAMPLE, HZ)
    assert (row.cpu, row.cpu_total, row.messages) == (10.0, 10.0, 10.0)


def test_machine_that_stands_still_has_no_rates() -> None:
    [row] = rows_of(SAMPLE, SAMPLE, HZ)
    assert (row.cpu, row.messages) == (None, None)
    assert totals_of(SAMPLE, Look(SAMPLE, 0.0), HZ).idle is None


def test_new_user_of_a_slot_has_nothing_of_the_one_before() -> None:
    [row] = rows_of(SAMPLE, later(life=1, cpu_ticks=200, messages=4), HZ)
    assert (row.cpu, row.messages) == (10.0, 2.0)


def test_machine_that_was_reset_begins_anew() -> None:
    [row] = rows_of(later(), SAMPLE, HZ)
    assert (row.cpu, row.messages) == (10.0, 10.0)
    totals = totals_of(later(), Look(SAMPLE, 0.0), HZ)
    assert (totals.interval, totals.idle) == (1.0, 80.0)


@pytest.mark.parametrize(("incarnation", "restarts"), [(0, 0), (1, 0), (4, 3)])
def test_restarts_are_all_starts_but_the_first(incarnation: int, restarts: int) -> None:
    assert rows_of(None, later(incarnation=incarnation), HZ)[0].restarts == restarts


def test_totals_are_of_the_machines_own_time() -> None:
    totals = totals_of(SAMPLE, Look(later(), 0.012), HZ)
    assert totals == Totals(3.0, 2.0, 40.0, 6000, 8192, 0, 0.012)


# ---- the table -------------------------------------------------------------------------------------------------------


def shown(rows: list[Row], totals: Totals, width: int = 120, terminal: bool = False) -> str:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None).print(
        table_of("system", totals, rows, width)
    )
    return out.getvalue()


def both(now: Sample) -> tuple[list[Row], Totals]:
    return rows_of(SAMPLE, now, HZ), totals_of(SAMPLE, Look(now, 0.012), HZ)


def test_table_has_the_figures_of_a_process() -> None:
    line = next(line for line in shown(*both(later())).splitlines() if "rngd" in line)
    assert line.split() == [
        "rngd",
        "receiving",
        "50.0%",
        "36.7%",
        "1/4K",
        "██░░░░░░",
        "0/8K",
        "░░░░░░░░",
        "25.0",
        "0",
        "10",
        "59",
    ]


def test_stopped_process_says_why() -> None:
    assert "stopped (memory)" in shown(*both(later(state="stopped", fault="memory")))


def test_table_says_what_a_look_costs_and_what_was_lost() -> None:
    text = shown(*both(replace(later(), lost_lines=3)))
    assert "40.0% idle over 2.0 s" in text
    assert "3 console lines lost" in text
    assert "stood still 12 ms" in text


def test_names_of_apps_are_text_and_no_markup() -> None:
    assert "app:[red]x" in shown(*both(later(label="app:[red]x")), terminal=True)


@pytest.mark.parametrize("width", [80, 88, 104, 120])
def test_table_shows_whole_numbers_at_every_width(width: int) -> None:
    text = shown(*both(later(label="bundlemgrd", cpu_ticks=2100, messages=99_999)), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert ("cpu all" in text) == (width >= 88)
    assert ("█" in text) == (width >= 104)


def test_json_is_plain_values() -> None:
    rows, totals = both(later(heap=None))
    found = json.loads(json.dumps(to_json("run-1", "default", totals, rows)))
    assert found["machine"] == "run-1"
    assert found["idle"] == 40.0
    [process] = found["processes"]
    assert (process["label"], process["restarts"], process["heap"]) == ("rngd", 0, None)
    assert process["stack"] == {"used": 512, "total": 8192}


# ---- heap and stack --------------------------------------------------------------------------------------------------

HEAP, SIZE, BLOCK = 0x2000, 0x1000, 32
TABLE = 16
POOL_BYTES = TABLE * BLOCKS_A_BYTE * BLOCK


class Mapped:
    """A process whose interpreter says these words of its heap."""

    def __init__(self, words: tuple[int, int, int, int], marks: bytes = bytes(TABLE)) -> None:
        self.words, self.marks = words, marks

    def __call__(self, address: int, size: int) -> bytes | None:
        if address < 4:
            return self.words[address].to_bytes(8, "little")
        return self.marks if size == TABLE else None


STATED = (HEAP, TABLE, HEAP + SIZE - POOL_BYTES, HEAP + SIZE)
PLACES = Interpreter((0, 1, 2, 3))


def test_heap_counts_heads_tails_and_marked_blocks() -> None:
    marks = bytes([0b01, 0b1001_0000, 0b11]) + bytes(TABLE - 3)
    assert heap_of(Mapped(STATED, marks), PLACES, HEAP, SIZE) == Use(4 * BLOCK, POOL_BYTES)


OUTSIDE = {
    "nothing_yet": (0, 0, 0, 0),
    "table_before_it": (HEAP - 1, TABLE, *STATED[2:]),
    "no_table": (HEAP, 0, *STATED[2:]),
    "table_without_end": (HEAP, 1 << 60, *STATED[2:]),
    "pool_over_the_table": (*STATED[:2], HEAP, HEAP + SIZE),
    "pool_beyond_it": (*STATED[:3], HEAP + SIZE + POOL_BYTES),
    "pool_backwards": (*STATED[:2], STATED[3], STATED[2]),
    "pool_of_no_blocks": (*STATED[:2], STATED[2] + 1, STATED[3]),
}


@pytest.mark.parametrize("words", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_heap_that_lies_outside_what_the_kernel_gave_is_none(words: tuple[int, int, int, int]) -> None:
    assert heap_of(Mapped(words), PLACES, HEAP, SIZE) is None


def test_heap_that_is_not_mapped_is_none() -> None:
    assert heap_of(lambda _address, _size: None, PLACES, HEAP, SIZE) is None


def test_stack_is_what_was_written_from_its_top_on() -> None:
    assert stack_of(lambda _address, size: bytes(size - 100) + b"\1" + bytes(99), 0x1000, 512) == Use(100, 512)
    assert stack_of(lambda _address, size: bytes(size), 0x1000, 512) == Use(0, 512)


# ---- memory ----------------------------------------------------------------------------------------------------------


class Ram:
    """Notes what is fetched of it."""

    def __init__(self) -> None:
        self.fetched: list[tuple[int, int]] = []

    def __call__(self, address: int, size: int) -> bytes:
        self.fetched.append((address, size))
        return b"".join((address + at).to_bytes(8, "little") for at in range(0, size, 8))


def test_memory_is_fetched_once_and_in_whole_pages() -> None:
    ram = Ram()
    memory = Memory(ram, [])
    assert memory(PAGE - 8, 16) == (PAGE - 8).to_bytes(8, "little") + PAGE.to_bytes(8, "little")
    assert memory(8, 8) == (8).to_bytes(8, "little")
    assert ram.fetched == [(0, 2 * PAGE)]


def test_next_look_fetches_ahead_what_this_one_has_read() -> None:
    first = Memory(Ram(), [(0, 64 * PAGE)])
    first(2 * PAGE, 8)
    first(60 * PAGE, 8)
    ram = Ram()
    second = Memory(ram, first.pieces)
    second(60 * PAGE, 8)
    assert ram.fetched == [(2 * PAGE, PAGE), (60 * PAGE, PAGE)]


def test_pieces_bridge_small_gaps_only() -> None:
    near, far = 1 + GAP_PAGES, 2 + 2 * GAP_PAGES
    assert pieces_of([1, near, far]) == [(PAGE, near * PAGE), (far * PAGE, PAGE)]
    assert pieces_of([]) == []


# ---- files -----------------------------------------------------------------------------------------------------------


def test_folder_that_is_not_there_is_told_before_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--report: there is no folder .*/none"):
        check_target(tmp_path / "none" / "out.html", "--report")
    with pytest.raises(UsageError, match="is a folder"):
        check_target(tmp_path, "--report")
    check_target(tmp_path / "out.html", "--report")
    check_target(None, "--report")


@pytest.mark.parametrize(
    ("whole", "locked", "refused"),
    [(True, "folder", True), (True, "file", False), (False, "folder", False), (False, "file", True)],
)
def test_file_that_is_replaced_needs_its_folder_and_another_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool, locked: str, refused: bool
) -> None:
    """As /dev/null does. Who runs the tests may be root, who can write everywhere."""
    out = tmp_path / "out"
    out.touch()
    place = {"folder": tmp_path, "file": out}[locked]
    monkeypatch.setattr("nexus.views.files.os.access", lambda path, _mode: path != place)
    with pytest.raises(UsageError, match=f"nothing can be written to {place}$") if refused else nullcontext():
        check_target(out, "--json", whole=whole)


def test_file_is_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    out.write_text("old")
    write_whole(out, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]
    assert out.read_text() == "new"
