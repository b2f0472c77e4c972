"""Apps that try all that an app can, started in the normal way, beside a client who wants answers all the while.

Scenario: one boot of system test-hostile with some eighty signed bundles, time counted in instructions. The host judges by what it reads
itself: the kernel's lines, every capability table and page table at some two hundred moments, the audit trail. Nothing counts that an app says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import APP_TWIN, APP_TWIN_OF, FOLDER, SERVICE_TWIN, TWIN_OF, Case, all_cases
from crafted import Signer
from evidence import Evidence, Look, look, recipe_of, watch

from nexus.audit.record import Record
from nexus.audit.trail import verify
from nexus.contract.load import load_contract
from nexus.errors import NexusError
from nexus.layout import contract_dir, find_root
from nexus.machine.argv import Rng
from nexus.machine.capreasons import Reasons, audited_opens, audited_routes, route_rights, stated_in, wrong
from nexus.machine.captables import Holder
from nexus.machine.debugger import attached
from nexus.machine.kernelview import KernelView
from nexus.machine.live import Machine
from nexus.machine.session import Session
from nexus.machine.target import launch_of, prepare
from nexus.policy.evaluate import Evaluator, load_evaluator
from nexus.recipe.check import load_system
from nexus.recipe.model import service_id

if TYPE_CHECKING:
    from tests.os.conftest import Clone

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
EXACT = (
    "shift=0"  # time is a count of instructions but where all are idle, so that a busy host makes hardly anybody late
)
LATE = CONTRACT.number("limit.tick_hz") // 20  # as guest/test/runner/probes.py gives everybody
SHARE = CONTRACT.number("limit.app_share")
WAKES_ITSELF = "dropd"  # it has a way to do so
TELL_REFUSALS = {"policyd", "keystored"}
CROWD = ("flood", "loop", "number")  # what guest/test/runner starts once more, all at one time
NOISE = 3000  # lines that guest/apps/hostile/noise.py writes
NOT_ONLY = -1  # no verdict: denied, though policy allows it
REFUSED = ("id-", "twin-")
PLANTED = "planted"
SEEN = (
    "hostile",
    "handles",
    "ops-keystored",
    "names",
    "names-bare",
    "behalf",
    "labels",
    "noise",
    "flood",
    "loop",
    "others",
)
APP_BIT = CONTRACT.number("audit.app")
NOBODY = CONTRACT.number("audit.nobody")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """The one boot. At its end a capability is planted in its memory, so that the last look has something to find."""
    folder = tmp_path_factory.mktemp("hostile")
    prepare(ROOT, "default", build=True, progress=lambda _text: None)  # the runtime that apps run on
    cases = all_cases(ROOT, CONTRACT, folder, ROOT / "build" / "runtime" / "service" / "service.elf")
    return boot_with(ROOT, cases, folder, at_end=plant)


def boot_with(root: Path, cases: list[Case], folder: Path, at_end: Callable[[Machine], None] | None = None) -> Evidence:
    """A boot of that clone with these cases, to its end."""
    recipe = recipe_of(root, CONTRACT, cases, folder)
    target = prepare(root, str(recipe), build=True, progress=lambda _text: None)
    launch = replace(launch_of(target, CONTRACT, rng=Rng()), icount=EXACT)
    found = Evidence(cases, load_system(str(recipe), root, CONTRACT), CONTRACT)
    with Session(root, target.system, launch) as session:
        machine = Machine(session, target, CONTRACT)
        try:
            watch(machine, found)
            if at_end is not None:
                at_end(machine)
                found.looks.append(look(machine, found, "", PLANTED))
        except (NexusError, AssertionError):
            print("\n".join(machine.evidence()))
            raise
    return found


def plant(machine: Machine) -> None:
    """One capability more for rngd: the whole system."""
    view = KernelView(machine.target.elf, machine.read_phys)
    at = view.process(view.index_of("rngd")) + view.member("process", "caps")[0] + 60 * view.size("cap")
    with attached(machine.session) as debugger:
        debugger.write(at + view.member("cap", "type")[0], bytes([CONTRACT.number("obj.system")]))
        debugger.write(at + view.member("cap", "rights")[0], bytes([CONTRACT.number("right.use")]))


@pytest.fixture(scope="module")
def evaluator(evidence: Evidence) -> Evaluator:
    return load_evaluator(evidence.system, CONTRACT, ROOT)


def honest(evidence: Evidence) -> list[Look]:
    return [one for one in evidence.looks if one.moment != PLANTED]


def ran(evidence: Evidence) -> list[Case]:
    return [case for case in evidence.cases if case.installs]


# ---- no right beyond the manifest ------------------------------------------------------------------------------------


def unexplained(evidence: Evidence, evaluator: Evaluator) -> Iterator[tuple[Look, list[str]]]:
    """What each look found. Routes and opens are those of all looks until then: a ring may have dropped some since."""
    routes: Counter[tuple[int, str]] = Counter()
    opened: frozenset[int] = frozenset()
    rights = route_rights(evidence.system, evaluator)
    for one in evidence.looks:
        routes |= audited_routes(one.trail, evidence.system, CONTRACT)
        opened |= audited_opens(one.trail)
        yield one, wrong(one.tables, Reasons(evidence.system, CONTRACT, routes, opened, rights))


def test_every_capability_is_explained_at_every_moment(evidence: Evidence, evaluator: Evaluator) -> None:
    found = {(one.label, one.moment): lines for one, lines in unexplained(evidence, evaluator) if lines}
    planted = found.pop(("", PLANTED), [])
    assert found == {}
    assert planted == ["rngd: slot 60: system 0 with use, badge 0x0, which nothing explains"]


def apps_seen(evidence: Evidence, label: str) -> list[Holder]:
    name = f"app:{evidence.by_label[label].app_id}"
    holders = (holder for one in honest(evidence) for holder in one.tables.holders.values())
    return [holder for holder in holders if holder.name == name]


def test_apps_were_looked_at_while_they_lived(evidence: Evidence) -> None:
    for label in SEEN:
        assert apps_seen(evidence, label), label


def test_manifest_that_asks_for_routes_has_them_and_no_other_has_any(evidence: Evidence) -> None:
    first = 3  # console, notification, init
    assert max(len(holder.slots) for holder in apps_seen(evidence, "names")) >= first + len(evidence.system.app_routes)
    assert {len(holder.slots) for holder in apps_seen(evidence, "names-bare")} == {first}


def test_no_page_of_an_app_is_shared_with_anybody_who_can_write(evidence: Evidence) -> None:
    assert {one.label: one.shared for one in honest(evidence) if one.shared} == {}


def test_each_decision_about_an_app_is_what_policy_and_its_manifest_say(
    evidence: Evidence, evaluator: Evaluator
) -> None:
    """A record does not tell "rngd" from "rngd" and a zero, so what is allowed may be denied as well, but not only denied."""
    allow, deny = (CONTRACT.number(f"audit_verdict.{name}") for name in ("allow", "deny"))
    said: dict[tuple[str, str, str], set[int]] = {}
    wrong_ones = []
    for row, case in decided(evidence):
        asked = what(evidence, row)
        said.setdefault((case.label, *asked), set()).add(row.verdict)
        if row.verdict == allow and not allows(evidence, evaluator, row, case):
            wrong_ones.append((case.label, *asked, "allowed"))
        elif row.verdict == deny and allows(evidence, evaluator, row, case):
            said[case.label, *asked].add(NOT_ONLY)
    wrong_ones += [
        (*asked, "denied") for asked, verdicts in said.items() if NOT_ONLY in verdicts and allow not in verdicts
    ]
    assert wrong_ones == []


def decided(evidence: Evidence) -> Iterator[tuple[Record, Case]]:
    """Decisions about apps, each with the case that it is about."""
    cases = {service_id(f"app:{case.app_id}"): case for case in ran(evidence)}
    kind = CONTRACT.number("audit_kind.decision")
    for row in evidence.records:
        if row.kind == kind and row.subject_ix & APP_BIT:
            yield row, cases[row.subject]


def what(evidence: Evidence, row: Record) -> tuple[str, str]:
    """Action and target."""
    names = {number: name for name, number in evidence.looks[0].trail.form.actions.items()}
    return names.get(row.action, "no.action"), row.target.rstrip(b"\0").decode("latin-1")


def allows(evidence: Evidence, evaluator: Evaluator, row: Record, case: Case) -> bool:
    """The host's own decision on the same question."""
    asker = None if row.via_ix == NOBODY else evidence.system.processes[row.via_ix].id_name
    return evaluator.decide(f"app:{case.app_id}", *what(evidence, row), (), asker, case.mask(CONTRACT)).allow


