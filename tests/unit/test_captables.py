"""Capability tables against what explains them: honest tables of the selftest system pass, and each planted capability is found.

Scenario: tables made of the recipe's own rows, in which keystored serves a call, the selftest holds a route that is on record, and an app
runs from a sealed region that some process with the right to spawn has opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus.audit.record import Form as AuditForm
from nexus.audit.record import Record
from nexus.audit.trail import Chain, Trail
from nexus.bundle import sign
from nexus.bundle.model import Form, Manifest, Request, Version
from nexus.contract.load import Contract
from nexus.machine.capreasons import Reasons, audited_opens, audited_routes, wrong
from nexus.machine.captables import Held, Holder, Region, Tables, read_tables
from nexus.recipe.check import load_system
from nexus.recipe.model import Capability, System, service_id

PAGE = 4096
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
APP = "app:selftest.one"


@pytest.fixture(scope="module")
def system(root: Path, contract: Contract) -> System:
    """The selftest system, whose keystored may spawn, so that there is somebody with children."""
    loaded = load_system("selftest", root, contract)
    spawn = Capability("SPAWN", "spawn", contract.number("right.use"), 0)
    rows = [
        replace(row, capabilities=(*row.capabilities, spawn)) if row.name == "keystored" else row
        for row in loaded.processes
    ]
    return replace(loaded, processes=tuple(rows))


def signed_region(contract: Contract, app_id: str, actions: tuple[str, ...]) -> bytes:
    """A bundle as it lies in the machine."""
    form = Form(contract)
    requests = tuple(Request(contract.number(f"action.{name}"), "why") for name in actions)
    manifest = Manifest(app_id, Version(1, 0, 0), b"", "main", 16, requests, 0, b"")
    data = sign.sign(form, manifest, b"contents", KEY)
    return data[: -len(b"contents")].ljust(PAGE, b"\0") + b"contents".ljust(PAGE, b"\0")


@dataclass
class Scene:
    """Honest tables that a test changes."""

    system: System
    contract: Contract
    holders: dict[int, Holder]
    regions: list[Region]
    routes: Counter[tuple[int, str]]
    allowed: frozenset[str] = frozenset({"rngd", "keystored", "logd:append"})

    @property
    def app(self) -> int:
        return len(self.system.processes)

    def index(self, name: str) -> int:
        return self.system.process(name).index

    def change(self, index: int, **values: Any) -> None:
        self.holders[index] = replace(self.holders[index], **values)

    def plant(self, index: int, kind: str, rights: int, number: int, badge: int = 0) -> None:
        """One capability more, in the first free slot."""
        slots = dict(self.holders[index].slots)
        free = next(slot for slot in range(64) if slot not in slots)
        slots[free] = Held(self.contract.number(f"obj.{kind}"), rights, number, badge)
        self.change(index, slots=slots)

    def route(self, index: int, name: str) -> None:
        """As init hands it out."""
        server, _, facet = name.partition(":")
        number = self.contract.table(f"facet.{server}").get(facet, 0)
        self.plant(index, "endpoint", self.right("call"), self.endpoint(server), number << 32 | index)

    def endpoint(self, name: str) -> int:
        number = self.system.process(name).endpoint
        assert number is not None
        return number

    def right(self, *names: str) -> int:
        return sum(self.contract.number(f"right.{name}") for name in names)

    def wrong(self) -> list[str]:
        opened = frozenset({service_id("keystored")})
        reasons = Reasons(
            self.system, self.contract, self.routes, opened, lambda _name, mask: self.allowed if mask else frozenset()
        )
        return wrong(Tables(self.holders, self.system.endpoints, tuple(self.regions)), reasons)


@pytest.fixture
def scene(system: System, contract: Contract) -> Scene:
    """keystored serves the selftest and has spawned an app, which has a route to rngd."""
    numbers = {kind: contract.number(f"obj.{kind}") for kind in contract.table("obj")}
    receiving, calling = contract.number("state.receiving"), contract.number("state.calling")
    holders = {
        row.index: Holder(
            row.index, row.id_name, row.service_id, 0, receiving, 0, 0, row.supervisor, 0, 0xFFFF, 0,
            {slot: Held(numbers[cap.type], cap.rights, cap.object, cap.badge) for slot, cap in enumerate(row.capabilities)},
        )
        for row in system.processes
    }  # fmt: skip
    key_id = Form(contract).key_id(KEY.public_key().public_bytes_raw())
    mask = 1 << contract.number("action.route") | 1 << contract.number("action.rng_entropy")
    app, keeper = len(system.processes), system.process("keystored").index
    kind, publisher = contract.number("kind.app"), int.from_bytes(key_id, "little")
    holders[app] = Holder(app, APP, service_id(APP), kind, receiving, mask, publisher, keeper, 0, 0xFFFF, 0, {})
    data = signed_region(contract, "selftest.one", ("route", "rng_entropy"))
    made = Scene(system, contract, holders, [Region(keeper, True, data), Region(keeper, False)], Counter())
    use = made.right("use")
    made.plant(app, "console", use, app)
    made.plant(app, "notification", use, app)
    made.plant(app, "endpoint", made.right("call"), made.endpoint("init"), contract.number("badge.any_app"))
    made.routes[service_id(APP), "rngd"] = 1
    made.route(app, "rngd")
    tester = made.index("selftest")
    made.routes[service_id("selftest-client"), "keystored"] = 1
    made.route(tester, "keystored")
    slot = max(made.holders[keeper].slots) + 1
    made.plant(keeper, "reply", 0, tester)
    made.change(tester, state=calling, server=keeper, reply_slot=slot)
    made.plant(keeper, "reply", 0, 0xFFFF)
    made.plant(keeper, "supervise", use, app)
    made.plant(keeper, "region", made.right("map_r"), 0)
    return made


def test_tables_that_are_explained_pass(scene: Scene) -> None:
    assert scene.wrong() == []


def plant_route_not_on_record(scene: Scene) -> None:
    scene.route(scene.index("selftest"), "rngd")


def plant_route_twice(scene: Scene) -> None:
    scene.route(scene.app, "rngd")


def plant_route_against_policy(scene: Scene) -> None:
    scene.routes[service_id(APP), "policyd"] = 1
    scene.route(scene.app, "policyd")


def plant_route_without_mask(scene: Scene) -> None:
    scene.regions[0] = replace(scene.regions[0], data=signed_region(scene.contract, "selftest.one", ()))
    scene.change(scene.app, mask=0)


def plant_route_of_another(scene: Scene) -> None:
    scene.routes[service_id(APP), "keystored"] = 1
    badge = scene.index("selftest")
    scene.plant(scene.app, "endpoint", scene.right("call"), scene.endpoint("keystored"), badge)


def plant_route_with_grant(scene: Scene) -> None:
    scene.routes[service_id(APP), "keystored"] = 1
    scene.plant(scene.app, "endpoint", scene.right("call", "grant"), scene.endpoint("keystored"), scene.app)


def plant_other_facet(scene: Scene) -> None:
    scene.routes[service_id(APP), "logd:append"] = 1
    facet = scene.contract.number("facet.logd.decision")
    scene.plant(scene.app, "endpoint", scene.right("call"), scene.endpoint("logd"), facet << 32 | scene.app)


def plant_authority_of_the_spawner(scene: Scene) -> None:
    held = scene.holders[scene.index("keystored")].slots
    slots = {**scene.holders[scene.app].slots, 9: next(one for one in held.values() if one.type == 1 and one.badge)}
    scene.change(scene.app, slots=slots)


def plant_spawn(scene: Scene) -> None:
    scene.plant(scene.app, "spawn", scene.right("use"), 0)


def plant_endpoint(scene: Scene) -> None:
    scene.plant(scene.app, "endpoint", scene.right("recv", "grant"), scene.endpoint("rngd"))


def plant_console_of_another(scene: Scene) -> None:
    scene.plant(scene.app, "console", scene.right("use"), 0)


def plant_notification_of_another(scene: Scene) -> None:
    scene.plant(scene.app, "notification", scene.right("call"), 0)


def plant_notification_to_wait_for(scene: Scene) -> None:
    scene.plant(scene.app, "notification", scene.right("use"), scene.app)


def plant_reply_for_an_app(scene: Scene) -> None:
    scene.plant(scene.app, "reply", 0, scene.index("selftest"))


def plant_reply_of_nobody_waiting(scene: Scene) -> None:
    scene.plant(scene.index("keystored"), "reply", 0, scene.index("selftest-peer"))


def plant_child_twice(scene: Scene) -> None:
    scene.plant(scene.index("keystored"), "supervise", scene.right("use"), scene.app)


def plant_child_of_another(scene: Scene) -> None:
    scene.change(scene.app, supervisor=scene.index("init"))


def plant_child_of_who_can_not_spawn(scene: Scene) -> None:
    scene.change(scene.app, supervisor=scene.index("rngd"))
    slots = scene.holders[scene.index("keystored")].slots
    rest = {slot: held for slot, held in slots.items() if held.type != scene.contract.number("obj.supervise")}
    scene.change(scene.index("keystored"), slots=rest)
    scene.plant(scene.index("rngd"), "supervise", scene.right("use"), scene.app)


def plant_region_to_write(scene: Scene) -> None:
    scene.plant(scene.index("keystored"), "region", scene.right("map_r", "map_w"), 0)


def plant_region_that_is_open(scene: Scene) -> None:
    scene.plant(scene.index("keystored"), "region", scene.right("map_r"), 1)


def plant_device(scene: Scene) -> None:
    scene.plant(scene.index("keystored"), "device", scene.right("use"), 0)


def plant_loss(scene: Scene) -> None:
    slots = dict(scene.holders[scene.index("rngd")].slots)
    del slots[0]
    scene.change(scene.index("rngd"), slots=slots)


def plant_wider_mask(scene: Scene) -> None:
    scene.change(scene.app, mask=scene.holders[scene.app].mask | 1 << scene.contract.number("action.proc_exec"))


def plant_other_publisher(scene: Scene) -> None:
    scene.change(scene.app, publisher=1)


def plant_other_name(scene: Scene) -> None:
    scene.change(scene.app, name="app:selftest.two", service_id=service_id("app:selftest.two"))


def plant_id_of_a_service(scene: Scene) -> None:
    scene.change(scene.app, service_id=service_id("keystored"))


def plant_kind_of_a_service(scene: Scene) -> None:
    scene.change(scene.app, kind=0)


def plant_changed_contents(scene: Scene) -> None:
    data = bytearray(scene.regions[0].data)
    data[PAGE] ^= 1
    scene.regions[0] = replace(scene.regions[0], data=bytes(data))


def plant_unsealed_region(scene: Scene) -> None:
    scene.regions[0] = replace(scene.regions[0], sealed=False, data=b"")


def plant_service_under_another_name(scene: Scene) -> None:
    scene.change(scene.index("rngd"), name="keystored")


PLANTS = sorted((value for name, value in globals().items() if name.startswith("plant_")), key=lambda one: one.__name__)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda one: one.__name__.removeprefix("plant_"))
def test_what_nothing_explains_is_found(scene: Scene, plant: Callable[[Scene], None]) -> None:
    plant(scene)
    assert scene.wrong()


def test_finding_says_who_holds_what(scene: Scene) -> None:
    plant_route_against_policy(scene)
    number = scene.endpoint("policyd")
    assert scene.wrong() == [
        f"{APP}: slot 4: endpoint {number} (policyd) with call, badge {scene.app:#x}, which nothing explains"
    ]


def test_process_may_have_ways_to_wake_itself(scene: Scene) -> None:
    for index in (scene.app, scene.index("rngd")):
        scene.plant(index, "notification", scene.right("call", "grant"), index, 5)
    assert scene.wrong() == []


def test_app_may_let_go_of_what_it_had(scene: Scene) -> None:
    scene.change(scene.app, slots={})
    assert scene.wrong() == []


def test_process_that_has_stopped_lacks_nothing(scene: Scene) -> None:
    scene.change(scene.index("rngd"), state=scene.contract.number("state.stopped"), slots={})
    assert scene.wrong() == []


# ---- what the trail says ---------------------------------------------------------------------------------------------


def record(contract: Contract, **values: Any) -> Record:
    """An allowed question of init for a route; some fields changed."""
    given = {
        "kind": contract.number("audit_kind.decision"), "verdict": contract.number("audit_verdict.allow"),
        "op": contract.number("op.policyd.route"), "reason": 7, "action": contract.number("action.route"), "rule": 1, "seq": 1,
        "time": 0, "subject": service_id(APP), "via": service_id("init"), "subject_ix": 0x8009, "via_ix": 0, "nonce": 0, "count": 3,
        "dropped": 0, "last": 0, "target": b"rngd".ljust(32, b"\0"), "previous": bytes(32),
    }  # fmt: skip
    return Record(**{**given, **values})


def trail_of(contract: Contract, *rows: Record) -> Trail:
    return Trail(AuditForm(contract), ("init",), (Chain("init allowed", None, rows),))


def test_routes_that_init_was_told_to_give_are_counted(system: System, contract: Contract) -> None:
    found = audited_routes(trail_of(contract, record(contract), record(contract, seq=2, count=1)), system, contract)
    assert found == {(service_id(APP), "rngd"): 4}


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": 2},
        {"kind": 4},
        {"via_ix": 5},
        {"via_ix": 0x7FFF},
        {"op": 1},
        {"action": 5},
    ],
    ids=str,
)
def test_other_records_give_no_route(system: System, contract: Contract, change: dict[str, int]) -> None:
    assert not audited_routes(trail_of(contract, record(contract, **change)), system, contract)


def test_who_may_open_bundles_is_on_record(contract: Contract) -> None:
    opened = record(contract, action=contract.number("action.bundle_open"), via_ix=3)
    assert audited_opens(trail_of(contract, opened, replace(opened, subject=1, verdict=2))) == {service_id(APP)}


# ---- reading ---------------------------------------------------------------------------------------------------------


class FakeView:
    """A kernel's structures as one would find them: every member of a structure is a number by name, at an address."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, int, str], int] = {}
        self.bytes: dict[int, bytes] = {}

    def symbol(self, name: str) -> int:
        return {"image": 0x10, "processes": 0x10000, "endpoints": 0x20000, "regions": 0x30000}[name]

    def size(self, struct: str) -> int:
        return {"process": 0x1000, "cap": 0x10, "endpoint": 8, "region": 64}[struct]

    def member(self, struct: str, member: str) -> tuple[int, int]:
        assert (struct, member) == ("process", "caps")
        return 0x100, 0

    def element(self, table: str, struct: str, index: int) -> int:
        return self.symbol(table) + index * self.size(struct)

    def process(self, index: int) -> int:
        return self.element("processes", "process", index)

    def number(self, struct: str, at: int, member: str) -> int:
        return self.values.get((struct, at, member), 0)

    def read(self, address: int, size: int) -> bytes:
        return self.bytes[address].ljust(size, b"\0")[:size]


