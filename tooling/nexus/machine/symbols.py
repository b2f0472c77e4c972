"""Turns program counters into function and line, with the tables of linked ELFs. Called when a failure is reported.

Never needed by a run that passes, so pyelftools is loaded here and nowhere on the way to a boot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus.layout import RAM_BASE
from nexus.verdict.grammar import COUNTER, KERNEL, Malformed, Seen, parse

MAX_COUNTERS = 4
SHF_EXECINSTR = 4
NAME = re.compile(r"[A-Za-z_]")  # not the marks of the assembler: $x, .L1
LABEL = re.compile(r"\blabel=(\S+)")  # in a fault line of the kernel


def counters_of(
    console: Sequence[Seen],
    labels: frozenset[str],
    kernel: Path,
    programs: Mapping[str, Path],
    hart: tuple[int, str] | None,
) -> list[str]:
    """What was running: every pc that the last lines tell, and where the hart (pc, label) stands if it still does."""
    found: list[str] = []
    for seen in console:
        line = parse(seen, labels)
        said = None if isinstance(line, Malformed) else COUNTER.search(line.text)
        if isinstance(line, Malformed) or said is None:
            continue
        address = int(said[1], 16)
        owner = LABEL.search(line.text) if line.label == KERNEL else None
        where = _decode(address, owner[1] if owner else line.label, kernel, programs)
        if where not in found:
            found.append(where)
    if hart is not None:
        found.append(f"{_decode(*hart, kernel, programs)}, where the hart stands now")
    return found[-MAX_COUNTERS:]


def locate(elf: Path, address: int) -> str | None:
    """`function+0x10 (file.c:20)`, or None when the file knows nothing of that address."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with elf.open("rb") as stream:
            file = ELFFile(stream)
            name = _function(file, address)
            line = _line(file, address)
    except (OSError, ELFError):
        return None
    return f"{name}{f' ({line})' if line else ''}" if name else line


def _decode(address: int, label: str, kernel: Path, programs: Mapping[str, Path]) -> str:
    elf = kernel if address >= RAM_BASE else programs.get(label) or _only(programs)
    place = locate(elf, address) if elf is not None else None
    whose = f" {label}" if label and address < RAM_BASE else ""
    return f"{address:#x}{whose} {place or 'in no known function'}"


def _only(programs: Mapping[str, Path]) -> Path | None:
    """The program of every process, where all run the same one."""
    different = set(programs.values())
    return different.pop() if len(different) == 1 else None


def _function(file: Any, address: int) -> str | None:
    """The nearest symbol of code at or before the address; assembly has none with a size."""
    table = file.get_section_by_name(".symtab")
    best: tuple[int, str] | None = None
    for symbol in table.iter_symbols() if table else ():
        start, size = symbol["st_value"], symbol["st_size"]
        is_code = symbol["st_info"]["type"] in ("STT_FUNC", "STT_NOTYPE") and NAME.match(symbol.name)
        inside = start <= address and (size == 0 or address < start + size)
        if is_code and inside and _code_at(file, symbol["st_shndx"], address) and (best is None or start >= best[0]):
            best = (start, symbol.name)
    return f"{best[1]}+{address - best[0]:#x}" if best else None


def _code_at(file: Any, section: object, address: int) -> bool:
    """Whether that section is code and holds the address."""
    if not isinstance(section, int):
        return False
    head = file.get_section(section)
    return bool(head["sh_flags"] & SHF_EXECINSTR) and 0 <= address - head["sh_addr"] < head["sh_size"]


def _line(file: Any, address: int) -> str | None:
    if not file.has_dwarf_info():
        return None
    dwarf = file.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        before = None
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if before is not None and before.address <= address < state.address:
                return f"{_file_name(program, before.file)}:{before.line}"
            before = None if state.end_sequence else state
    return None


def _file_name(program: Any, index: int) -> str:
    files = program["file_entry"]
    place = index if program["version"] >= 5 else index - 1
    return Path(files[place].name.decode(errors="replace")).name if 0 <= place < len(files) else "?"
