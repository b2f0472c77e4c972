"""Boots that must fail, each with its true reason and exit code: one change to the machine or to the sources per test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.machine.registry import Record, live_machines, runs_dir

if TYPE_CHECKING:
    from pathlib import Path

    from tests.os.conftest import Clone

CONTRACT = load_contract(contract_dir(find_root()))
MARKERS = {row.name: f"{row.label}: {row.text}" for row in CONTRACT.markers}
# Written out: the numbers are a promise to whoever scripts the command.
FAILED, USAGE, SETUP, BUILD, MACHINE, TIMEOUT, INTERRUPTED = 1, 2, 3, 5, 6, 7, 130
SLOW = "max-bytes=16,period=200"
SELFTEST, RNGD, INIT = "guest/selftest/main.py", "guest/services/rngd/main.py", "guest/services/init/main.py"
RUN_PROOF = "        proof.run(mark, function)\n"


def test_clone_passes_undamaged(clone: Clone) -> None:
    """The twin of every test below."""
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (0, None), answer.text


# ---- the device ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rng", "words"),
    [
        ("none", ["device id=4 absent"]),
        ("silent", [CONTRACT.table("line")["device_silent"]]),
        ("legacy", ["legacy", "-global virtio-mmio.force-legacy=false"]),
    ],
)
def test_device_that_is_no_use(clone: Clone, rng: str, words: list[str]) -> None:
    answer = clone.test_os("--rng", rng)
    assert (answer.exit_code, answer.code) == (FAILED, "end"), answer.text
    assert answer.verdict["exit_code"] == CONTRACT.number("exit.selftest_failed")
    assert answer.verdict["reason"]["expected"] == MARKERS["rngd_ready"]
    assert all(word in answer.reason for word in words), answer.reason


# ---- the markers -----------------------------------------------------------------------------------------------------


def test_renamed_marker(clone: Clone) -> None:
    clone.edit(SELFTEST, RUN_PROOF, RUN_PROOF.replace("mark,", 'mark + "ay",'))
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "unknown"), answer.text
    assert answer.verdict["reason"]["expected"] == MARKERS["rng_entropy"]
    assert answer.verdict["reason"]["seen"] == MARKERS["rng_entropy"] + "ay"


def test_duplicated_marker(clone: Clone) -> None:
    clone.edit(SELFTEST, RUN_PROOF, RUN_PROOF + "        kernel.console(mark)\n")
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "repeated"), answer.text
    assert answer.verdict["reason"]["seen"] == MARKERS["rng_entropy"]


def test_swapped_markers(clone: Clone) -> None:
    clone.edit(SELFTEST, "in PROOFS.get(phase, ()):", "in reversed(PROOFS.get(phase, ())):")
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "order"), answer.text
    assert answer.verdict["reason"]["expected"] == MARKERS["rng_entropy"]


def test_marker_forged_by_another_service(clone: Clone) -> None:
    """selftest leaves its line out; rngd says it word for word when it is asked for bytes."""
    clone.edit(SELFTEST, RUN_PROOF, "        if mark != contract.MARK_RNG_ENTROPY:\n    " + RUN_PROOF)
    clone.edit(
        RNGD,
        "    def draw(self, count):\n",
        f"    def draw(self, count):\n        kernel.console('{MARKERS['rng_entropy']}')\n",
    )
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "forged"), answer.text
    assert answer.verdict["reason"]["seen"] == f"rngd: {MARKERS['rng_entropy']}"


def test_ready_line_forged_by_another_service(clone: Clone) -> None:
    """init stays silent; rngd says init's line after its own."""
    clone.edit(INIT, "            kernel.console(contract.MARK_INIT_READY)\n", "            pass\n")
    clone.edit(RNGD, "import struct\n", f"import struct\nimport kernel\nkernel.console('{MARKERS['init_ready']}')\n")
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "missing"), answer.text
    assert answer.verdict["reason"]["expected"] == MARKERS["init_ready"]


def test_failing_proof(clone: Clone) -> None:
    clone.edit("guest/selftest/entropy.py", "    check(first != second,", "    check(first == second,")
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "selftest"), answer.text
    assert "FAIL" in answer.verdict["reason"]["seen"]


# ---- the services ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "phase_not_reached"), [(RNGD, "rngd_ready"), ("guest/services/logd/main.py", "logd_ready")]
)
def test_service_that_faults_at_start(clone: Clone, service: str, phase_not_reached: str) -> None:
    clone.edit(service, "import struct\n", "import struct\nstruct.pack('<B', None)\n")
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "end"), answer.text
    assert answer.verdict["reason"]["expected"] == MARKERS[phase_not_reached]
    assert "fault label=" in answer.reason
    assert re.search(r"pc +0x[0-9a-f]+ \w+ \w+\+0x[0-9a-f]+ \(\w+\.[chS]:\d+\)", answer.text)


def test_service_that_spins_is_stopped_and_named(clone: Clone) -> None:
    clone.edit(RNGD, "import struct\n", "import struct\nwhile True:\n    pass\n")
    answer = clone.test_os()
    assert (answer.exit_code, answer.code) == (FAILED, "end"), answer.text
    assert "label=rngd cause=hung" in answer.reason


