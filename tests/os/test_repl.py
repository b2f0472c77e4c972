"""MicroPython's prompts on the terminal of a booted system, byte for byte as run-tests.py and mpremote expect them, and what survives them.

Scenario: one default system for all tests; each begins and ends in the raw prompt. What it says is compared whole: a byte of the log on the
terminal, or one too many from the shell, fails.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from nexus.contract.load import load_contract
from nexus.image.build import build_image
from nexus.layout import contract_dir, find_root

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
SECONDS = 30
RAW = b"raw REPL; CTRL-B to exit\r\n>"
REBOOT = b"MPY: soft reboot\r\n"
BANNER = b'MicroPython v1.25.0 on 2025-04-15; nexus with rv64imac\r\nType "help()" for more information.\r\n>>> '
INTERRUPTED = b"KeyboardInterrupt: \r\n"


class Line:
    """The terminal as two pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin and process.stdout
        self._input, self._output = process.stdin, process.stdout.fileno()
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._output, selectors.EVENT_READ)
        self._seen = b""

    def send(self, data: bytes) -> None:
        self._input.write(data)
        self._input.flush()

    def until(self, end: bytes) -> bytes:
        """Everything up to these bytes; what follows is for the next who looks."""
        stop = time.monotonic() + SECONDS
        while end not in self._seen:
            left = stop - time.monotonic()
            assert left > 0 and self._ready.select(left), f"{end!r} did not come: {self._seen[-300:]!r}"
            piece = os.read(self._output, 65536)
            assert piece, f"the terminal ended: {self._seen[-300:]!r}"
            self._seen += piece
        before, _, self._seen = self._seen.partition(end)
        return before + end

    def ask(self, data: bytes, answer: bytes) -> None:
        """Type, and compare all that comes."""
        self.send(data)
        assert self.until(answer) == answer

    def run(self, script: str) -> bytes:
        """What a script in the raw prompt prints, and its error."""
        self.send(script.encode() + b"\x04")
        seen = self.until(b"\x04>")
        assert seen.startswith(b"OK")
        printed, error, _ = seen[2:].split(b"\x04")
        return printed + error


@pytest.fixture(scope="module")
def console() -> Iterator[Line]:
    build_image("default", ROOT, lambda _text: None)
    argv = [sys.executable, "-P", "-m", "nexus", "console", "--new", "--system", "default"]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            line = Line(process)
            line.until(b"nexus>\x1b[0m ")
            line.send(b"\r\x03\r\x01")
            line.until(RAW)
            yield line
        finally:
            process.terminate()


@pytest.fixture
def line(console: Line) -> Line:
    """In the raw prompt, with nothing of the test before."""
    console.ask(b"\x04", b"OK\r\n" + REBOOT + RAW)
    return console


def test_raw_prompt_answers_as_written_down(line: Line) -> None:
    line.ask(b"print(3)\x04", b"OK3\r\n\x04\x04>")
    error = b'Traceback (most recent call last):\r\n  File "<stdin>", line 1, in <module>\r\nZeroDivisionError: divide by zero\r\n'
    line.ask(b"1/0\x04", b"OK\x04" + error + b"\x04>")
    line.ask(b"raise SystemExit\x04", b"OK\x04\x04" + REBOOT + RAW)
    line.ask(b"dropped\x03print(4)\x04", b"OK4\r\n\x04\x04>")
    line.ask(b"\x01", RAW)


def test_raw_paste_takes_a_script_window_by_window(line: Line) -> None:
    window = 128
    script = b"print(len('%s'))\n" % (b"x" * 300)
    line.ask(b"\x05A\x01", b"R\x01" + window.to_bytes(2, "little") + b"\x01")
    for start in range(0, len(script), window):
        piece = script[start : start + window]
        line.send(piece)
        if len(piece) == window:
            line.ask(b"", b"\x01")
    line.ask(b"\x04", b"\x04300\r\n\x04\x04>")
    line.ask(b"\x05X\x01", b"R\x00>")


