"""What --no-build boots: the image of the very recipe that was given, as the sources are now; everything else is refused. No machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nexus import layout
from nexus.cli import main
from nexus.errors import BuildError, UsageError
from nexus.image.build import build_image
from nexus.machine.target import Target, prepare
from nexus.verbs import machine as verb


def quiet(_: str) -> None:
    """Progress that nobody watches."""


def taken(root: Path, system: str) -> Target:
    return prepare(root, system, build=False, progress=quiet)


@pytest.fixture
def smoke(own_clone: Path) -> Path:
    """A clone with an image of the system smoke."""
    build_image("smoke", own_clone, quiet)
    return own_clone


def elsewhere(folder: Path, root: Path) -> Path:
    """The same recipe in another place, so that its image has the same place."""
    return Path(shutil.copy(layout.systems_dir(root) / "smoke.toml", folder / "smoke.toml"))


def test_image_of_the_recipe_is_taken_by_name_and_by_path(smoke: Path) -> None:
    target = taken(smoke, "smoke")
    assert (target.system, target.elf) == ("smoke", layout.image_path(smoke, "smoke"))
    assert taken(smoke, str(layout.systems_dir(smoke) / "smoke.toml")) == target


def test_image_of_another_recipe_of_that_name_is_refused(smoke: Path, tmp_path: Path) -> None:
    other = elsewhere(tmp_path, smoke)
    said = rf"the image of `{other}` is stale: it was built from another recipe, recipes/systems/smoke\.toml"
    with pytest.raises(BuildError, match=said) as caught:
        taken(smoke, str(other))
    assert caught.value.hint == f"build it: nexus build-image --system {other}"
    build_image(str(other), smoke, quiet)
    taken(smoke, str(other))
    with pytest.raises(BuildError, match=f"it was built from another recipe, {other}"):
        taken(smoke, "smoke")


def test_command_refuses_the_image_of_another_recipe(
    smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "find_root", lambda: smoke)
    monkeypatch.setattr(verb, "end_on_signals", lambda: None)
    assert main(["test-os", "--no-build", "--system", str(elsewhere(tmp_path, smoke))]) == 5
    assert "it was built from another recipe" in capsys.readouterr().err
    assert main(["test-os", "--no-build", "--system", "/nowhere/smoke.toml"]) == 2
    assert "system '/nowhere/smoke.toml': found no such file, expected a recipe" in capsys.readouterr().err


@pytest.mark.parametrize("build", [True, False])
def test_recipe_that_is_none_is_refused(clone: Path, tmp_path: Path, build: bool) -> None:
    for system in (str(tmp_path / "smoke.toml"), f"{tmp_path.parent}/{tmp_path.name}/../none.toml"):
        with pytest.raises(UsageError, match="found no such file, expected a recipe"):
            prepare(clone, system, build=build, progress=quiet)
    with pytest.raises(UsageError, match=r"system 'smok': expected one of .*; did you mean 'smoke'"):
        prepare(clone, "smok", build=build, progress=quiet)


def test_system_without_an_image_is_refused(smoke: Path) -> None:
    with pytest.raises(BuildError, match="there is no image of `bench`"):
        taken(smoke, "bench")


def test_image_before_a_change_is_refused(smoke: Path) -> None:
    (smoke / "guest/lib/newer.py").write_text("# New.\n", encoding="utf-8")
    with pytest.raises(BuildError, match=r"is stale: it was built before guest/lib/newer\.py changed"):
        taken(smoke, "smoke")


def test_image_that_is_not_the_manifests_is_refused(smoke: Path) -> None:
    with layout.image_path(smoke, "smoke").open("ab") as image:
        image.write(b"\0")
    with pytest.raises(BuildError, match=r"nexus\.elf is not the file that its manifest describes"):
        taken(smoke, "smoke")
