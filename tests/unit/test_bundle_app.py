"""app.toml and recipes/trust: each way to be wrong is refused with its line, and what is right becomes a bundle, the same bytes each time.

A bad file of tests/recipes/apps or tests/recipes/trust states in its head what it expects, as bad recipes do; {folder} is the app's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus import layout
from nexus.bundle import make, trust
from nexus.bundle.app import load_app
from nexus.bundle.listing import list_files
from nexus.bundle.model import Form, Request, Version
from nexus.bundle.sign import verify_trusted
from nexus.contract.load import Contract, load_contract
from nexus.errors import BuildError, NexusError, UsageError

ROOT = layout.find_root()
FORM = Form(load_contract(layout.contract_dir(ROOT)))
BAD_APPS = sorted((ROOT / "tests/recipes/apps/bad").glob("*.toml"))
BAD_TRUST = sorted((ROOT / "tests/recipes/trust/bad").glob("*.toml"))
EXPECT = re.compile(r"^# expect: (\d+) (.*)$", re.MULTILINE)
HEAD = 'id = "dev.x"\nversion = "1.2.3"\npublisher = "dev"\n'


def folder_of(path: Path, app: str = HEAD, **modules: str) -> Path:
    path.mkdir(exist_ok=True)
    (path / "app.toml").write_text(app, encoding="utf-8")
    for name, text in (modules or {"main": "print(1)\n"}).items():
        (path / f"{name}.py").write_text(text, encoding="utf-8")
    return path


def files_of(data: bytes) -> list[str]:
    contents = data[-int.from_bytes(data[FORM.places["contents_bytes"]], "little") :]
    return [entry.path.decode() for entry in list_files(contents).files]


def built(path: Path, contract: Contract) -> bytes:
    return make.bundle_of(path, ROOT, contract, lambda _: None)


# ---- what is wrong with a file ---------------------------------------------------------------------------------------


def expected_of(file: Path, names: dict[str, str]) -> tuple[set[int], str]:
    rows = EXPECT.findall(file.read_text(encoding="utf-8"))
    assert rows, "a bad file has to say what it expects"
    said = "\n".join(message for _, message in rows)
    for name, value in names.items():
        said = said.replace(f"{{{name}}}", value)
    return {int(code) for code, _ in rows}, said


@pytest.mark.parametrize("file", BAD_APPS, ids=lambda path: path.stem)
def test_bad_app_is_refused(file: Path, contract: Contract, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "app", file.read_text(encoding="utf-8"))
    codes, said = expected_of(file, {"file": str(folder / "app.toml"), "folder": str(folder)})
    with pytest.raises(NexusError) as caught:
        load_app(folder, ROOT, contract)
    assert (caught.value.message, {caught.value.exit_code}) == (said, codes)


@pytest.mark.parametrize("file", BAD_TRUST, ids=lambda path: path.stem)
def test_bad_publisher_is_refused(file: Path, contract: Contract, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes/trust", tmp_path / "recipes/trust")
    shutil.copy(file, tmp_path / "recipes/trust/acme.toml")
    codes, said = expected_of(file, {"file": "recipes/trust/acme.toml"})
    with pytest.raises(NexusError) as caught:
        trust.load_all(tmp_path, contract)
    assert (caught.value.message, {caught.value.exit_code}) == (said, codes)


def test_revoked_publisher_may_leave_its_prefix_to_another(contract: Contract, tmp_path: Path) -> None:
    """Else a publisher whose key was stolen would lose its ids to the thief."""
    shutil.copytree(ROOT / "recipes/trust", tmp_path / "recipes/trust")
    row = 'public_key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"\nprefixes = ["gone."]\n'
    (tmp_path / "recipes/trust/new.toml").write_text(row, encoding="utf-8")
    assert "new" in [one.name for one in trust.load_all(tmp_path, contract)]


def test_unknown_publisher_is_told_with_the_nearest_name(contract: Contract) -> None:
    with pytest.raises(UsageError, match=r"found no recipes/trust/dve.toml, expected .*did you mean 'dev'\?"):
        trust.load_publisher("dve", ROOT, contract)


def test_publishers_of_the_clone_are_right(contract: Contract) -> None:
    """And everybody can sign as each of them, so none may be trusted by an image that is meant to be safe."""
    found = {one.name: one for one in trust.load_all(ROOT, contract)}
    assert {name: one.prefixes for name, one in found.items()} == {
        "dev": ("dev.",),
        "selftest": ("selftest.",),
        "test-other": ("other.",),
        "test-revoked": ("gone.",),
    }
    assert [name for name, one in found.items() if one.revoked] == ["test-revoked"]
    assert all(one.known_seed for one in found.values())


def test_guest_is_told_of_every_publisher_by_its_key(contract: Contract) -> None:
    publishers = trust.load_all(ROOT, contract)
    module: dict[str, object] = {}
    exec(compile(trust.trust_module(publishers), "trust", "exec"), module)  # noqa: S102 - what was generated just now
    assert module["PUBLISHERS"] == tuple(
        (one.public_key, tuple(prefix.encode() for prefix in one.prefixes), one.name == "test-revoked")
        for one in publishers
    )


# ---- what is right ---------------------------------------------------------------------------------------------------


def test_app_is_what_its_file_says(contract: Contract, tmp_path: Path) -> None:
    rows = 'entry = "start"\nheap = "8 KiB"\n[capabilities]\n"rng.entropy" = "draws"\n"route" = "to reach rngd"\n'
    app = load_app(folder_of(tmp_path / "a", HEAD + rows, start=""), ROOT, contract)
    asked = (
        Request(contract.number("action.route"), "to reach rngd"),
        Request(contract.number("action.rng_entropy"), "draws"),
    )
    assert (app.id, app.version, app.entry, app.heap_pages) == ("dev.x", Version(1, 2, 3), "start", 2)
    assert (app.requests, app.publisher.name) == (asked, "dev")


def test_app_that_says_little_gets_the_defaults(contract: Contract, tmp_path: Path) -> None:
    app = load_app(folder_of(tmp_path / "a"), ROOT, contract)
    assert (app.entry, app.heap_pages, app.requests) == ("main", 16, ())


def test_bundle_is_signed_by_its_publisher_and_holds_what_it_needs(contract: Contract, tmp_path: Path) -> None:
    main = "import nexus\nimport helper\nimport struct\n"
    folder = folder_of(tmp_path / "a", main=main, helper="ONE = 1\n", unused="x = 1\n")
    data = built(folder, contract)
    found = verify_trusted(FORM, data, trust.load_trust(["dev"], ROOT, contract))
    assert (found.manifest.id, found.manifest.version) == ("dev.x", Version(1, 2, 3))
    assert files_of(data) == ["calls.mpy", "client.mpy", "helper.mpy", "main.mpy", "nexus.mpy", "route.mpy", "wire.mpy"]


def test_same_source_gives_the_same_bytes_wherever_it_lies(contract: Contract, tmp_path: Path) -> None:
    text = "import nexus\nimport contract\nprint(contract.E_OK, nexus.time())\n"
    first = built(folder_of(tmp_path / "one", main=text), contract)
    assert built(folder_of(tmp_path / "two", main=text), contract) == first
    assert str(tmp_path).encode() not in first


def test_constants_are_written_into_the_code(contract: Contract, tmp_path: Path) -> None:
    """As in services: none of these needs a module of its own in the bundle."""
    text = "import caps\nimport contract\nprint(caps.INIT, caps.CONSOLE, caps.NOTIFICATION, contract.E_OK)\n"
    numbers = [contract.number("handle.boot") + slot for slot in (2, 0, 1)]
    same = f"pass\npass\nprint({', '.join(map(str, [*numbers, 0]))})\n"
    data = built(folder_of(tmp_path / "a", main=text), contract)
    assert data == built(folder_of(tmp_path / "b", main=same), contract)
    assert files_of(data) == ["main.mpy"]


def test_names_that_can_not_be_written_in_come_as_modules(contract: Contract, tmp_path: Path) -> None:
    text = "from caps import INIT\nfrom contract import E_OK\nprint(INIT, E_OK)\n"
    assert files_of(built(folder_of(tmp_path / "a", main=text), contract)) == ["caps.mpy", "contract.mpy", "main.mpy"]


def test_entry_is_the_module_that_the_manifest_names(contract: Contract, tmp_path: Path) -> None:
    data = built(folder_of(tmp_path / "a", HEAD + 'entry = "start"\n', start="", main=""), contract)
    assert files_of(data) == ["start.mpy"]


def test_folders_of_an_app_are_packages(contract: Contract, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", main="import tools.paint\n")
    (folder / "tools").mkdir()
    (folder / "tools/paint.py").write_text("", encoding="utf-8")
    assert files_of(built(folder, contract)) == ["main.mpy", "tools/paint.mpy"]


def test_module_of_the_app_comes_before_one_of_the_library(contract: Contract, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", main="import client\n", client="")
    assert files_of(built(folder, contract)) == ["client.mpy", "main.mpy"]


def test_single_file_is_an_app_without_capabilities(contract: Contract, tmp_path: Path) -> None:
    file = tmp_path / "my_first.py"
    file.write_text("import nexus\nprint(nexus.time())\n", encoding="utf-8")
    found = verify_trusted(FORM, built(file, contract), trust.load_trust(["dev"], ROOT, contract)).manifest
    assert (found.id, str(found.version), found.entry, found.requests) == ("dev.my-first", "0.0.0", "main", ())


def test_single_file_does_not_reach_what_lies_beside_it(contract: Contract, tmp_path: Path) -> None:
    """In whatever folder somebody tries something out."""
    (tmp_path / "client.py").write_text("raise SystemExit\n", encoding="utf-8")
    (tmp_path / "beside.py").write_text("", encoding="utf-8")
    file = tmp_path / "x.py"
    file.write_text("import client\n", encoding="utf-8")
    assert len(built(file, contract)) > 500  # that of the library
    file.write_text("import beside\n", encoding="utf-8")
    with pytest.raises(BuildError, match="import beside: found no such module"):
        built(file, contract)


def test_bundle_file_is_taken_as_it_is(contract: Contract, tmp_path: Path) -> None:
    file = tmp_path / "x.nxb"
    file.write_bytes(b"whatever")
    assert built(file, contract) == b"whatever"


@pytest.mark.parametrize("name", ["hello", "entropy", "signer"])
def test_sample_app_is_a_right_bundle(name: str, contract: Contract) -> None:
    data = built(ROOT / "guest/apps" / name, contract)
    found = verify_trusted(FORM, data, trust.load_trust(["dev"], ROOT, contract)).manifest
    assert found.id == f"dev.{name}"


# ---- what can't be built ---------------------------------------------------------------------------------------------

CODE = {
    "module of the system": ("import boot_grants\n", "import boot_grants: found no such module"),
    "driver": ("import virtqueue\n", "import virtqueue: found no such module"),
    "module that no runtime has": ("import socket\n", "import socket: found no such module"),
    "handle of a service": ("import caps\nprint(caps.ENDPOINT)\n", r"caps.ENDPOINT: found an unknown name"),
    "unknown number": ("import contract\nprint(contract.E_OKAY)\n", "contract.E_OKAY: found an unknown name"),
    "no Python": ("def\n", r"main.py:1: invalid syntax"),
    "too much": (f"x = {'y' * 60!r}\n" + f"print({bytes(300_000)!r})\n", "bytes of compiled modules, expected at most"),
}


@pytest.mark.parametrize("name", CODE)
def test_code_that_no_app_can_run_is_refused(name: str, contract: Contract, tmp_path: Path) -> None:
    text, said = CODE[name]
    with pytest.raises(BuildError, match=said):
        built(folder_of(tmp_path / "a", main=text), contract)


def test_module_whose_name_is_not_ascii_is_refused(contract: Contract, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", main="import größe\n", größe="")
    with pytest.raises(BuildError, match="found a module whose name is not ASCII"):
        built(folder, contract)


def test_secret_key_is_asked_for(contract: Contract, tmp_path: Path) -> None:
    """An app of a publisher whose seed nobody else knows is never signed with another one's."""
    copy = tmp_path / "clone"
    shutil.copytree(ROOT / "recipes", copy / "recipes")
    row = 'public_key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"\nprefixes = ["acme."]\n'
    (copy / "recipes/trust/acme.toml").write_text(row, encoding="utf-8")
    folder = folder_of(tmp_path / "a", HEAD.replace("dev", "acme"))
    with pytest.raises(UsageError, match="found publisher acme, whose key is a secret"):
        make.bundle_of(folder, copy, contract, lambda _: None)


