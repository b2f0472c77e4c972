"""Runs the real set-up scripts in a clone of nothing but them, on a computer made of stubs, and reads what they called.

No package, Python or network of this computer is touched. scripts/try-fresh-machine does the same on a real empty Debian.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest

from nexus.layout import find_root

ROOT = find_root()
REAL = "cat chmod cp cut date dirname env flock grep ln ls mkdir mktemp mv paste readlink rm sed sh sha256sum sleep sort tail touch tr true".split()
TOOLS = ("make", "riscv64-unknown-elf-gcc", "qemu-system-riscv64", "cc")

# Plays the system's Python and, copied by its own venv, that of .venv. Each call is one line of the log.
PYTHON = """#!/bin/sh
printf 'python' >>"$LOG"; printf ' [%s]' "$@" >>"$LOG"; echo >>"$LOG"
here=${0%/bin/*}
case "$*" in
    -) cat >/dev/null; echo "$STUBS/python3" ;;
    '-m venv '*) mkdir -p "$3/bin" "$3/lib/python3.11/site-packages/part" && cp "$0" "$3/bin/python" ;;
    *'pip'*) [ ! -e "$STUBS/pip-hangs" ] || sleep 30
        [ ! -e "$STUBS/pip-fails" ] || { echo 'hash mismatch'; exit 1; }
        cp "$0" "$here/bin/just" ;;
    *'-m nexus '*) exit 7 ;;
esac
"""

APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$LOG"
case "$*" in
    *--assume-no*) echo 'Need to get 5 MB of archives.'; echo 'After this operation, 9 MB of additional disk space will be used.'; exit 1 ;;
    *--simulate*) [ ! -e "$STUBS/no-lists" ] || exit 100 ;;
    *' update'*) [ ! -e "$STUBS/locked" ] || { rm "$STUBS/locked"; echo 'E: Could not get lock /x'; exit 100; }
        rm -f "$STUBS/no-lists" ;;
    *' install '*) [ ! -e "$STUBS/no-lists" ] || exit 100
        for tool in python3 make riscv64-unknown-elf-gcc qemu-system-riscv64 cc; do
            [ ! -e "$STUBS/.$tool" ] || mv "$STUBS/.$tool" "$STUBS/$tool"
        done ;;
esac
"""

STUB = '#!/bin/sh\necho "{name} $*" >>"$LOG"\n'
GCC = "#!/bin/sh\necho /usr/lib/picolibc.specs\n"
SUDO = '#!/bin/sh\necho "sudo $*" >>"$LOG"\n[ "$1" != -n ] || [ -e "$STUBS/sudo-free" ] || exit 1\n[ "$1" != -n ] || shift\nexec "$@"\n'


@dataclass
class Clone:
    """The scripts in a folder with a space, and the stubs that are its whole computer."""

    base: Path
    uid: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.base / "a clone"

    @property
    def stubs(self) -> Path:
        return self.base / "bin"

    @property
    def log(self) -> list[str]:
        return (self.base / "log").read_text().splitlines()

    @property
    def environ(self) -> dict[str, str]:
        certificates = {"SSL_CERT_FILE": str(self.base / "ca.crt")}
        places = {
            "PATH": str(self.stubs),
            "STUBS": str(self.stubs),
            "LOG": str(self.base / "log"),
            "HOME": str(self.base),
        }
        return places | certificates | self.extra

    def stub(self, name: str, text: str = "") -> None:
        (self.stubs / name).unlink(missing_ok=True)
        (self.stubs / name).write_text(text or STUB.format(name=name))
        (self.stubs / name).chmod(0o755)

    def lack(self, *names: str) -> None:
        for name in names:
            (self.stubs / name).rename(self.stubs / f".{name}")

    def run(self, *arguments: str, script: str = "nexus", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        argv = [str(self.path / "scripts" / script), *arguments]
        return subprocess.run(
            argv,
            env=self.environ,
            cwd=cwd or self.base,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )

    def calls(self, word: str) -> list[str]:
        return [line for line in self.log if word in line]

    def forget(self) -> None:
        (self.base / "log").write_text("")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path)
    made.path.mkdir()
    shutil.copytree(ROOT / "scripts", made.path / "scripts")
    (made.path / "requirements.lock").write_text("click==1\n")
    (made.path / "justfile").touch()
    made.stubs.mkdir()
    for name in REAL:
        found = shutil.which(name)
        assert found, name
        (made.stubs / name).symlink_to(found)
    for name in ("make", "qemu-system-riscv64", "cc", "git", "tmux", "dpkg"):
        made.stub(name)
    made.stub("riscv64-unknown-elf-gcc", GCC)
    made.stub("python3", PYTHON)
    made.stub("apt-get", APT_GET)
    made.stub("apt-cache", "#!/bin/sh\nexit 100\n")
    made.stub("sudo", SUDO)
    made.stub("id", '#!/bin/sh\necho "${FAKE_UID:-0}"\n')
    (tmp_path / "ca.crt").write_text("x")
    made.forget()
    return made


def user(clone: Clone) -> None:
    clone.extra["FAKE_UID"] = "1000"


# ---- a clone that is ready -------------------------------------------------------------------------------------------


def test_arguments_pass_through_untouched(clone: Clone) -> None:
    odd = ("run", "a b", "", "*", "$HOME", "--", "-k", "x or y", 'q"')
    assert clone.run(*odd).returncode == 7
    assert clone.log[-1] == "python [-P] [-m] [nexus]" + "".join(f" [{word}]" for word in odd)


def test_just_gets_the_clone_and_its_arguments(clone: Clone) -> None:
    clone.run("test-host", "-k", "a or b", script="just")
    words = (
        "--justfile",
        f"{clone.path}/justfile",
        "--working-directory",
        str(clone.path),
        "test-host",
        "-k",
        "a or b",
    )
    assert clone.log[-1] == "python" + "".join(f" [{word}]" for word in words)


def test_ready_clone_starts_nothing_but_the_tool(clone: Clone) -> None:
    clone.run("a")
    clone.forget()
    clone.run("b")
    assert clone.log == ["python [-P] [-m] [nexus] [b]"]


def test_script_works_through_a_symlink_from_another_folder(clone: Clone, tmp_path: Path) -> None:
    clone.run("a")
    clone.forget()
    link = tmp_path / "elsewhere" / "nx"
    link.parent.mkdir()
    link.symlink_to(clone.path / "scripts" / "nexus")
    done = subprocess.run([link, "b"], env=clone.environ, cwd=link.parent, check=False)
    assert (done.returncode, clone.log) == (7, ["python [-P] [-m] [nexus] [b]"])


def test_set_up_says_nothing_on_stdout(clone: Clone) -> None:
    assert clone.run("a").stdout == ""


# ---- what makes a clone not ready ------------------------------------------------------------------------------------


def rebuilt(clone: Clone) -> bool:
    clone.forget()
    clone.run("a")
    return bool(clone.calls("[-m] [venv]"))


def test_changed_lock_rebuilds(clone: Clone) -> None:
    clone.run("a")
    (clone.path / "requirements.lock").write_text("click==2\n")
    assert rebuilt(clone)
    assert not rebuilt(clone)


@pytest.mark.parametrize("part", ["bin/python", "bin/just", "lib/python3.11/site-packages/part", "ready"])
def test_broken_environment_rebuilds(clone: Clone, part: str) -> None:
    clone.run("a")
    broken = clone.path / ".venv" / part
    shutil.rmtree(broken) if broken.is_dir() else broken.unlink()
    assert rebuilt(clone)
    assert not rebuilt(clone)


def test_python_that_vanished_rebuilds(clone: Clone) -> None:
    clone.run("a")
    python = clone.path / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert rebuilt(clone)


def test_moved_clone_rebuilds(clone: Clone) -> None:
    clone.run("a")
    moved = clone.base / "moved"
    clone.path.rename(moved)
    clone.forget()
    subprocess.run([moved / "scripts" / "nexus", "a"], env=clone.environ, capture_output=True, check=False)
    assert clone.calls("[-m] [venv]")


def test_failed_pip_shows_its_words_and_can_be_repeated(clone: Clone) -> None:
    (clone.stubs / "pip-fails").touch()
    done = clone.run("a")
    assert done.returncode == 3
    assert "hash mismatch" in done.stderr
    (clone.stubs / "pip-fails").unlink()
    assert clone.run("a").returncode == 7


def interrupt(process: subprocess.Popen[str], begun: Callable[[], bool]) -> str:
    """Ctrl-C, again if need be: a shell that is just starting a program loses the first one."""
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        if begun():
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    return process.communicate(timeout=20)[1]


def test_interrupted_set_up_can_be_repeated(clone: Clone) -> None:
    (clone.stubs / "pip-hangs").touch()
    argv = [str(clone.path / "scripts" / "setup.sh")]
    with subprocess.Popen(
        argv, env=clone.environ, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        said = interrupt(process, lambda: bool(clone.calls("[install]")))
    assert (process.returncode, "interrupted" in said) == (130, True)
    assert not (clone.path / ".venv/ready").exists()
    (clone.stubs / "pip-hangs").unlink()
    assert clone.run("a").returncode == 7


def test_two_at_once_set_up_once(clone: Clone) -> None:
    argv = [str(clone.path / "scripts" / "nexus"), "a"]
    both = [subprocess.Popen(argv, env=clone.environ, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [7, 7]
    assert len(clone.calls("[-m] [venv]")) == 1


def test_every_package_is_installed_by_its_hash(clone: Clone) -> None:
    clone.run("a")
    first, second = clone.calls("[pip]")
    assert "[--require-hashes] [--only-binary] [:all:]" in first
    assert "[--no-index] [--no-deps] [--no-build-isolation]" in second


# ---- system packages -------------------------------------------------------------------------------------------------


def test_nothing_missing_means_no_apt(clone: Clone) -> None:
    clone.run("a")
    assert clone.calls("apt-get") == []


def installs(clone: Clone) -> list[str]:
    return [line for line in clone.calls("apt-get") if " install -y " in line]


def test_root_installs_what_is_missing_and_no_more(clone: Clone) -> None:
    clone.lack("qemu-system-riscv64", "make")
    done = clone.run("a")
    assert done.returncode == 7
    assert len(installs(clone)) == 1
    assert installs(clone)[0].endswith(" --no-install-recommends make qemu-system-misc")
    assert "DPkg::Lock::Timeout" in installs(clone)[0]
    assert "5 MB to download, 9 MB on disk" in done.stderr
    assert not any("sudo" in line for line in clone.log)


def test_debian_13_has_another_package_for_the_machine(clone: Clone) -> None:
    clone.stub("apt-cache", "#!/bin/sh\nexit 0\n")
    clone.lack("qemu-system-riscv64")
    clone.run("a")
    assert installs(clone)[0].endswith(" qemu-system-riscv")


def test_computer_without_any_python_gets_one(clone: Clone) -> None:
    clone.lack("python3", *TOOLS)
    assert clone.run("a").returncode == 7
    expected = (
        "gcc gcc-riscv64-unknown-elf libc6-dev make picolibc-riscv64-unknown-elf python3 python3-venv qemu-system-misc"
    )
    assert installs(clone)[0].endswith(expected)


def test_package_lists_are_refreshed_only_if_needed(clone: Clone) -> None:
    clone.lack("make")
    (clone.stubs / "no-lists").touch()
    assert clone.run("a").returncode == 7
    assert [re.sub(r" -.*", "", line.replace("-q -o DPkg::Lock::Timeout=300 ", "")) for line in clone.calls("apt-get")] == [
        "apt-get install", "apt-get install", "apt-get update", "apt-get install",
    ]  # fmt: skip


def test_update_waits_for_another_apt(clone: Clone) -> None:
    clone.stub("sleep", STUB.format(name="sleep"))
    clone.lack("make")
    for name in ("no-lists", "locked"):
        (clone.stubs / name).touch()
    done = clone.run("a")
    assert done.returncode == 7
    assert clone.calls("sleep") == ["sleep 10"]
    assert "another program is using apt" in done.stderr


def test_user_without_root_gets_one_line_to_paste(clone: Clone) -> None:
    user(clone)
    clone.lack("make", "cc")
    done = clone.run("a")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "    sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make'"
    )
    assert installs(clone) == []


def test_system_without_sudo_is_told_su(clone: Clone) -> None:
    user(clone)
    clone.lack("make")
    (clone.stubs / "sudo").unlink()
    assert clone.run("a").stderr.splitlines()[-1].startswith("    su -c 'apt-get update")


def test_sudo_without_password_is_used_without_asking(clone: Clone) -> None:
    user(clone)
    (clone.stubs / "sudo-free").touch()
    clone.lack("make")
    assert clone.run("a").returncode == 7
    assert any(line.startswith("sudo -n env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get") for line in clone.log)


def test_sudo_with_password_is_used_on_a_terminal_after_saying_why(clone: Clone) -> None:
    user(clone)
    clone.lack("make")
    child = pexpect.spawn(str(clone.path / "scripts" / "nexus"), ["a"], env=clone.environ, encoding="utf-8", timeout=30)
    said = child.read()
    child.close()
    assert child.exitstatus == 7
    assert said.index("make  (builds the kernel") < said.index("5 MB to download") < said.index("sudo may ask")
    assert any(line.startswith("sudo env") for line in clone.log)


def test_system_without_apt_is_told_the_names(clone: Clone) -> None:
    (clone.stubs / "apt-get").unlink()
    clone.lack("qemu-system-riscv64")
    done = clone.run("a")
    assert done.returncode == 3
    assert "qemu-system-" in done.stderr
    assert "Debian" in done.stderr


def test_installation_cut_off_half_way_is_finished_first(clone: Clone) -> None:
    (clone.path / ".venv.apt").write_text("make|builds the kernel and the runtime\n")
    assert clone.run("a").returncode == 7
    assert installs(clone)[0].endswith(" make")
    assert not (clone.path / ".venv.apt").exists()


def test_packages_alone_leave_the_clone_alone(clone: Clone) -> None:
    clone.lack("make")
    before = sorted(path.name for path in clone.path.iterdir())
    assert clone.run("--packages", script="setup.sh").returncode == 0
    assert sorted(path.name for path in clone.path.iterdir()) == before


def test_unknown_argument_of_set_up_is_refused(clone: Clone) -> None:
    assert clone.run("--help", script="setup.sh").returncode == 3
