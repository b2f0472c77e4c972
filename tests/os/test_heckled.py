"""Somebody below init asks without end what a shell may ask, denied and allowed, while the selftest runs, or types at the shell what harms it;
nothing of it shows in the verdict.

Scenario: systems test-heckled and selftest. That a line never gets lost because its asker is too fast for the host is shown on the kernel itself
(tests/kernel/cases_console.c).
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from threading import Thread

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.plugin import Boot

ROOT = find_root()
SECONDS = 180
LAST = "logd"  # decisions are counted, denied and told by then in five phases; the others differ in what is proven only
DECISION = "policyd: {} (subject=heckler action={})"

ENTER, TAKEN = b"\x01", b"\x04"
PROMPT, RAW, OVER = b"nexus>", b"raw REPL; CTRL-B to exit\r\n>", TAKEN + b">"
HARM = (
    b"import nexus\nfor _ in range(5):\n try: nexus.entropy(1)\n except nexus.Denied: print('SELFTEST: end' * 9)",
    b"import kernel; kernel.exit(2)",
    b"import machine; machine.mem32[0x10000000000]",  # ends the shell by a fault
    b"import nexus\nfor name in ('execd', 'logd:append', 'bundlemgrd', 'keystored', 'nobody') * 4: nexus.policy('route', name)",
    b"import nexus\nnexus.shutdown()",
    b"import kernel, caps\nfor at in range(64): kernel.caps(0); kernel.drop(0x100 + at)",  # all that it holds
)


class Typist(Thread):
    """Has the shell run one program of HARM after the other, whatever is left of it, until its terminal ends."""

    def __init__(self, terminal: socket.socket) -> None:
        super().__init__()
        self.terminal = terminal
        self.runs = 0

    def run(self) -> None:
        with suppress(OSError):  # the terminal ends with the machine, in the midst of whatever is typed
            self._type()

    def _type(self) -> None:
        last, harm = b"", cycle(HARM)
        self.terminal.settimeout(SECONDS)
        while data := self.terminal.recv(1 << 16):
            last = (last + data)[-200:]
            if RAW in last or last.endswith(OVER):
                self.runs += 1
                self.terminal.sendall(next(harm) + TAKEN)
            elif PROMPT in last:
                self.terminal.sendall(ENTER)
            else:
                continue
            last = b""


def console_of(nonce: str) -> str:
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "build" / "run").glob("*-test-heckled-*/console.log"))
    return next(text for text in texts if f"run={nonce}" in text)


def test_who_asks_without_end_changes_nothing_in_the_verdict(tmp_path: Path) -> None:
    report = tmp_path / "verdict.json"
    argv = [sys.executable, "-P", "-m", "nexus", "test-os", "--system", "test-heckled", "--phase", LAST]
    argv += ["--json", str(report)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    verdict = json.loads(report.read_text(encoding="utf-8"))
    assert (done.returncode, verdict["verdict"]) == (0, "pass"), done.stdout[-3000:]
    log = console_of(verdict["nonce"])
    for answer, action in (
        ("deny", "route"),
        ("allow", "system.stats"),
        ("deny", "system.shutdown"),
        ("deny", "unknown"),
    ):
        asked = log.count(DECISION.format(answer, action))
        assert asked > 20, "there was nobody to speak of"


def test_whatever_is_typed_changes_nothing_in_the_verdict(boot: Boot) -> None:
    machine = boot("selftest")
    assert machine.session.terminal is not None
    with machine.session.terminal.client(history=True) as terminal:
        typist = Typist(terminal)
        typist.start()
        verdict = machine.judge(SECONDS)
        machine.wait()
        typist.join(SECONDS)
        assert not typist.is_alive()
    assert verdict.failure is None
    assert verdict.exit_code == load_contract(contract_dir(ROOT)).number("exit.ok")
    for trace in ("fault label=shell cause=exit", "deny (subject=shell"):
        assert trace in machine.log, f"nobody typed {trace!r}"
    assert typist.runs >= 2
