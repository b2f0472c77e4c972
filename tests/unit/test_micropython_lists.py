"""The committed lists of tests/micropython: every skip has one reason, and what is said of the peer adds up.

Scenario: the lists as they are, beside the tests of the pinned sources; and small lists that contradict themselves.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nexus.errors import RecipeError
from nexus.layout import find_root
from nexus.micropython.lists import FOLDER, load_peer, load_skips, load_targets

ROOT = find_root()
SUITE = 892  # tests of 1.25.0 in the five directories


def test_every_difference_from_the_peer_adds_up() -> None:
    """From our totals and the list follow the peer's totals, so no test differs that is not listed."""
    peer, skipped = load_peer(ROOT), len(load_skips(ROOT))
    there = Counter({"pass": SUITE - skipped, "skip": skipped, "fail": 0})
    for group in peer.differences:
        there[group.here] -= len(group.tests)
        there[group.there] += len(group.tests)
    assert (there["pass"], there["fail"], there["skip"]) == (peer.passed, peer.failed, peer.skipped) == (720, 1, 201)


def test_no_test_is_in_two_differences() -> None:
    names = [test for group in load_peer(ROOT).differences for test in group.tests]
    assert len(names) == len(set(names))


def test_what_has_to_be_reached_is_what_was_promised() -> None:
    targets = load_targets(ROOT)
    assert (targets.least_passed, targets.tax, targets.ratio) == (690, 1.01, 0.92)
    assert len(targets.published) == 18


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[skip]]\nreason = ""\ntests = ["a/b"]\n', "without a reason"),
        ('[[skip]]\nreason = "because"\ntests = []\n', "without tests"),
        ('[[skip]]\nreason = "one"\ntests = ["a/b"]\n[[skip]]\nreason = "two"\ntests = ["a/b"]\n', "a/b is listed twice"),
    ],
)  # fmt: skip
def test_list_without_reason_or_with_two_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "skips.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_skips(tmp_path)


def test_end_that_no_test_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    text = 'passed = 1\nfailed = 0\nskipped = 0\n[[difference]]\nreason = "x"\nhere = "lost"\nthere = "pass"\ntests = ["a/b"]\n'
    (tmp_path / FOLDER / "peer.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match="here: found 'lost', expected one of pass, skip, fail, absent"):
        load_peer(tmp_path)
