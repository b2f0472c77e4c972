"""Elements of an HTML or SVG page, out of which nothing that a guest wrote can break: text is escaped where it becomes part of one.

Used by the report. Pure.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

VOID = frozenset(["meta", "input", "br", "link"])


class Html(str):
    """Text that is HTML already. Only this module and whoever has a fixed text makes one."""


Child = str | int


def tag(element: str, *children: Child, **attributes: str | int | float | None) -> Html:
    """One element. An attribute of None is left out, `class_` is `class`, other underscores are dashes."""
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Html(f"<{element}{shown}>")
    return Html(f"<{element}{shown}>{join(*children)}</{element}>")


def join(*children: Child) -> Html:
    return Html("".join(child if isinstance(child, Html) else escape(str(child)) for child in children))


def hash_source(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def page(title: str, style: str, script: str, *body: Child) -> Html:
    """A whole page that loads nothing, and whose policy lets nothing run but this very style and script."""
    policy = f"default-src 'none'; style-src {hash_source(style)}; script-src {hash_source(script)}; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    return join(
        Html("<!DOCTYPE html>\n"), tag("html", head, tag("body", *body, tag("script", Html(script))), lang="en"), "\n"
    )


def _number(value: str | int | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
