"""Proves that an image is what its manifest says, and that nothing is in it that must not be.

Called by `nexus inspect` and by the tests. Reads the linked image (its segments, and its table by the compiler's own types)
and the programs beside it; never trusts what the builder meant to write. Every finding is told, not only the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus.bundle.model import Form
from nexus.contract.load import Contract
from nexus.errors import NexusError
from nexus.image import contents, kernel
from nexus.image.decode import Table, read_table
from nexus.image.manifest import Manifest, ProcessRow, file_entry
from nexus.image.program import EXECUTE, WRITE, Program, read_program
from nexus.layout import RAM_BASE
from nexus.recipe.model import PAGE, pages

RUNTIME = "service"
NO_DIGEST = "00" * 32  # in the table of an image without policy
KNOWN_SYMBOL = "mp_init"  # every interpreter has it
# What a system for everyday use must not hold.
PLAIN_SYSTEM = "default"
TEST_SOURCES = ("firmware/test/", "guest/selftest", "tests/")


@dataclass(frozen=True)
class Finding:
    """One check and what was wrong; no problem: it holds."""

    check: str
    problems: tuple[str, ...]


def inspect_image(
    image: Path, manifest: Manifest, contract: Contract, build: Path, forbidden: frozenset[str], keys: contents.Keys
) -> list[Finding]:
    """Run every check. `build` is the folder to which the manifest's program paths are relative, `keys` are those of all publishers."""
    linked, table = read_table(image)
    memory = [segment.data for segment in linked.segments]
    programs, unreadable = _programs(manifest, contract, build)
    checks: dict[str, Callable[[], list[str]]] = {
        "the file is the one that was built": lambda: _file(image, manifest),
        "loaded areas are as stated, none writable and executable": lambda: _areas(linked, manifest),
        "every part lies where it should, byte for byte": lambda: _parts(linked, manifest),
        "the table holds exactly the stated processes and capabilities": lambda: _table(table, manifest),
        "every program page is readable, and not both writable and executable": lambda: _segments(table, linked),
        "image, table and programs are of one contract": lambda: _contract(table, manifest),
        "the policy is the one that was compiled, whole and read by those who decide": lambda: _policy(
            linked, table, manifest
        ),
        "programs are the files that were built": lambda: unreadable + _program_parts(programs, manifest),
        f"the {RUNTIME} runtime holds no compiler and no forbidden module": lambda: _forbidden(
            manifest, programs, forbidden
        ),
        "nobody is trusted who is not stated": lambda: contents.check_trust(memory, manifest, keys),
        "every bundle is a stated one": lambda: contents.check_bundles(memory, manifest, Form(contract)),
        f"{PLAIN_SYSTEM} holds nothing made for tests": lambda: _test_only(manifest),
    }
    return [Finding(name, tuple(check())) for name, check in checks.items()]


def _differs(what: str, found: object, expected: object) -> list[str]:
    return [] if found == expected else [f"{what}: found {found}, expected {expected}"]


def _file(image: Path, manifest: Manifest) -> list[str]:
    found = file_entry(image.name, image)
    return _differs("bytes", found.bytes, manifest.image.bytes) + _differs(
        "sha256", found.sha256, manifest.image.sha256
    )


def _areas(linked: kernel.Linked, manifest: Manifest) -> list[str]:
    problems = _differs("areas", list(linked.areas), manifest.areas)
    problems += _differs("_start", linked.symbols.get("_start"), RAM_BASE)
    problems += [
        f"{segment.va:#x}: found writable and executable" for segment in linked.segments if _both(segment.flags)
    ]
    return problems


def _both(flags: int) -> bool:
    return bool(flags & WRITE and flags & EXECUTE)


def _bytes_at(linked: kernel.Linked, address: int, count: int) -> bytes:
    for segment in linked.segments:
        offset = address - segment.va
        if 0 <= offset <= len(segment.data) - count:
            return segment.data[offset : offset + count]
    return b""


def _parts(linked: kernel.Linked, manifest: Manifest) -> list[str]:
    problems = []
    for part in manifest.parts:
        found = hashlib.sha256(_bytes_at(linked, part.address, part.bytes)).hexdigest()
        problems += _differs(part.name, found, part.sha256)
        if part.address % PAGE:
            problems.append(f"{part.name}: found at {part.address:#x}, expected the start of a page")
    return problems


def _table(table: Table, manifest: Manifest) -> list[str]:
    problems = _differs("ram_bytes", table.image["ram_bytes"], manifest.ram_bytes)
    problems += _differs("flags", table.image["flags"], manifest.flags)
    problems += _differs(
        "processes", [row["label"] for row in table.processes], [row.label for row in manifest.processes]
    )
    for seen, row in zip(table.processes, manifest.processes, strict=False):
        stated = {
            "id_name": row.id_name,
            "service_id": int(row.service_id, 16),
            "rank": row.rank,
            "flags": sorted(row.flags),
            "supervisor": row.supervisor,
            "heap_pages": pages(row.heap_bytes),
            "stack_pages": pages(row.stack_bytes),
            "kept_pages": pages(row.kept_bytes),
            "caps": _stated_caps(row),
        }
        seen = seen | {"flags": sorted(seen["flags"]), "caps": [tuple(cap.values()) for cap in seen["caps"]]}
        problems += [
            problem for key, value in stated.items() for problem in _differs(f"{row.name}: {key}", seen[key], value)
        ]
        problems += _differs(f"{row.name}: program", seen["program"]["name"], row.program)
    return problems


