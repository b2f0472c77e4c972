"""Writes the values of generated constants into guest sources before they are compiled: `contract.E_OK` becomes `0`.

Called by build.py. A look-up in another module costs the interpreter some 250 instructions each time and the module itself
costs heap; a literal costs neither. Lines stay where they are, so tracebacks stay true. Never changes what a program means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus.image.names import Import, Names, Use, names_of

Values = Mapping[str, int | str]


def fold(source: bytes, generated: Mapping[str, Values]) -> bytes:
    """The source with each `module.NAME` of `generated` replaced by its value.

    An `import module` whose last use is gone goes too. Left alone are names without a value here, what stands in an f-string, and a
    module that is imported in any other way than `import module`, or whose name is given to anything else in that source.
    """
    names = names_of(source)
    lines = source.splitlines(keepends=True)
    edits = [edit for module, values in generated.items() for edit in _edits(names, lines, module, values)]
    for line, start, end, text in sorted(edits, reverse=True):
        lines[line - 1] = lines[line - 1][:start] + text + lines[line - 1][end:]
    return b"".join(lines)


Edit = tuple[int, int, int, bytes]  # line, from column to column in bytes, new text


def _edits(names: Names, lines: list[bytes], module: str, values: Values) -> Iterator[Edit]:
    importing = [one for one in names.imports if _binds(one, module)]
    uses = names.uses.get(module, ())
    if len(importing) != 1 or not _is_plain(importing[0], module) or _changes(names, module):
        return
    folded = [edit for use in uses if (edit := _value(use, lines, module, values)) is not None]
    yield from folded
    if len(folded) == len(uses):
        yield importing[0].line, importing[0].start, importing[0].end, b"pass"


def _binds(one: Import, module: str) -> bool:
    """Whether it gives that name a meaning, takes names out of the module, or could do so."""
    bound = [alias or name.partition(".")[0] for name, alias in one.names]
    return one.module == module or module in bound or "*" in bound


def _is_plain(one: Import, module: str) -> bool:
    return one.outermost and one.module is None and not one.relative and one.names == ((module, None),)


def _changes(names: Names, module: str) -> bool:
    """Whether the name may stand for anything but the module, or the module for other values."""
    return module in names.bound or any(not use.read for use in names.uses.get(module, ()))


def _value(use: Use, lines: list[bytes], module: str, values: Values) -> Edit | None:
    """How one use is replaced; None for what has no value, or does not stand in the text as it does in the tree."""
    if use.attribute is None or use.attribute not in values or not use.one_line:
        return None
    if use.in_fstring:  # there quotes may end the text around them, and before Python 3.12 columns mean something else
        return None
    line = lines[use.line - 1]
    if line[use.start : use.end] != f"{module}.{use.attribute}".encode():
        return None
    return use.line, use.start, use.end, _literal(values[use.attribute], line[use.end : use.end + 1])


def _literal(value: int | str, behind: bytes) -> bytes:
    """The value as it is written before that byte: `0.x` is no number, and `-1 ** 2` another one than that of -1."""
    text = repr(value).encode()
    return b"(" + text + b")" if isinstance(value, int) and (value < 0 or behind == b".") else text
