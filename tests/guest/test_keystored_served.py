"""keystored with the real policyd, policy and trail on the simulated kernel: who is allowed what by base.toml, told by whom, and what
is left after restarts. The vault is a stand-in with a real key.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from shims.asker import Answer, Asker
from shims.machine import Machine

from nexus.contract.load import Contract
from nexus.verdict.signature import Signed, is_signature

Make = Callable[..., Machine]
ABOVE = ("logd", "policyd", "rngd", "vault", "keystored")
WAIT = "import kernel, caps\nkernel.wait(caps.NOTIFICATION)\n"


class Client(Asker):
    """A process with a route to keystored."""

    def __init__(self, machine: Machine, name: str) -> None:
        super().__init__(machine, name)
        self.keystored = self.given("keystored")

    def op(self, name: str, payload: bytes = b"") -> Answer:
        return self.ask(self.keystored, int(getattr(self.machine.contract, f"OP_KEYSTORED_{name}")), payload)


@pytest.fixture
def clients(machine: Make) -> tuple[Client, Client]:
    """(selftest, selftest-peer): the same route, and the rights of one of them."""
    made = machine()
    for name in ABOVE:
        made.start(name)
        made.run()
    return Client(made, "selftest"), Client(made, "selftest-peer")


def decisions(machine: Machine) -> list[str]:
    """What policyd has said about anybody but vault, which draws entropy for a key."""
    machine.run()
    return [line for line in machine.said("policyd") if "subject=vault" not in line and "(subject=" in line]


@pytest.mark.parametrize(
    ("op", "payload", "action"),
    [
        ("DEVICE_KEYGEN", b"", "device.keygen"),
        ("DEVICE_PUBKEY", b"", "device.pubkey.read"),
        ("SIGN", b"\x02\x00message", "crypto.sign"),
        ("VERIFY", struct.pack("<HQB", 2, 1, 0) + bytes(72), "crypto.verify"),
        ("PUT", b"\x03keyvalue", "keystore.kv"),
        ("DEVICE_KEY_DESTROY", b"", "device.key.destroy"),
    ],
)
def test_one_may_and_its_twin_may_not(clients: tuple[Client, Client], op: str, payload: bytes, action: str) -> None:
    client, peer = clients
    contract = client.machine.contract
    assert peer.op(op, payload) == Answer(contract.STATUS_DENIED, b"")
    assert client.op(op, payload).status != contract.STATUS_DENIED
    allow, deny = contract.LINE_ALLOW, contract.LINE_DENY
    assert decisions(client.machine) == [
        f"{deny}selftest-peer action={action})",
        f"{allow}selftest-client action={action})",
    ]


@pytest.mark.parametrize("op", ["EXPORT", "PURGE"])
def test_what_no_prover_may(clients: tuple[Client, Client], op: str) -> None:
    for client in clients:
        payload = bytes(16) if op == "PURGE" else b""
        assert client.op(op, payload) == Answer(client.machine.contract.STATUS_DENIED, b"")
    assert len(decisions(clients[0].machine)) == 2


def test_right_for_one_purpose_is_none_for_another(clients: tuple[Client, Client]) -> None:
    client, peer = clients
    contract = client.machine.contract
    client.op("DEVICE_KEYGEN")
    assert client.op("SIGN", b"\x01\x00message").status == contract.STATUS_DENIED
    assert client.op("SIGN", b"\x07\x00message").status == contract.STATUS_DENIED
    assert peer.op("SIGN", b"\x02\x00message").status == contract.STATUS_DENIED
    assert client.op("SIGN", b"\x02\x00message").status == contract.STATUS_OK
    denied = [line for line in client.machine.said("keystored") if line.startswith(contract.LINE_SIGN_DENIED)]
    names = ("selftest-client", "selftest-client", "selftest-peer")
    assert denied == [f"{contract.LINE_SIGN_DENIED}{name})" for name in names]


def test_signature_is_in_the_name_of_who_asked(clients: tuple[Client, Client]) -> None:
    client, _ = clients
    known: Contract = client.machine.loaded_contract
    public = client.op("DEVICE_KEYGEN").payload[13:]
    signed = client.op("SIGN", b"\x02\x00message").payload
    asker = client.machine.process("selftest").row.service_id
    assert is_signature(known, public, signed[13:], Signed("selftest", asker, 0, 0, b"message"))
    keystored = client.machine.process("keystored").row.service_id
    assert not is_signature(known, public, signed[13:], Signed("selftest", keystored, 0, 0, b"message"))


@pytest.mark.parametrize("fallen", ["policyd", "vault", "rngd"])
def test_service_that_is_gone_makes_nobody_bolder(clients: tuple[Client, Client], fallen: str) -> None:
    client, peer = clients
    contract = client.machine.contract
    client.machine.crash(fallen, contract.FAULT_MEMORY)
    status = contract.STATUS_DENIED if fallen == "policyd" else contract.STATUS_UNAVAILABLE
    assert client.op("DEVICE_KEYGEN") == Answer(status, b"")
    assert peer.op("DEVICE_KEYGEN") == Answer(contract.STATUS_DENIED, b"")


def test_old_signature_outlives_keystored_and_the_key(clients: tuple[Client, Client]) -> None:
    client, _ = clients
    machine, contract = client.machine, client.machine.contract
    client.op("DEVICE_KEYGEN")
    signed = client.op("SIGN", b"\x02\x00message").payload[5:]
    client.op("PUT", b"\x03keyvalue")
    for name in ("vault", "keystored"):
        machine.crash(name, contract.FAULT_MEMORY)
        machine.start(name)
        machine.run()
    client.keystored = client.given("keystored")
    assert client.op("DEVICE_PUBKEY") == client.op("GET", b"key") == Answer(contract.STATUS_NOT_FOUND, b"")
    asker = machine.process("selftest").row.service_id
    assert client.op("VERIFY", struct.pack("<HQB", 2, asker, 0) + signed + b"message") == Answer(0, b"\x01")
    assert struct.unpack("<I", client.op("DEVICE_KEYGEN").payload[:4])[0] >> contract.KEY_GENERATION_SHIFT == 1
