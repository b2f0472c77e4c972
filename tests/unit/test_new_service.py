"""`nexus new-service`: what it writes passes its own test at once; a bad or taken name changes nothing. That it builds and is up:
tests/os/test_new_service.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nexus import layout
from nexus.cli import main
from nexus.contract.load import load_contract
from nexus.recipe.check import load_system

NAME = "clockd"


def snapshot(clone: Path) -> dict[str, bytes]:
    """Every source file."""
    return {
        str(path.relative_to(clone)): path.read_bytes()
        for path in clone.rglob("*")
        if path.is_file() and "build" not in path.parts and path.suffix != ".pyc"
    }


@pytest.fixture
def written(own_clone: Path, root: Path) -> Path:
    """A clone with the new service; its host tests and what these need are there too."""
    shutil.copytree(root / "tests/guest", own_clone / "tests/guest", ignore=shutil.ignore_patterns("__pycache__"))
    assert main(["new-service", NAME]) == 0
    return own_clone


def test_it_names_every_file_and_what_to_try(own_clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(own_clone)
    assert main(["new-service", NAME]) == 0
    said = capsys.readouterr().out
    changed = {name for name, data in snapshot(own_clone).items() if before.get(name) != data}
    assert changed == {line for line in said.splitlines() if "/" in line and not line.startswith(("try", "let"))}
    assert f"guest/services/{NAME}/main.py" in changed
    assert f"tests/guest/test_{NAME}.py" in changed
    assert f"./scripts/just test-host -k {NAME}" in said


def test_it_is_in_every_system_built_on_the_recipe(written: Path) -> None:
    contract = load_contract(layout.contract_dir(written))
    for name in ("default", "selftest"):
        system = load_system(name, written, contract)
        assert system.process(NAME).rank > system.root.rank
        assert any(edge.server == NAME and edge.facet == "ready" for edge in system.root.calls)
    markers = [row.name for row in contract.markers]
    assert markers.index(f"{NAME}_ready") == markers.index("init_ready") - 1


def test_its_own_test_passes_and_fails_without_it(written: Path) -> None:
    argv = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    argv += ["--rootdir", str(written), "-c", os.devnull, f"tests/guest/test_{NAME}.py"]
    environ = os.environ | {"PYTHONPATH": str(written / "tooling")}
    done = subprocess.run(argv, cwd=written, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    module = written / f"guest/services/{NAME}/main.py"
    module.write_text(module.read_text(encoding="utf-8").replace("_asked += 1", "_asked += 2"), encoding="utf-8")
    done = subprocess.run(argv, cwd=written, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 failed, 3 passed" in done.stdout


def test_it_keeps_to_the_rules_of_the_tree(written: Path) -> None:
    files = [f"guest/services/{NAME}/main.py", f"tests/guest/test_{NAME}.py"]
    ruff = str(Path(sys.executable).with_name("ruff"))
    subprocess.run([ruff, "format", "--check", "--line-length", "120", *files], cwd=written, check=True)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Clockd", "found a bad name"),
        ("clock-d", "found a bad name"),
        ("9clock", "found a bad name"),
        ("c", "found a bad name"),
        ("a" * 17, "found a bad name"),
        ("../x", "found a bad name"),
        ("rngd", "found [op.rngd] in recipes/contract"),
        ("all", "found [op.all] in recipes/contract"),
        ("selftest", "found a process of that name or label"),
        ("kernel", "found a process of that name or label"),
    ],
)
def test_bad_or_taken_name_changes_nothing(
    name: str, why: str, own_clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(own_clone)
    assert main(["new-service", name]) == 2
    assert why in capsys.readouterr().err
    assert snapshot(own_clone) == before


def test_second_time_the_name_is_taken(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(written)
    capsys.readouterr()
    assert main(["new-service", NAME]) == 2
    assert "expected a name that is free" in capsys.readouterr().err
    assert snapshot(written) == before


def test_existing_test_file_is_not_overwritten(own_clone: Path) -> None:
    path = own_clone / f"tests/guest/test_{NAME}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine\n", encoding="utf-8")
    assert main(["new-service", NAME]) == 2
    assert path.read_text(encoding="utf-8") == "mine\n"


def test_everything_is_taken_back_if_a_rule_refuses_it(own_clone: Path) -> None:
    """A system that is full: no process more fits the kernel's table."""
    recipe = own_clone / "recipes/systems/full.toml"
    rows = "".join(f'[[process]]\nname = "p{n}"\nnative = "firmware/test/pong"\n' for n in range(29))
    recipe.write_text(f'# Full.\nbase = "default"\n{rows}', encoding="utf-8")
    before = snapshot(own_clone)
    assert main(["new-service", NAME]) == 4
    assert snapshot(own_clone) == before
    assert not (own_clone / f"guest/services/{NAME}").exists()


def test_unknown_system_is_refused(own_clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(own_clone)
    assert main(["new-service", NAME, "--system", "defualt"]) == 2
    assert "defualt" in capsys.readouterr().err
    assert snapshot(own_clone) == before
