"""Third-party sources as sources.lock pins them: find them, verify them, unpack the files that are really used.

Called by runtime.py before it compiles, and by doctor. Fetches only through the user's own clients (apt, pip). Never trusts
bytes by their origin: the archive is checked against its hash, and the set of used files against theirs before every use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from nexus.errors import BuildError, SetupError
from nexus.image import fetch

Progress = Callable[[str], None]

HASH_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Source:
    """One table of sources.lock."""

    name: str
    version: str
    kind: str  # deb-src or sdist
    package: str
    package_version: str
    suite: str  # of a deb-src; empty for an sdist
    file: str
    sha256: str
    licence: str
    use: str  # image: compiled into it; tests: fetched when they are run
    inside: str  # the folder of the archive that counts as its root
    files: tuple[str, ...]  # patterns of what is used; * stays within one folder
    files_sha256: str


def load_lock(path: Path) -> dict[str, Source]:
    """All sources of a lock file, by name."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BuildError(f"{path}: no such file") from error
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{path}: {error}") from error
    return {name: _source(path, name, table) for name, table in tables.items()}


def _source(path: Path, name: str, table: dict[str, object]) -> Source:
    values = dict(table) | {"name": name, "files": tuple(_strings(table.get("files")))}
    expected = set(Source.__dataclass_fields__)
    if values.keys() != expected:
        wrong = ", ".join(sorted(values.keys() ^ expected))
        raise BuildError(f"{path}: [{name}] has missing or unknown keys: {wrong}")
    return Source(**values)  # type: ignore[arg-type]  # keys checked above, values are used as text


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Where sources are kept by hash; shared by all clones of a user."""
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nexus"


def override_name(source: Source) -> str:
    """The environment variable that names a checkout or archive to take instead of fetching: one for `x` and `x-tests`."""
    return f"NEXUS_SOURCE_{source.name.partition('-')[0].upper()}"


def obtain(source: Source, environ: Mapping[str, str], progress: Progress) -> Path:
    """The folder that holds exactly the verified files of `source`; fetched and unpacked only if it is not there yet."""
    tree = kept_tree(source, environ)
    override = environ.get(override_name(source))
    if override:
        return _import(source, Path(override), tree)
    if tree.is_dir():
        if file_set_digest(_tree_files(source, tree)) == source.files_sha256:
            return tree
        progress(f"{source.name}: the cached files in {tree} have changed; unpacking them anew")
        shutil.rmtree(tree)
    return _import(source, archive(source, environ, progress), tree)


def archive(source: Source, environ: Mapping[str, str], progress: Progress) -> Path:
    """The verified archive, from the cache or fetched into it."""
    kept = cache_dir(environ) / "archives" / source.sha256 / source.file
    if kept.is_file() and _file_sha256(kept) == source.sha256:
        return kept
    progress(f"{source.name}: fetching {source.package} {source.package_version} ({source.kind})")
    _make_folder(kept.parent)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=kept.parent) as folder:
        fetched = _fetch(source, Path(folder))
        _check(source, fetched, _file_sha256(fetched), source.sha256)
        fetched.replace(kept)
    return kept


def _make_folder(folder: Path) -> None:
    """A folder of the cache, or what to do when HOME is somebody else's or the disk is read-only."""
    hint = "fetched sources are kept there; set XDG_CACHE_HOME to a folder of yours"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{folder}: can't be made: {error.strerror}", hint) from error
    if not os.access(folder, os.W_OK):
        raise SetupError(f"{folder}: can't be written", hint)


def _fetch(source: Source, folder: Path) -> Path:
    hint = f"set {override_name(source)} to a checkout of {source.name} {source.version} or to its archive"
    if source.kind == "deb-src":
        return fetch.debian_archive(source.package, source.package_version, source.suite, source.file, folder, hint)
    if source.kind == "sdist":
        return fetch.python_sdist(source.package, source.package_version, source.sha256, source.file, folder, hint)
    raise BuildError(f"sources.lock: [{source.name}] kind: {source.kind!r} is neither 'deb-src' nor 'sdist'")


def _import(source: Source, origin: Path, tree: Path) -> Path:
    """Copy the used files out of a checkout or archive, verify the copy, then move it into place in one step."""
    if not origin.exists():
        raise SetupError(f"{override_name(source)}: {origin} does not exist")
    files = dict(_tree_files(source, origin) if origin.is_dir() else _archive_files(source, origin))
    _check(source, origin, file_set_digest(files.items()), source.files_sha256)
    if tree.is_dir() and file_set_digest(_tree_files(source, tree)) == source.files_sha256:
        return tree
    _make_folder(tree.parent)
    with tempfile.TemporaryDirectory(prefix="unpack-", dir=tree.parent) as folder:
        staged = Path(folder) / "tree"
        for name, content in files.items():
            target = staged / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        _move_into_place(staged, tree)
    return tree


def _move_into_place(staged: Path, tree: Path) -> None:
    try:
        staged.rename(tree)
    except OSError:
        if not tree.is_dir():  # else another nexus was faster, with the same files
            raise


def _check(source: Source, origin: Path, seen: str, expected: str) -> None:
    if seen != expected:
        raise BuildError(
            f"sources.lock: [{source.name}]: {origin} has another SHA-256\n  expected {expected}\n  seen     {seen}",
            hint="these are not the files that this version of nexus was tested with; nothing was taken from there",
        )


def file_set_digest(files: Iterable[tuple[str, bytes]]) -> str:
    """One hash for a set of files: over a line `<sha256>  <path>` per file, by path, so that it does not depend on packing."""
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def kept_tree(source: Source, environ: Mapping[str, str]) -> Path:
    """Where the unpacked files are, once they are."""
    return cache_dir(environ) / "trees" / source.files_sha256


def tree_digest(source: Source, tree: Path) -> str:
    """What files_sha256 has to be for the used files of a folder."""
    return file_set_digest(_tree_files(source, tree))


def is_used(patterns: Iterable[str], name: str) -> bool:
    """Whether a path is matched; unlike a shell's, no pattern reaches into folders that it does not name."""
    parts = PurePosixPath(name).parts
    for pattern in patterns:
        wanted = PurePosixPath(pattern).parts
        if len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted)):
            return True
    return False


def _tree_files(source: Source, root: Path) -> list[tuple[str, bytes]]:
    found: dict[str, bytes] = {}
    for pattern in source.files:
        for path in root.glob(pattern):
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return sorted(found.items())


def _archive_files(source: Source, path: Path) -> list[tuple[str, bytes]]:
    """Read the used files; only regular members count, and names are only compared, so nothing can be written elsewhere."""
    found: list[tuple[str, bytes]] = []
    prefix = f"{source.inside}/"
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                content = tar.extractfile(member) if member.isreg() and name.startswith(prefix) else None
                if content and is_used(source.files, name.removeprefix(prefix)):
                    found.append((name.removeprefix(prefix), content.read()))
    except (tarfile.TarError, EOFError) as error:
        raise BuildError(f"{path}: not a readable archive: {error}") from error
    return found


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BYTES_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def obtain_all(root: Path, progress: Progress, environ: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Every source that images are compiled from, by name."""
    surroundings = os.environ if environ is None else environ
    lock = load_lock(root / "sources.lock")
    return {name: obtain(source, surroundings, progress) for name, source in lock.items() if source.use == "image"}
