"""Why a question is answered as it is: every rule that matches it, what each says, which of them decides, what comes close.

Called by verbs/policy.py and lint.py. Works on the rules themselves, not on the table, and refuses to explain an answer that the
evaluator does not give.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from nexus.errors import VerdictError
from nexus.policy.evaluate import Evaluator
from nexus.policy.model import Policy, Rule, glob_matches, is_app
from nexus.policy.world import Names
from nexus.recipe.raw import did_you_mean

BY_RULE, NO_RULE, NOT_IN_MASK, MAY_NOT_ASK, UNKNOWN = "rule", "no rule", "mask", "delegate", "unknown"


@dataclass(frozen=True)
class Question:
    """`asker` asks about the subject, None: it asks for itself; `mask`: the actions of an app, None: all."""

    subject: str
    action: str
    target: str
    gates: frozenset[str] = frozenset()
    asker: str | None = None
    mask: frozenset[str] | None = None


@dataclass(frozen=True)
class Answer:
    allow: bool
    why: str  # BY_RULE and so on
    text: str  # the same as a sentence
    decisive: Rule | None
    matching: tuple[Rule, ...]  # in the order in which they count: denies first
    near: tuple[Rule, ...]  # when nothing matches: rules that only one word of the question keeps away


def matching(policy: Policy, subject: str, action: str, target: str) -> list[Rule]:
    """Rules for this question, whatever the gates; denies first, then by number."""
    rules = [rule for rule in policy.rules if rule.matches(subject, action, target)]
    return sorted(rules, key=lambda rule: (rule.allow, rule.number))


def decisive(rules: Iterable[Rule], gates: Collection[str]) -> Rule | None:
    """The one that decides among rules that match: a deny if there is one, the lowest number of several."""
    return next((rule for rule in rules if rule.counts(gates)), None)


def explain(evaluator: Evaluator, names: Names, question: Question) -> Answer:
    """The whole chain of one question."""
    found = matching(evaluator.policy, question.subject, question.action, question.target)
    gates = question.gates | evaluator.world.open_gates
    rule = decisive(found, gates) if _known(evaluator, names, question) is None else None
    answer = _answer(evaluator, names, question, rule, found)
    _compare(evaluator, question, answer)
    return answer


def _known(evaluator: Evaluator, names: Names, question: Question) -> str | None:
    """What of the question nothing knows, as a sentence."""
    services = evaluator.world.services
    if question.action not in names.actions:
        return f"action {question.action!r} does not exist{did_you_mean(question.action, names.actions)}"
    for name in (question.subject, question.asker):
        if name is not None and not is_app(name) and name not in services:
            return f"no service of this system is called {name!r}{did_you_mean(name, services)}"
    if evaluator.kind(question.target) == 0:
        return f"{question.target!r} can't be the name of a target"
    return None


def _answer(evaluator: Evaluator, names: Names, question: Question, rule: Rule | None, found: list[Rule]) -> Answer:
    unknown = _known(evaluator, names, question)
    if unknown:
        return Answer(False, UNKNOWN, unknown, None, (), ())
    if rule is None:
        text = "every rule that matches has a gate that is closed" if found else "no rule matches"
        return Answer(False, NO_RULE, text, None, tuple(found), () if found else near(evaluator.policy, question))
    if not rule.allow:
        return Answer(False, BY_RULE, f"rule {rule.number} denies it, whatever allows it", rule, tuple(found), ())
    if question.mask is not None and question.action not in question.mask:
        text = f"rule {rule.number} allows it, but the app's mask has no {question.action}"
        return Answer(False, NOT_IN_MASK, text, rule, tuple(found), ())
    if question.asker is not None and not _may_ask(evaluator.policy, question):
        text = (
            f"rule {rule.number} allows it, but {question.asker} may not ask about {question.subject} for this action"
        )
        return Answer(False, MAY_NOT_ASK, text, rule, tuple(found), ())
    return Answer(True, BY_RULE, f"rule {rule.number} allows it, and no rule denies it", rule, tuple(found), ())


def _may_ask(policy: Policy, question: Question) -> bool:
    asker = question.asker or ""
    return any(row.matches(asker, question.subject, question.action) for row in policy.delegates)


def near(policy: Policy, question: Question) -> tuple[Rule, ...]:
    """Allows that would match but for the subject, the action or the target alone."""
    found = []
    for rule in policy.rules:
        fits = (
            rule.subject.matches(question.subject),
            question.action in rule.actions,
            glob_matches(rule.target, question.target),
        )
        if rule.allow and sum(fits) == len(fits) - 1:
            found.append(rule)
    return tuple(found)


def _compare(evaluator: Evaluator, question: Question, answer: Answer) -> None:
    """The explanation is worth nothing if policyd answers otherwise. Of a name that nothing has policyd is never asked."""
    if answer.why == UNKNOWN:
        return
    mask = -1 if question.mask is None else sum(1 << evaluator.world.actions[name] for name in question.mask)
    asked = (question.subject, question.action, question.target, question.gates, question.asker, mask)
    decision = evaluator.decide(*asked)
    number = answer.decisive.number if answer.decisive else 0
    if (decision.allow, decision.rule) != (answer.allow, number):
        raise VerdictError(f"the evaluator says {decision}, the rules say {answer.text!r}: one of the two is wrong")
