# What an app can ask the system for: `import nexus`. Above each function stands what app.toml has to name for it; `route` always.
# Keeps the way to each service once it has one. What is not served is an exception, never a value; nothing is asked twice.

import struct

import client
import contract
import kernel
import route
import wire

_MOST = contract.IPC_DATA_BYTES - contract.WIRE_REQUEST_HEADER
_PURPOSES = contract.PURPOSE_NAMES.split()
_ways = {}  # name of a route: handle


# The request was not served; `status` is one of [status] in recipes/contract/wire.toml.
class Error(Exception):
    def __init__(self, status):
        super().__init__(status)
        self.status = status


# Policy does not allow it, or app.toml does not name it. It is on record.
class Denied(Error):
    pass


class NotFound(Error):
    pass


class Exists(Error):
    pass


class TooLarge(Error):
    pass


# Too much in too short a time; later it may be served.
class RateLimited(Error):
    pass


# The service did not answer, or has no room or no device to do it with.
class Unavailable(Error):
    pass


_KINDS = {
    contract.STATUS_DENIED: Denied,
    contract.STATUS_NOT_FOUND: NotFound,
    contract.STATUS_EXISTS: Exists,
    contract.STATUS_TOO_LARGE: TooLarge,
    contract.STATUS_RATE_LIMITED: RateLimited,
    contract.STATUS_UNAVAILABLE: Unavailable,
}

# ---- entropy ----


# rng.entropy: so many fresh bytes (an int), as bytes.
def entropy(count):
    found = b""
    while len(found) < count:
        piece = min(count - len(found), contract.LIMIT_ENTROPY_BYTES)
        payload = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, piece)
        got = _ask(b"rngd", contract.OP_RNGD_GET_ENTROPY, payload, contract.EDGE_DEADLINE_RNGD_ALL)
        if len(got) != piece:
            raise Unavailable(contract.STATUS_UNAVAILABLE)
        found += got
    return found


# ---- the device key ----


# device.keygen: make the key of this device; its public half, 32 bytes. Exists: there is one.
def make_key():
    return _keystored(contract.OP_KEYSTORED_DEVICE_KEYGEN, b"")[-contract.KEY_PUBLIC_BYTES :]


# device.pubkey.read: its public half, 32 bytes. NotFound: there is none.
def public_key():
    return _keystored(contract.OP_KEYSTORED_DEVICE_PUBKEY, b"")[-contract.KEY_PUBLIC_BYTES :]


# crypto.sign: the device's signature of that message (bytes) for that purpose (a str such as "sample"), 64 bytes.
# It also covers the purpose and who asked: recipes/contract/vault.toml, [signed]. ValueError: no such purpose.
def sign(purpose, message):
    number = _PURPOSES.index(purpose) + 1
    payload = struct.pack(contract.REQUEST_KEYSTORED_SIGN[:-1], number) + message
    return _keystored(contract.OP_KEYSTORED_SIGN, payload)[-contract.KEY_SIGNATURE_BYTES :]


# ---- small values of this app alone, until the machine stops or the app is uninstalled ----


# keystore.kv: keep that value (bytes or str) under that key (bytes or str), in place of the one before.
def put(key, value):
    key = _bytes(key)
    if len(key) > contract.LIMIT_KV_KEY_BYTES:
        raise TooLarge(contract.STATUS_TOO_LARGE)
    _keystored(contract.OP_KEYSTORED_PUT, bytes((len(key),)) + key + _bytes(value))


# keystore.kv: the value under that key, as bytes. NotFound: there is none.
def get(key):
    return _keystored(contract.OP_KEYSTORED_GET, _bytes(key))


# keystore.kv: forget it. NotFound: there was none.
def delete(key):
    _keystored(contract.OP_KEYSTORED_DEL, _bytes(key))


# ---- log and clock ----


# Write a line (str) into the system's log, where it stands with this app's name.
def log(text):
    payload = bytes((contract.LEVEL_INFO,)) + text.encode()
    _ask(b"logd:append", contract.OP_LOGD_APPEND, payload, contract.EDGE_DEADLINE_LOGD_ALL)


# Microseconds since the machine started. Needs no capability.
def time():
    return kernel.time() // (contract.LIMIT_TICK_HZ // 1_000_000)


# ---- how all of it asks ----


def _keystored(op, payload):
    return _ask(b"keystored", op, payload, contract.EDGE_DEADLINE_KEYSTORED_ALL)


# The answer's payload, as bytes of its own: the buffer belongs to whatever is asked next.
def _ask(name, op, payload, ticks):
    if len(payload) > _MOST:
        raise TooLarge(contract.STATUS_TOO_LARGE)
    try:
        if name not in _ways:
            _ways[name] = route.get(name)
        return bytes(client.call(_ways[name], op, payload, client.deadline(ticks)))
    except wire.Refuse as refusal:
        raise _KINDS.get(refusal.status, Error)(refusal.status)


def _bytes(text):
    return text.encode() if isinstance(text, str) else bytes(text)
