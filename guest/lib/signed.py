# The bytes that a signature of vault covers, put together again by whoever checks one. Used by keystored. Pure; knows no key.
# Layout: [signed] of recipes/contract/vault.toml, which firmware/vault/signed.c follows where signatures are made.

import struct

import contract

_PURPOSES = [name.encode() for name in contract.PURPOSE_NAMES.split()]


# Name of a purpose (PURPOSE_*), as bytes; None for a number that is none.
def purpose_name(number):
    return _PURPOSES[number - 1] if 0 < number <= len(_PURPOSES) else None


# What was signed for that subject (its service id and KIND_*) with a key of that mode (KEY_MODE_*).
def covered(purpose, subject_id, kind, mode, message):
    about = struct.pack("<QBBI", subject_id, kind, mode, len(message))
    return contract.SIGNED_TAG.encode() + bytes((len(purpose),)) + purpose + about + message
