"""The audit trail of the booted system: the verbs on a live machine, its first records against the manifest, its decisions against the
console; and a logd that dies, with its trail whole and with its trail changed behind its back.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nexus import cli
from nexus.contract.load import load_contract
from nexus.image.manifest import Manifest, load_manifest
from nexus.layout import contract_dir, find_root
from nexus.machine.debugger import Debugger, attached
from nexus.machine.kernelview import PAGE, KernelView
from nexus.machine.live import Machine
from nexus.plugin import Boot

CONTRACT = load_contract(contract_dir(find_root()))
LINES = CONTRACT.table("line")
KEEP = {"flags": str(CONTRACT.number("flag.keep"))}
MARKERS = {row.name: f"{row.label}: {row.text}" for row in CONTRACT.markers}
UP, DECIDER_UP, LOGD_UP = MARKERS["init_ready"], MARKERS["policyd_ready"], MARKERS["logd_ready"]
ENDED = f"init: {LINES['phase']}{CONTRACT.phases[-1]}"
KEPT = CONTRACT.number("va.kept")
RECORD = CONTRACT.number("audit.record_bytes")
# The entropy device is so slow that bring-up takes seconds: time to lay hands on logd, which init calls once more at its end.
SLOW = "max-bytes=64,period=100"


def manifest_of(machine: Machine) -> Manifest:
    return load_manifest(machine.target.elf.with_name("manifest.json"))


def audit(machine: Machine, *words: str) -> int:
    return cli.main(["audit", words[0], "--machine", machine.session.run.id, *words[1:]])


def rows_of(machine: Machine, folder: Path, *words: str) -> list[dict[str, Any]]:
    out = folder / "show.json"
    assert audit(machine, "show", *words, "--json", str(out)) == 0
    rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
    return rows


def granted(manifest: Manifest) -> Counter[tuple[int, str, str]]:
    """Holder, its service id and the name of the route of each capability by which somebody can call somebody at once, or has apps do so."""
    endpoint, call = CONTRACT.number("obj.endpoint"), CONTRACT.number("right.call")
    grant, apps = CONTRACT.number("right.grant"), CONTRACT.number("badge.any_app")
    receive, shift = CONTRACT.number("right.recv"), CONTRACT.number("badge.facet_shift")
    owners = {
        cap.object: row.name
        for row in manifest.processes
        for cap in row.capabilities
        if cap.type == endpoint and cap.rights & receive
    }
    found: Counter[tuple[int, str, str]] = Counter()
    for row in manifest.processes:
        for cap in row.capabilities:
            for_apps = cap.rights == call | grant and int(cap.badge, 16) & (1 << shift) - 1 == apps
            if cap.type == endpoint and (cap.rights == call or for_apps):
                server, facet = owners[cap.object], int(cap.badge, 16) >> shift
                names = {number: name for name, number in CONTRACT.table(f"facet.{server.replace('-', '_')}").items()}
                names |= {CONTRACT.number("badge.facet_ready"): "ready"}
                found[row.index, row.service_id, f"{server}:{names[facet]}" if facet else server] += 1
    return found


def test_first_records_are_the_grants_of_the_manifest(boot: Boot, tmp_path: Path) -> None:
    machine = boot("default")
    machine.expect(UP)
    manifest = manifest_of(machine)
    grants = [row for row in rows_of(machine, tmp_path) if row["kind"] == "boot_grant"]
    assert Counter((row["subject_ix"], row["subject"], row["target"]) for row in grants) == granted(manifest)
    assert [row["seq"] for row in grants] == list(range(1, len(grants) + 1))
    assert {(row["verdict"], row["action"]) for row in grants} == {("allow", "route")}
    assert all(row["rule"] for row in grants)


def test_export_of_a_live_machine_verifies_alone(
    boot: Boot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = boot(fw_cfg=KEEP)
    machine.expect(ENDED)
    out = tmp_path / "trail.jsonl"
    assert audit(machine, "verify") == 0
    head = re.search(r"^head ([0-9a-f]{16}:[0-9a-f]{64})$", capsys.readouterr().out, re.MULTILINE)
    assert head is not None
    assert audit(machine, "export", "--out", str(out)) == 0
    machine.close()
    assert cli.main(["audit", "verify", "--head", head[1], str(out)]) == 0
    lines = out.read_text(encoding="utf-8").splitlines(keepends=True)
    assert json.loads(lines[0])["run"] == machine.nonce
    out.write_text("".join(lines[:-1]), encoding="utf-8")
    assert cli.main(["audit", "verify", "--head", head[1], str(out)]) == 1


def test_trail_has_every_decision_that_the_console_tells(boot: Boot, tmp_path: Path) -> None:
    machine = boot(fw_cfg=KEEP)
    machine.expect(ENDED)
    said = Counter(re.findall(r"^policyd: (allow|deny) \(subject=(\S+) action=(\S+)\)", machine.log, re.MULTILINE))
    names = {row.service_id: row.id_name for row in manifest_of(machine).processes}
    rows = [row for row in rows_of(machine, tmp_path) if row["kind"] == "decision"]
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        verdict = "allow" if row["verdict"] == "allow" else "deny"
        action = row["action"] if isinstance(row["action"], str) else LINES["unknown"]
        subject = LINES["app"] if row["subject_ix"] & CONTRACT.number("audit.app") else names[row["subject"]]
        counted[verdict, subject, action] += row["count"]
    assert said
    assert counted == said


def test_show_picks_what_was_asked_for(boot: Boot, tmp_path: Path) -> None:
    machine = boot(fw_cfg=KEEP)
    machine.expect(ENDED)
    prover = next(row for row in manifest_of(machine).processes if row.label == "SELFTEST")
    mine = rows_of(machine, tmp_path, "--subject", prover.id_name, "--verdict", "allow", "--action", "rng.entropy")
    assert mine
    assert {(row["subject"], row["verdict"], row["action"]) for row in mine} == {
        (prover.service_id, "allow", "rng.entropy")
    }
    later = rows_of(machine, tmp_path, "--since", str(mine[-1]["seq"]))
    assert min(row["seq"] for row in later) == mine[-1]["seq"]


def test_head_at_the_end_of_a_run_is_on_the_console(boot: Boot) -> None:
    machine = boot()
    assert machine.wait(60) is not None
    pattern = rf"^logd: {LINES['audit_head']}[0-9a-f]{{16}}{LINES['audit_hash']}[0-9a-f]{{64}}$"
    assert len(re.findall(pattern, machine.log, re.MULTILINE)) == 1


# ---- logd dies -------------------------------------------------------------------------------------------------------


def stop_logd(debugger: Debugger, view: KernelView) -> None:
    """Its next instruction will be at no address of its own: the first word of a process's saved registers is its pc."""
    place = view.process(view.index_of("logd")) + view.member("process", "frame")[0]
    assert int.from_bytes(debugger.read(place, 8), "little") != 0
    debugger.write(place, bytes(8))


