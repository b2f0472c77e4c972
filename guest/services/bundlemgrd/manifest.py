# Judges a bundle where it lies: manifest and signature at the head of a sealed region, contents from its second page on. Used by
# keeper.py and staging.py. Pure. Layout, order of the checks and reasons (BUNDLE_REFUSAL_*): recipes/contract/bundle.toml, which
# the host's judge (nexus.bundle.sign) follows too. Reads no field before the signature is right but those that it takes to check it.

import struct

import contract
import crypto
import sound
from micropython import const

_SIGNATURE = const(contract.KEY_SIGNATURE_BYTES)
_KEY_END = const(contract.BUNDLE_AT_PUBLIC_KEY + contract.KEY_PUBLIC_BYTES)
_MANIFEST_MOST = const(
    contract.BUNDLE_HEADER_BYTES + contract.BUNDLE_ACTIONS * (contract.BUNDLE_ROW_BYTES + contract.BUNDLE_REASON_BYTES)
)
_CONTENTS_MOST = const(contract.LIMIT_APP_ROMFS_PAGES * contract.BUNDLE_PAGE_BYTES)
FILE_MOST = const(_MANIFEST_MOST + _SIGNATURE + _CONTENTS_MOST)
# As many bytes of a file tell where its contents begin.
OPENING = const(contract.BUNDLE_AT_CONTENTS_BYTES)
_MAGIC = contract.BUNDLE_MAGIC.encode()
_TAG = contract.BUNDLE_TAG.encode()
_ACTIONS_KNOWN = len(contract.ACTION_NAMES.split())
_LOWER = b"abcdefghijklmnopqrstuvwxyz"


# Which of all bytes these are. Looking one up costs the same whatever it is: refusals about names of one length do not differ.
def _table(of):
    table = bytearray(256)
    for octet in of:
        table[octet] = 1
    return table


_OF_IDS = _table(_LOWER + b"0123456789.-")
_FIRST_OF_ENTRIES = _table(_LOWER)
_OF_ENTRIES = _table(_LOWER + b"0123456789_")


# 0 for the bundle of a publisher that may sign it, else the first reason why not. `size`: bytes of the file;
# `publishers`: (public key, prefixes of ids, revoked) of each.
def judge(region, size, publishers):
    reason = _form(region, size)
    if reason:
        return reason
    prefixes, reason = _publisher(region, publishers)
    reason = reason or _signature(region) or _fields(region) or _rows(region)
    if reason:
        return reason
    name = name_of(region)
    for prefix in prefixes:
        if name.startswith(prefix):
            return 0
    return contract.BUNDLE_REFUSAL_PREFIX


def is_id(name):
    return 1 <= len(name) <= contract.BUNDLE_AT_MAJOR - contract.BUNDLE_AT_ID and _consists(name, _OF_IDS)


# Where in a file its contents begin, by the length that its header states; between what can be, if that can't.
def contents_from(region):
    stated = _u16(region, contract.BUNDLE_AT_MANIFEST_BYTES)
    return min(max(stated, contract.BUNDLE_HEADER_BYTES), _MANIFEST_MOST) + _SIGNATURE


# Bytes of the file that a region's header states.
def stated_size(region):
    return contents_from(region) + contents_bytes(region)


def contents_bytes(region):
    return _u32(region, contract.BUNDLE_AT_CONTENTS_BYTES)


def contents(region):
    return region[contract.BUNDLE_PAGE_BYTES : contract.BUNDLE_PAGE_BYTES + contents_bytes(region)]


# ---- what a judged bundle says ----


def name_of(region):
    return _text(region, contract.BUNDLE_AT_ID, contract.BUNDLE_AT_MAJOR)


def version_of(region):
    return struct.unpack_from("<III", region, contract.BUNDLE_AT_MAJOR)


# Its publisher's key id, as the kernel states it of an app.
def publisher_of(region):
    return struct.unpack_from("<Q", region, contract.BUNDLE_AT_KEY_ID)[0]


# A bit for each action that it asks for.
def actions_of(region):
    bits = 0
    at = contract.BUNDLE_HEADER_BYTES
    for _ in range(_u16(region, contract.BUNDLE_AT_ACTIONS)):
        bits |= 1 << _u16(region, at)
        at += contract.BUNDLE_ROW_BYTES + region[at + contract.BUNDLE_ROW_BYTES - 1]
    return bits


# ---- form ----


