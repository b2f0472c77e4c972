# Proofs of phase policy about signatures: they are the device key's, over exactly who asked for what, and only for whom and what
# policy allows. Each is verified by keystored and, apart from it, here.

import contract
import identity
import keystore
import proxy
import ways
from keystore import SIGN, over, sign_request
from proof import Decisions, check, check_alike, stats

_SELFTEST = contract.PURPOSE_SELFTEST
_MESSAGE = b"said by the selftest"
_LONGEST = bytes(contract.LIMIT_SIGN_MESSAGE_BYTES)
_OTHERS = (
    over(_MESSAGE + b"!"),
    over(_MESSAGE, purpose=contract.PURPOSE_ATTEST),
    over(_MESSAGE, place=identity.PEER),
    over(_MESSAGE, kind=contract.KIND_APP),
)


def prove_sign():
    key = keystore.public()
    decisions = Decisions()
    signature = keystore.sign(_MESSAGE)
    check(signature[:3] == key[:3], "which key signed")
    check(keystore.genuine_here(signature, over(_MESSAGE), key[3]), "signature over what was asked for")
    check(keystore.genuine(signature, over(_MESSAGE)), "what keystored says of its signature")
    decisions.expect(2, 0)
    for other in _OTHERS:
        check(not keystore.genuine_here(signature, other, key[3]), "a signature over something else")
        check(not keystore.genuine(signature, other), "keystored takes a signature for another")
    flipped = signature[3][:-1] + bytes((signature[3][-1] ^ 1,))
    changed = signature[:3] + (flipped,)
    check(not keystore.genuine(changed, over(_MESSAGE)), "keystored takes a changed signature")
    _prove_purposes(key[3])


# For no other purpose, be there such a one or not; sizes matter only to whoever may.
def _prove_purposes(public_key):
    others = [sign_request(purpose, _MESSAGE) for purpose in (contract.PURPOSE_ATTEST, 0, 99, 0xFFFF)]
    others.append(sign_request(contract.PURPOSE_ATTEST, _LONGEST + b"!"))
    check_alike(ways.to(b"keystored"), SIGN, others, contract.STATUS_DENIED, keystore.UNTIL)
    too_large = keystore.status(SIGN, sign_request(_SELFTEST, _LONGEST + b"!"))
    check(too_large == contract.STATUS_TOO_LARGE, "a message too large")
    longest = keystore.sign(_LONGEST)
    check(keystore.genuine_here(longest, over(_LONGEST), public_key), "signature over the longest message")


# What the selftest gets, the peer does not, and keystored says so; several times, since its line and policyd's come in any order.
def prove_denied():
    decisions = Decisions()
    for message in (_MESSAGE, _MESSAGE, _LONGEST + b"!"):
        request = sign_request(_SELFTEST, message)
        proxy.check_denied(contract.PEER_ROUTE_KEYSTORED, SIGN, request, "a signature for the peer")
        stats()
    proxy.check_denied(contract.PEER_ROUTE_KEYSTORED, contract.OP_KEYSTORED_VERIFY, bytes(90), "VERIFY for the peer")
    decisions.expect(0, 4)
    check(keystore.status(SIGN, sign_request(_SELFTEST, _MESSAGE)) == contract.STATUS_OK, "the twin of the denied one")
    decisions.expect(1, 0)
