# Bundles brought to bundlemgrd, and its answers taken apart. Used by proofs, which judge them.

import struct

import client
import contract
import trail
import ways
from proof import check, frame, raw, status_of
from wire import Refuse

UNTIL = contract.EDGE_DEADLINE_BUNDLEMGRD_ALL
STAGE, PUT, VERIFY, INSTALL = (
    contract.OP_BUNDLEMGRD_STAGE,
    contract.OP_BUNDLEMGRD_PUT,
    contract.OP_BUNDLEMGRD_VERIFY,
    contract.OP_BUNDLEMGRD_INSTALL,
)
_NONCE = 0xB0DD1E01


def status(op, payload):
    return status_of(ways.to(b"bundlemgrd"), op, payload, UNTIL)


# All bytes of the answer, refusal or not.
def answer(op, payload, accept=0):
    return raw(ways.to(b"bundlemgrd"), frame(op, payload, _NONCE), UNTIL, accept)


def stage_request(name, size):
    return struct.pack(contract.REQUEST_BUNDLEMGRD_STAGE[:-1], size) + name


# All of a file, to be judged as a bundle of that name.
def stage(name, data):
    check(status(STAGE, stage_request(name, len(data))) == contract.STATUS_OK, "a bundle that may be staged")
    for at in range(0, len(data), contract.LIMIT_BUNDLE_PUT):
        check(put(data, at) == contract.STATUS_OK, "a piece of a bundle")


def put(data, at):
    piece = data[at : at + contract.LIMIT_BUNDLE_PUT]
    return status(PUT, struct.pack(contract.REQUEST_BUNDLEMGRD_PUT[:-1], at) + piece)


def install(name, data):
    stage(name, data)
    check(status(INSTALL, name) == contract.STATUS_OK, "a bundle that may be installed")


def uninstall(name):
    check(status(contract.OP_BUNDLEMGRD_UNINSTALL, name) == contract.STATUS_OK, "a bundle that may be uninstalled")


# (version, publisher, actions, bytes) of what is installed under that name; None if nothing is.
def listed(name):
    found = []
    for row in range(contract.LIMIT_REGIONS + 1):
        values = _row(row)
        if values is None:
            break
        if bytes(values[7]) == name and values[6] == 0:
            found.append((values[:3], values[3], values[4], values[5]))
    check(len(found) < 2, "two bundles of one name")
    return found[0] if found else None


def _row(number):
    request = struct.pack(contract.REQUEST_BUNDLEMGRD_LIST, number)
    until = client.deadline(UNTIL)
    op, form = contract.OP_BUNDLEMGRD_LIST, contract.REPLY_BUNDLEMGRD_LIST
    try:
        values = client.ask(ways.to(b"bundlemgrd"), op, request, form, until)
    except Refuse as refusal:
        check(refusal.status == contract.STATUS_NOT_FOUND, "status of a row that is none")
        return None
    return values[:7] + (bytes(values[7]),)


# What the file itself says: version, publisher, bytes.
def stated(data):
    version = struct.unpack_from("<III", data, contract.BUNDLE_AT_MAJOR)
    return version, struct.unpack_from("<Q", data, contract.BUNDLE_AT_KEY_ID)[0], len(data)


# What became of bundles since then, as it stands in the own trail.
def recorded(first):
    return [record for record in trail.since(trail.own, first) if record.kind == contract.AUDIT_KIND_BUNDLE]
