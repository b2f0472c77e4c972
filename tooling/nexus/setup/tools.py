"""Checks of the programs that build and run the system, the silent wrong-library trap included, and of the fetched sources.

Called by doctor.py. Compiles to nowhere and boots from a temporary file; never fetches and never touches the clone.
"""

from __future__ import annotations

import re
import struct
import tempfile
import time
from pathlib import Path

from nexus.contract.load import load_contract
from nexus.errors import NexusError
from nexus.image import sources
from nexus.image.toolchain import GCC, install_hint, mpy_cross
from nexus.machine.argv import QEMU, RNG_DEVICE
from nexus.machine.session import QEMU_HINT, QEMU_VARIABLE
from nexus.setup.finding import Computer, Finding, failed, lacking, passed, skipped, warned
from nexus.setup.host import SET_UP

# As the Makefiles of firmware/ have them. Any other spelling of the architecture makes Debian's GCC 12 take libraries for hard floating
# point without a word; tests/unit/test_doctor.py compares the two.
ARCH_FLAGS = ("-march=rv64imac", "-misa-spec=2.2", "-mabi=lp64")
LIBRARIES = "rv64imac/lp64"

FINISHER = 0x100000  # writing (code << 16 | 0x3333) there ends QEMU with that code
FINISHER_FAIL = 0x3333
BOOT_SECONDS = 5.0


def check_make(computer: Computer) -> Finding:
    if computer.which("make") is None:
        return lacking("make is not installed", install_hint("make"))
    said = computer.ask("make", "--version").first_line
    if not said.startswith("GNU Make"):
        return failed(f"make is not GNU make: {said}", install_hint("make"))
    return passed(said)


def check_compiler(computer: Computer) -> Finding:
    if computer.which(GCC) is None:
        return lacking(f"{GCC} is not installed", install_hint(GCC))
    version = computer.ask(GCC, "-dumpfullversion").first_line
    chosen = computer.ask(GCC, *ARCH_FLAGS, "-print-multi-directory").first_line
    if chosen != LIBRARIES:
        return failed(
            f"{GCC} {version} takes its libraries from `{chosen}` for {' '.join(ARCH_FLAGS)}, not from {LIBRARIES}",
            f"another compiler is first on PATH? Debian's works: {install_hint(GCC)}",
        )
    return passed(f"GCC {version}, libraries for {chosen}")


def check_c_library(computer: Computer) -> Finding:
    """Links a program and reads which libc.a and libgcc.a the linker opened: what the compiler prints of itself can differ."""
    if computer.which(GCC) is None:
        return skipped("no compiler to ask")
    hint = install_hint("picolibc.specs")
    if computer.ask(GCC, "-print-file-name=picolibc.specs").first_line == "picolibc.specs":
        return lacking("picolibc is not installed", hint)
    program = "unsigned long strlen(const char *); unsigned long _start(char *s) { return strlen(s); }"
    argv = [GCC, *ARCH_FLAGS, "--specs=picolibc.specs", "-nostartfiles", "-fno-builtin", "-Wl,--trace"]
    linked = computer.ask(*argv, "-x", "c", "-", "-o", "/dev/null", text=program)
    if linked.exit_code:
        return failed(f"a program with picolibc does not link: {linked.text.strip()[-300:]}", hint)
    opened = {line.strip() for line in linked.text.splitlines() if line.strip().endswith((".a", ".a)"))}
    wrong = sorted(path for path in opened if f"/{LIBRARIES}/" not in path)
    if wrong or not any(path.endswith("libc.a") for path in opened):
        return failed(f"the linker took {', '.join(wrong) or 'no libc.a at all'}, not the one for {LIBRARIES}", hint)
    return passed(next(path for path in sorted(opened) if path.endswith("libc.a")))


def check_host_compiler(computer: Computer) -> Finding:
    if computer.which("cc") is None:
        return warned("no host compiler: the kernel's unit tests can't run", install_hint("gcc") + " libc6-dev")
    flags = ("-fsanitize=address,undefined", "-x", "c", "-", "-o", "/dev/null")
    linked = computer.ask("cc", *flags, text="#include <stdlib.h>\nint main(void) { return abs(0); }")
    if linked.exit_code:
        return warned(
            f"cc can't link with sanitizers: {linked.text.strip()[-200:]}", install_hint("gcc") + " libc6-dev"
        )
    return passed("host compiler with sanitizers, for tests")


def check_tmux(computer: Computer) -> Finding:
    if computer.which("tmux") is None:
        return warned("no tmux: the tests of `nexus console` on a screen can't run", install_hint("tmux"))
    return passed(f"{computer.ask('tmux', '-V').first_line}, for tests")


