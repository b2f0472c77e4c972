"""The pipes to a machine's UART: room for a reader that lags, and an end that comes when the machine ends, not before it began."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.machine.uart import Uart

LAG = 60_000  # single bytes, as QEMU's UART writes them


@pytest.fixture
def uart(tmp_path: Path) -> Iterator[Uart]:
    made = Uart(tmp_path / "uart")
    yield made
    made.close()


def machine_end(uart: Uart) -> int:
    return os.open(f"{uart.path}.out", os.O_RDWR | os.O_NONBLOCK)


def test_machine_prints_on_while_its_reader_lags(uart: Uart) -> None:
    end = machine_end(uart)
    for _ in range(LAG):
        assert os.write(end, b"x") == 1
    assert len(os.read(uart.output, 2 * LAG)) == LAG
    os.close(end)


def test_no_end_is_read_before_the_machine_has_begun(uart: Uart) -> None:
    with pytest.raises(BlockingIOError):
        os.read(uart.output, 1)
    end = machine_end(uart)
    uart.connected()
    with pytest.raises(BlockingIOError):
        os.read(uart.output, 1)
    os.write(end, b"last words")
    os.close(end)
    assert os.read(uart.output, 100) == b"last words"
    assert os.read(uart.output, 100) == b""


def test_names_can_go_once_they_are_open(uart: Uart, tmp_path: Path) -> None:
    end = machine_end(uart)
    uart.forget()
    uart.forget()
    assert list(tmp_path.iterdir()) == []
    os.write(end, b"x")
    assert os.read(uart.output, 1) == b"x"
    os.close(end)


def test_typed_bytes_reach_the_machine(uart: Uart) -> None:
    end = os.open(f"{uart.path}.in", os.O_RDWR | os.O_NONBLOCK)
    os.write(uart.input, b"typed")
    assert os.read(end, 100) == b"typed"
    os.close(end)