def test_trail_goes_on_after_the_death_of_logd(boot: Boot, tmp_path: Path) -> None:
    machine = boot(rng=SLOW, fw_cfg=KEEP)
    machine.expect(DECIDER_UP)
    view = KernelView(machine.target.elf, machine.read_phys)
    with attached(machine.session) as debugger:
        stop_logd(debugger, view)
    machine.expect("kernel: fault label=logd")
    machine.expect(LOGD_UP)  # the next one; init starts it once it has closed the phase
    rows = rows_of(machine, tmp_path)
    (restart,) = [row for row in rows if row["kind"] == "restart" and row["via_ix"] == CONTRACT.number("audit.nobody")]
    logd = next(row for row in manifest_of(machine).processes if row.name == "logd")
    assert (restart["subject"], restart["subject_ix"]) == (logd.service_id, logd.index)
    assert {row["kind"] for row in rows if row["seq"] < restart["seq"]} == {"boot_grant"}
    assert len([row for row in rows if row["kind"] == "boot_grant"]) == sum(granted(manifest_of(machine)).values())
    assert audit(machine, "verify") == 0


def test_trail_that_was_changed_is_the_end_of_the_system(boot: Boot) -> None:
    machine = boot(rng=SLOW)
    machine.expect(DECIDER_UP)
    view = KernelView(machine.target.elf, machine.read_phys)
    slot = 2  # the second record about init
    place = view.translate(view.index_of("logd"), KEPT + slot * RECORD // PAGE * PAGE)
    assert place is not None
    place += slot * RECORD % PAGE + CONTRACT.number("audit_at.target")
    with attached(machine.session) as debugger:
        debugger.write(place, bytes([debugger.read(place, 1)[0] ^ 1]))
        stop_logd(debugger, view)
    end = machine.wait(60)
    assert f"logd: {LINES['audit_broken']}" in machine.log.splitlines()
    assert end is not None
    assert end.code == CONTRACT.number("exit.critical_died")
