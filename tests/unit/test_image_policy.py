"""What the builder does with a policy: the table in the image, routes and static grants decided, names in the guest's caps.

Scenario: systems in which rngd stands for whoever decides, since to the builder a decider is nothing but a row that says so.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus import layout
from nexus.cli import main
from nexus.contract.load import Contract
from nexus.errors import BuildError, RecipeError
from nexus.image import caps, manifest
from nexus.image.build import build_image
from nexus.image.contents import known_keys
from nexus.image.inspect import Finding, forbidden_symbols, inspect_image
from nexus.image.policy import grants_module, policy_of
from nexus.policy.evaluate import compile_policy, load_evaluator, refused_grants, route_name
from nexus.policy.universe import UNDECLARED_APP
from nexus.recipe import memory
from nexus.recipe.check import load_system
from nexus.recipe.model import PAGE, Process, System

DECIDER = "tests/recipes/good/decider_and_routes.toml"
SMALL = 'base = "default"\n[[process]]\nname = "rngd"\npolicy = true\n'


@pytest.fixture(scope="module")
def system(root: Path, contract: Contract) -> System:
    return load_system(str(root / DECIDER), root, contract)


def recipe(folder: Path, text: str) -> Path:
    path = folder / "decided.toml"
    path.write_text(text, encoding="utf-8")
    return path


def read_module(text: str) -> dict[str, Any]:
    """A generated module as the guest sees it."""
    names: dict[str, Any] = {"const": int}
    exec(text.replace("from micropython import const\n", ""), names)  # noqa: S102  # the generated module itself
    return names


# ---- the recipe ------------------------------------------------------------------------------------------------------


def test_gates_of_the_recipe_are_open_in_the_table(system: System, root: Path, contract: Contract) -> None:
    wanted = contract.number("gate.debug_image") | contract.number("gate.provisioning")
    assert load_evaluator(system, contract, root).open_gates == wanted
    closed = replace(system, gates=())
    assert load_evaluator(closed, contract, root).open_gates == 0
    assert compile_policy(system, contract, root)[1] != compile_policy(closed, contract, root)[1]


def test_root_gets_a_way_to_each_server_that_has_routes(system: System, contract: Contract) -> None:
    names = [cap.name for cap in system.root.capabilities]
    servers = {edge.server for process in system.processes for edge in process.routes}
    assert "keystored" not in servers, "only apps ask for it"
    servers |= {edge.server for edge in system.app_routes}
    assert {"logd", "rngd", "keystored"} <= servers
    wanted = [f"ROUTE_{process.name.upper()}" for process in system.processes if process.name in servers]
    assert names[names.index("SYSTEM") + 1 :] == wanted, "by dense index, once each"
    right = contract.table("right")
    for cap in system.root.capabilities[-len(wanted) :]:
        owner = system.processes[system.endpoints[cap.object]].name
        assert cap.name == f"ROUTE_{owner.upper()}"
        assert (cap.type, cap.badge, cap.rights) == ("endpoint", 0, right["call"] | right["grant"])


def test_nobody_else_gets_what_may_be_asked_for(system: System) -> None:
    for process in system.processes:
        if process is not system.root:
            assert not [cap.name for cap in process.capabilities if cap.name.startswith("ROUTE_")]
    asker = system.process("asker")
    assert asker.routes
    assert asker.capabilities == ()


def test_policy_costs_a_page_table_of_those_who_read_it(system: System, contract: Contract) -> None:
    rngd = system.process("rngd")
    with_policy = memory.table_pages(system, rngd, contract, 50, 4)
    assert memory.table_pages(system, replace(rngd, policy=False), contract, 50, 4) == with_policy - 1


# ---- static grants ---------------------------------------------------------------------------------------------------


def test_ready_questions_are_grants_too(system: System, root: Path, contract: Contract, tmp_path: Path) -> None:
    policy = policy_of(system, contract, root)
    assert policy is not None
    asked = [(grant.holder, grant.target) for grant in policy.grants]
    assert asked == [
        (process.index, route_name(edge))
        for process in system.processes
        for edge in (*process.calls, *([process.app_calls] if process.app_calls else []))
    ]
    assert (system.process("execd").index, "init") in asked, "every app's, which execd holds"
    assert (system.root.index, "rngd:ready") in asked
    base = (layout.policy_dir(root) / "base.toml").read_text(encoding="utf-8")
    assert base.count('target = "*:ready"') == 1
    rules = tmp_path / "rules.toml"
    rules.write_text(base.replace('target = "*:ready"', 'target = "logd:ready"'), encoding="utf-8")
    refused = refused_grants(system, load_evaluator(system, contract, root, [rules]))
    names = {route_name(one.edge) for one in refused}
    assert "rngd:ready" in names
    assert "logd:ready" not in names
    assert all(name.endswith(":ready") for name in names)


def test_grant_that_a_rule_denies_is_refused_with_that_rule(
    own_clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe(own_clone, SMALL)
    overlay = layout.policy_dir(own_clone) / "decided.toml"
    overlay.write_text(
        '# No log for rngd.\n[[rule]]\nsubject = "rngd"\naction = "route"\ntarget = "logd:append"\neffect = "deny"\n'
        'reason = "test"\n',
        encoding="utf-8",
    )
    assert main(["build-image", "--system", str(path)]) == 4
    said = capsys.readouterr().err
    where = "recipes/systems/services.toml:"
    assert f"nexus: {where}" in said
    assert "[process rngd] calls: found 'logd:append', which policy denies 'rngd' (rule " in said
    assert "recipes/policy/decided.toml:2), expected a route that it allows" in said
    assert not layout.image_path(own_clone, "decided").exists()


def test_system_in_which_nobody_decides_has_no_policy_and_is_not_judged(root: Path, contract: Contract) -> None:
    system = load_system("smoke", root, contract)
    assert policy_of(system, contract, root) is None
    decided = replace(system, processes=(replace(system.processes[0], policy=True), *system.processes[1:]))
    with pytest.raises(RecipeError, match="which policy denies 'ping'"):
        policy_of(decided, contract, root)


# ---- what the guest is told ------------------------------------------------------------------------------------------


def caps_of(system: System, process: Process, contract: Contract, names: list[str] | None = None) -> dict[str, Any]:
    return read_module(caps.caps_module(system, process, contract, 4321, names))


def test_sizes_are_those_of_the_row(system: System, contract: Contract) -> None:
    rngd = caps_of(system, system.process("rngd"), contract)
    count = len(system.processes)
    assert (rngd["KEPT_BYTES"], rngd["POLICY_BYTES"], rngd["PROCESS_COUNT"]) == (2 * PAGE, 4321, count)
    asker = caps_of(system, system.process("asker"), contract)
    assert (asker["KEPT_BYTES"], asker["POLICY_BYTES"], asker["PROCESS_COUNT"]) == (0, 0, count)


def test_subjects_are_the_id_names_by_dense_index(system: System, contract: Contract) -> None:
    known = caps_of(system, system.process("logd"), contract)
    assert known["SUBJECTS"][known["INDEX"]] == "logd"
    assert known["SUBJECTS"] == tuple(process.id_name for process in system.processes)


def test_routes_name_handle_and_facet(system: System, contract: Contract) -> None:
    known = caps_of(system, system.root, contract)
    wanted = {
        b"logd:append": (known["ROUTE_LOGD"], contract.number("facet.logd.append")),
        b"logd:query": (known["ROUTE_LOGD"], contract.number("facet.logd.query")),
        b"rngd": (known["ROUTE_RNGD"], contract.number("badge.facet_any")),
    }
    assert known["ROUTES"].items() >= wanted.items()
    edges = [edge for row in system.processes for edge in row.routes]
    assert set(known["ROUTES"]) == {route_name(edge).encode() for edge in (*edges, *system.app_routes)}
    assert b"logd:audit_own" in known["ROUTES"], "an app's"
    assert "ROUTES" not in caps_of(system, system.process("logd"), contract)


def test_root_without_routes_has_an_empty_table(root: Path, contract: Contract) -> None:
    system = load_system("smoke", root, contract)
    assert caps_of(system, system.root, contract)["ROUTES"] == {}


def test_only_names_that_are_used_are_there(system: System, contract: Contract) -> None:
    found = caps_of(system, system.root, contract, ["ROUTES", "KEPT_BYTES"])
    assert set(found) - {"__builtins__", "const"} == {"ROUTES", "KEPT_BYTES"}


def test_every_name_of_the_module_is_a_known_one(system: System, contract: Contract) -> None:
    for process in system.processes:
        found = set(caps_of(system, process, contract)) - {"__builtins__", "const"}
        assert found == set(caps.known_names(system, process, contract))


def test_boot_grants_say_holder_target_and_rule(system: System, root: Path, contract: Contract) -> None:
    policy = policy_of(system, contract, root)
    assert policy is not None
    module = read_module(grants_module(policy))
    rows = list(struct.iter_unpack(module["ROW"], module["GRANTS"]))
    assert len(rows) == sum(len(process.calls) for process in system.processes) + 1, "and what apps get"
    evaluator = load_evaluator(system, contract, root)
    for holder, service_id, action, number, target in rows:
        process, rule = system.processes[holder], evaluator.policy.rules[number - 1]
        assert (service_id, action) == (process.service_id, contract.number("action.route"))
        assert rule.allow
        assert "route" in rule.actions
        if process.app_calls and target.rstrip(b"\0").decode() == route_name(process.app_calls):
            assert rule.subject.matches(UNDECLARED_APP)
            continue
        assert rule.subject.matches(process.id_name)
        assert target.rstrip(b"\0").decode() in [route_name(edge) for edge in process.calls]


def test_boot_grants_of_a_system_without_policy_are_none() -> None:
    assert read_module(grants_module(None))["GRANTS"] == b""


def test_guest_code_gets_what_it_names_and_nothing_else(own_clone: Path) -> None:
    """In rngd, which decides in that system: the rules of boot_grants and of caps go into its ROMFS, unused ones do not."""
    main_py = own_clone / "guest/services/rngd/main.py"
    text = main_py.read_text(encoding="utf-8")
    more = "\nimport boot_grants\n_used = boot_grants.GRANTS, caps.SUBJECTS, caps.POLICY_BYTES, caps.KEPT_BYTES\n"
    main_py.write_text(text + more, encoding="utf-8")
    build_image(str(recipe(own_clone, SMALL)), own_clone, lambda _: None)
    files = (layout.system_dir(own_clone, "decided") / "parts/romfs_rngd.bin").read_bytes()
    assert b"boot_grants.mpy" in files
    assert b"rngd:ready" in files
    assert b"SUBJECTS" in files
    assert b"PROCESS_COUNT" not in files
    assert b"POLICY_BYTES" not in files, "a number is written where it is used"


def test_guest_code_that_names_what_it_has_not_is_refused(own_clone: Path) -> None:
    main_py = own_clone / "guest/services/rngd/main.py"
    main_py.write_text(main_py.read_text(encoding="utf-8") + "\n_routes = caps.ROUTES\n", encoding="utf-8")
    with pytest.raises(BuildError, match=r"caps\.ROUTES: found an unknown name, expected a name of \[process rngd\]"):
        build_image(str(recipe(own_clone, SMALL)), own_clone, lambda _: None)


# ---- the image -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(interpreters: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A decider's image: its manifest and where it lies."""
    path = recipe(tmp_path_factory.mktemp("policy"), 'gates = ["debug_image"]\n' + SMALL + 'routes = ["logd:stats"]\n')
    found = build_image(str(path), interpreters, lambda _: None)
    return SimpleNamespace(
        manifest=found, root=interpreters, image=layout.image_path(interpreters, "decided"), recipe=path
    )