def qemu_binary(computer: Computer) -> str | None:
    return computer.which(computer.environ.get(QEMU_VARIABLE) or QEMU)


def qemu_hint(computer: Computer) -> str:
    return f"unset {QEMU_VARIABLE}, or {QEMU_HINT}" if computer.environ.get(QEMU_VARIABLE) else QEMU_HINT


def check_qemu(computer: Computer) -> Finding:
    binary, hint = qemu_binary(computer), qemu_hint(computer)
    if binary is None:
        return lacking(f"{computer.environ.get(QEMU_VARIABLE) or QEMU} is not installed", hint)
    version = computer.ask(binary, "--version")
    if version.exit_code:
        return failed(f"{binary} does not run: {version.first_line}", hint)
    if not re.search(r"^virt\s", computer.ask(binary, "-machine", "help").text, re.MULTILINE):
        return failed(f"{version.first_line} has no machine `virt`", hint)
    if f'"{RNG_DEVICE}"' not in computer.ask(binary, "-device", "help").text:
        return failed(f"{version.first_line} has no {RNG_DEVICE}", hint)
    return passed(f"{version.first_line}, with virt and {RNG_DEVICE}")


def finishing_program(code: int) -> bytes:
    """A whole machine program: put the word for `code` into the finisher, then wait for the end."""
    word = code << 16 | FINISHER_FAIL
    upper, lower = word >> 12, word & 0xFFF  # lower is below 0x800, so addi does not borrow
    instructions = (
        FINISHER & 0xFFFFF000 | 5 << 7 | 0x37,  # lui  t0, FINISHER
        upper << 12 | 6 << 7 | 0x37,  # lui  t1, upper
        lower << 20 | 6 << 15 | 6 << 7 | 0x13,  # addi t1, t1, lower
        6 << 20 | 5 << 15 | 2 << 12 | 0x23,  # sw   t1, 0(t0)
        0x6F,  # j    .
    )
    return struct.pack(f"<{len(instructions)}I", *instructions)


def check_boot(computer: Computer) -> Finding:
    binary = qemu_binary(computer)
    if binary is None:
        return skipped("no QEMU to boot with")
    code = load_contract(computer.root / "recipes" / "contract").number("exit.ok")
    with tempfile.TemporaryDirectory(prefix="nexus-doctor-") as folder:
        image = Path(folder) / "boot.bin"
        image.write_bytes(finishing_program(code))
        begun = time.monotonic()
        machine = ("-M", "virt", "-m", "32", "-bios", "none", "-kernel", str(image))
        ended = computer.ask(binary, *machine, "-display", "none", "-serial", "none", "-monitor", "none")
        seconds = time.monotonic() - begun
    if ended.exit_code != code:
        return failed(
            f"a five-instruction image ended with {ended.exit_code}, not {code}: {ended.text.strip()[-200:]}",
            qemu_hint(computer),
        )
    if seconds > BOOT_SECONDS:
        return warned(
            f"booting five instructions took {seconds:.1f} s",
            "this computer is busy or very slow: allow for it with RUN_TIMEOUT",
        )
    return passed(f"booted and ended with {code} in {seconds:.2f} s")


def check_mpy_cross(computer: Computer) -> Finding:
    """The compiler of guest modules and the interpreter that loads them must be of one version, or nothing is imported."""
    try:
        said = computer.ask(str(mpy_cross()), "--version").first_line
    except NexusError as error:
        return lacking(error.message, error.hint or SET_UP)
    version = sources.load_lock(computer.root / "sources.lock")["micropython"].version
    if f"MicroPython v{version} " not in said:
        return failed(f"mpy-cross is `{said}`, the guest's MicroPython {version}", SET_UP)
    return passed(said)


def check_source(computer: Computer, name: str) -> Finding:
    source = sources.load_lock(computer.root / "sources.lock")[name]
    override = computer.environ.get(sources.override_name(source))
    tree = Path(override) if override else sources.kept_tree(source, computer.environ)
    if not tree.exists():
        return warned(
            f"{name} {source.version} is not fetched yet",
            "the first build fetches it, by apt-get source or pip download",
        )
    if tree.is_dir() and sources.tree_digest(source, tree) != source.files_sha256:
        return failed(
            f"{tree}: the files are not those of sources.lock",
            "the next build unpacks them anew" if not override else f"unset {sources.override_name(source)}",
        )
    return passed(f"{name} {source.version}, hashes as locked")


def check_micropython(computer: Computer) -> Finding:
    return check_source(computer, "micropython")


def check_sodium(computer: Computer) -> Finding:
    return check_source(computer, "sodium")