# ---- whatever reached a gate is on record ----------------------------------------------------------------------------

GATED = {
    "ops-init": {"route", "run.phase", "system.stats", "system.shutdown"},
    "ops-rngd": {"rng.entropy"},
    "ops-keystored": {
        "device.keygen", "device.pubkey.read", "device.key.destroy", "device.key.export", "crypto.sign", "crypto.verify", "keystore.kv",
        "keystore.purge",
    },
    "ops-execd": {"proc.exec"},
    "ops-bundlemgrd": {"bundle.list", "bundle.verify", "bundle.install", "bundle.uninstall", "bundle.open"},
    "ops-policyd": {"route", "proc.exec"},
    "others": {"proc.exec", "bundle.list", "bundle.verify", "bundle.install", "bundle.uninstall", "bundle.open", "keystore.purge"},
    "flood": {"route", "system.stats", "rng.entropy", "keystore.kv", "crypto.sign", "bundle.list", "proc.exec"},
    "behalf": {"proc.exec", "device.keygen", "keystore.kv", "rng.entropy", "system.shutdown", "bundle.uninstall"},
    "names-bare": {"route"},
    "claim": {"device.keygen", "route"},
}  # fmt: skip
ALLOWED = {"route", "rng.entropy", "keystore.kv"}


@pytest.mark.parametrize("label", GATED)
def test_what_an_app_tried_is_in_the_audit_about_that_app(evidence: Evidence, label: str) -> None:
    names = {number: name for name, number in evidence.looks[0].trail.form.actions.items()}
    rows = [row for row, case in decided(evidence) if case.label == label]
    assert GATED[label] <= {names.get(row.action, "") for row in rows}
    allow = CONTRACT.number("audit_verdict.allow")
    assert {names[row.action] for row in rows if row.verdict == allow} <= ALLOWED


