"""Third-party sources (tooling/nexus/image/sources.py, fetch.py): pinned, verified, cached, and never taken on trust.

Scenario: a small archive and a lock that pins it, in a cache of the test's own; the network is a function that may fail.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nexus.errors import BuildError, SetupError
from nexus.image import fetch, sources
from nexus.image.sources import Source, file_set_digest, is_used, load_lock, obtain

ROOT = Path(__file__).resolve().parents[2]
USED = {"LICENSE": b"free\n", "src/a.c": b"int a;\n", "src/a.h": b"extern int a;\n"}
UNUSED = {"src/b.py": b"print()\n", "src/deep/c.c": b"int c;\n", "README": b"hello\n"}
PATTERNS = ("LICENSE", "src/*.[ch]")


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"thing-1/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return pack(tmp_path / "thing.tar.gz", USED | UNUSED)


@pytest.fixture
def source(archive: Path) -> Source:
    return Source(
        name="thing",
        version="1",
        kind="sdist",
        package="Thing",
        package_version="1",
        suite="",
        file=archive.name,
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        licence="MIT",
        use="image",
        inside="thing-1",
        files=PATTERNS,
        files_sha256=file_set_digest(USED.items()),
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, archive: Path) -> list[str]:
    """What was asked of it; it answers with the archive."""
    asked: list[str] = []

    def sdist(*arguments: str | Path) -> Path:
        package, version, _sha256, file, folder, _hint = arguments
        asked.append(f"{package} {version}")
        (Path(folder) / file).write_bytes(archive.read_bytes())
        return Path(folder) / file

    monkeypatch.setattr(fetch, "python_sdist", sdist)
    return asked


def quiet(text: str) -> None:
    del text


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_the_used_files_are_unpacked(source: Source, environ: dict[str, str], network: list[str]) -> None:
    assert files_below(obtain(source, environ, quiet)) == USED
    assert network == ["Thing 1"]


def test_a_full_cache_needs_no_network(source: Source, environ: dict[str, str], network: list[str]) -> None:
    first = obtain(source, environ, quiet)
    assert obtain(source, environ, quiet) == first
    assert network == ["Thing 1"]


def test_a_lost_tree_is_unpacked_from_the_kept_archive(
    source: Source, environ: dict[str, str], network: list[str]
) -> None:
    tree = obtain(source, environ, quiet)
    for path in sorted(tree.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    tree.rmdir()
    assert files_below(obtain(source, environ, quiet)) == USED
    assert network == ["Thing 1"]


@pytest.mark.parametrize("damage", ["change", "add", "remove"])
def test_a_damaged_tree_is_never_used(source: Source, environ: dict[str, str], network: list[str], damage: str) -> None:
    tree = obtain(source, environ, quiet)
    if damage == "remove":
        (tree / "src/a.h").unlink()
    else:
        (tree / ("src/a.c" if damage == "change" else "src/evil.c")).write_bytes(b"int evil;\n")
    said: list[str] = []
    assert files_below(obtain(source, environ, said.append)) == USED
    assert "have changed" in said[0]
    assert network == ["Thing 1"]


@pytest.mark.usefixtures("network")
def test_a_wrong_archive_is_refused_with_both_hashes(source: Source, environ: dict[str, str], tmp_path: Path) -> None:
    pinned = load_lock(ROOT / "tests/recipes/bad/source_wrong_hash.lock")["thing"]
    with pytest.raises(BuildError) as caught:
        obtain(pinned, environ, quiet)
    assert pinned.sha256 in caught.value.message
    assert source.sha256 in caught.value.message
    assert files_below(tmp_path / "cache") == {}


@pytest.mark.usefixtures("network")
def test_wrong_files_are_refused_with_both_hashes(source: Source, environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        obtain(replace(source, files_sha256="f" * 64), environ, quiet)
    assert "f" * 64 in caught.value.message
    assert source.files_sha256 in caught.value.message
    assert not list((tmp_path / "cache").glob("nexus/trees/*"))


@pytest.mark.parametrize("form", ["checkout", "archive"])
def test_the_environment_names_another_origin(
    source: Source, environ: dict[str, str], network: list[str], tmp_path: Path, archive: Path, form: str
) -> None:
    checkout = tmp_path / "checkout"
    for name, content in (USED | UNUSED).items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes(content)
    environ["NEXUS_SOURCE_THING"] = str(checkout if form == "checkout" else archive)
    assert files_below(obtain(source, environ, quiet)) == USED
    assert network == []


def test_a_changed_checkout_is_refused(source: Source, environ: dict[str, str], tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "src").mkdir(parents=True)
    for name, content in USED.items():
        (checkout / name).write_bytes(content + b"// mine\n")
    environ["NEXUS_SOURCE_THING"] = str(checkout)
    with pytest.raises(BuildError, match=source.files_sha256):
        obtain(source, environ, quiet)


def test_a_missing_checkout_is_named(source: Source, environ: dict[str, str], tmp_path: Path) -> None:
    environ["NEXUS_SOURCE_THING"] = str(tmp_path / "nowhere")
    with pytest.raises(SetupError, match=r"NEXUS_SOURCE_THING.*nowhere"):
        obtain(source, environ, quiet)


def test_an_archive_can_write_nowhere_else(source: Source, environ: dict[str, str], tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.tar.gz"
    with tarfile.open(hostile, "w:gz") as tar:
        for name, content in USED.items():
            member = tarfile.TarInfo(f"thing-1/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name in ("thing-1/../../escaped.c", "thing-1/src/../../../escaped.c", "/escaped.c"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
        link = tarfile.TarInfo("thing-1/src/link.c")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    environ["NEXUS_SOURCE_THING"] = str(hostile)
    assert files_below(obtain(source, environ, quiet)) == USED
    assert not list(tmp_path.rglob("escaped.c"))


def test_what_is_no_archive_is_refused(source: Source, environ: dict[str, str], tmp_path: Path) -> None:
    junk = tmp_path / "junk.tar.gz"
    junk.write_bytes(b"not gzip")
    environ["NEXUS_SOURCE_THING"] = str(junk)
    with pytest.raises(BuildError, match="not a readable archive"):
        obtain(source, environ, quiet)


@pytest.mark.usefixtures("network")
def test_an_interrupted_unpacking_leaves_nothing_that_counts(
    source: Source, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sources, "_move_into_place", interrupted)
        with pytest.raises(KeyboardInterrupt):
            obtain(source, environ, quiet)
    assert files_below(obtain(source, environ, quiet)) == USED


@pytest.mark.usefixtures("network")
def test_a_faster_twin_is_no_error(source: Source, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    move = sources._move_into_place

    def late(staged: Path, tree: Path) -> None:
        tree.mkdir()
        for name, content in USED.items():
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).write_bytes(content)
        move(staged, tree)

    monkeypatch.setattr(sources, "_move_into_place", late)
    assert files_below(obtain(source, environ, quiet)) == USED


def test_digest_depends_on_names_and_contents_but_not_on_order() -> None:
    pairs = list(USED.items())
    digest = file_set_digest(pairs)
    assert file_set_digest(reversed(pairs)) == digest
    assert file_set_digest(pairs[:-1]) != digest
    assert file_set_digest([("LICENCE", b"free\n"), *pairs[1:]]) != digest
    assert file_set_digest([("LICENSE", b"FREE\n"), *pairs[1:]]) != digest


@pytest.mark.parametrize(
    ("pattern", "name", "used"),
    [
        ("py/*", "py/vm.c", True),
        ("py/*", "py/deep/vm.c", False),
        ("py/*.c", "py/vm.h", False),
        ("LICENSE", "lib/LICENSE", False),
        ("lib/*/LICENSE", "lib/re/LICENSE", True),
    ],
)
def test_a_pattern_stays_in_its_folder(pattern: str, name: str, used: bool) -> None:
    assert is_used([pattern], name) is used


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[thing]\nversion = '1'\n", r"\[thing\] has missing or unknown keys"),
        ("[thing\n", "lock"),
    ],
)
def test_a_broken_lock_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "lock").write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match=message):
        load_lock(tmp_path / "lock")


def test_the_lock_pins_what_the_design_names() -> None:
    lock = load_lock(ROOT / "sources.lock")
    assert lock["micropython"].sha256 == "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
    assert lock["sodium"].sha256 == "018494d6d696ae03c7e656e5e74cdfd8ea1326962cc401bcf018f1ed8436811c"


def test_tests_of_a_project_are_of_the_archive_that_is_compiled() -> None:
    lock = load_lock(ROOT / "sources.lock")
    tests, compiled = lock["micropython-tests"], lock["micropython"]
    assert (tests.file, tests.sha256, tests.use) == (compiled.file, compiled.sha256, "tests")
    assert sources.override_name(tests) == sources.override_name(compiled) == "NEXUS_SOURCE_MICROPYTHON"
    assert sources.kept_tree(tests, {}) != sources.kept_tree(compiled, {})


def test_build_fetches_nothing_that_only_tests_use(
    tmp_path: Path, source: Source, environ: dict[str, str], network: list[str]
) -> None:
    tables = [source, replace(source, name="thing-tests", use="tests", files_sha256="0" * 64)]
    rows = [
        f"[{one.name}]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in asdict(one).items() if key != "name")
        for one in tables
    ]
    (tmp_path / "sources.lock").write_text("\n".join(rows), encoding="utf-8")
    assert list(sources.obtain_all(tmp_path, print, environ)) == ["thing"]
    assert len(network) == 1


def test_mirrors_are_the_users_and_debian_first() -> None:
    rows = [
        ["bookworm-security", "Debian", "http://m/security/"],
        ["bookworm", "", "http://unread/debian/"],
        ["bookworm", "Debian", "http://m/debian/"],
        ["bookworm", "Debian", "http://m/debian/"],
        ["stable", "Somebody", "http://other/"],
    ]
    assert fetch.choose_mirrors(rows) == ["http://m/debian/", "http://unread/debian/"]


def stub(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


APT = """
case "$*" in
*indextargets*) echo 'bookworm|Debian|http://mirror/debian/' ;;
*' update') echo "$*" >>"$SEEN" ;;
*' source '*) echo "$*" >>"$SEEN"; echo archive >thing_1.orig.tar.xz ;;
esac
"""


def fetch_debian(folder: Path) -> Path:
    return fetch.debian_archive("thing", "1-1", "trixie", "thing_1.orig.tar.xz", folder, "the hint")


def test_apt_uses_lists_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(tmp_path / "bin", "apt-get", APT)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    (tmp_path / "work").mkdir()
    assert fetch_debian(tmp_path / "work").read_text(encoding="utf-8") == "archive\n"
    calls = (tmp_path / "seen").read_text(encoding="utf-8").splitlines()
    assert len(calls) == 2
    for option in ("Dir::State=", "Dir::Cache=", "Dir::Etc::sourceparts="):
        assert all(f"{option}{tmp_path / 'work'}" in call for call in calls)
    assert all("Dir::Etc::sourcelist=/dev/null" in call for call in calls)
    entry = next((tmp_path / "work").rglob("*.sources")).read_text(encoding="utf-8")
    assert "URIs: http://mirror/debian/\nSuites: trixie\n" in entry


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo E: lists are locked; exit 1", "no Debian mirror; it said:\nE: lists are locked"),
        (APT.replace("archive >thing", "archive >other"), "could not fetch thing 1-1 of trixie"),
    ],
)
def test_what_apt_can_not_do_is_said_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    stub(tmp_path / "bin", "apt-get", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    with pytest.raises(SetupError, match=message) as caught:
        fetch_debian(tmp_path)
    assert caught.value.hint == "the hint"


def test_a_system_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="needs apt-get"):
        fetch_debian(tmp_path)


def test_pip_is_given_the_hash_before_it_runs_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(argv)
        return subprocess.CompletedProcess(argv, 1, "THESE PACKAGES DO NOT MATCH THE HASHES")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SetupError, match="DO NOT MATCH"):
        fetch.python_sdist("Thing", "1", "a" * 64, "thing-1.tar.gz", tmp_path, "the hint")
    assert seen[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert (tmp_path / "requirement.txt").read_text(encoding="utf-8") == f"Thing==1 --hash=sha256:{'a' * 64}\n"
