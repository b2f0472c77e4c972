"""Where a view is written: checked before there is anything to write, then whole or not at all. Called by the verbs."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nexus.errors import UsageError

if TYPE_CHECKING:
    import click

T = TypeVar("T", str | None, Path | None)


def check_target(path: Path | None, option: str, *, whole: bool = True) -> None:
    """Refuse a place that nothing can be written to, before a machine runs for it. A file that is there will be overwritten.

    `whole`: by write_whole, which needs the folder. Otherwise a file that is there is written to as it is, like /dev/null.
    """
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{option}: there is no folder {folder}", f"make it: mkdir -p {folder}")
    if path.is_dir():
        raise UsageError(f"{option}: {path} is a folder, expected a file")
    place = folder if whole or not path.exists() else path
    if not os.access(place, os.W_OK):
        raise UsageError(f"{option}: nothing can be written to {place}")


def check_option(_context: click.Context, option: click.Parameter, target: T) -> T:
    """As callback of an option of click: check_target before its command does anything. "-" is standard output."""
    if target is not None and str(target) != "-":
        check_target(Path(target), option.opts[0], whole=False)
    return target


def write_whole(path: Path, text: str) -> None:
    """Whoever reads that file meanwhile has the old one or the new one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
