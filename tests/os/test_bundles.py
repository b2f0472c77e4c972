"""Bundles on the booted system: every wrong one is refused in the same words and with its true reason on record, what changes behind
bundlemgrd's back is noticed, and what it keeps outlives it.

Scenario: system test-bundles, the default system with a process in the host's hand that has every right to bundles that policy gives the
selftest. The trail is read by the host.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from nxb import (
    CONTENTS,
    CONTENTS_FROM,
    CONTRACT,
    FORM,
    GOOD,
    OP,
    PAGE,
    PUBLISHERS,
    REASONS,
    STATUS,
    cut,
    flipped,
    made,
    puts,
    wrong,
)

from nexus import cli
from nexus.audit.record import Record
from nexus.bundle.model import BundleRefused
from nexus.bundle.sign import verify_trusted
from nexus.layout import find_root
from nexus.machine.debugger import attached
from nexus.machine.kernelview import KernelView
from nexus.machine.live import Machine
from nexus.machine.probe import Answer, Probe
from nexus.plugin import Boot
from nexus.recipe.check import load_system
from nexus.recipe.model import service_id

SYSTEM = load_system("test-bundles", find_root(), CONTRACT)
MARKS = {row.name: f"{row.label}: {row.text}" for row in CONTRACT.markers}
CLIENT, ONE = "selftest-client", b"selftest.one"
PHASE = CONTRACT.table("line")["phase"]
STRIDE = 4  # of the bytes that are flipped on the machine


class Bundles:
    """The booted system, and who brings bundles."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.expect(f"init: {PHASE}{CONTRACT.phases[0]} ")
        self.probe = Probe(machine, "probe")
        names = [cap.name for cap in SYSTEM.process("probe").capabilities]
        self.server = CONTRACT.number("handle.boot") + names.index("BUNDLEMGRD")
        self.view = KernelView(machine.target.elf, machine.read_phys)

    def ask(self, name: str, payload: bytes = b"", accept: int = 0) -> Answer:
        return self.probe.ask(self.server, OP[name], payload, accept)

    def stage(self, data: bytes, ident: bytes = ONE) -> None:
        assert self.ask("stage", struct.pack("<I", len(data)) + ident).status == STATUS["ok"]
        assert {self.ask("put", payload).status for payload in puts(data)} <= {STATUS["ok"]}

    def install(self, data: bytes, ident: bytes = ONE) -> Answer:
        self.stage(data, ident)
        return self.ask("install", ident)

    def listed(self) -> list[tuple[bytes, tuple[int, ...]]]:
        rows: list[tuple[bytes, tuple[int, ...]]] = []
        while (answer := self.ask("list", bytes([len(rows)]))).status == STATUS["ok"]:
            rows.append((answer.payload[33:], struct.unpack_from("<III", answer.payload)))
        return rows

    def refused(self) -> list[Record]:
        """Of the refusals of bundles to the one in hand, by number."""
        trail = self.machine.trail()
        form = trail.form
        rows = [row for _, row in trail.records if row.kind == form.kinds["bundle"] and row.reason]
        assert {row.subject for row in rows} <= {service_id(CLIENT)}
        assert {(row.via, row.verdict) for row in rows} <= {(service_id("bundlemgrd"), form.verdicts["deny"])}
        return rows

    def reasons(self) -> list[str]:
        """In their order: what follows its like is counted there."""
        return [REASONS[row.reason] for row in self.refused() for _ in range(row.count)]

    def region(self, number: int) -> int:
        """Where in physical memory that region of bundlemgrd begins; the first ones of the system are its."""
        place = self.view.symbol("regions") + number * self.view.size("region")
        offset, size = self.view.member("region", "base")
        return int.from_bytes(self.machine.read_phys(place + offset, size), "little")


@pytest.fixture
def bundles(boot: Boot) -> Bundles:
    return Bundles(boot("test-bundles"))


def host_reason(data: bytes) -> str:
    with pytest.raises(BundleRefused) as refused:
        verify_trusted(FORM, data, PUBLISHERS)
    return refused.value.reason


def check_refused(bundles: Bundles, files: Iterable[bytes], expected: list[str]) -> None:
    """All in the same words, none of them installed, each on record with its reason."""
    before = len(bundles.reasons())
    words = {(answer.status, answer.payload) for answer in map(bundles.install, files)}
    assert words == {(STATUS["denied"], b"")}
    assert bundles.reasons()[before:] == expected
    assert bundles.listed() == []