def test_selftest_that_spins_runs_into_the_time_out(clone: Clone) -> None:
    clone.edit(SELFTEST, "import entropy\n", "import entropy\nwhile True:\n    pass\n")
    answer = clone.test_os(RUN_TIMEOUT="3s")
    assert (answer.exit_code, answer.code) == (TIMEOUT, "timeout"), answer.text
    assert answer.verdict["reason"]["expected"] == MARKERS["rng_entropy"]
    assert re.search(
        r"pc +0x[0-9a-f]+ (SELFTEST )?\w+\+0x[0-9a-f]+ \(\w+\.[chS]:\d+\), where the hart stands now", answer.text
    )


# ---- the machine -----------------------------------------------------------------------------------------------------


def test_missing_emulator(clone: Clone) -> None:
    exit_code, text = clone.nexus("test-os", NEXUS_QEMU="qemu-system-nowhere")
    assert exit_code == SETUP
    assert "qemu-system-nowhere is not installed" in text
    assert "apt-get install" in text


def test_emulator_that_refuses_its_options(clone: Clone) -> None:
    answer = clone.test_os("--rng", "file=/nowhere")
    assert (answer.exit_code, answer.code) == (MACHINE, "no-start"), answer.text
    assert "/nowhere" in answer.reason


def wait_for_machine(clone: Clone, process: subprocess.Popen[str]) -> Record:
    """The one live machine, once it speaks: before that, a signal may meet QEMU without its handlers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        live = live_machines(clone.root)
        if live and (runs_dir(clone.root) / live[0].id / "console.log").stat().st_size:
            return live[0]
        time.sleep(0.02)
    raise AssertionError("no machine came up")


@pytest.mark.parametrize(("signal_number", "words"), [(signal.SIGKILL, "signal 9"), (signal.SIGTERM, "host-signal")])
def test_killed_emulator(clone: Clone, signal_number: int, words: str) -> None:
    report = clone.root / "verdict.json"
    process = clone.start("test-os", "--rng", SLOW, "--json", str(report))
    os.kill(wait_for_machine(clone, process).pid, signal_number)
    exit_code, text = clone.finish(process)
    assert exit_code == MACHINE, text
    assert "FAIL machine-died" in text
    assert words in text


def test_machine_that_is_stopped_is_a_time_out(clone: Clone) -> None:
    process = clone.start("test-os", "--rng", SLOW, "--timeout", "3")
    record = wait_for_machine(clone, process)
    os.kill(record.pid, signal.SIGSTOP)
    exit_code, text = clone.finish(process)
    assert exit_code == TIMEOUT, text
    assert not record.alive


def test_interrupt_ends_the_machine_too(clone: Clone) -> None:
    process = clone.start("test-os", "--rng", SLOW)
    record = wait_for_machine(clone, process)
    process.send_signal(signal.SIGINT)
    exit_code, _ = clone.finish(process)
    assert exit_code == INTERRUPTED
    assert not record.alive


def test_emulator_dies_with_a_nexus_that_is_killed(clone: Clone) -> None:
    process = clone.start("test-os", "--rng", SLOW)
    record = wait_for_machine(clone, process)
    process.kill()
    clone.finish(process)
    deadline = time.monotonic() + 5
    while record.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not record.alive


# ---- the image -------------------------------------------------------------------------------------------------------


def test_stale_image(clone: Clone) -> None:
    assert clone.test_os("--no-build").exit_code == 0
    clone.edit(RNGD, "import struct\n", "import struct\n\n")
    exit_code, text = clone.nexus("test-os", "--no-build")
    assert exit_code == BUILD
    assert "stale" in text
    assert RNGD in text


def test_image_that_is_not_the_manifests(clone: Clone) -> None:
    clone.test_os()
    image = clone.root / "build" / "selftest" / "nexus.elf"
    whole = image.read_bytes()
    try:
        image.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        exit_code, text = clone.nexus("test-os", "--no-build")
    finally:
        image.write_bytes(whole)
    assert exit_code == BUILD
    assert "manifest" in text


def test_recipe_is_repeated_as_it_was_given(clone: Clone, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('# Mine.\nbase = "selftest"\n', encoding="utf-8")
    answer = clone.test_os("--system", str(recipe), "--rng", "none")
    assert answer.exit_code == FAILED, answer.text
    assert f"./scripts/nexus test-os --no-build --system {recipe} " in answer.text


def test_no_image_at_all(clone: Clone) -> None:
    exit_code, text = clone.nexus("test-os", "--no-build", "--system", "smoke")
    assert exit_code == BUILD
    assert "build-image" in text


# ---- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [{"RUN_PHASE": "mmioo"}, {"RUN_TIMEOUT": "soon"}, {"RUN_UNTIL_MARKER": "2"}],
    ids=lambda one: next(iter(one)),
)
def test_variable_that_says_nothing(clone: Clone, variables: dict[str, str]) -> None:
    exit_code, text = clone.nexus("test-os", **variables)
    assert exit_code == USAGE
    assert next(iter(variables.values())) in text


def test_unknown_phase_lists_the_phases(clone: Clone) -> None:
    exit_code, text = clone.nexus("test-os", "--phase", "nowhere")
    assert exit_code == USAGE
    assert all(phase in text for phase in CONTRACT.phases)
