# keystored's questions to vault, always on behalf of the one it is serving. Passes on what that one may know and makes
# UNAVAILABLE of everything else; believes no answer of another form. Answers stay in the buffer where vault put them, as the
# reply to the caller has the same form.

import struct

import caps
import client
import contract
import kernel
from keys import key_id
from wire import BadReply, Refuse

_HEAD = struct.calcsize(contract.REPLY_VAULT_PUBKEY[:-1])  # generation and mode
PUBLIC_REPLY = _HEAD + contract.KEY_ID_BYTES + contract.KEY_PUBLIC_BYTES
SIGN_REPLY = _HEAD + contract.KEY_ID_BYTES + contract.KEY_SIGNATURE_BYTES

# A refusal of vault or rngd for what keystored may do is none of its caller's: those are not among these.
_FOR_CALLERS = (
    contract.STATUS_EXISTS,
    contract.STATUS_NOT_FOUND,
    contract.STATUS_RATE_LIMITED,
    contract.STATUS_UNAVAILABLE,
)


# (mode, public key) of the key that there is, after SEED or PUBKEY; PUBLIC_REPLY bytes are in place.
def public_key(op):
    mode, rest = _about_key(op, b"", PUBLIC_REPLY)
    public = bytes(rest[contract.KEY_ID_BYTES :])
    if key_id(public) != bytes(rest[: contract.KEY_ID_BYTES]):
        raise BadReply()
    return mode, public


# A signature: SIGN_REPLY bytes are in place.
def sign(purpose, message):
    _about_key(contract.OP_VAULT_SIGN, struct.pack(contract.REQUEST_VAULT_SIGN[:-1], purpose) + message, SIGN_REPLY)


# Generation of the key that is gone.
def destroy():
    return _ask(contract.OP_VAULT_DESTROY, b"", contract.REPLY_VAULT_DESTROY)[0]


def _about_key(op, payload, size):
    _, mode, rest = _ask(op, payload, contract.REPLY_VAULT_PUBKEY)
    if _HEAD + len(rest) != size or mode > contract.KEY_MODE_TEST_ENTROPY:
        raise BadReply()
    return mode, rest


def _ask(op, payload, form):
    until = client.deadline(contract.EDGE_DEADLINE_VAULT_ALL)
    try:
        return client.ask(caps.VAULT, op, payload, form, until, kernel.handle())
    except Refuse as refusal:
        raise Refuse(refusal.status if refusal.status in _FOR_CALLERS else contract.STATUS_UNAVAILABLE)