def test_app_without_capabilities_is_allowed_nothing(evidence: Evidence) -> None:
    allow = CONTRACT.number("audit_verdict.allow")
    assert [case.label for row, case in decided(evidence) if row.verdict == allow and not case.actions] == []


def test_trail_is_whole_and_counts_what_policyd_counts(evidence: Evidence) -> None:
    last = honest(evidence)[-1].trail
    assert [str(finding) for finding in verify(last)] == []
    counts = re.search(r"^runner: counts((?: [0-9a-f]{16}){4})$", "\n".join(evidence.console), re.MULTILINE)
    assert counts is not None
    decisions, allows, denials, fallbacks = (int(word, 16) for word in counts[1].split())
    assert decisions == allows + denials == last.decisions + fallbacks


# ---- it dies alone ---------------------------------------------------------------------------------------------------


def test_nobody_but_apps_has_stopped(evidence: Evidence) -> None:
    assert evidence.code is None
    names = {f"app:{case.app_id}" for case in ran(evidence)} | {"app:selftest.hostile-alias"}
    assert set(evidence.faults) <= names
    twice = {evidence.by_label[label].label_of_app for label in CROWD}
    assert {label for label, times in evidence.faults.items() if times > 1} <= twice
    restarted = CONTRACT.number("audit_kind.restart")
    assert [row for row in evidence.records if row.kind == restarted] == []
    assert not [line for line in evidence.console if re.match(r"kernel: panic|init: (unavailable|not ready)", line)]


def test_each_app_ends_as_it_must(evidence: Evidence) -> None:
    causes = {number: name for name, number in CONTRACT.table("fault").items()}
    found = {}
    for case in ran(evidence):
        over = evidence.said("over", case.label)
        if over is None or causes[over["cause"]] not in case.ends:
            found[case.label] = "no end" if over is None else causes[over["cause"]]
    assert found == {}


def test_kernel_says_where_a_wild_app_went(evidence: Evidence) -> None:
    """By the kernel's own line: the very address, so the attack was what it was meant to be."""
    text = "\n".join(evidence.console)
    for case in ran(evidence):
        if case.at is not None:
            line = rf"^kernel: fault label={re.escape(case.label_of_app)} cause=memory value={case.at:016x} pc="
            assert re.search(line, text, re.MULTILINE), case.label


def test_share_holds_an_endless_loop(evidence: Evidence) -> None:
    """It had what it may have, and hardly more than that."""
    used = evidence.said("used", "loop")
    assert used is not None
    assert 0.8 * SHARE < 1000 * used["cpu"] / used["elapsed"] < 1.2 * SHARE


def test_nothing_is_left_of_them(evidence: Evidence) -> None:
    """No process, no sealed region but that of the one still installed, and with nobody but the client more than it had at first."""
    last = honest(evidence)[-1].tables
    rows = evidence.system.processes
    assert set(last.holders) == set(range(len(rows)))
    more = {row.name for row in rows if len(last.holders[row.index].slots) > len(row.capabilities)}
    assert more <= {"runner", WAKES_ITSELF}
    kept = {stated_in(region, CONTRACT) for region in last.regions if region.sealed}
    assert {stated.name for stated in kept if stated} == {"app:selftest.hostile-quiet"}
    assert None not in kept


# ---- others keep their deadlines -------------------------------------------------------------------------------------


def test_everybody_is_answered_in_time_whatever_the_app_does(evidence: Evidence) -> None:
    found = {}
    for case in ran(evidence):
        asked = evidence.said("asked", case.label)
        if asked is None or asked["failed"] or asked["slowest"] >= LATE or not asked["rounds"]:
            found[case.label] = asked
    assert found == {}


