"""Reading and assembling recipes: positions, overlays, defaults, and what a checked system holds. The refusals of a recipe
are in test_recipes.py."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.load import Contract
from nexus.errors import RecipeError, UsageError
from nexus.policy.evaluate import route_name
from nexus.recipe import memory
from nexus.recipe.check import check_system, load_system
from nexus.recipe.fields import PROCESS_FIELDS, TOP_FIELDS, ProcessRow, duration, size
from nexus.recipe.model import PAGE, System, service_id
from nexus.recipe.raw import TOP_KEYS, index_lines, load_raw, read_text

KEY = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
VALUE = st.sampled_from(["1", '"x # ["', "[1, 2]", "[\n  1, # ]\n  2,\n]", "{ a = 1 }", "[[1], [2]]", "'''", "true"])


@pytest.fixture(scope="module")
def selftest(root: Path, contract: Contract) -> System:
    return load_system("selftest", root, contract)


@given(st.lists(st.tuples(KEY, VALUE.filter(lambda text: text != "'''")), max_size=5, unique_by=lambda row: row[0]))
def test_position_of_every_key_is_its_line(rows: list[tuple[str, str]]) -> None:
    text = "# purpose\n\n[[row]]\n" + "".join(f"{key} = {value}\n" for key, value in rows) + "[last]\nend = 1\n"
    assert list(tomllib.loads(text)["row"][0]) == [key for key, _ in rows]
    lines = text.splitlines()
    found = index_lines(text)
    for key, _ in rows:
        assert lines[found[("row", 0, key)] - 1].startswith(f"{key} = ")
    assert lines[found[("last", "end")] - 1] == "end = 1"
    assert lines[found[("row", 0)] - 1] == "[[row]]"


def test_rows_of_an_array_are_told_apart() -> None:
    found = index_lines("[[a]]\nx = 1\n[[a]]\nx = 2\n[b.c]\ny = 1\n")
    assert (found[("a", 0, "x")], found[("a", 1, "x")], found[("b", "c", "y")]) == (2, 4, 6)


@pytest.mark.parametrize(("text", "bytes_"), [("4 KiB", 4096), ("2 MiB", 2 << 20), ("1 GiB", 1 << 30)])
def test_size(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("value", ["4KiB", "4 kB", "0x1 KiB", "-4 KiB", "1 KiB", 4096, None, True, "4 KiB "])
def test_size_that_is_none(value: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        size(value)


@pytest.mark.parametrize(("text", "microseconds"), [("50 ms", 50_000), ("2 s", 2_000_000), ("7 us", 7)])
def test_duration(text: str, microseconds: int) -> None:
    assert duration(text) == microseconds


def test_every_field_is_read_into_the_row() -> None:
    assert set(PROCESS_FIELDS) == set(ProcessRow.__dataclass_fields__) - {"table", "index"}
    assert set(TOP_FIELDS) | {"process", "devices"} == set(TOP_KEYS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("selftest-client", 0x52C6C4A34FFB3F69), ("keystored", 0x866CECF1B02A841B), ("", 0xCBF29CE484222325)],
)
def test_service_id_is_fnv_1a_64(name: str, expected: int) -> None:
    assert service_id(name) == expected


def test_service_id_is_the_contracts(contract: Contract) -> None:
    one = ((contract.number("service_id.offset") ^ ord("a")) * contract.number("service_id.prime")) % 2**64
    assert service_id("a") == one


def test_dense_index_is_the_place_in_the_recipe_and_overlays_append(selftest: System) -> None:
    assert [process.name for process in selftest.processes][:4] == ["init", "logd", "policyd", "rngd"]
    assert selftest.process("selftest").index > selftest.process("rngd").index
    assert selftest.files == (
        "recipes/systems/services.toml",
        "recipes/systems/default.toml",
        "recipes/systems/selftest.toml",
    )


def test_ranks_follow_the_design(selftest: System) -> None:
    order = [
        "selftest",
        "selftest-peer",
        "init",
        "dropd",
        "execd",
        "bundlemgrd",
        "keystored",
        "vault",
        "rngd",
        "policyd",
        "logd",
    ]
    found = [selftest.process(name).rank for name in order]
    assert found == sorted(set(found))


def test_slots_are_in_the_stated_order(selftest: System) -> None:
    rngd = selftest.process("rngd")
    calls = [name.upper().replace(":", "_") for name in map(route_name, rngd.calls)]
    assert [cap.name for cap in rngd.capabilities] == [
        "CONSOLE", "NOTIFICATION", "ENDPOINT", *calls, "DEVICE_RNG", "QUEUE_RNG_0", "DMA_RNG", "IRQ_RNG",
    ]  # fmt: skip
    names = [cap.name for cap in selftest.process("init").capabilities]
    assert names[:3] == ["CONSOLE", "NOTIFICATION", "ENDPOINT"]
    kinds = [name.split("_")[0] for name in names[3 + len(selftest.root.calls) :]]
    assert kinds == ["SUPERVISE"] * (len(selftest.processes) - 1) + ["SYSTEM"] + ["ROUTE"] * kinds.count("ROUTE")
    ready = [name for name in names[: names.index("SYSTEM")] if name.startswith("READY_")]
    last = 3 + len(selftest.root.calls)
    assert names[last - len(ready) : last] == ready, "behind the root's own calls"


def test_badge_is_facet_and_holder(selftest: System, contract: Contract) -> None:
    shift = contract.number("badge.facet_shift")
    caps = {cap.name: cap for cap in selftest.process("rngd").capabilities}
    index = selftest.process("rngd").index
    assert caps["POLICYD"].badge == index
    assert caps["LOGD_AUDIT"].badge == contract.number("facet.logd.audit") << shift | index
    ready = next(cap for cap in selftest.root.capabilities if cap.name == "READY_RNGD")
    assert ready.badge == contract.number("badge.facet_ready") << shift | selftest.root.index


def test_first_capability_of_apps_names_no_holder(selftest: System, contract: Contract) -> None:
    """It is made before the app is; the kernel states who sends."""
    execd = selftest.process("execd")
    cap = execd.capabilities[-1]
    assert cap.name == "APPS_INIT"
    assert execd.capabilities[-2].name == "SPAWN"
    assert selftest.endpoints[cap.object] == selftest.root.index
    assert cap.badge == contract.number("badge.any_app") | contract.number("badge.facet_any") << 32
    assert cap.badge & 0xFFFFFFFF >= contract.number("limit.processes") + contract.number("limit.app_slots")


def test_root_can_route_to_what_only_apps_ask_for(root: Path, contract: Contract) -> None:
    system = load_system("services", root, contract)
    assert not any(process.routes for process in system.processes)
    assert [route_name(edge) for edge in system.routes] == sorted(route_name(edge) for edge in system.app_routes)
    held = {cap.name for cap in system.root.capabilities if cap.name.startswith("ROUTE_")}
    assert held == {f"ROUTE_{edge.server.upper()}" for edge in system.app_routes}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('native = "firmware/test/pong"\ncapabilities = ["spawn"]\n', "capabilities: found 'spawn', which "),
        ('native = "firmware/test/pong"\nlabel = "app:dev.x"\n', "label: found 'app:dev.x', whose lines "),
    ],
    ids=["spawn", "label"],
)
def test_nobody_else_makes_apps_or_prints_like_one(
    root: Path, contract: Contract, tmp_path: Path, row: str, says: str
) -> None:
    path = tmp_path / "more.toml"
    path.write_text(f'base = "default"\n[[process]]\nname = "more"\n{row}', encoding="utf-8")
    with pytest.raises(RecipeError, match=says):
        load_system(str(path), root, contract)


def test_rights_are_the_least_that_serve(selftest: System, contract: Contract) -> None:
    right = contract.table("right")
    for process in selftest.processes:
        for cap in process.capabilities:
            if cap.type == "region":
                assert cap.rights == right["map_r"] | right["map_w"] | right["grant"]
            elif cap.type != "endpoint":
                assert cap.rights == right["use"]
            elif cap.name == "ENDPOINT":
                assert cap.rights == right["recv"] | right["grant"]
                assert selftest.endpoints[cap.object] == process.index
            elif cap.name.startswith("ROUTE_"):
                assert cap.rights == right["call"] | right["grant"]
                assert process is selftest.root
            elif cap.name.startswith("APPS_"):
                assert cap.rights == right["call"] | right["grant"]
                assert process is selftest.process("execd")
            else:
                assert cap.rights == right["call"]


def test_nobody_below_the_root_is_asked_for_ready(selftest: System) -> None:
    asked = {edge.server for edge in selftest.root.calls if edge.facet == "ready"}
    assert asked == {process.name for process in selftest.processes if process.rank > selftest.root.rank}


def test_init_supervises_everybody(selftest: System) -> None:
    assert {process.supervisor for process in selftest.processes} == {selftest.root.index}
    assert set(selftest.root.supervises) == {process.name for process in selftest.processes} - {selftest.root.name}


@pytest.mark.parametrize(("first", "then"), [("service", "native"), ("native", "service")])
def test_program_of_an_overlay_takes_the_place_of_the_other_kind(
    root: Path, contract: Contract, tmp_path: Path, first: str, then: str
) -> None:
    given = {"service": "services/rngd", "native": "firmware/test/pong"}
    head = '[[process]]\nname = "rngd"\n'
    for name, base, key in (("one", "default", first), ("two", "one", then)):
        (tmp_path / f"{name}.toml").write_text(f'base = "{base}"\n{head}{key} = "{given[key]}"\n', encoding="utf-8")
    row = load_system(str(tmp_path / "two.toml"), root, contract).process("rngd")
    assert (getattr(row, then), getattr(row, first)) == (given[then], None)


def test_overlay_changes_what_it_names_and_keeps_the_rest(root: Path, contract: Contract) -> None:
    base = load_system("default", root, contract).process("rngd")
    system = load_system(str(root / "tests/recipes/good/overlay_changes_one_key.toml"), root, contract)
    changed = system.process("rngd")
    assert changed.heap_pages * PAGE == 512 << 10
    assert changed.request_budget == contract.number("limit.tick_hz") // 20
    assert replace(changed, heap_pages=base.heap_pages, request_budget=base.request_budget) == base
    assert {device.name: device.dma_pages for device in system.devices} == {"rng": 2, "drop": 16, "terminal": 16}


def test_ids_are_compared_by_whatever_identifies(root: Path, contract: Contract) -> None:
    raw = load_raw(root / "recipes/systems/smoke.toml", root / "recipes/systems", root)
    with pytest.raises(
        RecipeError, match=r"id_name: found 'pong' with service id 0x0{15}7, which is also that of 'ping'"
    ):
        check_system(raw, contract, root, identify=lambda name: 7)


def test_unknown_system_names_the_known_ones(root: Path, contract: Contract) -> None:
    with pytest.raises(UsageError, match=r"'selftset'.*default.*did you mean 'selftest'"):
        load_system("selftset", root, contract)


def test_memory_is_what_the_rows_say(selftest: System) -> None:
    rngd = selftest.process("rngd")
    assert memory.process_pages(selftest, rngd) == rngd.heap_pages + rngd.stack_pages + 1 + 1
    needed = dict(memory.needs(selftest, {"service": 3}))
    assert needed["rngd"] == (memory.process_pages(selftest, rngd) + 3) * PAGE


def test_memory_just_fits_or_just_does_not(selftest: System) -> None:
    frames = sum(size for _, size in memory.needs(selftest, {}))
    assert memory.shortage(selftest, selftest.memory - frames) == ""
    assert "expected" not in memory.shortage(selftest, selftest.memory - frames + 1)
    assert memory.shortage(selftest, selftest.memory - frames + 1).startswith("at least ")


def test_page_tables_of_a_driver(selftest: System, contract: Contract) -> None:
    """Root, two middle tables (below and above 1 GiB), and a leaf table for each 2 MiB that an area touches."""
    rngd = selftest.process("rngd")
    areas = {"image", "ipc and stack", "heap", "romfs", "dma", "device"}
    assert memory.table_pages(selftest, rngd, contract, 50, 4) == 1 + 2 + len(areas)


def test_file_that_can_not_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="x: Is a directory, expected a file that can be read"):
        read_text(tmp_path, "x")
