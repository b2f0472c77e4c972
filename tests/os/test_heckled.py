"""Somebody below init asks without end what a shell may ask, denied and allowed, while the selftest runs; nothing of it shows in the verdict.

Scenario: system test-heckled. That a line never gets lost because its asker is too fast for the host is shown on the kernel itself
(tests/kernel/cases_console.c).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from nexus.layout import find_root

ROOT = find_root()
SECONDS = 180
LAST = "logd"  # decisions are counted, denied and told by then in five phases; the others differ in what is proven only
DECISION = "policyd: {} (subject=heckler action={})"


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
        print(action, asked)
        assert asked > 20, "there was nobody to speak of"
