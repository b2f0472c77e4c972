"""What the selftest carries to have it refused is refused for that reason, by the host's own judgement, and for no other."""

from __future__ import annotations

import hashlib

import pytest

from nexus.bundle.make import bundle_of
from nexus.bundle.model import BundleRefused, Form, Manifest, Version
from nexus.bundle.sign import sign, verify, verify_trusted
from nexus.bundle.trust import known_key, load_publisher, load_trust
from nexus.contract.load import load_contract
from nexus.layout import contract_dir, find_root

ROOT = find_root()
CONTRACT = load_contract(contract_dir(ROOT))
FORM = Form(CONTRACT)
APPS = ROOT / "guest" / "apps" / "selftest"
TRUST = load_trust(("dev", "selftest", "test-other", "test-revoked"), ROOT, CONTRACT)
STOLEN = APPS / "stolen.nxb"
CONTENTS = b"nothing of this ever runs"


def stolen() -> bytes:
    """An id of the selftest's publisher, rightly signed by another one whom the image trusts."""
    key = known_key(load_publisher("test-other", ROOT, CONTRACT))
    assert key is not None
    digest = hashlib.sha256(CONTENTS).digest()
    public = key.public_key().public_bytes_raw()
    manifest = Manifest("selftest.hello", Version(1, 0, 0), public, "main", 1, (), len(CONTENTS), digest)
    return sign(FORM, manifest, CONTENTS, key)


def test_stolen_bundle_is_what_it_is_said_to_be() -> None:
    """No app.toml can say this, so the file is kept as it is; after a change of the format it is written anew from stolen()."""
    assert STOLEN.read_bytes() == stolen()
    assert verify(FORM, stolen()).manifest.id == "selftest.hello"


@pytest.mark.parametrize(("name", "reason"), [("stolen.nxb", "prefix"), ("revoked", "revoked")])
def test_bad_bundle_has_its_one_reason(name: str, reason: str) -> None:
    with pytest.raises(BundleRefused) as refused:
        verify_trusted(FORM, bundle_of(APPS / name, ROOT, CONTRACT, lambda _: None), TRUST)
    assert refused.value.reason == reason


GOOD = sorted(path.name for path in APPS.iterdir() if path.is_dir() and path.name != "revoked")


@pytest.mark.parametrize("name", GOOD)
def test_good_bundle_is_taken(name: str) -> None:
    bundle = verify_trusted(FORM, bundle_of(APPS / name, ROOT, CONTRACT, lambda _: None), TRUST)
    assert bundle.manifest.id.startswith("selftest.")


def test_twins_differ_in_version_and_in_one_action() -> None:
    asked, unasked = (
        verify(FORM, bundle_of(APPS / name, ROOT, CONTRACT, lambda _: None)) for name in ("draw", "draw-unasked")
    )
    assert asked.manifest.id == unasked.manifest.id and asked.contents == unasked.contents
    assert asked.manifest.version > unasked.manifest.version
    actions = [{request.action for request in one.manifest.requests} for one in (asked, unasked)]
    assert actions[0] - actions[1] == {CONTRACT.number("action.rng_entropy")} and not actions[1] - actions[0]
