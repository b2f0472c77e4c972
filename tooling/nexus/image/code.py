"""From the modules of one process, or of one app, to its ROMFS: constants written in, generated modules added, all of it compiled.

Called by build.py for services and by nexus.bundle for apps. The same modules and constants give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nexus.image import modules, mpy, romfs
from nexus.image.fold import Values, fold
from nexus.image.modules import Module

Generator = Callable[[Sequence[Module]], str]  # from the modules as they are after folding to the text of one more


def pack(
    needed: Sequence[Module],
    values: Mapping[str, Values],
    generated: Mapping[str, Generator],
    shown: Callable[[Path], str],
    compiler: mpy.Compiler,
) -> bytes:
    """`shown` is what a traceback calls a file; a generated module is there only if something still imports it."""
    folded = [(module, fold(module.source, values)) for module in needed]
    sources = {module.in_romfs: (source, shown(module.path)) for module, source in folded}
    left = [modules.parse(module.name, module.path, source) for module, source in folded]
    for name, text in generated.items():
        if any(found == name for module in left for found, _ in modules.imports(module)):
            sources[f"{name}.mpy"] = (text(left).encode(), f"{name}.py")
    return romfs.pack({path: compiler.compile(source, name) for path, (source, name) in sources.items()})
