"""Writes what the kernel is linked with: image_table.c (the rows of firmware/include/image.h) and payload.S.

Called by build.py. Pure: takes a checked system and the built parts, returns text; the same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.load import Contract
from nexus.image.policy import PART as POLICY
from nexus.image.policy import ImagePolicy
from nexus.image.program import EXECUTE, READ, WRITE, Program
from nexus.recipe.model import Capability, Process, System

ACCESS = ((READ, "IMAGE_R"), (WRITE, "IMAGE_W"), (EXECUTE, "IMAGE_X"))


@dataclass(frozen=True)
class Part:
    """Bytes of the payload, page-aligned in the image."""

    name: str
    data: bytes

    @property
    def symbol(self) -> str:
        return f"part_{self.name.replace('-', '_')}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def segment_part(program: Program, number: int) -> Part:
    return Part(f"{program.name}_{number}", program.segments[number].data)


def romfs_part(process: Process, data: bytes) -> Part:
    return Part(f"romfs_{process.name}", data)


def policy_parts(policy: ImagePolicy | None) -> list[Part]:
    return [] if policy is None else [Part(POLICY, policy.table)]


def parts_of(
    system: System, programs: Sequence[Program], romfs: dict[str, bytes], policy: ImagePolicy | None = None
) -> list[Part]:
    """Everything of the payload, in the order in which it lies there."""
    parts = [
        segment_part(program, number)
        for program in programs
        for number, segment in enumerate(program.segments)
        if segment.data
    ]
    parts += [romfs_part(process, romfs[process.name]) for process in system.processes if process.name in romfs]
    return parts + policy_parts(policy)


def payload_source(system: System, parts: Sequence[Part], folder: Path) -> str:
    """The hash beside each part makes make see a change of its bytes."""
    lines = [f"/* Generated for system {system.name}: the parts that the kernel maps into processes. Do not edit. */"]
    lines += ['    .section .payload, "a"']
    for part in parts:
        lines += [
            "",
            "    .balign 4096",
            f"    .globl {part.symbol}",
            f"{part.symbol}: /* {len(part.data)} bytes, sha256 {part.sha256} */",
            f"    .incbin {json.dumps(str(folder / (part.name + '.bin')))}",
        ]
    return "\n".join([*lines, "    .balign 4096", ""])


def image_table(
    system: System,
    programs: Sequence[Program],
    romfs: dict[str, bytes],
    contract: Contract,
    policy: ImagePolicy | None = None,
) -> str:
    """The C source of `image`."""
    lines = [f"/* Generated from {', '.join(system.files)}. Do not edit. */", '#include "image.h"', ""]
    lines += [f"extern const uint8_t {part.symbol}[];" for part in parts_of(system, programs, romfs, policy)]
    lines += ["", f"static const uint8_t contract_of_image[IMAGE_DIGEST_BYTES] = {_bytes(contract.digest)};"]
    digest = f" = {_bytes(policy.digest)}" if policy else ""
    lines += [f"static const uint8_t policy_of_image[IMAGE_DIGEST_BYTES]{digest};", ""]
    for program in programs:
        lines += _program(program)
    for process in system.processes:
        lines += _caps(process)
    lines += _array("image_process", "processes", [_process(process, romfs) for process in system.processes])
    lines += _array("image_endpoint", "endpoints", [f"{{.owner = {owner}}}" for owner in system.endpoints])
    lines += _array("image_device", "devices", _devices(system))
    regions = [f"{{.owner = {region.owner}, .pages = {region.pages}}}" for region in system.regions]
    lines += _array("image_region", "regions", regions)
    return "\n".join(lines + _image(system, policy)) + "\n"


def _program(program: Program) -> list[str]:
    rows = []
    for number, segment in enumerate(program.segments):
        data = segment_part(program, number).symbol if segment.data else "0"
        access = " | ".join(name for bit, name in ACCESS if segment.flags & bit)
        rows.append(
            f"{{.va = {segment.va:#x}, .data = {data}, .file_bytes = {len(segment.data)}, "
            f".memory_bytes = {segment.memory_bytes}, .access = {access}}}"
        )
    name = _identifier(program.name)
    digest = f"{segment_part(program, program.digest_segment).symbol} + {program.digest_offset}"
    return [
        *_array("image_segment", f"segments_{name}", rows),
        f"static const struct image_program program_{name} = {{",
        f'    .name = "{program.name}",',
        f"    .entry = {program.entry:#x},",
        f"    .segments = segments_{name},",
        f"    .segment_count = {len(program.segments)},",
        f"    .contract_digest = {digest},",
        "};",
        "",
    ]


def _caps(process: Process) -> list[str]:
    rows = [f"/* {slot}: {cap.name} */ {_cap(cap)}" for slot, cap in enumerate(process.capabilities)]
    return _array("image_cap", f"caps_{_identifier(process.name)}", rows)


def _cap(cap: Capability) -> str:
    badge = f", .badge = {cap.badge:#x}" if cap.badge else ""
    return f"{{.type = OBJ_{cap.type.upper()}, .rights = {cap.rights}, .object = {cap.object}{badge}}}"


def _process(process: Process, romfs: dict[str, bytes]) -> str:
    name = _identifier(process.name)
    flags = " | ".join(f"IMAGE_{flag.upper()}" for flag in process.flags) or "0"
    fields = [
        f'.label = "{process.label}"',
        f'.id_name = "{process.id_name}"',
        f".service_id = {process.service_id:#018x}",
        f".flags = {flags}",
        f".rank = {process.rank}",
        f".program = &program_{_identifier(process.program)}",
    ]
    if process.name in romfs:
        part = romfs_part(process, romfs[process.name])
        fields.append(f".romfs = {{{part.symbol}, {len(part.data)}}}")
    fields += [
        f".heap_pages = {process.heap_pages}",
        f".stack_pages = {process.stack_pages}",
        f".kept_pages = {process.kept_pages}",
        f".policy = {int(process.policy)}",
        f".share = {process.share}",
        f".request_budget = {process.request_budget}",
        f".supervisor = {process.supervisor}",
        f".caps = {f'caps_{name}' if process.capabilities else '0'}",
        f".cap_count = {len(process.capabilities)}",
    ]
    body = "".join(f"\n        {field}," for field in fields)
    return f"/* {process.index}: {process.name} */ {{{body}\n    }}"


def _devices(system: System) -> list[str]:
    return [
        f"/* {device.name} */ {{.virtio_id = {device.virtio_id}, .owner = {device.owner}, .queue_count = {device.queue_count}, "
        f".first_queue = {device.first_queue}, .dma_pages = {device.dma_pages}, "
        f".features = {sum(1 << bit for bit in device.features):#x}}}"
        for device in system.devices
    ]


def _image(system: System, policy: ImagePolicy | None) -> list[str]:
    flags = " | ".join(f"IMAGE_{flag.upper()}" for flag in system.flags) or "0"
    lines = [
        "const struct image image = {",
        f"    .ram_bytes = {system.memory:#x},",
        f"    .flags = {flags},",
        "    .contract_digest = contract_of_image,",
        *(f"    .policy = {{{part.symbol}, {len(part.data)}}}," for part in policy_parts(policy)),
        "    .policy_digest = policy_of_image,",
        f"    .queue_count = {sum(device.queue_count for device in system.devices)},",
    ]
    counts = {
        "process": len(system.processes),
        "endpoint": len(system.endpoints),
        "device": len(system.devices),
        "region": len(system.regions),
    }
    for kind, count in counts.items():
        plural = "processes" if kind == "process" else f"{kind}s"
        lines.append(f"    .{plural} = {plural if count else '0'},")
        lines.append(f"    .{kind}_count = {count},")
    if system.app_program:
        lines.append(f"    .app_program = &program_{_identifier(system.app_program)},")
    return [*lines, "};"]


def _array(kind: str, name: str, rows: Sequence[str]) -> list[str]:
    """A static array; nothing for none, since C knows no empty one."""
    if not rows:
        return []
    return [f"static const struct {kind} {name}[] = {{", *(f"    {row}," for row in rows), "};", ""]


def _bytes(digest: str) -> str:
    return "{" + ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(digest)) + "}"


def _identifier(name: str) -> str:
    return name.replace("-", "_")
