"""The generated guest module `manual`: the docstrings of a process's functions, as written, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nexus.image.manual import manual_module
from nexus.image.modules import parse

SOURCE = '''
"""Of the module: not told."""

def plain():
    # no docstring
    return 1

def told(one, two=3, *rest):
    """What it is for.

    told("it's")
      e.g. more
    """

class Kind:
    """Not told either."""

    def method(self):
        """Nor this."""
'''


def texts(**sources: str) -> Any:
    found: dict[str, Any] = {}
    modules = [parse(name, Path(f"{name}.py"), text.encode()) for name, text in sources.items()]
    exec(manual_module(modules), found)  # noqa: S102  # the generated module itself
    return found["TEXTS"]


def test_functions_are_told_with_their_arguments_and_whole_text() -> None:
    text = 'What it is for.\n\ntold("it\'s")\n  e.g. more'
    assert texts(some=SOURCE) == {"some": {"told": ("(one, two=3, *rest)", text)}}


def test_modules_without_docstrings_are_left_out() -> None:
    assert texts(one="x = 1\n", two="def f():\n    pass\n") == {}


def test_order_of_the_modules_does_not_matter() -> None:
    one, two = 'def a():\n    """A."""\n', 'def b():\n    """B."""\n'
    modules = [parse("one", Path("one.py"), one.encode()), parse("two", Path("two.py"), two.encode())]
    assert manual_module(modules) == manual_module(modules[::-1])
