"""What the shell's prompt keeps and completes: ways to services over soft resets, each in one slot; what Tab puts in place of a word."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from shims.screen import Screen
from shims.shellworld import CTRL_C, NO_KEY, Shell, plain

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


@pytest.mark.parametrize("system", ["test-shell", "default"])
def test_interrupt_waits_while_a_way_is_fetched(system: str, shell: Callable[..., Shell]) -> None:
    """And no longer; by default rights it is refused."""
    one = shell(system)
    keys, meanwhile = one.terminal.interrupt_keys, []
    one.during("init", one.contract.OP_INIT_ROUTE_GET, lambda: meanwhile.append(keys[-1]))
    one.said("rng")
    assert (meanwhile, keys[1:]) == ([NO_KEY], [NO_KEY, CTRL_C, NO_KEY, CTRL_C, NO_KEY])


def test_interrupted_way_takes_up_a_slot_once(shell: Callable[..., Shell]) -> None:
    one = shell()
    one.during("init", one.contract.OP_INIT_ROUTE_GET, lambda: one.terminal.press(CTRL_C))
    before = len(one.machine.process("shell").caps)
    assert one.said("rng") == ["^C"]
    assert re.fullmatch("[0-9a-f]{32}", one.said("rng")[0])
    assert len(one.machine.process("shell").caps) == before + 1


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
