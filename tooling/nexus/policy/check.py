"""From policy files as written to a checked Policy: every rule about rules, and the message for each way to break one.

Called by the verbs and by evaluate.py. Files are laid over each other in order: a later file's rule of the same subject, action,
target and gates takes the place of an earlier file's, if it says the opposite; so does a domain of the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus.contract.load import Contract
from nexus.policy import fields, shadow
from nexus.policy.model import EVERYBODY, Delegate, Policy, Rule, Selector, glob_matches, is_app
from nexus.policy.raw import RawPolicy, load_raw
from nexus.policy.world import Names
from nexus.recipe.fields import Field, Problems, read_table
from nexus.recipe.model import APPS, service_id
from nexus.recipe.raw import RawTable, Where, did_you_mean

Values = Mapping[str, Any]


def load_policy(files: Sequence[Path], contract: Contract, root: Path, services: Iterable[str] = ()) -> Policy:
    """The checked policy of these files in this order; `services` may be spoken of besides those that the files declare."""
    return check_policy([load_raw(path, root) for path in files], contract, services)


def check_policy(layers: Sequence[RawPolicy], contract: Contract, services: Iterable[str] = ()) -> Policy:
    """Apply every rule; all problems of one stage are told together."""
    return _Checker(layers, contract, tuple(services)).policy()


class _Checker:
    """One pass over the files; each method is a group of rules."""

    def __init__(self, layers: Sequence[RawPolicy], contract: Contract, services: tuple[str, ...]) -> None:
        self.layers = layers
        self.limits = contract.table("policy_limit")
        self.texts = contract.table("policy")
        self.names = Names.of(contract)
        self.problems = Problems()
        self.services = list(services)
        self.domains: dict[str, tuple[str, ...]] = {}
        self.domain_places: dict[str, Where] = {}
        self.identities: dict[int, str] = {}

    def policy(self) -> Policy:
        self.declared()
        self.problems.raise_if_any()
        self.declared_domains()
        rows = self.merged("rule", fields.RULE, ("subject", "action", "target", "gates"))
        delegates = self.merged("delegate", fields.DELEGATE, ("asker", "subject", "actions"))
        self.problems.raise_if_any()
        checked = sorted((self.rule(*row) for row in rows), key=_content)
        asked = [self.delegate(*row) for row in delegates]
        self.counts(checked, asked)
        self.problems.raise_if_any()
        rules = tuple(_numbered(rule, number) for number, rule in enumerate(checked, 1))
        tables = {table.where: table for _, table, _ in (*rows, *delegates)}
        shadow.rules(rules, tables, self.problems)
        shadow.delegates(asked, tables, self.problems)
        self.problems.raise_if_any()
        files = tuple(layer.file for layer in self.layers)
        return Policy(tuple(self.services), self.domains, rules, tuple(asked), files, self.domain_places)

    def declared(self) -> None:
        """Id names; no two have one service id, apps that rules name included."""
        for layer in self.layers:
            for name, entry in layer.tables["services"].entries.items():
                table = layer.tables["services"]
                if not fields.ID_NAME.fullmatch(name):
                    self.problems.at(table, name, repr(name), "a name of at most 24 of a-z, 0-9 and -")
                self.parse(table, name, entry.value, fields.SERVICE)
                if name not in self.services:
                    self.services.append(name)
        for name in self.services:
            self.identities.setdefault(service_id(name), name)

    def declared_domains(self) -> None:
        """Static names only, so that nobody joins a domain at run time."""
        for layer in self.layers:
            table = layer.tables["domains"]
            for name, entry in table.entries.items():
                if not fields.ID_NAME.fullmatch(name):
                    self.problems.at(table, name, repr(name), "a name of at most 24 of a-z, 0-9 and -")
                members = self.parse(table, name, entry.value, fields.DOMAIN_MEMBERS) or ()
                for member in members:
                    if member not in self.services:
                        self.problems.at(table, name, repr(member), self.expected_service(member))
                self.domains[name], self.domain_places[name] = members, entry.where

    def parse(self, table: RawTable, key: str, value: Any, field: Field) -> Any:
        try:
            return field.parse(value)
        except ValueError:
            self.problems.at(table, key, repr(value), field.expected)
            return None

    def merged(self, kind: str, known: dict[str, Field], key: tuple[str, ...]) -> list[tuple[int, RawTable, Values]]:
        """Rows that are left when later files take the place of earlier ones."""
        merged: dict[tuple[Any, ...], tuple[int, RawTable, Values]] = {}
        for number, layer in enumerate(self.layers):
            for table in layer.rows[kind]:
                values = read_table(table, known, self.problems)
                if "target" in known and values["target"] is None:
                    values["target"] = self.names.no_target
                selector = tuple(tuple(sorted(values[k])) if isinstance(values[k], tuple) else values[k] for k in key)
                other = merged.get(selector)
                if other and (other[0] == number or other[2].get("effect") == values.get("effect")):
                    self.said_twice(table, key[0], values, other[1], other[2])
                merged[selector] = (number, table, values)
        return list(merged.values())

    def said_twice(self, table: RawTable, key: str, values: Values, other: RawTable, others: Values) -> None:
        if values.get("effect") == others.get("effect"):
            self.problems.at(table, key, f"what {other.where} says already", "everything once")
        else:
            found = f"{values['effect']!r} for what {other.where} says {others['effect']!r} to"
            self.problems.at(table, "effect", found, "one effect for one subject, action, target and gates")

    def rule(self, layer: int, table: RawTable, values: Values) -> Rule:
        subject = self.selector(table, "subject", values["subject"])
        actions = self.actions(table, "action", values["action"])
        gates = frozenset(values["gates"])
        for gate in values["gates"]:
            if gate not in self.names.gates:
                known = self.names.gates
                self.problems.at(table, "gates", repr(gate), f"one of {', '.join(known)}{did_you_mean(gate, known)}")
        self.target(table, values["target"], actions)
        allow = values["effect"] == "allow"
        never = self.texts["never_allowed"]
        if allow and never in actions:
            self.problems.at(table, "action", repr(values["action"]), f"no rule that allows {never}: nothing ever may")
        if self.texts["not_for_routes"] in gates and "route" in actions:
            found = f"{self.texts['not_for_routes']!r} for a route"
            self.problems.at(
                table, "gates", found, "a gate that stays as it is: what was granted would outlive this one"
            )
        return Rule(
            0, subject, values["action"], actions, values["target"], allow, gates, values["reason"], table.where, layer
        )

    def delegate(self, _: int, table: RawTable, values: Values) -> Delegate:
        asker = self.selector(table, "asker", values["asker"])
        subject = self.selector(table, "subject", values["subject"])
        patterns = [self.actions(table, "actions", pattern) for pattern in values["actions"]]
        return Delegate(asker, subject, frozenset().union(*patterns), values["reason"], table.where)

    def selector(self, table: RawTable, key: str, text: str) -> Selector:
        """Names that a subject stands for; those it stands for must be declared."""
        if text in (EVERYBODY, APPS):
            return Selector(text, frozenset())
        if is_app(text):
            other = self.identities.setdefault(service_id(text), text)
            if other != text:
                self.problems.at(table, key, f"{text!r}, whose service id is that of {other!r}", "an id of its own")
            return Selector(text, frozenset([text]))
        if text.startswith("@"):
            if text[1:] not in self.domains:
                known = [f"@{name}" for name in self.domains]
                self.problems.at(table, key, repr(text), f"a domain of [domains]{did_you_mean(text, known)}")
            return Selector(text, frozenset(self.domains.get(text[1:], ())))
        if text not in self.services:
            self.problems.at(table, key, repr(text), self.expected_service(text))
        return Selector(text, frozenset([text]))

    def expected_service(self, name: str) -> str:
        return f"an id name that [services] declares{did_you_mean(name, self.services)}"

    def actions(self, table: RawTable, key: str, pattern: str) -> frozenset[str]:
        found = frozenset(name for name in self.names.actions if glob_matches(pattern, name))
        if not found:
            expected = f"an action of recipes/contract/policy.toml{did_you_mean(pattern, self.names.actions)}"
            self.problems.at(table, key, repr(pattern), expected)
        return found

    def target(self, table: RawTable, target: str, actions: frozenset[str]) -> None:
        """What no question about these actions could ever name is a mistake."""
        expected = self.names.unknown_target(target, actions, self.services)
        if expected:
            self.problems.at(table, "target", repr(target), expected)

    def counts(self, rules: Sequence[Rule], delegates: Sequence[Delegate]) -> None:
        where = Where(self.layers[-1].file, 1)
        for kind, rows in (("rules", rules), ("delegates", delegates)):
            if len(rows) > self.limits[kind]:
                expected = f"at most {self.limits[kind]} (recipes/contract/policy.toml: {kind})"
                self.problems.add(where, "", kind, str(len(rows)), expected)


def _content(rule: Rule) -> tuple[Any, ...]:
    """Order of the rules' numbers: what they say, not where."""
    return (rule.subject.text, rule.action, rule.target, sorted(rule.gates), rule.allow)


def _numbered(rule: Rule, number: int) -> Rule:
    return Rule(**{**{key: getattr(rule, key) for key in Rule.__dataclass_fields__}, "number": number})
