"""A refusal does not say why, not even by what it costs: denied by a rule, without a rule, of what does not exist.

Scenario: system `bench` under icount asks as somebody without rights, each time at rest, names of equal length; it compares the replies
itself, the nonce apart, and ends the run with another exit code when two differ. The costs of each class are compared here.
"""

from __future__ import annotations

from nexus import layout
from nexus.bench import ICOUNT, parse_costs, true_costs
from nexus.contract.load import load_contract
from nexus.plugin import Boot

CONTRACT = load_contract(layout.contract_dir(layout.find_root()))
CLASSES = {"rule", "none", "unknown"}
REQUESTS = 256
SECONDS = 60.0


def test_refusals_of_all_classes_cost_the_same(boot: Boot) -> None:
    machine = boot("bench", icount=ICOUNT)
    ended = machine.wait(SECONDS)
    assert ended is not None
    assert ended.code == CONTRACT.number("exit.ok"), machine.log.splitlines()[-3:]
    costs = parse_costs(machine.log.splitlines())
    assert set(costs) == {"check", "route"}
    for classes in costs.values():
        assert set(classes) == CLASSES
        assert {sum(times.values()) for times in classes.values()} == {REQUESTS}
        sets = {name: true_costs(counts) for name, counts in classes.items()}
        assert sets["none"] == sets["rule"]
        assert sets["unknown"] == sets["rule"]
