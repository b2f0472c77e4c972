"""The real mpremote on the pty of `nexus console --pty`: what people do to a board with it, they can do to the shell of a booted system.

Scenario: one system for all tests; each command of mpremote is a process of its own, as somebody types it. Nothing here is told of nexus but the pty's name.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from nexus.image import romfs
from nexus.image.build import build_image
from nexus.layout import find_root

ROOT = find_root()
MPREMOTE = str(Path(sys.executable).with_name("mpremote"))
SYSTEM = "default"
SECONDS = 60
TEXT = "zwölf\nlines\n"


class Board:
    """A pty behind which there is a MicroPython, as mpremote sees it."""

    def __init__(self, device: str) -> None:
        self.words = [MPREMOTE, "connect", device]

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self.words, *words], capture_output=True, timeout=SECONDS, check=False)

    def say(self, *words: str) -> str:
        """What a command that has to succeed prints."""
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, b""), done
        return done.stdout.decode()


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    build_image(SYSTEM, ROOT, lambda _text: None)
    argv = [sys.executable, "-P", "-m", "nexus", "console", "--new", "--system", SYSTEM, "--pty"]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as console:
        try:
            assert console.stdout is not None
            found = re.fullmatch(rb"(/dev/pts/\d+)\n", console.stdout.readline())
            assert found, "the first line names no pty"
            yield Board(found[1].decode())
        finally:
            console.terminate()


def test_repl_is_the_shells_prompt_and_ctrl_c_ends_an_endless_loop(board: Board) -> None:
    """The first to come to the machine: nothing has put its shell into another mode yet."""
    screen = pexpect.spawn(board.words[0], [*board.words[1:], "repl"], timeout=SECONDS)
    try:
        screen.expect_exact("Use Ctrl-] or Ctrl-x to exit this shell")
        screen.send(b"\r")
        screen.expect("nexus>")
        screen.send(b"repl\r")
        screen.expect("MicroPython v1.25.0 on .*; nexus with rv64imac\r\n")
        screen.expect_exact(">>> ")
        screen.send(b"while True: pass\r\r\r")
        screen.expect_exact("... ")
        screen.send(b"\x03")
        screen.expect_exact("KeyboardInterrupt")
        screen.expect_exact(">>> ")
        screen.send(b"print(6 * 7)\r")
        screen.expect_exact("\r\n42\r\n>>> ")
        screen.send(b"\x1d")
        screen.expect(pexpect.EOF)
    finally:
        screen.close(force=True)
    assert screen.exitstatus == 0


def test_exec_prints_what_the_script_prints(board: Board) -> None:
    assert board.say("exec", "for i in range(3): print(i)") == "0\r\n1\r\n2\r\n"


def test_commands_of_one_connection_share_their_globals(board: Board) -> None:
    assert board.say("exec", "x = 2**70", "eval", "x") == f"{2**70}\r\n"


def test_soft_reset_forgets_the_globals(board: Board) -> None:
    done = board.run("exec", "x = 1", "soft-reset", "eval", "x")
    assert done.returncode == 1
    assert b"NameError: name 'x' isn't defined" in done.stdout + done.stderr


def test_run_takes_a_file_of_the_host(board: Board, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(sys.platform, len(sys.argv))\n", encoding="utf-8")
    assert board.say("run", str(script)) == "nexus 0\r\n"


def test_uncaught_exception_fails_the_command(board: Board) -> None:
    done = board.run("exec", "1/0")
    assert done.returncode == 1
    assert b"ZeroDivisionError: divide by zero" in done.stdout + done.stderr


def test_loop_that_nobody_follows_is_interrupted_by_the_next_command(board: Board) -> None:
    board.say("exec", "--no-follow", "while True: pass")
    assert board.say("eval", "1 + 1") == "2\r\n"


def test_files_of_the_shell_are_those_of_the_image(board: Board, tmp_path: Path) -> None:
    listed = board.say("fs", "ls", ":/rom").splitlines()[1:]
    assert {"main.mpy", "start.mpy", "nexus.mpy"} <= {line.split()[1] for line in listed}
    copy = tmp_path / "copy"
    said = board.say("fs", "sha256sum", ":/rom/main.mpy", "+", "fs", "cp", ":/rom/main.mpy", str(copy))
    content = copy.read_bytes()
    assert hashlib.sha256(content).hexdigest() in said
    packed = ROOT / "build" / SYSTEM / "parts" / "romfs_shell.bin"
    assert content in packed.read_bytes()


def test_text_is_shown_and_nothing_can_be_written(board: Board, tmp_path: Path) -> None:
    """The shell's own files are compiled, so one with text is brought along."""
    image = romfs.pack({"text.txt": TEXT.encode()})
    mount = f"import vfs\nvfs.mount(vfs.VfsRom({image!r}), '/text')"
    assert board.say("exec", mount, "fs", "cat", ":/text/text.txt") == TEXT.replace("\n", "\r\n")
    (tmp_path / "new.py").write_text("1\n", encoding="utf-8")
    done = board.run("fs", "cp", str(tmp_path / "new.py"), ":/rom/new.py")
    assert done.returncode == 1
    assert b"Read-only file system" in done.stderr
