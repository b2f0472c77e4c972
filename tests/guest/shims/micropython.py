"""MicroPython's own module, as far as guest code and generated code use it. Imported by modules under test; holds no state."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")


def const(value: Value) -> Value:
    """A hint to MicroPython's compiler; to CPython a value like any other."""
    return value
