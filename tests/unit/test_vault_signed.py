"""What a signature covers: vault's own C, compiled for this computer, and the host's builder say the same bytes, for anything."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.emit import emit_contract
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.verdict.signature import Signed, is_signature, key_id, signed_bytes

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
PURPOSES = {number: str(CONTRACT.table("purpose_name")[name]) for name, number in CONTRACT.table("purpose").items()}
MESSAGE_MAX = CONTRACT.number("limit.sign_message_bytes")
FLAGS = (
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-shared",
    "-fPIC",
    "-fsanitize=undefined",
    "-fno-sanitize-recover",
)
NUMBERS = st.integers(0, 2**64 - 1)
BYTES = st.integers(0, 255)
ASKINGS = st.builds(
    Signed, st.sampled_from(sorted(PURPOSES.values())), NUMBERS, BYTES, BYTES, st.binary(max_size=MESSAGE_MAX)
)


class Purpose(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint16), ("name_bytes", ctypes.c_uint8), ("name", ctypes.c_char * 33))


class Subject(ctypes.Structure):
    _fields_ = (("service_id", ctypes.c_uint64), ("kind", ctypes.c_uint8))


class Vault:
    """signed.c."""

    def __init__(self, folder: Path) -> None:
        emit_contract(CONTRACT, folder)
        built = folder / "signed.so"
        source = ROOT / "firmware" / "vault" / "signed.c"
        subprocess.run(["cc", *FLAGS, f"-I{folder}", "-o", str(built), str(source)], check=True)
        self._c = ctypes.CDLL(str(built))
        self._c.signed_purpose.restype = ctypes.POINTER(Purpose)
        self._c.signed_bytes.restype = ctypes.c_size_t

    def purpose(self, number: int) -> str | None:
        found = self._c.signed_purpose(ctypes.c_uint16(number))
        if not found:
            return None
        assert found.contents.name_bytes == len(found.contents.name)
        return str(found.contents.name.decode("ascii"))

    def signed_bytes(self, signed: Signed) -> bytes:
        number = next(number for number, name in PURPOSES.items() if name == signed.purpose)
        purpose = self._c.signed_purpose(ctypes.c_uint16(number))
        subject = Subject(signed.subject, signed.kind)
        room = ctypes.create_string_buffer(1024)
        length = self._c.signed_bytes(
            room,
            purpose,
            ctypes.byref(subject),
            ctypes.c_uint8(signed.mode),
            signed.message,
            ctypes.c_size_t(len(signed.message)),
        )
        return room.raw[:length]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(tmp_path_factory.mktemp("signed"))


def test_vault_knows_every_purpose_of_the_contract_and_no_other(vault: Vault) -> None:
    assert {number: name for number in range(1 << 16) if (name := vault.purpose(number))} == PURPOSES


def test_every_purpose_has_a_name() -> None:
    assert CONTRACT.table("purpose").keys() == CONTRACT.table("purpose_name").keys()


def test_both_lay_out_the_same_bytes(vault: Vault) -> None:
    @given(ASKINGS)
    def agree(signed: Signed) -> None:
        assert vault.signed_bytes(signed) == signed_bytes(CONTRACT, signed)

    agree()


def test_layout_is_the_one_that_is_written_down() -> None:
    """Spelt out, since signatures that were once given must verify for ever."""
    signed = Signed("attest", 0x52C6C4A34FFB3F69, 1, 1, b"what")
    expected = b"nexus signature 1" + b"\x06attest" + bytes.fromhex("693ffb4fa3c4c652 01 01 04000000") + b"what"
    assert signed_bytes(CONTRACT, signed) == expected


def test_no_two_askings_have_the_same_bytes() -> None:
    @given(ASKINGS, ASKINGS)
    def differ(one: Signed, other: Signed) -> None:
        assert (signed_bytes(CONTRACT, one) == signed_bytes(CONTRACT, other)) == (one == other)

    differ()


def test_a_signature_is_checked_against_all_of_it() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes_raw()
    one = Signed("selftest", 1, 0, 0, b"message")
    signature = key.sign(signed_bytes(CONTRACT, one))
    assert is_signature(CONTRACT, public, signature, one)
    for other in (Signed("attest", 1, 0, 0, b"message"), Signed("selftest", 2, 0, 0, b"message")):
        assert not is_signature(CONTRACT, public, signature, other)
    assert not is_signature(CONTRACT, public, bytes(64), one)


def test_a_key_id_is_the_beginning_of_a_digest() -> None:
    assert key_id(CONTRACT, b"").hex() == "e3b0c44298fc1c14"  # SHA-256 of nothing


def test_nothing_but_vault_and_the_test_of_the_library_may_sign() -> None:
    """Every other program is refused by its makefile when it holds a function that signs."""
    rules = [path for path in (ROOT / "firmware").rglob("native.mk") if "CRYPTO = sign" in path.read_text("utf-8")]
    assert sorted(path.parent.relative_to(ROOT).as_posix() for path in rules) == [
        "firmware/test/crypto",
        "firmware/vault",
    ]
    assert "crypto_sign_ed25519_detached" in (ROOT / "firmware/runtime/forbidden.txt").read_text("utf-8")
