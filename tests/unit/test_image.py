"""The stages of a build one by one: modules, .mpy, ROMFS, programs, table. Whole builds are in test_build.py."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.emit import emit_contract
from nexus.contract.load import Contract
from nexus.errors import BuildError
from nexus.image import caps, modules, mpy, romfs, table, toolchain
from nexus.image.policy import policy_of
from nexus.image.program import Program, Segment, read_program
from nexus.recipe.check import load_system

V6_3 = mpy.MpyVersion(6, 3)
NAME = st.from_regex(r"[a-z]{1,8}\.mpy", fullmatch=True)
FOLDER = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
TREE = st.dictionaries(
    st.one_of(NAME, st.tuples(FOLDER, NAME).map("/".join), st.tuples(FOLDER, FOLDER, NAME).map("/".join)),
    st.binary(max_size=300),
    max_size=8,
)


# ---- modules -----------------------------------------------------------------------------------------------------------


def guest(folder: Path, files: dict[str, str]) -> Path:
    """A folder guest/ with these modules."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def closure(folder: Path) -> list[str]:
    return [module.in_romfs for module in modules.closure(folder, "services/x", modules.BUILTIN)]


def test_closure_follows_imports_and_takes_nothing_else(tmp_path: Path) -> None:
    folder = guest(
        tmp_path,
        {
            "services/x/main": "import struct, near\nfrom wire import pack\nimport contract, caps\n",
            "services/x/near": "def late():\n    import device\n",
            "services/x/unused": "import nonsense\n",
            "lib/wire": "import kernel\n",
            "lib/other": "",
            "drivers/device": "",
        },
    )
    assert closure(folder) == ["device.mpy", "main.mpy", "near.mpy", "wire.mpy"]


def test_named_modules_come_with_all_that_they_import(tmp_path: Path) -> None:
    folder = guest(tmp_path, {"services/x/main": "", "test/tool": "import wire\n", "test/other": "", "lib/wire": ""})
    found = modules.closure(folder, "services/x", modules.BUILTIN, ["test/tool"])
    assert [module.in_romfs for module in found] == ["main.mpy", "tool.mpy", "wire.mpy"]


def test_own_module_goes_before_the_library(tmp_path: Path) -> None:
    folder = guest(tmp_path, {"services/x/main": "import wire", "services/x/wire": "", "lib/wire": ""})
    found = modules.closure(folder, "services/x", modules.BUILTIN)
    assert [module.path.parent.name for module in found] == ["x", "x"]


def test_packages_keep_their_folders(tmp_path: Path) -> None:
    folder = guest(
        tmp_path,
        {
            "services/x/main": "import cases.one\nfrom cases import two, NOT_A_MODULE\n",
            "services/x/cases/__init__": "NOT_A_MODULE = 1\n",
            "services/x/cases/one": "",
            "services/x/cases/two": "",
        },
    )
    assert closure(folder) == ["cases/__init__.mpy", "cases/one.mpy", "cases/two.mpy", "main.mpy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\nimport wires\n", "main.py:3: import wires: found no such module, expected a module of services/x"),
        ("import wires\n", "did you mean 'wire'?"),
        ("from . import near\n", "main.py:1: found a relative import"),
        ("import random\n", "main.py:1: import random: found no such module"),
        ("def f(:\n", "main.py:1: "),
    ],
)
def test_import_that_leads_nowhere_is_refused(tmp_path: Path, text: str, message: str) -> None:
    folder = guest(tmp_path, {"services/x/main": text, "lib/wire": ""})
    with pytest.raises(BuildError) as caught:
        closure(folder)
    assert message in caught.value.message


def used(tmp_path: Path, text: str) -> set[str] | None:
    folder = guest(tmp_path, {"services/x/main": text})
    found = modules.names_used(modules.closure(folder, "services/x", modules.BUILTIN), "contract")
    return None if found is None else set(found)


def test_constants_used_are_found(tmp_path: Path) -> None:
    assert used(tmp_path, "import contract\nfrom contract import A\nx = contract.B\n") == {"A", "B"}


@pytest.mark.parametrize(
    "text", ["import contract\nx = contract\n", "import contract as c\n", "import contract\ndir(contract)\n"]
)
def test_module_used_as_a_whole_is_kept_whole(tmp_path: Path, text: str) -> None:
    assert used(tmp_path, text) is None


