"""Whether an Ed25519 signature is right, as the machine's libsodium judges: one spelling of each signature, no key that is everybody's.

Called by whoever verifies on the host: the verdict (what a run printed) and bundles. Pure but for the curve's numbers,
which are the contract's: bytes in, an answer out; holds no key.
cryptography 50 (OpenSSL 4.0) refuses S >= L by itself, but takes keys of small order, for which anybody can make signatures, and
y >= p, a second spelling of some of them. So all of it is refused here, before the library is asked.
"""

from __future__ import annotations

import tomllib

from nexus.layout import contract_dir, find_root

_CURVE = tomllib.loads((contract_dir(find_root()) / "ed25519.toml").read_text(encoding="ascii"))["ed25519"]
P, L, Y_OF_ORDER_8 = (int(_CURVE[name], 16) for name in ("p", "l", "y_of_order_8"))
SMALL_ORDER = frozenset({0, 1, P - 1, Y_OF_ORDER_8, P - Y_OF_ORDER_8})  # y of the eight points


def verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether that key (32 bytes) made that signature (64 bytes) over the message (RFC 8032, 5.1.7)."""
    return (
        is_sound_point(public_key) and is_sound_signature(signature) and _library_takes(public_key, signature, message)
    )


def is_sound_signature(signature: bytes) -> bool:
    """Whether it is the one spelling of its S, with an R that says something about the message."""
    return is_sound_point(signature[:32]) and int.from_bytes(signature[32:], "little") < L


def is_sound_point(point: bytes) -> bool:
    """Whether y is below p and the point of large order: as a key, one for which nobody but its owner can sign."""
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)  # without the bit that is the sign of x
    return y < P and y not in SMALL_ORDER


def _library_takes(public_key: bytes, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # loaded only by runs in which something was signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
