"""Folding of generated constants into guest sources: what is replaced, what stays, and that the meaning is the same."""

from __future__ import annotations

import types

import pytest

from nexus.image.fold import fold

VALUES: dict[str, dict[str, int | str]] = {"contract": {"E_OK": 0, "NAME": "it's", "BIG": 2**62, "BELOW": -1}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import contract\nx = contract.E_OK\n", "pass\nx = 0\n"),
        ("import contract\nx = contract.NAME.split()\n", 'pass\nx = "it\'s".split()\n'),
        ("import contract\nx = [contract.E_OK, contract.BIG]\n", f"pass\nx = [0, {2**62}]\n"),
        ("import contract\nx = contract.E_OK + contract.OTHER\n", "import contract\nx = 0 + contract.OTHER\n"),
        ("import contract\nf(contract)\nx = contract.E_OK\n", "import contract\nf(contract)\nx = 0\n"),
        ("import contract\nx = contract.E_OK.to_bytes(2, 'little')\n", "pass\nx = (0).to_bytes(2, 'little')\n"),
        ("import contract\nx = contract.BELOW ** 2\n", "pass\nx = (-1) ** 2\n"),
    ],
)
def test_replaces_what_has_a_value(source: str, expected: str) -> None:
    assert fold(source.encode(), VALUES).decode() == expected


@pytest.mark.parametrize(
    "source",
    [
        "from contract import E_OK\nx = E_OK\n",
        "import contract as c\nx = c.E_OK\n",
        "x = 'contract.E_OK'\n",
        "import contract\ncontract.E_OK = 1\n",
        "class contract:\n    E_OK = 5\nx = contract.E_OK\n",
        "import contract\ncontract.E_OK = 1\nx = contract.E_OK\n",
        "import contract, sys\nx = contract.E_OK\n",
        "from . import contract\nx = contract.E_OK\n",
        "from other import contract\nx = contract.E_OK\n",
        "import contract\nx = f'{contract.NAME}'\n",
        "import contract\nx = f'{contract.E_OK} {contract.E_OK=}'\n",
    ],
)
def test_leaves_alone_what_it_can_not_be_sure_of(source: str) -> None:
    assert fold(source.encode(), VALUES).decode() == source


@pytest.mark.parametrize(
    "binding",
    [
        "contract = other",
        "contract: int = 5",
        "contract += other",
        "(contract := other)",
        "for contract in other: pass",
        "with other as contract: pass",
        "[contract for contract in other]",
        "del contract",
        "def contract(): pass",
        "async def contract(): pass",
        "class contract: pass",
        "def f(contract): pass",
        "def f(contract, /): pass",
        "def f(*, contract): pass",
        "def f(*contract): pass",
        "def f(**contract): pass",
        "f = lambda contract: contract.E_OK",
        "f = lambda *contract: contract.E_OK",
        "def f():\n    global contract",
        "def f():\n    def g():\n        nonlocal contract",
        "try: pass\nexcept E as contract: pass",
        "match other:\n    case contract: pass",
        "match other:\n    case [*contract]: pass",
        "match other:\n    case {**contract}: pass",
        "import other as contract",
        "import contract.other",
        "from other import name as contract",
        "from other import *",
    ],
)
def test_leaves_a_module_alone_whose_name_may_mean_something_else(binding: str) -> None:
    source = f"import contract\nx = contract.E_OK\n{binding}\n"
    assert fold(source.encode(), VALUES).decode() == source


def test_keeps_every_line_where_it_was() -> None:
    source = b"# one\nimport contract\n\n\ndef f():\n    return (contract.E_OK,\n            contract.BIG)\n"
    folded = fold(source, VALUES)
    assert folded.count(b"\n") == source.count(b"\n")
    found: dict[str, object] = {}
    exec(compile(folded, "folded", "exec"), found)  # noqa: S102
    function = found["f"]
    assert isinstance(function, types.FunctionType)
    assert (function(), function.__code__.co_firstlineno) == ((0, 2**62), 5)