def test_unknown_constant_is_refused_where_it_stands(tmp_path: Path) -> None:
    names = {"VA_HAEP": (tmp_path / "main.py", 7)}
    with pytest.raises(
        BuildError, match=r"main\.py:7: contract\.VA_HAEP: found an unknown name.*did you mean 'VA_HEAP'"
    ):
        modules.check_names(names, ["VA_HEAP", "VA_ROMFS"], "contract", "a name of the contract")


# ---- .mpy --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def compiler(tmp_path: Path) -> mpy.Compiler:
    return mpy.Compiler(tmp_path / "mpy", V6_3)


def test_mpy_is_of_the_guests_version_and_holds_no_path(compiler: mpy.Compiler, tmp_path: Path) -> None:
    data = compiler.compile(b"x = 1 << 40\n", "lib/a.py")
    assert data[:4] == bytes([ord("M"), 6, 0, 63])
    assert b"lib/a.py" in data
    assert str(tmp_path).encode() not in data


def test_unchanged_module_is_compiled_once(compiler: mpy.Compiler, tmp_path: Path) -> None:
    first = compiler.compile(b"x = 1\n", "a.py")
    assert compiler.compile(b"x = 1\n", "a.py") == first
    assert mpy.Compiler(tmp_path / "mpy", V6_3).compile(b"x = 1\n", "a.py") == first
    assert (compiler.compiled, compiler.unchanged) == (1, 1)
    compiler.compile(b"x = 2\n", "a.py")
    compiler.compile(b"x = 1\n", "b.py")
    assert compiler.compiled == 3


def test_error_in_a_module_shows_the_compilers_words(compiler: mpy.Compiler) -> None:
    with pytest.raises(BuildError) as caught:
        compiler.compile(b"x = (\n", "services/x/main.py")
    assert "services/x/main.py" in caught.value.message
    assert "SyntaxError" in caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "found no .mpy file"),
        (b"ELF\x7f", "found no .mpy file"),
        (b"M\x05\x00\x1f", "found .mpy version 5, expected 6 of the guest's interpreter"),
        (b"M\x07\x00\x1f", "found .mpy version 7, expected 6"),
        (b"M\x06\x2f\x1f", "found native code"),
        (b"M\x06\x00\x40", "found small integers of 64 bits"),
    ],
)
def test_mpy_that_the_guest_would_not_take_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        mpy.check_header("x.mpy", data, V6_3)
    assert message in caught.value.message


def test_version_is_read_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "py").mkdir()
    header = tmp_path / "py" / "persistentcode.h"
    header.write_text("// MPY\n#define MPY_VERSION 6\n#define MPY_SUB_VERSION 3\n", encoding="utf-8")
    assert mpy.version_of_source(tmp_path) == V6_3
    header.write_text("#define MPY_VERSION 6\n", encoding="utf-8")
    with pytest.raises(BuildError, match="found no MPY_VERSION"):
        mpy.version_of_source(tmp_path)


# ---- ROMFS -------------------------------------------------------------------------------------------------------------


def decode(data: bytes, at: int) -> tuple[int, int]:
    """MicroPython's variable-length number: 7 bits a byte, high ones first."""
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def unpack(data: bytes, at: int, end: int, prefix: str = "") -> dict[str, bytes]:
    """Every file of a ROMFS body, by an independent reading of the format."""
    files: dict[str, bytes] = {}
    while at < end:
        kind, at = decode(data, at)
        size, at = decode(data, at)
        stop = at + size
        length, name_at = decode(data, at)
        name = prefix + data[name_at : name_at + length].decode()
        if kind == 4:
            files |= unpack(data, name_at + length, stop, name + "/")
        else:
            assert kind == 5
            inner, body = decode(data, name_at + length)
            assert inner == 2
            bytes_, body = decode(data, body)
            files[name] = data[body : body + bytes_]
        at = stop
    return files


@given(TREE)
def test_romfs_holds_exactly_the_files(files: dict[str, bytes]) -> None:
    folders = {path.rsplit("/", 1)[0] for path in files if "/" in path}
    files = {path: data for path, data in files.items() if not any(path == folder for folder in folders)}
    data = romfs.pack(files)
    assert data[:3] == b"\xd2\xcd1"
    size, at = decode(data, 3)
    assert at + size == len(data)
    assert unpack(data, at, len(data)) == files


