"""Packs the modules of one process into a ROMFS image, from which the interpreter runs them in place.

Called by build.py. Pure: the same files give the same bytes, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Mapping

from mpremote.romfs import VfsRomWriter


def pack(files: Mapping[str, bytes]) -> bytes:
    """A ROMFS with these files, by path with '/' between folders."""
    writer = VfsRomWriter()
    _pack_folder(writer, files)
    data: bytes = bytes(writer.finalise())
    return data


def _pack_folder(writer: VfsRomWriter, files: Mapping[str, bytes]) -> None:
    """Entries by name; a folder stands where its name does."""
    folders: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        first, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(first, {})[rest] = data
    for name in sorted({path.partition("/")[0] for path in files}):
        if name in folders:
            writer.opendir(name)
            _pack_folder(writer, folders[name])
            writer.closedir()
        else:
            writer.mkfile(name, files[name])
