"""Where runs leave their files, which machines are alive, and which one a command means.

Called by the session, by the verbs and by the pytest plugin. Never starts or ends a machine.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus.errors import SetupError, UsageError

SUN_PATH = 107  # bytes an AF_UNIX path can hold
KEEP_RUNS = 50
SWEEP_SECONDS = 60.0  # a socket that is younger may just be coming to life
RECORD = "machine.json"


@dataclass(frozen=True)
class RunDir:
    """build/run/<id>: the logs and the machine's record."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def console(self) -> Path:
        return self.path / "console.log"

    @property
    def qemu(self) -> Path:
        return self.path / "qemu.log"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def terminal(self) -> Path:
        """What the shell's terminal printed, byte for byte; not there in a system without one."""
        return self.path / "terminal.log"

    @property
    def pty(self) -> Path:
        """Where `nexus console --pty` is, while it is there."""
        return self.path / "terminal.pty"

    @property
    def record(self) -> Path:
        return self.path / RECORD

    @property
    def block(self) -> Path:
        return self.path / "launch.bin"

    @property
    def disk(self) -> Path:
        return self.path / "drop.img"

    @property
    def memory(self) -> Path:
        return self.path / "memory.bin"

    @property
    def rng_trace(self) -> Path:
        return self.path / "rng-trace.log"

    @property
    def logs(self) -> tuple[Path, Path, Path]:
        return (self.console, self.qemu, self.events)

    def qemu_words(self) -> str:
        """What QEMU itself printed, in one line."""
        words = self.qemu.read_text(encoding="utf-8", errors="replace") if self.qemu.exists() else ""
        return " / ".join(line.strip() for line in words.splitlines()[-5:] if line.strip()) or "QEMU said nothing"


@dataclass(frozen=True)
class Record:
    """machine.json of one run."""

    id: str
    pid: int
    system: str
    image: str
    nonce: str
    qmp: str
    console: str
    terminal: str = ""  # the socket of its terminal; empty in a system without one

    @property
    def alive(self) -> bool:
        """Whether that very QEMU still runs: a pid alone could by now be anybody's."""
        try:
            words = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return any(self.qmp.encode() in word for word in words)


def runs_dir(root: Path) -> Path:
    return root / "build" / "run"


def create_run(root: Path, system: str) -> RunDir:
    """A new run folder, `latest` pointing at it; old runs beyond the bound are removed."""
    runs = runs_dir(root)
    runs.mkdir(parents=True, exist_ok=True)
    _prune(runs)
    run = RunDir(runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{system}-{secrets.token_hex(4)}")
    run.path.mkdir()
    link = runs / f".latest-{run.id}"
    link.symlink_to(run.id)
    link.replace(runs / "latest")
    return run


def write_record(run: RunDir, record: dict[str, Any]) -> None:
    """Whole or not at all: others read it while the machine runs."""
    draft = run.path / f".{RECORD}"
    draft.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draft.replace(run.record)


def read_record(path: Path) -> Record | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        names = ("system", "image", "nonce", "qmp", "console")
        facts = {name: str(data[name]) for name in names}
        return Record(path.parent.name, int(data["pid"]), **facts, terminal=str(data.get("terminal", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def live_machines(root: Path) -> list[Record]:
    records = [read_record(path) for path in sorted(runs_dir(root).glob(f"*/{RECORD}")) if path.parent.name != "latest"]
    return [record for record in records if record is not None and record.alive]


def pick_machine(root: Path, wanted: str | None) -> Record:
    """The machine a command means: the one named, else the only live one."""
    live = live_machines(root)
    if wanted is not None:
        live = [record for record in live if record.id == wanted]
    if len(live) == 1:
        return live[0]
    if wanted is not None:
        raise UsageError(f"no live machine `{wanted}`", _listing(live_machines(root)))
    if not live:
        raise UsageError("no machine is live", "start one: nexus run --detach")
    raise UsageError("several machines are live: say which one with --machine ID", _listing(live))


def socket_dir() -> Path:
    """A folder that only this user can enter, with a path short enough for sockets."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")
    if not base.is_dir():
        base = Path("/tmp")
    folder = base / f"nexus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise SetupError(f"{folder} is not private to you", f"look at it, then remove it: rm -r {folder}")
    return folder


def socket_path(run: RunDir, name: str) -> Path:
    path = socket_dir() / f"{run.id}.{name}"
    if len(os.fsencode(path)) > SUN_PATH:
        raise SetupError(
            f"{path} is longer than the {SUN_PATH} bytes of a socket path", "set XDG_RUNTIME_DIR to a shorter folder"
        )
    return path


def sweep_sockets() -> None:
    """Remove the sockets of machines whose nexus was killed: nobody listens on them any more."""
    for path in socket_dir().iterdir():
        with suppress(FileNotFoundError):  # somebody else sweeps too
            if time.time() - path.lstat().st_mtime > SWEEP_SECONDS and not _is_served(path):
                path.unlink()


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _listing(records: list[Record]) -> str:
    if not records:
        return "no machine is live"
    return "live: " + ", ".join(f"{record.id} ({record.system})" for record in records)


def _prune(runs: Path) -> None:
    old = sorted(path for path in runs.iterdir() if path.is_dir() and not path.is_symlink())
    for path in old[:-KEEP_RUNS]:
        record = read_record(path / RECORD)
        if record is None or not record.alive:
            shutil.rmtree(path, ignore_errors=True)
