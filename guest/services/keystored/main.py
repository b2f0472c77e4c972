# keystored: the device key and small values, for whom policy allows it. Every handler asks the gate first, with its payload
# copied since the question overwrites the buffer, and looks at sizes and contents after that. The private key is vault's alone;
# nothing here could give it away. Prints fixed lines and names of the recipe, never a byte of a request.
# Statuses: TOO_LARGE is a size above its limit, UNAVAILABLE a store without room or a vault without an answer.

import struct

import caps
import contract
import crypto
import gate
import kernel
import server
import signed
import vault
from keys import KnownKeys
from kv import Store
from wire import Refuse

_SIGNATURE_AT = contract.KEY_ID_BYTES
_MESSAGE_AT = contract.KEY_ID_BYTES + contract.KEY_SIGNATURE_BYTES  # of a VERIFY, behind its fixed part
_UNKNOWN = contract.LINE_UNKNOWN.encode()
_known = KnownKeys(kernel.kept(caps.KEPT_BYTES, "B"))
_store = Store()

# ---- the device key ----


def on_device_keygen():
    gate.require(contract.ACTION_DEVICE_KEYGEN)
    return _public(contract.OP_VAULT_SEED)


def on_device_pubkey():
    gate.require(contract.ACTION_DEVICE_PUBKEY_READ)
    return _public(contract.OP_VAULT_PUBKEY)


# Said once of each key, when its public half is seen for the first time: it is gone when the machine stops.
def _public(op):
    mode, public = vault.public_key(op)
    if _known.add(mode, public):
        kernel.console(contract.LINE_KEY_EPHEMERAL)
    return vault.PUBLIC_REPLY


def on_device_key_destroy():
    gate.require(contract.ACTION_DEVICE_KEY_DESTROY)
    return struct.pack(contract.REPLY_KEYSTORED_DEVICE_KEY_DESTROY, vault.destroy())


# Asked so that it is on record. No answer would change this one: the key can't be had from vault at all.
def on_export():
    gate.require(contract.ACTION_DEVICE_KEY_EXPORT)
    raise Refuse(contract.STATUS_DENIED)


def on_sign(purpose, message):
    message = bytes(message)
    name = signed.purpose_name(purpose)
    _require_sign(_UNKNOWN if name is None else name)
    _check_asked(name, message)
    vault.sign(purpose, message)
    return vault.SIGN_REPLY


def _require_sign(target):
    try:
        gate.require(contract.ACTION_CRYPTO_SIGN, target)
    except Refuse:
        kernel.console(contract.LINE_SIGN_DENIED + _caller_name() + ")")
        raise


def _caller_name():
    return contract.LINE_APP if kernel.kind() == contract.KIND_APP else caps.SUBJECTS[kernel.sender()]


def on_verify(purpose, signer_id, kind, rest):
    rest = bytes(rest)
    gate.require(contract.ACTION_CRYPTO_VERIFY)
    if len(rest) < _MESSAGE_AT:
        raise Refuse(contract.STATUS_MALFORMED)
    name, message = signed.purpose_name(purpose), rest[_MESSAGE_AT:]
    _check_asked(name, message)
    mode, public = _key(rest[:_SIGNATURE_AT])
    covered = signed.covered(name, signer_id, kind, mode, message)
    genuine = crypto.verify(public, covered, rest[_SIGNATURE_AT:_MESSAGE_AT])
    return struct.pack(contract.REPLY_KEYSTORED_VERIFY, 1 if genuine else 0)


def _check_asked(purpose, message):
    if len(message) > contract.LIMIT_SIGN_MESSAGE_BYTES:
        raise Refuse(contract.STATUS_TOO_LARGE)
    if purpose is None:
        raise Refuse(contract.STATUS_UNSUPPORTED)


