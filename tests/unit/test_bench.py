"""The pure part of `nexus bench`: reading rows, calling a figure exact, holding it against its budget."""

from __future__ import annotations

import pytest

from nexus.bench import (
    WAITS_ON_DEVICE,
    Figure,
    agree,
    kernel_lines,
    load_budgets,
    over_budget,
    parse_costs,
    parse_rows,
    refusal_rows,
    true_costs,
)
from nexus.layout import find_root


def row(name: str, total: int, rounds: int) -> str:
    return f"bench: row {name} {total:016x} {rounds:016x}"


def test_a_row_is_instructions_per_round() -> None:
    assert parse_rows([row("ipc.call.0", 1500, 10), row("py.call.0", 7, 1)]) == {"ipc.call.0": 150.0, "py.call.0": 7.0}


@pytest.mark.parametrize("line", ["kernel: end", "logd: row a 0 1", row("a", 1, 1) + "0", " " + row("a", 1, 1)])
def test_another_line_is_no_row(line: str) -> None:
    assert parse_rows([line]) == {}


def cost(name: str, instructions: int, times: int) -> str:
    return f"bench: cost {name} {instructions:016x} {times:016x}"


def test_costs_of_a_class_add_up() -> None:
    lines = [cost("check.rule", 7, 1), cost("check.rule", 7, 2), cost("check.none", 8, 3), "bench: cost check.none 8 3"]
    assert parse_costs(lines) == {"check": {"rule": {7: 3}, "none": {8: 3}}}


def test_classes_of_the_same_costs_are_one_set_however_often_each_came() -> None:
    lines = [cost("check.rule", 7, 1), cost("check.rule", 9, 5), cost("check.none", 9, 1), cost("check.none", 7, 9)]
    assert refusal_rows(lines) == {"refusal.check.sets": 1}
    assert refusal_rows([*lines, cost("check.unknown", 7, 10)]) == {"refusal.check.sets": 2}


def test_an_instruction_that_was_counted_twice_is_no_cost_of_its_own() -> None:
    assert true_costs({100: 31, 101: 1}) == {100}
    assert true_costs({100: 31, 101: 4, 102: 1, 50: 1}) == {100, 101, 102, 50}
    assert true_costs({100: 1, 99: 31}) == {99}
    assert true_costs({98: 1, 99: 31}) == {99}
    assert true_costs({98: 4, 99: 31}) == {98, 99}
    assert true_costs({97: 1, 99: 31}) == {97, 99}


def test_equal_runs_are_exact_and_unequal_ones_give_the_median() -> None:
    assert agree("ipc.call.0", [5.0, 5.0, 5.0], "instructions") == Figure(5.0, "instructions", exact=True)
    assert agree("ipc.call.0", [5.0, 9.0, 6.0], "instructions") == Figure(6.0, "instructions", exact=False)


@pytest.mark.parametrize("name", WAITS_ON_DEVICE)
def test_a_wait_on_a_device_is_never_exact(name: str) -> None:
    assert not agree(name, [5.0, 5.0, 5.0], "instructions").exact


def test_a_figure_above_its_budget_is_named_with_both_numbers() -> None:
    figures = {"ipc.call.0": Figure(1701, "instructions", exact=True)}
    assert over_budget(figures, {"ipc.call.0": 1701}) == []
    assert over_budget(figures, {"ipc.call.0": 1700}) == ["ipc.call.0: 1,701 instructions, budget 1,700"]


def test_a_budget_without_a_figure_is_told() -> None:
    assert over_budget({}, {"ipc.call.0": 1700}) == ["ipc.call.0: not measured"]


def test_the_budgets_are_those_that_the_kernel_promises() -> None:
    budgets = load_budgets(find_root())
    assert (budgets["ipc.call.0"], budgets["kernel.max_path"], budgets["boot.ready"]) == (1700, 20000, 15000000)


def test_the_kernel_is_within_its_lines() -> None:
    assert 1000 < kernel_lines(find_root()) <= load_budgets(find_root())["kernel.lines"]