def test_reject_every_wrong_bundle(bundles: Bundles, tmp_path: Path) -> None:
    cases = [(name, reason, data) for name, reason, data in wrong() if len(data) <= PAGE]
    check_refused(bundles, [data for _, _, data in cases], [reason for _, reason, _ in cases])
    assert {"unknown", "revoked", "prefix", "signature_form", "digest", "format", "trailing", "actions"} <= {
        reason for _, reason, _ in cases
    }
    out = tmp_path / "trail.jsonl"
    assert cli.main(["audit", "export", "--machine", bundles.machine.session.run.id, "--out", str(out)]) == 0
    bundles.machine.close()
    assert cli.main(["audit", "verify", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()[1:]]
    told = Counter({row["reason"]: 0 for row in rows if row["kind"] == "bundle"})
    for row in rows:
        if row["kind"] == "bundle" and row["verdict"] == "deny":
            told[row["reason"]] += row["count"]
    assert +told == Counter(reason for _, reason, _ in cases)


def test_reject_flipped_bytes_of_manifest_and_signature(bundles: Bundles) -> None:
    """One in four, from another place in each of four quarters, and the first ones of each reason; every single byte goes through the same
    modules and the same C in tests/guest/test_bundlemgrd_reject.py."""
    files = list(flipped())
    assert len(files) == CONTENTS_FROM
    reasons = [host_reason(data) for data in files]
    chosen = {at for at in range(CONTENTS_FROM) if at % STRIDE == at * STRIDE // CONTENTS_FROM}
    chosen |= {reasons.index(reason) for reason in reasons}
    check_refused(bundles, [files[at] for at in sorted(chosen)], [reasons[at] for at in sorted(chosen)])


def test_reject_truncated_at_every_16_bytes(bundles: Bundles) -> None:
    files = list(cut())
    check_refused(bundles, files, ["truncated"] * len(files))


def test_reject_what_is_right_and_may_not_be(bundles: Bundles) -> None:
    """Another name, an older version, the same one again, a fifth of one publisher, not all of it, nothing at all."""
    assert bundles.install(GOOD).status == STATUS["ok"]
    for data in (GOOD, made(version=(0, 9, 9)), made(id="selftest.two")):
        assert bundles.install(data).status == STATUS["denied"]
    for number in range(3):
        name = f"selftest.{number}"
        assert bundles.install(made(id=name), name.encode()).status == STATUS["ok"]
    assert bundles.install(made(id="selftest.3"), b"selftest.3").status == STATUS["denied"]
    assert bundles.ask("stage", struct.pack("<I", len(GOOD)) + ONE).status == STATUS["ok"]
    assert bundles.ask("install", ONE).status == STATUS["denied"]
    assert bundles.ask("open", b"selftest.9").status == STATUS["not_found"]
    assert bundles.ask("open", b"dev.one").status == STATUS["denied"]
    assert bundles.reasons() == ["older", "older", "name", "quota", "incomplete", "absent"]
    assert bundles.install(made(version=(1, 0, 1))).status == STATUS["ok"]
    assert sorted(bundles.listed()) == sorted(
        [(f"selftest.{n}".encode(), (1, 0, 0)) for n in range(3)] + [(ONE, (1, 0, 1))]
    )


def test_reject_content_changed_between_check_and_open(bundles: Bundles) -> None:
    assert bundles.install(GOOD).status == STATUS["ok"]
    start = bundles.region(0)
    assert bundles.machine.read_phys(start, CONTENTS_FROM) == GOOD[:CONTENTS_FROM]
    assert bundles.machine.read_phys(start + PAGE, len(CONTENTS)) == CONTENTS
    for at in (0, 150, CONTENTS_FROM - 1, PAGE, PAGE + len(CONTENTS) - 1):
        flip(bundles.machine, start + at)
        answer = bundles.ask("open", ONE, accept=1)
        assert (answer.status, answer.payload, answer.received) == (STATUS["denied"], b"", 0)
        flip(bundles.machine, start + at)
    assert bundles.reasons() == ["changed"] * 5
    answer = bundles.ask("open", ONE, accept=1)
    assert answer.status == STATUS["ok"]
    assert answer.received


def flip(machine: Machine, address: int) -> None:
    with attached(machine.session) as debugger:
        debugger.write(address, bytes([debugger.read(address, 1)[0] ^ 1]))


def test_what_is_installed_outlives_its_keeper(bundles: Bundles) -> None:
    assert bundles.install(GOOD).status == STATUS["ok"]
    assert bundles.install(made(id="selftest.two"), b"selftest.two").status == STATUS["ok"]
    bundles.stage(made(id="selftest.three"), b"selftest.three")
    view, machine = bundles.view, bundles.machine
    place = view.process(view.index_of("bundlemgrd")) + view.member("process", "frame")[0]
    flip(machine, bundles.region(1) + PAGE)
    with attached(machine.session) as debugger:
        debugger.write(place, bytes(8))
    whole = struct.pack("<BBHI", 1, OP["list"], 1, 7) + b"\0"
    told = [bundles.probe.send(bundles.server, whole).kernel for _ in range(2)]
    assert told == [CONTRACT.number("e.peer_died"), CONTRACT.number("e.restarted")]
    assert "kernel: fault label=bundlemgrd" in machine.log
    assert bundles.listed() == [(ONE, (1, 0, 0))]
    assert bundles.ask("open", ONE, accept=1).status == STATUS["ok"]
    assert bundles.ask("open", b"selftest.two").status == STATUS["not_found"]
    assert bundles.ask("install", b"selftest.three").status == STATUS["denied"]
    trail = machine.trail()
    own = [row for _, row in trail.records if row.kind == trail.form.kinds["bundle"] and not row.via]
    assert [(row.target.rstrip(b"\0"), REASONS.get(row.reason, "")) for row in own] == [
        (ONE, ""),
        (b"unknown", "digest"),
    ]