def _stated_caps(row: ProcessRow) -> list[tuple[int, ...]]:
    """In the order of the members of struct image_cap."""
    return [(cap.type, cap.rights, cap.object, int(cap.badge, 16)) for cap in row.capabilities]


def _segments(table: Table, linked: kernel.Linked) -> list[str]:
    """What the kernel maps is the table's `access`, not the flags of the ELF."""
    problems = []
    for program in {row["program"]["name"]: row["program"] for row in table.processes}.values():
        for segment in program["segments"]:
            where = f"{program['name']}: segment at {segment['va']:#x}"
            if not segment["access"] & table.access["r"]:
                problems.append(f"{where}: found no right to read")
            if segment["access"] & table.access["w"] and segment["access"] & table.access["x"]:
                problems.append(f"{where}: found writable and executable")
            if segment["file_bytes"] and not _bytes_at(linked, segment["data"], segment["file_bytes"]):
                problems.append(f"{where}: found its bytes outside the image")
    return problems


def _contract(table: Table, manifest: Manifest) -> list[str]:
    problems = _differs("image", table.image["contract_digest"], manifest.contract_digest)
    for program in {row["program"]["name"]: row["program"] for row in table.processes}.values():
        problems += _differs(program["name"], program["digest"], manifest.contract_digest)
    return problems


def _policy(linked: kernel.Linked, table: Table, manifest: Manifest) -> list[str]:
    """The digest that the kernel will print is that of the very bytes that it will map."""
    held = table.image["policy"]
    stated = manifest.policy_digest or NO_DIGEST
    found = hashlib.sha256(_bytes_at(linked, held["start"], held["bytes"])).hexdigest() if held["bytes"] else NO_DIGEST
    problems = _differs("bytes", held["bytes"], manifest.policy_bytes)
    problems += _differs("digest", table.image["policy_digest"], stated)
    problems += _differs("digest of what is mapped", found, stated)
    for seen, row in zip(table.processes, manifest.processes, strict=False):
        problems += _differs(f"{row.name}: policy", bool(seen["policy"]), row.policy)
        if row.policy and not held["bytes"]:
            problems.append(f"{row.name}: found no policy, expected one to decide by")
    return problems


def _programs(manifest: Manifest, contract: Contract, build: Path) -> tuple[list[Program], list[str]]:
    """The ELFs that the manifest names, and why one can't be read."""
    programs, problems = [], []
    for file in manifest.programs:
        path = build / file.name
        if not path.is_file():
            problems.append(f"{file.name}: found no such file, so its symbols can't be judged")
            continue
        problems += _differs(file.name, file_entry(file.name, path).sha256, file.sha256)
        try:
            programs.append(read_program(path.stem, path, contract))
        except NexusError as error:
            problems.append(error.message)
    return programs, problems


def _program_parts(programs: list[Program], manifest: Manifest) -> list[str]:
    """The bytes in the image are those of the ELF, so what the ELF's symbols say holds for the image."""
    parts = {part.name: part.sha256 for part in manifest.parts}
    problems = []
    for program in programs:
        for number, segment in enumerate(program.segments):
            name = f"{program.name}_{number}"
            found = hashlib.sha256(segment.data).hexdigest()
            problems += _differs(name, found, parts.get(name)) if segment.data else []
    return problems


def _forbidden(manifest: Manifest, programs: list[Program], forbidden: frozenset[str]) -> list[str]:
    """Needs the ELF with its symbols: where they are missing, their absence proves nothing."""
    if all(row.program != RUNTIME for row in manifest.processes):
        return []
    symbols = next((program.symbols for program in programs if program.name == RUNTIME), frozenset())
    if KNOWN_SYMBOL not in symbols:
        return [f"found no program {RUNTIME!r} with the symbol {KNOWN_SYMBOL}, so the absence of others proves nothing"]
    return [f"found {name}" for name in sorted(symbols) if is_forbidden(name, forbidden)]


def is_forbidden(symbol: str, forbidden: frozenset[str]) -> bool:
    """GCC's own suffixes of a name (mp_parse.part.0) don't hide it."""
    return symbol.partition(".")[0] in forbidden


def _test_only(manifest: Manifest) -> list[str]:
    if manifest.system != PLAIN_SYSTEM:
        return []
    problems = [f"found the system flag {flag}" for flag in manifest.flags]
    for row in manifest.processes:
        if row.source.startswith(TEST_SOURCES):
            problems.append(f"found {row.name} from {row.source}")
    return problems + contents.made_for_tests(manifest)


def forbidden_symbols(root: Path) -> frozenset[str]:
    """Names that must not be in the service runtime: both sections of firmware/runtime/forbidden.txt."""
    lines = (root / "firmware" / "runtime" / "forbidden.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and line[0] not in "#[")
