"""Each check of the doctor on a computer that is fit and on one that is broken in one way; no program is started but sh."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from nexus import doctor
from nexus.image import sources
from nexus.layout import find_root
from nexus.setup import host, tools
from nexus.setup.finding import Answer, Computer, Finding, Status, failed, lacking, passed, run_program, skipped, warned
from nexus.verbs.setup import doctor as doctor_verb

ROOT = find_root()
LINKED = "/lib/rv64imac/lp64/libc.a\n/gcc/rv64imac/lp64/libgcc.a\n"

# What a program says, by a word of its command line; the first match counts.
FIT = {
    "make --version": Answer(0, "GNU Make 4.3\n"),
    "-dumpfullversion": Answer(0, "12.2.0\n"),
    "-print-multi-directory": Answer(0, "rv64imac/lp64\n"),
    "picolibc.specs -print": Answer(0, "/usr/lib/picolibc.specs\n"),
    "-print-file-name=picolibc.specs": Answer(0, "/usr/lib/picolibc.specs\n"),
    "-Wl,--trace": Answer(0, LINKED),
    "-fsanitize": Answer(0, ""),
    "qemu-system-riscv64 --version": Answer(0, "QEMU emulator version 7.2\n"),
    "-machine help": Answer(0, "none   empty\nvirt   RISC-V VirtIO board\n"),
    "-device help": Answer(0, 'name "virtio-rng-device", bus virtio-bus\n'),
    "-kernel": Answer(42, ""),
    "mpy-cross --version": Answer(0, "MicroPython v1.25.0 on 2025-04-19; mpy-cross emitting mpy v6.3\n"),
}


def computer(changed: Mapping[str, Answer] | None = None, absent: Sequence[str] = (), **environ: str) -> Computer:
    says = dict(changed or {}) | {key: answer for key, answer in FIT.items() if key not in (changed or {})}

    def run(argv: Sequence[str], _text: str) -> Answer:
        words = " ".join(argv)
        return next(answer for key, answer in says.items() if key in words)

    def which(name: str) -> str | None:
        return None if name in absent else f"/usr/bin/{name}"

    return Computer(ROOT, {"HOME": "/nonexistent"} | environ, run, which)


def status(check: Callable[[Computer], Finding], where: Computer) -> tuple[str, bool]:
    found = check(where)
    assert found.status in (Status.PASS, Status.SKIPPED) or found.hint, "each failure needs a hint"
    return str(found.status), found.missing


FIT_CHECKS = (
    tools.check_make, tools.check_compiler, tools.check_c_library, tools.check_host_compiler, tools.check_qemu,
    tools.check_boot, tools.check_mpy_cross, host.check_room, host.check_sockets, host.check_writable,
)  # fmt: skip


@pytest.mark.parametrize("check", FIT_CHECKS)
def test_fit_computer_passes(check: Callable[[Computer], Finding]) -> None:
    assert status(check, computer()) == ("pass", False)


@pytest.mark.parametrize(
    ("check", "word", "answer"),
    [
        (tools.check_make, "make --version", Answer(1, "usage: make [-f file]")),
        (tools.check_compiler, "-print-multi-directory", Answer(0, ".\n")),
        (tools.check_compiler, "-print-multi-directory", Answer(0, "rv64imafdc/lp64d\n")),
        (tools.check_c_library, "-Wl,--trace", Answer(0, "/lib/./libc.a\n/gcc/12.2.0/libgcc.a\n")),
        (tools.check_c_library, "-Wl,--trace", Answer(0, LINKED + "/lib/rv64imafdc/lp64d/libgcc.a\n")),
        (tools.check_c_library, "-Wl,--trace", Answer(0, "/gcc/rv64imac/lp64/libgcc.a\n")),
        (tools.check_c_library, "-Wl,--trace", Answer(1, "can't link double-float modules")),
        (tools.check_qemu, "--version", Answer(127, "cannot execute")),
        (tools.check_qemu, "-machine help", Answer(0, "none   empty\nvirtual  not it\n")),
        (tools.check_qemu, "-device help", Answer(0, 'name "virtio-rng-pci"\n')),
        (tools.check_boot, "-kernel", Answer(0, "")),
        (tools.check_boot, "-kernel", Answer(124, "no end after 20 s")),
        (
            tools.check_mpy_cross,
            "mpy-cross --version",
            Answer(0, "MicroPython v1.26.1 on x; mpy-cross emitting mpy v6.3"),
        ),
    ],
)
def test_wrong_tool_fails(check: Callable[[Computer], Finding], word: str, answer: Answer) -> None:
    assert status(check, computer({word: answer})) == ("fail", False)


@pytest.mark.parametrize(
    ("check", "tool"),
    [
        (tools.check_make, "make"),
        (tools.check_compiler, "riscv64-unknown-elf-gcc"),
        (tools.check_qemu, "qemu-system-riscv64"),
    ],
)
def test_absent_tool_is_missing(check: Callable[[Computer], Finding], tool: str) -> None:
    assert status(check, computer(absent=[tool])) == ("fail", True)


def test_absent_picolibc_is_missing() -> None:
    where = computer({"-print-file-name=picolibc.specs": Answer(0, "picolibc.specs\n")})
    assert status(tools.check_c_library, where) == ("fail", True)


def test_what_cannot_be_asked_is_skipped() -> None:
    assert status(tools.check_boot, computer(absent=["qemu-system-riscv64"]))[0] == "skipped"
    assert status(tools.check_c_library, computer(absent=["riscv64-unknown-elf-gcc"]))[0] == "skipped"


def test_host_compiler_is_wanted_but_not_needed() -> None:
    assert status(tools.check_host_compiler, computer(absent=["cc"])) == ("warn", False)
    assert status(tools.check_host_compiler, computer({"-fsanitize": Answer(1, "no libasan")})) == ("warn", False)


def test_terminal_of_the_tests_is_wanted_but_not_needed() -> None:
    assert status(tools.check_tmux, computer(absent=["tmux"])) == ("warn", False)
    assert status(tools.check_tmux, computer({"-V": Answer(0, "tmux 3.3a\n")})) == ("pass", False)


def test_source_not_fetched_is_a_warning(tmp_path: Path) -> None:
    assert status(tools.check_sodium, computer(XDG_CACHE_HOME=str(tmp_path)))[0] == "warn"


def test_changed_source_fails(tmp_path: Path) -> None:
    where = computer(XDG_CACHE_HOME=str(tmp_path))
    kept = sources.kept_tree(sources.load_lock(ROOT / "sources.lock")["sodium"], where.environ)
    kept.mkdir(parents=True)
    (kept / "LICENSE").write_text("changed\n")
    assert status(tools.check_sodium, where) == ("fail", False)


def test_long_socket_path_fails(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    assert status(host.check_sockets, computer(XDG_RUNTIME_DIR=str(deep))) == ("fail", False)


def test_open_socket_folder_fails(tmp_path: Path) -> None:
    import os

    folder = tmp_path / f"nexus-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    short = replace(computer(XDG_RUNTIME_DIR=str(tmp_path)))
    if len(str(tmp_path)) < 50:
        assert status(host.check_sockets, short) == ("fail", False)
    assert not host.is_private(folder)
    folder.chmod(0o700)
    assert host.is_private(folder)


def test_incomplete_environment_is_missing() -> None:
    unready = replace(computer(), run=lambda argv, text: Answer(1, ""))
    assert status(host.check_stamp, unready) == ("fail", True)


def test_lock_names_what_every_platform_needs() -> None:
    lock = "# about\nclick==8.5.1 \\\n    --hash=sha256:00\nqemu-qmp==0.0.6 \\\ncolorama==0.4 ; sys_platform == 'win32' \\\n"
    assert list(host.locked_versions(lock)) == [("click", "8.5.1"), ("qemu-qmp", "0.0.6")]


def test_other_version_of_a_package_is_missing(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("click==0.0.1 \\\n")
    assert status(host.check_packages, replace(computer(), root=tmp_path)) == ("fail", True)


def test_flags_are_those_of_the_builds() -> None:
    spelled = {
        match
        for path in sorted((ROOT / "firmware").rglob("*"))
        if path.name == "Makefile" or path.suffix == ".mk"
        for match in re.findall(r"-march=\S+ -misa-spec=\S+ -mabi=\S+", path.read_text())
    }
    assert spelled == {" ".join(tools.ARCH_FLAGS)}


def test_finishing_program_is_five_instructions() -> None:
    assert tools.finishing_program(42).hex() == "b702100037332a001303333323a062006f000000"


def test_program_that_is_not_there_answers_like_a_shell() -> None:
    assert run_program(["/nonexistent/tool"]).exit_code == 127


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([passed("a"), warned("b", "c")], 0),
        ([passed("a"), failed("b", "c")], 1),
        ([passed("a"), skipped("b")], 1),
        ([failed("a", "b"), lacking("c", "d"), skipped("e")], 3),
    ],
)
def test_exit_code(findings: list[Finding], expected: int) -> None:
    assert doctor.exit_code([doctor.Row("g", "n", finding) for finding in findings]) == expected


def test_report_counts_skipped_apart_from_passed() -> None:
    rows = doctor.examine(
        computer(), [("g", "one", lambda _: passed("fine")), ("g", "two", lambda _: skipped("no tool"))]
    )
    assert doctor.as_text(rows).splitlines()[-1] == "1 pass, 0 warn, 0 fail, 1 skipped"
    assert doctor.as_json(rows)["healthy"] is False


def test_json_has_the_same_keys_for_every_check(tmp_path: Path) -> None:
    target = tmp_path / "doctor.json"
    CliRunner().invoke(doctor_verb, ["--json", str(target)])
    report = json.loads(target.read_text())
    assert sorted(report) == ["checks", "exit_code", "healthy"]
    assert {tuple(check) for check in report["checks"]} == {("group", "name", "status", "detail", "hint")}
    assert [check["name"] for check in report["checks"]] == [name for _, name, _ in doctor.CHECKS]
