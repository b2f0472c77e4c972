"""Where a view is written: checked before there is anything to write, then whole or not at all. Called by the verbs."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nexus.errors import UsageError


def check_target(path: Path | None, option: str) -> None:
    """Refuse a place that nothing can be written to, before a machine runs for it. A file that is there will be overwritten."""
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{option}: there is no folder {folder}", f"make it: mkdir -p {folder}")
    if path.is_dir():
        raise UsageError(f"{option}: {path} is a folder, expected a file")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{option}: nothing can be written in {folder}")


def write_whole(path: Path, text: str) -> None:
    """Whoever reads that file meanwhile has the old one or the new one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