def test_friendly_prompt_pastes_and_resets_and_stays(line: Line) -> None:
    line.ask(b"\x02", b"\r\n" + BANNER)
    line.ask(b"\x05", b"\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
    line.ask(b"if 1:\r    print(5)\r\x04", b"if 1:\r\n===     print(5)\r\n=== \r\n5\r\n>>> ")
    line.ask(b"\x04", b"\r\n" + REBOOT + BANNER)
    line.ask(b"import sys; sys.exit()\r", b"import sys; sys.exit()\r\n" + REBOOT + BANNER)
    line.ask(b"\x01", b"\r\n" + RAW)


def test_exit_goes_back_to_the_systems_prompt_and_ctrl_a_into_the_raw_one(line: Line) -> None:
    line.ask(b"exit()\x04", b"OK\x04")
    assert b"NameError" in line.until(b"\x04>")
    line.ask(b"\x02", b"\r\n" + BANNER)
    line.ask(b"exit()\r", b"exit()\r\n")
    assert b"MPY" not in line.until(b"nexus>\x1b[0m ")
    line.send(b"\x01")
    line.until(RAW)


def test_soft_reset_leaves_neither_names_nor_bytes(line: Line) -> None:
    heap = f"memoryview(uctypes.bytearray_at({CONTRACT.constants['VA_HEAP']}, 204800))"
    count = "sum(bytes(heap[at : at + 50000]).count(b'-'.join([b'keep', b'sake'])) for at in range(0, 204800, 50000))"
    look = f"import uctypes; heap = {heap}; print({count})"
    assert (
        line.run("kept = [b'%s-%s' % (b'keep', b'sake') for _ in range(2000)]; import sys; sys.path.append('more')")
        == b""
    )
    before = line.run(look)
    assert int(before) >= 2000
    line.ask(b"\x04", b"OK\r\n" + REBOOT + RAW)
    assert line.run(look) == b"0\r\n"
    assert b"NameError" in line.run("kept")
    assert line.run("import sys; print(sorted(sys.modules), sys.path)") == b"[] ['', '/rom']\r\n"


@pytest.mark.parametrize(
    "waits",
    [
        "while True: pass",
        "import time; time.sleep(1000)",
        "import time; time.sleep_us(10**10)",
        "input()",
        "import sys; sys.stdin.read(1)",
        "import select, sys; p = select.poll(); p.register(sys.stdin, select.POLLIN); p.poll()",
        "while True: print('x' * 1000)",
    ],
)
def test_ctrl_c_ends_whatever_runs(line: Line, waits: str) -> None:
    line.send(f"print('on')\n{waits}\n".encode() + b"\x04")
    assert line.until(b"on\r\n") == b"OKon\r\n"
    line.send(b"\x03")
    assert line.until(b"\x04>").endswith(INTERRUPTED + b"\x04>")
    assert line.run("print(6)") == b"6\r\n"


def test_script_may_take_ctrl_c_as_a_byte(line: Line) -> None:
    line.send(b"import micropython, sys; micropython.kbd_intr(-1); print('on'); print(ord(sys.stdin.read(1)))\x04")
    line.until(b"on\r\n")
    line.ask(b"\x03", b"3\r\n\x04\x04>")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("x = []\nwhile True: x.append(bytes(1000))", b"MemoryError"),
        ("def f(): f()\nf()", b"RuntimeError: maximum recursion depth exceeded"),
        (
            "x = []\nfor i in range(3000): x = [x]\nprint(repr(x)[:1])",
            b"RuntimeError: maximum recursion depth exceeded",
        ),
        ("import re; re.match('(a|b)*' * 50 + 'c', 'ab' * 3000)", b"RuntimeError"),
        ("eval('(' * 5000)", b"MemoryError"),
    ],
)
def test_exhaustion_is_an_exception(line: Line, script: str, error: bytes) -> None:
    assert error in line.run(script)
    line.ask(b"\x04", b"OK\r\n" + REBOOT + RAW)
    assert line.run("print(7)") == b"7\r\n"


def test_prompt_itself_survives_a_script_larger_than_the_heap(line: Line) -> None:
    """Typed without flow control: it is the prompt that runs out of memory, not a program."""
    line.send(b"#" * 250_000)
    assert b"MemoryError" in line.until(REBOOT + RAW)
    line.send(b"\x03print(8)\x04")
    assert line.until(b"\x04>").endswith(b"OK8\r\n\x04\x04>")
