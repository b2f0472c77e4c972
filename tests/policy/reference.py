"""A second opinion on policy: decides by reading the rules' files itself, one rule after the other.

Used by tests/unit/test_policy_*.py and tests/guest/test_nexus_sel.py. Shares no code, no table and no data with tooling/nexus or
guest/: what both would get wrong in the same way could not be seen.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def same(pattern: str, text: str) -> bool:
    """A glob, character by character."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(same(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return text[:1] == pattern[0] and same(pattern[1:], text[1:])


class Reference:
    """The files' rules, later files over earlier ones."""

    def __init__(self, texts: list[str], contract: str) -> None:
        words = tomllib.loads(contract)
        self.numbers = {words["action_name"][key]: number for key, number in words["action"].items()}
        self.rules: dict[Any, dict[str, Any]] = {}
        self.delegates: list[dict[str, Any]] = []
        self.members: dict[str, list[str]] = {}
        self.services: set[str] = set()
        for text in texts:
            self.lay(tomllib.loads(text))
        self.known: dict[tuple[str, str], bool] = {}
        self.candidates: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def lay(self, layer: dict[str, Any]) -> None:
        self.services |= set(layer.get("services", {}))
        self.members.update(layer.get("domains", {}))
        for rule in layer.get("rule", []):
            target = rule.setdefault("target", "-")
            self.rules[rule["subject"], rule["action"], target, frozenset(rule.get("gates", []))] = rule
        self.delegates += layer.get("delegate", [])

    def matches(self, pattern: str, text: str) -> bool:
        if (pattern, text) not in self.known:
            self.known[pattern, text] = same(pattern, text)
        return self.known[pattern, text]

    def is_one_of(self, who: str, subject: str) -> bool:
        if who.startswith("@"):
            return subject in self.members[who[1:]]
        return self.matches(who, subject) if who in ("app:*", "*") else who == subject

    def is_name(self, target: str) -> bool:
        return 0 < len(target) <= 32 and not set(target) - set("abcdefghijklmnopqrstuvwxyz0123456789.:_-")

    def rules_of(self, subject: str, action: str) -> list[dict[str, Any]]:
        if (subject, action) not in self.candidates:
            self.candidates[subject, action] = [
                rule
                for rule in self.rules.values()
                if self.is_one_of(rule["subject"], subject) and self.matches(rule["action"], action)
            ]
        return self.candidates[subject, action]

    def effects(self, subject: str, action: str, target: str, gates: set[str]) -> set[str]:
        """What the rules that count say."""
        return {
            rule["effect"]
            for rule in self.rules_of(subject, action)
            if self.matches(rule["target"], target) and gates.issuperset(rule.get("gates", ()))
        }

    def allows(
        self,
        subject: str,
        action: str,
        target: str,
        gates: set[str],
        asker: str | None = None,
        mask: set[str] | None = None,
    ) -> bool:
        """Whether the subject may; `asker` asks about it, None: it asks itself. `mask`: actions of an app, None: all."""
        if action not in self.numbers or not self.is_name(target):
            return False
        if not subject.startswith("app:") and subject not in self.services:
            return False
        if mask is not None and action not in mask:
            return False
        return self.effects(subject, action, target, gates) == {"allow"} and self.may_ask(asker, subject, action)

    def may_ask(self, asker: str | None, subject: str, action: str) -> bool:
        if asker is None:
            return True
        return any(
            self.is_one_of(row["asker"], asker)
            and self.is_one_of(row["subject"], subject)
            and any(self.matches(pattern, action) for pattern in row["actions"])
            for row in self.delegates
        )


def reference_of(files: list[Path], contract: Path) -> Reference:
    """The reference of these files in this order."""
    texts = [path.read_text(encoding="utf-8") for path in files]
    return Reference(texts, contract.read_text(encoding="utf-8"))
