"""The crypto vectors themselves (tests/vectors), which the guest runs: right by a second implementation, refused for a reason.

Scenario: OpenSSL makes and opens what it should; the refused signatures satisfy the group equation of RFC 8032, 5.1.7, so
that it is the check of the encoding and nothing else that refuses them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nexus.errors import BuildError
from nexus.image.vectors import Case, c_header, load_tables

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
TABLES = {name: cases for path in sorted(FOLDER.glob("*.json")) for name, cases in load_tables(path).items()}

# edwards25519, RFC 8032, 5.1
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def each(table: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", TABLES[table], ids=lambda case: case["name"])


def add(a: Point, b: Point) -> Point:
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + product, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P)
    return x % P, y % P


def multiply(times: int, point: Point) -> Point:
    result = NEUTRAL
    while times:
        if times & 1:
            result = add(result, point)
        point, times = add(point, point), times >> 1
    return result


def decode_leniently(octets: bytes) -> Point | None:
    """A point as a careless reader takes it: y reduced, any sign of a zero x."""
    number = int.from_bytes(octets, "little")
    sign, y = number >> 255, (number & (2**255 - 1)) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return (x if x & 1 == sign else (P - x) % P), y


BASE = decode_leniently((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def equation_holds(case: Case) -> bool:
    """S B = R + h A, with nothing checked before."""
    r, s = case["signature"][:32], int.from_bytes(case["signature"][32:], "little")
    key, nonce = decode_leniently(case["public_key"]), decode_leniently(r)
    if key is None or nonce is None or BASE is None:
        return False
    h = int.from_bytes(hashlib.sha512(r + case["public_key"] + case["message"]).digest(), "little") % ORDER
    return multiply(s, BASE) == add(nonce, multiply(h, key))


@each("ed25519_sign")
def test_openssl_makes_the_same_key_and_signature(case: Case) -> None:
    key = Ed25519PrivateKey.from_private_bytes(case["seed"])
    assert key.public_key().public_bytes_raw() == case["public_key"]
    assert key.sign(case["message"]) == case["signature"]
    assert equation_holds(case)


@each("ed25519_refuse")
def test_refused_case_is_wrong_in_the_way_it_says(case: Case) -> None:
    key = decode_leniently(case["public_key"])
    assert key is not None
    y = int.from_bytes(case["public_key"], "little") & (2**255 - 1)
    small = multiply(8, key) == NEUTRAL
    canonical_sign = key[0] != 0 or case["public_key"][31] >> 7 == 0
    wrong = {
        "small order": small,
        "non-canonical key": y >= P or not canonical_sign,
        "non-canonical key, large order": y >= P and not small,
        "non-canonical S": int.from_bytes(case["signature"][32:], "little") >= ORDER,
        "small order R": multiply(8, decode_leniently(case["signature"][:32]) or BASE or NEUTRAL) == NEUTRAL,
    }
    assert wrong[case["reason"]]
    assert equation_holds(case) == ("large order" not in case["reason"])


def test_all_eight_points_of_small_order_are_refused() -> None:
    keys = {case["public_key"] for case in TABLES["ed25519_refuse"] if case["reason"] == "small order"}
    assert len({decode_leniently(key) for key in keys}) == 8


@each("ed25519_refuse")
def test_openssl_refuses_a_non_canonical_s(case: Case) -> None:
    if case["reason"] == "non-canonical S":
        with pytest.raises(InvalidSignature):
            Ed25519PublicKey.from_public_bytes(case["public_key"]).verify(case["signature"], case["message"])


@each("sha2")
def test_hashlib_agrees_on_sha2(case: Case) -> None:
    message = case["message"] * case["repeat"]
    assert hashlib.sha256(message).digest() == case["sha256"]
    assert hashlib.sha512(message).digest() == case["sha512"]


@each("blake2b")
def test_hashlib_agrees_on_blake2b(case: Case) -> None:
    assert hashlib.blake2b(case["message"], digest_size=len(case["digest"])).digest() == case["digest"]


@each("aead")
def test_openssl_seals_the_same_box(case: Case) -> None:
    sealed = ChaCha20Poly1305(case["key"]).encrypt(case["nonce"], case["plain"], case["extra"])
    assert sealed == case["boxed"]


def test_c_table_holds_every_case_and_no_empty_array() -> None:
    text = c_header({"t": [{"name": 'a"b', "data": b"", "n": 3}, {"name": "c", "data": b"\xff", "n": 4}]}, "here")
    assert "struct t_case { const char *name; struct octets data; uint32_t n; };" in text
    assert '    {"a\\"b", {t_0_data, sizeof t_0_data - 1}, 3},' in text
    assert "static const uint8_t t_1_data[] = {\n    0xff, 0x00,\n};" in text


def test_cases_of_different_shape_are_refused() -> None:
    with pytest.raises(BuildError, match="different shape"):
        c_header({"t": [{"name": "a"}, {"name": "b", "n": 1}]}, "here")


def test_what_is_not_hex_is_refused_with_its_case(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"tables": {"t": [{"name": "third", "key": "0g"}]}}', encoding="utf-8")
    with pytest.raises(BuildError, match="third"):
        load_tables(path)
