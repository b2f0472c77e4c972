"""The terminal's driver with a device that lies: it opens exactly the port that is the terminal, by the book and in bounded time, or ends the
shell by the status that says whether another try can help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from shims.console import ALL_PORTS, MULTIPORT, Console, Told, honest
from shims.device import MILLISECOND
from shims.disk import Disk
from shims.machine import Machine

from nexus import layout
from nexus.contract.load import load_contract

CONTRACT = load_contract(layout.contract_dir(layout.find_root()))
PORT, NAME = CONTRACT.number("terminal.port"), b"nexus.terminal"
EVENT, LEAVE = CONTRACT.table("terminal_event"), CONTRACT.table("leave")
LIMIT = CONTRACT.number("limit.terminal_ticks")
OPENED = "import kernel\ndef open(*told):\n    kernel.console('opened ' + ' '.join(str(int(word)) for word in told))\n"
Start = Callable[..., Machine]


@pytest.fixture
def start(machine: Callable[..., Machine]) -> Start:
    """The shell's start alone, on this device, as far as it comes."""

    def run(device: Console, prepare: Callable[[Machine], None] = lambda _made: None) -> Machine:
        made = machine(
            "default",
            devices={"drop": Disk(), "terminal": device},
            sources={"shell": "import start\n"},
            modules={"shell": {"terminal": OPENED}},
        )
        prepare(made)
        made.start("shell")
        made.run()
        return made

    return run


def left(made: Machine) -> int:
    """The status by which it ended, having opened nothing."""
    assert made.said("shell") == []
    process = made.process("shell")
    assert process.fault == made.contract.FAULT_EXIT
    return process.value


def test_port_is_opened_by_the_book(start: Start) -> None:
    device = Console()
    made = start(device)
    names = ("QUEUE_TERMINAL_4", "QUEUE_TERMINAL_5", "QUEUE_TERMINAL_2", "IRQ_TERMINAL", "NOTIFICATION")
    told = " ".join(str(made.handle("shell", name)) for name in names)
    assert made.said("shell") == [f"opened {told} 0"], "nobody has said yet that somebody listens"
    assert [(one.port, one.event, one.value, one.rest) for one in device.heard] == [
        (ALL_PORTS, EVENT["device_ready"], 1, b""),
        (PORT, EVENT["port_ready"], 1, b""),
        (PORT, EVENT["port_open"], 1, b""),
    ]
    assert device.features == MULTIPORT | 1, "and VERSION_1"
    assert [queue.ready for queue in device.queues] == [False, False, True, True, True, True]


def test_each_control_buffer_stays_lent_under_its_own_number(start: Start) -> None:
    device = Console()
    start(device)
    queue = device.queues[CONTRACT.number("terminal_queue.control_receive")]
    at, size = CONTRACT.number("terminal.control_at"), CONTRACT.number("terminal.control_bytes")
    lent = queue.posted | {number: (at + number * size, size) for number, _ in queue.done}
    assert lent == {number: (at + number * size, size) for number in range(CONTRACT.number("terminal.control_buffers"))}


def before(*more: Told) -> Callable[[Told, list[Told]], list[Told]]:
    return lambda _message, answers: [*more, *answers] if answers else []


@pytest.mark.parametrize(
    ("nature", "connected"),
    [
        (before(Told(PORT, EVENT["port_open"], 1)), 1),
        (before(Told(PORT, EVENT["port_open"], 1), Told(PORT, EVENT["port_open"], 0)), 0),
        (before(Told(PORT + 1, EVENT["port_open"], 1)), 0),
        (before(Told(PORT + 1, EVENT["port_add"]), Told(PORT + 1, EVENT["port_remove"])), 0),
        (before(Told(PORT, EVENT["resize"], 1, bytes(4)), Told(PORT, 0xFFFF, 0xFFFF)), 0),
        (before(Told(ALL_PORTS, EVENT["port_name"], 1, NAME)), 0),
    ],
    ids=["connected", "and gone", "another port's", "another port", "what is not asked for", "no port's name"],
)
def test_what_else_is_said_does_not_open_or_keep_it_from_opening(
    start: Start, nature: Callable[[Told, list[Told]], list[Told]], connected: int
) -> None:
    (line,) = start(Console(nature)).said("shell")
    assert line.split()[-1] == str(connected)