@given(TREE)
def test_romfs_does_not_depend_on_the_order(files: dict[str, bytes]) -> None:
    assert romfs.pack(files) == romfs.pack(dict(reversed(files.items())))


# ---- programs ----------------------------------------------------------------------------------------------------------


def link(folder: Path, root: Path, contract: Contract, *flags: str, digest: str | None = None) -> Path:
    """A small ELF by the real compiler, linker and link script; text, read-only data with the digest, data."""
    numbers = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(digest or contract.digest))
    (folder / "program.c").write_text(
        f"const unsigned char contract_digest[32] = {{{numbers}}};\nint data[300] = {{1}};\nint bss[5000];\n"
        "void _start(void) { data[0] = bss[1] + contract_digest[2]; }\n",
        encoding="utf-8",
    )
    emit_contract(contract, folder)
    gcc = toolchain.find_tool(toolchain.GCC)
    rules = [gcc, "-E", "-P", "-undef", "-x", "c", f"-I{folder}", str(root / "firmware/include/user.ld")]
    (folder / "user.ld").write_bytes(subprocess.run(rules, check=True, capture_output=True).stdout)
    argv = [gcc, "-march=rv64imac", "-misa-spec=2.2", "-mabi=lp64", "-mcmodel=medany", "-O1", "-nostdlib", "-static"]
    argv += [
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-T",
        "user.ld",
        *flags,
        "-o",
        "program.elf",
        "program.c",
    ]
    subprocess.run(argv, check=True, cwd=folder)
    return folder / "program.elf"


def test_program_is_read_with_its_segments(tmp_path: Path, root: Path, contract: Contract) -> None:
    program = read_program("x", link(tmp_path, root, contract), contract)
    assert [segment.access for segment in program.segments] == ["r-x", "r--", "rw-"]
    assert program.entry == program.segments[0].va == contract.number("va.image")
    place = program.segments[program.digest_segment]
    assert place.data[program.digest_offset : program.digest_offset + 32].hex() == contract.digest
    assert "_start" in program.symbols
    assert program.writable_pages == 6
    assert len(program.segments[2].data) == 1200, "what is zero is not in the file"


def test_program_of_another_contract_is_refused_with_both_digests(
    tmp_path: Path, root: Path, contract: Contract
) -> None:
    other = "ab" * 32
    with pytest.raises(BuildError) as caught:
        read_program("x", link(tmp_path, root, contract, digest=other), contract)
    assert other in caught.value.message
    assert contract.digest in caught.value.message


def test_program_without_a_digest_is_refused(tmp_path: Path, root: Path, contract: Contract) -> None:
    with pytest.raises(BuildError, match="found no symbol contract_digest"):
        read_program("x", link(tmp_path, root, contract, "-Wl,--strip-all"), contract)


def segment_at(va: int, access: int = 4, data: bytes = b"x", memory_bytes: int = 1) -> bytes:
    """An ELF of one segment, put together by hand."""
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 243, 1, va, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, access, 120, va, va, len(data), memory_bytes, 4096) + data


@pytest.mark.parametrize(
    ("elf", "message"),
    [
        (
            segment_at(0x20000000),
            "segment 0 (r-- at 0x20000000): found 0x1 bytes there, expected all between 0x10000 and",
        ),
        (segment_at(0x1000), "expected all between 0x10000 and"),
        (segment_at(0x10000, memory_bytes=0x10000000), "found 0x10000000 bytes there"),
        (segment_at(0x10010), "found an address inside a page"),
        (segment_at(0x10000, access=7), "segment 0 (rwx at 0x10000): found writable and executable"),
        (segment_at(0x10000), "found no symbol contract_digest"),
        (b"MZ" * 100, "not a readable ELF"),
    ],
)
def test_program_that_can_not_be_mapped_is_refused(
    elf: bytes, message: str, tmp_path: Path, contract: Contract
) -> None:
    (tmp_path / "x.elf").write_bytes(elf)
    with pytest.raises(BuildError) as caught:
        read_program("x", tmp_path / "x.elf", contract)
    assert message in caught.value.message


