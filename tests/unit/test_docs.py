"""The pages name files and tests; each of them exists. What a page promises is only as good as the test that it names."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from nexus.layout import find_root

ROOT = find_root()
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FOLDERS = ("docs", "firmware", "guest", "recipes", "scripts", "tests", "tooling")
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*[\w/]")
TEST = re.compile(r"test_[a-z0-9_]+")


@cache
def known_tests() -> frozenset[str]:
    """Functions and files of tests; recipes of test systems have no such names."""
    names = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    for path in (ROOT / "tests").rglob("*.py"):
        names |= set(re.findall(r"^\s*def (test_[a-z0-9_]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return frozenset(names)


def quoted(page: Path) -> list[str]:
    return QUOTED.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_paths_that_a_page_names_exist(page: Path) -> None:
    named = {text.rstrip("/") for text in quoted(page) if PATH.fullmatch(text)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_tests_that_a_page_names_exist(page: Path) -> None:
    named = {text.removesuffix(".py") for text in quoted(page)}
    assert sorted(name for name in named if TEST.fullmatch(name) and name not in known_tests()) == []


def test_pages_name_something() -> None:
    """Else the two above would show nothing."""
    texts = [text for page in PAGES for text in quoted(page)]
    assert sum(bool(PATH.fullmatch(text)) for text in texts) > 50
    assert sum(bool(TEST.fullmatch(text)) for text in texts) > 20
