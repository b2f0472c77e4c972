"""The whole policy at a glance: for each subject and action, what is allowed of the questions that can be asked.

Called by verbs/policy.py. Asks the evaluator; knows no rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus.policy.evaluate import Evaluator
from nexus.policy.universe import Gates, real_targets, universe_of
from nexus.policy.world import Names

NONE, GATED, SOME, ALL = ".", "g", "+", "#"
LEGEND = f"{ALL} always, every target   {SOME} some targets   {GATED} only while gates are open   {NONE} never"


@dataclass(frozen=True)
class Cell:
    """`allowed`: of each target that is allowed at all, the settings of the gates under which it is."""

    subject: str
    action: str
    targets: int
    settings: int
    allowed: dict[str, tuple[Gates, ...]]

    @property
    def mark(self) -> str:
        always = [name for name, settings in self.allowed.items() if len(settings) == self.settings]
        if not self.allowed:
            return NONE
        if not always:
            return GATED
        return ALL if len(always) == self.targets else SOME


def matrix(evaluator: Evaluator, names: Names) -> list[Cell]:
    """A cell for each subject and action, subjects outermost."""
    universe = universe_of([evaluator.policy], evaluator.world, names)
    cells = []
    for subject in universe.subjects:
        for action in universe.actions:
            targets = real_targets(universe, names, action)
            allowed = {}
            for target in targets:
                open_in = [one for one in universe.settings if evaluator.decide(subject, action, target, one).allow]
                if open_in:
                    allowed[target] = tuple(open_in)
            cells.append(Cell(subject, action, len(targets), len(universe.settings), allowed))
    return cells


def least(settings: tuple[Gates, ...]) -> list[list[str]]:
    """The settings that no smaller one of them is part of: what has to be open at least."""
    return [sorted(one) for one in settings if not any(other < one for other in settings)]
