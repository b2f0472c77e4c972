"""The interpreter of the services: what it can do and no longer can, in the machine and by the symbols of its ELF.

Scenario: system test-runtime prints one line per case that held; the shell's ELF, which has a compiler, is the control
that shows that the names looked for are the right ones.
"""

from __future__ import annotations

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from nexus.bench import ICOUNT
from nexus.contract.load import load_contract
from nexus.image.build import build_image
from nexus.image.inspect import forbidden_symbols, is_forbidden
from nexus.image.modules import BUILTIN, SHELL_BUILTIN
from nexus.image.runtime import KINDS
from nexus.layout import contract_dir, find_root, manifest_path
from nexus.machine.live import Machine
from nexus.plugin import Boot

ROOT = find_root()
GUEST = ROOT / "guest" / "selftest" / "runtime" / "main.py"
CONTRACT = load_contract(contract_dir(ROOT))
# Not even the shell has these: no native code can run where no page is ever writable and executable.
NOWHERE = {"mp_fun_table", "mp_native_relocate"}
MODULE_TABLE = re.compile(r"(?:mp_module_|mod)?(\w+?)(?:_module)?_globals(?:_table)?")
EXECUTE, WRITE, READ = 1, 2, 4


@pytest.fixture
def machine(boot: Boot) -> Machine:
    """Its time is counted in instructions: a case says what happens within 10 ms, which a host may take from the machine at any moment."""
    return boot("test-runtime", icount=ICOUNT)


def cases() -> list[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(GUEST.parent.glob("*.py"))]
    functions = [node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in functions if name.startswith("test_")]


def line_of(text: str) -> int:
    lines = GUEST.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_every_case_holds_in_the_machine(machine: Machine) -> None:
    end = machine.wait()
    held = [line.rpartition(" ")[2] for line in machine.log.splitlines() if line.startswith("runtime: held ")]
    assert sorted(held) == sorted(cases())
    assert len(cases()) > 25
    prompt = [line for line in machine.log.splitlines() if line.startswith("prompt: ")]
    assert prompt[0] == "prompt: answered 42"
    # nothing was left in sys.path, and it had rested
    assert prompt[-2:] == ["prompt: ValueError: shown", "prompt: anew 2 1"]
    assert end is not None
    assert end.code == CONTRACT.constants["EXIT_INIT_DIED"]


def test_policy_in_the_machine_is_the_images(machine: Machine) -> None:
    machine.wait()
    manifest = json.loads(manifest_path(ROOT, "test-runtime").read_text(encoding="utf-8"))
    assert f"runtime: policy {manifest['policy_digest']}" in machine.log.splitlines()


def test_an_uncaught_exception_says_where_and_nothing_else(machine: Machine) -> None:
    machine.wait()
    lines = machine.log.splitlines()
    assert f"runtime: uncaught ValueError selftest/runtime/main.py:{line_of('raise ValueError')}" in lines
    place = r"selftest/leaver/main\.py:\d+"
    assert any(re.fullmatch(rf"leaver: uncaught KeyError {place} from {place}", line) for line in lines)
    assert "caller" not in machine.log


def test_printed_text_becomes_whole_lines(machine: Machine) -> None:
    machine.wait()
    lines = machine.log.splitlines()
    start = lines.index("runtime: one line")
    full = int(CONTRACT.constants["LIMIT_LINE_BYTES"])
    expected = ["one line", "two", "lines", "before", "left over", "after", "x" * full]
    assert lines[start : start + 8] == [*(f"runtime: {text}" for text in expected), "runtime| xxx"]


@pytest.fixture(scope="module")
def runtimes() -> dict[str, Path]:
    build_image("test-runtime", ROOT, lambda _: None)
    return {kind: ROOT / "build" / "runtime" / kind / f"{kind}.elf" for kind in KINDS}


@pytest.fixture
def service(runtimes: dict[str, Path]) -> Path:
    return runtimes["service"]


@pytest.fixture
def shell(runtimes: dict[str, Path]) -> Path:
    return runtimes["shell"]


def symbols(elf: Path) -> dict[str, int]:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name}


def test_service_holds_nothing_forbidden_that_the_shell_has(service: Path, shell: Path) -> None:
    forbidden = forbidden_symbols(ROOT)
    assert [name for name in symbols(service) if is_forbidden(name, forbidden)] == []
    in_shell = {name.partition(".")[0] for name in symbols(shell)} & forbidden
    never = {name for name in forbidden if name.startswith(("crypto_sign_", "randombytes"))}
    assert in_shell == forbidden - never - NOWHERE


def test_builder_knows_exactly_the_modules_that_are_built_in(service: Path, shell: Path) -> None:
    for elf, known in ((service, BUILTIN), (shell, SHELL_BUILTIN)):
        tables = {found[1] for name in symbols(elf) if (found := MODULE_TABLE.fullmatch(name))}
        assert tables - {"mp_builtin"} == known  # that one is the function globals()


def test_no_segment_is_writable_and_executable(service: Path) -> None:
    with service.open("rb") as file:
        loads = list(ELFFile(file).iter_segments("PT_LOAD"))
        assert [load["p_flags"] for load in loads] == [READ | EXECUTE, READ, READ | WRITE]
        assert loads[0]["p_vaddr"] == CONTRACT.constants["VA_IMAGE"]
        pages = [(load["p_vaddr"] >> 12, (load["p_vaddr"] + load["p_memsz"] - 1) >> 12) for load in loads]
    assert all(before[1] < after[0] for before, after in pairwise(pages))


def test_contract_digest_lies_in_read_only_data(service: Path) -> None:
    address = symbols(service)["contract_digest"]
    with service.open("rb") as file:
        load = list(ELFFile(file).iter_segments("PT_LOAD"))[1]
        at = address - load["p_vaddr"]
        assert load.data()[at : at + 32].hex() == CONTRACT.digest


def test_no_path_of_this_computer_is_in_the_elf(service: Path) -> None:
    data = service.read_bytes()
    assert str(ROOT).encode() not in data
    assert str(Path.home()).encode() not in data
