"""`nexus inspect`: a good image passes every check, and each way to differ from the manifest fails the check that is for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nexus import layout
from nexus.cli import main
from nexus.contract.load import Contract
from nexus.image.build import build_image
from nexus.image.contents import known_keys
from nexus.image.decode import read_table
from nexus.image.inspect import Finding, forbidden_symbols, inspect_image, is_forbidden
from nexus.image.manifest import BundleRow, Manifest, to_json

FILE, AREAS, PARTS, TABLE, PAGES, CONTRACT, POLICY, PROGRAMS, RUNTIME, TRUST, BUNDLES, TESTS = range(12)
LOGD = "logd"
SELFTEST = "5eed762cfb6bc8e8a691de093f12237b4c363d362b05405094525e8a2c11a3ad"
BUNDLE = BundleRow("bundlemgrd", "guest/apps/hello", "dev.hello", "1.0.0", "dev", None, 5000, "0" * 64)


class Image:
    """The default system, built once; a test inspects it as it is or with something changed."""

    def __init__(self, clone: Path, contract: Contract) -> None:
        self.clone, self.contract = clone, contract
        self.manifest = build_image("default", clone, lambda _: None)
        self.path = layout.image_path(clone, "default")

    def inspect(
        self, manifest: Manifest | None = None, path: Path | None = None, forbidden: frozenset[str] | None = None
    ) -> list[Finding]:
        names = forbidden_symbols(self.clone) if forbidden is None else forbidden
        keys = known_keys(self.clone, self.contract)
        build = self.clone / "build"
        return inspect_image(path or self.path, manifest or self.manifest, self.contract, build, names, keys)

    def changed(self, offset_of: bytes, by: bytes, folder: Path) -> Path:
        """A copy of the image with these bytes, which occur once, replaced."""
        data = self.path.read_bytes()
        assert data.count(offset_of) == 1
        target = folder / "nexus.elf"
        target.write_bytes(data.replace(offset_of, by))
        return target


@pytest.fixture(scope="module")
def image(copy: Callable[..., Path], contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(copy(tmp_path_factory.mktemp("inspect") / "clone"), contract)


def failed(findings: list[Finding]) -> list[int]:
    return [number for number, finding in enumerate(findings) if finding.problems]


def test_good_image_passes(image: Image) -> None:
    findings = image.inspect()
    assert failed(findings) == []
    assert len(findings) == TESTS + 1


def process(manifest: Manifest, name: str, **changes: Any) -> Manifest:
    rows = [replace(row, **changes) if row.name == name else row for row in manifest.processes]
    return replace(manifest, processes=rows)


def caps(manifest: Manifest, **changes: Any) -> Manifest:
    """The last capability of rngd changed."""
    row = next(row for row in manifest.processes if row.name == "rngd")
    return process(manifest, "rngd", capabilities=[*row.capabilities[:-1], replace(row.capabilities[-1], **changes)])


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (FILE, lambda m: replace(m, image=replace(m.image, sha256="0" * 64))),
        (FILE, lambda m: replace(m, image=replace(m.image, bytes=1))),
        (AREAS, lambda m: replace(m, areas=[replace(m.areas[0], access="rwx"), *m.areas[1:]])),
        (AREAS, lambda m: replace(m, areas=m.areas[1:])),
        (PARTS, lambda m: replace(m, parts=[replace(m.parts[-1], address=m.parts[-1].address + 4096)])),
        (PARTS, lambda m: replace(m, parts=[replace(m.parts[-1], sha256="0" * 64)])),
        (TABLE, lambda m: process(m, LOGD, rank=1)),
        (TABLE, lambda m: process(m, LOGD, label="logx")),
        (TABLE, lambda m: process(m, LOGD, id_name="logx")),
        (TABLE, lambda m: process(m, LOGD, service_id="0x1")),
        (TABLE, lambda m: process(m, LOGD, flags=[])),
        (TABLE, lambda m: process(m, LOGD, supervisor=2)),
        (TABLE, lambda m: process(m, LOGD, heap_bytes=4096)),
        (TABLE, lambda m: process(m, LOGD, stack_bytes=4096)),
        (TABLE, lambda m: process(m, LOGD, kept_bytes=4096)),
        (TABLE, lambda m: process(m, LOGD, program="other")),
        (TABLE, lambda m: process(m, LOGD, capabilities=m.processes[1].capabilities[:-1])),
        (TABLE, lambda m: caps(m, rights=1)),
        (TABLE, lambda m: caps(m, object=1)),
        (TABLE, lambda m: caps(m, type=1)),
        (TABLE, lambda m: caps(m, badge="0x7")),
        (TABLE, lambda m: replace(m, processes=m.processes[:-1])),
        (TABLE, lambda m: replace(m, ram_bytes=1)),
        (CONTRACT, lambda m: replace(m, contract_digest="0" * 64)),
        (POLICY, lambda m: replace(m, policy_digest="0" * 63 + "1")),
        (POLICY, lambda m: replace(m, policy_bytes=1)),
        (POLICY, lambda m: process(m, LOGD, policy=True)),
        (PROGRAMS, lambda m: replace(m, programs=[replace(m.programs[0], sha256="0" * 64)])),
        (PROGRAMS, lambda m: replace(m, programs=[replace(m.programs[0], name="runtime/none.elf")])),
        (PROGRAMS, lambda m: replace(m, parts=[replace(part, sha256="0" * 64) for part in m.parts])),
        (TRUST, lambda m: replace(m, trust=[])),
        (TRUST, lambda m: replace(m, trust=[replace(m.trust[0], public_key="0" * 64)])),
        (TRUST, lambda m: replace(m, trust=[*m.trust, replace(m.trust[0], name="selftest", public_key=SELFTEST)])),
        (BUNDLES, lambda m: replace(m, bundles=[BUNDLE])),
        (TESTS, lambda m: replace(m, trust=[*m.trust, replace(m.trust[0], name="selftest")])),
        (TESTS, lambda m: replace(m, trust=[*m.trust, replace(m.trust[0], name="test-other")])),
        (TESTS, lambda m: replace(m, bundles=[replace(BUNDLE, source="guest/apps/selftest/crash")])),
        (TESTS, lambda m: replace(m, bundles=[replace(BUNDLE, refused="bundle: revoked: found the key of somebody")])),
        (TESTS, lambda m: process(m, LOGD, source="firmware/test/attacker")),
        (TESTS, lambda m: process(m, LOGD, source="guest/selftest/peer")),
        (TESTS, lambda m: replace(m, flags=["counters"])),
    ],
)
def test_every_difference_is_found_by_its_check(
    image: Image, check: int, change: Callable[[Manifest], Manifest]
) -> None:
    assert check in failed(image.inspect(change(image.manifest)))


def test_changed_byte_of_a_part_is_found(image: Image, tmp_path: Path) -> None:
    """Inside logd's ROMFS, by the name of a module that only it has."""
    found = failed(image.inspect(path=image.changed(b"logd/ring.py", b"logd/rinG.py", tmp_path)))
    assert found == [FILE, PARTS]