@pytest.mark.parametrize("path", ["nothing", "file.txt", "empty", "Üpper.py", "UPPER.py", f"{'x' * 29}.py"])
def test_what_is_no_app_is_refused(path: str, contract: Contract, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("file.txt", "Üpper.py", "UPPER.py", f"{'x' * 29}.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="found "):
        load_app(tmp_path / path, ROOT, contract)


# ---- looking into a ROMFS --------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,3}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=6))
def test_listing_is_what_was_packed(files: dict[str, bytes]) -> None:
    from nexus.image.romfs import pack

    files = {name: data for name, data in files.items() if not _is_folder_too(name, list(files))}
    found = list_files(pack(files))
    assert found.problem is None
    assert {entry.path.decode(): entry.size for entry in found.files} == {
        name: len(data) for name, data in files.items()
    }


def _is_folder_too(name: str, names: Sequence[str]) -> bool:
    return any(other.startswith(f"{name}/") for other in names)


@given(st.binary(max_size=300), st.booleans())
def test_listing_of_any_bytes_ends(data: bytes, begins: bool) -> None:
    found = list_files(b"\xd2\xcd\x31" + data if begins else data)
    assert found.problem is None or found.problem


def test_listing_of_folders_without_end_says_so() -> None:
    inner = b""
    for _ in range(20):
        inner = bytes([4, len(inner) + 1, 0]) + inner
    assert "deep" in str(list_files(b"\xd2\xcd\x31" + bytes([len(inner)]) + inner).problem)
