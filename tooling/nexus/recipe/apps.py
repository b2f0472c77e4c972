"""The rules of a recipe about what spawned apps may reach from their start on, who makes them, and whose bundles the image holds.

Called by check.py. Looks whether files are there and opens none: what a bundle is worth is judged when the image is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nexus import layout
from nexus.recipe.fields import Problems, ProcessRow, TopRow
from nexus.recipe.model import RUNTIMES
from nexus.recipe.raw import did_you_mean

SPAWN = "spawn"
APP_FILE = "app.toml"
BUNDLE_SUFFIX = ".nxb"


def check(top: TopRow, rows: Sequence[ProcessRow], root: Path, problems: Problems) -> None:
    """Every rule that needs no other process than the row's own, but for the one about spawning."""
    if top.app is None:
        if top.app_routes:
            problems.at(top.table, "app_routes", repr(list(top.app_routes)), "`app` beside it: what spawned apps run")
    elif top.app not in RUNTIMES and not (root / top.app).is_dir():
        problems.at(top.table, "app", repr(top.app), "service, shell or a folder of the clone")
    _spawners(top, rows, problems)
    _trust(top, root, problems)
    for row in rows:
        _bundles(row, root, problems)


def _spawners(top: TopRow, rows: Sequence[ProcessRow], problems: Problems) -> None:
    """Where policy is, one process alone turns bundles into apps; only who spawns has something to give to them."""
    spawners = [row for row in rows if SPAWN in row.capabilities]
    if any(row.policy for row in rows):
        for row in spawners[1:]:
            found = f"{SPAWN!r}, which [{spawners[0].table.title}] has"
            problems.at(row.table, "capabilities", found, "one process with it in a system that has a policy")
    for row in rows:
        if row.app_calls and row not in spawners:
            problems.at(row.table, "app_calls", f"no capability {SPAWN!r} in this row", "a process that spawns apps")
        elif row.app_calls and top.app is None:
            problems.at(row.table, "app_calls", repr(row.app_calls), "`app` on top: what spawned apps run")


def _trust(top: TopRow, root: Path, problems: Problems) -> None:
    known = {path.stem for path in layout.trust_dir(root).glob("*.toml")}
    for name in top.trust:
        if name not in known:
            expected = f"the name of a file in recipes/trust{did_you_mean(name, known)}"
            problems.at(top.table, "trust", repr(name), expected)


def bundle_name(path: str) -> str:
    """What the guest calls a bundle: the last name of its path."""
    return Path(path).stem if path.endswith(BUNDLE_SUFFIX) else Path(path).name


def _bundles(row: ProcessRow, root: Path, problems: Problems) -> None:
    """Each is there and has a name of its own; a native program has no ROMFS to hold one."""
    names: dict[str, str] = {}
    for key, paths in (("bundles", row.bundles), ("specimens", row.specimens)):
        if paths and row.service is None:
            problems.at(row.table, key, "a native program", "a service, whose files can hold bundles")
        for bundle in paths:
            path = root / bundle
            if not (path.is_file() if bundle.endswith(BUNDLE_SUFFIX) else (path / APP_FILE).is_file()):
                problems.at(row.table, key, repr(bundle), f"a folder with {APP_FILE} or a {BUNDLE_SUFFIX} file")
            other = names.setdefault(bundle_name(bundle), bundle)
            if other != bundle or (key == "specimens" and bundle in row.bundles):
                problems.at(row.table, key, repr(bundle), f"another last name than that of {other!r}")
