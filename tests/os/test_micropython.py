"""A part of MicroPython's own suite on the booted system, as `just test-micropython` runs all of it; and that it is the default system that is tested.

Scenario: tests of each directory, some that skip, and one test of ours that fails, run by upstream's runner over `nexus console`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.image.build import build_image
from nexus.image.manifest import Manifest
from nexus.layout import find_root, image_path
from nexus.micropython import harness, suite
from nexus.micropython.lists import load_skips
from nexus.micropython.suite import Verdict

ROOT = find_root()
PLANTED = "basics/planted"
FAILS = "import sys\nprint(sys.implementation.name)\n"  # CPython, whose output is expected, is another implementation
FEW = """
basics/async_for basics/builtin_compile basics/bytes_format_modulo basics/class_super_multinherit basics/dict_views
basics/fun_error2 basics/gen_yield_from_throw basics/generator_throw basics/int_big_pow basics/io_stringio1 basics/list_slice_3arg
basics/memoryview_gc basics/op_precedence basics/slots_bool_len basics/string_format_modulo basics/struct1 basics/sys_exit
basics/try_finally_return3 basics/with_raise basics/sys_path
micropython/const2 micropython/emg_exc micropython/heap_lock micropython/kbd_intr micropython/memstats micropython/opt_level_lineno
micropython/ringio micropython/schedule micropython/stack_use micropython/viper_args
misc/features misc/non_compliant misc/print_exception misc/rge_sm
extmod/deflate_decompress extmod/framebuf16 extmod/hashlib_sha256 extmod/heapq1 extmod/json_loads extmod/machine1 extmod/random_basic
extmod/re_stack_overflow extmod/time_res extmod/uctypes_array_assign_native_le extmod/vfs_rom extmod/asyncio_basic
float/builtin_float_round float/float_parse float/math_domain float/string_format_modulo2 float/float_divmod
""".split()


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    with harness.checkout(ROOT, lambda _text: None) as tree:
        known = set(harness.all_tests(tree))
        assert [test for test in FEW if test not in known] == []
        (tree / "tests" / f"{PLANTED}.py").write_text(FAILS, encoding="utf-8")
        return suite.run_tests(ROOT, tree, "system", [*FEW, PLANTED], 1, lambda _text: None, whole=False)


def test_each_test_of_upstreams_ends_as_listed(verdict: Verdict) -> None:
    listed = load_skips(ROOT)
    assert {test: verdict.ends.get(test) for test in FEW} == {
        test: "skip" if test in listed else "pass" for test in FEW
    }
    assert sum(end == "skip" for end in verdict.ends.values()) == 4
    assert verdict.testcases > 1000


def test_planted_failure_is_the_only_problem_and_is_shown(verdict: Verdict) -> None:
    assert verdict.problems == [f"{PLANTED}: failed"]
    shown = suite.evidence(ROOT, verdict)
    assert [line for line in shown if not line.startswith("---")] == ["cpython", "micropython"]


def kernel_objects(system: str) -> dict[str, bytes]:
    """All that the kernel is linked from, but the table and the files of the system."""
    folder = image_path(ROOT, system).parent / "kernel"
    return {path.name: path.read_bytes() for path in folder.glob("*.o") if path.stem not in ("image_table", "payload")}


def programs(built: Manifest) -> dict[str, str]:
    return {Path(file.name).name: file.sha256 for file in built.programs}


def test_system_is_the_default_one_but_for_the_shells_files() -> None:
    ours, default = (build_image(name, ROOT, lambda _text: None) for name in ("micropython", "default"))
    assert "shell.elf" in programs(ours)
    assert programs(ours) == programs(default)
    assert len(kernel_objects("default")) > 15
    assert kernel_objects("micropython") == kernel_objects("default")
    parts = [{part.name: part.sha256 for part in built.parts} for built in (ours, default)]
    assert {name for name in parts[0] if parts[0][name] != parts[1].get(name)} == {"romfs_shell"}
    assert [row.name for row in ours.processes] == [row.name for row in default.processes]
    assert [row.capabilities for row in ours.processes] == [row.capabilities for row in default.processes]
    assert ours.policy_digest == default.policy_digest