# (mode, public key) by key id. The key that there is may be unknown: its KEYGEN may have ended without an answer.
def _key(key_id):
    if _known.find(key_id) is None:
        _public(contract.OP_VAULT_PUBKEY)
    found = _known.find(key_id)
    if found is None:
        raise Refuse(contract.STATUS_NOT_FOUND)
    return found


# ---- small values ----


# Whose space it is. A service has no publisher: the kernel states 0.
def _owner():
    return kernel.kind(), kernel.sender_id(), kernel.sender_publisher()


# The copy is wiped whatever happens: a value may be a secret.
def on_put(key_bytes, rest):
    copy = bytearray(rest)
    try:
        gate.require(contract.ACTION_KEYSTORE_KV)
        _put(key_bytes, copy)
    finally:
        crypto.wipe(copy)


def _put(key_bytes, payload):
    if key_bytes > len(payload):
        raise Refuse(contract.STATUS_MALFORMED)
    key = _checked(bytes(payload[:key_bytes]))
    if len(payload) - key_bytes > contract.LIMIT_KV_VALUE_BYTES:
        raise Refuse(contract.STATUS_TOO_LARGE)
    value = payload[key_bytes:]
    if not _store.put(_owner(), key, value):
        crypto.wipe(value)
        raise Refuse(contract.STATUS_UNAVAILABLE)


def on_get(key):
    key = bytes(key)
    gate.require(contract.ACTION_KEYSTORE_KV)
    value = _store.get(_owner(), _checked(key))
    if value is None:
        raise Refuse(contract.STATUS_NOT_FOUND)
    return value


def on_del(key):
    key = bytes(key)
    gate.require(contract.ACTION_KEYSTORE_KV)
    if not _store.delete(_owner(), _checked(key)):
        raise Refuse(contract.STATUS_NOT_FOUND)


def _checked(key):
    if not key:
        raise Refuse(contract.STATUS_MALFORMED)
    if len(key) > contract.LIMIT_KV_KEY_BYTES:
        raise Refuse(contract.STATUS_TOO_LARGE)
    return key


# What an app has stored goes with it. Only an app's: nothing that is uninstalled reaches what a service keeps.
def on_purge(service_id, publisher):
    gate.require(contract.ACTION_KEYSTORE_PURGE)
    _store.purge((contract.KIND_APP, service_id, publisher))


_ANY = contract.BADGE_FACET_ANY
HANDLERS = {
    contract.OP_KEYSTORED_DEVICE_KEYGEN: (on_device_keygen, contract.REQUEST_KEYSTORED_DEVICE_KEYGEN, _ANY),
    contract.OP_KEYSTORED_DEVICE_PUBKEY: (on_device_pubkey, contract.REQUEST_KEYSTORED_DEVICE_PUBKEY, _ANY),
    contract.OP_KEYSTORED_DEVICE_KEY_DESTROY: (
        on_device_key_destroy,
        contract.REQUEST_KEYSTORED_DEVICE_KEY_DESTROY,
        _ANY,
    ),
    contract.OP_KEYSTORED_SIGN: (on_sign, contract.REQUEST_KEYSTORED_SIGN, _ANY),
    contract.OP_KEYSTORED_VERIFY: (on_verify, contract.REQUEST_KEYSTORED_VERIFY, _ANY),
    contract.OP_KEYSTORED_EXPORT: (on_export, contract.REQUEST_KEYSTORED_EXPORT, _ANY),
    contract.OP_KEYSTORED_PUT: (on_put, contract.REQUEST_KEYSTORED_PUT, _ANY),
    contract.OP_KEYSTORED_GET: (on_get, contract.REQUEST_KEYSTORED_GET, _ANY),
    contract.OP_KEYSTORED_DEL: (on_del, contract.REQUEST_KEYSTORED_DEL, _ANY),
    contract.OP_KEYSTORED_PURGE: (on_purge, contract.REQUEST_KEYSTORED_PURGE, _ANY),
}

server.serve(HANDLERS, contract.MARK_KEYSTORED_READY)
