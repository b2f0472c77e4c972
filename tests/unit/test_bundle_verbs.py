"""`nexus new-app` and `nexus bundle`: from nothing to a signed file, what each verb refuses, and that a stranger's file can't write on a terminal."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus.bundle import decode
from nexus.bundle.model import Form
from nexus.bundle.trust import known_key, load_publisher
from nexus.cli import main
from nexus.contract.load import Contract
from nexus.image.romfs import pack

NAME = "dice"
FILE = f"dev.{NAME}.nxb"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which somebody works, outside the clone."""
    assert not tmp_path.is_relative_to(clone)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def app(here: Path, capsys: Capture) -> Path:
    """A folder with a new app in it."""
    assert main(["new-app", NAME]) == 0
    capsys.readouterr()
    return here


@pytest.fixture
def signed(app: Path, capsys: Capture) -> Path:
    assert main(["bundle", "build", NAME]) == 0
    assert main(["bundle", "sign", FILE]) == 0
    capsys.readouterr()
    return app / FILE


def form(contract: Contract) -> Form:
    return Form(contract)


def said_by(capsys: Capture, *words: str, code: int = 0) -> str:
    """What a command says on whichever stream its answer is for."""
    assert main([*words]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


# ---- new-app ---------------------------------------------------------------------------------------------------------


def test_new_app_is_a_folder_that_builds(here: Path, capsys: Capture) -> None:
    said = said_by(capsys, "new-app", NAME)
    assert sorted(path.name for path in (here / NAME).iterdir()) == ["app.toml", "main.py"]
    assert said.splitlines()[:2] == [f"{NAME}/app.toml", f"{NAME}/main.py"]
    assert f"run --app {NAME}" in said
    assert 'id = "dev.dice"' in (here / NAME / "app.toml").read_text(encoding="utf-8")
    for name in ("app.toml", "main.py"):
        assert "sample" not in (here / NAME / name).read_text(encoding="utf-8")
    assert main(["bundle", "build", NAME]) == 0


def test_what_new_app_suggests_is_right_from_a_clone(
    clone: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone)
    assert "expected a name that is free" in said_by(capsys, "new-app", "guest", code=2)
    assert said_by(capsys, "bundle", "build", "guest/apps/hello", "-o", "build/x.nxb").endswith(
        "sign it:  ./scripts/nexus bundle sign build/x.nxb\n"
    )


@pytest.mark.parametrize("name", ["Dice", "9lives", "", "a b", "../x", "a/b", "dev.x", "d_c", "ä", "x" * 29])
def test_bad_name_writes_nothing(name: str, here: Path, capsys: Capture) -> None:
    assert "expected 1 to 28 of a-z, 0-9 and -, a letter first" in said_by(capsys, "new-app", name, code=2)
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("here")
def test_longest_name_is_taken() -> None:
    assert main(["new-app", "x" * 28]) == 0
    assert main(["bundle", "build", "x" * 28]) == 0


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_what_is_there_is_not_touched(what: str, here: Path, capsys: Capture) -> None:
    taken = here / NAME
    if what == "folder":
        taken.mkdir()
    elif what == "file":
        taken.write_text("mine", encoding="utf-8")
    else:
        taken.symlink_to(here / "nowhere")
    assert "expected a name that is free" in said_by(capsys, "new-app", NAME, code=2)
    assert [path.name for path in here.rglob("*")] == [NAME]


# ---- build and sign --------------------------------------------------------------------------------------------------


def test_built_bundle_is_not_signed(app: Path, capsys: Capture, contract: Contract) -> None:
    said = said_by(capsys, "bundle", "build", NAME)
    parts = decode.frame(form(contract), (app / FILE).read_bytes())
    assert parts.signature == bytes(64)
    assert said.startswith(f"{FILE}  {(app / FILE).stat().st_size} bytes, not signed\nsign it:  ")
    assert "signature_form: found none" in said_by(capsys, "bundle", "verify", FILE, code=1)


def test_bundle_lies_beside_its_app_or_where_it_is_wanted(app: Path) -> None:
    (app / "sub").mkdir()
    for path, expected in ((f"{NAME}/", FILE), (f"{NAME}/main.py", f"{NAME}/dev.main.nxb")):
        assert main(["bundle", "build", path]) == 0
        assert (app / expected).is_file()
    assert main(["bundle", "build", NAME, "-o", "sub/x.nxb"]) == 0
    assert (app / "sub/x.nxb").read_bytes() == (app / FILE).read_bytes()
    assert [path.name for path in (app / "sub").iterdir()] == ["x.nxb"]


def test_what_is_no_bundle_is_not_written_over(app: Path, capsys: Capture) -> None:
    before = (app / NAME / "main.py").read_bytes()
    said = said_by(capsys, "bundle", "build", NAME, "-o", f"{NAME}/main.py", code=2)
    assert "found something that is no bundle" in said
    assert (app / NAME / "main.py").read_bytes() == before
    assert "found no folder" in said_by(capsys, "bundle", "build", NAME, "-o", "none/x.nxb", code=2)


def test_app_that_is_wrong_leaves_no_bundle(app: Path, capsys: Capture) -> None:
    (app / NAME / "main.py").write_text("import rgnd\n", encoding="utf-8")
    assert f"{NAME}/main.py:1: import rgnd: found no such module" in said_by(capsys, "bundle", "build", NAME, code=5)
    assert not (app / FILE).exists()


@pytest.mark.usefixtures("signed")
def test_default_signer_is_to_whom_the_id_belongs(capsys: Capture) -> None:
    said = said_by(capsys, "bundle", "verify", FILE)
    assert said == f"{FILE}  dev.dice 1.0.0, right, signed by dev, whom system default trusts\n"


def test_signing_again_changes_nothing(signed: Path) -> None:
    before = signed.read_bytes()
    assert main(["bundle", "sign", FILE]) == 0
    assert signed.read_bytes() == before


def test_id_of_nobody_needs_a_key(signed: Path, capsys: Capture, contract: Contract) -> None:
    rename(signed, contract, b"nobody.dice")
    assert "found no publisher to whom it belongs" in said_by(capsys, "bundle", "sign", FILE, code=2)
    rename(signed, contract, b"gone.dice")
    assert "found no publisher to whom it belongs" in said_by(capsys, "bundle", "sign", FILE, code=2)


def rename(file: Path, contract: Contract, bundle_id: bytes) -> None:
    place = form(contract).places["id"]
    data = file.read_bytes()
    file.write_bytes(data[: place.start] + bundle_id.ljust(32, b"\0") + data[place.stop :])


def test_publisher_does_not_sign_what_belongs_to_another(
    signed: Path, clone: Path, capsys: Capture, contract: Contract
) -> None:
    before = signed.read_bytes()
    said = said_by(capsys, "bundle", "sign", FILE, "--publisher", "selftest", code=2)
    assert "found a key of selftest, expected an id that begins with selftest." in said
    assert "did you mean 'dev'?" in said_by(capsys, "bundle", "sign", FILE, "--publisher", "dve", code=2)
    key = known_key(load_publisher("selftest", clone, contract))
    assert key is not None
    Path("selftest.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    assert "found a key of selftest" in said_by(capsys, "bundle", "sign", FILE, "--key", "selftest.pem", code=2)
    assert "expected one of them" in said_by(
        capsys, "bundle", "sign", FILE, "--key", "selftest.pem", "--publisher", "dev", code=2
    )
    assert signed.read_bytes() == before


def test_broken_bundle_is_not_signed(signed: Path, capsys: Capture) -> None:
    data = signed.read_bytes()
    for wrong, reason in ((data[:-1], "truncated"), (data[:-1] + b"\xff", "digest"), (b"x", "magic")):
        signed.write_bytes(wrong)
        assert f"bundle: {reason}: " in said_by(capsys, "bundle", "sign", FILE, code=1)
        assert signed.read_bytes() == wrong


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_key_is_new_and_for_its_owner_alone(here: Path, capsys: Capture) -> None:
    first, second = said_by(capsys, "bundle", "key", "acme.pem"), said_by(capsys, "bundle", "key", "Other.pem")
    assert stat.S_IMODE((here / "acme.pem").stat().st_mode) == 0o600
    key = serialization.load_pem_private_key((here / "acme.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    assert f'public_key = "{key.public_key().public_bytes_raw().hex()}"\nprefixes = ["acme."]\n' in first
    assert 'prefixes = ["example."]' in second
    assert key.private_bytes_raw().hex() not in first + second
    assert len({line for said in (first, second) for line in said.splitlines() if "public_key" in line}) == 2


def test_key_is_never_written_over(here: Path, capsys: Capture) -> None:
    (here / "acme.pem").write_text("mine", encoding="utf-8")
    (here / "link.pem").symlink_to(here / "elsewhere.pem")
    for name in ("acme.pem", "link.pem"):
        assert "a key is never written over" in said_by(capsys, "bundle", "key", name, code=2)
    assert (here / "acme.pem").read_text(encoding="utf-8") == "mine"
    assert not (here / "elsewhere.pem").exists()
    assert "found no folder" in said_by(capsys, "bundle", "key", "none/x.pem", code=2)


def test_row_that_key_shows_makes_a_publisher(
    own_clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(own_clone)
    row = said_by(capsys, "bundle", "key", "acme.pem")
    (own_clone / "recipes/trust/acme.toml").write_text(row, encoding="utf-8")
    assert main(["new-app", NAME]) == 0
    text = (own_clone / NAME / "app.toml").read_text(encoding="utf-8").replace("dev", "acme")
    (own_clone / NAME / "app.toml").write_text(text, encoding="utf-8")
    assert main(["bundle", "build", NAME]) == 0
    file = f"acme.{NAME}.nxb"
    assert "found no key that everybody knows, expected --key PEM" in said_by(capsys, "bundle", "sign", file, code=2)
    assert f"acme.{NAME} 1.0.0, signed by acme" in said_by(capsys, "bundle", "sign", file, "--key", "acme.pem")
    assert "bundle: unknown: " in said_by(capsys, "bundle", "verify", file, code=1)
    recipe = own_clone / "recipes/systems/services.toml"
    recipe.write_text(
        recipe.read_text(encoding="utf-8").replace('trust = ["dev"]', 'trust = ["dev", "acme"]'), encoding="utf-8"
    )
    assert "right, signed by acme" in said_by(capsys, "bundle", "verify", file)


@pytest.mark.parametrize("kind", ["nothing", "text", "other curve", "password", "public"])
def test_what_is_no_key_signs_nothing(kind: str, signed: Path, capsys: Capture) -> None:
    before, key = signed.read_bytes(), Ed25519PrivateKey.generate()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    texts = {
        "nothing": b"",
        "text": b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n",
        "other curve": ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, pkcs8, plain),
        "password": key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"secret")),
        "public": key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo),
    }
    Path("key.pem").write_bytes(texts[kind])
    assert "key.pem: found " in said_by(capsys, "bundle", "sign", FILE, "--key", "key.pem", code=2)
    assert signed.read_bytes() == before


# ---- verify and inspect ----------------------------------------------------------------------------------------------


def test_verify_says_why_not(signed: Path, capsys: Capture) -> None:
    data = signed.read_bytes()
    signed.write_bytes(data[:170] + bytes([data[170] ^ 1]) + data[171:])
    said = said_by(capsys, "bundle", "verify", FILE, code=1)
    assert said.startswith(f"nexus: {FILE}: bundle: signature")
    assert f"bundle sign {FILE}" in said


@pytest.mark.usefixtures("signed")
def test_verify_is_by_whom_that_system_trusts(capsys: Capture) -> None:
    assert main(["bundle", "sign", FILE, "--publisher", "dev"]) == 0
    assert "did you mean 'default'?" in said_by(capsys, "bundle", "verify", FILE, "--system", "defualt", code=2)
    assert "bundle: unknown: " in said_by(capsys, "bundle", "verify", FILE, "--system", "smoke", code=1)


@pytest.mark.usefixtures("here")
def test_inspect_shows_what_a_person_has_to_know(clone: Path, capsys: Capture) -> None:
    assert main(["bundle", "build", str(clone / "guest/apps/entropy"), "-o", "x.nxb"]) == 0
    capsys.readouterr()
    said = said_by(capsys, "bundle", "inspect", "x.nxb")
    assert "signature   none yet" in said
    assert main(["bundle", "sign", "x.nxb"]) == 0
    capsys.readouterr()
    said = said_by(capsys, "bundle", "inspect", "x.nxb")
    for words in (
        "publisher   dev, key id bc17a5cf892a225a, everybody can sign as it",
        "signature   right",
        "id          dev.entropy, version 1.0.0",
        "runs        module main, heap 64 KiB",
        "asks for    route               to reach rngd",
        "            rng.entropy         shows sixteen fresh bytes",
    ):
        assert f"{words}\n" in said
    assert re.search(r"^ +\d+  nexus\.mpy$", said, re.MULTILINE)
    assert "refused" not in said


def test_inspect_as_json_says_the_same(signed: Path, capsys: Capture) -> None:
    found = json.loads(said_by(capsys, "bundle", "inspect", FILE, "--json"))
    assert (found["file"], found["bytes"], found["publisher"], found["signature"], found["refused"]) == (
        FILE, signed.stat().st_size, "dev", "right", [],
    )  # fmt: skip
    assert found["manifest"] == {
        "id": "dev.dice", "version": "1.0.0", "entry": "main", "heap_bytes": 65536, "capabilities": [],
    }  # fmt: skip
    assert [entry["path"] for entry in found["contents"]["files"]] == ["main.mpy"]
    assert main(["bundle", "inspect", FILE, "--json", "x.json"]) == 0
    assert json.loads(Path("x.json").read_text(encoding="utf-8")) == found


WRONG: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "cut": (lambda data: data[:-3], "right|wrong", "truncated"),
    "longer": (lambda data: data + b"x", "wrong", "trailing"),
    "other contents": (lambda data: data[:-1] + b"\xff", "wrong", "digest"),
    "other signature": (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "wrong", "signature"),
    "header alone": (lambda data: data[:168], "none|wrong", "truncated"),
}


