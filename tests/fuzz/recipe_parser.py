"""Any text as a recipe: refused with a message that names a line, or a system whose order, names and badges hold what a recipe promises."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from target import Target
from texts import mutator

from nexus import layout
from nexus.contract.load import load_contract
from nexus.errors import RecipeError
from nexus.recipe.check import check_system
from nexus.recipe.model import System
from nexus.recipe.raw import load_raw

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
ANY_APP = CONTRACT.number("badge.any_app")
PLACE = re.compile(r"(?:recipes/systems/|.*x\.toml:\d+)")
VOCABULARY = (
    *(
        f'"{word}"'
        for word in "init logd rngd logd:append logd:query console notification system spawn root critical * rng dev guest/apps/hello".split()
    ),
    *(
        f'"{word}"'
        for word in ("64 KiB", "4 KiB", "0 KiB", "32 MiB", "1 GiB", "50 ms", "1 us", "100 s", "services/logd", "shell")
    ),
    *("0", "3", "true", "false", "[]", '["*"]', '["init"]', '["rngd"]', "-1", "1000"),
)
SEED = """memory = "32 MiB"
app = "service"
app_routes = ["rngd", "logd:append"]
trust = []
[[process]]
name = "init"
service = "services/init"
flags = ["root"]
heap = "64 KiB"
stack = "16 KiB"
endpoint = true
capabilities = ["console", "notification", "system"]
supervises = ["*"]
[[process]]
name = "logd"
service = "services/logd"
heap = "64 KiB"
stack = "16 KiB"
request_budget = "200 ms"
endpoint = true
capabilities = ["console", "spawn"]
app_calls = "init"
bundles = []
[[process]]
name = "rngd"
service = "services/rngd"
heap = "64 KiB"
stack = "16 KiB"
request_budget = "1 s"
restarts = 3
endpoint = true
capabilities = ["console", "notification"]
calls = ["logd:append"]
devices = ["rng"]
[devices.rng]
virtio_id = 4
queues = 1
dma = "4 KiB"
qemu = "virtio-rng-device"
"""


def target() -> Target:
    folder = tempfile.TemporaryDirectory(
        prefix="nexus-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    )
    path = Path(folder.name) / "x.toml"
    systems = layout.systems_dir(ROOT)

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            system = check_system(load_raw(path, systems, ROOT), CONTRACT, ROOT)
        except RecipeError as error:
            check_message(error.message)
            return
        check_promises(system)

    return Target(check, [SEED.encode(), b'base = "default"\n'], mutator(VOCABULARY), close=folder.cleanup)


def check_message(message: str) -> None:
    for line in message.splitlines():
        assert PLACE.match(line), line


def check_promises(system: System) -> None:
    rows = system.processes
    assert [row.index for row in rows] == list(range(len(rows)))
    for names in ([row.name for row in rows], [row.label for row in rows], [row.service_id for row in rows]):
        assert len(set(names)) == len(names)
    by_name = {row.name: row for row in rows}
    for row in rows:
        for edge in (*row.calls, *row.routes):
            assert by_name[edge.server].rank > row.rank, "a call that goes down"
        for cap in row.capabilities:
            holder = cap.badge & 0xFFFFFFFF
            known = {row.index, ANY_APP} if row.app_calls else {row.index}
            assert cap.type != "endpoint" or cap.badge == 0 or holder in known, "a badge of another holder"
        assert row.app_calls is None or "SPAWN" in [cap.name for cap in row.capabilities], "given to no app"
    assert all(by_name[edge.server].endpoint is not None for edge in system.edges()), "a call to nobody"
    assert sum(row is system.root for row in rows) == 1
