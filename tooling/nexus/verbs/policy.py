"""The verb policy: check, explain, lint, diff, matrix. Loaded by cli.py when it is called; holds no rule of policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus import layout
from nexus.errors import RecipeError, UsageError, VerdictError
from nexus.verbs.image import json_option, write_json

if TYPE_CHECKING:
    from nexus.policy.diff import Change, DelegateChange, Group
    from nexus.policy.evaluate import Evaluator
    from nexus.policy.explain import Answer, Question
    from nexus.policy.lint import Census, Finding
    from nexus.policy.matrix import Cell
    from nexus.policy.model import Rule
    from nexus.policy.world import Names

files_option = click.option(
    "--policy", "files", multiple=True, metavar="FILE",
    help="A policy file instead of recipes/policy/base.toml; several are laid over each other.",
)  # fmt: skip
system_option = click.option("--system", help="Only this system's services, as its image would have them.")


@click.group("policy")
def policy() -> None:
    """Check, explain and compare the rules that policyd decides by."""


def load(files: Sequence[str], system: str | None) -> tuple[Evaluator, Names]:
    """The policy ready to be asked, for all the services that it declares or for those of a system."""
    from nexus.contract.load import load_contract
    from nexus.policy.check import load_policy
    from nexus.policy.evaluate import evaluator_of, load_evaluator, policy_files
    from nexus.policy.world import Names, world_of
    from nexus.recipe.check import load_system

    root = layout.find_root()
    contract = load_contract(layout.contract_dir(root))
    paths = [Path(name).absolute() for name in files]
    if system:
        return load_evaluator(load_system(system, root, contract), contract, root, paths), Names.of(contract)
    rules = load_policy(paths or policy_files(root), contract, root)
    return evaluator_of(rules, world_of(contract, rules.services), contract, root), Names.of(contract)


@policy.command("check")
@files_option
@system_option
@json_option
def check(files: tuple[str, ...], system: str | None, json_to: str | None) -> None:
    """Refuse what is no policy, and what could never have an effect; compile the rest."""
    evaluator, _ = load(files, system)
    refused = _refused(evaluator, system) if system else []
    found = {
        "ok": not refused,
        "files": list(evaluator.policy.files),
        "rules": len(evaluator.policy.rules),
        "delegates": len(evaluator.policy.delegates),
        "subjects": len(evaluator.compiled.subjects),
        "bytes": len(evaluator.compiled.table),
        "sha256": evaluator.digest,
        "refused": refused,
    }
    if json_to:
        write_json(json.dumps(found, indent=1) + "\n", json_to)
    else:
        click.echo(
            f"{' + '.join(evaluator.policy.files)}: {found['rules']} rules, {found['delegates']} delegate rows\n"
            f"table of {found['subjects']} subjects: {found['bytes']} bytes, sha256 {found['sha256']}"
        )
    if refused:
        raise RecipeError("\n".join(refused), "nexus policy explain tells what a rule would have to say")


def _refused(evaluator: Evaluator, system: str) -> list[str]:
    """Static grants of the recipe that no rule allows."""
    from nexus.contract.load import load_contract
    from nexus.policy.evaluate import denial, refused_grants
    from nexus.recipe.check import load_system

    root = layout.find_root()
    recipe = load_system(system, root, load_contract(layout.contract_dir(root)))
    return [denial(refused, evaluator) for refused in refused_grants(recipe, evaluator)]


@policy.command("explain")
@click.argument("subject", required=False)
@click.argument("action", required=False)
@click.argument("target", required=False)
@click.option("--gate", "gates", multiple=True, help="A gate that is open; may be repeated.")
@click.option("--asker", help="Who asks about SUBJECT, if not SUBJECT itself.")
@click.option("--mask", help="Actions of an app's mask, separated by commas; without it, all.")
@click.option("--rule", "number", type=int, help="What the rule of this number says, as the audit names it.")
@files_option
@system_option
@json_option
def explain(
    subject: str | None, action: str | None, target: str | None, gates: tuple[str, ...], asker: str | None,
    mask: str | None, number: int | None, files: tuple[str, ...], system: str | None, json_to: str | None,
) -> None:  # fmt: skip
    """Tell how SUBJECT's question for ACTION on TARGET is answered, and by which rules."""
    from nexus.policy.explain import Question
    from nexus.policy.explain import explain as answer_of

    evaluator, names = load(files, system)
    if number is not None:
        _explain_rule(evaluator, number, json_to)
        return
    if subject is None or action is None:
        raise UsageError("explain: found no question, expected SUBJECT ACTION [TARGET], or --rule NUMBER")
    _known(gates, names.gates, "gate")
    actions = frozenset(mask.split(",")) if mask is not None else None
    _known(actions or (), names.actions, "action of --mask")
    question = Question(subject, action, target or names.no_target, frozenset(gates), asker, actions)
    answer = answer_of(evaluator, names, question)
    if json_to:
        write_json(json.dumps(_answer_json(question, answer), indent=1) + "\n", json_to)
    else:
        _show_answer(question, answer)


