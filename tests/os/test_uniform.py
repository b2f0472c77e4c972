"""A refusal does not say why, not even by what it costs: denied by a rule, without a rule, of what does not exist, of what is another's.

And a decision costs the same however many rules there are.

Scenario: system `bench` under icount asks as somebody without rights, each time at rest, names of equal length; it compares the replies
itself, the nonce apart, and ends the run with another exit code when two differ. The costs of each class are compared here. One run for
all, since under icount another one would say the same.
"""

from __future__ import annotations

import pytest

from nexus import layout
from nexus.bench import ICOUNT, parse_costs, parse_rows, true_costs
from nexus.contract.load import load_contract
from nexus.plugin import Boot

CONTRACT = load_contract(layout.contract_dir(layout.find_root()))
POLICY = {"rule", "none", "unknown"}
NAMED = {"rule", "none", "here", "both"}  # here: installed; both: that, and denied by a rule
NUMBERED, OWNED = {"here", "none"}, {"other", "none"}
CLASSES = {
    "check": POLICY,
    "route": POLICY,
    "list": NUMBERED,
    **dict.fromkeys(("verify", "install", "uninstall", "open", "stage", "exec", "children"), NAMED),
    **dict.fromkeys(("kill", "wait"), OWNED),
}
REQUESTS = {name: 256 if classes == POLICY else 128 for name, classes in CLASSES.items()}
SECONDS = 90.0
MOST_INSTRUCTIONS = 5_000
RUN: list[str] = []


@pytest.fixture
def told(boot: Boot) -> list[str]:
    """The console of the one run, which came to a good end."""
    if not RUN:
        machine = boot("bench", icount=ICOUNT)
        ended = machine.wait(SECONDS)
        assert ended is not None
        assert ended.code == CONTRACT.number("exit.ok"), machine.log.splitlines()[-3:]
        RUN.extend(machine.log.splitlines())
    return RUN


def test_a_full_table_costs_no_more_than_one_rule(told: list[str]) -> None:
    """Counted in instructions, calls and the loop around them included."""
    rows = parse_rows(told)
    one, full = rows["policy.decide"], rows["policy.decide.full"]
    assert max(one, full) <= MOST_INSTRUCTIONS
    assert abs(full - one) <= one / 100


def test_refusals_of_all_classes_cost_the_same(told: list[str]) -> None:
    costs = parse_costs(told)
    assert {name: set(classes) for name, classes in costs.items()} == CLASSES
    for name, classes in costs.items():
        assert {sum(times.values()) for times in classes.values()} == {REQUESTS[name]}, name
        sets = {one: true_costs(counts) for one, counts in classes.items()}
        assert len(set(sets.values())) == 1, (name, sets)
