"""`nexus run` and `nexus console` as a person uses them: on a terminal, detached, scripted, interrupted."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
import pytest
from pexpect.fdpexpect import fdspawn

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.registry import live_machines, runs_dir

if TYPE_CHECKING:
    from tests.os.conftest import Clone

CONTRACT = load_contract(contract_dir(find_root()))
LIVE = next(f"{row.label}: {row.text}" for row in CONTRACT.markers if row.name == "init_ready")
LEAVE = "\x1d"


@contextmanager
def terminal(clone: Clone, *arguments: str) -> Iterator[tuple[Any, subprocess.Popen[bytes]]]:
    """The command on a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "nexus", *arguments],
        cwd=clone.root,
        env={**os.environ, "PYTHONPATH": str(clone.root / "tooling"), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # becomes the controlling terminal
    )
    os.close(theirs)
    try:
        yield fdspawn(ours, timeout=60), process
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            os.close(ours)


@pytest.fixture
def alone(clone: Clone) -> Iterator[Clone]:
    """A clone in which no machine is left over."""
    yield clone
    for record in live_machines(clone.root):
        clone.nexus("console", "--machine", record.id, "--stop")


def started(clone: Clone, *arguments: str) -> str:
    exit_code, text = clone.nexus("run", "--detach", *arguments)
    assert exit_code == 0, text
    return live_machines(clone.root)[-1].id


# ---- on a terminal ---------------------------------------------------------------------------------------------------


def test_terminal_shows_log_and_status_and_leaves_by_key(alone: Clone) -> None:
    with terminal(alone, "run") as (screen, process):
        screen.expect_exact(LIVE)
        screen.expect(r"Ctrl-\] ends it \| live after \d+\.\d\d s")
        assert len(live_machines(alone.root)) == 1
        screen.send(LEAVE)
        assert process.wait(20) == 0
    assert live_machines(alone.root) == []


def test_interrupt_ends_run_with_its_own_code(alone: Clone) -> None:
    with terminal(alone, "run") as (screen, process):
        screen.expect_exact(LIVE)
        screen.send("\x03")
        assert process.wait(20) == 130
    assert live_machines(alone.root) == []


def test_terminal_is_as_before_afterwards(alone: Clone) -> None:
    import termios

    with terminal(alone, "run", "--until", LIVE) as (screen, process):
        before = termios.tcgetattr(screen.child_fd)
        screen.expect(pexpect.EOF)
        assert process.wait(20) == 0
        assert before[3] & termios.ECHO


# ---- scripted --------------------------------------------------------------------------------------------------------


def test_until_ends_with_success_and_without_escapes(alone: Clone) -> None:
    exit_code, text = alone.nexus("run", "--until", LIVE)
    assert exit_code == 0
    assert LIVE in text.splitlines()
    assert "\x1b" not in text
    assert live_machines(alone.root) == []


def test_until_that_never_comes(alone: Clone) -> None:
    exit_code, text = alone.nexus("run", "--until", "never said", "--timeout", "2")
    assert exit_code == 7
    assert "never said" in text


def test_machine_that_ends_well_before_the_text_came(alone: Clone) -> None:
    exit_code, text = alone.nexus("run", "--system", "selftest", "--until", "never said")
    assert exit_code == 6
    assert re.search(r"machine \S+ ended before `never said` came\n  hint: its logs: build/run/", text)


def test_machine_that_ends_well_by_itself(alone: Clone) -> None:
    assert alone.nexus("run", "--system", "selftest")[0] == 0


def test_second_run_builds_nothing_and_is_live_at_once(alone: Clone) -> None:
    alone.nexus("build-image")
    begun = time.monotonic()
    exit_code, text = alone.nexus("run", "--until", LIVE)
    assert exit_code == 0
    assert "compile" not in text
    assert time.monotonic() - begun < 10  # a bound for a busy host; nexus bench measures the real figure


def test_machine_that_ends_badly_by_itself(alone: Clone) -> None:
    alone.edit("guest/services/init/main.py", "import caps\n", "import caps\nraise ValueError\n")
    exit_code, text = alone.nexus("run", "--until", LIVE)
    assert exit_code == 6
    assert "init died" in text


# ---- detached --------------------------------------------------------------------------------------------------------


def test_detached_machine_can_be_attached_and_ended(alone: Clone) -> None:
    run_id = started(alone)
    exit_code, text = alone.nexus("console", "--until", LIVE)
    assert exit_code == 0
    assert text.startswith("kernel: boot ")
    assert [record.id for record in live_machines(alone.root)] == [run_id]
    exit_code, _ = alone.nexus("console", "--stop")
    assert exit_code == 0
    assert live_machines(alone.root) == []


