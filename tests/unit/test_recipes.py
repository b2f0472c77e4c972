"""Every recipe under tests/recipes: the good ones load, each bad one is refused with its exit code and exactly its messages.

A bad recipe states in its head what it expects: `# expect: <exit code> <message>`, one line per message; {file} is the recipe, {line} any line of a recipe in recipes/systems.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nexus import layout
from nexus.cli import main
from nexus.contract.load import Contract
from nexus.recipe.check import load_system
from nexus.recipe.graph import APP_RANK
from nexus.recipe.model import APPS

RECIPES = Path("tests/recipes")
ROOT = layout.find_root()
GOOD = sorted((ROOT / RECIPES / "good").glob("*.toml"))
BAD = sorted((ROOT / RECIPES / "bad").glob("*.toml"))
SYSTEMS = sorted(layout.systems_dir(ROOT).glob("*.toml"))
EXPECT = re.compile(r"^# expect: (\d+) (.*)$", re.MULTILINE)


def line_of_base(message: str) -> str:
    """The line that a message names in a recipe of the clone; those may grow without a change here."""
    found = re.search(r"recipes/systems/\w+\.toml:(\d+)", message)
    return found[1] if found else "no line"


@pytest.mark.parametrize("recipe", BAD, ids=lambda path: path.stem)
def test_bad_recipe_is_refused(recipe: Path, clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = RECIPES / "bad" / recipe.name
    rows = EXPECT.findall(recipe.read_text(encoding="utf-8"))
    assert rows, "a bad recipe has to say what it expects"
    code = main(["build-image", "--system", str(clone / shown)])
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("nexus: ")
    said[0] = said[0].removeprefix("nexus: ")
    assert len(said) == len(rows), said
    for line, (_, message) in zip(said, rows, strict=True):
        assert line == message.replace("{file}", str(shown)).replace("{line}", line_of_base(line))
    assert {int(expected) for expected, _ in rows} == {code}
    assert not (clone / "build" / recipe.stem / "nexus.elf").exists(), "a refused recipe must leave nothing to boot"


@pytest.mark.parametrize("recipe", [*GOOD, *SYSTEMS], ids=lambda path: path.stem)
def test_good_recipe_loads(recipe: Path, contract: Contract) -> None:
    system = load_system(str(recipe), ROOT, contract)
    assert [process.index for process in system.processes] == list(range(len(system.processes)))
    ranks = {APPS: APP_RANK} | {process.name: process.rank for process in system.processes}
    for edge in system.edges():
        assert ranks[edge.caller] < ranks[edge.server]


def test_every_defect_of_the_issue_has_a_recipe() -> None:
    """Those that are no recipe (an ELF, a .mpy, a source, a tool) are in test_refusals.py."""
    needed = {"unknown_key", "call_cycle", "deadline_too_short", "service_ids_collide", "labels_collide"}
    needed |= {"undeclared_capability", "memory_too_small"}
    assert needed <= {path.stem for path in BAD}
