"""The bound on the kernel's stack: what is added up, and what is refused because it could not be added up."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.errors import BuildError
from nexus.image.stack import check_stack, deepest, read_graph


def node(name: str, size: int, kind: str = "static") -> str:
    return f'node: {{ title: "{name}" label: "{name}\\nfile.c:1:1\\n{size} bytes ({kind})" }}\n'


def edge(caller: str, callee: str) -> str:
    return f'edge: {{ sourcename: "{caller}" targetname: "{callee}" label: "file.c:2:2" }}\n'


def test_adds_up_the_deepest_chain() -> None:
    text = (
        node("a", 16)
        + node("b", 100)
        + node("c", 40)
        + node("d", 80)
        + edge("a", "b")
        + edge("a", "c")
        + edge("c", "d")
    )
    assert deepest(read_graph([text], []), "a") == (136, ["a", "c", "d"])


def test_the_dispatcher_calls_every_row_of_the_table() -> None:
    text = node("syscall_enter", 16) + node("syscall.c:sys_exit", 64) + edge("syscall_enter", "__indirect_call")
    assert deepest(read_graph([text], ["sys_exit"]), "syscall_enter") == (80, ["syscall_enter", "syscall.c:sys_exit"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (node("a", 16) + node("b", 16) + edge("a", "b") + edge("b", "a"), "a -> b -> a is a cycle"),
        (node("a", 16, "dynamic"), "a has a stack frame of dynamic size"),
        (node("a", 16) + edge("a", "strlen"), "nothing is known of the stack of strlen"),
        (node("a", 16) + edge("a", "__indirect_call"), "a calls through a pointer"),
    ],
)
def test_refuses_what_has_no_bound(text: str, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        deepest(read_graph([text], []), "a")


def test_refuses_a_kernel_that_needs_more_than_it_has(tmp_path: Path) -> None:
    kernel, objects = tmp_path / "kernel", tmp_path / "objects"
    kernel.mkdir()
    objects.mkdir()
    for name, text in (("main", node("main", 900)), ("trap", node("trap_handle", 5000)), ("syscall", "")):
        (objects / f"{name}.ci").write_text(text)
        (kernel / f"{name}.c").write_text("")
    assert check_stack(objects, kernel, 5000) == 5000
    with pytest.raises(BuildError, match="can need 5000 bytes by trap_handle, expected at most 4999"):
        check_stack(objects, kernel, 4999)
