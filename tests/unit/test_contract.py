"""The contract: every name has one home and one value, and both languages read the same one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.contract.emit import c_header, emit_contract, guest_module, guest_names, write_if_changed
from nexus.contract.load import Contract, digest_of, load_contract
from nexus.errors import RecipeError
from nexus.image.toolchain import GCC, find_tool

SAMPLE = """
[sys]
call = 1
[op.rngd]
get_entropy = 2
[va]
image = 0x10000
[line]
quoted = 'a "word" and a \\'
[[phase]]
name = "bring-up"
[[phase]]
name = "end"
[[marker]]
name = "rngd_ready"
label = "rngd"
text = "up"
phase = "bring-up"
class = "gate"
[[marker]]
name = "rng_bytes"
label = "rngd"
pattern = "bytes=[0-9]+"
phase = "end"
class = "gate"
"""


@pytest.fixture
def sample(tmp_path: Path) -> Contract:
    (tmp_path / "one.toml").write_text(SAMPLE, encoding="utf-8")
    return load_contract(tmp_path)


def run_guest_module(text: str) -> dict[str, object]:
    """What the module defines, with `const` as MicroPython has it."""
    names: dict[str, object] = {"const": lambda value: value}
    exec(text.replace("from micropython import const\n", ""), names)  # noqa: S102  # the generated module itself
    return {name: value for name, value in names.items() if name.isupper()}


def test_names_are_table_and_key(sample: Contract) -> None:
    assert sample.constants == {
        "SYS_CALL": 1,
        "OP_RNGD_GET_ENTROPY": 2,
        "VA_IMAGE": 0x10000,
        "LINE_QUOTED": 'a "word" and a \\',
        "PHASES": "bring-up end",
        "PHASE_BRING_UP": 0,
        "PHASE_END": 1,
        "MARK_RNGD_READY": "up",
    }


def test_marker_with_a_pattern_has_no_text_to_print(sample: Contract) -> None:
    assert [(row.name, row.text, row.pattern) for row in sample.markers] == [
        ("rngd_ready", "up", None),
        ("rng_bytes", None, "bytes=[0-9]+"),
    ]
    assert "MARK_RNG_BYTES" not in sample.constants


def test_names_of_numbers_stand_in_the_order_of_their_numbers(contract: Contract) -> None:
    names = str(contract.constants["ACTION_NAMES"]).split()
    assert names[contract.number("action.rng_entropy") - 1] == "rng.entropy"
    assert len(names) == len(contract.table("action"))


@pytest.mark.parametrize("ids", ["a = 1\nb = 3", "a = 0\nb = 1", "a = 1\nc = 2"])
def test_names_of_other_numbers_are_refused(tmp_path: Path, ids: str) -> None:
    (tmp_path / "one.toml").write_text(f'[thing]\n{ids}\n[thing_name]\na = "x"\nb = "y"\n', encoding="utf-8")
    with pytest.raises(RecipeError, match="found other keys or numbers than 1 to 2"):
        load_contract(tmp_path).constants  # noqa: B018


def test_guest_module_says_the_same_as_the_table(contract: Contract) -> None:
    assert run_guest_module(guest_module(contract)) == contract.constants | {"DIGEST": contract.digest}


def test_guest_module_can_be_cut_to_what_is_used(contract: Contract) -> None:
    assert run_guest_module(guest_module(contract, ["SYS_CALL", "DIGEST"])) == {
        "SYS_CALL": contract.constants["SYS_CALL"],
        "DIGEST": contract.digest,
    }
    assert guest_names(contract) == set(contract.constants) | {"DIGEST"}


def test_c_header_says_the_same_as_the_table(contract: Contract, tmp_path: Path) -> None:
    """The compiler itself reads every constant back, as a number or a text."""
    (tmp_path / "contract.h").write_text(c_header(contract), encoding="utf-8")
    checks = [
        f"_Static_assert({name} == {value:#x}, {json.dumps(name)});"
        if isinstance(value, int)
        else f"_Static_assert(sizeof({name}) == {len(value.encode()) + 1}, {json.dumps(name)});"
        for name, value in contract.constants.items()
    ]
    digest = ", ".join(f"{byte}" for byte in bytes.fromhex(contract.digest))
    checks.append("static const unsigned char found[] = CONTRACT_DIGEST_BYTES;")
    checks.append(f"static const unsigned char wanted[] = {{{digest}}};")
    checks.append(
        "int main(void) { return __builtin_memcmp(found, wanted, sizeof wanted) || sizeof found != sizeof wanted; }"
    )
    source = tmp_path / "check.c"
    source.write_text('#include "contract.h"\n' + "\n".join(checks), encoding="utf-8")
    argv = [find_tool(GCC), "-Wall", "-Werror", "-O2", "-S", "-o", "-", str(source)]
    assembly = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "li\ta0,0" in assembly, "the compiler must see that both digests are equal"


def test_header_serves_assembly_too(contract: Contract, tmp_path: Path) -> None:
    (tmp_path / "contract.h").write_text(c_header(contract), encoding="utf-8")
    (tmp_path / "use.S").write_text('#include "contract.h"\n li a7, SYS_EXIT\n li t0, VA_IMAGE\n', encoding="utf-8")
    subprocess.run([find_tool(GCC), "-c", str(tmp_path / "use.S"), "-o", str(tmp_path / "use.o")], check=True)


def test_digest_is_that_of_the_values(contract: Contract, root: Path) -> None:
    files = {path.name: tomllib.loads(path.read_text()) for path in (root / "recipes/contract").glob("*.toml")}
    text = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert contract.digest == hashlib.sha256(text.encode()).hexdigest()


def test_comments_do_not_change_the_digest(sample: Contract, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("# more\n" + SAMPLE, encoding="utf-8")
    assert load_contract(tmp_path).digest == sample.digest


@given(st.integers(min_value=0, max_value=2**40))
def test_any_other_number_changes_the_digest(value: int) -> None:
    files = {"one.toml": {"sys": {"call": value}}}
    assert (digest_of(files) == digest_of({"one.toml": {"sys": {"call": 1}}})) == (value == 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sys]\ncall = 1\n[sys_call]\n", None),
        ("[a]\nb_c = 1\n[a_b]\nc = 1\n", "A_B_C: found twice"),
        ("[sys]\nCall = 1\n", "[SYS] Call: found a bad name"),
        ("[sys]\ncall = 1.5\n", "SYS_CALL: found 1.5, expected a number or a text"),
        ("[sys]\ncall = true\n", "SYS_CALL: found True"),
        ("[[row]]\nname = 'x'\n", "[[row]]: found an unknown array"),
        ("[sys\n", "one.toml: "),
    ],
)
def test_contract_that_is_none_is_refused(tmp_path: Path, text: str, message: str | None) -> None:
    (tmp_path / "one.toml").write_text(text, encoding="utf-8")
    if message is None:
        assert load_contract(tmp_path).constants
        return
    with pytest.raises(RecipeError) as caught:
        assert load_contract(tmp_path).constants
    assert message in caught.value.message


def test_name_in_two_files_is_refused(tmp_path: Path) -> None:
    for file in ("one.toml", "two.toml"):
        (tmp_path / file).write_text("[sys]\ncall = 1\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"two\.toml: SYS_CALL: found twice"):
        assert load_contract(tmp_path).constants


def test_folder_without_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="found no contract file"):
        load_contract(tmp_path)


def test_missing_number_is_refused(sample: Contract) -> None:
    assert sample.number("va.image") == 0x10000
    with pytest.raises(RecipeError, match=r"\[va\] heap: found nothing"):
        sample.number("va.heap")


def test_unchanged_file_is_not_written(sample: Contract, tmp_path: Path) -> None:
    folder = tmp_path / "gen"
    emit_contract(sample, folder)
    for name in ("contract.h", "contract.py"):
        os.utime(folder / name, (1, 1))
    emit_contract(sample, folder)
    assert [(folder / name).stat().st_mtime for name in ("contract.h", "contract.py")] == [1, 1]
    assert write_if_changed(folder / "contract.h", "other")


def test_generated_files_say_from_what(sample: Contract) -> None:
    for text in (c_header(sample), guest_module(sample)):
        first = text.splitlines()[0]
        assert "recipes/contract" in first
        assert sample.digest in first
