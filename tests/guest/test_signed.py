"""What a signature covers, by the module that keystored checks with: the same bytes as the host's and as vault's own C, for anything."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.verdict.signature import Signed, signed_bytes

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
PURPOSES = {number: str(CONTRACT.table("purpose_name")[name]) for name, number in CONTRACT.table("purpose").items()}
MESSAGE_MAX = CONTRACT.number("limit.sign_message_bytes")
ASKINGS = st.builds(
    Signed,
    st.sampled_from(sorted(PURPOSES.values())),
    st.integers(0, 2**64 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=MESSAGE_MAX),
)


@pytest.fixture(scope="module")
def signed(pure: Callable[..., Any]) -> Any:
    return pure("signed")


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("signed")
    emit_contract(CONTRACT, folder)
    built, source = folder / "signed.so", ROOT / "firmware" / "vault" / "signed.c"
    command = ["cc", "-std=gnu11", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{folder}", "-o", str(built), str(source)]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(built))
    library.signed_purpose.restype = ctypes.c_void_p
    library.signed_bytes.restype = ctypes.c_size_t
    return library


class Subject(ctypes.Structure):
    _fields_ = (("service_id", ctypes.c_uint64), ("kind", ctypes.c_uint8))


def by_vault(vault: ctypes.CDLL, asking: Signed) -> bytes:
    number = next(number for number, name in PURPOSES.items() if name == asking.purpose)
    purpose = ctypes.c_void_p(vault.signed_purpose(ctypes.c_uint16(number)))
    assert purpose.value, f"vault knows no purpose {asking.purpose}"
    subject, room = Subject(asking.subject, asking.kind), ctypes.create_string_buffer(1024)
    count = ctypes.c_size_t(len(asking.message))
    mode = ctypes.c_uint8(asking.mode)
    length = vault.signed_bytes(room, purpose, ctypes.byref(subject), mode, asking.message, count)
    return room.raw[:length]


def by_guest(signed: Any, asking: Signed) -> bytes:
    purpose = asking.purpose.encode("ascii")
    covered: bytes = signed.covered(purpose, asking.subject, asking.kind, asking.mode, asking.message)
    return covered


def test_guest_host_and_vault_lay_out_the_same_bytes(signed: Any, vault: ctypes.CDLL) -> None:
    @given(ASKINGS)
    def agree(asking: Signed) -> None:
        assert by_guest(signed, asking) == signed_bytes(CONTRACT, asking) == by_vault(vault, asking)

    agree()


def test_every_purpose_has_its_name_and_nothing_else_has_one(signed: Any) -> None:
    named = {number: name.decode("ascii") for number in range(1 << 16) if (name := signed.purpose_name(number))}
    assert named == PURPOSES


def test_layout_is_the_one_that_is_written_down(signed: Any, contract: SimpleNamespace) -> None:
    """Spelt out, since signatures that were once given must verify for ever."""
    found = signed.covered(b"attest", 0x52C6C4A34FFB3F69, contract.KIND_APP, contract.KEY_MODE_TEST_ENTROPY, b"what")
    assert found == b"nexus signature 1\x06attest" + bytes.fromhex("693ffb4fa3c4c652 01 01 04000000") + b"what"
