"""The QEMU command line of a launch. Pure: the same launch gives the same words; nothing is started or looked up here.

Called by the session (paused, over sockets) and by the report (a form to paste into a terminal).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nexus.errors import UsageError

QEMU = "qemu-system-riscv64"
RNG_DEVICE = "virtio-rng-device"
DISK = "drop"  # node of the disk, where a recipe names a device with drive=drop
TERMINAL = (
    "terminal"  # of the serial device, its port's channel and its bus, where a recipe names a device with id=terminal
)
BACKENDS = ("builtin", "random", "file", "fifo", "none")


@dataclass(frozen=True)
class Rng:
    """Where the entropy device gets its bytes, and how it misbehaves."""

    backend: str = "builtin"
    path: str = ""
    max_bytes: int | None = None
    period: int | None = None
    legacy: bool = False

    @property
    def known(self) -> bool:
        """Whether the host can know the bytes; such a boot must say so to the guest."""
        return self.backend in ("file", "fifo")


@dataclass(frozen=True)
class Port:
    """The port of the serial device that is the shell's terminal: [terminal] of the contract."""

    number: int
    name: str


@dataclass(frozen=True)
class Launch:
    """Everything that makes one boot different from another."""

    image: Path
    ram_bytes: int
    devices: tuple[str, ...] = ()
    rng: Rng = field(default_factory=Rng)
    facts: Mapping[str, str] = field(default_factory=dict)  # told to the kernel: nonce, phase, flags
    block_layout: Mapping[str, int] = field(default_factory=dict)  # [launch] of the contract; empty: tell nothing
    block_address: int = 0
    block: Path | None = None  # the file that holds them
    disk: bytes | None = None  # the drop disk as it is at the start; None for a machine without one
    disk_file: Path | None = None  # the file behind it
    terminal: Port | None = None  # None for a machine without one
    memory_file: Path | None = None  # the machine's memory is this file, and stays in it when the machine has ended
    icount: str | None = None
    trace_rng: Path | None = None
    gdb: str | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Channels:
    """uart: a pipe each way, `.in` and `.out`. Unix sockets: on qmp and terminal nexus listens, on monitor QEMU does (for other tools)."""

    uart: Path
    qmp: Path
    monitor: Path
    terminal: Path


def parse_rng(text: str) -> Rng:
    """`builtin`, `random`, `none`, `legacy`, `silent`, `file=PATH`, `fifo=PATH`, then `max-bytes=N` and `period=MS`, with commas."""
    rng = Rng()
    for word in filter(None, text.split(",")):
        key, has_value, value = word.partition("=")
        if key == "max-bytes" and value.isdecimal():
            rng = replace(rng, max_bytes=int(value))
        elif key == "period" and value.isdecimal():
            rng = replace(rng, period=int(value))
        elif key in ("file", "fifo") and value:
            rng = replace(rng, backend=key, path=value)
        elif key in ("builtin", "random", "none") and not has_value:
            rng = replace(rng, backend=key)
        elif key == "legacy" and not has_value:
            rng = replace(rng, legacy=True)
        elif key == "silent" and not has_value:
            rng = replace(rng, max_bytes=0, period=1000)
        else:
            raise UsageError(
                f"rng `{word}` is unknown", f"known: {', '.join(BACKENDS)}, legacy, silent, max-bytes=N, period=MS"
            )
    return rng


