"""The selftest system on the real machine: what must pass, however slow the device and however often it is reset."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus.contract.load import load_contract
from nexus.errors import DeadlineError, MachineError, UsageError
from nexus.layout import contract_dir, find_root
from nexus.machine.live import Machine
from nexus.plugin import Boot
from nexus.verdict.ladder import Verdict

CONTRACT = load_contract(contract_dir(find_root()))
LIVE = next(f"{row.label}: {row.text}" for row in CONTRACT.markers if row.name == "init_ready")
# Slow enough that a boot takes seconds, so that a reset comes in its midst.
SLOW = "max-bytes=64,period=25"


def assert_passed(verdict: Verdict) -> None:
    assert verdict.failure is None
    assert verdict.exit_code == CONTRACT.number("exit.ok")
    assert [row.verdict for row in verdict.phases] == ["pass"] * len(CONTRACT.phases)
    assert len(verdict.markers) == len(CONTRACT.markers)


def test_boot_passes_and_takes_what_the_device_delivered(boot: Boot) -> None:
    machine = boot(trace_rng=True)
    assert_passed(machine.judge(entropy=True))
    assert taken(machine) > 0


def taken(machine: Machine) -> int:
    opening = CONTRACT.table("line")["rng_bytes"]
    line = next(line for line in machine.log.splitlines() if opening in line)
    return int(line.rpartition("=")[2], 16)


def test_device_that_answers_one_byte_at_a_time(boot: Boot) -> None:
    machine = boot(rng="max-bytes=1,period=1", trace_rng=True)
    assert_passed(machine.judge(60, entropy=True))
    pushes = machine.session.run.rng_trace.read_text().splitlines()
    assert all(push.endswith(": 1 bytes pushed") for push in pushes)
    assert len(pushes) == taken(machine)


def test_entropy_of_the_hosts_own_device(boot: Boot) -> None:
    assert_passed(boot(rng="random").judge())


def test_two_resets_change_nothing(boot: Boot) -> None:
    machine = boot(rng=SLOW)
    for _ in range(2):
        machine.expect(LIVE)
        machine.reset()
    assert_passed(machine.judge(60))
    assert machine.log.count("kernel: boot ") == 3


def test_reset_before_the_first_line(boot: Boot) -> None:
    machine = boot(rng=SLOW)
    machine.reset()
    machine.reset()
    assert_passed(machine.judge(60))


@pytest.mark.parametrize("phase", CONTRACT.phases)
def test_run_stops_after_its_phase(boot: Boot, phase: str) -> None:
    verdict = boot(phase=phase).judge(phase=phase)
    assert verdict.failure is None
    assert [row.name for row in verdict.phases] == list(CONTRACT.phases[: CONTRACT.phases.index(phase) + 1])


def test_two_boots_draw_different_nonces(boot: Boot) -> None:
    first, second = boot(phase="bring-up"), boot(phase="bring-up")
    assert first.nonce != second.nonce
    assert first.judge(phase="bring-up").passed
    assert second.judge(phase="bring-up").passed


def test_nonce_is_the_one_that_was_told(boot: Boot) -> None:
    machine = boot(fw_cfg={"opt/nexus/nonce": "ab" * 16})
    failure = machine.judge().failure
    assert failure is not None
    assert (failure.code, failure.seen) == ("nonce", "ab" * 16)


def test_launch_block_is_wiped(boot: Boot) -> None:
    """No process can find the nonce in the memory that the block was in."""
    machine = boot(rng=SLOW)
    machine.expect(LIVE)
    block = machine.read_phys(machine.target.image_end, CONTRACT.number("launch.bytes"))
    assert machine.nonce.encode() not in block
    text = machine.read_phys(0x8000_0000, 64)
    assert text == kernel_start(machine.target.elf, 64)


def kernel_start(elf: Path, size: int) -> bytes:
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        first = next(ELFFile(stream).iter_segments("PT_LOAD"))
        return bytes(first.data()[:size])


def test_machine_can_be_asked_while_it_runs(boot: Boot) -> None:
    machine = boot(rng=SLOW)
    assert machine.qmp("query-status")["status"] == "running"
    machine.qmp("human-monitor-command", command_line="info registers")
    machine.expect(r"init: phase bring-up decisions=(\d+)")
    assert machine.log_path.exists()
    assert machine.wait(0.0) is None


def test_typing_on_the_console_disturbs_nothing(boot: Boot) -> None:
    """The UART is output only; a host that types must not matter."""
    machine = boot(rng=SLOW)
    machine.send("SELFTEST: no\nkernel: panic\n" * 20)
    assert_passed(machine.judge(60))
    assert "panic" not in machine.log


def test_machine_stays_up_when_told_to(boot: Boot) -> None:
    flag = str(CONTRACT.number("flag.keep"))
    machine = boot(fw_cfg={"flags": flag})
    machine.expect(r"init: phase end decisions=\d+")
    assert machine.wait(0.5) is None
    assert "kernel: end" not in machine.log


def test_exact_instruction_counts_change_nothing(boot: Boot) -> None:
    assert_passed(boot(icount="shift=0,sleep=off").judge(60))


def test_events_of_a_run_are_on_file(boot: Boot) -> None:
    machine = boot()
    assert_passed(machine.judge())
    rows: list[dict[str, Any]] = [json.loads(row) for row in machine.session.run.events.read_text().splitlines()]
    assert [row["event"] for row in rows if row["event"] != "qmp"] == ["start", "clock", "cont", "exit"]


def test_text_that_never_comes_is_told_with_evidence(boot: Boot) -> None:
    machine = boot(rng=SLOW)
    with pytest.raises(DeadlineError, match="never said") as raised:
        machine.expect("never said", timeout=0.5)
    assert str(machine.log_path) in str(raised.value.hint)


def test_text_after_the_end_is_told_as_the_end(boot: Boot) -> None:
    machine = boot()
    with pytest.raises(MachineError, match="exit code 42"):
        machine.expect("never said", timeout=30)


def test_pattern_without_end_is_refused(boot: Boot) -> None:
    with pytest.raises(UsageError):
        boot().expect("boot .*")


def test_failing_test_shows_the_console_of_its_machines(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(boot):\n    boot().judge()\n    assert False\n")
    argv = [sys.executable, "-P", "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "console of " in done.stdout
    assert "kernel: end run=" in done.stdout
    assert "console.log" in done.stdout
