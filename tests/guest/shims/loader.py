"""Imports guest modules for one simulated process: its own copy of each, found where the image builder looks for them.

Used by machine.py. Gives a guest module nothing that the service runtime lacks: no eval, no open, few host modules.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

HOST_MODULES = frozenset("array binascii collections errno struct".split())
# Every server collects when it is idle, which would cost a test seconds of the host's own heap.
GC = SimpleNamespace(collect=int)
WITHHELD = ("eval", "exec", "compile", "open", "input", "breakpoint")
_compiled: dict[tuple[str, str], CodeType] = {}


class Loader:
    """The import machinery of one incarnation; `given` are the native and generated modules."""

    def __init__(self, roots: Sequence[Path], given: Mapping[str, Any], sources: Mapping[str, str]) -> None:
        self.roots = roots
        self.loaded: dict[str, Any] = {"gc": GC, **given}
        self.sources = sources  # text instead of a file, for tests of a broken service
        names = {name: value for name, value in vars(builtins).items() if name not in WITHHELD}
        self.builtins = {**names, "__import__": self.load}

    def load(self, name: str, *_: Any) -> Any:
        """What `import name` gives inside the process."""
        if name not in self.loaded:
            text, origin = self._find(name)
            if text is None:
                return __import__(name)
            module = ModuleType(name)
            module.__dict__["__builtins__"] = self.builtins
            self.loaded[name] = module
            code = _compiled.get((origin, text)) or compile(text, origin, "exec")
            _compiled[origin, text] = code
            exec(code, module.__dict__)  # noqa: S102 - the code under test
        return self.loaded[name]

    def _find(self, name: str) -> tuple[str | None, str]:
        if name in self.sources:
            return self.sources[name], f"<{name} of the test>"
        for root in self.roots:
            path = root / f"{name}.py"
            if path.is_file():
                return path.read_text(encoding="utf-8"), str(path)
        if name not in HOST_MODULES:
            raise ImportError(f"no module {name!r} in the guest")
        return None, ""
