"""What upstream's scripts are told to talk to (tooling/nexus/micropython/targets.py): words of a device, checked without starting one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from nexus.errors import UsageError
from nexus.layout import find_root
from nexus.micropython import targets

ROOT = find_root()


def words(*, count: bool) -> list[str]:
    device = targets.bare_device(Path("/a folder/bare.elf"), Path("/a folder/files"), count=count)
    assert device.startswith("exec:exec ")
    return shlex.split(device.removeprefix("exec:exec "))


def test_bare_machine_ends_for_certain() -> None:
    """QEMU that counts does not hear SIGTERM while idle, and upstream's runner sends nothing else."""
    assert words(count=True)[:4] == ["timeout", "-k", "1", targets.LIFETIME]


def test_only_a_machine_that_is_asked_to_counts_instructions() -> None:
    assert "-icount" not in words(count=False)
    counting = words(count=True)
    assert counting[counting.index("-icount") + 1] == "shift=0,sleep=off"


def test_names_with_spaces_stay_one_word() -> None:
    assert "/a folder/bare.elf" in words(count=False)


def test_device_of_ones_own_is_told_as_it_is() -> None:
    with targets.prepare("exec:qemu -kernel x", ROOT, print)(False) as device:
        assert device == "exec:qemu -kernel x"


def test_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="--target bear: expected one of system, bare, bare-size, or a device"):
        targets.prepare("bear", ROOT, print)
