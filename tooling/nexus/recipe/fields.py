"""The keys of each recipe table: how a value is read, what is expected of it, what it is when left out.

Called by check.py; collects every problem instead of stopping at the first. Knows one value at a time, never two rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nexus.errors import RecipeError
from nexus.recipe.model import PAGE
from nexus.recipe.raw import RawTable, Where, did_you_mean

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TIMES = {"us": 1, "ms": 1_000, "s": 1_000_000}
FLAGS = ("root", "critical", "console_reserved", "quiet_fault")
CAPABILITIES = ("console", "notification", "system", "spawn")
REQUIRED = object()


class Problems:
    """Everything wrong with a recipe, in the order of the rules, told at once."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, where: Where, title: str, key: str, found: str, expected: str) -> None:
        table = f"[{title}] " if title else ""
        self.messages.append(f"{where}: {table}{key}: found {found}, expected {expected}")

    def at(self, table: RawTable, key: str, found: str, expected: str) -> None:
        self.add(table.at(key), table.title, key, found, expected)

    def raise_if_any(self) -> None:
        if self.messages:
            raise RecipeError("\n".join(self.messages))


@dataclass(frozen=True)
class Field:
    parse: Callable[[Any], Any]  # raises ValueError
    expected: str
    default: Any


def read_table(table: RawTable, fields: dict[str, Field], problems: Problems) -> dict[str, Any]:
    """The table's values, defaults filled in; unknown keys, missing keys and bad values become problems."""
    for key in table.entries.keys() - fields.keys():
        expected = f"one of {', '.join(fields)}{did_you_mean(key, fields)}"
        problems.at(table, key, "an unknown key", expected)
    values: dict[str, Any] = {}
    for key, field in fields.items():
        values[key] = field.default
        if key in table.entries:
            value = table.entries[key].value
            try:
                values[key] = field.parse(value)
            except ValueError:
                problems.at(table, key, repr(value), field.expected)
        elif field.default is REQUIRED:
            problems.at(table, key, "nothing", field.expected)
    return values


