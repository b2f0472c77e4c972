"""The drop disk as bytes, and how it is changed under a machine that reads it; then what its console says of a drop."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus import cli
from nexus.contract.load import load_contract
from nexus.errors import DeadlineError, MachineError, UsageError, VerdictError
from nexus.layout import contract_dir, find_root
from nexus.machine import registry
from nexus.machine.drop import Drop, bundle_id, disk_of, empty_disk, put
from nexus.machine.follow import End, Follow, wait_in_log
from nexus.machine.registry import Record
from nexus.verbs import install

CONTRACT = load_contract(contract_dir(find_root()))
SECTOR = CONTRACT.number("drop.sector")
MOST = CONTRACT.number("drop.disk_max") - SECTOR
DENIED = CONTRACT.number("status.denied")
EXIT = CONTRACT.number("fault.exit")


def file_of(size: int = 300, name: bytes = b"dev.hello") -> bytes:
    first = CONTRACT.number("bundle_at.id")
    head = b"nexusnxb".ljust(first, b"\1") + name.ljust(CONTRACT.number("bundle_at.major") - first, b"\0")
    return head + b"x" * (size - len(head))


# ---- what lies on the disk -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("size", [300, 511, 512, 513, MOST])
def test_disk_is_a_header_and_the_file_in_whole_sectors(size: int, start: bool) -> None:
    data = file_of(size)
    disk = disk_of(CONTRACT, Drop(0x01020304, data, start))
    assert len(disk) % SECTOR == 0
    assert 0 <= len(disk) - SECTOR - size < SECTOR
    assert struct.unpack_from("<8sIII32s", disk) == (
        b"nexusdrp",
        0x01020304,
        int(start),
        size,
        b"dev.hello".ljust(32, b"\0"),
    )
    assert not any(disk[52:SECTOR])
    assert disk[SECTOR : SECTOR + size] == data
    assert not any(disk[SECTOR + size :])


def test_largest_file_fills_what_the_machine_looks_at() -> None:
    assert len(disk_of(CONTRACT, Drop(1, file_of(MOST), False))) == CONTRACT.number("drop.disk_max")


def test_empty_disk_is_a_magic_and_nothing_else() -> None:
    assert empty_disk(CONTRACT) == b"nexusdrp".ljust(SECTOR, b"\0")


def test_no_two_drops_have_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({Drop.of(CONTRACT, file_of(), start=False).number for _ in range(100)}) == 100
    for least, number in ((True, 1), (False, (1 << 32) - 1)):
        monkeypatch.setattr(secrets, "randbelow", lambda bound, least=least: 0 if least else bound - 1)
        assert Drop.of(CONTRACT, file_of(), start=False).number == number


def test_file_beyond_the_limit_is_not_dropped() -> None:
    with pytest.raises(UsageError, match=rf"{MOST + 1} bytes.*at most {MOST}"):
        Drop.of(CONTRACT, file_of(MOST + 1), start=False)


@pytest.mark.parametrize("data", [b"", b"nexusnxb", b"nexusnxc" + file_of()[8:], file_of(name=b"")])
def test_file_that_is_no_bundle_has_no_id(data: bytes) -> None:
    with pytest.raises(UsageError, match="no bundle"):
        bundle_id(CONTRACT, data)


# ---- how it gets into a machine --------------------------------------------------------------------------------------


def test_disk_has_no_size_while_it_is_written(tmp_path: Path) -> None:
    """Whoever reads meanwhile finds nothing, never half of a drop."""
    file, told = tmp_path / "drop.img", []
    file.write_bytes(b"before")

    class Qemu:
        def execute(self, command: str, arguments: dict[str, object] | None = None) -> object:
            told.append((command, arguments, file.read_bytes()))
            return {}

    put(Qemu(), file, b"after")
    assert told == [
        ("block_resize", {"node-name": "drop", "size": 0}, b"before"),
        ("block_resize", {"node-name": "drop", "size": 5}, b"after"),
    ]


# ---- what the console says of it -------------------------------------------------------------------------------------


def follow(*lines: str) -> Follow:
    one = Follow(CONTRACT, 7)
    for text in lines:
        one.take(text)
    return one


INSTALLED = "dropd: installed drop=00000007"
STARTED = "dropd: started drop=00000007 child=0000000a"
REFUSED = f"dropd: refused drop=00000007 status={DENIED:02x}"
UNREADABLE = "dropd: refused drop=00000000 status=05"


def ended(child: int = 10, cause: int = EXIT, value: int = 0) -> str:
    return f"execd: ended child={child:08x} cause={cause:02x} value={value:016x} starts=01"


def test_installed_is_enough_unless_it_is_to_start() -> None:
    assert not follow().settled(start=False)
    assert follow(INSTALLED).settled(start=False)
    assert not follow(INSTALLED).settled(start=True)
    assert follow(INSTALLED, STARTED).settled(start=True)
    assert follow(INSTALLED, STARTED).child == 10
    follow(INSTALLED, STARTED).check()


@pytest.mark.parametrize("line", [REFUSED, UNREADABLE])
@pytest.mark.parametrize("start", [False, True])
def test_refusal_ends_it(line: str, start: bool) -> None:
    one = follow(line)
    assert one.settled(start=start)
    assert one.over()
    with pytest.raises(VerdictError, match="the machine refused it") as raised:
        one.check()
    assert raised.value.hint == "the true reason is in the audit: nexus audit show"


def test_refusal_to_start_tells_that_it_is_installed() -> None:
    with pytest.raises(VerdictError, match=r"it is installed, .* refused to start it \(denied\)"):
        follow(INSTALLED, REFUSED).check()


@pytest.mark.parametrize(
    "line",
    [
        INSTALLED.replace("7", "8"),
        REFUSED.replace("7", "8", 1),
        STARTED.replace("7", "8"),
        f"x{INSTALLED}",
        f"{INSTALLED} ",
        INSTALLED.replace("dropd: ", "app:dev.a: "),
        f"app:dev.a: {INSTALLED}",
        REFUSED.replace("dropd", "execd"),
    ],
)
def test_other_lines_say_nothing_of_it(line: str) -> None:
    one = follow(line)
    assert (one.installed, one.refused, one.child) == (False, None, None)


def test_app_is_over_when_its_own_child_is() -> None:
    one = follow(ended(9), INSTALLED, STARTED)
    assert not one.over()
    one.take(ended(11))
    one.take(ended().replace("execd", "app:dev.a"))
    assert not one.over()
    one.take(ended(value=0))
    assert one.over()
    assert one.end == End(EXIT, 0)
    one.check()


def test_end_that_is_told_before_the_start_counts() -> None:
    assert follow(INSTALLED, ended(), STARTED).over()


@pytest.mark.parametrize(
    ("cause", "value", "told"),
    [("exit", 1, "exit, value 0x1"), ("memory", 0, "memory, value 0x0"), ("killed", 0, "killed"), ("hung", 0, "hung")],
)
def test_app_that_ends_badly(cause: str, value: int, told: str) -> None:
    one = follow(INSTALLED, STARTED, ended(cause=CONTRACT.number(f"fault.{cause}"), value=value))
    with pytest.raises(VerdictError, match=told):
        one.check()


# ---- the verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Record]:
    """A machine that says these lines when something is laid down for it, and lives so long."""

    def make(*lines: str, lives: bool = True) -> Record:
        run = registry.create_run(tmp_path, "x")
        run.console.write_text("[    0.001] dropd: installed drop=00000007\n", encoding="ascii")

        def lay_down(_root: Path, _contract: object, _record: Record, _drop: Drop) -> None:
            with run.console.open("a", encoding="ascii") as log:
                log.writelines(f"[{at:9.3f}] {text}\n" for at, text in enumerate(lines))

        monkeypatch.setattr(install, "lay_down", lay_down)
        monkeypatch.setattr(Record, "alive", property(lambda _self: lives))
        return Record(run.id, 1, "x", "image", "0", "qmp", "console")

    return make


def hand_over(root: Path, record: Record, start: bool = False, seconds: float = 0.2) -> int | None:
    return install.hand_over(root, CONTRACT, record, Drop(7, file_of(), start), seconds)


def test_handing_over_waits_for_the_answer(tmp_path: Path, machine: Callable[..., Record]) -> None:
    assert hand_over(tmp_path, machine("dropd: something else", INSTALLED)) is None
    assert hand_over(tmp_path, machine(INSTALLED, STARTED), start=True) == 10
    assert (
        hand_over(tmp_path, machine(INSTALLED, STARTED, ended(value=1)), start=True) == 10
    )  # how it ends is not asked


def test_answer_to_an_earlier_drop_is_none(tmp_path: Path, machine: Callable[..., Record]) -> None:
    with pytest.raises(DeadlineError, match=r"0\.2 s"):
        hand_over(tmp_path, machine())


def test_refusal_is_an_error(tmp_path: Path, machine: Callable[..., Record]) -> None:
    with pytest.raises(VerdictError):
        hand_over(tmp_path, machine(REFUSED))


def test_machine_that_ends_is_not_waited_for(tmp_path: Path, machine: Callable[..., Record]) -> None:
    with pytest.raises(MachineError, match="ended before"):
        hand_over(tmp_path, machine(lives=False), seconds=30.0)
    assert hand_over(tmp_path, machine(INSTALLED, lives=False)) is None


def test_line_that_comes_in_pieces_is_read_whole(tmp_path: Path) -> None:
    log, one = tmp_path / "console.log", Follow(CONTRACT, 7)
    pieces = iter([f"[    0.1] {INSTALLED[:12]}", f"{INSTALLED[12:]}\n"])
    log.write_text("")

    def alive() -> bool:
        with log.open("a") as more:
            more.write(next(pieces, ""))
        return True

    wait_in_log(log, 0, one, lambda: one.installed, alive, 5.0)


def test_machine_without_a_drop_disk_is_told(tmp_path: Path) -> None:
    run = registry.create_run(tmp_path, "x")
    with pytest.raises(UsageError, match="no drop disk"):
        install.lay_down(tmp_path, CONTRACT, Record(run.id, 1, "x", "", "", "", ""), Drop(7, file_of(), False))


def test_verb_without_a_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.nxb"
    file.write_bytes(file_of())
    monkeypatch.setattr(registry, "live_machines", lambda _root: [])
    assert cli.main(["install", str(file)]) == 2
    assert "no machine is live" in capsys.readouterr().err


def test_verb_with_what_is_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.nxb"
    file.write_bytes(b"anything")
    monkeypatch.setattr(registry, "pick_machine", lambda _root, _wanted: Record("x", 1, "x", "", "", "", ""))
    assert cli.main(["install", str(file)]) == 2
    assert "no bundle" in capsys.readouterr().err
