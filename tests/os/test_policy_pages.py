"""The host hashes the policy that is mapped in the running machine, and fails a run whose console alone would pass.

Scenario: the selftest system, in which rngd too has the policy mapped; the same with a builder or a kernel that gives the
machine something else than the manifest and the boot line say.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root
from nexus.plugin import Boot

if TYPE_CHECKING:
    from tests.os.conftest import Clone

READY = next(
    f"{row.label}: {row.text}\n" for row in load_contract(contract_dir(find_root())).markers if row.name == "init_ready"
)
RECIPE = 'base = "selftest"\n[[process]]\nname = "rngd"\npolicy = true\n'
TABLE = "tooling/nexus/image/table.py"
KERNEL = "firmware/kernel/process.c"
MAPPED = "map_at(p, VA_POLICY, image.policy.start, row->policy ? image.policy.bytes : 0, IMAGE_R)"

RULES = 2 * load_contract(contract_dir(find_root())).number("policy_header.rules")
UNCOUNTED = (
    f"policy.table[:{RULES}] + bytes(2) + policy.table[{RULES + 2}:]"  # how many rules there are, policyd does not read
)
OF_RNGD = "(row->kept_pages ? 0 : PAGE_BYTES)"  # policyd, which can't run with another page, has a kept region


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "decided.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


def test_mapped_policy_is_the_manifests(boot: Boot) -> None:
    """In the system for everyday use, which stays up: a selftest could be over before anybody looks."""
    machine = boot(system="default")
    machine.expect(READY)
    assert machine.target.policy_bytes > 0
    assert machine.policy_problem() == ""


def test_run_with_the_right_pages_passes(clone: Clone, recipe: str) -> None:
    answer = clone.test_os("--system", recipe)
    assert (answer.exit_code, answer.code) == (0, None), answer.text


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (TABLE, "[Part(POLICY, policy.table)]", f"[Part(POLICY, {UNCOUNTED})]", ": digest "),
        (KERNEL, MAPPED, MAPPED.replace("policy.start,", f"policy.start - {OF_RNGD},"), "rngd: digest "),
        (KERNEL, MAPPED, MAPPED.replace("IMAGE_R)", "IMAGE_R | IMAGE_W)"), "page 0 of it is not read-only"),
        (
            KERNEL,
            MAPPED,
            MAPPED.replace("row->policy ?", "p->index && p->index < image.process_count ?"),
            "its row does not say so",
        ),
    ],
    ids=["another-table", "another-page", "writable", "for-everybody"],
)
def test_run_with_other_pages_fails_although_its_console_is_right(
    clone: Clone, recipe: str, file: str, old: str, new: str, says: str
) -> None:
    clone.edit(file, old, new)
    answer = clone.test_os("--system", recipe)
    assert (answer.exit_code, answer.code) == (1, "policy-pages"), answer.text
    assert says in answer.reason