def readers_of(found: manifest.Manifest) -> list[str]:
    return [row.name for row in found.processes if row.policy]


def inspect(built: SimpleNamespace, contract: Contract, found: manifest.Manifest) -> list[Finding]:
    names = forbidden_symbols(built.root)
    return inspect_image(
        built.image, found, contract, built.root / "build", names, known_keys(layout.find_root(), contract)
    )


def test_image_holds_the_compiled_table_at_the_start_of_a_page(built: SimpleNamespace, contract: Contract) -> None:
    found: manifest.Manifest = built.manifest
    table, digest = compile_policy(load_system(str(built.recipe), built.root, contract), contract, built.root)
    part = next(part for part in found.parts if part.name == "policy")
    assert (part.sha256, part.bytes, part.address % PAGE) == (digest, len(table), 0)
    assert (found.policy_digest, found.policy_bytes) == (digest, len(table))
    assert layout.policy_table_path(built.root, "decided").read_bytes() == table
    assert table in built.image.read_bytes()
    assert "rngd" in readers_of(found)
    assert {"init", "logd"}.isdisjoint(readers_of(found))
    assert "recipes/policy/base.toml" in found.inputs


def test_command_shows_table_readers_gates_and_routes(
    built: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(layout, "find_root", lambda: built.root)
    assert main(["inspect", str(built.image)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found: manifest.Manifest = built.manifest
    wanted = f"policy {found.policy_digest}, {found.policy_bytes} bytes, mapped by "
    assert f"{wanted}{', '.join(readers_of(found))}, gates debug_image" in lines
    routes = next(line for line in lines if line.startswith("routes handed out by init: "))
    assert "ROUTE_LOGD" in routes


def test_inspect_finds_the_policy_as_stated(built: SimpleNamespace, contract: Contract) -> None:
    assert [finding.problems for finding in inspect(built, contract, built.manifest) if finding.problems] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"policy_digest": "ab" * 32}, "digest: found"),
        ({"policy_digest": None}, "digest: found"),
        ({"policy_bytes": 1}, "bytes: found"),
    ],
)
def test_policy_that_is_not_the_stated_one_is_found(
    built: SimpleNamespace, contract: Contract, change: dict[str, Any], problem: str
) -> None:
    failed = [row for row in inspect(built, contract, replace(built.manifest, **change)) if row.problems]
    assert [row.check.startswith("the policy is") for row in failed] == [True]
    assert any(text.startswith(problem) for text in failed[0].problems)