def test_client_was_at_it_all_the_while(evidence: Evidence) -> None:
    for label in ("loop", "noise", "flood", "number"):
        asked = evidence.said("asked", label)
        assert asked is not None
        assert asked["rounds"] > 20, label


def test_three_apps_at_one_time_make_nobody_late(evidence: Evidence) -> None:
    asked = evidence.said("asked", "crowd")
    assert asked is not None
    assert (asked["failed"], asked["slowest"] < LATE, asked["rounds"] > 20) == (0, True, True)
    crowd = [one.tables.holders for one in evidence.looks if one.label == "crowd"]
    services = len(evidence.system.processes)
    assert [len([index for index in holders if index >= services]) for holders in crowd] == [len(CROWD)] * 2


# ---- names -----------------------------------------------------------------------------------------------------------


def test_twins_are_twins() -> None:
    assert service_id(f"app:{SERVICE_TWIN}") == service_id(TWIN_OF)
    assert service_id(f"app:{APP_TWIN}") == service_id(APP_TWIN_OF)


def test_bundle_with_a_name_that_is_not_its_own_is_neither_installed_nor_started(evidence: Evidence) -> None:
    labels = [case.label for case in evidence.cases if not case.installs]
    assert len(labels) == len([case for case in evidence.cases if case.label.startswith(REFUSED)])
    for label in labels:
        for word in ("install", "alias", "exec"):
            said = evidence.said(word, label)
            assert said is not None, (word, label)
            assert said["status"] != CONTRACT.number("status.ok"), (word, label)
        assert evidence.said("at", label) is None


@pytest.mark.parametrize(("label", "target"), [("twin-of-service", SERVICE_TWIN), ("twin-of-app", APP_TWIN)])
def test_twin_is_refused_for_what_it_is(evidence: Evidence, label: str, target: str) -> None:
    assert evidence.by_label[label].app_id == target
    collision = CONTRACT.number("bundle_refusal.collision")
    rows = [row for row in evidence.records if row.kind == CONTRACT.number("audit_kind.bundle")]
    assert collision in {row.reason for row in rows if row.target.rstrip(b"\0") == target.encode()}


TAKES = ("        if self._is_taken(new):", "        if False:")  # in guest/services/bundlemgrd/shelf.py


def test_kernel_refuses_a_twin_that_bundlemgrd_would_take(clone: Clone, tmp_path: Path) -> None:
    clone.edit("guest/services/bundlemgrd/shelf.py", *TAKES)
    signer = Signer(clone.root, CONTRACT)
    twin = Case("twin", tmp_path / "twin.nxb", SERVICE_TWIN)
    twin.path.write_bytes(signer.file(SERVICE_TWIN, b"\0"))
    found = boot_with(clone.root, [Case("hostile", clone.root / FOLDER, "selftest.hostile-quiet"), twin], tmp_path)
    assert found.said("install", "twin") == {"status": CONTRACT.number("status.ok")}
    assert found.said("exec", "twin") == {"status": CONTRACT.number("status.exists")}


# ---- the console -----------------------------------------------------------------------------------------------------


def test_nobody_writes_under_another_label(evidence: Evidence) -> None:
    own = evidence.by_label["labels"].label_of_app
    lines = [line for line in evidence.console if "FORGED" in line]
    assert len(lines) > 200
    assert {line.startswith((f"{own}: ", f"{own}| ")) for line in lines} == {True}
    labels = {row.label for row in evidence.system.processes} | {"kernel"}
    labels |= {case.label_of_app for case in ran(evidence)}
    assert {re.split(r": |\| ", line)[0] for line in evidence.console} <= labels
    assert not [line for line in evidence.console if line.startswith("SELFTEST")]


def test_flood_of_the_console_costs_lines_of_its_writer_alone(evidence: Evidence) -> None:
    """Each line that it wrote is there or counted as lost. Others lose none, but for those who tell of each refusal, which is on record too:
    a host that is slow to read has room for so many."""
    own = evidence.by_label["noise"].label_of_app
    lost = Counter[str]()
    for line in evidence.console:
        if found := re.fullmatch(r"kernel: console lost label=(\S+) lines=(\d+)", line):
            lost[found[1]] += int(found[2])
    said = sum(line.startswith(f"{own}: ") for line in evidence.console)
    assert said + lost.pop(own, 0) == NOISE
    assert set(lost) <= TELL_REFUSALS


def test_every_case_was_tried(evidence: Evidence) -> None:
    for case in evidence.cases:
        said = evidence.said("install", case.label)
        assert said is not None, case.label
        assert (said["status"] == CONTRACT.number("status.ok")) == case.installs, case.label
        if case.installs:
            assert evidence.said("exec", case.label) == {"status": CONTRACT.number("status.ok")}, case.label