def paused_argv(binary: str, launch: Launch, channels: Channels) -> list[str]:
    """The machine of a session: paused until nexus has connected to console and control."""
    return [
        *_machine(binary, launch),
        *_terminal(launch, f"socket,id={TERMINAL},path={quote(channels.terminal)}"),
        "-S",
        *("-chardev", f"pipe,id=uart,path={quote(channels.uart)}"),
        *("-serial", "chardev:uart"),
        *("-chardev", f"socket,id=qmp,path={quote(channels.qmp)}"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-qmp", f"unix:{quote(channels.monitor)},server=on,wait=off"),
        *launch.extra,
    ]


def by_hand_argv(binary: str, launch: Launch) -> list[str]:
    """The same machine with its console on the terminal, for a person to paste."""
    launch = replace(launch, trace_rng=None, memory_file=None)
    return [*_machine(binary, launch), *_terminal(launch, f"pty,id={TERMINAL}"), "-serial", "stdio", *launch.extra]


def has_disk(devices: Sequence[str]) -> bool:
    """Whether one of these QEMU devices is the drop disk."""
    return any(f"drive={DISK}" in device.split(",") for device in devices)


def has_terminal(devices: Sequence[str]) -> bool:
    """Whether one of these QEMU devices is the serial device of a shell."""
    return any(f"id={TERMINAL}" in device.split(",") for device in devices)


def quote(value: object) -> str:
    """A value inside one of QEMU's comma lists."""
    return str(value).replace(",", ",,")


def _machine(binary: str, launch: Launch) -> list[str]:
    legacy = "true" if launch.rng.legacy else "false"
    argv = [
        binary,
        *("-M", "virt"),
        *("-cpu", "rv64"),
        *("-smp", "1"),
        *("-m", f"{launch.ram_bytes // 1024}k"),
        *("-bios", "none"),
        *("-kernel", str(launch.image)),
        *("-global", f"virtio-mmio.force-legacy={legacy}"),
        "-nodefaults",
        "-no-user-config",
        *("-display", "none"),
    ]
    if launch.memory_file:
        backend = f"memory-backend-file,id=ram,share=on,mem-path={quote(launch.memory_file)}"
        argv += ["-object", f"{backend},size={launch.ram_bytes}", "-M", "memory-backend=ram"]
    argv += _entropy(launch)
    argv += _disk(launch)
    argv += [word for device in launch.devices if device != RNG_DEVICE for word in ("-device", device)]
    if launch.block:
        # Not -fw_cfg: -M virt of QEMU 7.2 refuses it, since it creates that device only later.
        argv += ["-device", f"loader,file={quote(launch.block)},addr={launch.block_address:#x},force-raw=on"]
    if launch.icount:
        argv += ["-icount", launch.icount]
    if launch.trace_rng:
        argv += ["-trace", "virtio_rng_pushed", "-D", str(launch.trace_rng)]
    if launch.gdb:
        argv += ["-gdb", launch.gdb]
    return argv


def _entropy(launch: Launch) -> list[str]:
    rng = launch.rng
    if RNG_DEVICE not in launch.devices or rng.backend == "none":
        return []
    device = f"{RNG_DEVICE},rng=rng0"
    if rng.max_bytes is not None:
        device += f",max-bytes={rng.max_bytes}"
    if rng.period is not None:
        device += f",period={rng.period}"
    return ["-object", _backend(rng), "-device", device]


def _disk(launch: Launch) -> list[str]:
    """The file is the host's to write while the machine runs: no lock, and nothing of it is cached in QEMU. Not read-only, though the
    machine only reads: QEMU would not let its size be changed.
    """
    if launch.disk_file is None:
        return []
    file = f"file.driver=file,file.filename={quote(launch.disk_file)},file.locking=off"
    return ["-blockdev", f"driver=raw,node-name={DISK},{file}"]


def _terminal(launch: Launch, channel: str) -> list[str]:
    """A port, not a console: what is sent to a console is lost when its reader is slow, while a port waits."""
    port = launch.terminal
    if port is None:
        return []
    device = f"virtserialport,bus={TERMINAL}.0,nr={port.number},name={quote(port.name)},chardev={TERMINAL}"
    return ["-chardev", channel, "-device", device]


def _backend(rng: Rng) -> str:
    if rng.backend == "builtin":
        return "rng-builtin,id=rng0"
    path = "/dev/urandom" if rng.backend == "random" else rng.path
    return f"rng-random,id=rng0,filename={quote(path)}"