@pytest.mark.parametrize(
    ("name", "says"), [("logd", "logd: policy: found False, expected True"), ("rngd", "rngd: policy: found True")]
)
def test_row_that_reads_the_policy_unstated_is_found(
    built: SimpleNamespace, contract: Contract, name: str, says: str
) -> None:
    rows = [replace(row, policy=row.policy != (row.name == name)) for row in built.manifest.processes]
    found = inspect(built, contract, replace(built.manifest, processes=rows))
    assert [text for row in found for text in row.problems if text.startswith(says)]


def test_changed_byte_of_the_policy_is_found(built: SimpleNamespace, contract: Contract, tmp_path: Path) -> None:
    table = layout.policy_table_path(built.root, "decided").read_bytes()
    data = built.image.read_bytes()
    assert data.count(table) == 1
    changed = tmp_path / "nexus.elf"
    changed.write_bytes(data.replace(table, table[:-1] + bytes([table[-1] ^ 1])))
    found = inspect(SimpleNamespace(root=built.root, image=changed), contract, built.manifest)
    failed = [row for row in found if row.problems]
    assert any(text.startswith("digest of what is mapped") for row in failed for text in row.problems)


def test_image_that_no_longer_decides_leaves_no_table(own_clone: Path) -> None:
    build_image(str(recipe(own_clone, SMALL)), own_clone, lambda _: None)
    table = layout.policy_table_path(own_clone, "decided")
    assert hashlib.sha256(table.read_bytes()).hexdigest()
    found = build_image(str(recipe(own_clone, 'base = "smoke"\n')), own_clone, lambda _: None)
    assert (found.policy_digest, found.policy_bytes, table.exists()) == (None, 0, False)
