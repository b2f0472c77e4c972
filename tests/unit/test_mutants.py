"""`nexus mutants` itself: what counts as found, and everything that must not. On a tree of three files, with real patches."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from nexus.errors import SetupError, UsageError, VerdictError
from nexus.layout import find_root
from nexus.mutants import FOLDER, LIST, Copy, Mutant, Outcome, choose, copy_of, find_survivor, load_mutants, run_mutants

CODE = "LIMIT = 3\n\n\ndef small(n):\n    return n < LIMIT\n"
TESTS = """import pytest
from code_under_test import small

def test_small():
    assert small(2) and not small(3)

@pytest.mark.parametrize("n", [0, 1, 2])
def test_each(n):
    assert small(n)

def test_nothing():
    pass

@pytest.fixture
def broken():
    assert small(2)

def test_set_up(broken):
    pass

def test_build():
    from nexus.errors import BuildError
    if not small(2):
        raise BuildError("does not compile")
"""
PATCH = """Removes a rule.

--- a/code_under_test.py
+++ b/code_under_test.py
@@ -3,3 +3,3 @@

 def small(n):
-    return n < LIMIT
+    return {new}
"""


def row(name: str, test: str) -> str:
    return f'[[mutant]]\nname = "{name}"\nbreaks = "a rule"\ntest = "test_it.py::{test}"\n'


def make_tree(folder: Path) -> Path:
    (folder / FOLDER).mkdir(parents=True)
    (folder / "code_under_test.py").write_text(CODE)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path)


def plant(tree: Path, mutants: Sequence[tuple[str, str, str]]) -> None:
    """Name, test and the line that takes the rule's place."""
    (tree / FOLDER / LIST).write_text("\n".join(row(name, test) for name, test, _ in mutants))
    for name, _, new in mutants:
        (tree / FOLDER / f"{name}.patch").write_text(PATCH.format(new=new))