def _text(pattern: str) -> Callable[[Any], str]:
    compiled = re.compile(pattern)

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError
        return value

    return parse


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError
        return value

    return parse


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _choice(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return parse


def _list(parse: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def parse_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError
        items = tuple(parse(item) for item in value)
        if len(set(items)) != len(items) and parse is not size:
            raise ValueError
        return items

    return parse_all


def size(value: Any) -> int:
    """Bytes of "64 KiB": whole pages."""
    match = re.fullmatch(r"(\d+) (KiB|MiB|GiB)", value) if isinstance(value, str) else None
    if match is None or int(match[1]) * UNITS[match[2]] % PAGE:
        raise ValueError
    return int(match[1]) * UNITS[match[2]]


def duration(value: Any) -> int:
    """Microseconds of "50 ms"."""
    match = re.fullmatch(r"(\d+) (us|ms|s)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    return int(match[1]) * TIMES[match[2]]


NAME = _text(r"[a-z][a-z0-9-]{0,23}")
FOLDER = _text(r"(?=.{1,255}$)[a-z][a-z0-9_-]*(/[a-z][a-z0-9_-]*)*")
SERVER = _text(r"[a-z0-9-]+(:[a-z0-9_]+)?")
PATH = _text(r"(?=.{1,255}$)/?[A-Za-z0-9._ +-]+(/[A-Za-z0-9._ +-]+)*")
NAME_EXPECTED = "a name of at most 24 of a-z, 0-9 and -"
SIZE_EXPECTED = 'a size in whole pages such as "64 KiB" or "2 MiB"'
BUNDLES_EXPECTED = 'a list of folders with an app or of .nxb files, such as ["guest/apps/hello"]'
NAMES_EXPECTED = "a list of different names"
SERVERS_EXPECTED = 'a list such as ["logd:append", "rngd"]'


def _choices_expected(choices: Iterable[str]) -> str:
    return f"a list of {', '.join(choices)}, each at most once"


TOP_FIELDS = {
    "base": Field(_text(r"[a-z0-9-]+"), "the name of a recipe", None),
    "memory": Field(size, SIZE_EXPECTED, REQUIRED),
    "flags": Field(_list(_choice("counters")), _choices_expected(["counters"]), ()),
    "gates": Field(_list(_text(r"[a-z_]+")), 'a list of different gates such as ["debug_image"]', ()),
    "app": Field(FOLDER, 'what spawned apps run: "service", "shell" or a folder with a native program', None),
    "app_routes": Field(_list(SERVER), SERVERS_EXPECTED, ()),
    "trust": Field(_list(NAME), 'a list of different publishers such as ["dev"]', ()),
}
PROCESS_FIELDS = {
    "name": Field(NAME, NAME_EXPECTED, REQUIRED),
    "id_name": Field(NAME, NAME_EXPECTED, None),
    "label": Field(_text(r"[A-Za-z0-9:._-]{1,24}"), "at most 24 of letters, digits and :._-", None),
    "service": Field(FOLDER, "a folder under guest/", None),
    "modules": Field(_list(FOLDER), 'a list of files of guest/ without .py such as ["test/unittest"]', ()),
    "native": Field(FOLDER, "a folder with a native program", None),
    "runtime": Field(_choice("service", "shell"), '"service" or "shell"', "service"),
    "heap": Field(size, SIZE_EXPECTED, 0),
    "stack": Field(size, SIZE_EXPECTED, 16 << 10),
    "kept": Field(size, SIZE_EXPECTED, 0),
    "policy": Field(_boolean, "true or false", False),
    "request_budget": Field(duration, 'a time such as "50 ms"', 0),
    "restarts": Field(_integer(0, 100), "a number from 0 to 100", 0),
    "share": Field(_integer(0, 1000), "a number from 0 to 1000 (per mille of CPU)", 0),
    "flags": Field(_list(_choice(*FLAGS)), _choices_expected(FLAGS), ()),
    "endpoint": Field(_boolean, "true or false", False),
    "calls": Field(_list(SERVER), SERVERS_EXPECTED, ()),
    "routes": Field(_list(SERVER), SERVERS_EXPECTED, ()),
    "app_calls": Field(NAME, "the name of the process that each app may call from its start on", None),
    "devices": Field(_list(NAME), NAMES_EXPECTED, ()),
    "supervises": Field(_list(_text(r"\*|[a-z0-9-]+")), NAMES_EXPECTED + ', or ["*"]', ()),
    "capabilities": Field(_list(_choice(*CAPABILITIES)), _choices_expected(CAPABILITIES), ()),
    "regions": Field(_list(size), f"a list, each item {SIZE_EXPECTED}", ()),
    "bundles": Field(_list(PATH), BUNDLES_EXPECTED, ()),
    "specimens": Field(_list(PATH), BUNDLES_EXPECTED, ()),
}
DEVICE_FIELDS = {
    "virtio_id": Field(_integer(1, 63), "a virtio device id from 1 to 63", REQUIRED),
    "queues": Field(_integer(1, 8), "a number from 1 to 8", REQUIRED),
    "dma": Field(size, SIZE_EXPECTED, REQUIRED),
    "features": Field(_list(_integer(0, 63)), "a list of different feature bits from 0 to 63", ()),
    "qemu": Field(_text(r"[a-z0-9-]+(,[a-z0-9_.=-]+)*"), 'a QEMU device such as "virtio-rng-device"', REQUIRED),
}


@dataclass(frozen=True)
class TopRow:
    """The keys outside of all tables with their values read; fields as in TOP_FIELDS."""

    table: RawTable
    base: str | None
    memory: int
    flags: tuple[str, ...]
    gates: tuple[str, ...]
    app: str | None
    app_routes: tuple[str, ...]
    trust: tuple[str, ...]


def top_row(table: RawTable, problems: Problems) -> TopRow:
    return TopRow(table=table, **read_table(table, TOP_FIELDS, problems))


@dataclass(frozen=True)
class ProcessRow:
    """A [[process]] row with its values read; fields as in PROCESS_FIELDS."""

    table: RawTable
    index: int
    name: str
    id_name: str
    label: str
    service: str | None
    modules: tuple[str, ...]
    native: str | None
    runtime: str
    heap: int
    stack: int
    kept: int
    policy: bool
    request_budget: int
    restarts: int
    share: int
    flags: tuple[str, ...]
    endpoint: bool
    calls: tuple[str, ...]
    routes: tuple[str, ...]
    app_calls: str | None
    devices: tuple[str, ...]
    supervises: tuple[str, ...]
    capabilities: tuple[str, ...]
    regions: tuple[int, ...]
    bundles: tuple[str, ...]
    specimens: tuple[str, ...]


def process_row(table: RawTable, index: int, problems: Problems) -> ProcessRow:
    values = read_table(table, PROCESS_FIELDS, problems)
    for key in ("id_name", "label"):
        values[key] = values[key] or values["name"]
    return ProcessRow(table=table, index=index, **values)


@dataclass(frozen=True)
class DeviceRow:
    """A [devices.<name>] table with its values read; fields as in DEVICE_FIELDS."""

    table: RawTable
    name: str
    virtio_id: int
    queues: int
    dma: int
    features: tuple[int, ...]
    qemu: str


def device_row(table: RawTable, name: str, problems: Problems) -> DeviceRow:
    return DeviceRow(table=table, name=name, **read_table(table, DEVICE_FIELDS, problems))
