"""The simulated kernel's regions and apps, which the tests of bundlemgrd and execd stand on: the rules of firmware/kernel/region.c and
spawn.c, each with its status.

Scenario: bundlemgrd has two regions, execd may spawn, init serves; all three are played by the test unless a test gives them code.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from shims.asker import Answer, Asker
from shims.kernel import Error
from shims.machine import Machine
from shims.objects import Cap

from nexus.recipe.model import PAGE, service_id

Make = Callable[..., Machine]
RECIPE = """
memory = "32 MiB"
app = "service"
[[process]]
name = "init"
service = "selftest/keeper"
flags = ["root"]
endpoint = true
heap = "64 KiB"
capabilities = ["console", "notification", "system"]
supervises = ["*"]
[[process]]
name = "execd"
service = "selftest/keeper"
endpoint = true
heap = "64 KiB"
capabilities = ["console", "notification", "spawn"]
calls = ["bundlemgrd"]
[[process]]
name = "bundlemgrd"
service = "selftest/keeper"
endpoint = true
heap = "64 KiB"
capabilities = ["console", "notification"]
regions = ["12 KiB", "8 KiB"]
"""
PUBLISHER = 0x1122_3344_5566_7788
ROWS = ((1, b"why"), (5, b"because"), (61, b"!"))
MASK = 1 << 1 | 1 << 5 | 1 << 61


def page0(contract: SimpleNamespace, **said: Any) -> bytes:
    """A first page as the contract has it, signature left out: the kernel looks at none."""
    rows = said.pop("rows", ROWS)
    data = b"".join(action.to_bytes(2, "little") + bytes([len(why)]) + why for action, why in rows)
    values = {
        "magic": contract.BUNDLE_MAGIC.encode(),
        "format": (contract.BUNDLE_FORMAT, 2),
        "manifest_bytes": (contract.BUNDLE_HEADER_BYTES + len(data), 2),
        "contents_bytes": (100, 4),
        "key_id": (PUBLISHER, 8),
        "id": b"dev.hello",
        "entry": b"hello",
        "heap_pages": (16, 2),
        "actions": (len(rows), 2),
        **said,
    }
    page = bytearray(PAGE)
    for name, value in values.items():
        field = value if isinstance(value, bytes) else value[0].to_bytes(value[1], "little")
        at = getattr(contract, f"BUNDLE_AT_{name.upper()}")
        page[at : at + len(field)] = field
    page[contract.BUNDLE_HEADER_BYTES : contract.BUNDLE_HEADER_BYTES + len(data)] = data
    return bytes(page)


class World:
    def __init__(self, make: Make, recipe: Path, contract: SimpleNamespace, **rest: Any) -> None:
        self.machine = make(str(recipe), device=None, **rest)
        self.contract = contract
        self.keeper, self.execd = self.machine.actor("bundlemgrd"), self.machine.actor("execd")
        self.init = self.machine.process("init")
        self.own = self.machine.handle("bundlemgrd", "REGION_0")
        self.spawner = self.machine.handle("execd", "SPAWN")
        right = contract.RIGHT_CALL | contract.RIGHT_GRANT
        number, badge = self.init.row.endpoint, contract.BADGE_ANY_APP
        assert number is not None
        self.apps_init = self.machine.process("execd").put(Cap(contract.OBJ_ENDPOINT, right, number, badge))

    def fill(self, page: bytes) -> None:
        view = self.keeper.region_map(self.own, True)
        view[: len(page)] = page
        self.keeper.region_seal(self.own)

    def opened(self, rights: int | None = None) -> int:
        """execd's capability to the region."""
        cap = self.machine.process("bundlemgrd").caps[self.own]
        right = self.contract.RIGHT_MAP_R if rights is None else rights
        return self.machine.process("execd").put(Cap(cap.type, right, cap.object))

    def spawn(self, region: int, endpoint: int | None = None, stack: int = 4, share: int = 100) -> int:
        return self.execd.spawn(self.spawner, region, stack, share, self.apps_init if endpoint is None else endpoint)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "apps.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture
def world(machine: Make, recipe: Path, contract: SimpleNamespace) -> World:
    return World(machine, recipe, contract)


