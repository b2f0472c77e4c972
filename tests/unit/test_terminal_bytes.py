"""The shell's byte path (firmware/runtime/terminal.c), compiled for this computer under ASan and UBSan.

Scenario: a program with a kernel and a device of its own (tests/terminal) does what the lines it is sent say: what is typed, read,
written, told and when the device is slow, in any order. Nothing may be lost, doubled, changed or overrun, whatever that order is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = load_contract(ROOT / "recipes" / "contract")
FIRMWARE = ROOT / "firmware"
HOST = ROOT / "tests" / "terminal"
RING, BUFFER = CONTRACT.number("terminal.ring_bytes"), CONTRACT.number("terminal.receive_bytes")
PORT, EVENT = CONTRACT.number("terminal.port"), CONTRACT.table("terminal_event")
FAILED = f"exit {CONTRACT.number('leave.failed')}"
CTRL_C = 3


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    emit_contract(CONTRACT, folder)
    flags = "-std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover".split()
    includes = [f"-I{path}" for path in (folder, HOST, FIRMWARE / "runtime", FIRMWARE / "include")]
    sources = [HOST / "terminal_host.c", FIRMWARE / "runtime" / "terminal.c"]
    built = folder / "terminal"
    subprocess.run(["cc", *flags, *includes, "-o", built, *sources], check=True)
    return built


def told(program: Path, lines: Iterable[str]) -> list[str]:
    """What it answered, line by line; the sanitizers' word is an error."""
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run([program], input=text, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def pattern(count: int, start: int = 0) -> bytes:
    """Bytes of which any two pieces differ, none of them Ctrl-C."""
    return b"".join((start + i).to_bytes(4, "big").replace(b"\x03", b"\xf3") for i in range(-(-count // 4)))[:count]


def test_typed_bytes_come_in_their_order_once_there_is_room(program: Path) -> None:
    data = pattern(3 * RING)
    answers = told(program, [f"t {data.hex()}", "p", f"r {RING // 2}", *["r 5000"] * 20])
    assert bytes.fromhex("".join(answers[1:])) == data


def test_device_is_lent_no_more_than_the_ring_can_take(program: Path) -> None:
    """Single bytes, as they are typed, use up whole buffers: what would then come at once has to fit all the same."""
    lines = ["n 1", f"t {pattern(2).hex()}", "p", f"n {BUFFER}", f"t {pattern(2 * RING, 5).hex()}", "p", "r 2"]
    answers = told(program, [*lines, *[f"r {RING}"] * 3])
    assert bytes.fromhex("".join(answers[2:])) == pattern(2) + pattern(2 * RING, 5)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("t"), st.integers(1, RING)),
        st.tuples(st.just("r"), st.integers(1, RING)),
        st.tuples(st.just("n"), st.integers(1, BUFFER)),
        st.tuples(st.just("w"), st.integers(1, 3 * BUFFER)),
        st.tuples(st.just("p"), st.just(0)),
        st.tuples(st.just("s"), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_nothing_is_lost_doubled_or_changed_in_any_order(program: Path, steps: list[tuple[str, int]]) -> None:
    typed = written = b""
    lines: list[str] = []
    reads: list[str] = []
    for kind, count in [*steps, ("n", BUFFER), *[("r", RING)] * (RING * 25 // BUFFER)]:
        piece = pattern(count, len(typed) + len(written) + len(lines))
        typed += piece if kind == "t" else b""
        written += piece if kind == "w" else b""
        lines.append(f"{kind} {piece.hex() if kind in 'tw' else count}")
        reads += [kind] if kind in "rwp" else []
    answers = told(program, [*lines, "o"])
    assert bytes.fromhex("".join(answer for kind, answer in zip(reads, answers, strict=False) if kind == "r")) == typed
    assert bytes.fromhex(answers[-1]) == written


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------


def test_interrupt_character_is_a_byte_like_others_where_there_is_none(program: Path) -> None:
    assert told(program, ["t 610362", "r 9", "k"]) == ["610362", "0"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_interrupt_character_interrupts_and_is_not_read(program: Path, before: bool) -> None:
    """Also if it came, and was taken in, before there was anything to interrupt."""
    lines = ["t 610362", "p", f"i {CTRL_C}"] if before else [f"i {CTRL_C}", "t 610362", "p"]
    assert sorted(told(program, [*lines, "k", "r 9", "k"])) == sorted(["1", "set", "1", "6162", "0"])


def test_ring_full_of_interrupt_characters_is_lent_again(program: Path) -> None:
    """They are taken out, and nobody reads a byte after which buffers would be lent."""
    lines = [f"t {'03' * RING}", "p", f"i {CTRL_C}", "k", "m t 61", "g"]
    assert told(program, lines) == ["1", "set", "1", str(0x61)]


def test_interrupt_is_seen_while_a_script_computes(program: Path) -> None:
    assert told(program, [f"i {CTRL_C}", "t 03", "p", "k"]) == ["set", "0", "1"]


def test_interrupt_gets_through_a_write_that_the_host_does_not_take(program: Path) -> None:
    """What the device has it keeps and prints, whole, before what is written next."""
    first, second = pattern(3 * BUFFER), pattern(10, 9)
    lines = [
        f"i {CTRL_C}",
        "h 1",
        "m t 7803",
        f"w {first.hex()}",
        "k",
        "i -1",
        "m h 0",
        f"w {second.hex()}",
        "r 9",
        "o",
    ]
    answers = told(program, lines)
    assert answers[:3] == ["set", str(len(first)), "1"]
    assert answers[-2:] == ["78", (first[: CONTRACT.number("terminal.send_bytes")] + second).hex()]


def test_interrupt_gets_through_a_write_that_the_host_takes_all_the_time(program: Path) -> None:
    data = pattern(3 * BUFFER)
    answers = told(program, [f"i {CTRL_C}", "t 03", f"w {data.hex()}", "k", "o"])
    assert answers[2] == "1"
    assert answers[3] == data[: CONTRACT.number("terminal.send_bytes")].hex()


def test_nothing_is_written_after_an_interrupt_however_short(program: Path) -> None:
    """Until it has been raised. What is written where there is no interrupt character is nobody's to interrupt."""
    assert told(program, [f"i {CTRL_C}", "t 03", "p", "w 61", "o", "k", "w 62", "o"])[3:] == ["", "1", "1", "62"]
    assert told(program, [f"i {CTRL_C}", "t 03", "p", "i -1", "w 61", "o"])[-1] == "61"


# ---- A slow host, a device that lies ---------------------------------------------------------------------------------


def test_interrupts_come_at_no_rate_at_which_the_kernel_cuts_off(program: Path) -> None:
    """Each byte that is typed and each that is printed interrupts, one after the other without a pause."""
    rate, period = CONTRACT.number("limit.irq_rate"), CONTRACT.number("limit.share_period_ticks")
    answers = told(program, [line for _ in range(rate // 8) for line in ("n 1", "t 61", "w 62", "r 1")] + ["a"])
    acknowledged, ticks = map(int, answers[-1].split())
    assert acknowledged >= rate // 8
    assert acknowledged * period <= ticks * rate


def test_slow_host_makes_the_writer_wait_and_loses_nothing(program: Path) -> None:
    pieces = [pattern(BUFFER + 7, 10), pattern(5, 20), pattern(2 * BUFFER, 30)]
    lines = []
    for piece in pieces:
        lines += ["h 1", "m h 0", f"w {piece.hex()}"]
    assert bytes.fromhex(told(program, [*lines, "h 0", "o"])[-1]) == b"".join(pieces)


def test_input_is_taken_in_while_a_write_waits(program: Path) -> None:
    lines = ["h 1", "w 61", "m t 6263", "m h 0", "w 64", "r 9", "o"]
    assert told(program, lines) == ["1", "1", "6263", "6164"]


def test_waiting_ends_with_the_deadline_or_with_what_came(program: Path) -> None:
    assert told(program, ["z 5", "m t 61", "z 5", "r 1"]) == ["0", "1", "61"]


def test_reader_waits_for_a_byte(program: Path) -> None:
    assert told(program, ["m s ", "m t 61", "g"]) == [str(0x61)]
    assert told(program, ["g"]) == ["waits 0"]


def test_port_says_whether_somebody_listens(program: Path) -> None:
    lines = []
    for value in (1, 0, 1):
        lines += [
            f"d {PORT} {EVENT['port_open']} {value} 8",
            f"d {PORT + 1} {EVENT['port_open']} {1 - value} 8",
            "p",
            "c",
        ]
    assert told(program, lines)[1::2] == ["1", "0", "1"]


def test_messages_find_a_buffer_however_many_come(program: Path) -> None:
    lines = [line for i in range(30) for line in (f"d {PORT} {EVENT['resize']} {i} 64", "p")]
    assert told(program, [*lines, f"d {PORT} {EVENT['port_open']} 1 8", "p", "c"])[-1] == "1"


@pytest.mark.parametrize(
    "lie",
    [
        f"d {PORT} {EVENT['port_open']} 1 7",
        f"d {PORT} {EVENT['port_open']} 1 0",
        f"d {PORT} {EVENT['port_remove']} 1 8",
        "b 1",
    ],
    ids=["short", "empty", "removed", "broken"],
)
def test_device_that_breaks_a_rule_or_takes_the_port_away_ends_the_process(program: Path, lie: str) -> None:
    assert told(program, [lie, "s", "p", "r 1"]) == [FAILED]


def test_message_about_another_port_changes_nothing(program: Path) -> None:
    assert told(program, [f"d {PORT + 1} {EVENT['port_remove']} 1 8", "p", "t 61", "r 1"]) == ["0", "61"]
