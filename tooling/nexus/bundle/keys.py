"""Keys of publishers as files: PEM, PKCS 8, Ed25519. Called by `nexus bundle key` and `sign`.

Never writes over a file, and writes a key for its owner's eyes only. Never shows a private key.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from nexus.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")
EXAMPLE = "example"


def create_key(path: Path) -> Ed25519PrivateKey:
    """A new key in a new file."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path}: found a file, expected a name that is free: a key is never written over") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{path}: found no folder {path.parent}, expected one") from error
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key of a file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path}: found no key that can be read, expected PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: found a key of another kind, expected Ed25519", "nexus bundle key FILE makes one")
    return key


def trust_row(path: Path, public_key: bytes) -> str:
    """The file of recipes/trust for the publisher that this key is of, named as the key's file is."""
    name = path.stem if NAME.fullmatch(path.stem) else EXAMPLE
    return (
        f"# Publisher {name}. Its private key is a file {path.name}, which nobody else may have.\n\n"
        f'public_key = "{public_key.hex()}"\n'
        f'prefixes = ["{name}."]\n'
    )
