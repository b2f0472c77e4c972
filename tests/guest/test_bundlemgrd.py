"""bundlemgrd on the simulated machine, with the real policyd, logd and keystored around it: what it takes, keeps, hands out and lets go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from shims.bundles import GOOD, STATUS, Keeping
from shims.machine import Machine

Make = Callable[..., Machine]
ONE = "selftest.one"


@pytest.fixture
def keeping(machine: Make) -> Callable[..., Keeping]:
    def make(bundled: Mapping[str, bytes] | None = None, **rest: Any) -> Keeping:
        return Keeping(machine("test-bundles", modules=Keeping.modules(bundled or {}), **rest))

    return make


@pytest.fixture
def kept(keeping: Callable[..., Keeping]) -> Keeping:
    return keeping()


def test_what_is_right_is_installed_and_handed_out(kept: Keeping) -> None:
    assert kept.install(GOOD) == STATUS["ok"]
    status, handle = kept.open()
    assert status == STATUS["ok"]
    assert handle is not None
    print(kept.outcomes(), kept.listed())
