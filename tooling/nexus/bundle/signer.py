"""Whose key signs a bundle: one from a file, or that of a publisher whose secret everybody knows. Called by `nexus bundle sign`.

Refuses a signature that every machine would refuse. Reads keys, shows none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nexus.bundle.keys import load_key
from nexus.bundle.trust import Publisher, known_key, load_all, load_publisher
from nexus.contract.load import Contract
from nexus.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def key_of_file(
    file: Path, bundle_id: str, root: Path, contract: Contract
) -> tuple[Ed25519PrivateKey, Publisher | None]:
    """That key, and the publisher that has it as far as the clone knows."""
    key = load_key(file)
    public_key = key.public_key().public_bytes_raw()
    owner = next((one for one in load_all(root, contract) if one.public_key == public_key), None)
    if owner is not None:
        _check_owner(bundle_id, owner)
    return key, owner


def key_of_publisher(
    name: str | None, bundle_id: str, root: Path, contract: Contract
) -> tuple[Ed25519PrivateKey, Publisher]:
    """The key of that publisher; without a name, of the one to whom the id belongs."""
    owner = load_publisher(name, root, contract) if name else _owner_of(bundle_id, load_all(root, contract))
    _check_owner(bundle_id, owner)
    key = known_key(owner)
    if key is None:
        raise UsageError(f"publisher {owner.name}: found no key that everybody knows, expected --key PEM")
    return key, owner


def _owner_of(bundle_id: str, publishers: tuple[Publisher, ...]) -> Publisher:
    found = next((one for one in publishers if one.owns(bundle_id) and one.revoked is None), None)
    if found is None:
        prefixes = ", ".join(prefix for one in publishers for prefix in one.prefixes)
        raise UsageError(
            f"id {bundle_id!r}: found no publisher to whom it belongs, expected one that begins with {prefixes}, or --key PEM"
        )
    return found


def _check_owner(bundle_id: str, owner: Publisher) -> None:
    if not owner.owns(bundle_id):
        expected = " or ".join(owner.prefixes)
        raise UsageError(f"id {bundle_id!r}: found a key of {owner.name}, expected an id that begins with {expected}")
