# keystored's answers, taken apart: the device key and its signatures as the selftest is told them. Used by proofs, which judge them.

import struct

import client
import contract
import crypto
import identity
import signed
import ways
from proof import check, status_of

UNTIL = contract.EDGE_DEADLINE_KEYSTORED_ALL
KEYGEN, PUBKEY = contract.OP_KEYSTORED_DEVICE_KEYGEN, contract.OP_KEYSTORED_DEVICE_PUBKEY
DESTROY, EXPORT, SIGN = (
    contract.OP_KEYSTORED_DEVICE_KEY_DESTROY,
    contract.OP_KEYSTORED_EXPORT,
    contract.OP_KEYSTORED_SIGN,
)


def status(op, payload=b""):
    return status_of(ways.to(b"keystored"), op, payload, UNTIL)


def _ask(op, payload, form):
    return client.ask(ways.to(b"keystored"), op, payload, form, client.deadline(UNTIL))


# generation, mode, key id, and the rest
def _split(values, rest_bytes):
    generation, mode, rest = values
    rest = bytes(rest)
    check(len(rest) == contract.KEY_ID_BYTES + rest_bytes, "length of an answer of keystored")
    return generation, mode, rest[: contract.KEY_ID_BYTES], rest[contract.KEY_ID_BYTES :]


# (generation, mode, key id, public key), as KEYGEN and PUBKEY answer.
def public(op=PUBKEY):
    return _split(_ask(op, b"", contract.REPLY_KEYSTORED_DEVICE_PUBKEY), contract.KEY_PUBLIC_BYTES)


# Generation of the key that is gone.
def destroy():
    return _ask(DESTROY, b"", contract.REPLY_KEYSTORED_DEVICE_KEY_DESTROY)[0]


def sign_request(purpose, message):
    return struct.pack(contract.REQUEST_KEYSTORED_SIGN[:-1], purpose) + message


# (generation, mode, key id, signature)
def sign(message, purpose=contract.PURPOSE_SELFTEST):
    answer = _ask(SIGN, sign_request(purpose, message), contract.REPLY_KEYSTORED_SIGN)
    return _split(answer, contract.KEY_SIGNATURE_BYTES)


# What a signature can be over: (purpose, service id of the signer, its kind, message).
def over(message, purpose=contract.PURPOSE_SELFTEST, place=identity.OWN, kind=contract.KIND_SERVICE):
    return purpose, identity.service_id(place), kind, message


# Whether keystored says that the signature, by its key id, is one over that.
def genuine(signature, what):
    head = struct.pack(contract.REQUEST_KEYSTORED_VERIFY[:-1], *what[:3])
    payload = head + signature[2] + signature[3] + what[3]
    return _ask(contract.OP_KEYSTORED_VERIFY, payload, contract.REPLY_KEYSTORED_VERIFY)[0] == 1


# The same, worked out here.
def genuine_here(signature, what, public_key):
    purpose, signer, kind, message = what
    covered = signed.covered(signed.purpose_name(purpose), signer, kind, signature[1], message)
    return crypto.verify(public_key, covered, signature[3])