def test_tables_are_read_as_they_lie_there(contract: Contract) -> None:
    view: Any = FakeView()
    last = 1 + contract.number("limit.app_slots")  # of two rows and the apps: the last app's place
    view.values |= {("image", 0x10, "process_count"): 2, ("image", 0x10, "endpoint_count"): 1}
    view.values |= {("image", 0x10, "region_count"): 1, ("endpoint", 0x20000, "owner"): 1}
    view.values |= {
        ("region", 0x30000, name): value for name, value in {"owner": 1, "sealed": 1, "base": 0x99, "pages": 1}.items()
    }
    at, slot = view.process(last), contract.number("limit.cap_slots") - 1
    facts = {"row": 0x77, "service_id": 5, "kind": 1, "state": 3, "mask": 6, "publisher": 7, "supervisor": 1}
    view.values |= {("process", at, name): value for name, value in facts.items()}
    cap = at + 0x100 + 0x10 * slot
    view.values |= {
        ("cap", cap, name): value for name, value in {"type": 1, "rights": 2, "object": 3, "badge": 4}.items()
    }
    view.values["image_process", 0x77, "id_name"] = 0x55
    view.bytes |= {0x55: b"app:one\0rest", 0x99: b"bundle"}
    tables = read_tables(view, contract)
    assert tables.holders == {last: Holder(last, "app:one", 5, 1, 3, 6, 7, 1, 0, 0, 0, {slot: Held(1, 2, 3, 4)})}
    assert (tables.endpoints, tables.regions) == ((1,), (Region(1, True, b"bundle".ljust(PAGE, b"\0")),))