# ---- table -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(contract: Contract) -> Program:
    text = Segment(0x10000, b"\x13\0\0\0" * 2000, 8000, 5)
    constants = Segment(0x12000, bytes.fromhex(contract.digest), 32, 4)
    return Program("service", 0x10000, (text, constants, Segment(0x13000, b"", 100, 6)), 1, 0, frozenset())


@pytest.mark.parametrize("name", ["default", "selftest"])
def test_table_compiles_without_a_warning(
    name: str, root: Path, contract: Contract, program: Program, tmp_path: Path
) -> None:
    system = load_system(name, root, contract)
    files = {process.name: b"romfs" for process in system.processes}
    names = [*system.runtimes, *(folder.rsplit("/", 1)[-1] for folder in system.natives)]
    programs = [replace(program, name=name) for name in names]
    policy = policy_of(system, contract, root)
    emit_contract(contract, tmp_path)
    text = table.image_table(system, programs, files, contract, policy)
    (tmp_path / "image_table.c").write_text(text, encoding="utf-8")
    argv = [
        toolchain.find_tool(toolchain.GCC),
        "-std=c11",
        "-ffreestanding",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
    ]
    argv += [f"-I{root / 'firmware/include'}", f"-I{tmp_path}", "-march=rv64imac", "-misa-spec=2.2", "-mabi=lp64"]
    subprocess.run([*argv, "-c", "image_table.c", "-o", "image_table.o"], check=True, cwd=tmp_path)


def test_payload_names_each_part_once_and_changes_with_its_bytes(
    root: Path, contract: Contract, program: Program
) -> None:
    system = load_system("default", root, contract)
    files = {process.name: process.name.encode() for process in system.processes}
    parts = table.parts_of(system, [program], files)
    text = table.payload_source(system, parts, Path("/parts"))
    assert [text.count(f"\n{part.symbol}:") for part in parts] == [1] * len(parts)
    assert text.count(".balign 4096") == len(parts) + 1
    other = table.parts_of(system, [program], files | {"init": b"another"})
    assert table.payload_source(system, other, Path("/parts")) != text


def test_segment_without_bytes_is_no_part(root: Path, contract: Contract, program: Program) -> None:
    system = load_system("default", root, contract)
    assert [part.name for part in table.parts_of(system, [program], {})] == ["service_0", "service_1"]
    assert ".data = 0, .file_bytes = 0, .memory_bytes = 100" in table.image_table(system, [program], {}, contract)


def test_handles_of_both_languages_are_those_of_the_slots(root: Path, contract: Contract) -> None:
    system = load_system("selftest", root, contract)
    for process in system.processes:
        named = caps.handles(process, contract)
        assert [handle for _, handle in named] == [contract.number("handle.boot") + slot for slot in range(len(named))]
        header = caps.caps_header(process, contract)
        module = caps.caps_module(system, process, contract)
        for name, handle in named:
            assert f"#define CAP_{name} {handle:#x}\n" in header
            assert f"\n{name} = const({handle:#x})\n" in module


def test_supervisor_knows_its_children(root: Path, contract: Contract) -> None:
    system = load_system("selftest", root, contract)
    names: dict[str, object] = {"const": int}
    text = caps.caps_module(system, system.root, contract).replace("from micropython import const\n", "")
    exec(text, names)  # noqa: S102  # the generated module itself
    rows = names["PROCESSES"]
    assert isinstance(rows, tuple)
    assert [row[0] for row in rows] == list(system.root.supervises)
    for name, index, rank, restarts, critical, serves, ready, supervise in rows:
        child = system.process(name)
        assert (index, rank, restarts) == (child.index, child.rank, child.restarts)
        assert (critical, serves) == ("critical" in child.flags, child.endpoint is not None)
        assert supervise == names[f"SUPERVISE_{name.upper().replace('-', '_')}"]
        assert ready == names.get(f"READY_{name.upper().replace('-', '_')}", 0)


def test_digest_in_the_table_is_the_contracts(root: Path, contract: Contract, program: Program) -> None:
    text = table.image_table(load_system("default", root, contract), [program], {}, contract)
    wanted = ", ".join(f"0x{byte:02x}" for byte in struct.unpack("32B", bytes.fromhex(contract.digest)))
    assert f"contract_of_image[IMAGE_DIGEST_BYTES] = {{{wanted}}};" in text