def _known(found: Sequence[str] | frozenset[str], known: object, what: str) -> None:
    from nexus.recipe.raw import did_you_mean

    names = list(known) if isinstance(known, dict) else []
    for name in found:
        if name not in names:
            raise UsageError(f"{what} {name!r}: expected one of {', '.join(names)}{did_you_mean(name, names)}")


def _explain_rule(evaluator: Evaluator, number: int, json_to: str | None) -> None:
    if not 1 <= number <= len(evaluator.policy.rules):
        raise UsageError(f"rule {number}: expected a number from 1 to {len(evaluator.policy.rules)}")
    rule = evaluator.policy.rules[number - 1]
    if json_to:
        write_json(json.dumps(_rule_json(rule), indent=1) + "\n", json_to)
    else:
        click.echo(_rule_line(rule))


def _rule_json(rule: Rule) -> dict[str, object]:
    return {
        "rule": rule.number,
        "where": str(rule.where),
        "effect": rule.effect,
        "subject": rule.subject.text,
        "action": rule.action,
        "target": rule.target,
        "gates": sorted(rule.gates),
        "reason": rule.reason,
    }


def _rule_line(rule: Rule) -> str:
    gates = f" while {' and '.join(sorted(rule.gates))}" if rule.gates else ""
    what = f"{rule.effect} {rule.subject.text} {rule.action} {rule.target}{gates}"
    return f"rule {rule.number}: {what}\n      {rule.where}: {rule.reason}"


def _answer_json(question: Question, answer: Answer) -> dict[str, object]:
    return {
        "allow": answer.allow,
        "why": answer.why,
        "text": answer.text,
        "subject": question.subject,
        "asker": question.asker,
        "action": question.action,
        "target": question.target,
        "gates": sorted(question.gates),
        "rule": answer.decisive.number if answer.decisive else 0,
        "matching": [_rule_json(rule) | {"counts": rule.counts(question.gates)} for rule in answer.matching],
        "near": [_rule_json(rule) for rule in answer.near],
    }


def _show_answer(question: Question, answer: Answer) -> None:
    asked = f"{question.subject} {question.action} {question.target}"
    about = f" asked by {question.asker}" if question.asker else ""
    said = f"{'allow' if answer.allow else 'deny'}: {asked}{about}\n  because {answer.text}"
    click.echo(said.encode("utf-8", "backslashreplace").decode())  # a word of the command line may be no text
    for rule in answer.matching:
        idle = "" if rule.counts(question.gates) else "  (a gate is closed)"
        click.echo(f"  {_rule_line(rule)}{idle}")
    if answer.near:
        click.echo("  what comes close:")
    for rule in answer.near:
        click.echo(f"  {_rule_line(rule)}")


@policy.command("lint")
@click.option("--broad", default=None, type=click.IntRange(min=0), help="Points that one rule may open untold.")
@files_option
@system_option
@json_option
def lint(broad: int | None, files: tuple[str, ...], system: str | None, json_to: str | None) -> None:
    """Find rules that are shadowed, unreachable, never used or over-broad."""
    from nexus.policy.lint import BROAD_FROM
    from nexus.policy.lint import lint as findings_of

    evaluator, names = load(files, system)
    limit = BROAD_FROM if broad is None else broad
    findings, census = findings_of(evaluator.policy, evaluator.world, names, limit)
    if json_to:
        write_json(json.dumps(_lint_json(evaluator, findings, census), indent=1) + "\n", json_to)
    else:
        for one in findings:
            click.echo(f"{one.where}: {one.kind}: {one.text}")
        click.echo(f"{len(evaluator.policy.rules)} rules, {census.points} points, {len(findings)} findings")
    if findings:
        raise VerdictError(f"{len(findings)} findings in {' + '.join(evaluator.policy.files)}")


