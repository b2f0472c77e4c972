"""Writes a new service that works from the first build on: guest module, recipe row, contract rows, marker, host test.

Called by `nexus new-service`. The text is guest/templates/service with its name put in; what has been written is checked
as every build does, and taken back if the check refuses it.
"""

from __future__ import annotations

import re
from pathlib import Path

from nexus import layout
from nexus.contract.load import load_contract
from nexus.errors import NexusError, UsageError
from nexus.recipe.check import KERNEL_LABEL, load_system
from nexus.recipe.raw import index_lines, load_raw

SAMPLE = "sample"
NAME = re.compile(r"[a-z][a-z0-9]{1,15}")
ANCHOR = "init_ready"  # the line of init comes after those of all that it waits for


def new_service(name: str, system: str, root: Path) -> list[Path]:
    """Write it into that system; the files that are new or have grown."""
    check_name(name, root)
    recipe = layout.systems_dir(root) / f"{system}.toml"
    if not recipe.is_file():
        raise UsageError(f"no system {system!r} in {layout.systems_dir(root).relative_to(root)}")
    written = plan(name, recipe, root)
    before = {path: path.read_bytes() if path.is_file() else None for path in written}
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        _check_systems(root)
    except NexusError:
        _take_back(before)
        raise
    return list(written)


def check_name(name: str, root: Path) -> None:
    """Refuse a name that can't be a module, a label and a table at once, or that something has already."""
    if not NAME.fullmatch(name):
        raise UsageError(f"service name {name!r}: found a bad name, expected 2 to 16 of a-z and 0-9, a letter first")
    contract = load_contract(layout.contract_dir(root))
    if contract.table(f"op.{name}"):
        raise UsageError(f"service name {name!r}: found [op.{name}] in recipes/contract, expected a name that is free")
    if name in _taken(root):
        raise UsageError(f"service name {name!r}: found a process of that name or label, expected a name that is free")
    for path in _new_files(name, root).values():
        if path.exists() or (path.name == "main.py" and path.parent.exists()):
            raise UsageError(f"service name {name!r}: found {path.relative_to(root)}, expected a name that is free")


def _taken(root: Path) -> set[str]:
    """Names, id names and labels of every system; the kernel's own."""
    folder = layout.systems_dir(root)
    rows = [row for path in folder.glob("*.toml") for row in load_raw(path, folder, root).processes.values()]
    keys = ("name", "id_name", "label")
    return {KERNEL_LABEL} | {str(row.entries[key].value) for row in rows for key in keys if key in row.entries}


def plan(name: str, recipe: Path, root: Path) -> dict[Path, str]:
    """Every file with the text that it will have."""
    texts = {path: _template(root, template, name) for template, path in _new_files(name, root).items()}
    contract = layout.contract_dir(root)
    for template, path in (("systems", recipe), ("wire", contract / "wire.toml"), ("limits", contract / "limits.toml")):
        texts[path] = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n" + _template(root, f"{template}.toml", name)
    markers = contract / "markers.toml"
    texts[markers] = _insert_marker(markers.read_text(encoding="utf-8"), _template(root, "markers.toml", name))
    return texts


def _new_files(name: str, root: Path) -> dict[str, Path]:
    """Template -> the file that it becomes."""
    return {
        "main.py": root / "guest" / "services" / name / "main.py",
        "host_test.py": root / "tests" / "guest" / f"test_{name}.py",
    }


def _template(root: Path, file: str, name: str) -> str:
    text = (root / "guest" / "templates" / "service" / file).read_text(encoding="utf-8")
    return text.replace(SAMPLE, name).replace(SAMPLE.upper(), name.upper())


def _insert_marker(text: str, rows: str) -> str:
    """Before the row of the line that init prints once everybody is ready."""
    lines = text.splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.strip() == f'name = "{ANCHOR}"')
    headers = (line for path, line in index_lines(text).items() if path[0] == "marker" and len(path) == 2)
    header = max(line for line in headers if line <= at + 1) - 1
    return "".join([*lines[:header], rows, "\n", *lines[header:]])


def _check_systems(root: Path) -> None:
    """Every system of the clone still satisfies every rule."""
    contract = load_contract(layout.contract_dir(root))
    for path in sorted(layout.systems_dir(root).glob("*.toml")):
        load_system(path.stem, root, contract)


def _take_back(before: dict[Path, bytes | None]) -> None:
    for path, content in before.items():
        if content is not None:
            path.write_bytes(content)
        elif path.is_file():
            path.unlink()
            if path.name == "main.py":
                path.parent.rmdir()
