"""The policy of an image: the compiled table, and that it allows every capability the recipe hands out by itself.

Called by build.py for a system in which some row has `policy = true`. The evaluator decides, nothing here does; a system
whose grants it denies is refused before anything is compiled.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.load import Contract
from nexus.errors import RecipeError
from nexus.policy.evaluate import (
    ROUTE,
    Evaluator,
    Granted,
    denial,
    granted,
    load_evaluator,
    refused_grants,
    route_name,
)
from nexus.recipe.model import System

PART = "policy"
GRANT_ROW = "<HQHH32s"  # in the notation of struct, the guest's too


@dataclass(frozen=True)
class Grant:
    """A static grant as the trail records it at boot."""

    holder: int  # dense index
    service_id: int
    action: int
    rule: int
    target: str


@dataclass(frozen=True)
class ImagePolicy:
    """What an image holds of its policy."""

    table: bytes
    digest: str
    grants: tuple[Grant, ...]


def policy_of(system: System, contract: Contract, root: Path) -> ImagePolicy | None:
    """The table and the grants it allows; None for a system in which nobody decides."""
    if not system.holds_policy:
        return None
    evaluator = load_evaluator(system, contract, root)
    refuse_denied(system, evaluator)
    grants = tuple(_grant(one, evaluator) for one in granted(system, evaluator))
    return ImagePolicy(evaluator.compiled.table, evaluator.digest, grants)


def refuse_denied(system: System, evaluator: Evaluator) -> None:
    """Raise with a line for each static grant that policy denies."""
    if denied := refused_grants(system, evaluator):
        raise RecipeError("\n".join(denial(one, evaluator) for one in denied))


def grants_module(policy: ImagePolicy | None) -> str:
    """The guest module `boot_grants`, from which the trail's first records are made: packed rows, which cost no heap."""
    rows = b"".join(_packed(grant) for grant in (policy.grants if policy else ()))
    lines = [
        "# Generated: capabilities of the recipe, decided when the image was built. Do not edit.",
        "# dense index of the holder, its service id, action, rule, target filled up with zeros",
        f'ROW = "{GRANT_ROW}"',
        f"GRANTS = {rows!r}",
    ]
    return "\n".join([*lines, ""])


def _packed(grant: Grant) -> bytes:
    return struct.pack(
        GRANT_ROW, grant.holder, grant.service_id, grant.action, grant.rule, grant.target.encode("ascii")
    )


def _grant(one: Granted, evaluator: Evaluator) -> Grant:
    target = route_name(one.edge)
    return Grant(one.holder.index, one.holder.service_id, evaluator.action(ROUTE), one.decision.rule, target)
