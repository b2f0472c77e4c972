"""`nexus console` as a person sees it, on a real terminal's screen, at a machine whose guest is the test."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakemachine import FakeMachine, words
from tmuxscreen import Screen

from nexus.machine.consolelayout import LOG_ROWS, Layout, Place

PROMPT = b"\x1b[32mnexus>\x1b[0m "
MENU = "Ctrl-] menu"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[FakeMachine]:
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
        machine = FakeMachine(tmp_path, Path(folder))
        machine.guest.sendall(b"".join(b"line %d\r\n" % number for number in range(40)) + PROMPT)
        machine.log("rngd: served")
        machine.log("policyd: deny (subject=shell action=rng.draw)")
        yield machine
        machine.close()


@contextmanager
def at(machine: FakeMachine, *arguments: str, rows: int = 24) -> Iterator[Screen]:
    """A person who sees all that there is to be seen."""
    with Screen(words(machine.root, *arguments), rows=rows) as screen:
        screen.shows("nexus>")
        if rows >= LOG_ROWS:
            screen.shows("subject=shell")
        yield screen


def test_terminal_log_and_status_have_their_places_and_change_them(machine: FakeMachine) -> None:
    with at(machine) as screen:
        assert screen.row("line 39") + 1 == screen.row("nexus>") < screen.row(MENU) < screen.row("rngd: served")
        screen.press("C-]", "l")
        screen.until(lambda: 0 <= screen.row("rngd: served") < screen.row(MENU) < screen.row("nexus>"), "the log above")
        assert screen.row("line 39") + 1 == screen.row("nexus>") == 23
        screen.press("C-]", "l")
        screen.hides("rngd: served")
        assert screen.row(MENU) == 23
        screen.press("C-]", "l")
        screen.shows("rngd: served")
        screen.press("C-]", "q")
        assert screen.left() == 0
        assert screen.row(MENU) < 0


def test_guest_stays_within_its_region(machine: FakeMachine) -> None:
    with at(machine) as screen:
        status = screen.row(MENU)
        machine.guest.sendall(b"\x1b[2J\x1b[H\x1b[999Btop of nothing\x1b[999;1Hbottom\x1b[99B\x1b[3Cbeside")
        screen.shows("beside")
        assert screen.row("beside") == status - 1
        screen.shows("rngd: served")
        machine.guest.sendall(b"\x1b]0;title\x07\x1b[?1049h\x1b[1;24r\x1b[6n\x1b[cstill here")
        screen.shows("still here")
        assert screen.row(MENU) == status
        machine.guest.sendall(b"\x1b[99A\x1b[1Gfirst row")
        screen.until(lambda: screen.row("first row") == 0, "the first row")
        screen.type("q")
        assert machine.typed(1) == b"q"  # and no answer of the terminal to what the guest asked it
        screen.press("C-]", "q")
        assert screen.left() == 0


def test_every_key_but_one_is_the_guests(machine: FakeMachine) -> None:
    with at(machine, "--escape", "ctrl-t") as screen:
        screen.shows("Ctrl-T menu")
        screen.press("C-a", "C-c", "C-d", "C-z", "C-\\", "C-]", "C-s", "C-q", "Tab", "Enter", "Up", "C-t", "C-t")
        assert machine.typed(14) == b"\x01\x03\x04\x1a\x1c\x1d\x13\x11\t\r\x1b[A\x14"[:14]
        screen.press("C-t", "q")
        assert screen.left() == 0


def test_log_by_service_with_times_and_help(machine: FakeMachine) -> None:
    with at(machine) as screen:
        screen.press("C-]", "f")
        screen.shows("show the log of")
        screen.type("rn")
        screen.press("Tab", "Enter")
        screen.shows("log of rngd")
        assert screen.row("subject=shell") < 0
        screen.press("C-]", "t")
        screen.shows("[    1.500] rngd: served")
        machine.log("rngd: one more")
        screen.shows("one more")
        screen.press("C-]", "?")
        screen.shows("leave; the machine stays up")
        screen.press("C-]", "?")
        screen.hides("leave; the machine stays up")
        screen.press("C-]", "q")
        assert screen.left() == 0


def resize(screen: Screen, columns: int, rows: int) -> None:
    divided = Layout.of(rows, columns, Place.BELOW)
    screen.resize(columns, rows)
    screen.until(lambda: screen.row(MENU) == divided.status - 1, "the new size")
    assert screen.row("line 39") + 1 == screen.row("nexus>") == divided.bottom - 1


def test_new_size_is_taken_at_once(machine: FakeMachine) -> None:
    with at(machine) as screen:
        for columns, rows in ((100, 40), (60, 12), (80, 24)):
            resize(screen, columns, rows)
            screen.shows("rngd: served")
        screen.press("C-]", "q")
        assert screen.left() == 0


def test_one_that_comes_back_sees_what_was_before(machine: FakeMachine) -> None:
    with at(machine) as screen:
        screen.press("C-]", "q")
        assert screen.left() == 0
    machine.guest.sendall(b"meanwhile\r\n" + PROMPT)
    with at(machine) as screen:
        screen.shows("meanwhile")
        assert screen.row("line 39") >= 0


def test_terminal_is_clean_when_the_machine_is_killed(machine: FakeMachine) -> None:
    with at(machine) as screen:
        machine.guest.sendall(b"\x1b[31mlast words")
        machine.die()
        assert screen.left() == 6
        assert screen.row("last words") < screen.row("ended with signal 9") < screen.row("left with")
        assert screen.row(MENU) < 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGHUP, 130)])
def test_terminal_is_clean_when_it_is_told_to_end(machine: FakeMachine, number: signal.Signals, code: int) -> None:
    with at(machine) as screen:
        os.kill(screen.process, number)
        assert screen.left() == code


def test_terminal_is_taken_again_after_a_stop(machine: FakeMachine) -> None:
    with at(machine) as screen:
        os.kill(screen.process, signal.SIGSTOP)
        machine.guest.sendall(b"while it was stopped")
        os.kill(screen.process, signal.SIGCONT)
        screen.shows("while it was stopped")
        screen.type("x")
        assert machine.typed(1) == b"x"
        screen.press("C-]", "q")
        assert screen.left() == 0


def test_small_screen_is_the_terminal_alone(machine: FakeMachine) -> None:
    with at(machine, rows=10) as screen:
        assert screen.row("nexus>") == 8
        assert screen.row("rngd: served") < 0
        screen.press("C-]", "l")
        screen.shows("subject=shell")
        screen.press("C-]", "q")
        assert screen.left() == 0
