# Proofs of phase policy about the device key: made for one who may, told to one who may, its private half to nobody, and what
# was signed by a key that is gone can still be verified.

import contract
import crypto
import kernel
import keystore
import proxy
import ways
from keystore import DESTROY, EXPORT, KEYGEN, PUBKEY, SIGN
from proof import Decisions, check, frame, raw_status

_MADE = (1 << contract.KEY_GENERATION_SHIFT) - 1  # part of the generation that counts keys
_TO_SIGN = keystore.sign_request(contract.PURPOSE_SELFTEST, b"-")


def _denied(op, what):
    proxy.check_denied(contract.PEER_ROUTE_KEYSTORED, op, b"", what)


def _no_key(ops, what):
    for op in ops:
        check(keystore.status(op, _TO_SIGN if op == SIGN else b"") == contract.STATUS_NOT_FOUND, what)


def _make():
    key = keystore.public(KEYGEN)
    check(key[1] in (contract.KEY_MODE_DEVICE, contract.KEY_MODE_TEST_ENTROPY), "mode of the key")
    check(key[2] == crypto.sha256(key[3])[: contract.KEY_ID_BYTES], "id of the key")
    check(len(set(key[3])) > 8, "hardly a byte of the key differs from the others")
    return key


# There is none until one who may asks for it, and then no second.
def prove_key():
    decisions = Decisions()
    _denied(KEYGEN, "a key was made for the peer")
    _no_key((PUBKEY, DESTROY, SIGN), "a key before one was made")
    decisions.expect(3, 1)
    key = _make()
    check(key[0] & _MADE == 1, "generation of the first key")
    check(keystore.status(KEYGEN) == contract.STATUS_EXISTS, "a second key beside the first")
    _denied(KEYGEN, "the peer was told of a key")
    check(keystore.public() == key, "the key after others were asked for")


# The public half that signatures are made by, the same each time, for one who may have it.
def prove_public():
    decisions = Decisions()
    _denied(PUBKEY, "the peer was told the key")
    key = keystore.public()
    check(keystore.public() == key, "two answers about one key")
    message = b"by which key"
    signature = keystore.sign(message)
    check(signature[:3] == key[:3], "which key signed")
    check(keystore.genuine_here(signature, keystore.over(message), key[3]), "the key is not the one that signs")
    decisions.expect(3, 1)
    check(keystore.status(PUBKEY, b"\0") == contract.STATUS_MALFORMED, "a question with more than there is to ask")


# No answer, only a refusal without a byte; while what may be known of the same key is told.
def prove_export():
    key = keystore.public()
    decisions = Decisions()
    _denied(EXPORT, "the peer got the private key")
    found = raw_status(ways.to(b"keystored"), frame(EXPORT, b"", 11), keystore.UNTIL)
    check(found == (contract.STATUS_DENIED, 11), "status of the private key")
    decisions.expect(0, 2)
    for payload in (b"\0", bytes(contract.LIMIT_SIGN_MESSAGE_BYTES)):
        check(keystore.status(EXPORT, payload) == contract.STATUS_MALFORMED, "another form of the question")
    check(keystore.public() == key, "the public key, which may be told")


# A key that is destroyed signs no more; its successor is another and has the next number.
def prove_rotation():
    message = b"signed before the rotation"
    old, before = keystore.public(), keystore.sign(message)
    _denied(DESTROY, "the peer destroyed the key")
    check(keystore.public() == old, "the key that the peer may not destroy")
    check(keystore.destroy() == old[0], "generation of the key that is gone")
    _no_key((PUBKEY, DESTROY, SIGN), "a key that was destroyed")
    new = _make()
    check(new[0] == old[0] + 1 and new[3] != old[3], "the next key")
    after, what = keystore.sign(message), keystore.over(message)
    check(after[:3] == new[:3] and after[3] != before[3], "signature of the next key")
    check(keystore.genuine(after, what), "a signature by the key that there is")
    check(keystore.genuine(before, what), "a signature by the key that is gone")
    check(not keystore.genuine((0, 0, new[2], before[3]), what), "an old signature by the next key")


# For the host, which verifies it by another library: the key that is valid now, and what it signed.
def show_signature():
    signature = keystore.sign(contract.LINE_SIGNED_MESSAGE.encode())[3]
    kernel.console(contract.LINE_PUBLIC_KEY + keystore.public()[3].hex())
    kernel.console(contract.LINE_SIGNATURE + signature.hex())
