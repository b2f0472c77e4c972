"""Every fuzz target takes its own seeds, and every input that once broke a rule keeps it now. What `just fuzz` finds lies in found/<target>."""

from __future__ import annotations

import pytest
import target as targets

NAMES = sorted(targets.rows())


def test_every_target_has_its_file_and_every_finding_its_target() -> None:
    assert [name for name in NAMES if not (targets.FOLDER / f"{name}.py").is_file()] == []
    found = targets.FOUND
    assert sorted(path.name for path in found.iterdir() if path.name not in NAMES) == [] if found.is_dir() else True


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_what_was_found_keep_the_rules(name: str) -> None:
    target = targets.load(name)
    sequences = [list(target.seeds), *targets.findings(name).values()]
    assert target.seeds
    assert max(map(len, target.seeds)) <= targets.rows()[name]["longest"], "a seed would be cut off"
    for inputs in sequences:
        if target.restart is not None:
            target.restart()
        for data in inputs:
            target.check(data)
    if target.close is not None:
        target.close()