@pytest.mark.parametrize("name", WRONG)
def test_inspect_shows_a_wrong_one_and_what_is_wrong(name: str, signed: Path, capsys: Capture) -> None:
    change, signature, reason = WRONG[name]
    signed.write_bytes(change(signed.read_bytes()))
    found = json.loads(said_by(capsys, "bundle", "inspect", FILE, "--json"))
    assert re.fullmatch(signature, found["signature"])
    assert found["refused"][0]["reason"].startswith(reason)
    assert found["manifest"]["id"] == "dev.dice"
    assert f"refused     {found['refused'][0]['reason']} (" in said_by(capsys, "bundle", "inspect", FILE)


def test_inspect_shows_what_no_manifest_may_say_as_refused(signed: Path, capsys: Capture, contract: Contract) -> None:
    """Escapes in an id, as somebody would put them in who wants to write on the reader's terminal."""
    rename(signed, contract, b"\x1b[2J\x9b")
    said = said_by(capsys, "bundle", "inspect", FILE)
    assert "refused     id (13): found '\\x1b[2J\\x9b'" in said
    assert said.isprintable() or said.replace("\n", "").isprintable()


def test_names_of_files_are_escaped(signed: Path, capsys: Capture, contract: Contract, clone: Path) -> None:
    from nexus.bundle.sign import sign

    found = decode.bundle(form(contract), signed.read_bytes())
    key = known_key(load_publisher("dev", clone, contract))
    assert key is not None
    contents = pack({"a\x1b[2J.mpy": b"x", "b\nsignature   right": b""})
    signed.write_bytes(sign(form(contract), found.manifest, contents, key))
    said = said_by(capsys, "bundle", "inspect", FILE)
    assert "a\\x1b[2J.mpy" in said
    assert "b\\x0asignature   right" in said
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("data", [b"", b"nexus", b"MZ", b"nexusnxb\x02\x00", bytes(300)])
def test_what_is_no_bundle_is_not_shown(data: bytes, here: Path, capsys: Capture) -> None:
    (here / "x.nxb").write_bytes(data)
    assert "nexus: x.nxb: bundle: " in said_by(capsys, "bundle", "inspect", "x.nxb", code=1)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("verb", ["build", "sign", "verify", "inspect"])
def test_missing_file_is_wrong_usage(verb: str) -> None:
    assert main(["bundle", verb, "nothing.nxb"]) == 2
