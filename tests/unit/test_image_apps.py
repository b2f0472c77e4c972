"""Publishers and bundles of an image: what the guest is given, what is refused, what inspect finds, and what makes an image stale."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus import layout
from nexus.bundle.make import bundle_of
from nexus.bundle.model import Form
from nexus.cli import main
from nexus.contract.load import Contract
from nexus.errors import BuildError, RecipeError
from nexus.image import apps, contents, manifest
from nexus.image.build import build_image
from nexus.recipe.check import load_system

HELLO = "guest/apps/hello"
REVOKED = "guest/apps/selftest/revoked"
ROW = """base = "default"
trust = ["dev", "test-revoked"]
[[process]]
name = "bundlemgrd"
"""
KEEPER = ROW + f'bundles = ["{HELLO}"]\nspecimens = ["{REVOKED}"]\n'


def recipe(folder: Path, text: str, name: str = "keeping") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def quiet(_: str) -> None:
    """Progress that nobody watches."""


def given(root: Path, contract: Contract, path: Path, process: str = "bundlemgrd") -> dict[str, Any]:
    """The names of the two generated modules as the guest sees them."""
    system = load_system(str(path), root, contract)
    held = apps.apps_of(system, contract, root, quiet)
    names: dict[str, Any] = {}
    for text in apps.guest_modules(system.process(process), held).values():
        exec(text, names)  # noqa: S102  # the generated modules themselves
    return names


# ---- what the guest is given -----------------------------------------------------------------------------------------


def test_guest_knows_the_publishers_that_the_recipe_names(root: Path, contract: Contract, tmp_path: Path) -> None:
    keys = contents.known_keys(root, contract)
    names = given(root, contract, recipe(tmp_path, ROW))
    expected = ((keys["dev"], (b"dev.",), False), (keys["test-revoked"], (b"gone.",), True))
    assert names["PUBLISHERS"] == expected
    assert given(root, contract, recipe(tmp_path, 'base = "smoke"\n'), "pong")["PUBLISHERS"] == ()


def test_guest_has_the_bundles_of_its_own_row_by_last_name(root: Path, contract: Contract, tmp_path: Path) -> None:
    whole = bundle_of(root / HELLO, root, contract, quiet)
    (tmp_path / "stored.nxb").write_bytes(whole)
    path = recipe(tmp_path, ROW + f'bundles = ["{HELLO}", "{tmp_path}/stored.nxb"]\nspecimens = ["{REVOKED}"]\n')
    bundles = given(root, contract, path)["BUNDLES"]
    assert list(bundles) == ["hello", "stored", "revoked"]
    assert bundles["hello"] == bundles["stored"] == whole
    assert given(root, contract, path, "execd")["BUNDLES"] == {}


def test_changed_byte_of_a_bundle_refuses_the_image(root: Path, contract: Contract, tmp_path: Path) -> None:
    whole = bytearray(bundle_of(root / HELLO, root, contract, quiet))
    whole[-1] ^= 1
    (tmp_path / "hello.nxb").write_bytes(whole)
    path = recipe(tmp_path, ROW + f'bundles = ["{tmp_path}/hello.nxb"]\n')
    with pytest.raises(
        RecipeError, match=r"keeping\.toml:5: \[process bundlemgrd\] bundles: found .*: bundle: digest: "
    ):
        given(root, contract, path)


@pytest.mark.parametrize("gates", [(), ("provisioning",)], ids=["none", "another"])
def test_publisher_whose_secret_everybody_knows_needs_the_gate(
    root: Path, contract: Contract, gates: tuple[str, ...]
) -> None:
    system = replace(load_system("default", root, contract), gates=gates)
    with pytest.raises(RecipeError, match=r"services\.toml:\d+: trust: found 'dev', whose secret everybody knows"):
        apps.apps_of(system, contract, root, quiet)


def test_specimen_that_would_be_taken_refuses_the_image(root: Path, contract: Contract, tmp_path: Path) -> None:
    path = recipe(tmp_path, ROW + f'specimens = ["{HELLO}"]\n')
    with pytest.raises(RecipeError, match=r"specimens: found 'guest/apps/hello', which is right"):
        given(root, contract, path)


def test_publisher_with_a_secret_is_trusted_without_the_gate(own_clone: Path, contract: Contract) -> None:
    dev = layout.trust_dir(own_clone) / "dev.toml"
    lines = [line for line in dev.read_text(encoding="utf-8").splitlines() if not line.startswith("known_seed")]
    dev.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = recipe(own_clone, 'base = "default"\ngates = []\n')
    assert len(given(own_clone, contract, path)["PUBLISHERS"]) == 1


# ---- the image -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(copy: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    clone = copy(tmp_path_factory.mktemp("apps") / "clone")
    path = recipe(clone, KEEPER)
    return SimpleNamespace(root=clone, recipe=path, manifest=build_image(str(path), clone, quiet))


def memory_of(built: SimpleNamespace) -> list[bytes]:
    return [layout.image_path(built.root, "keeping").read_bytes()]


def test_manifest_states_publishers_and_bundles(built: SimpleNamespace, contract: Contract) -> None:
    found: manifest.Manifest = built.manifest
    assert [(row.name, row.prefixes, row.secret_known, bool(row.revoked)) for row in found.trust] == [
        ("dev", ["dev."], True, False),
        ("test-revoked", ["gone."], True, True),
    ]
    hello, revoked = found.bundles
    whole = bundle_of(built.root / HELLO, built.root, contract, quiet)
    assert (hello.process, hello.source, hello.id, hello.publisher, hello.refused) == (
        "bundlemgrd", HELLO, "dev.hello", "dev", None,
    )  # fmt: skip
    assert (hello.bytes, hello.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert (revoked.id, revoked.publisher) == (None, None)
    assert revoked.refused is not None
    assert revoked.refused.startswith("bundle: revoked: ")
    assert (found.app, found.app_routes[0]) == ("service", "rngd")


def test_bundle_lies_in_the_image_as_it_is(built: SimpleNamespace, contract: Contract) -> None:
    form, found = Form(contract), built.manifest
    assert contents.check_bundles(memory_of(built), found, form) == []
    whole = bundle_of(built.root / HELLO, built.root, contract, quiet)
    assert memory_of(built)[0].count(whole) == 1


def test_bundle_that_nobody_states_is_found(built: SimpleNamespace, contract: Contract) -> None:
    form, found = Form(contract), replace(built.manifest, bundles=[built.manifest.bundles[1]])
    problems = contents.check_bundles(memory_of(built), found, form)
    assert problems == [f"found a bundle with sha256 {built.manifest.bundles[0].sha256}, which nobody states"]


def test_bundle_that_is_gone_is_missed(built: SimpleNamespace, contract: Contract) -> None:
    gone = replace(built.manifest.bundles[0], sha256="0" * 64)
    found = replace(built.manifest, bundles=[*built.manifest.bundles, gone])
    assert contents.check_bundles(memory_of(built), found, Form(contract)) == [f"{HELLO}: not found in the image"]


def test_changed_bundle_is_a_bundle_all_the_same(built: SimpleNamespace, contract: Contract) -> None:
    """A hostile one has any contents; what gives it away is its opening."""
    form = Form(contract)
    whole = bundle_of(built.root / HELLO, built.root, contract, quiet)
    hostile = whole[:-1] + bytes([whole[-1] ^ 1])
    noise = form.magic + bytes(40)
    assert list(contents.bundles_in(form, noise + hostile + form.magic)) == [hostile]
    assert list(contents.bundles_in(form, whole[:-1])) == []


def test_command_shows_trust_bundles_and_what_apps_come_to(
    built: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(layout, "find_root", lambda: built.root)
    assert main(["inspect", "keeping"]) == 0
    said = capsys.readouterr().out
    key_id = built.manifest.trust[0].key_id
    assert f"trusts dev, key {key_id}, ids dev., secret known\n" in said
    assert "ids gone., revoked: a test needs one that is, secret known\n" in said
    assert f"bundle in bundlemgrd: {HELLO}, {built.manifest.bundles[0].bytes} bytes: dev.hello 1.0.0 of dev\n" in said
    assert f"bundle in bundlemgrd: {REVOKED}, " in said
    assert "every app that execd spawns gets: APPS_INIT\n" in said
    assert "apps run service and may ask for: rngd, keystored, logd:append, logd:audit_own\n" in said


def test_bundles_that_nothing_imports_refuse_the_image(built: SimpleNamespace) -> None:
    path = recipe(built.root, f'base = "default"\n[[process]]\nname = "rngd"\nbundles = ["{HELLO}"]\n', "idle")
    with pytest.raises(BuildError, match=r"\[process rngd\] bundles: found no module that imports 'bundled'"):
        build_image(str(path), built.root, quiet)


# ---- staleness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [f"{HELLO}/main.py", f"{HELLO}/app.toml", "recipes/trust/dev.toml", "guest/lib/log.py"]
)
def test_changed_app_or_publisher_makes_the_image_stale(built: SimpleNamespace, change: str) -> None:
    path = built.root / change
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\n# changed\n")
        assert manifest.changed_inputs(built.manifest, built.root) == [change]
    finally:
        path.write_bytes(before)
    assert not manifest.is_stale(built.manifest, built.root)


def test_app_outside_of_the_clone_is_an_input_whatever_its_files_are_called(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(built.root / HELLO, folder)
    (folder / "data.bin").write_bytes(b"1")
    path = recipe(built.root, ROW + f'bundles = ["{folder}"]\n', "outside")
    found = build_image(str(path), built.root, quiet)
    assert not manifest.is_stale(found, built.root)
    (folder / "data.bin").write_bytes(b"2")
    assert manifest.changed_inputs(found, built.root) == [str(folder / "data.bin")]