def refused(status: int, function: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(Error) as error:
        function(*arguments)
    assert error.value.args[0] == status


# ---- regions -------------------------------------------------------------------------------------------------------


def test_sealed_region_is_never_written_again(world: World) -> None:
    view = world.keeper.region_map(world.own, True)
    view[0:2] = b"ab"
    refused(world.contract.E_STATE, world.keeper.region_map, world.own, False)
    world.keeper.region_seal(world.own)
    with pytest.raises(ValueError, match="released"):
        view[0] = 1
    refused(world.contract.E_SEALED, world.keeper.region_map, world.own, True)
    refused(world.contract.E_SEALED, world.keeper.region_seal, world.own)
    read = world.keeper.region_map(world.own, False)
    assert (bytes(read[:3]), len(read)) == (b"ab\0", 3 * PAGE)
    with pytest.raises(TypeError):
        read[0] = 1


def test_region_is_freed_only_when_nobody_else_has_it(world: World) -> None:
    world.fill(b"data")
    other = world.opened()
    refused(world.contract.E_STATE, world.keeper.region_free, world.own)
    world.execd.region_map(other, False)
    world.execd.drop(other)
    refused(world.contract.E_STATE, world.keeper.region_free, world.own)
    world.machine.crash("execd", world.contract.FAULT_MEMORY)
    world.keeper.region_free(world.own)
    assert bytes(world.keeper.region_map(world.own, True)) == bytes(3 * PAGE)


def test_region_in_other_hands_can_only_be_read(world: World) -> None:
    world.fill(b"data")
    other = world.opened()
    for function in (world.execd.region_seal, world.execd.region_free):
        refused(world.contract.E_BAD_RIGHT, function, other)
    refused(world.contract.E_BAD_RIGHT, world.execd.region_map, other, True)
    assert bytes(world.execd.region_map(other, False)[:4]) == b"data"
    world.execd.region_unmap(other)
    refused(world.contract.E_BAD_RIGHT, world.execd.region_free, world.opened(world.contract.RIGHT_MAP_W))


def test_seal_waits_for_another_ones_write_mapping(world: World) -> None:
    world.execd.region_map(world.opened(world.contract.RIGHT_MAP_W), True)
    refused(world.contract.E_STATE, world.keeper.region_seal, world.own)


GIVING = """
import kernel, caps, contract, server
view = kernel.region_map(caps.REGION_0, True)
view[:4] = b"data"
kernel.region_seal(caps.REGION_0)
def give():
    kernel.grant(0, caps.REGION_0, contract.RIGHT_MAP_R, 0)
    return server.grant(1)
server.serve({1: (give, "", 0)})
"""


def test_region_is_given_by_a_reply(machine: Make, recipe: Path, contract: SimpleNamespace) -> None:
    made = machine(str(recipe), device=None, sources={"bundlemgrd": GIVING})
    made.start("bundlemgrd")
    made.run()
    execd = Asker(made, "execd")
    assert execd.ask(execd.given("bundlemgrd"), 1, accept=1) == Answer(contract.STATUS_OK, b"")
    (handle,) = execd.kernel.received
    assert execd.kernel.info(handle) == (contract.OBJ_REGION, contract.RIGHT_MAP_R, 0)
    assert bytes(execd.kernel.region_map(handle, False)[:4]) == b"data"


# ---- spawn ---------------------------------------------------------------------------------------------------------


def test_app_is_what_its_manifest_says(world: World) -> None:
    contract = world.contract
    world.fill(page0(contract))
    child = world.spawn(world.opened())
    status = world.execd.supervise(child, contract.SUP_STATUS)
    assert status is not None
    assert status[0] == contract.STATE_SUSPENDED
    assert status[5:7] == (service_id("app:dev.hello"), 0)
    app = world.machine.app("dev.hello")
    assert (app.mask, app.publisher, app.kind, app.entry) == (
        MASK,
        PUBLISHER,
        contract.KIND_APP,
        b"hello".ljust(32, b"\0"),
    )
    assert (app.row.heap_pages, app.row.stack_pages, app.row.share, app.row.rank) == (16, 4, 100, 0)
    assert app.row.index == len(world.machine.system_row.processes)


WRONG = {
    "magic": {"magic": b"nexusnxB"},
    "format": {"format": (2, 2)},
    "manifest too short": {"manifest_bytes": (167, 2)},
    "manifest beyond its page": {"manifest_bytes": (PAGE + 1, 2)},
    "no contents": {"contents_bytes": (0, 4)},
    "contents beyond the region": {"contents_bytes": (2 * PAGE + 1, 4)},
    "no id": {"id": bytes(32)},
    "id of other letters": {"id": b"dev.Hello"},
    "id with a gap": {"id": b"dev\0hello"},
    "no heap": {"heap_pages": (0, 2)},
    "too much heap": {"heap_pages": (65, 2)},
    "action that no mask has": {"rows": ((62, b"why"),)},
    "no action": {"rows": ((0, b"why"),)},
    "one action twice": {"rows": ((5, b"why"), (5, b"why"))},
    "actions out of order": {"rows": ((5, b"why"), (1, b"why"))},
    "row cut off": {"actions": (4, 2)},
    "row left over": {"actions": (2, 2)},
    "too many rows": {"rows": tuple((number, b"w") for number in range(1, 18))},
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG.keys())
def test_page_that_no_bundle_has_makes_no_app(world: World, said: dict[str, Any]) -> None:
    world.fill(page0(world.contract, **said))
    refused(world.contract.E_BAD_ARGUMENT, world.spawn, world.opened())
    assert world.machine.running_apps() == []


@pytest.mark.parametrize(("stack", "share"), [(0, 100), (9, 100), (4, 0), (4, 501)])
def test_stack_and_share_are_bounded(world: World, stack: int, share: int) -> None:
    world.fill(page0(world.contract))
    region = world.opened()
    refused(world.contract.E_BAD_ARGUMENT, world.spawn, region, None, stack, share)


def test_spawn_needs_its_capabilities(world: World) -> None:
    contract = world.contract
    refused(contract.E_SEALED, world.spawn, world.opened())
    world.fill(page0(contract))
    region, execd = world.opened(), world.machine.process("execd")
    assert world.init.row.endpoint is not None
    without = execd.put(Cap(contract.OBJ_ENDPOINT, contract.RIGHT_CALL, world.init.row.endpoint))
    refused(contract.E_BAD_RIGHT, world.spawn, region, without)
    refused(contract.E_BAD_TYPE, world.spawn, region, region)
    refused(contract.E_BAD_RIGHT, world.spawn, world.opened(contract.RIGHT_MAP_W))
    refused(contract.E_BAD_TYPE, world.execd.spawn, region, region, 4, 100, 0)
    world.machine.no_room = True
    refused(contract.E_FULL, world.spawn, region)


def test_name_is_taken_until_the_app_is_freed(world: World) -> None:
    contract = world.contract
    world.fill(page0(contract))
    region = world.opened()
    child = world.spawn(region)
    refused(contract.E_EXISTS, world.spawn, region)
    world.execd.supervise(child, contract.SUP_RESUME)
    refused(contract.E_STATE, world.execd.supervise, child, contract.SUP_FREE)
    world.machine.exit_app("dev.hello", 3)
    assert world.execd.wait(world.machine.handle("execd", "NOTIFICATION")) == 1 << 3
    status = world.execd.supervise(child, contract.SUP_STATUS)
    assert status is not None
    assert status[:3] == (contract.STATE_STOPPED, contract.FAULT_EXIT, 3)
    refused(contract.E_EXISTS, world.spawn, region)
    for operation in (contract.SUP_RESTART, contract.SUP_RESUME, contract.SUP_KILL):
        refused(contract.E_STATE, world.execd.supervise, child, operation)
    world.execd.supervise(child, contract.SUP_FREE)
    refused(contract.E_BAD_HANDLE, world.execd.supervise, child, contract.SUP_STATUS)
    again = world.spawn(region)
    world.execd.supervise(again, contract.SUP_KILL)
    world.execd.drop(region)
    refused(contract.E_STATE, world.keeper.region_free, world.own)
    world.execd.supervise(again, contract.SUP_FREE)
    world.keeper.region_free(world.own)


def test_slots_run_out(world: World) -> None:
    contract = world.contract
    for number in range(contract.LIMIT_APP_SLOTS):
        Asker.app(world.machine, f"app{number}")
    world.fill(page0(contract))
    refused(contract.E_FULL, world.spawn, world.opened())


def test_children_end_with_their_spawner(world: World) -> None:
    contract = world.contract
    world.fill(page0(contract))
    child = world.spawn(world.opened())
    world.execd.supervise(child, contract.SUP_RESUME)
    app = world.machine.app("dev.hello")
    world.machine.crash("execd", contract.FAULT_MEMORY)
    assert (app.state, app.fault) == (contract.STATE_STOPPED, contract.FAULT_KILLED)
    refused(contract.E_STATE, world.keeper.region_free, world.own)
    world.machine.run()
    world.keeper.region_free(world.own)
    world.machine.actor("execd")
    assert world.machine.running_apps() == []


# ---- its life ------------------------------------------------------------------------------------------------------

SERVING = """
import kernel, caps, contract, server
def who():
    kernel.console("kind=%d publisher=%x mask=%x" % (kernel.kind(), kernel.sender_publisher(), kernel.sender_mask()))
server.serve({1: (who, "", 0)})
"""
CALLING = """
import kernel, caps, contract, client
client.call(caps.INIT, 1, b"", client.deadline(10_000_000))
kernel.console("answered")
assert caps.CONSOLE == contract.HANDLE_BOOT
"""
SAID = f"kind=1 publisher={PUBLISHER:x} mask={MASK:x}"


def serving(made: Machine) -> None:
    """init, by code that tells who asks."""
    made.sources["init"] = SERVING
    made.start("init")
    made.run()


def resumed(world: World) -> int:
    world.fill(page0(world.contract))
    serving(world.machine)
    child = world.spawn(world.opened())
    world.execd.supervise(child, world.contract.SUP_RESUME)
    return child


def test_app_with_code_runs_from_its_entry(machine: Make, recipe: Path, contract: SimpleNamespace) -> None:
    world = World(machine, recipe, contract, apps={"dev.hello": CALLING})
    resumed(world)
    assert world.execd.wait(world.machine.handle("execd", "NOTIFICATION")) == 1 << 3
    assert world.machine.said("app:dev.hello") == ["answered"]
    assert world.machine.said("init") == [SAID]
    assert world.machine.app("dev.hello").state == contract.STATE_STOPPED


def test_app_in_a_folder_runs(machine: Make, recipe: Path, contract: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("import part\n", encoding="utf-8")
    (tmp_path / "part.py").write_text("import kernel\nkernel.exit(7)\n", encoding="utf-8")
    world = World(machine, recipe, contract, apps={"dev.hello": tmp_path})
    resumed(world)
    world.machine.run()
    app = world.machine.app("dev.hello")
    assert (app.fault, app.value) == (contract.FAULT_EXIT, 7)


@pytest.mark.parametrize("entry", [b"a/b", b"A", b"_a", b"a\0b", b"7"])
def test_app_that_begins_with_no_module_ends(
    machine: Make, recipe: Path, contract: SimpleNamespace, entry: bytes
) -> None:
    world = World(machine, recipe, contract, apps={"dev.hello": "import nothing"})
    world.fill(page0(contract, entry=entry))
    child = world.spawn(world.opened())
    world.execd.supervise(child, contract.SUP_RESUME)
    world.machine.run()
    assert world.machine.app("dev.hello").value == 2


def test_app_without_code_is_played(world: World) -> None:
    child = resumed(world)
    app = Asker.spawned(world.machine, "dev.hello")
    assert app.ask(app.handle("INIT"), 1) == Answer(world.contract.STATUS_OK, b"")
    assert world.machine.said("init") == [SAID]
    assert app.kernel.incarnation() == 1
    world.machine.fault_app("dev.hello", value=0x1234, pc=0x10010)
    status = world.execd.supervise(child, world.contract.SUP_STATUS)
    assert status is not None
    assert status[1:4] == (world.contract.FAULT_MEMORY, 0x1234, 0x10010)


def test_badge_of_every_app_opens_nothing_for_a_service(machine: Make, recipe: Path, contract: SimpleNamespace) -> None:
    made = machine(str(recipe), device=None, sources={"bundlemgrd": SERVING})
    made.start("bundlemgrd")
    made.run()
    execd = Asker(made, "execd")
    own, anybodys = execd.given("bundlemgrd"), execd.given("bundlemgrd")
    made.process("execd").caps[anybodys].badge = contract.BADGE_ANY_APP
    assert [execd.ask(handle, 1).status for handle in (own, anybodys)] == [contract.STATUS_OK, contract.STATUS_DENIED]
