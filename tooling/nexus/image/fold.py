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

    An `import module` whose last use is gone goes too. Names without a value here, and modules that are imported in any
    other way than `import module`, are left alone.
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
    if len(importing) != 1 or not importing[0].outermost or importing[0].names != ((module, None),):
        return
    uses = names.uses.get(module, ())
    folded = [edit for use in uses if (edit := _value(use, lines, module, values)) is not None]
    yield from folded
    if len(folded) == len(uses):
        yield importing[0].line, importing[0].start, importing[0].end, b"pass"


def _binds(one: Import, module: str) -> bool:
    return one.module == module or (one.module is None and (module, None) in one.names)


def _value(use: Use, lines: list[bytes], module: str, values: Values) -> Edit | None:
    """How one use is replaced; None for what has no value, or does not stand in the text as it does in the tree."""
    if use.attribute is None or use.attribute not in values or not use.read or not use.one_line:
        return None
    if lines[use.line - 1][use.start : use.end] != f"{module}.{use.attribute}".encode():
        return None  # inside an f-string the compiler's columns mean something else
    return use.line, use.start, use.end, repr(values[use.attribute]).encode()