# Name, test, the line that takes the rule's place, and how the finding begins; empty: killed.
TRIED = [
    ("always", "test_small", "True", ""),
    ("never", "test_each", "n < 2", ""),
    ("one", "test_each[2]", "n < 2", ""),
    ("unseen", "test_nothing", "True", "its test passes"),
    ("unseen-there", "test_each[0]", "n < 2", "its test passes"),
    ("fixture", "test_set_up", "False", "its test could not begin"),
    ("build", "test_build", "False", "the tree does not build"),
    ("gone", "test_small", "True", "its patch does not apply"),
    ("after-all", "test_small", "True", ""),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All of them in one run: none may leave anything behind for the next."""
    tree = make_tree(tmp_path_factory.mktemp("tree"))
    plant(tree, [row[:3] for row in TRIED])
    gone = tree / FOLDER / "gone.patch"
    gone.write_text(gone.read_text().replace("< LIMIT", "<= LIMIT"))
    return {result.mutant.name: result.finding for result in run_mutants(tree, (), lambda _text: None)}


@pytest.mark.parametrize(("name", "begins"), [(name, begins) for name, _, _, begins in TRIED])
def test_only_a_failure_of_its_own_test_kills(name: str, begins: str, found: dict[str, str]) -> None:
    assert found[name].startswith(begins) if begins else found[name] == ""


def test_patch_that_changes_nothing_is_refused(tree: Path) -> None:
    (tree / "empty.patch").write_text("Removes nothing.\n")
    with pytest.raises(VerdictError, match="does not apply"):
        Copy(tree).apply(tree / "empty.patch")


@pytest.mark.parametrize(
    ("test", "code", "words"),
    [("test_none", CODE, "test_none"), ("test_small", CODE.replace("3", "4"), "test_small: failed")],
)
def test_tree_that_fails_by_itself_proves_nothing(tree: Path, test: str, code: str, words: str) -> None:
    plant(tree, [("always", test, "True")])
    (tree / "code_under_test.py").write_text(code)
    with pytest.raises(VerdictError, match=words):
        run_mutants(tree, (), lambda _text: None)


def test_tree_is_only_read_and_the_copy_is_put_back(tree: Path) -> None:
    plant(tree, [("always", "test_small", "True")])
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts}
    with copy_of(tree) as copy:
        files = {path.relative_to(copy.root): path.read_bytes() for path in copy.root.rglob("*") if path.is_file()}
        saved = copy.apply(tree / FOLDER / "always.patch")
        assert (copy.root / "code_under_test.py").read_text() != CODE
        copy.restore(saved)
        assert {
            path.relative_to(copy.root): path.read_bytes() for path in copy.root.rglob("*") if path.is_file()
        } == files
        folder = copy.root
    assert not folder.exists()
    assert {path: path.read_bytes() for path in before} == before


def test_patch_may_make_a_file(tree: Path) -> None:
    patch = tree / "new.patch"
    patch.write_text("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x = 1\n")
    saved = Copy(tree).apply(patch)
    assert (tree / "new.py").read_text() == "x = 1\n"
    Copy(tree).restore(saved)
    assert not (tree / "new.py").exists()


def test_every_patch_has_a_row_and_every_row_a_patch(tree: Path) -> None:
    plant(tree, [("always", "test_small", "True")])
    (tree / FOLDER / "stray.patch").write_text(PATCH)
    with pytest.raises(UsageError, match="stray"):
        load_mutants(tree / FOLDER)
    (tree / FOLDER / "stray.patch").unlink()
    (tree / FOLDER / "always.patch").unlink()
    with pytest.raises(UsageError, match="always"):
        load_mutants(tree / FOLDER)


@pytest.mark.parametrize("old", ['name = "always"\n', 'breaks = "a rule"\n', "test_it.py::"])
def test_row_that_is_not_whole_is_refused(tree: Path, old: str) -> None:
    plant(tree, [("always", "test_small", "True")])
    path = tree / FOLDER / LIST
    path.write_text(path.read_text().replace(old, ""))
    with pytest.raises(UsageError, match="expected"):
        load_mutants(tree / FOLDER)


def test_name_that_is_none_lists_the_names() -> None:
    one = Mutant("always", "a rule", "test_it.py::test_small", Path("always.patch"))
    assert choose([one], ["always"]) == choose([one], []) == (one,)
    with pytest.raises(UsageError, match="nobody") as caught:
        choose([one], ["nobody"])
    assert "always" in str(caught.value.hint)


@pytest.mark.parametrize(
    "outcome", [None, Outcome("skipped"), Outcome("missing"), Outcome("error", "x"), Outcome("passed")]
)
def test_only_a_failure_kills(outcome: Outcome | None) -> None:
    assert find_survivor(outcome)
    assert not find_survivor(Outcome("failed", "assert False"))


def test_folder_that_is_no_clone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SetupError, match="no clone"), copy_of(tmp_path):
        pass


def test_command_fails_for_a_survivor(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nexus.verbs import mutants as verb

    plant(tree, [("unseen", "test_nothing", "True")])
    monkeypatch.setattr(verb, "find_root", lambda: tree)
    told = CliRunner().invoke(verb.mutants, [], standalone_mode=False)
    assert told.return_value == VerdictError.exit_code
    assert "SURVIVED" in told.output and "1 bugs, 1 not found" in told.output


def test_each_of_our_own_patches_applies() -> None:
    """Not only when somebody runs them: a change that moves a rule takes its mutant along."""
    stale = []
    for patch in sorted((find_root() / FOLDER).glob("*.patch")):
        done = subprocess.run(
            ["git", "apply", "--check", str(patch)], cwd=find_root(), capture_output=True, check=False
        )
        if done.returncode:
            stale.append(patch.stem)
    assert stale == []


def test_our_own_list_is_whole() -> None:
    mutants = load_mutants(find_root() / FOLDER)
    assert sum(one.test.startswith("tests/unit/test_ladder") for one in mutants) >= 5
    assert sum("test_kernel" in one.test for one in mutants) >= 10
