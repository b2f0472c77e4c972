"""Reads what somebody says of an app: app.toml of its folder, or nothing at all for a single file. Called by make.py and `nexus bundle`.

All that is wrong with a file is told at once, each with its line. Compiles nothing, and never asks whether policy allows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus.bundle.model import ID, PAGE, U32, Form, Request, Version
from nexus.bundle.table import load_table, text_of
from nexus.bundle.trust import Publisher, known_publishers, load_publisher
from nexus.contract.load import Contract
from nexus.errors import UsageError
from nexus.recipe.fields import NAME, NAME_EXPECTED, REQUIRED, Field, Problems, read_table, size
from nexus.recipe.raw import RawTable, did_you_mean

FILE = "app.toml"
PUBLISHER = "dev"  # of a single file
ENTRY = "main"
HEAP = 64 << 10
VERSION = re.compile(r"(0|[1-9]\d{0,9})\.(0|[1-9]\d{0,9})\.(0|[1-9]\d{0,9})")


@dataclass(frozen=True)
class App:
    """An app before it is compiled."""

    source: Path  # of its first module
    folder: Path | None  # where it looks for modules of its own; a single file has none
    id: str
    version: Version
    publisher: Publisher
    entry: str
    heap_pages: int
    requests: tuple[Request, ...]


def load_app(path: Path, root: Path, contract: Contract) -> App:
    """The app of a folder with app.toml, or of one file of source."""
    if path.is_dir():
        return _folder(path, root, contract)
    if path.suffix == ".py" and path.is_file():
        return _single_file(path, root, contract)
    raise UsageError(f"{path}: found no app, expected a folder with {FILE}, a .py file or a .nxb file")


def _single_file(path: Path, root: Path, contract: Contract) -> App:
    """For trying something out: no version, no capabilities, signed by everybody's publisher."""
    publisher = load_publisher(PUBLISHER, root, contract)
    name = publisher.prefixes[0] + path.stem.replace("_", "-")
    if not ID.fullmatch(name) or len(name) > Form(contract).width("id"):
        most = Form(contract).width("id") - len(publisher.prefixes[0])
        raise UsageError(f"{path}: found a bad name, expected 1 to {most} of a-z, 0-9, - and _ before .py")
    return App(path, None, name, Version(0, 0, 0), publisher, ENTRY, HEAP // PAGE, ())


def _folder(folder: Path, root: Path, contract: Contract) -> App:
    file = folder / FILE
    if not file.is_file():
        raise UsageError(f"{folder}: found no {FILE}, expected one", "nexus new-app NAME writes an app to begin with")
    form, problems = Form(contract), Problems()
    tables = load_table(file, str(file), ("capabilities",))
    values = read_table(tables[""], _fields(form), problems)
    requests = _requests(tables["capabilities"], form, contract, problems)
    problems.raise_if_any()
    publisher = _publisher(tables[""], values, root, contract, problems)
    source = folder / f"{values['entry']}.py"
    if not source.is_file():
        problems.at(tables[""], "entry", repr(values["entry"]), f"the name of a module, here that of a file {source}")
    problems.raise_if_any()
    assert publisher is not None  # else there is a problem
    return App(
        source,
        folder,
        values["id"],
        values["version"],
        publisher,
        values["entry"],
        values["heap"] // PAGE,
        requests,
    )


def _fields(form: Form) -> dict[str, Field]:
    most = form.width("id")

    def heap(value: Any) -> int:
        found = size(value)
        if not 1 <= found // PAGE <= form.heap_max:
            raise ValueError
        return found

    heap_expected = f'a size in whole pages from 4 KiB to {form.heap_max * PAGE >> 10} KiB such as "64 KiB"'
    return {
        "id": Field(text_of(rf"[a-z0-9.-]{{1,{most}}}"), f"1 to {most} of a-z, 0-9, . and -", REQUIRED),
        "version": Field(_version, 'three numbers such as "1.0.0"', REQUIRED),
        "publisher": Field(NAME, NAME_EXPECTED, REQUIRED),
        "entry": Field(text_of(r"[a-z][a-z0-9_]{0,31}"), "1 to 32 of a-z, 0-9 and _, a letter first", ENTRY),
        "heap": Field(heap, heap_expected, HEAP),
        "capabilities": Field(str, "a table [capabilities]", None),  # read by itself; here to be among the known keys
    }


def _version(value: Any) -> Version:
    match = VERSION.fullmatch(value) if isinstance(value, str) else None
    if match is None or max(map(int, match.groups())) > U32:
        raise ValueError
    return Version(*map(int, match.groups()))


def _publisher(
    table: RawTable, values: dict[str, Any], root: Path, contract: Contract, problems: Problems
) -> Publisher | None:
    """Who has to sign it: one that exists, and to whom the id belongs."""
    known = known_publishers(root)
    if values["publisher"] not in known:
        expected = f"a file of recipes/trust: {', '.join(known) or 'none'}{did_you_mean(values['publisher'], known)}"
        problems.at(table, "publisher", repr(values["publisher"]), expected)
        return None
    publisher = load_publisher(values["publisher"], root, contract)
    if not publisher.owns(values["id"]):
        expected = f"one that begins with {' or '.join(publisher.prefixes)}, which are those of {publisher.name}"
        problems.at(table, "id", repr(values["id"]), expected)
    return publisher


def _requests(table: RawTable, form: Form, contract: Contract, problems: Problems) -> tuple[Request, ...]:
    """What the app asks for, in the order of the format."""
    names = contract.table("action_name")
    numbers = {name: contract.number(f"action.{key}") for key, name in names.items()}
    del numbers[contract.table("policy")["never_allowed"]]
    found = []
    for name, entry in table.entries.items():
        if name not in numbers:
            problems.at(table, name, *_no_action(name, entry.value, numbers))
        elif not isinstance(entry.value, str) or not form.is_reason(entry.value):
            expected = f"1 to {form.reason_max} printable characters that say why"
            problems.at(table, name, repr(entry.value), expected)
        else:
            found.append(Request(numbers[name], entry.value))
    route = names["route"]
    if found and route not in table.entries:
        name = next(iter(table.entries))
        expected = f'"{route}" = "why" as well: without a route no service is in reach'
        problems.at(table, name, f"no {route} beside it", expected)
    if len(found) > form.requests_max:
        problems.add(table.where, "", table.title, f"{len(found)} actions", f"at most {form.requests_max}")
    return tuple(sorted(found, key=lambda request: request.action))


def _no_action(name: str, value: Any, known: Collection[str]) -> tuple[str, str]:
    """What is found and expected of a key that is not in `known`."""
    if isinstance(value, dict):
        return "a table", 'an action in quotes, such as "rng.entropy" = "why"'
    return "an unknown action", f"one of {', '.join(known)}{did_you_mean(name, known)}"
