"""What bundlemgrd refuses: each wrong bundle and each wrong request, with the same bytes to whoever asked and the true reason on record."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from nxb import (
    ACTION,
    CONTENTS,
    CONTENTS_FROM,
    CONTRACT,
    FORM,
    GOOD,
    MANIFEST_END,
    OP,
    PAGE,
    PUBLISHERS,
    PUT,
    SELFTEST,
    SESSION,
    STALE,
    STATUS,
    STRANGER,
    cut,
    flipped,
    made,
    wrong,
)
from shims.asker import Answer, Asker, frame
from shims.bundles import Keeping, trust
from shims.crypto import Crypto
from shims.machine import Machine
from shims.store import FORM as AUDIT

from nexus.bundle.model import BundleRefused
from nexus.bundle.sign import verify_trusted

Make = Callable[..., Machine]
DENIED = Answer(STATUS["denied"], b"")
ONE, TWO = b"selftest.one", b"selftest.two"
WRONG = {name: (reason, data) for name, reason, data in wrong()}
JUDGING = ("verify", "install")
ABOUT_ONE = ("verify", "install", "uninstall", "open")
# Two names of the same service id as apps; they come from firmware/test/proof/proof.h.
TWINS = (b"1r4osegpddz0c", b"tvjwr2brgkbkd")


@pytest.fixture
def kept(machine: Make) -> Keeping:
    return Keeping(machine("test-bundles", modules=Keeping.modules({})))


def refusal(kept: Keeping, op: str, ident: bytes = ONE, by: Asker | None = None) -> str:
    """The answer has to be the one that every refusal is; why, by the one record that there is of it."""
    kept.news()
    assert kept.ask(op, ident, by) == DENIED
    ((said, action, name, reason),) = kept.news()
    assert (said, action, name) == (op, f"bundle_{op}", ident.decode())
    return reason


# ---- wrong bundles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", JUDGING)
@pytest.mark.parametrize("name", WRONG)
def test_reject_wrong_bundle(kept: Keeping, name: str, op: str) -> None:
    reason, data = WRONG[name]
    kept.install(made(version=(0, 9, 0)))
    assert kept.stage(data) == STATUS["ok"]
    assert refusal(kept, op) == reason
    assert [row[0] for row in kept.listed()] == [(0, 9, 0)], "what was there stays"


def host_reason(data: bytes) -> str:
    with pytest.raises(BundleRefused) as refused:
        verify_trusted(FORM, data, PUBLISHERS)
    return refused.value.reason


@pytest.mark.parametrize(
    "files", [flipped, cut], ids=["every_byte_of_manifest_and_signature_flipped", "truncated_at_every_16_bytes"]
)
def test_reject_with_the_reason_that_the_host_has(kept: Keeping, files: Callable[[], Iterator[bytes]]) -> None:
    for data in files():
        assert kept.stage(data) == STATUS["ok"]
        assert kept.ask("install", ONE) == DENIED
    reasons = Counter(reason for op, _, _, reason in kept.news() if op == "install")
    assert reasons == Counter(host_reason(data) for data in files())
    assert kept.listed() == []


def test_reject_what_was_not_all_put(kept: Keeping) -> None:
    for size in range(0, len(GOOD), 50):
        assert kept.ask("stage", struct.pack("<I", len(GOOD)) + ONE).status == STATUS["ok"]
        if size:
            assert kept.ask("put", bytes(4) + GOOD[:size]).status == STATUS["ok"]
        assert refusal(kept, "install") == "incomplete"
        assert kept.ask("put", struct.pack("<I", size) + GOOD[size:]) == DENIED, "its session is over"


def test_reject_larger_than_any_bundle(kept: Keeping) -> None:
    most = CONTRACT.number("limit.app_romfs_pages") * PAGE + 168 + 16 * 99 + 64
    for size in (most + 1, 1 << 24, (1 << 32) - 1):
        assert kept.ask("stage", struct.pack("<I", size) + ONE) == DENIED
        assert kept.outcomes()[-1][:4] == ("stage", "bundle_verify", "selftest.one", "too_large")
        assert kept.ask("put", bytes(4) + b"x") == DENIED
    assert kept.ask("stage", struct.pack("<I", most) + ONE).status == STATUS["ok"]


@pytest.mark.parametrize("version", [(1, 0, 0), (0, 9, 9), (0, 0, 1)])
def test_reject_older_or_same_version(kept: Keeping, version: tuple[int, int, int]) -> None:
    assert kept.install(GOOD) == STATUS["ok"]
    kept.stage(made(version=version))
    assert refusal(kept, "install") == "older"
    assert [row[0] for row in kept.listed()] == [(1, 0, 0)]


def test_reject_other_name_than_asked_for(kept: Keeping) -> None:
    kept.stage(GOOD, TWO)
    assert refusal(kept, "install", TWO) == "name"
    kept.stage(GOOD, ONE)
    assert refusal(kept, "install", TWO) == "name"
    kept.stage(GOOD, TWO)
    assert refusal(kept, "install", ONE) == "name"
    assert kept.listed() == []


def test_reject_newer_version_of_another_publisher(machine: Make) -> None:
    both = trust((SELFTEST, "selftest."), (STRANGER, "selftest."))
    kept = Keeping(machine("test-bundles", modules=Keeping.modules({}, both)))
    kept.install(GOOD)
    kept.stage(made(STRANGER, version=(2, 0, 0)))
    assert refusal(kept, "install") == "other"
    assert [row[0] for row in kept.listed()] == [(1, 0, 0)]


def test_reject_id_that_collides_with_an_installed_one(machine: Make) -> None:
    """The one came with the image, under a name that no request could give it; the other comes too."""
    bundled = {"a": made(id=TWINS[0].decode()), "b": made(id=TWINS[1].decode())}
    kept = Keeping(machine("test-bundles", modules=Keeping.modules(bundled, trust((SELFTEST, "")))))
    assert [one[2:4] for one in kept.outcomes()] == [(TWINS[0].decode(), ""), (TWINS[1].decode(), "collision")]


def test_reject_id_that_collides_with_a_service(machine: Make) -> None:
    made_machine = machine("test-bundles", modules=Keeping.modules({}))
    twin = made_machine.process("probe")
    kept = Keeping(made_machine)
    module = "SUBJECT_IDS"
    assert module in caps_of(kept, twin.row.index, "app:selftest.one")
    kept.stage(GOOD)
    assert refusal(kept, "install") == "collision"


def caps_of(kept: Keeping, index: int, name: str) -> str:
    """Start bundlemgrd where the process of that index has the service id of that name."""
    from nexus.image.caps import caps_module
    from nexus.recipe.model import service_id

    machine = kept.machine
    rows = list(machine.system_row.processes)
    rows[index] = replace(rows[index], service_id=service_id(name))
    changed = replace(machine.system_row, processes=tuple(rows))
    text = caps_module(changed, machine.process("bundlemgrd").row, machine.loaded_contract)
    machine.modules["bundlemgrd"] = {**machine.modules["bundlemgrd"], "caps": text}
    kept.crash("bundlemgrd")
    kept.start("bundlemgrd")
    return text


# ---- what changes behind the back ------------------------------------------------------------------------------------


def test_reject_content_changed_between_check_and_open(kept: Keeping) -> None:
    kept.install(GOOD)
    end = PAGE + len(CONTENTS)
    for at in [*range(0, CONTENTS_FROM, 7), MANIFEST_END, CONTENTS_FROM - 1, *range(PAGE, end, 5), end - 1]:
        kept.region(0)[at] ^= 1
        assert refusal(kept, "open") == "changed", at
        kept.region(0)[at] ^= 1
    assert kept.open()[0] == STATUS["ok"]


def test_reject_content_changed_between_verify_and_install(kept: Keeping) -> None:
    kept.stage(GOOD)
    assert kept.ask("verify", ONE).status == STATUS["ok"]
    kept.region(0)[PAGE] ^= 1
    assert refusal(kept, "install") == "digest"
    assert kept.listed() == []


# ---- wrong requests --------------------------------------------------------------------------------------------------


def test_reject_put_by_another_than_the_one_who_staged(kept: Keeping) -> None:
    others = Asker(kept.machine, "dropd"), Asker(kept.machine, "init"), Asker.app(kept.machine, "selftest.one")
    kept.ask("stage", struct.pack("<I", len(GOOD)) + ONE)
    for other in others:
        assert kept.ask("put", bytes(4) + GOOD, other) == DENIED
    assert kept.ask("put", bytes(4) + GOOD).status == STATUS["ok"]
    assert refusal(kept, "verify", by=others[0]) == "incomplete"
    assert kept.ask("install", ONE).status == STATUS["ok"]


def test_reject_put_that_nobody_staged(kept: Keeping) -> None:
    assert kept.ask("put", bytes(4) + GOOD) == DENIED
    kept.install(GOOD)
    assert kept.ask("put", bytes(4) + GOOD) == DENIED


def test_reject_puts_out_of_order_and_beyond_the_size(kept: Keeping) -> None:
    kept.ask("stage", struct.pack("<I", len(GOOD)) + ONE)
    wanted = [
        (1, GOOD[1:9], "malformed"),
        (0, b"", "malformed"),
        (0, GOOD + b"x", "too_large"),
        (0, bytes(PUT + 1), "too_large"),
        (0, GOOD[:100], "ok"),
        (0, GOOD[:100], "malformed"),
        (101, GOOD[101:], "malformed"),
        ((1 << 32) - 1, GOOD[100:], "malformed"),
        (100, GOOD[100:] + b"x", "too_large"),
        (100, GOOD[100:], "ok"),
        (len(GOOD), b"", "malformed"),
        (len(GOOD), b"x", "too_large"),
    ]
    for offset, data, status in wanted:
        assert kept.ask("put", struct.pack("<I", offset) + data) == Answer(STATUS[status], b""), (offset, len(data))
    assert kept.ask("install", ONE).status == STATUS["ok"]


def test_reject_put_behind_the_check(kept: Keeping) -> None:
    kept.stage(GOOD)
    kept.ask("verify", ONE)
    assert kept.ask("put", bytes(4) + GOOD).status == STATUS["too_large"]
    assert kept.ask("put", struct.pack("<I", len(GOOD))).status == STATUS["malformed"]
    assert kept.ask("install", ONE).status == STATUS["ok"]


def test_session_is_nobody_elses_until_it_is_given_up(kept: Keeping) -> None:
    other = Asker(kept.machine, "dropd")
    start = struct.pack("<I", len(GOOD)) + ONE
    kept.ask("stage", start)
    kept.later(STALE - 1000)
    assert kept.ask("stage", start, other).status == STATUS["exists"]
    assert kept.outcomes()[-1][:4] == ("stage", "bundle_verify", "selftest.one", "quota")
    assert kept.ask("put", bytes(4) + GOOD[:100]).status == STATUS["ok"]
    kept.later(STALE - 1000)
    assert kept.ask("stage", start, other).status == STATUS["exists"]
    kept.later(1001)
    assert kept.ask("stage", start, other).status == STATUS["ok"]
    assert kept.ask("put", struct.pack("<I", 100) + GOOD[100:]) == DENIED
    assert not any(kept.region(0)), "nothing of the one before is left"
    assert kept.ask("put", bytes(4) + GOOD, other).status == STATUS["ok"]
    assert kept.ask("verify", ONE, other).status == STATUS["ok"]


@pytest.mark.parametrize("begins_again", [False, True])
def test_session_that_is_dragged_out_is_somebody_elses_in_the_end(kept: Keeping, begins_again: bool) -> None:
    other = Asker(kept.machine, "dropd")
    start = struct.pack("<I", 200_000) + ONE
    begun = kept.machine.now
    assert kept.ask("stage", start).status == STATUS["ok"]
    for number in range(1000):
        kept.later(STALE - 1000)
        if kept.ask("stage", start, other).status == STATUS["ok"]:
            break
        if begins_again:
            assert kept.ask("stage", start).status == STATUS["ok"]
        else:
            assert kept.ask("put", struct.pack("<I", number) + b"x").status == STATUS["ok"]
    assert begun + SESSION < kept.machine.now < begun + SESSION + 2 * STALE
    assert kept.ask("put", bytes(4) + b"x") == DENIED


def test_the_same_one_can_begin_again(kept: Keeping) -> None:
    kept.ask("stage", struct.pack("<I", 1000) + ONE)
    kept.ask("put", bytes(4) + bytes(400))
    assert kept.install(GOOD) == STATUS["ok"]
    assert kept.ask("uninstall", ONE).status == STATUS["ok"]


NO_IDS = (b"", b"a" * 33, b"a" * 500, b"selftest.One", b"selftest one", b"selftest.\0", b"-\n", b"\xff", b"../one")


@pytest.mark.parametrize("op", ABOUT_ONE)
def test_reject_what_is_no_id(kept: Keeping, op: str) -> None:
    for ident in NO_IDS:
        assert kept.ask(op, ident) == DENIED, ident


def test_reject_what_is_no_id_though_policy_allows_everything(kept: Keeping) -> None:
    drop = Asker(kept.machine, "dropd")
    for ident in NO_IDS:
        payload = bytes(4) + ident[:496]
        assert kept.ask("stage", payload, drop) == DENIED
        assert kept.outcomes()[-1][:4] == ("stage", "bundle_verify", "unknown", "id")


# ---- who may ask -----------------------------------------------------------------------------------------------------


def test_reject_unauthorised_with_nothing_told(kept: Keeping) -> None:
    """Whether it is installed, staged by somebody or unknown: an asker without the right hears the same."""
    kept.install(GOOD)
    kept.stage(made(id=TWO.decode()), TWO)
    before = kept.outcomes()
    app = Asker.app(kept.machine, "one", mask=(1 << 62) - 1)
    for asker in (Asker(kept.machine, "init"), app):
        for ident in (ONE, TWO, b"selftest.three", b"dev.one", b"", b"a" * 33):
            for op in ABOUT_ONE:
                assert kept.ask(op, ident, asker) == DENIED
            assert kept.ask("stage", bytes(4) + ident, asker) == DENIED
        assert {kept.ask("list", bytes([row]), asker) for row in (0, 1, 255)} == {DENIED}
    assert kept.outcomes() == before, "policyd's record is the only one"
    assert kept.ask("install", TWO).status == STATUS["ok"], "the session of another is as it was"


@pytest.mark.parametrize("op", ABOUT_ONE)
def test_reject_ids_that_policy_gives_to_nobody(kept: Keeping, op: str) -> None:
    assert kept.ask(op, b"dev.one") == DENIED
    decision = [one for one in kept.records(kept.machine) if one.kind == AUDIT.kinds["decision"]][-1]
    deny = AUDIT.verdicts["deny"]
    assert (decision.verdict, decision.action, decision.target.rstrip(b"\0")) == (
        deny,
        ACTION[f"bundle_{op}"],
        b"dev.one",
    )


def test_what_is_not_there_is_told_to_those_who_may_ask(kept: Keeping) -> None:
    for op in ("open", "uninstall"):
        assert kept.ask(op, ONE) == Answer(STATUS["not_found"], b"")
        assert kept.outcomes()[-1][:4] == (op, f"bundle_{op}", "selftest.one", "absent")


def test_request_of_another_form_is_malformed(kept: Keeping) -> None:
    for op, payload in (("list", b""), ("list", b"\0\0"), ("stage", b"\0\0\0"), ("put", b"\0\0\0")):
        assert kept.ask(op, payload) == Answer(STATUS["malformed"], b"")
    message = frame(OP["open"], ONE, 7)
    assert kept.asker.send(kept.asker.given("bundlemgrd", 1), message)[2] == STATUS["denied"]
    unknown = kept.asker.ask(kept.asker.given("bundlemgrd"), max(OP.values()) + 1)
    assert unknown.status == STATUS["unsupported"]


# ---- who does not answer ---------------------------------------------------------------------------------------------


def test_nothing_happens_that_can_not_be_recorded(kept: Keeping) -> None:
    kept.install(GOOD)
    kept.stage(made(id=TWO.decode()), TWO)
    before = kept.listed()
    kept.crash("logd")
    for op, ident in (("install", TWO), ("verify", TWO), ("open", ONE), ("uninstall", ONE), ("open", TWO)):
        assert kept.ask(op, ident).status == STATUS["unavailable"], op
    assert kept.ask("stage", struct.pack("<I", len(GOOD)) + ONE).status == STATUS["unavailable"]
    assert kept.ask("put", bytes(4) + GOOD) == DENIED, "it did not begin"
    assert kept.listed() == before
    kept.start("logd")
    assert kept.open()[0] == STATUS["ok"]


def test_what_can_not_be_purged_is_gone_all_the_same(kept: Keeping) -> None:
    kept.install(GOOD)
    kept.crash("keystored")
    assert kept.ask("uninstall", ONE).status == STATUS["unavailable"]
    assert kept.open()[0] == STATUS["not_found"]
    assert [row[4:] for row in kept.listed()] == [(1, ONE)]
    kept.start("keystored")
    assert kept.listed() == []


def test_reject_everything_without_policyd(kept: Keeping) -> None:
    kept.install(GOOD)
    kept.crash("policyd")
    for op in ABOUT_ONE:
        assert kept.ask(op, ONE) == DENIED
    assert kept.ask("stage", struct.pack("<I", len(GOOD)) + ONE) == DENIED
    assert kept.ask("list", b"\0") == DENIED
    kinds = {one.kind for one in kept.records(kept.machine) if one.seq > 0}
    assert AUDIT.kinds["enforce_deny"] in kinds


def test_nothing_is_judged_before_the_region_is_sealed(kept: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hashes contents or checks a signature finds the region sealed."""
    region = kept.machine.region_of("bundlemgrd", 0)
    seen: list[tuple[str, bool]] = []

    def watched(name: str) -> Callable[..., object]:
        real = getattr(Crypto, name)

        def look(self: Crypto, *data: bytes) -> object:
            if name == "verify" or bytes(data[0]) in (CONTENTS, GOOD[24:56]):
                seen.append((name, region.sealed))
            return real(self, *data)

        return look

    for name in ("sha256", "verify"):
        monkeypatch.setattr(Crypto, name, watched(name))
    for op in JUDGING:
        seen.clear()
        kept.stage(GOOD)
        assert kept.ask(op, ONE).status == STATUS["ok"]
        assert {name for name, _ in seen} == {"sha256", "verify"}
        assert all(sealed for _, sealed in seen)
        kept.ask("uninstall", ONE)
