"""Reads the image table back out of a linked image, by the types that the compiler itself recorded (DWARF).

Called by inspect.py, so that what is compared with the manifest is what the kernel will read, not what the builder wrote.
Knows no layout of its own: every offset comes from the ELF.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

from nexus.errors import BuildError
from nexus.image.kernel import Linked, read_image

UNIT = "image_table.c"
POINTER_BYTES = 8
Value = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Plain values of `struct image` and all that it points to."""

    image: Value
    processes: list[Value]  # each with "caps" and "program" resolved
    endpoints: list[Value]
    devices: list[Value]
    regions: list[Value]
    access: dict[str, int]  # bits of a segment's access: "r", "w", "x"


def read_table(path: Path) -> tuple[Linked, Table]:
    """The image's areas and symbols, and its table."""
    linked = read_image(path)
    with path.open("rb") as file:
        dwarf = ELFFile(file).get_dwarf_info()
        unit = next((unit for unit in dwarf.iter_CUs() if _name(unit.get_top_DIE()).endswith(UNIT)), None)
        if unit is None or "image" not in linked.symbols:
            raise BuildError(f"{path}: found no image table with its types, expected an image that nexus built")
        reader = _Reader(linked, unit)
        return linked, _table(reader, linked.symbols["image"])


def _table(reader: _Reader, address: int) -> Table:
    image = reader.struct("image", address)
    processes = []
    for row in reader.array("image_process", image["processes"], image["process_count"]):
        row["caps"] = reader.array("image_cap", row["caps"], row["cap_count"])
        row["program"] = reader.struct("image_program", row["program"])
        row["program"]["name"] = reader.text(row["program"]["name"])
        row["program"]["digest"] = reader.bytes(row["program"]["contract_digest"], 32).hex()
        segments = reader.array("image_segment", row["program"]["segments"], row["program"]["segment_count"])
        row["program"]["segments"] = segments
        row["label"], row["id_name"] = reader.text(row["label"]), reader.text(row["id_name"])
        row["flags"] = reader.flags("image_flags", row["flags"])
        processes.append(row)
    image["contract_digest"] = reader.bytes(image["contract_digest"], 32).hex()
    image["policy_digest"] = reader.bytes(image["policy_digest"], 32).hex()
    image["flags"] = reader.flags("image_flags", image["flags"])
    return Table(
        image,
        processes,
        reader.array("image_endpoint", image["endpoints"], image["endpoint_count"]),
        reader.array("image_device", image["devices"], image["device_count"]),
        reader.array("image_region", image["regions"], image["region_count"]),
        reader.enumerators("image_access"),
    )


class _Reader:
    """Turns bytes of the image into values by the types of one compile unit."""

    def __init__(self, linked: Linked, unit: CompileUnit) -> None:
        self.linked = linked
        self.types = {
            (die.tag, _name(die)): die
            for die in unit.iter_DIEs()
            if die.tag in ("DW_TAG_structure_type", "DW_TAG_enumeration_type") and die.has_children
        }

    def bytes(self, address: int, count: int) -> bytes:
        for segment in self.linked.segments:
            offset = address - segment.va
            if 0 <= offset <= segment.memory_bytes - count:
                found = segment.data[offset : offset + count]
                return found + bytes(count - len(found))
        raise BuildError(f"{self.linked.path}: found a pointer to {address:#x}, expected one into the image")

    def text(self, address: int) -> str:
        """The characters up to the first zero."""
        found = b""
        while not found.endswith(b"\0"):
            found += self.bytes(address + len(found), 1)
        return found[:-1].decode("ascii")

    def array(self, name: str, address: int, count: int) -> list[Value]:
        size = self._struct_type(name).attributes["DW_AT_byte_size"].value if count else 0
        return [self.struct(name, address + number * size) for number in range(count)]

    def struct(self, name: str, address: int) -> Value:
        return self._members(self._struct_type(name), address)

    def flags(self, enumeration: str, value: int) -> list[str]:
        """Names of the bits that are set."""
        return [name for name, bit in self.enumerators(enumeration).items() if value & bit]

    def enumerators(self, enumeration: str) -> dict[str, int]:
        """Names without their common prefix."""
        die = self.types[("DW_TAG_enumeration_type", enumeration)]
        return {
            _name(child).removeprefix("IMAGE_").lower(): int(child.attributes["DW_AT_const_value"].value)
            for child in die.iter_children()
        }

    def _struct_type(self, name: str) -> DIE:
        return self.types[("DW_TAG_structure_type", name)]

    def _members(self, die: DIE, address: int) -> Value:
        return {
            _name(member): self._value(_type(member), address + member.attributes["DW_AT_data_member_location"].value)
            for member in die.iter_children()
            if member.tag == "DW_TAG_member"
        }

    def _value(self, die: DIE, address: int) -> Any:
        if die.tag in ("DW_TAG_typedef", "DW_TAG_const_type"):
            return self._value(_type(die), address)
        if die.tag == "DW_TAG_structure_type":
            return self._members(die, address)
        size = POINTER_BYTES if die.tag == "DW_TAG_pointer_type" else die.attributes["DW_AT_byte_size"].value
        return int.from_bytes(self.bytes(address, size), "little")


def _type(die: DIE) -> DIE:
    return die.get_DIE_from_attribute("DW_AT_type")


def _name(die: DIE) -> str:
    attribute = die.attributes.get("DW_AT_name")
    return attribute.value.decode() if attribute is not None else ""
