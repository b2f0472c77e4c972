# Whether an Ed25519 signature is the one spelling of itself: the rules of tooling/nexus/ed25519.py, for the reason that the audit
# gives; crypto.verify refuses the others by itself. Used by manifest.py. Pure; numbers are the contract's ([ed25519]).

import contract

_P = int(contract.ED25519_P, 16)
_L = int(contract.ED25519_L, 16)
_OF_ORDER_8 = int(contract.ED25519_Y_OF_ORDER_8, 16)
_SMALL_ORDER = (0, 1, _P - 1, _OF_ORDER_8, _P - _OF_ORDER_8)
_HALF = contract.KEY_SIGNATURE_BYTES // 2


# R (32 bytes) is a point that says something about the message, S (32 bytes) is below the group's order.
def is_signature(signature):
    return _is_point(signature[:_HALF]) and int.from_bytes(signature[_HALF:], "little") < _L


# y below p, and of none of the eight points of small order; the highest bit is the sign of x.
def _is_point(point):
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)
    return y < _P and y not in _SMALL_ORDER
