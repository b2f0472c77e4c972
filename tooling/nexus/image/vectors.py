"""Turns tests/vectors/*.json into C tables, so that native test programs and host tests check against the same data.

Run by firmware/native/Makefile (`python -m nexus.image.vectors OUT IN...`). In a file, `tables` maps a name to cases of one
shape: text under `name` and `reason`, numbers as they are, everything else hex.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nexus.contract.emit import write_if_changed
from nexus.errors import BuildError

TEXT = ("name", "reason")
BYTES_A_LINE = 16

Case = dict[str, Any]


def load_tables(path: Path) -> dict[str, list[Case]]:
    """The tables of one file, hex turned into bytes."""
    tables: dict[str, list[Case]] = json.loads(path.read_text(encoding="utf-8"))["tables"]
    return {name: [_decoded(path, case) for case in cases] for name, cases in tables.items()}


def _decoded(path: Path, case: Case) -> Case:
    try:
        return {
            key: value if key in TEXT or isinstance(value, int) else bytes.fromhex(value) for key, value in case.items()
        }
    except ValueError as error:
        raise BuildError(f"{path}: {case['name']}: found {error}, expected hex") from error


def c_header(tables: dict[str, list[Case]], origins: str) -> str:
    """struct <table>_case and the array <table>_cases of each table."""
    lines = [
        f"/* Generated from {origins}. Do not edit. */",
        "#pragma once",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
    ]
    lines += ["struct octets { const uint8_t *data; size_t count; };", ""]
    for table, cases in tables.items():
        lines += _c_table(table, cases)
    return "\n".join(lines) + "\n"


def _c_table(table: str, cases: list[Case]) -> list[str]:
    keys = list(cases[0])
    if any(list(case) != keys for case in cases):
        raise BuildError(f"{table}: found cases of different shape, expected {', '.join(keys)} in each")
    lines = [f"struct {table}_case {{ {' '.join(_c_field(key, cases[0][key]) for key in keys)} }};"]
    rows = []
    for number, case in enumerate(cases):
        for key, value in case.items():
            if isinstance(value, bytes):
                lines += _c_array(f"{table}_{number}_{key}", value)
        rows.append("    {" + ", ".join(_c_value(f"{table}_{number}_{key}", case[key]) for key in keys) + "},")
    return [*lines, f"static const struct {table}_case {table}_cases[] = {{", *rows, "};", ""]


def _c_field(key: str, value: object) -> str:
    if key in TEXT:
        return f"const char *{key};"
    return f"uint32_t {key};" if isinstance(value, int) else f"struct octets {key};"


def _c_value(array: str, value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    return str(value) if isinstance(value, int) else f"{{{array}, sizeof {array} - 1}}"


def _c_array(name: str, data: bytes) -> list[str]:
    """One byte more than the data, because C knows no empty array."""
    octets = [f"0x{byte:02x}," for byte in data + b"\0"]
    rows = (octets[at : at + BYTES_A_LINE] for at in range(0, len(octets), BYTES_A_LINE))
    return [f"static const uint8_t {name}[] = {{", *("    " + " ".join(row) for row in rows), "};"]


def main(out: Path, files: list[Path]) -> None:
    tables: dict[str, list[Case]] = {}
    for path in files:
        tables |= load_tables(path)
    write_if_changed(out, c_header(tables, ", ".join(f"tests/vectors/{path.name}" for path in files)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
