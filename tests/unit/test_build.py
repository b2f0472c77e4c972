"""Whole builds in clones of their own: what is rebuilt after which change, the same bytes wherever a clone lies, staleness."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nexus import layout
from nexus.errors import BuildError, SetupError
from nexus.image import build, manifest, runtime, toolchain
from nexus.image.kernel import read_image

SILENT_SECONDS = 60.0
FAR_PAST = 400_000_000


def nothing(_: str) -> None:
    """Nobody watches."""


def times(folder: Path, pattern: str) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob(pattern)}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.fixture
def found(interpreters: Path) -> manifest.Manifest:
    """The manifest of the default system, built in a clone that must not be changed."""
    return manifest.load_manifest(layout.manifest_path(interpreters, "default"))


def test_second_build_does_nothing(interpreters: Path, found: manifest.Manifest) -> None:
    before = times(interpreters / "build", "*")
    said: list[str] = []
    assert build.build_image("default", interpreters, said.append) == found
    assert said == []
    assert times(interpreters / "build", "*") == before


def test_one_changed_guest_file_is_compiled_alone(own_clone: Path) -> None:
    default = own_clone
    build.build_image("default", default, nothing)
    objects = times(default / "build", "*.o")
    programs = times(default / "build", "service.elf")
    append(default / "guest/services/logd/main.py", "\n_changed = 1\n")
    said: list[str] = []
    begun = time.monotonic()
    build.build_image("default", default, said.append)
    assert time.monotonic() - begun < SILENT_SECONDS
    assert any(line.startswith("guest: 1 modules compiled") for line in said), said
    assert times(default / "build", "service.elf") == programs
    changed = {Path(name).name for name, when in times(default / "build", "*.o").items() if objects.get(name) != when}
    assert changed == {"image_table.o", "payload.o"}
    assert b"_changed" in layout.image_path(default, "default").read_bytes()


def test_changed_comment_in_the_contract_compiles_no_program(own_clone: Path) -> None:
    build.build_image("smoke", own_clone, nothing)
    objects = times(own_clone / "build", "*.o")
    append(own_clone / "recipes/contract/limits.toml", "\n# more\n")
    build.build_image("smoke", own_clone, nothing)
    assert times(own_clone / "build", "*.o") == objects


def test_changed_contract_reaches_every_program(own_clone: Path) -> None:
    before = build.build_image("smoke", own_clone, nothing)
    append(own_clone / "recipes/contract/limits.toml", "\n[limit2]\nnew = 1\n")
    after = build.build_image("smoke", own_clone, nothing)
    assert after.contract_digest != before.contract_digest
    for one, other in zip(before.programs, after.programs, strict=True):
        assert one.sha256 != other.sha256


def test_another_compiler_compiles_everything(own_clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program in front of the path, which says another version and runs the real one."""
    first = build.build_image("smoke", own_clone, nothing)
    fake = tmp_path / toolchain.GCC
    real = toolchain.find_tool(toolchain.GCC)
    fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo another && exit\nexec {real} "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    objects = times(own_clone / "build/smoke", "*.o")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert build.up_to_date("smoke", own_clone) is None
    second = build.build_image("smoke", own_clone, nothing)
    assert (first.compiler != "another", second.compiler) == (True, "another")
    assert not set(times(own_clone / "build/smoke", "*.o").items()) & set(objects.items())
    assert second.image == first.image


def test_program_that_another_system_has_is_taken_from_there(own_clone: Path) -> None:
    build.build_image("smoke", own_clone, nothing)
    recipe = own_clone / "recipes/systems/other.toml"
    recipe.write_text('# Other.\nbase = "smoke"\n', encoding="utf-8")
    said: list[str] = []
    build.build_image("other", own_clone, said.append)
    assert not [line for line in said if line.startswith("native: ")]
    one, other = (own_clone / f"build/{name}/native/ping/ping.elf" for name in ("smoke", "other"))
    assert one.read_bytes() == other.read_bytes()
    row = '[[process]]\nname = "pong"\ncapabilities = ["console", "notification", "system"]\n'
    append(recipe, row)
    build.build_image("other", own_clone, said.append)
    assert "native: compile pong" in said, "it has another handle"
    assert "native: compile ping" not in said, "which is nothing to that one"