@pytest.mark.parametrize(
    "bad",
    [
        {"present": False},
        {"version": 1},
        {"kind": 4},
        {"ports": PORT},
        {"offered": 0},
        {"name": b"nexus.terminals"},
        {"name": b"nexus.termina"},
        {"name": b""},
    ],
    ids=["absent", "legacy", "wrong id", "one port", "no control", "longer name", "shorter name", "no name"],
)
def test_device_that_is_no_terminal_is_not_tried_again(start: Start, bad: dict[str, Any]) -> None:
    assert left(start(Console(**bad))) == LEAVE["final"]


def silent_at(event: str) -> Callable[[Told, list[Told]], list[Told]]:
    return lambda message, answers: [] if message.event == EVENT[event] else answers


def of_another_port(_message: Told, answers: list[Told]) -> list[Told]:
    return [replace(answer, port=PORT + 1) for answer in answers]


@pytest.mark.parametrize("nature", [silent_at("device_ready"), silent_at("port_ready"), of_another_port])
def test_device_that_does_not_come_to_the_point_is_given_its_time_and_another_try(
    start: Start, nature: Callable[[Told, list[Told]], list[Told]]
) -> None:
    made = start(Console(nature))
    assert left(made) == LEAVE["failed"]
    assert LIMIT <= made.now <= LIMIT + 100 * MILLISECOND


def test_device_that_never_stops_talking_does_not_keep_the_shell_busy(start: Start) -> None:
    """There is another message each time that one has been read; it takes the device no time, and the driver a millisecond."""
    device = Console(silent_at("device_ready"))

    def talk(made: Machine, fire: Callable[[], None] = device.fire) -> None:
        def one_more() -> None:
            if device.heard and made.now < 3 * LIMIT:
                made.now += MILLISECOND
                device.owed.append((made.now, Told(PORT, EVENT["resize"])))
            fire()

        device.fire = one_more  # type: ignore[method-assign]

    made = start(device, talk)
    assert left(made) == LEAVE["failed"]
    assert LIMIT <= made.now <= LIMIT + 100 * MILLISECOND


@pytest.mark.parametrize("used", [0, 7])
def test_message_that_is_too_short_to_be_one_is_none(start: Start, used: int) -> None:
    """Whatever lies in memory where the rest of it would be."""
    short = Told(PORT, EVENT["port_add"], used=used)
    device = Console(lambda message, answers: [short] if message.event == EVENT["device_ready"] else answers)
    assert left(start(device)) == LEAVE["final"]


def test_name_that_is_cut_off_is_not_read_on_from_memory(start: Start) -> None:
    """The window still holds what an earlier message left there; only what this one brought is its name."""
    shortened = [replace(Told(PORT, EVENT["port_name"], 1, NAME), used=8 + len(NAME) - 1)]
    device = Console(lambda message, answers: shortened if message.event == EVENT["port_ready"] else answers)
    assert left(start(device)) == LEAVE["final"]


def test_port_that_is_taken_away_is_not_opened(start: Start) -> None:
    device = Console(before(Told(PORT, EVENT["port_remove"])))
    assert left(start(device)) == LEAVE["failed"]


def test_device_that_was_reset_behind_its_back_is_broken(start: Start) -> None:
    device = Console(honest)

    def reset(_message: Told, _answers: list[Told]) -> list[Told]:
        device.reset_by_host()
        return []

    device.answers = reset
    assert left(start(device)) == LEAVE["final"]
