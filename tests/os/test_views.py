"""The views of a booted machine against the machine: what top says of processes after a fault and beside an app that tells its own figures;
report and trace of runs that pass, fail and are interrupted.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pexpect.fdpexpect import fdspawn

from nexus import cli
from nexus.audit.trail import Trail
from nexus.contract.load import load_contract
from nexus.errors import BuildError
from nexus.image.manifest import file_entry, load_manifest, to_json
from nexus.layout import RAM_BASE, contract_dir, find_root
from nexus.machine.live import Machine
from nexus.machine.registry import pick_machine, runs_dir
from nexus.plugin import Boot
from nexus.views.watch import Watch, text_of

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
MARKERS = {row.name: f"{row.label}: {row.text}" for row in CONTRACT.markers}
UP = MARKERS["init_ready"]
SECONDS = 120
SLACK = 1024  # bytes: what the app's own questions and its line take
# It tells what it uses of its heap, and of how much; then it takes all the CPU that it can have.
APP = """import gc
gc.collect()
used = gc.mem_alloc()
print("heap", used, "of", used + gc.mem_free())
while True:
    pass
"""


def top(machine: Machine, folder: Path, *words: str) -> list[dict[str, Any]]:
    """What each look found."""
    out = folder / "top.json"
    assert cli.main(["top", "--machine", machine.session.run.id, "--json", str(out), *words]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def rows(look: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in look["processes"]}


def nexus(*words: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RUN_")}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "nexus", *words],
        env={**environ, "PYTHONPATH": str(ROOT / "tooling")},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    with process:
        try:
            text, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    return process.returncode, text


def names_of(trace: Path) -> set[str]:
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    return {event["args"]["name"] for event in events if event["name"] == "process_name"}


# ---- top -------------------------------------------------------------------------------------------------------------


def test_top_agrees_with_the_machine(boot: Boot, tmp_path: Path) -> None:
    machine = boot("default")
    with machine.held() as breaker:
        assert breaker.until_line(UP)
        assert breaker.break_process("rngd")
    machine.expect("kernel: fault label=rngd ")
    machine.expect(MARKERS["rngd_ready"])
    (tmp_path / "busy.py").write_text(APP)
    assert cli.main(["install", "--start", "--machine", machine.session.run.id, str(tmp_path / "busy.py")]) == 0
    told = machine.expect(r"app:dev\.busy: heap (\d+) of (\d+)\n")
    first, second = top(machine, tmp_path, "--count", "2", "--interval", "0.4")
    _check_totals(machine, first)
    _check_services(rows(first))
    _check_app(rows(second)["app:dev.busy"], int(told[1]), int(told[2]))


def _check_totals(machine: Machine, look: dict[str, Any]) -> None:
    assert look["system"] == "default"
    assert look["frames"] == machine.target.ram_bytes // 4096
    assert 0 < look["free_frames"] < look["frames"]
    assert look["lost_lines"] == 0
    assert look["interval"] == look["seconds"]  # since reset, as there was no look before


def _check_services(found: dict[str, dict[str, Any]]) -> None:
    assert {name: row["restarts"] for name, row in found.items() if row["restarts"]} == {"rngd": 1}
    assert {row["state"] for name, row in found.items() if not name.startswith("app:")} <= {
        "receiving",
        "waiting",
        "ready",
    }
    asked = {name for name, row in found.items() if row["messages_total"]}
    assert {"logd", "policyd", "rngd", "bundlemgrd", "execd"} <= asked  # by init, by each other and for the app
    for name, row in found.items():
        assert (row["heap"] is None) == (name == "vault"), name
        assert 0 < row["stack"]["used"] < row["stack"]["total"], name


def _check_app(row: dict[str, Any], used: int, total: int) -> None:
    assert row["state"] == "ready"
    assert abs(row["heap"]["total"] - total) <= SLACK
    assert abs(row["heap"]["used"] - used) <= SLACK
    share = CONTRACT.number("limit.app_share") / 10
    assert 0.5 * share < row["cpu"] < 1.5 * share


def test_machine_runs_on_after_a_look_and_the_next_is_served(boot: Boot, capsys: pytest.CaptureFixture[str]) -> None:
    machine = boot("default")
    machine.expect(UP)
    assert cli.main(["top", "--machine", machine.session.run.id, "--once"]) == 0
    text = capsys.readouterr().out
    assert text.count("bundlemgrd") == 1
    assert "\x1b" not in text
    assert _leaves_by_key(machine)
    assert machine.qmp("query-status")["running"]
    assert isinstance(machine.trail(), Trail)  # by the same control channel


def test_machine_of_another_build_is_refused(boot: Boot, tmp_path: Path) -> None:
    machine = boot("default")
    machine.expect(UP)
    record = pick_machine(ROOT, machine.session.run.id)
    image = tmp_path / "nexus.elf"
    manifest = load_manifest(machine.target.elf.with_name("manifest.json"))
    _write_other_text(machine.target.elf, image)
    for row in (manifest.image, file_entry(image.name, image)):  # a manifest of the old file, then of the changed one
        (tmp_path / "manifest.json").write_text(to_json(replace(manifest, image=row)))
        with pytest.raises(BuildError, match="runs another build"):
            Watch(ROOT, replace(record, image=str(image)), CONTRACT).look()
    assert machine.qmp("query-status")["running"]


def _write_other_text(image: Path, to: Path) -> None:
    """The same image but for one bit of the kernel."""
    address, text = text_of(image)
    data = image.read_bytes()
    place = data.index(text)
    assert address == RAM_BASE
    to.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def _leaves_by_key(machine: Machine) -> bool:
    """On a terminal: one table that is drawn anew in its place, until q."""
    words = ["-P", "-m", "nexus", "top", "--machine", machine.session.run.id, "--interval", "30"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tooling"), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, *words], env=environ, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            screen = fdspawn(ours, timeout=SECONDS)
            screen.expect_exact("bundlemgrd")
            screen.expect_exact("q leaves")
            screen.send("q")
            return process.wait(SECONDS) == 0
        finally:
            process.kill()
            os.close(ours)


# ---- report and trace ------------------------------------------------------------------------------------------------


def test_run_leaves_a_report_and_a_trace(tmp_path: Path) -> None:
    report, trace = tmp_path / "out.html", tmp_path / "out.json"
    exit_code, text = finish(nexus("run", "--until", UP, "--report", str(report), "--trace", str(trace)))
    assert exit_code == 0, text
    page = report.read_text(encoding="utf-8")
    assert "It verifies: chains, numbers and gaps." in page
    assert 'id="memory"' in page
    assert {"phases", "kernel", "init", "logd", "dropd"} <= names_of(trace)
    run = runs_dir(ROOT) / json.loads(trace.read_text(encoding="utf-8"))["otherData"]["run"]
    assert run.is_dir()
    assert [*run.glob("memory*")] == []  # what was in the machine lies nowhere


def test_failing_trial_leaves_both_too(tmp_path: Path) -> None:
    report, trace = tmp_path / "out.html", tmp_path / "out.json"
    exit_code, text = finish(nexus("test-os", "--rng", "none", "--report", str(report), "--trace", str(trace)))
    assert exit_code == 1, text
    page = report.read_text(encoding="utf-8")
    assert "FAIL end" in page
    assert "device id=4 absent" in page
    assert "policyd" in names_of(trace)


def test_interrupted_trial_leaves_what_there_is(tmp_path: Path) -> None:
    report = tmp_path / "out.html"
    process = nexus("test-os", "--rng", "silent", "--timeout", "60s", "--report", str(report))
    assert process.stdout is not None
    for line in process.stdout:
        if MARKERS["policyd_ready"] in line:
            break
    process.send_signal(signal.SIGTERM)
    exit_code, text = finish(process)
    assert exit_code == 130, text
    assert ">interrupted<" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--report", "--trace"])
def test_place_that_is_not_there_is_told_before_anything_runs(option: str, tmp_path: Path) -> None:
    exit_code, text = finish(nexus("test-os", option, str(tmp_path / "none" / "out")))
    assert exit_code == 2
    assert text.startswith(
        f"nexus: {option}: there is no folder {tmp_path / 'none'}"
    )  # nothing was built or said before


def test_machine_that_is_left_running_has_no_end_to_report(tmp_path: Path) -> None:
    exit_code, text = finish(nexus("run", "--detach", "--report", str(tmp_path / "out.html")))
    assert exit_code == 2
    assert "--detach" in text
