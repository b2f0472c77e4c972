"""bundlemgrd on the simulated machine, with the real policyd, logd and keystored around it: what it takes, keeps, hands out and lets go."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from nxb import ACTION, CONTENTS, CONTRACT, FORM, GOOD, PAGE, REASON, REQUESTS, SELFTEST, STATUS, STRANGER, made, puts
from shims.asker import Asker
from shims.bundles import Keeping, trust
from shims.machine import Machine

Make = Callable[..., Machine]
Keep = Callable[..., Keeping]
ONE = b"selftest.one"
KEY_ID = int.from_bytes(FORM.key_id(SELFTEST.public_key().public_bytes_raw()), "little")
KV = CONTRACT.table("op.keystored")
MASK = sum(1 << request.action for request in REQUESTS)


@pytest.fixture
def keeping(machine: Make) -> Keep:
    def make(bundled: Mapping[str, bytes] | None = None, trusted: str = "", **rest: Any) -> Keeping:
        return Keeping(machine("test-bundles", modules=Keeping.modules(bundled or {}, trusted), **rest))

    return make


@pytest.fixture
def kept(keeping: Keep) -> Keeping:
    return keeping()


def listed(kept: Keeping) -> list[tuple[str, tuple[int, int, int], int]]:
    """Id, version, and whether it is gone."""
    return [(row[5].decode(), row[0], row[4]) for row in kept.listed()]


# ---- in, and handed out ----------------------------------------------------------------------------------------------


def test_what_is_right_is_installed_and_handed_out(kept: Keeping) -> None:
    assert kept.install(GOOD) == STATUS["ok"]
    assert kept.listed() == [((1, 0, 0), KEY_ID, MASK, len(GOOD), 0, ONE)]
    status, handle = kept.open()
    assert status == STATUS["ok"]
    assert handle is not None
    assert [(op, action, name, reason) for op, action, name, reason, _ in kept.outcomes()] == [
        ("stage", "bundle_verify", "selftest.one", ""),
        ("install", "bundle_install", "selftest.one", ""),
        ("open", "bundle_open", "selftest.one", ""),
    ]


def test_what_is_handed_out_can_be_read_and_nothing_else(kept: Keeping) -> None:
    kept.install(GOOD)
    kernel, contract = kept.asker.kernel, kept.machine.contract
    _, handle = kept.open()
    assert handle is not None
    assert kernel.info(handle)[:2] == (contract.OBJ_REGION, contract.RIGHT_MAP_R)
    view = kernel.region_map(handle, False)
    assert bytes(view[: len(GOOD) - len(CONTENTS)]) == GOOD[: -len(CONTENTS)]
    assert bytes(view[PAGE : PAGE + len(CONTENTS)]) == CONTENTS
    with pytest.raises(kernel.Error) as refused:
        kernel.region_map(handle, True)
    assert refused.value.args[0] == contract.E_BAD_RIGHT


def test_largest_bundle_comes_in_by_many_puts(kept: Keeping) -> None:
    contents = hashlib.sha256(b"x").digest() * (FORM.contents_max // 32)
    assert kept.install(made(contents=contents)) == STATUS["ok"]
    assert bytes(kept.region(0)[PAGE:]) == contents
    assert kept.open()[0] == STATUS["ok"]


def test_pieces_of_any_size_are_taken(kept: Keeping) -> None:
    for number, size in enumerate((1, 7, 13, 200)):
        data = made(version=(2, number, 0))
        assert kept.ask("stage", struct.pack("<I", len(data)) + ONE).status == STATUS["ok"]
        assert {kept.ask("put", payload).status for payload in puts(data, size)} == {STATUS["ok"]}
        assert kept.ask("install", ONE).status == STATUS["ok"]
    assert listed(kept) == [("selftest.one", (2, 3, 0), 0)]


def test_verify_leaves_it_staged(kept: Keeping) -> None:
    assert kept.stage(GOOD) == STATUS["ok"]
    assert [kept.ask("verify", ONE).status for _ in range(2)] == [STATUS["ok"]] * 2
    assert kept.listed() == []
    assert kept.open()[0] == STATUS["not_found"]
    assert kept.ask("install", ONE).status == STATUS["ok"]
    assert kept.ask("install", ONE).status == STATUS["denied"], "it is staged no more"


def test_region_is_sealed_before_it_is_judged(kept: Keeping) -> None:
    kept.stage(GOOD)
    assert not kept.machine.region_of("bundlemgrd", 0).sealed
    kept.ask("verify", ONE)
    assert kept.machine.region_of("bundlemgrd", 0).sealed


def test_newer_version_takes_the_place_of_the_older(kept: Keeping) -> None:
    for version in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0)):
        assert kept.install(made(version=version)) == STATUS["ok"]
        assert listed(kept) == [("selftest.one", version, 0)]
    held = [number for number in range(8) if any(kept.region(number))]
    assert len(held) == 1, "what was replaced is zeroed"


def test_version_that_runs_stays_until_its_last_user_is_gone(kept: Keeping) -> None:
    kept.install(GOOD)
    _, handle = kept.open()
    assert handle is not None
    assert kept.install(made(version=(2, 0, 0))) == STATUS["ok"]
    assert listed(kept) == [("selftest.one", (1, 0, 0), 1), ("selftest.one", (2, 0, 0), 0)]
    _, newer = kept.open()
    assert newer is not None
    assert bytes(kept.asker.kernel.region_map(newer, False)[120:124]) == b"\2\0\0\0"
    kept.asker.kernel.drop(handle)
    assert listed(kept) == [("selftest.one", (2, 0, 0), 0)]
    assert not any(kept.region(0))


# ---- out -------------------------------------------------------------------------------------------------------------


def put_value(app: Asker, key: bytes) -> None:
    assert app.ask(app.given("keystored"), KV["put"], bytes([len(key)]) + key + b"value").status == STATUS["ok"]


def app_of(kept: Keeping, bundle: str = "selftest.one", publisher: int = KEY_ID) -> Asker:
    return Asker.app(kept.machine, bundle, mask=1 << ACTION["keystore_kv"], publisher=publisher)


def has_value(app: Asker, key: bytes = b"key") -> bool:
    status = app.ask(app.given("keystored"), KV["get"], key).status
    assert status in (STATUS["ok"], STATUS["not_found"])
    return bool(status == STATUS["ok"])


def test_what_is_uninstalled_is_gone_with_what_its_app_had_stored(kept: Keeping) -> None:
    kept.install(GOOD)
    kept.install(made(id="selftest.two"), b"selftest.two")
    app, other = app_of(kept), app_of(kept, "selftest.two")
    put_value(app, b"key")
    put_value(other, b"key")
    assert kept.ask("uninstall", ONE).status == STATUS["ok"]
    assert kept.open()[0] == STATUS["not_found"]
    assert kept.ask("uninstall", ONE).status == STATUS["not_found"]
    assert listed(kept) == [("selftest.two", (1, 0, 0), 0)]
    assert (has_value(app), has_value(other)) == (False, True)
    assert not any(kept.region(0))
    assert kept.install(GOOD) == STATUS["ok"], "an older version is no downgrade of what is not there"


def test_values_of_the_same_name_by_another_publisher_stay(kept: Keeping) -> None:
    kept.install(GOOD)
    other = app_of(kept, publisher=KEY_ID + 1)
    put_value(other, b"key")
    assert kept.ask("uninstall", ONE).status == STATUS["ok"]
    assert has_value(other)


def test_what_is_uninstalled_in_use_is_purged_again_at_its_last_use(kept: Keeping) -> None:
    kept.install(GOOD)
    _, handle = kept.open()
    assert handle is not None
    app = app_of(kept)
    put_value(app, b"key")
    assert kept.ask("uninstall", ONE).status == STATUS["ok"]
    assert not has_value(app), "at once"
    assert kept.open()[0] == STATUS["not_found"], "at once too"
    put_value(app, b"key")
    assert listed(kept) == [("selftest.one", (1, 0, 0), 1)]
    assert has_value(app)
    assert kept.install(made(version=(3, 0, 0))) == STATUS["denied"], "its name is taken until then"
    assert kept.outcomes()[-1][3] == "quota"
    kept.asker.kernel.drop(handle)
    assert listed(kept) == []
    assert not has_value(app)
    assert kept.install(GOOD) == STATUS["ok"]


def test_last_use_is_noticed_when_nobody_asks(kept: Keeping) -> None:
    kept.install(GOOD)
    _, handle = kept.open()
    assert handle is not None
    kept.ask("uninstall", ONE)
    kept.ask("put", bytes(4))
    kept.asker.kernel.drop(handle)
    assert any(kept.region(0))
    kept.machine.run()
    assert not any(kept.region(0))


def test_every_running_version_is_purged_when_the_name_goes(kept: Keeping) -> None:
    kept.install(GOOD)
    _, first = kept.open()
    kept.install(made(version=(2, 0, 0)))
    assert first is not None
    kept.ask("uninstall", ONE)
    app = app_of(kept)
    put_value(app, b"key")
    kept.asker.kernel.drop(first)
    assert listed(kept) == []
    assert not has_value(app)


# ---- room ------------------------------------------------------------------------------------------------------------


def names(count: int) -> list[str]:
    return [f"selftest.{number}" for number in range(count)]


def test_reject_more_bundles_than_a_publisher_may_have(kept: Keeping) -> None:
    most = CONTRACT.number("limit.bundle_publisher")
    for name in names(most):
        assert kept.install(made(id=name), name.encode()) == STATUS["ok"]
    assert kept.install(made(id="selftest.more"), b"selftest.more") == STATUS["denied"]
    assert kept.outcomes()[-1][:4] == ("install", "bundle_install", "selftest.more", "quota")
    assert kept.install(made(id=names(1)[0], version=(1, 0, 1)), names(1)[0].encode()) == STATUS["ok"]
    kept.ask("uninstall", names(1)[0].encode())
    assert kept.install(made(id="selftest.more"), b"selftest.more") == STATUS["ok"]


def test_reject_more_bundles_than_leave_room_to_stage_in(keeping: Keep) -> None:
    kept = keeping(trusted=trust((SELFTEST, "selftest."), (STRANGER, "selftest.")))
    rooms = CONTRACT.number("limit.regions")
    for number, name in enumerate(names(rooms - 1)):
        key = SELFTEST if number % 2 else STRANGER
        assert kept.install(made(key, id=name), name.encode()) == STATUS["ok"]
    last = names(rooms)[-1]
    assert kept.install(made(id=last), last.encode()) == STATUS["denied"]
    assert kept.outcomes()[-1][:4] == ("install", "bundle_install", last, "quota")
    assert len(kept.listed()) == rooms - 1
    assert kept.install(made(STRANGER, id=names(1)[0], version=(9, 0, 0)), names(1)[0].encode()) == STATUS["ok"]


def test_reject_what_there_is_no_region_for(kept: Keeping) -> None:
    handles = []
    for number in range(CONTRACT.number("limit.regions")):
        assert kept.install(made(version=(1, number, 0))) == STATUS["ok"]
        handles.append(kept.open()[1])
    assert kept.ask("stage", struct.pack("<I", len(GOOD)) + ONE).status == STATUS["denied"]
    assert kept.outcomes()[-1][:4] == ("stage", "bundle_verify", "selftest.one", "quota")
    assert handles[0] is not None
    kept.asker.kernel.drop(handles[0])
    assert kept.ask("stage", struct.pack("<I", len(GOOD)) + ONE).status == STATUS["ok"]


# ---- with the image --------------------------------------------------------------------------------------------------


def test_bundles_of_the_image_are_installed_at_start(keeping: Keep) -> None:
    kept = keeping({"one": GOOD, "two": made(id="selftest.two", version=(0, 1, 0))})
    assert listed(kept) == [("selftest.one", (1, 0, 0), 0), ("selftest.two", (0, 1, 0), 0)]
    assert kept.open()[0] == STATUS["ok"]
    row = kept.machine.process("bundlemgrd").row
    named = [one for one in kept.records(kept.machine) if one.target.startswith(b"selftest.")]
    assert {(one.subject, one.via) for one in named[:2]} == {(row.service_id, 0)}
    assert [one[:4] for one in kept.outcomes()][:2] == [
        ("install", "bundle_install", "selftest.one", ""),
        ("install", "bundle_install", "selftest.two", ""),
    ]
    assert kept.machine.said("bundlemgrd") == []


def test_wrong_bundle_of_the_image_is_told_and_left_out(keeping: Keep) -> None:
    kept = keeping({"a": made(STRANGER), "b": GOOD, "c": GOOD})
    assert listed(kept) == [("selftest.one", (1, 0, 0), 0)]
    said = [CONTRACT.table("line")["image_bundle"] + f"{REASON[reason]:02x}" for reason in ("unknown", "older")]
    assert kept.machine.said("bundlemgrd") == said
    assert [one[2:4] for one in kept.outcomes()] == [
        ("unknown", "unknown"),
        ("selftest.one", ""),
        ("selftest.one", "older"),
    ]
