"""What the shell's prompt keeps and completes: ways to services over soft resets, each in one slot; what Tab puts in place of a word."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from shims.screen import Screen
from shims.shellworld import Shell, plain

# ---- ways ------------------------------------------------------------------------------------------------------------


def test_ways_outlive_the_interpreter_and_take_up_a_slot_once(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.said("rng")
    before = len(one.machine.process("shell").caps)
    for _ in range(10):
        one.said("rng")
    assert len(one.machine.process("shell").caps) == before


@pytest.mark.parametrize("kept", [b"\xff" * 64, b"\x00\x01\x00\x00" * 16, bytes(range(64))])
def test_handles_that_a_program_has_written_over_are_not_believed(kept: bytes, shell: Callable[..., Shell]) -> None:
    """None that there is, or none to an endpoint: init is asked anew."""
    one = shell()
    one.terminal.kept[:64] = kept
    assert re.fullmatch("[0-9a-f]{32}", one.said("rng")[0])


def test_handle_to_somebody_else_is_no_good_there(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.terminal.kept[:64] = one.machine.handle("shell", "INIT").to_bytes(4, "little") * 16
    assert one.said("rng")[0].startswith(("REFUSED", "DENIED"))
    assert one.said("uptime")[0].startswith("up ")


# ---- completion ------------------------------------------------------------------------------------------------------

COMPLETIONS = [
    ("up", "uptime "),
    ("help ex", "help exec "),
    ("pol", "policy "),
    ("policy ", "policy check "),
    ("policy check rng", "policy check rng.entropy "),
    ("policy check route rn", "policy check route rngd "),
    ("policy check crypto.sign sa", "policy check crypto.sign sample "),
    ("sign at", "sign attest "),
    ("key m", "key make "),
    ("audit ", "audit all "),
    ("log w", "log warning "),
    ("caps keys", "caps keystored "),
    ("exec dev", "exec dev.hello "),
    ("kill sel", "kill selftest.stay "),
    ("uptime ", "uptime "),
    ("nonsense x", "nonsense x"),
]


@pytest.mark.parametrize(("typed", "line"), COMPLETIONS)
def test_tab_completes(typed: str, line: str, shell: Callable[..., Shell]) -> None:
    shown = plain(shell().type(typed.encode() + b"\t"))
    screen = Screen(lambda _character: 1)
    screen.write(shown.encode())
    assert screen.line == f"nexus> {line}"


def test_completion_takes_a_refusal_for_an_answer_and_asks_once(shell: Callable[..., Shell]) -> None:
    one = shell()
    for _ in range(5):
        one.machine.crash("bundlemgrd", one.contract.FAULT_MEMORY)
        one.machine.settle()
    before = one.machine.calls
    screen = Screen(lambda _character: 1)
    screen.write(one.type(b"exec d\t").encode())
    asked = one.machine.calls - before
    assert (screen.line, screen.bells) == ("nexus> exec d", 1)
    one.type(b"exec d\t\t\t\t")
    assert one.machine.calls - before == 2 * asked
