"""Links the kernel with a system's table and payload, and reads back where everything came to lie.

Called by build.py after table.py wrote the sources. The rules of compiling are firmware/kernel/Makefile's alone.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from nexus import layout
from nexus.contract.emit import write_if_changed
from nexus.errors import BuildError
from nexus.image import toolchain
from nexus.image.manifest import Area
from nexus.image.program import Segment
from nexus.image.stack import check_stack

OBJECTS = "kernel"
COMPILER_FILE = ".compiler"


@dataclass(frozen=True)
class Linked:
    """nexus.elf as it will lie in RAM."""

    path: Path
    areas: tuple[Area, ...]
    segments: tuple[Segment, ...]
    symbols: dict[str, int]

    @property
    def end(self) -> int:
        """The first address after everything that the image takes."""
        return max(area.start + area.bytes for area in self.areas)


def link(root: Path, system: Path, stack_bytes: int) -> Linked:
    """Run make; only what changed is compiled, but everything when the compiler is another one than last time.

    A kernel that could need more stack than it has is refused.
    """
    objects = system / OBJECTS
    if write_if_changed(objects / COMPILER_FILE, toolchain.compiler_identity()):
        for path in objects.glob("*.o"):
            path.unlink()
    paths = {"BUILD": objects, "GEN": layout.gen_dir(root), "SYSTEM": system}
    argv = toolchain.make_argv(root / "firmware" / "kernel", paths)
    toolchain.run_tool(argv, system / "log" / "kernel.log", "kernel: make")
    check_stack(objects, root / "firmware" / "kernel", stack_bytes)
    return read_image(system / "nexus.elf")


def forget(system: Path) -> None:
    """The next build compiles everything: make takes an object for current that is newer than its source."""
    shutil.rmtree(system / OBJECTS, ignore_errors=True)


def read_image(path: Path) -> Linked:
    """Segments and symbols of a linked image."""
    if not path.is_file():
        raise BuildError(f"{path}: no such image")
    with path.open("rb") as file:
        elf = ELFFile(file)
        loads = [load for load in elf.iter_segments("PT_LOAD") if load["p_memsz"]]
        segments = tuple(Segment(load["p_paddr"], load.data(), load["p_memsz"], load["p_flags"]) for load in loads)
        table = elf.get_section_by_name(".symtab")
        names = table.iter_symbols() if isinstance(table, SymbolTableSection) else iter(())
        symbols = {symbol.name: symbol["st_value"] for symbol in names if symbol.name}
    areas = tuple(Area(segment.va, segment.memory_bytes, segment.access) for segment in segments)
    return Linked(path, areas, segments, symbols)
