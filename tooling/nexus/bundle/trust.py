"""Publishers: whose key may sign bundles with which ids, read from recipes/trust. Called by the recipe check, the builder and `nexus bundle`.

Reads files and holds no secret but those that a file states for everybody to know. Never trusts anybody by itself: which of
the publishers an image trusts is its recipe's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus import layout
from nexus.bundle.table import load_table, shown_path, text_of
from nexus.contract.load import Contract
from nexus.ed25519 import is_sound_point
from nexus.errors import RecipeError, UsageError
from nexus.recipe.fields import REQUIRED, Field, Problems, read_table
from nexus.recipe.raw import RawTable, did_you_mean

if TYPE_CHECKING:  # loaded only where a key is used
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = r"(?:[a-z0-9-]{1,24}\.){1,4}"
KEY_EXPECTED = "64 hex digits in lower case"


@dataclass(frozen=True)
class Publisher:
    """One file of recipes/trust."""

    name: str
    public_key: bytes
    prefixes: tuple[str, ...]  # of ids that are its own, each with the dot that ends it
    revoked: str | None  # why
    known_seed: bytes | None  # a secret that is none

    def owns(self, bundle_id: str) -> bool:
        return bundle_id.startswith(self.prefixes)


def _hex_key(value: Any) -> bytes:
    return bytes.fromhex(text_of(r"[0-9a-f]{64}")(value))


def _public_key(value: Any) -> bytes:
    key = _hex_key(value)
    if not is_sound_point(key):
        raise ValueError
    return key


def _prefixes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError
    found = tuple(text_of(PREFIX)(item) for item in value)
    if any(one.startswith(other) for at, one in enumerate(found) for other in found[:at] + found[at + 1 :]):
        raise ValueError
    return found


FIELDS = {
    "public_key": Field(_public_key, f"an Ed25519 public key, {KEY_EXPECTED}, y below p, of large order", REQUIRED),
    "prefixes": Field(_prefixes, 'a list such as ["dev."], none within another', REQUIRED),
    "revoked": Field(text_of(r"\S(?:.*\S)?"), "a sentence that says why", None),
    "known_seed": Field(_hex_key, f"the seed of an Ed25519 key that everybody may know, {KEY_EXPECTED}", None),
}


def known_publishers(root: Path) -> list[str]:
    """Names of all that have a file, trusted by some image or not."""
    return sorted(path.stem for path in layout.trust_dir(root).glob("*.toml"))


def load_publisher(name: str, root: Path, contract: Contract) -> Publisher:
    """The publisher of that name; its file must be right in itself."""
    known = known_publishers(root)
    if name not in known:
        raise UsageError(
            f"publisher {name!r}: found no {shown_path(layout.trust_dir(root), root)}/{name}.toml, "
            f"expected one of {', '.join(known) or 'none'}{did_you_mean(name, known)}"
        )
    path = layout.trust_dir(root) / f"{name}.toml"
    problems = Problems()
    table = load_table(path, shown_path(path, root))[""]
    values = read_table(table, FIELDS, problems)
    problems.raise_if_any()
    _check_lengths(table, values["prefixes"], contract, problems)
    _check_seed(table, values, problems)
    problems.raise_if_any()
    return Publisher(name, **values)


def load_trust(names: Iterable[str], root: Path, contract: Contract) -> tuple[Publisher, ...]:
    """These publishers, none with the key of another one; an id belongs to one at most that is not revoked."""
    found: list[Publisher] = []
    for publisher in (load_publisher(name, root, contract) for name in names):
        for other in found:
            _check_apart(publisher, other, root)
        found.append(publisher)
    return tuple(found)


def load_all(root: Path, contract: Contract) -> tuple[Publisher, ...]:
    """Every publisher of the clone, for those who look up whose a key is."""
    return load_trust(known_publishers(root), root, contract)


def trust_module(publishers: Sequence[Publisher]) -> str:
    """The guest module `trust`."""
    rows = [
        f"    ({one.public_key!r}, {tuple(prefix.encode() for prefix in one.prefixes)!r}, {one.revoked is not None!r}),"
        for one in publishers
    ]
    lines = ["# Generated: who may sign bundles for this image. Do not edit.", ""]
    return "\n".join([*lines, "# (public key, prefixes of ids, revoked)", "PUBLISHERS = (", *rows, ")"]) + "\n"


def known_key(publisher: Publisher) -> Ed25519PrivateKey | None:
    """The key to sign with, where it is no secret."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return None if publisher.known_seed is None else Ed25519PrivateKey.from_private_bytes(publisher.known_seed)


def _check_lengths(table: RawTable, prefixes: tuple[str, ...], contract: Contract, problems: Problems) -> None:
    """A prefix leaves room for a name behind it."""
    offsets = contract.table("bundle_at")
    most = offsets["major"] - offsets["id"] - 1
    for prefix in prefixes:
        if len(prefix) > most:
            problems.at(table, "prefixes", repr(prefix), f"at most {most} characters, since an id has {most + 1}")


def _check_seed(table: RawTable, values: dict[str, Any], problems: Problems) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if values["known_seed"] is None:
        return
    made = Ed25519PrivateKey.from_private_bytes(values["known_seed"]).public_key().public_bytes_raw()
    if made != values["public_key"]:
        problems.at(table, "public_key", values["public_key"].hex(), f"that of known_seed, {made.hex()}")


def _check_apart(one: Publisher, other: Publisher, root: Path) -> None:
    shown = f"{shown_path(layout.trust_dir(root), root)}/{one.name}.toml"
    if one.public_key == other.public_key:
        raise RecipeError(f"{shown}: public_key: found that of {other.name}.toml, expected a key of its own")
    if one.revoked or other.revoked:
        return
    for prefix in one.prefixes:
        for taken in other.prefixes:
            if prefix.startswith(taken) or taken.startswith(prefix):
                found = f"{prefix!r}, while {other.name}.toml has {taken!r}"
                raise RecipeError(f"{shown}: prefixes: found {found}, expected ids that are nobody else's")