def test_detached_machine_has_its_record(alone: Clone) -> None:
    run_id = started(alone, "--until", LIVE)
    record = json.loads((runs_dir(alone.root) / run_id / "machine.json").read_text())
    assert record.keys() == {"pid", "system", "image", "nonce", "qmp", "console", "terminal"}
    assert record["system"] == "default"
    assert Path(record["qmp"]).is_socket()
    assert Path(record["console"]).is_socket()
    assert Path(record["image"]).is_file()
    assert record["nonce"] in (runs_dir(alone.root) / run_id / "console.log").read_text()


def test_detached_machine_as_json(alone: Clone) -> None:
    run_id = started(alone)
    exit_code, _ = alone.nexus("run", "--detach", "--json", str(alone.root / "machine.json"))
    assert exit_code == 0
    record = json.loads((alone.root / "machine.json").read_text())
    assert record.keys() == {"id", "pid", "system", "image", "nonce", "qmp", "console", "terminal"}
    assert {run_id, record["id"]} == {machine.id for machine in live_machines(alone.root)}


def test_terminal_leaves_a_detached_machine_running(alone: Clone) -> None:
    run_id = started(alone)
    with terminal(alone, "console", "--uart") as (screen, process):
        screen.expect_exact(LIVE)
        screen.expect_exact("leaves, the machine stays up")
        screen.send(LEAVE)
        assert process.wait(20) == 0
    assert [record.id for record in live_machines(alone.root)] == [run_id]


def test_several_machines_have_to_be_told_apart(alone: Clone) -> None:
    first, second = started(alone), started(alone)
    exit_code, text = alone.nexus("console")
    assert exit_code == 2
    assert first in text
    assert second in text
    exit_code, _ = alone.nexus("console", "--machine", second, "--until", LIVE)
    assert exit_code == 0


def test_no_machine_to_attach_to(alone: Clone) -> None:
    exit_code, text = alone.nexus("console", "--uart")
    assert exit_code == 2
    assert "nexus run --detach" in text


def test_detached_machine_has_a_lifetime(alone: Clone) -> None:
    started(alone, "--timeout", "2")
    deadline = time.monotonic() + 20
    while live_machines(alone.root) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert live_machines(alone.root) == []


def test_detached_machine_that_cannot_start(alone: Clone) -> None:
    exit_code, text = alone.nexus("run", "--detach", "--rng", "file=/nowhere")
    assert exit_code == 6
    assert "/nowhere" in text


# ---- reports of test-os ----------------------------------------------------------------------------------------------


def test_json_on_stdout_stands_alone(clone: Clone) -> None:
    process = subprocess.run(
        [sys.executable, "-P", "-m", "nexus", "test-os", "--json", "--phase", "bring-up"],
        cwd=clone.root,
        env={**os.environ, "PYTHONPATH": str(clone.root / "tooling")},
        capture_output=True,
        text=True,
        check=True,
    )
    verdict = json.loads(process.stdout)
    assert verdict["verdict"] == "pass"
    assert verdict["exit_code"] == CONTRACT.number("exit.ok")
    assert [row["name"] for row in verdict["phases"]] == ["bring-up"]


def test_junit_of_a_failure(clone: Clone) -> None:
    from xml.etree import ElementTree

    exit_code, _ = clone.nexus("test-os", "--rng", "none", "--junit", str(clone.root / "report.xml"))
    assert exit_code == 1
    suite = ElementTree.parse(clone.root / "report.xml").find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "1"
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "device id=4 absent" in (failure.text or "")


def test_machine_stays_up_after_its_verdict(clone: Clone) -> None:
    answer = clone.test_os("--timeout", "8", RUN_UNTIL_MARKER="0")
    assert answer.exit_code == 0, answer.text
    assert answer.verdict["exit_code"] is None
    assert "stays up" in answer.text
    assert live_machines(clone.root) == []


def test_script_passes_its_variables_through() -> None:
    """Not in the copy: the script would set that up, with an environment of its own."""
    script = find_root() / "scripts" / "qemu-test.sh"
    done = subprocess.run(
        [script, "--json"], env={**os.environ, "RUN_PHASE": "mmio"}, capture_output=True, text=True, check=True, cwd="/"
    )
    assert [row["name"] for row in json.loads(done.stdout)["phases"]] == ["bring-up", "mmio"]
