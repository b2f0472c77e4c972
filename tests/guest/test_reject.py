"""The required refusals, by their required names, on the simulated kernel. tests/os has the same names on the booted system."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from shims.asker import Answer, Asker
from shims.machine import Machine

Make = Callable[..., Machine]


@pytest.fixture
def asker(machine: Make) -> Asker:
    made = machine()
    for name in ("logd", "policyd", "rngd"):
        made.start(name)
    made.run()
    return Asker(made)


def delivered(asker: Asker) -> int:
    """Bytes that the device has given so far."""
    assert asker.machine.device is not None
    return asker.machine.device.delivered


@pytest.mark.parametrize("count", [0, 257, 258, 512, 0x8000, 0xFFFF])
def test_reject_entropy_request_oversized(asker: Asker, count: int) -> None:
    """No byte is drawn for it, none is cut off it; the twin with the largest size gets exactly that."""
    contract, handle = asker.machine.contract, asker.handle("RNGD")
    op, taken = contract.OP_RNGD_GET_ENTROPY, delivered(asker)
    status = contract.STATUS_TOO_LARGE if count else contract.STATUS_MALFORMED
    assert asker.ask(handle, op, struct.pack("<H", count)) == Answer(status, b"")
    assert delivered(asker) == taken
    twin = asker.ask(handle, op, struct.pack("<H", contract.LIMIT_ENTROPY_BYTES))
    assert (twin.status, len(twin.payload)) == (contract.STATUS_OK, contract.LIMIT_ENTROPY_BYTES)


@pytest.mark.parametrize("name", ["init", "logd", "rngd", "selftest-peer"])
def test_reject_forged_service_id(asker: Asker, name: str) -> None:
    """A name inside a request is only text, and a badge made out to somebody else is refused."""
    contract = asker.machine.contract
    append, other = contract.OP_LOGD_APPEND, asker.machine.process(name).row
    stolen = asker.given("logd", contract.FACET_LOGD_APPEND, holder=name)
    assert asker.ask(stolen, append, b"\x01forged") == Answer(contract.STATUS_DENIED, b"")
    own = asker.ask(asker.handle("LOGD_APPEND"), append, b"\x01" + struct.pack("<QH", other.service_id, other.index))
    assert own.status == contract.STATUS_OK
    page = asker.ask(asker.handle("LOGD_QUERY"), contract.OP_LOGD_QUERY, bytes(9))
    assert page.payload[0] == 1
    assert struct.unpack_from("<H", page.payload, 9 + 16) == (asker.machine.process("selftest").row.index,)