def _lint_json(evaluator: Evaluator, findings: list[Finding], census: Census) -> dict[str, object]:
    rows = [{"kind": one.kind, "where": str(one.where), "text": one.text, "points": one.points} for one in findings]
    rules = [
        _rule_json(rule) | {"points": census.opened[rule.number], "alone": census.alone[rule.number]}
        for rule in evaluator.policy.rules
    ]
    return {"ok": not findings, "points": census.points, "findings": rows, "rules": rules}


@policy.command("diff")
@click.argument("old")
@click.argument("new")
@system_option
@json_option
def diff(old: str, new: str, system: str | None, json_to: str | None) -> None:
    """List exactly the decisions that differ between OLD and NEW: a file each, or several joined by '+'."""
    from nexus.policy.diff import delegate_diff, grouped, joint_universe
    from nexus.policy.diff import diff as changes_of

    before, after, names = _both(old, new, system)
    universe = joint_universe(before, after, names)
    changes, delegates = changes_of(before, after, universe), delegate_diff(before, after, universe)
    if json_to:
        rows = [_change_json(one) for one in changes]
        askers = [_delegate_json(one) for one in delegates]
        text = json.dumps({"points": len(universe), "changes": rows, "delegates": askers}, indent=1)
        write_json(text + "\n", json_to)
        return
    for group in grouped(changes):
        click.echo(_group_line(group))
    for one in delegates:
        verb = "may now ask" if one.now_allowed else "may no longer ask"
        click.echo(f"{one.asker} {verb} about {one.subject} for {one.action}")
    click.echo(f"{len(changes)} of {len(universe)} decisions change, {len(delegates)} delegations")


def _both(old: str, new: str, system: str | None) -> tuple[Evaluator, Evaluator, Names]:
    """Both policies in one world: the services of either, the new ones last."""
    from nexus.contract.load import load_contract
    from nexus.policy.evaluate import evaluator_of
    from nexus.policy.world import world_of

    before, _ = load(old.split("+"), system)
    after, names = load(new.split("+"), system)
    root = layout.find_root()
    contract = load_contract(layout.contract_dir(root))
    services = list(dict.fromkeys([*before.world.services, *after.world.services]))
    world = world_of(contract, services)
    return evaluator_of(before.policy, world, contract, root), evaluator_of(after.policy, world, contract, root), names


def _change_json(one: Change) -> dict[str, object]:
    return {
        "subject": one.subject,
        "action": one.action,
        "target": one.target,
        "gates": sorted(one.gates),
        "now": "allow" if one.now_allowed else "deny",
        "old_rule": one.old_rule,
        "new_rule": one.new_rule,
    }


def _delegate_json(one: DelegateChange) -> dict[str, object]:
    now = "may ask" if one.now_allowed else "may not ask"
    return {"asker": one.asker, "subject": one.subject, "action": one.action, "now": now}


def _group_line(group: Group) -> str:
    now = "allow" if group.now_allowed else "deny"
    gates = ["+".join(sorted(one)) or "none" for one in group.settings]
    return (
        f"now {now}: {', '.join(group.subjects)}  {group.action}  {', '.join(group.targets)}"
        f"  (gates open: {', '.join(gates)}; {len(group)} decisions)"
    )


@policy.command("matrix")
@files_option
@system_option
@json_option
def matrix(files: tuple[str, ...], system: str | None, json_to: str | None) -> None:
    """Show for each subject and action what is allowed."""
    from nexus.policy.matrix import LEGEND
    from nexus.policy.matrix import matrix as cells_of

    evaluator, names = load(files, system)
    cells = cells_of(evaluator, names)
    if json_to:
        write_json(json.dumps([_cell_json(cell) for cell in cells if cell.allowed], indent=1) + "\n", json_to)
        return
    _show_grid(cells)
    click.echo(LEGEND)


def _cell_json(cell: Cell) -> dict[str, object]:
    from nexus.policy.matrix import least

    allowed = {target: least(settings) for target, settings in cell.allowed.items()}
    return {"subject": cell.subject, "action": cell.action, "allowed": allowed, "of": cell.targets}


def _show_grid(cells: list[Cell]) -> None:
    """Actions downwards, subjects across under numbers that are listed first."""
    subjects = list(dict.fromkeys(cell.subject for cell in cells))
    marks = {(cell.subject, cell.action): cell.mark for cell in cells}
    for number, subject in enumerate(subjects, 1):
        click.echo(f"{number:3}  {subject}")
    click.echo(f"\n{'':<20}" + "".join(f"{number:3}" for number in range(1, len(subjects) + 1)))
    for action in dict.fromkeys(cell.action for cell in cells):
        click.echo(f"{action:<20}" + "".join(f"{marks[subject, action]:>3}" for subject in subjects))
