"""Fetch one source archive through the package clients that the user already has: apt-get and pip.

Called by sources.py, which verifies what comes. Names no host: mirror and index are those of the user's configuration,
which is only read. Never needs root, never touches apt's own state.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from nexus.errors import SetupError

FETCH_SECONDS = 300
SHOWN_LINES = 15
TARGET_FORMAT = "$(RELEASE)|$(ORIGIN)|$(REPO_URI)"  # origin: empty before the first apt-get update
KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)


def debian_archive(package: str, version: str, suite: str, file: str, folder: Path, hint: str) -> Path:
    """Download the upstream archive of a Debian source package, with package lists of its own inside `folder`."""
    if shutil.which("apt-get") is None:
        raise SetupError(f"fetching {package} needs apt-get, which this system does not have", hint)
    said = _run(["apt-get", "indextargets", "--format", TARGET_FORMAT, "Created-By: Packages"], folder)
    mirrors = choose_mirrors([line.split("|") for line in said.splitlines()])
    if not mirrors:
        raise SetupError(f"fetching {package}: apt knows of no Debian mirror; it said:\n{_tail(said)}", hint)
    for number, mirror in enumerate(mirrors):
        said = _from_mirror(mirror, package, version, suite, folder / f"apt-{number}")
        found = folder / f"apt-{number}" / file
        if found.is_file():
            return found
    raise SetupError(f"apt could not fetch {package} {version} of {suite}:\n{_tail(said)}", hint)


def _from_mirror(mirror: str, package: str, version: str, suite: str, folder: Path) -> str:
    options = _private_apt(mirror, suite, folder)
    said = _run(["apt-get", "-q", *options, "update"], folder)
    return said + _run(
        ["apt-get", "-q", *options, "source", "--download-only", "--tar-only", f"{package}={version}"], folder
    )


def choose_mirrors(rows: list[list[str]]) -> list[str]:
    """Of releases, not pockets like bookworm-security; what apt knows to be Debian's before what it has not read yet."""
    usable = [
        (row[1], row[2]) for row in rows if len(row) == 3 and row[1] in ("Debian", "") and not set("-/") & set(row[0])
    ]
    return list(dict.fromkeys(uri for _, uri in sorted(usable, key=lambda row: row[0] == "")))


def _private_apt(mirror: str, suite: str, folder: Path) -> list[str]:
    """Lay out lists, cache and the one source entry in `folder`; return the options that make apt use only those."""
    for name in ("state/lists/partial", "cache/archives/partial", "sources"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    keyring = next((path for path in KEYRINGS if path.is_file()), None)
    signed_by = f"Signed-By: {keyring}\n" if keyring else ""
    entry = f"Types: deb-src\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n{signed_by}"
    (folder / "sources" / "nexus.sources").write_text(entry, encoding="utf-8")
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": folder / "sources",
        "Acquire::Languages": "none",
        "APT::Default-Release": "",  # a release that these lists don't know would be an error
        "APT::Sandbox::User": "",  # apt's own user could not write here; what comes is checked by hash
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def python_sdist(package: str, version: str, sha256: str, file: str, folder: Path, hint: str) -> Path:
    """Download a source distribution. pip runs its metadata code, so pip itself is given the hash to check before that."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{package}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
    # Without isolation the metadata code meets the set-up's own locked packages instead of newly fetched ones.
    argv = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package,
        "--no-build-isolation", "--dest", str(folder), "--requirement", str(requirement),
    ]  # fmt: skip
    said = _run(argv, folder)
    found = folder / file
    if not found.is_file():
        raise SetupError(f"pip could not fetch {package} {version}:\n{_tail(said)}", hint)
    return found


def _run(argv: list[str], folder: Path) -> str:
    """Run to the end and return what it said; whether the file arrived is what counts, not the exit code."""
    environ = os.environ | {"LC_ALL": "C.UTF-8", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            argv, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=FETCH_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        return f"{argv[0]}: {error}\n"
    except subprocess.TimeoutExpired:
        return f"{argv[0]}: no end after {FETCH_SECONDS} s\n"
    return done.stdout


def _tail(said: str) -> str:
    return "\n".join(said.splitlines()[-SHOWN_LINES:])
