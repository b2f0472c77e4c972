"""Policies for tests, from text: the compiled one, asked through the guest's evaluator, and the reference beside it.

Used by tests/unit/test_policy_*.py and tests/guest/test_nexus_sel.py; holds no expectation.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from reference import Reference

from nexus import layout
from nexus.contract.load import load_contract
from nexus.policy import shadow
from nexus.policy.check import check_policy, load_policy
from nexus.policy.compile import compile_table
from nexus.policy.evaluate import Evaluator, evaluator_of, guest_module, policy_files
from nexus.policy.model import Policy
from nexus.policy.raw import parse_raw
from nexus.policy.world import world_of

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
SERVICES = ("init", "policyd", "logd", "rngd", "keystored", "bundlemgrd", "execd", "shell")
HEAD = "[services]\n" + "".join(f'{name} = "of the test"\n' for name in SERVICES)


def rule(subject: str, action: str, target: str = "-", effect: str = "allow", gates: tuple[str, ...] = ()) -> str:
    """One rule as text."""
    lines = [f'subject = "{subject}"', f'action = "{action}"', f'target = "{target}"', f'effect = "{effect}"']
    lines += [f"gates = {list(gates)!r}"] if gates else []
    return "\n".join(["[[rule]]", *lines, 'reason = "of the test"']) + "\n"


def delegate(asker: str, subject: str, *actions: str) -> str:
    lines = [f'asker = "{asker}"', f'subject = "{subject}"', f"actions = {list(actions)!r}", 'reason = "of the test"']
    return "\n".join(["[[delegate]]", *lines]) + "\n"


def domain(name: str, *members: str) -> str:
    return f"[domains]\n{name} = {list(members)!r}\n"


def checked(*texts: str, idle: bool = False) -> Policy:
    """The policy of these files; the first declares the services of the test. `idle`: rules without effect may stand in it."""
    first, *rest = texts
    layers = [parse_raw(text, f"{number}.toml") for number, text in enumerate([HEAD + first, *rest])]
    if not idle:
        return check_policy(layers, CONTRACT)
    with mock.patch.object(shadow, "rules"), mock.patch.object(shadow, "delegates"):
        return check_policy(layers, CONTRACT)


def evaluator(*texts: str, module: Any = None, services: tuple[str, ...] = SERVICES, idle: bool = False) -> Evaluator:
    """The compiled policy of these files; `module` is the evaluator to ask, by default as the image holds it."""
    policy, world = checked(*texts, idle=idle), world_of(CONTRACT, services)
    module = module or guest_module(ROOT, CONTRACT)
    return Evaluator(module, compile_table(policy, world, CONTRACT), policy, world, CONTRACT)


def base() -> Evaluator:
    """The system's own policy, for all the services that it declares."""
    policy = load_policy(policy_files(ROOT), CONTRACT, ROOT)
    return evaluator_of(policy, world_of(CONTRACT, policy.services), CONTRACT, ROOT)


def reference(*texts: str) -> Reference:
    first, *rest = texts
    contract = layout.contract_dir(ROOT) / "policy.toml"
    return Reference([HEAD + first, *rest], contract.read_text(encoding="utf-8"))
