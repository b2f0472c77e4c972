"""Any text as a policy: refused with a message that names a line, or a policy that compiles and decides as tests/policy/reference.py does."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from random import Random

from reference import Reference
from target import Target
from texts import mutator

from nexus import layout
from nexus.contract.load import load_contract
from nexus.errors import RecipeError
from nexus.policy.check import check_policy
from nexus.policy.compile import compile_table
from nexus.policy.evaluate import Evaluator, guest_module
from nexus.policy.model import Policy
from nexus.policy.raw import parse_raw
from nexus.policy.world import world_of

ROOT = layout.find_root()
CONTRACT = load_contract(layout.contract_dir(ROOT))
VOCABULARY = tuple(
    f'"{word}"'
    for word in (
        *CONTRACT.table("action_name").values(),
        *(
            "*",
            "-",
            "rng.*",
            "device.*",
            "rngd",
            "shell",
            "execd",
            "@some",
            "app:*",
            "app:one",
            "logd:append",
            "demo.*",
        ),
        *("demo.a", "audit", "allow", "deny", *CONTRACT.table("gate")),
    )
)
PLACE = re.compile(r"x\.toml:\d+: ")
POINTS = 8
WORDS = "".join(
    f"[{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in CONTRACT.table(name).items())
    for name in ("action", "action_name")
)
SERVICES = '[services]\nrngd = "a"\nshell = "b"\nexecd = "c"\n'
SEED = (
    SERVICES
    + """[domains]
some = ["rngd", "execd"]
[[rule]]
subject = "@some"
action = "rng.entropy"
effect = "allow"
gates = ["bring_up"]
reason = "r"
[[rule]]
subject = "app:*"
action = "keystore.kv"
effect = "allow"
reason = "r"
[[rule]]
subject = "app:one"
action = "keystore.*"
effect = "deny"
reason = "r"
[[rule]]
subject = "shell"
action = "bundle.open"
target = "demo.*"
effect = "allow"
reason = "r"
[[delegate]]
asker = "rngd"
subject = "*"
actions = ["rng.entropy", "bundle.*"]
reason = "r"
"""
)


def target() -> Target:
    sel = guest_module(ROOT, CONTRACT)

    def check(data: bytes) -> None:
        text = data.decode("utf-8", errors="replace")
        try:
            policy = check_policy([parse_raw(text, "x.toml")], CONTRACT)
            world = world_of(CONTRACT, policy.services)
            table = compile_table(policy, world, CONTRACT)
        except RecipeError as error:
            check_message(error.message)
            return
        agree(Evaluator(sel, table, policy, world, CONTRACT), Reference([text], WORDS), Random(zlib.crc32(data)))

    return Target(check, [SEED.encode(), SERVICES.encode()], mutator(VOCABULARY))


def check_message(message: str) -> None:
    """Every line says where; only the limits of the table are those of all files together."""
    for line in message.splitlines():
        assert PLACE.match(line) or "recipes/contract" in line or "65535 words" in line, line


def agree(evaluator: Evaluator, second: Reference, chance: Random) -> None:
    for subject, action, name, gates, asker in points(evaluator.policy, chance):
        said = evaluator.decide(subject, action, name, gates, asker).allow
        wanted = second.allows(subject, action, name, gates, asker)
        assert said == wanted, f"{subject} {action} {name} {sorted(gates)} asked by {asker}: {said}"


def points(policy: Policy, chance: Random) -> Iterator[tuple[str, str, str, set[str], str | None]]:
    """Questions beside the rules: what the policy names, with one word of it exchanged at times."""
    subjects = [*policy.services, *policy.apps, "app:other", "stranger"]
    actions = list(CONTRACT.table("action_name").values())
    rules = list(policy.rules)
    for _ in range(POINTS):
        subject, action, name = chance.choice(subjects), chance.choice(actions), "-"
        gates = {gate for gate in CONTRACT.table("gate") if chance.random() < 0.5}
        if rules:
            rule = chance.choice(rules)
            name = rule.target.replace("*", chance.choice(["", "q", "a.b"]))
            action = chance.choice([action, *sorted(rule.actions)])
            subject = chance.choice([subject, *sorted(rule.subject.names)])
        yield subject, action, name, gates, chance.choice([None, None, *policy.services])
