"""`nexus console` in a real terminal at a real machine: type, complete, interrupt, pause, look at the trail, leave, come back, and lose it.

One machine of the default system serves all tests but the last, in which it is killed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
from tmuxscreen import Screen

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.argv import parse_rng
from nexus.machine.consolelayout import Layout, Place
from nexus.machine.registry import live_machines
from nexus.machine.session import Session
from nexus.machine.target import launch_of, prepare
from nexus.plugin import Boot

ROOT = find_root()
MARKER = next(f"{row.label}: {row.text}" for row in reversed(load_contract(contract_dir(ROOT)).markers) if row.text)
COMMAND = [sys.executable, "-P", "-m", "nexus", "console"]
ENVIRON = {"PYTHONPATH": str(ROOT / "tooling")}
SHORT = "nexus>"  # what of the prompt has one colour
PROMPT = f"{SHORT} "
MENU = "Ctrl-] menu"
SECONDS = 30.0
LAYOUT = Layout.of(30, 80, Place.BELOW)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    contract = load_contract(contract_dir(ROOT))
    target = prepare(ROOT, "default", build=True, progress=lambda _text: None)
    with Session(ROOT, target.system, launch_of(target, contract, rng=parse_rng(""))) as session:
        yield session


@contextmanager
def at(session: Session) -> Iterator[Screen]:
    """A person at the shell's prompt."""
    with Screen([*COMMAND, "--machine", session.run.id], rows=LAYOUT.rows, environ=ENVIRON) as screen:
        screen.shows(MENU)
        screen.until(lambda: at_prompt(screen), "the prompt")
        yield screen


def at_prompt(screen: Screen) -> bool:
    """Whether the last that the terminal shows is an empty prompt."""
    said = [row for row in screen.rows[: LAYOUT.bottom] if row.strip()]
    return bool(said) and said[-1].strip() == SHORT


def leave(screen: Screen) -> None:
    screen.press("C-]", "q")
    assert screen.left() == 0


def run(screen: Screen, line: str) -> None:
    screen.type(line)
    screen.press("Enter")


# ---- a person --------------------------------------------------------------------------------------------------------


def test_line_is_completed_edited_and_run(session: Session) -> None:
    with at(session) as screen:
        screen.type("upt")
        screen.press("Tab")
        screen.shows(f"{PROMPT}uptime")
        screen.type("xy")
        screen.press("BSpace", "BSpace", "Enter")
        screen.until(lambda: at_prompt(screen), "the answer")
        assert any(re.search(r"\d", row) for row in screen.rows[screen.row("uptime") + 1 : screen.row(MENU)])
        leave(screen)


def test_loop_is_interrupted(session: Session) -> None:
    with at(session) as screen:
        run(screen, "repl")
        screen.shows(">>>")
        run(screen, "while True: print(6 * 7, 'on')")
        screen.press("Enter")
        screen.shows("42 on")
        screen.press("C-c")
        screen.shows("KeyboardInterrupt")
        run(screen, "print(7 * 8, 'done')")
        screen.shows("56 done")
        run(screen, "exit()")
        screen.until(lambda: at_prompt(screen), "the prompt")
        leave(screen)


def test_machine_stays_up_and_one_who_comes_back_sees_what_was(session: Session) -> None:
    with at(session) as screen:
        run(screen, "mem")
        screen.until(lambda: at_prompt(screen) and screen.row(f"{PROMPT}mem") >= 0, "the answer")
        leave(screen)
    assert session.wait(0) is None
    with at(session) as screen:
        screen.shows(f"{PROMPT}mem")
        leave(screen)


def test_what_is_typed_and_printed_is_not_in_the_log_and_the_log_not_in_the_terminal(session: Session) -> None:
    with at(session) as screen:
        run(screen, MARKER)
        screen.until(lambda: at_prompt(screen), "the prompt")
        leave(screen)
    log = "\n".join(seen.data.decode() for seen in session.console.lines())
    assert MARKER not in log
    assert "nexus>" not in log
    assert b"init: " not in session.run.terminal.read_bytes()


def test_paused_machine_says_so_and_goes_on(session: Session) -> None:
    with at(session) as screen:
        screen.press("C-]", "p")
        screen.shows("PAUSED")
        screen.type("upt")
        status = session.qmp.execute("query-status")
        assert isinstance(status, dict)
        assert status["status"] == "paused"
        assert screen.row(f"{PROMPT}upt") < 0
        screen.press("C-]", "p")
        screen.hides("PAUSED")
        screen.shows(f"{PROMPT}upt")  # typed meanwhile, and not lost
        screen.press("C-c")
        screen.until(lambda: at_prompt(screen), "the prompt")
        leave(screen)


def test_refusal_is_seen_in_the_trail_beside_it(session: Session) -> None:
    with at(session) as screen:
        run(screen, "rng 16")
        screen.shows("DENIED")
        screen.press("C-]", "a")
        screen.until(lambda: any("shell" in row and " deny " in row for row in screen.rows), "the refusal in the trail")
        screen.press("C-]", "a")
        screen.shows("policyd: deny (subject=shell")
        leave(screen)


def test_reset_begins_anew(session: Session) -> None:
    with at(session) as screen:
        boots = session.console.count
        screen.press("C-]", "r")
        screen.shows("the machine was reset")
        assert session.console.line(boots, SECONDS) is not None
        screen.until(lambda: at_prompt(screen), "the prompt")
        leave(screen)
    assert session.wait(0) is None


# ---- a script --------------------------------------------------------------------------------------------------------


def test_script_talks_to_the_shell(session: Session) -> None:
    steps = ["--send", r"uptime\r", "--expect", r"up \d[^\n]*\n", "--expect", SHORT, "--forbid", "Trace"]
    words = [*COMMAND, "--machine", session.run.id, *steps]
    environ = {**os.environ, **ENVIRON}
    done = subprocess.run(
        words, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"up " in done.stdout


def test_fixture_talks_to_the_shell(boot: Boot) -> None:
    machine = boot("default")
    machine.terminal.expect(SHORT)
    machine.terminal.send("uptime\r")
    machine.terminal.expect(r"up \d[^\n]*\n")
    machine.terminal.expect(SHORT)


def machines_of(pid: int) -> set[str]:
    """Live machines that this process has started; other tests have theirs at the same time."""
    return {record.id for record in live_machines(ROOT) if parent_of(record.pid) == pid}


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:  # it has ended
        return 0


def test_machine_of_its_own_begins_and_ends_with_it(session: Session, tmp_path: Path) -> None:
    assert session.run.id in {record.id for record in live_machines(ROOT)}
    log = tmp_path / "log"
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "--new", "--system", session.system, "--log", str(log)],
        env={**os.environ, **ENVIRON},
        timeout=SECONDS,
    )
    child.expect_exact(MENU)
    child.expect_exact(SHORT)
    mine = machines_of(child.pid)
    assert len(mine) == 1
    child.send("\x1dq")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert mine.isdisjoint(record.id for record in live_machines(ROOT))
    assert SHORT.encode() in log.read_bytes()


# ---- the last --------------------------------------------------------------------------------------------------------


def test_terminal_is_clean_when_the_emulator_is_killed(session: Session) -> None:
    with at(session) as screen:
        run(screen, "repl")
        screen.shows(">>>")
        run(screen, "while True: print('\\x1b[31mred')")
        screen.press("Enter")
        screen.shows("red")
        os.kill(session.pid, signal.SIGKILL)
        assert session.wait(SECONDS) is not None
        assert screen.left() == 6
        assert screen.row("signal 9") >= 0
