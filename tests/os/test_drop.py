"""Apps from the host into a running machine: `nexus install`, `nexus run --app`, and whatever else can lie on the drop disk of a real
virtio-blk device. dropd takes what is right, refuses what is wrong, and is there for the next one.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nexus.bundle.make import bundle_of
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.drop import Drop, disk_of, empty_disk
from nexus.machine.live import Machine
from nexus.machine.registry import RunDir, live_machines, runs_dir
from nexus.plugin import Boot

if TYPE_CHECKING:
    from tests.os.conftest import Clone

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
STATUS, LINE = CONTRACT.table("status"), CONTRACT.table("line")
SYSTEM = "default"
MARKERS = {row.name: f"{row.label}: {row.text}" for row in CONTRACT.markers}
READY, DROPD_READY = MARKERS["init_ready"], MARKERS["dropd_ready"]
SECTOR = CONTRACT.number("drop.sector")
HELLO = 'print("hello from an app")\n'
SAYS = "app:dev.{name}: hello from an app"
EXACT = "shift=0"


@pytest.fixture
def app(tmp_path: Path) -> Callable[..., Path]:
    """app(text, name="hello") -> the file of an app."""

    def write(text: str = HELLO, name: str = "hello") -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def bundle(app: Callable[..., Path]) -> Callable[..., bytes]:
    return lambda text=HELLO, name="hello": bundle_of(app(text, name), ROOT, CONTRACT, lambda _text: None)


@pytest.fixture
def alone(clone: Clone) -> Iterator[Clone]:
    """A clone in which no machine is left over."""
    yield clone
    for record in live_machines(clone.root):
        clone.nexus("console", "--machine", record.id, "--stop")


def said(key: str, number: int, more: str = "") -> str:
    return f"dropd: {LINE[key]}{number:08x}{more}"


def refusal(number: int, status: str) -> str:
    return said("drop_refused", number, f"{LINE['drop_status']}{STATUS[status]:02x}")


def wait_for(machine: Machine, line: str) -> None:
    machine.expect(rf"{line}\r?\n")


# ---- run --app -------------------------------------------------------------------------------------------------------


def test_app_runs_from_its_source(alone: Clone, app: Callable[..., Path]) -> None:
    exit_code, text = alone.nexus("run", "--app", str(app()))
    assert exit_code == 0, text
    assert SAYS.format(name="hello") in text.splitlines()
    assert live_machines(alone.root) == []


def test_app_runs_from_its_folder(alone: Clone) -> None:
    exit_code, text = alone.nexus("run", "--app", "guest/apps/hello")
    assert exit_code == 0, text
    assert "app:dev.hello: " in text


def test_app_runs_from_its_bundle(alone: Clone, bundle: Callable[..., bytes], tmp_path: Path) -> None:
    file = tmp_path / "other.nxb"
    file.write_bytes(bundle(name="other"))
    exit_code, text = alone.nexus("run", "--app", str(file))
    assert exit_code == 0, text
    assert SAYS.format(name="other") in text.splitlines()


def test_app_that_fails_is_a_failure(alone: Clone, app: Callable[..., Path]) -> None:
    exit_code, text = alone.nexus("run", "--app", str(app("print(1 // 0)\n")))
    assert exit_code == 1
    assert "uncaught ZeroDivisionError" in text
    assert "the app ended by exit, value 0x1" in text


def test_app_that_is_refused_is_a_failure(alone: Clone, bundle: Callable[..., bytes], tmp_path: Path) -> None:
    file = tmp_path / "bad.nxb"
    file.write_bytes(flipped(bundle()))
    exit_code, text = alone.nexus("run", "--app", str(file))
    assert exit_code == 1
    assert "the machine refused it (denied)" in text
    assert "nexus audit show" in text


def test_app_that_does_not_build_starts_nothing(alone: Clone, app: Callable[..., Path]) -> None:
    exit_code, text = alone.nexus("run", "--app", str(app("print(\n")))
    assert exit_code not in (0, 6, 7)
    assert READY not in text


FOREVER = 'print("begun")\nwhile True:\n    pass\n'


def test_app_that_goes_on_ends_with_the_time(alone: Clone, app: Callable[..., Path]) -> None:
    exit_code, text = alone.nexus("run", "--app", str(app(FOREVER)), "--timeout", "5")
    assert exit_code == 7
    assert "app:dev.hello: begun" in text
    assert "the app was still up after 5 s" in text


def test_app_that_goes_on_ends_with_the_text(alone: Clone, app: Callable[..., Path]) -> None:
    exit_code, _ = alone.nexus("run", "--app", str(app(FOREVER)), "--until", "dev.hello: begun")
    assert exit_code == 0
    assert live_machines(alone.root) == []


def test_app_that_goes_on_ends_with_an_interrupt(alone: Clone, app: Callable[..., Path]) -> None:
    process = alone.start("run", "--app", str(app(FOREVER)))
    assert process.stdout is not None
    for text in process.stdout:
        if "begun" in text:
            break
    process.send_signal(signal.SIGINT)
    assert alone.finish(process)[0] == 130
    assert live_machines(alone.root) == []


def test_app_in_a_machine_that_stays_up(alone: Clone, app: Callable[..., Path]) -> None:
    exit_code, text = alone.nexus("run", "--detach", "--app", str(app()), "--until", str(LINE["ended"]))
    assert exit_code == 0, text
    assert SAYS.format(name="hello") in text.splitlines()
    assert len(live_machines(alone.root)) == 1


def test_system_without_a_drop_disk_takes_no_app(alone: Clone, app: Callable[..., Path]) -> None:
    exit_code, text = alone.nexus("run", "--system", "smoke", "--app", str(app()))
    assert exit_code == 2
    assert "system smoke takes no apps" in text


# ---- install ---------------------------------------------------------------------------------------------------------


def started(clone: Clone) -> str:
    exit_code, text = clone.nexus("run", "--detach", "--until", READY)
    assert exit_code == 0, text
    return live_machines(clone.root)[-1].id


def console_of(clone: Clone, run_id: str) -> str:
    return RunDir(runs_dir(clone.root) / run_id).console.read_text()


def test_apps_are_installed_and_started_one_after_the_other(alone: Clone, app: Callable[..., Path]) -> None:
    run_id = started(alone)
    exit_code, text = alone.nexus("install", str(app()))
    assert (exit_code, f"installed dev.hello in machine {run_id}" in text) == (0, True), text
    exit_code, text = alone.nexus("install", "--start", "--machine", run_id, str(app(name="other")))
    assert exit_code == 0, text
    assert "installed dev.other" in text
    assert "started as child " in text
    alone.nexus("console", "--until", str(LINE["ended"]))
    console = console_of(alone, run_id)
    assert SAYS.format(name="other") in console
    assert SAYS.format(name="hello") not in console


def test_same_version_again_is_refused_and_the_audit_says_why(alone: Clone, app: Callable[..., Path]) -> None:
    started(alone)
    assert alone.nexus("install", str(app()))[0] == 0
    exit_code, text = alone.nexus("install", str(app()))
    assert exit_code == 1
    assert "the machine refused it (denied)" in text
    assert "nexus audit show" in text
    exit_code, text = alone.nexus("audit", "show", "--subject", "dropd", "--action", "bundle.install", "--json")
    assert exit_code == 0, text
    assert json.loads(text)[-1]["reason"] == "older"


def test_wrong_files_are_refused_and_a_right_one_taken(
    alone: Clone, app: Callable[..., Path], bundle: Callable[..., bytes], tmp_path: Path
) -> None:
    run_id, file = started(alone), tmp_path / "file.nxb"
    file.write_bytes(flipped(bundle()))
    assert alone.nexus("install", str(file))[0] == 1
    file.write_bytes(b"no bundle" * 100)
    exit_code, text = alone.nexus("install", str(file))
    assert (exit_code, "the file is no bundle" in text) == (2, True)
    file.write_bytes(bundle() + bytes(CONTRACT.number("drop.disk_max")))
    exit_code, text = alone.nexus("install", str(file))
    assert (exit_code, "the machine takes at most" in text) == (2, True)
    assert console_of(alone, run_id).count("dropd: ") == 2  # ready, and one refusal: the others never got there
    assert alone.nexus("install", str(app()))[0] == 0


def test_answer_that_does_not_come_is_not_waited_for(alone: Clone, app: Callable[..., Path]) -> None:
    started(alone)
    record = live_machines(alone.root)[0]
    os.kill(record.pid, signal.SIGSTOP)
    try:
        exit_code, text = alone.nexus("install", str(app()), "--timeout", "1")
    finally:
        os.kill(record.pid, signal.SIGCONT)
    assert exit_code == 7, text


# ---- whatever a disk can hold ----------------------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    """One bit of its contents is another."""
    return data[:-1] + bytes([data[-1] ^ 1])


def numbered(number: int, data: bytes, *, start: bool = False) -> bytes:
    return disk_of(CONTRACT, Drop(number, data, start))


def test_disks_of_any_kind_leave_dropd_ready_for_the_next(boot: Boot, bundle: Callable[..., bytes]) -> None:
    machine, data = boot(SYSTEM), bundle()
    machine.expect(READY)
    beyond = Drop(4, data + bytes(CONTRACT.number("drop.disk_max")), False)
    wrong = [
        (bytes(range(256)) * 8, refusal(0, "malformed")),
        (os.urandom(SECTOR), refusal(0, "malformed")),
        (os.urandom(1 << 20), refusal(0, "malformed")),
        (numbered(1, data)[:SECTOR], refusal(1, "malformed")),
        (numbered(2, data)[:-SECTOR], refusal(2, "malformed")),
        (disk_of(CONTRACT, beyond), refusal(4, "too_large")),
        (numbered(5, flipped(data)), refusal(5, "denied")),
        (numbered(6, data[:-1]), refusal(6, "denied")),
        (numbered(7, data + b"\0"), refusal(7, "denied")),
        (numbered(8, data.replace(b"dev.hello", b"dev.hellp", 1)), refusal(8, "denied")),
    ]
    for disk, line in wrong:
        machine.drop(disk)
        wait_for(machine, line)  # from where the last one ended: lines that are alike are told apart
    for nothing in (b"", empty_disk(CONTRACT), bytes(SECTOR)):
        machine.drop(nothing)
    machine.drop(numbered(9, data, start=True))
    wait_for(machine, said("drop_installed", 9))
    wait_for(machine, SAYS.format(name="hello"))
    assert machine.log.count(f"dropd: {LINE['drop_refused']}") == len(wrong)
    assert machine.log.count(DROPD_READY) == 1


def test_largest_file_is_taken(boot: Boot, bundle: Callable[..., bytes]) -> None:
    """As many bytes as dropd looks at get as far as bundlemgrd, which refuses them for what they are."""
    machine, data = boot(SYSTEM), bundle()
    machine.expect(READY)
    most = CONTRACT.number("drop.disk_max") - SECTOR
    machine.drop(numbered(1, data.ljust(most, b"\0")))
    wait_for(machine, refusal(1, "denied"))
    machine.drop(numbered(2, data))
    wait_for(machine, said("drop_installed", 2))


def test_drops_that_chase_each_other_end_with_the_last(boot: Boot, bundle: Callable[..., bytes]) -> None:
    machine, data = boot(SYSTEM), bundle()
    machine.expect(READY)
    for number in range(1, 20):
        machine.drop(numbered(number, flipped(data)))
    machine.drop(numbered(20, data))
    wait_for(machine, said("drop_installed", 20))


def put_behind(machine: Machine, filter_node: dict[str, object] | None = None) -> None:
    """Its disk is the same file from now on, seen through this block driver of QEMU."""
    name = f"seen-{time.monotonic_ns()}"
    file = {"driver": "file", "filename": str(machine.session.run.disk), "locking": "off"}
    node = {**filter_node, "image": file} if filter_node else file
    machine.session.qmp.execute("blockdev-add", {**node, "node-name": name})
    machine.qmp("blockdev-reopen", options=[{"driver": "raw", "node-name": "drop", "file": name}])


def failing(**where: int) -> dict[str, object]:
    """Reads of these sectors are errors."""
    return {"driver": "blkdebug", "inject-error": [{"event": "none", "iotype": "read", **where}]}


def test_disk_with_read_errors_is_used_again(boot: Boot, bundle: Callable[..., bytes]) -> None:
    machine, data = boot(SYSTEM), bundle()
    machine.expect(READY)
    put_behind(machine, failing())
    machine.drop(numbered(1, data))
    wait_for(machine, refusal(0, "unavailable"))
    put_behind(machine, failing(sector=1))
    machine.drop(numbered(2, data))
    wait_for(machine, refusal(2, "unavailable"))
    put_behind(machine)
    machine.drop(numbered(3, data))
    wait_for(machine, said("drop_installed", 3))


def test_disk_without_a_drop_says_nothing(boot: Boot) -> None:
    machine = boot(SYSTEM)
    machine.expect(READY)
    for nothing in (b"", empty_disk(CONTRACT), bytes(8 * SECTOR)):
        machine.drop(nothing)
    time.sleep(0.5)
    assert [line for line in machine.log.splitlines() if line.startswith("dropd: ")] == [DROPD_READY]


# ---- dropd dies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("returns", [1, 5, 20, 60])
def test_drop_survives_a_death_of_dropd_in_its_midst(boot: Boot, bundle: Callable[..., bytes], returns: int) -> None:
    """It is killed at a return of the kernel into it; the next one takes what lies there, and what comes then."""
    data = bundle(HELLO + f"x = {'a' * 20_000!r}\n")
    machine = boot(SYSTEM, icount=EXACT, disk=numbered(1, data))
    with machine.held() as breaker:
        assert breaker.until_phase(CONTRACT.phases[1])  # bring-up is over: from now on dropd looks
        assert breaker.into("dropd", returns)
        assert breaker.break_process("dropd")
    wait_for(machine, said("drop_installed", 1))
    assert machine.log.count(DROPD_READY) == 2
    machine.drop(numbered(2, bundle(name="other"), start=True))
    wait_for(machine, SAYS.format(name="other"))
