"""Proves which publishers an image trusts and which bundles lie in it, by looking for their bytes in all that it loads.

Called by inspect.py. Believes neither the manifest nor the builder: a key or a bundle that nobody states is found wherever it lies,
as long as it is not compressed or written in pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nexus.bundle.model import Form
from nexus.bundle.trust import load_all
from nexus.contract.load import Contract
from nexus.image.manifest import Manifest

TEST_BUNDLES = ("guest/apps/selftest", "guest/test", "firmware/test", "tests/")
TEST_PUBLISHERS = ("selftest", "test-")
Keys = Mapping[str, bytes]  # public key by publisher's name


def known_keys(root: Path, contract: Contract) -> Keys:
    """Of every publisher of the clone, trusted by some image or not."""
    return {one.name: one.public_key for one in load_all(root, contract)}


def check_trust(memory: Sequence[bytes], manifest: Manifest, keys: Keys) -> list[str]:
    """Keys of strangers are nowhere, not even in a bundle; each stated one is the publisher's."""
    stated = {row.name: row.public_key for row in manifest.trust}
    problems = []
    for name, key in keys.items():
        if name in stated and stated[name] != key.hex():
            problems.append(f"{name}: found key {stated[name]}, expected {key.hex()}")
        elif name in stated and not any(key in data for data in memory):
            problems.append(f"{name}: found its key nowhere, expected it where bundles are judged")
        elif name not in stated and not _carried(manifest) and any(key in data for data in memory):
            problems.append(f"{name}: found its key, expected that of no publisher who is not stated")
    return problems


def _carried(manifest: Manifest) -> bool:
    """Whether the image holds bundles that it refuses, of anybody."""
    return any(row.refused is not None for row in manifest.bundles)


def check_bundles(memory: Sequence[bytes], manifest: Manifest, form: Form) -> list[str]:
    """What looks like a bundle is one of those stated, and each of these is there."""
    found = {hashlib.sha256(bundle).hexdigest() for data in memory for bundle in bundles_in(form, data)}
    stated = {row.sha256: row for row in manifest.bundles if row.bytes > form.header_bytes}
    problems = [f"found a bundle with sha256 {sha256}, which nobody states" for sha256 in sorted(found - stated.keys())]
    whole = [row for row in stated.values() if row.refused is None]
    return problems + [f"{row.source}: not found in the image" for row in whole if row.sha256 not in found]


def bundles_in(form: Form, data: bytes) -> Iterator[bytes]:
    """Every place with the opening of a bundle and lengths that a bundle can have; magic alone stands in code as well."""
    at = data.find(form.magic)
    while at >= 0:
        length = _length(form, data[at : at + form.header_bytes])
        if length and at + length <= len(data):
            yield data[at : at + length]
        at = data.find(form.magic, at + 1)


def _length(form: Form, header: bytes) -> int:
    """Bytes of the bundle that begins with this header; 0 for what can be none."""
    numbers = {
        name: int.from_bytes(header[form.places[name]], "little")
        for name in ("format", "manifest_bytes", "contents_bytes")
    }
    right = len(header) == form.header_bytes and numbers["format"] == form.format
    right = right and form.header_bytes <= numbers["manifest_bytes"] <= form.manifest_max
    if not right or not 0 < numbers["contents_bytes"] <= form.contents_max:
        return 0
    return numbers["manifest_bytes"] + form.signature_bytes + numbers["contents_bytes"]


def made_for_tests(manifest: Manifest) -> list[str]:
    """What a system for everyday use must not take or hold."""
    problems = [f"found publisher {row.name}" for row in manifest.trust if row.name.startswith(TEST_PUBLISHERS)]
    for row in manifest.bundles:
        if row.refused is not None or row.source.startswith(TEST_BUNDLES):
            problems.append(f"found {row.source} in {row.process}")
    return problems
