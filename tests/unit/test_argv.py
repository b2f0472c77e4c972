"""QEMU's command line and the launch block are pure functions of the launch."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.contract.load import load_contract
from nexus.errors import UsageError
from nexus.layout import contract_dir, find_root
from nexus.machine.argv import (
    Channels,
    Launch,
    Port,
    Rng,
    by_hand_argv,
    has_disk,
    has_terminal,
    parse_rng,
    paused_argv,
    quote,
)
from nexus.machine.block import checked_facts, pack

LAYOUT = load_contract(contract_dir(find_root())).table("launch")
LAUNCH = Launch(Path("/i/nexus.elf"), 32 << 20, devices=("virtio-rng-device",))
CHANNELS = Channels(Path("/s/uart"), Path("/s/qmp"), Path("/s/monitor"), Path("/s/terminal"))


def words(launch: Launch = LAUNCH) -> list[str]:
    return paused_argv("qemu", launch, CHANNELS)


def value(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_machine_is_the_one_of_the_design() -> None:
    argv = words()
    assert argv[0] == "qemu"
    assert [value(argv, option) for option in ("-M", "-cpu", "-smp", "-bios", "-kernel")] == [
        "virt",
        "rv64",
        "1",
        "none",
        "/i/nexus.elf",
    ]
    assert value(argv, "-m") == "32768k"
    assert value(argv, "-global") == "virtio-mmio.force-legacy=false"
    assert {"-nodefaults", "-no-user-config"} <= set(argv)


def test_machine_starts_paused_and_connects_to_nexus() -> None:
    argv = words()
    assert "-S" in argv
    assert "pipe,id=uart,path=/s/uart" in argv
    assert "socket,id=qmp,path=/s/qmp" in argv
    assert value(argv, "-mon") == "chardev=qmp,mode=control"
    assert value(argv, "-qmp") == "unix:/s/monitor,server=on,wait=off"


def test_machine_by_hand_has_neither_pause_nor_sockets() -> None:
    argv = by_hand_argv("qemu", replace(LAUNCH, trace_rng=Path("/t")))
    assert "-S" not in argv
    assert not any("socket" in word or "unix:" in word for word in argv)
    assert value(argv, "-serial") == "stdio"
    assert "-trace" not in argv


def test_terminal_is_a_port_of_the_serial_device_and_connects_to_nexus() -> None:
    devices = ("virtio-serial-device,id=terminal,max_ports=2",)
    launch = replace(LAUNCH, devices=devices, terminal=Port(1, "a.b"))
    port = "virtserialport,bus=terminal.0,nr=1,name=a.b,chardev=terminal"
    for argv, channel in (
        (words(launch), "socket,id=terminal,path=/s/terminal"),
        (by_hand_argv("qemu", launch), "pty,id=terminal"),
    ):
        assert argv.index(devices[0]) < argv.index(channel) < argv.index(port)
        assert argv[argv.index(port) - 1] == "-device"
    assert not any("terminal" in word for word in words())
    assert has_terminal(devices)
    assert not has_terminal(LAUNCH.devices)


@pytest.mark.parametrize(
    ("spec", "backend", "device"),
    [
        ("", "rng-builtin,id=rng0", "virtio-rng-device,rng=rng0"),
        ("builtin", "rng-builtin,id=rng0", "virtio-rng-device,rng=rng0"),
        ("random", "rng-random,id=rng0,filename=/dev/urandom", "virtio-rng-device,rng=rng0"),
        ("file=/a,,b", None, None),
        ("file=/x", "rng-random,id=rng0,filename=/x", "virtio-rng-device,rng=rng0"),
        ("fifo=/x", "rng-random,id=rng0,filename=/x", "virtio-rng-device,rng=rng0"),
        ("max-bytes=1,period=1", "rng-builtin,id=rng0", "virtio-rng-device,rng=rng0,max-bytes=1,period=1"),
        ("silent", "rng-builtin,id=rng0", "virtio-rng-device,rng=rng0,max-bytes=0,period=1000"),
    ],
)
def test_entropy_source(spec: str, backend: str | None, device: str | None) -> None:
    if backend is None:
        with pytest.raises(UsageError):
            parse_rng(spec)
        return
    argv = words(replace(LAUNCH, rng=parse_rng(spec)))
    assert value(argv, "-object") == backend
    assert device in argv


def test_no_entropy_device() -> None:
    assert not any("rng" in word for word in words(replace(LAUNCH, rng=parse_rng("none"))))
    assert not any("rng" in word for word in words(replace(LAUNCH, devices=())))


def test_legacy_device() -> None:
    assert value(words(replace(LAUNCH, rng=parse_rng("legacy"))), "-global") == "virtio-mmio.force-legacy=true"


@pytest.mark.parametrize("spec", ["egd", "file", "file=", "max-bytes=x", "max-bytes=-1", "none=1", "builtin,what"])
def test_unknown_entropy_source_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="unknown"):
        parse_rng(spec)


@pytest.mark.parametrize(("spec", "known"), [("", False), ("random", False), ("file=/x", True), ("fifo=/x", True)])
def test_entropy_that_the_host_knows(spec: str, known: bool) -> None:
    assert parse_rng(spec).known is known


def test_other_devices_are_taken_as_they_are() -> None:
    argv = words(replace(LAUNCH, devices=("virtio-rng-device", "virtio-serial-device,max_ports=1")))
    assert "virtio-serial-device,max_ports=1" in argv


def test_options_that_are_asked_for() -> None:
    argv = words(replace(LAUNCH, icount="shift=0,sleep=off", trace_rng=Path("/t"), gdb="tcp::1", extra=("-d", "int")))
    assert value(argv, "-icount") == "shift=0,sleep=off"
    assert argv[argv.index("-trace") : argv.index("-trace") + 4] == ["-trace", "virtio_rng_pushed", "-D", "/t"]
    assert value(argv, "-gdb") == "tcp::1"
    assert argv[-2:] == ["-d", "int"]


def test_memory_can_be_a_file_but_not_by_hand() -> None:
    launch = replace(LAUNCH, memory_file=Path("/r/a,b.bin"))
    argv = words(launch)
    backend = "memory-backend-file,id=ram,share=on,mem-path=/r/a,,b.bin,size=33554432"
    assert argv[argv.index(backend) + 1 :][:2] == ["-M", "memory-backend=ram"]
    assert by_hand_argv("qemu", launch) == by_hand_argv("qemu", LAUNCH)


def test_nothing_is_there_unasked() -> None:
    assert not {"-icount", "-trace", "-D", "-gdb", "-fw_cfg"} & set(words())
    assert not any(word.startswith("loader") for word in words())


def test_comma_in_a_path_is_quoted() -> None:
    assert quote("/a,b") == "/a,,b"
    argv = words(replace(LAUNCH, rng=Rng("file", "/a,b"), block=Path("/l,m"), block_address=0x80100000))
    assert value(argv, "-object").endswith("filename=/a,,b")
    assert "loader,file=/l,,m,addr=0x80100000,force-raw=on" in argv


# ---- the launch block ------------------------------------------------------------------------------------------------


def test_block_holds_the_facts() -> None:
    block = pack({"nonce": "0123456789abcdef" * 2, "phase": "3", "flags": "5"}, LAYOUT)
    assert block[:8] == b"nxlaunch"
    assert block[LAYOUT["nonce"] : LAYOUT["nonce"] + 32] == b"0123456789abcdef" * 2
    assert struct.unpack_from("<II", block, LAYOUT["phase"]) == (3, 5)
    assert len(block) == LAYOUT["bytes"]


def test_block_without_a_phase_means_the_last() -> None:
    assert struct.unpack_from("<II", pack({}, LAYOUT), LAYOUT["phase"]) == (0xFFFFFFFF, 0)


def test_long_nonce_spoils_nothing_else() -> None:
    assert pack({"nonce": "0" * 99, "phase": "1"}, LAYOUT) == pack({"nonce": "0" * 32, "phase": "1"}, LAYOUT)


def test_facts_have_long_and_short_names() -> None:
    assert checked_facts({"opt/nexus/phase": "1", "flags": "2"}) == {"phase": "1", "flags": "2"}


@pytest.mark.parametrize(
    "facts", [{"what": "1"}, {"opt/other/phase": "1"}, {"phase": "x"}, {"flags": "-1"}, {"flags": ""}]
)
def test_facts_that_the_kernel_does_not_know_are_refused(facts: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        checked_facts(facts)


# ---- the drop disk ---------------------------------------------------------------------------------------------------

WITH_DISK = replace(LAUNCH, devices=("virtio-rng-device", "virtio-blk-device,drive=drop"), disk=b"")


def test_disk_is_the_file_of_the_run_whatever_its_name() -> None:
    argv = words(replace(WITH_DISK, disk_file=Path("/a run,1/drop.img")))
    node = "driver=raw,node-name=drop,file.driver=file,file.filename=/a run,,1/drop.img,file.locking=off"
    assert value(argv, "-blockdev") == node
    assert argv.index("-blockdev") < argv.index("virtio-blk-device,drive=drop")


def test_machine_by_hand_has_the_same_disk() -> None:
    argv = by_hand_argv("qemu", replace(WITH_DISK, disk_file=Path("/r/drop.img")))
    assert "file.filename=/r/drop.img" in value(argv, "-blockdev")
    assert "virtio-blk-device,drive=drop" in argv


def test_machine_without_a_disk_has_no_block_device() -> None:
    assert "-blockdev" not in words()


@pytest.mark.parametrize(
    ("device", "is_disk"),
    [("virtio-blk-device,drive=drop", True), ("virtio-blk-device,drive=dropped", False), ("virtio-rng-device", False)],
)
def test_disk_is_known_by_its_node(device: str, is_disk: bool) -> None:
    assert has_disk([device]) == is_disk
