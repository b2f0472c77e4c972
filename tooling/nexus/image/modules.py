"""Which guest modules a process needs: main.py of its folder, those that its row names, and, transitively, all that these import.

Called by build.py. A name is looked up in the service's own folder, then guest/lib, then guest/drivers; what is found
nowhere is an error, so the set is closed. Reads sources with ast and never runs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus.errors import BuildError
from nexus.image.names import Names, names_of
from nexus.recipe.raw import did_you_mean

# Modules inside the runtime. `nexus inspect` proves what the service runtime does not have.
BUILTIN = frozenset("array binascii builtins collections crypto errno frame gc kernel micropython struct sys".split())
SHELL_BUILTIN = BUILTIN | frozenset(
    "cmath deflate framebuf hashlib heapq io json machine math os platform random re repl select terminal time uctypes vfs".split()
)
GENERATED = (
    "boot_grants",
    "bundled",
    "contract",
    "caps",
    "manual",
    "policy_sheets",
    "trust",
)  # written for each process that imports them


@dataclass(frozen=True)
class Module:
    """One source file, by the path under which the guest imports it ("lib" itself is not part of that)."""

    name: str  # dotted
    path: Path
    source: bytes
    names: Names

    @property
    def in_romfs(self) -> str:
        parts = self.name.split(".")
        return "/".join([*parts, "__init__"] if self.path.name == "__init__.py" else parts) + ".mpy"


def closure(guest: Path, service: str, builtin: frozenset[str], named: Sequence[str] = ()) -> list[Module]:
    """Every module of a process, by name; `named` are files of the folder that no module has to import."""
    first = [_read("main", guest / service / "main.py")]
    first += [_read(Path(name).name, guest / f"{name}.py") for name in named]
    return closure_of(first, [guest / service, guest / "lib", guest / "drivers"], builtin, GENERATED)


def closure_of(
    first: Sequence[Module], roots: list[Path], builtin: frozenset[str], generated: Sequence[str]
) -> list[Module]:
    """These modules and all that they need, by name; what is found in no folder of `roots` is an error."""
    found: dict[str, Module] = {}
    waiting = [*first]
    while waiting:
        module = waiting.pop()
        if module.name in found:
            continue
        found[module.name] = module
        for name, line in imports(module):
            if name.partition(".")[0] in builtin or name in generated:
                continue
            waiting += _resolve(name, roots, module, line, builtin)
    return [found[name] for name in sorted(found)]


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Dotted names that a module may import; `from a import b` gives "a", and "a.b" for _resolve to try."""
    for one in module.names.imports:
        if one.relative:
            raise BuildError(f"{module.path}:{one.line}: found a relative import, expected a module's full name")
        if one.module is None:
            yield from ((name, one.line) for name, _ in one.names)
        else:
            yield one.module, one.line
            yield from ((f"{one.module}.{name}?", one.line) for name, _ in one.names)


def names_used(modules: Iterable[Module], generated: str) -> dict[str, tuple[Path, int]] | None:
    """Constants that the modules take from a generated module, with one place each; None if that can't be told."""
    used: dict[str, tuple[Path, int]] = {}
    for module in modules:
        for one in module.names.imports:
            if one.module == generated:
                used.update({name: (module.path, one.line) for name, _ in one.names})
            elif one.module is None and any(name == generated and other for name, other in one.names):
                return None
        for use in module.names.uses.get(generated, ()):
            if use.attribute is None:
                return None
            used.setdefault(use.attribute, (module.path, use.line))
    return used


def check_names(used: dict[str, tuple[Path, int]], known: Iterable[str], generated: str, expected: str) -> None:
    """Refuse a constant that the generated module will not have."""
    known = set(known)
    for name, (path, line) in sorted(used.items()):
        if name not in known:
            raise BuildError(
                f"{path}:{line}: {generated}.{name}: found an unknown name, expected {expected}{did_you_mean(name, known)}"
            )


def _resolve(name: str, roots: list[Path], importer: Module, line: int, builtin: frozenset[str]) -> list[Module]:
    """The module and the packages above it; a name that ends in '?' may be an attribute instead."""
    certain = not name.endswith("?")
    parts = name.rstrip("?").split(".")
    for root in roots:
        target = root.joinpath(*parts)
        for path in (target.with_suffix(".py"), target / "__init__.py"):
            if path.is_file():
                above = (root.joinpath(*parts[:depth]) / "__init__.py" for depth in range(1, len(parts)))
                packages = [
                    _read(".".join(package.parent.relative_to(root).parts), package)
                    for package in above
                    if package.is_file()
                ]
                return [*packages, _read(".".join(parts), path)]
        if target.is_dir():
            return []
    if not certain:
        return []
    known = builtin | set(GENERATED) | {path.stem for root in roots for path in root.glob("*.py")}
    expected = f"a module of {', '.join(f'{root.parent.name}/{root.name}' for root in roots)} or of the runtime"
    raise BuildError(
        f"{importer.path}:{line}: import {'.'.join(parts)}: found no such module, expected {expected}"
        f"{did_you_mean(parts[0], known)}"
    )


def _read(name: str, path: Path) -> Module:
    return parse(name, path, path.read_bytes())


def parse(name: str, path: Path, source: bytes) -> Module:
    """A module of this text; the path is what an error names."""
    try:
        names = names_of(source)
    except SyntaxError as error:
        raise BuildError(f"{path}:{error.lineno}: {error.msg}") from error
    return Module(name, path, source, names)