# Lengths are believed once they agree with what there is; the digest is that of the contents as they are.
def _form(region, size):
    reason = _opening(region, size)
    if reason:
        return reason
    if contents_bytes(region) > _CONTENTS_MOST:
        return contract.BUNDLE_REFUSAL_TOO_LARGE
    manifest = _u16(region, contract.BUNDLE_AT_MANIFEST_BYTES)
    if contents_bytes(region) == 0 or manifest < contract.BUNDLE_HEADER_BYTES or manifest > _MANIFEST_MOST:
        return contract.BUNDLE_REFUSAL_LENGTH
    if size != stated_size(region):
        return contract.BUNDLE_REFUSAL_TRUNCATED if size < stated_size(region) else contract.BUNDLE_REFUSAL_TRAILING
    if crypto.sha256(_key(region))[: contract.KEY_ID_BYTES] != bytes(
        region[contract.BUNDLE_AT_KEY_ID : contract.BUNDLE_AT_PUBLIC_KEY]
    ):
        return contract.BUNDLE_REFUSAL_KEY_ID
    if crypto.sha256(contents(region)) != digest(region):
        return contract.BUNDLE_REFUSAL_DIGEST
    return 0


def _opening(region, size):
    known = min(size, len(_MAGIC))
    if bytes(region[:known]) != _MAGIC[:known]:
        return contract.BUNDLE_REFUSAL_MAGIC
    if size < contract.BUNDLE_AT_MANIFEST_BYTES:
        return contract.BUNDLE_REFUSAL_TRUNCATED
    if _u16(region, contract.BUNDLE_AT_FORMAT) != contract.BUNDLE_FORMAT:
        return contract.BUNDLE_REFUSAL_FORMAT
    return contract.BUNDLE_REFUSAL_TRUNCATED if size < contract.BUNDLE_HEADER_BYTES else 0


def digest(region):
    return bytes(region[contract.BUNDLE_AT_DIGEST : contract.BUNDLE_AT_ID])


def _key(region):
    return bytes(region[contract.BUNDLE_AT_PUBLIC_KEY : _KEY_END])


# ---- whose it is ----


# The prefixes that this publisher's ids have, and why it is none.
def _publisher(region, publishers):
    wanted = _key(region)
    for key, prefixes, revoked in publishers:
        if key == wanted:
            return prefixes, contract.BUNDLE_REFUSAL_REVOKED if revoked else 0
    return (), contract.BUNDLE_REFUSAL_UNKNOWN


def _signature(region):
    end = contents_from(region)
    start = end - _SIGNATURE
    signature = bytes(region[start:end])
    if not sound.is_signature(signature):
        return contract.BUNDLE_REFUSAL_SIGNATURE_FORM
    if not crypto.verify(_key(region), _TAG + bytes(region[:start]) + digest(region), signature):
        return contract.BUNDLE_REFUSAL_SIGNATURE
    return 0


# ---- what it says ----


def _fields(region):
    if not is_id(name_of(region)):
        return contract.BUNDLE_REFUSAL_ID
    entry = _text(region, contract.BUNDLE_AT_ENTRY, contract.BUNDLE_AT_HEAP_PAGES)
    if not entry or not _consists(entry[:1], _FIRST_OF_ENTRIES) or not _consists(entry, _OF_ENTRIES):
        return contract.BUNDLE_REFUSAL_ENTRY
    if not 1 <= _u16(region, contract.BUNDLE_AT_HEAP_PAGES) <= contract.LIMIT_APP_HEAP_PAGES:
        return contract.BUNDLE_REFUSAL_HEAP
    return 0


# So many rows as are stated, and nothing behind them; each is right before the next one is looked for.
def _rows(region):
    rows = _u16(region, contract.BUNDLE_AT_ACTIONS)
    if rows > contract.BUNDLE_ACTIONS:
        return contract.BUNDLE_REFUSAL_ACTIONS
    at, end, before = contract.BUNDLE_HEADER_BYTES, contents_from(region) - _SIGNATURE, 0
    for _ in range(rows):
        text = at + contract.BUNDLE_ROW_BYTES
        if text > end:
            return contract.BUNDLE_REFUSAL_ACTIONS
        action = _u16(region, at)
        if not before < action <= _ACTIONS_KNOWN:
            return contract.BUNDLE_REFUSAL_ACTIONS
        before, at = action, text + region[text - 1]
        if at > end or not _is_reason(region[text:at]):
            return contract.BUNDLE_REFUSAL_REASON
    return 0 if at == end else contract.BUNDLE_REFUSAL_ACTIONS


def _is_reason(text):
    return 1 <= len(text) <= contract.BUNDLE_REASON_BYTES and all(0x20 <= octet < 0x7F for octet in text)


# As it stands there but for the zeros that fill it up.
def _text(region, start, end):
    return bytes(region[start:end]).rstrip(b"\0")


def _consists(text, of):
    return all(of[octet] for octet in text)


def _u16(region, at):
    return region[at] | region[at + 1] << 8


def _u32(region, at):
    return _u16(region, at) | _u16(region, at + 2) << 16