def test_image_that_somebody_changed_is_built_again(own_clone: Path) -> None:
    build.build_image("smoke", own_clone, nothing)
    image = layout.image_path(own_clone, "smoke")
    good = image.read_bytes()
    image.write_bytes(good[:-1] + b"\xff")
    assert build.up_to_date("smoke", own_clone) is None
    image.unlink()
    build.build_image("smoke", own_clone, nothing)
    assert image.read_bytes() == good


def test_image_of_a_recipe_is_none_of_its_base_with_the_same_name(own_clone: Path, tmp_path: Path) -> None:
    """Both are inputs of that image, and both have their image in the same place."""
    (own_clone / "recipes/systems/other.toml").write_text('# Other.\nbase = "smoke"\n', encoding="utf-8")
    derived = tmp_path / "smoke.toml"
    derived.write_text('# Derived.\nbase = "other"\n', encoding="utf-8")
    found = build.build_image(str(derived), own_clone, nothing)
    assert "recipes/systems/smoke.toml" in found.inputs
    assert build.up_to_date("smoke", own_clone) is None
    assert build.up_to_date(str(derived), own_clone) == found


@pytest.mark.parametrize(
    "change", ["guest/lib/wire.py", "firmware/kernel/main.c", "recipes/systems/services.toml", "requirements.lock"]
)
def test_stale_image_is_told_by_the_file_that_changed(found: manifest.Manifest, own_clone: Path, change: str) -> None:
    assert manifest.changed_inputs(found, own_clone) == []
    append(own_clone / change, "\n")
    assert manifest.changed_inputs(found, own_clone) == [change]
    assert manifest.is_stale(found, own_clone)


def test_new_and_gone_files_make_an_image_stale(found: manifest.Manifest, own_clone: Path) -> None:
    (own_clone / "guest/lib/newer.py").write_text("# New.\n", encoding="utf-8")
    (own_clone / "firmware/kernel/panic.c").unlink()
    assert manifest.changed_inputs(found, own_clone) == ["firmware/kernel/panic.c", "guest/lib/newer.py"]


def saved_in(step: str, module: ModuleType, path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That file is saved, with this text and with an old date, once this step of the build is done."""
    real = getattr(module, step)

    def then_save(*arguments: Any) -> Any:
        done = real(*arguments)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (FAR_PAST, FAR_PAST))
        return done

    monkeypatch.setattr(module, step, then_save)


@pytest.mark.parametrize(
    ("step", "change"),
    [
        ("policy_of", "recipes/contract/limits.toml"),
        ("policy_of", "recipes/systems/smoke.toml"),
        ("write_sources", "guest/lib/wire.py"),
        ("check_memory", "firmware/kernel/main.c"),
    ],
)
def test_file_that_is_saved_during_a_build_refuses_the_image(
    own_clone: Path, monkeypatch: pytest.MonkeyPatch, step: str, change: str
) -> None:
    """By whichever step it was read already: the manifest would state what is not in the image."""
    path = own_clone / change
    with monkeypatch.context() as saving:
        saved_in(step, build, path, path.read_text(encoding="utf-8") + "\n", saving)
        with pytest.raises(BuildError, match=f"smoke: changed during the build: {change}$") as caught:
            build.build_image("smoke", own_clone, nothing)
    assert caught.value.hint == "build again"
    assert not layout.manifest_path(own_clone, "smoke").exists()
    assert not manifest.is_stale(build.build_image("smoke", own_clone, nothing), own_clone)


def test_kernel_source_that_was_saved_during_a_build_is_in_the_next_image(
    own_clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its object is newer than it."""
    path = own_clone / "firmware/kernel/panic.c"
    text = path.read_text(encoding="utf-8").replace("kernel: panic ", "kernel: PANIC ")
    with monkeypatch.context() as saving:
        saved_in("check_memory", build, path, text, saving)
        with pytest.raises(BuildError, match="changed during the build"):
            build.build_image("smoke", own_clone, nothing)
    build.build_image("smoke", own_clone, nothing)
    assert b"kernel: PANIC " in layout.image_path(own_clone, "smoke").read_bytes()


def test_program_whose_source_is_saved_while_it_is_compiled_is_refused_and_compiled_again(
    own_clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_clone / "firmware/test/ping/ping.c"
    text = path.read_text(encoding="utf-8")
    assert "SMOKE" not in text
    with monkeypatch.context() as saving:
        saved_in("build_native", runtime, path, f'{text}\nconst char added[] = "SMOKE";\n', saving)
        with pytest.raises(BuildError, match="ping: a file that it is compiled from changed meanwhile") as caught:
            build.build_image("smoke", own_clone, nothing)
    assert caught.value.hint == "build again"
    assert not list(own_clone.glob("build/smoke/native/ping*"))
    said: list[str] = []
    build.build_image("smoke", own_clone, said.append)
    assert "native: compile ping" in said


def test_manifest_states_what_is_in_the_image(interpreters: Path, found: manifest.Manifest) -> None:
    linked = read_image(layout.image_path(interpreters, "default"))
    assert min(area.start for area in found.areas) == linked.symbols["_start"] == layout.RAM_BASE
    assert found.image_end == linked.end < layout.RAM_BASE + found.ram_bytes
    for part in found.parts:
        segment = next(s for s in linked.segments if s.va <= part.address < s.va + s.memory_bytes)
        data = segment.data[part.address - segment.va :][: part.bytes]
        assert hashlib.sha256(data).hexdigest() == part.sha256
    terminal = "virtio-serial-device,id=terminal,max_ports=2"
    assert found.qemu_devices == ["virtio-rng-device", "virtio-blk-device,drive=drop", terminal]
    labels = ["init", "logd", "policyd", "rngd", "vault", "keystored", "bundlemgrd", "execd", "dropd", "shell"]
    assert [row.label for row in found.processes] == labels
    assert manifest.to_json(found) == layout.manifest_path(interpreters, "default").read_text(encoding="utf-8")
    assert str(interpreters) not in manifest.to_json(found)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 99}', "[]"])
def test_manifest_of_another_version_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match="not a manifest of this version"):
        manifest.load_manifest(tmp_path / "manifest.json")


