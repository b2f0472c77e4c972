"""docs/apps.md does what it says: every command of the page, pasted one after another into a copy of the clone, up to apps that run.

And beside it, step by step: an app that `nexus new-app` wrote is built, signed, installed into a running machine and says its line.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.layout import find_root

ROOT = find_root()
PAGE = ROOT / "docs" / "apps.md"
PARTS = ("firmware", "guest", "recipes", "tests/vectors", "tooling")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 30.0


def blocks() -> list[str]:
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, with interpreters that are compiled already; its script does all but set-up."""
    folder = tmp_path_factory.mktemp("apps") / "clone"
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for lock in ("sources.lock", "requirements.lock"):
        shutil.copy(ROOT / lock, folder)
    for path in [*(ROOT / "build/runtime").glob("*.stamp"), *(ROOT / "build/runtime").glob("*/*.elf")]:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    script = folder / "scripts" / "nexus"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m nexus "$@"\n', encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def clone(copy: Path) -> Iterator[Path]:
    """That copy; a machine that a test has left running ends with it."""
    yield copy
    sh(copy, "./scripts/nexus console --stop")


def sh(clone: Path, script: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(clone / "tooling")}
    argv = ["sh", "-eu", "-c", script]
    return subprocess.run(
        argv, cwd=clone, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def done(clone: Path, script: str) -> str:
    """What it says, if it succeeds."""
    result = sh(clone, script)
    assert result.returncode == 0, f"{script}\n{result.stdout}{result.stderr}"
    return result.stdout


def lines_of(clone: Path, label: str, wanted: int = 1) -> list[str]:
    """What an app has printed in the newest machine, once there are so many lines."""
    log, until = clone / "build/run/latest/console.log", time.monotonic() + SECONDS
    while True:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [line.partition(f"{label}: ")[2] for line in lines if f"{label}: " in line]
        if len(found) >= wanted or time.monotonic() > until:
            return found
        time.sleep(0.05)


def test_page_has_the_commands_that_the_test_expects() -> None:
    """Else a page without blocks would pass."""
    text = "\n".join(blocks())
    for command in ("new-app", "run --app", "bundle build", "bundle sign", "bundle verify", "bundle inspect", "bundle key",
                    "install", "run --detach", "audit show", "console --stop"):  # fmt: skip
        assert f"./scripts/nexus {command}" in text, command


def test_commands_of_the_page_work_one_after_another(clone: Path) -> None:
    said = [done(clone, block) for block in blocks()]
    text = "\n".join(said)
    assert "app:dev.hello: hello, this is hello" in said[0]
    assert re.search(r"^.*app:dev\.tryout: up for \d+ ms$", said[1], re.MULTILINE)
    assert "app:dev.hello: start number 1" in said[2]
    assert "right, signed by dev, whom system default trusts" in said[3]
    assert re.search(r"asks for    route +to reach keystored\n +keystore\.kv +keeps the count\n", said[3])
    assert re.findall(r"app:dev\.hello: (.*)$", said[4], re.MULTILINE) == ["start number 1", "start number 2"]
    assert re.search(r"allow +keystore\.kv", said[4])
    explained = [line for line in said[5].splitlines() if line.startswith(("allow:", "deny:"))]
    assert explained == ["allow: app:dev.entropy rng.entropy -", "deny: app:dev.hello rng.entropy -"]
    assert re.search(r"app:dev\.entropy: sixteen bytes: [0-9a-f]{32}$", said[5], re.MULTILINE)
    assert re.search(r"app:dev\.signer: signature:  [0-9a-f]{128}$", said[5], re.MULTILINE)
    assert "acme.lots 1.0.0, right, signed by acme, whom system mine trusts" in said[6]
    assert re.search(r"app:acme\.lots: lot [1-6]$", said[6], re.MULTILINE)
    assert "Traceback" not in text
    assert stat.S_IMODE((clone / "acme.pem").stat().st_mode) == 0o600


def test_new_app_is_installed_into_a_running_machine_and_says_its_line(clone: Path) -> None:
    done(clone, "./scripts/nexus new-app clock")
    assert sh(clone, "./scripts/nexus bundle build clock").returncode == 0
    done(clone, "./scripts/nexus run --detach")
    refused = sh(clone, "./scripts/nexus install dev.clock.nxb --start")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    done(clone, "./scripts/nexus bundle sign dev.clock.nxb")
    assert "installed dev.clock" in done(clone, "./scripts/nexus install dev.clock.nxb --start")
    assert lines_of(clone, "app:dev.clock") == ["hello, this is clock"]
    assert sh(clone, "./scripts/nexus install dev.clock.nxb").returncode == 1, "the same version again"
    denied = done(clone, "./scripts/nexus audit show --verdict deny")
    assert "signature_form" in denied
    assert "older" in denied
