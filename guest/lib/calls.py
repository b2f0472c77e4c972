# What apps and people ask the system for: the one place of it. Apps have it as nexus.py beside this file, the prompt as guest/shell/nexus.py.
# Each function needs the actions that it names, in an app's app.toml too; `route` always. Keeps the way to each service once it has one.
# What is not served is an exception, never a value; nothing is asked twice. The docstrings are what `nexus.help` shows.

import struct

import caps
import client
import contract
import kernel
import route
import wire

_MOST = contract.IPC_DATA_BYTES - contract.WIRE_REQUEST_HEADER
_PURPOSES = contract.PURPOSE_NAMES.split()
ways = {b"init": caps.INIT}  # name of a route: handle


# The request was not served; `status` is one of [status] in recipes/contract/wire.toml. Says that and nothing else.
class Error(Exception):
    said = "REFUSED"

    def __init__(self, status):
        super().__init__(self.said)
        self.status = status


# Policy does not allow it, or app.toml does not name it. It is on record.
class Denied(Error):
    said = "DENIED"


class NotFound(Error):
    said = "NOT FOUND"


class Exists(Error):
    said = "EXISTS"


class TooLarge(Error):
    said = "TOO LARGE"


# Too much in too short a time; later it may be served.
class RateLimited(Error):
    said = "RATE LIMITED"


# The service did not answer, or has no room or no device to do it with.
class Unavailable(Error):
    said = "UNAVAILABLE"


_KINDS = {
    contract.STATUS_DENIED: Denied,
    contract.STATUS_NOT_FOUND: NotFound,
    contract.STATUS_EXISTS: Exists,
    contract.STATUS_TOO_LARGE: TooLarge,
    contract.STATUS_RATE_LIMITED: RateLimited,
    contract.STATUS_UNAVAILABLE: Unavailable,
}

# ---- entropy ----


def entropy(count):
    """So many fresh bytes (an int), as bytes. Action rng.entropy.

    nexus.entropy(16).hex()
    """
    found = b""
    while len(found) < count:
        piece = min(count - len(found), contract.LIMIT_ENTROPY_BYTES)
        payload = struct.pack(contract.REQUEST_RNGD_GET_ENTROPY, piece)
        got = ask(b"rngd", contract.OP_RNGD_GET_ENTROPY, payload, contract.EDGE_DEADLINE_RNGD_ALL)
        if len(got) != piece:
            raise Unavailable(contract.STATUS_UNAVAILABLE)
        found += got
    return found


# ---- the device key ----


def make_key():
    """Make the key of this device; its public half, 32 bytes. Exists: there is one. Action device.keygen."""
    return keystored(contract.OP_KEYSTORED_DEVICE_KEYGEN, b"")[-contract.KEY_PUBLIC_BYTES :]


def public_key():
    """The public half of the device key, 32 bytes. NotFound: there is none. Action device.pubkey.read."""
    return keystored(contract.OP_KEYSTORED_DEVICE_PUBKEY, b"")[-contract.KEY_PUBLIC_BYTES :]


def sign(purpose, message):
    """The device's signature of that message (bytes) for that purpose (a str), 64 bytes. Action crypto.sign.

    It also covers the purpose and who asked: recipes/contract/vault.toml, [signed]. ValueError: no such purpose.
    nexus.sign("sample", b"hello")
    """
    number = _PURPOSES.index(purpose) + 1
    payload = struct.pack(contract.REQUEST_KEYSTORED_SIGN[:-1], number) + message
    return keystored(contract.OP_KEYSTORED_SIGN, payload)[-contract.KEY_SIGNATURE_BYTES :]


# ---- small values of the asker alone, until the machine stops or the app is uninstalled ----


def put(key, value):
    """Keep that value (bytes or str) under that key (bytes or str), in place of the one before. Action keystore.kv."""
    key = _bytes(key)
    if len(key) > contract.LIMIT_KV_KEY_BYTES:
        raise TooLarge(contract.STATUS_TOO_LARGE)
    keystored(contract.OP_KEYSTORED_PUT, bytes((len(key),)) + key + _bytes(value))


def get(key):
    """The value under that key, as bytes. NotFound: there is none. Action keystore.kv."""
    return keystored(contract.OP_KEYSTORED_GET, _bytes(key))


def delete(key):
    """Forget the value under that key. NotFound: there was none. Action keystore.kv."""
    keystored(contract.OP_KEYSTORED_DEL, _bytes(key))


# ---- log and clock ----


def log(text):
    """Write a line (a str) into the system's log, where it stands with the writer's name."""
    payload = bytes((contract.LEVEL_INFO,)) + text.encode()
    ask(b"logd:append", contract.OP_LOGD_APPEND, payload, contract.EDGE_DEADLINE_LOGD_ALL)


def time():
    """Microseconds since the machine started. Needs no capability."""
    return kernel.time() // (contract.LIMIT_TICK_HZ // 1_000_000)


# ---- how all of it asks ----


def keystored(op, payload):
    return ask(b"keystored", op, payload, contract.EDGE_DEADLINE_KEYSTORED_ALL)


# The answer's payload, as bytes of its own: the buffer belongs to whatever is asked next.
def ask(name, op, payload, ticks):
    if len(payload) > _MOST:
        raise TooLarge(contract.STATUS_TOO_LARGE)
    try:
        if name not in ways:
            learn(name)
        return bytes(client.call(ways[name], op, payload, client.deadline(ticks)))
    except wire.Refuse as refusal:
        raise _KINDS.get(refusal.status, Error)(refusal.status)


# The prompt has one of its own: Ctrl-C in between would lose the capability.
def learn(name):
    ways[name] = route.get(name)


def _bytes(text):
    return text.encode() if isinstance(text, str) else bytes(text)