def test_missing_manifest_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        manifest.load_manifest(tmp_path / "bench" / "manifest.json")
    assert caught.value.hint == "build the image: nexus build-image --system bench"


def test_part_of_a_process_that_is_gone_is_removed(own_clone: Path) -> None:
    recipe = own_clone / "recipes/systems/smoke.toml"
    row = '\n[[process]]\nname = "pang"\nnative = "firmware/test/pang"\n'
    (own_clone / "firmware/test/pang").mkdir()
    text = (own_clone / "firmware/test/pong/pong.c").read_text(encoding="utf-8")
    (own_clone / "firmware/test/pang/pang.c").write_text(text, encoding="utf-8")
    append(recipe, row)
    build.build_image("smoke", own_clone, nothing)
    assert "pang_0.bin" in times(own_clone / "build/smoke/parts", "*")
    recipe.write_text(recipe.read_text(encoding="utf-8").replace(row, ""), encoding="utf-8")
    build.build_image("smoke", own_clone, nothing)
    assert "pang_0.bin" not in times(own_clone / "build/smoke/parts", "*")


def test_second_build_waits_for_the_first(interpreters: Path) -> None:
    said: list[str] = []
    waiting = threading.Event()

    def hear(text: str) -> None:
        said.append(text)
        waiting.set()

    with (interpreters / "build" / build.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        other = threading.Thread(target=build.build_image, args=("default", interpreters, hear))
        other.start()
        assert waiting.wait(SILENT_SECONDS)
        assert said == ["waiting for another build of this clone"]
        assert other.is_alive()
    other.join(SILENT_SECONDS)
    assert not other.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["services", pytest.param("selftest", marks=pytest.mark.thorough)])
def test_same_bytes_wherever_when_and_by_whom(
    copy: Callable[..., Path], interpreters: Path, tmp_path: Path, system: str
) -> None:
    """A clone from nothing, at a path of another length, with another umask, user name, time zone, locale and file dates,
    beside one that links what was compiled in this clone, at some time, by whoever ran this."""
    build.build_image(system, interpreters, nothing)
    folder = copy(tmp_path / "quite" / "another and longer" / "place", built=False)
    for path in folder.rglob("*"):
        os.utime(path, (FAR_PAST, FAR_PAST))
    around = {"USER": "bob", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(folder / "tooling")}
    argv = [sys.executable, "-P", "-m", "nexus", "build-image", "--system", system]
    command = ["sh", "-c", 'umask 077; exec "$@"', "sh", *argv]
    subprocess.run(command, cwd=folder, env=os.environ | around, check=True, capture_output=True)
    for name in (f"{system}/nexus.elf", f"{system}/manifest.json", "runtime/service/service.elf", "gen/contract.h"):
        one, other = ((place / "build" / name).read_bytes() for place in (interpreters, folder))
        assert one == other, name
        assert str(folder).encode() not in one, name
