"""What becomes of a bundle, in logd's trail: by whose word, about whom, counted together, and there after logd's death."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from nxb import ACTION, CONTRACT, GOOD, OP, REASON, STATUS
from shims.asker import Answer, Asker
from shims.bundles import Keeping
from shims.machine import Machine
from shims.store import FORM as AUDIT

from nexus.audit.record import Record
from nexus.recipe.model import service_id

Make = Callable[..., Machine]
BUNDLE = CONTRACT.number("op.logd.bundle")
FACET = CONTRACT.number("facet.logd.audit")
VERDICT = CONTRACT.table("audit_verdict")
REFUSED = (OP["install"], ACTION["bundle_install"], VERDICT["deny"], REASON["signature"])
TAKEN = (OP["open"], ACTION["bundle_open"], VERDICT["allow"], 0)


@pytest.fixture
def logd(machine: Make) -> Machine:
    """Alone, on the machine of bundlemgrd."""
    made = machine("test-bundles", modules=Keeping.modules({}))
    made.start("logd")
    made.run()
    return made


def tell(asker: Asker, about: tuple[int, int, int, int], name: bytes = b"selftest.one", facet: int = FACET) -> Answer:
    return asker.ask(asker.given("logd", facet), BUNDLE, struct.pack("<BHBB", *about) + name)


def bundles(machine: Machine) -> list[Record]:
    rows = Keeping.records(machine)
    return [row for row in rows if row.kind == AUDIT.kinds["bundle"]]


def test_keeper_tells_what_became_of_a_bundle(logd: Machine) -> None:
    keeper = Asker(logd, "bundlemgrd")
    assert tell(keeper, REFUSED) == Answer(STATUS["ok"], b"")
    (row,) = bundles(logd)
    assert (row.op, row.action, row.verdict, row.reason) == REFUSED
    assert row.target.rstrip(b"\0") == b"selftest.one"
    assert (row.subject, row.via, row.via_ix) == (service_id("bundlemgrd"), 0, AUDIT.nobody)


@pytest.mark.parametrize("name", ["keystored", "rngd", "init", "probe"])
def test_nobody_else_tells_of_bundles(logd: Machine, name: str) -> None:
    assert tell(Asker(logd, name), REFUSED) == Answer(STATUS["denied"], b"")
    assert bundles(logd) == []


def test_no_app_tells_of_bundles(logd: Machine) -> None:
    app = Asker.app(logd, "bundlemgrd")
    assert tell(app, REFUSED) == Answer(STATUS["denied"], b"")
    assert bundles(logd) == []


def test_keeper_needs_the_facet(logd: Machine) -> None:
    assert (
        tell(Asker(logd, "bundlemgrd"), REFUSED, facet=CONTRACT.number("facet.logd.append")).status == STATUS["denied"]
    )


NO_OUTCOMES = {
    "allowed for a reason": (OP["install"], ACTION["bundle_install"], VERDICT["allow"], REASON["signature"]),
    "refused for none": (OP["install"], ACTION["bundle_install"], VERDICT["deny"], 0),
    "refused for an unknown reason": (
        OP["install"],
        ACTION["bundle_install"],
        VERDICT["deny"],
        max(REASON.values()) + 1,
    ),
    "no verdict": (OP["install"], ACTION["bundle_install"], VERDICT["none"], 0),
    "malformed": (OP["install"], ACTION["bundle_install"], VERDICT["malformed"], 1),
    "an action of others": (OP["install"], ACTION["keystore_purge"], VERDICT["allow"], 0),
    "a list": (OP["list"], ACTION["bundle_list"], VERDICT["allow"], 0),
}


@pytest.mark.parametrize("about", NO_OUTCOMES.values(), ids=NO_OUTCOMES)
def test_what_can_become_of_no_bundle_is_not_recorded(logd: Machine, about: tuple[int, int, int, int]) -> None:
    assert tell(Asker(logd, "bundlemgrd"), about).status == STATUS["malformed"]
    assert bundles(logd) == []


@pytest.mark.parametrize(("name", "status"), [(b"a" * 33, "too_large"), (b"a\0b", "malformed")])
def test_what_is_no_name_is_not_recorded(logd: Machine, name: bytes, status: str) -> None:
    assert tell(Asker(logd, "bundlemgrd"), REFUSED, name).status == STATUS[status]
    assert bundles(logd) == []


def test_the_same_again_is_counted_and_is_no_decision(logd: Machine) -> None:
    keeper = Asker(logd, "bundlemgrd")
    for about in (TAKEN, TAKEN, REFUSED, TAKEN, REFUSED):
        assert tell(keeper, about).status == STATUS["ok"]
    other = replace(bundles(logd)[0], target=b"")
    assert tell(keeper, TAKEN, b"selftest.two").status == STATUS["ok"]
    assert [(row.reason, row.count) for row in bundles(logd)] == [(0, 3), (REASON["signature"], 2), (0, 1)]
    assert other.count == 3
    head = Asker(logd, "init").given("logd", CONTRACT.number("facet.logd.head"))
    answer = Asker(logd, "init").ask(head, CONTRACT.number("op.logd.head"))
    assert struct.unpack_from("<QQ", answer.payload)[1] == 0


def test_records_of_bundles_outlive_logd(logd: Machine) -> None:
    keeper = Asker(logd, "bundlemgrd")
    tell(keeper, TAKEN)
    tell(keeper, TAKEN)
    logd.crash("logd", logd.contract.FAULT_MEMORY)
    logd.start("logd")
    logd.run()
    tell(Asker(logd, "bundlemgrd"), TAKEN)
    assert [row.count for row in bundles(logd)] == [3]


def test_whom_it_is_about_is_the_kernels_word(machine: Make) -> None:
    kept = Keeping(machine("test-bundles", modules=Keeping.modules({})))
    assert kept.install(GOOD) == STATUS["ok"]
    rows = bundles(kept.machine)
    client, keeper = (kept.machine.process(name).row for name in ("probe", "bundlemgrd"))
    assert {(row.subject, row.subject_ix, row.via, row.via_ix) for row in rows} == {
        (client.service_id, client.index, keeper.service_id, keeper.index)
    }
