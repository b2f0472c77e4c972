"""The process behind `nexus run --detach`: owns one machine until it ends, is told to, or its time is up.

Started by `launch_detached` as `python -m nexus.machine.keeper REQUEST`; says once on stdout how the start went.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from nexus.contract.load import load_contract
from nexus.errors import MachineError, NexusError
from nexus.layout import contract_dir
from nexus.machine.argv import parse_rng
from nexus.machine.session import START_SECONDS, Session
from nexus.machine.target import launch_of, prepare


@dataclass(frozen=True)
class Request:
    root: str
    system: str
    rng: str
    lifetime: float | None


def launch_detached(request: Request) -> str:
    """Start a keeper and wait for its word; the id of the run."""
    argv = [sys.executable, "-P", "-m", "nexus.machine.keeper", json.dumps(asdict(request))]
    keeper = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        answer = _word(keeper, START_SECONDS + 10.0)
    finally:
        keeper.returncode = keeper.returncode or 0  # it is meant to outlive this process
        if keeper.stdout:
            keeper.stdout.close()
    if "id" not in answer:
        raise MachineError(answer.get("error", "the keeper of the machine died"), answer.get("hint"))
    return str(answer["id"])


def _word(keeper: subprocess.Popen[bytes], seconds: float) -> dict[str, str]:
    deadline = time.monotonic() + seconds
    said = b""
    with selectors.DefaultSelector() as selector:
        if keeper.stdout is None:
            return {}
        selector.register(keeper.stdout, selectors.EVENT_READ)
        while not said.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                keeper.kill()
                return {"error": f"the keeper of the machine said nothing for {seconds:g} s"}
            data = os.read(keeper.stdout.fileno(), 4096)
            if not data:
                return {}
            said += data
    answer: dict[str, str] = json.loads(said)
    return answer


def keep(request: Request) -> None:
    """Boot, say so, wait for the end."""
    root = Path(request.root)
    target = prepare(root, request.system, build=False, progress=lambda _text: None)
    launch = launch_of(target, load_contract(contract_dir(root)), rng=parse_rng(request.rng))
    with Session(root, target.system, launch) as session:
        _say({"id": session.run.id})
        session.wait(request.lifetime)


def _say(answer: dict[str, str | None]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, _leave)
    try:
        keep(Request(**json.loads(sys.argv[1])))
    except NexusError as error:
        _say({"error": error.message, "hint": error.hint})


if __name__ == "__main__":
    main()