def test_changed_label_in_the_table_is_found(image: Image, tmp_path: Path) -> None:
    """What the kernel will read decides, not what the builder wrote beside it."""
    linked, table = read_table(image.path)
    text = linked.segments[0]
    row = table.image["processes"] - text.va  # its first member is the label
    label = int.from_bytes(text.data[row : row + 8], "little") - text.va
    assert text.data[label : label + 5] == b"init\0"
    data = bytearray(image.path.read_bytes())
    data[data.index(text.data) + label] = ord("I")
    (tmp_path / "nexus.elf").write_bytes(data)
    findings = image.inspect(path=tmp_path / "nexus.elf")
    assert failed(findings) == [FILE, TABLE]
    assert findings[TABLE].problems[0].startswith("processes: found ['Init', ")


def test_symbol_that_must_not_be_there_is_found(image: Image) -> None:
    findings = image.inspect(forbidden=frozenset({"mp_init"}))
    assert findings[RUNTIME].problems == ("found mp_init",)


def test_missing_runtime_proves_nothing(image: Image) -> None:
    assert RUNTIME in failed(image.inspect(replace(image.manifest, programs=[])))


def test_forbidden_list_is_read_with_both_sections(root: Path) -> None:
    names = forbidden_symbols(root)
    assert {
        "mp_compile",
        "mp_parse",
        "mp_builtin_eval_obj",
        "mp_module_random",
        "crypto_sign_ed25519_detached",
    } <= names
    assert not any(name.startswith(("[", "#")) for name in names)


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("mp_parse", True), ("mp_parse.part.0", True), ("mp_parse_num_integer", False), ("mp_compile.constprop.1", True)],
)
def test_suffix_of_the_compiler_hides_no_symbol(symbol: str, expected: bool) -> None:
    assert is_forbidden(symbol, frozenset({"mp_parse", "mp_compile"})) is expected


@pytest.fixture
def command(image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    monkeypatch.setattr(layout, "find_root", lambda: image.clone)
    return image


def test_command_shows_every_process_and_check(command: Image, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\nok      ") == TESTS + 1
    assert all(f"  {row.label} " in shown for row in command.manifest.processes)


def test_command_answers_in_json(command: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(command.path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["manifest"]["image"]["sha256"] == command.manifest.image.sha256
    assert main(["inspect", "default", "--json", str(tmp_path / "out.json")]) == 0
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == answer


def test_command_fails_for_another_image(command: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "default"
    folder.mkdir()
    shutil.copy(command.path, folder)
    (folder / "manifest.json").write_text(to_json(process(command.manifest, LOGD, rank=1)), encoding="utf-8")
    for programs in ("runtime", "default/native"):
        (tmp_path / programs).symlink_to(command.clone / "build" / programs)
    assert main(["inspect", str(folder / "nexus.elf")]) == 1
    captured = capsys.readouterr()
    rank = next(row.rank for row in command.manifest.processes if row.name == LOGD)
    assert f"logd: rank: found {rank}, expected 1" in captured.out
    assert "1 of 12 checks failed" in captured.err
