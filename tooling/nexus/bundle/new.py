"""Writes an app to begin with: guest/templates/app with its name put in. Called by `nexus new-app`. Never writes into a folder that is there."""

from __future__ import annotations

import re
from pathlib import Path

from nexus.bundle.app import PUBLISHER
from nexus.bundle.model import Form
from nexus.bundle.trust import load_publisher
from nexus.contract.load import Contract
from nexus.errors import UsageError

SAMPLE = "sample"


def new_app(name: str, parent: Path, root: Path, contract: Contract) -> list[Path]:
    """The files of the new folder."""
    prefix = load_publisher(PUBLISHER, root, contract).prefixes[0]
    most = Form(contract).width("id") - len(prefix)
    if len(name) > most or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise UsageError(f"app name {name!r}: expected 1 to {most} of a-z, 0-9 and -, a letter first")
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"app name {name!r}: found {folder}, expected a name that is free")
    templates = sorted((root / "guest" / "templates" / "app").iterdir())
    texts = {path.name: path.read_text(encoding="utf-8").replace(SAMPLE, name) for path in templates if path.is_file()}
    folder.mkdir()
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]
