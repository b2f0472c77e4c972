"""What a guest source imports, uses and binds: each place once, in the order of the text, wherever it stands."""

from __future__ import annotations

import pytest

from nexus.image.names import names_of

SOURCE = b"""\
import one, two.part as other
if one.A:
    from three import b
def f(x=one.B):
    import one
    one.C = one
    return f"{one.D}" + one.E.one.F
"""


def places(name: str) -> list[tuple[int, str | None, bool]]:
    return [(use.line, use.attribute, use.read) for use in names_of(SOURCE).uses[name]]


def test_uses_are_told_once_with_what_is_taken_of_them() -> None:
    told = [(2, "A", True), (4, "B", True), (6, "C", False), (6, None, True), (7, "D", True), (7, "E", True)]
    assert sorted(places("one"), key=str) == sorted(told, key=str)
    assert [line for line, _, _ in places("one")] == [2, 4, 6, 6, 7, 7]


def test_imports_are_told_in_their_order_and_where_they_stand() -> None:
    found = [(one.line, one.module, one.names, one.outermost) for one in names_of(SOURCE).imports]
    first = (("one", None), ("two.part", "other"))
    assert found == [
        (1, None, first, True),
        (3, "three", (("b", None),), False),
        (5, None, (("one", None),), False),
    ]


def test_names_are_bound_by_what_is_written_and_by_arguments_but_not_by_what_is_read() -> None:
    assert names_of(SOURCE).bound == {"f", "x"}
    assert names_of(b"def f(a, *b, c=d, **e): g = h.i").bound == set("fabceg")


def test_use_in_an_fstring_is_told_as_one() -> None:
    uses = names_of(b"one.A, f'{one.B:{one.C}} {f(one.D)}', one.E").uses["one"]
    assert [use.attribute for use in uses if use.in_fstring] == ["B", "C", "D"]


@pytest.mark.parametrize(
    ("text", "relative"), [("from . import a", True), ("from .a import b", True), ("from a import b", False)]
)
def test_relative_import_is_one(text: str, relative: bool) -> None:
    assert [one.relative for one in names_of(text.encode()).imports] == [relative]


def test_columns_are_those_of_the_text_in_bytes() -> None:
    source = "x = 'ü'; import one; y = one.A\n".encode()
    names = names_of(source)
    (statement,), (use,) = names.imports, names.uses["one"]
    assert source[statement.start : statement.end] == b"import one"
    assert source[use.start : use.end] == b"one.A"
