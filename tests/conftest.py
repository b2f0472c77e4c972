"""Rules for every test run of this repository. Loaded by pytest; must never skip or rewrite a test.

A run in which nothing passed proves nothing, so it fails, even if every test was skipped for a good reason. The files that take longest
come first: the last one of a run is done by one core, while the others are idle.
"""

from __future__ import annotations

import pytest

# By their seconds of CPU, from 150 down to 10; those behind them keep their order.
LONGEST = (
    "tests/os/test_killed.py",
    "tests/os/test_faults.py",
    "tests/os/test_hostile.py",
    "tests/os/test_exec.py",
    "tests/os/test_no_key.py",
    "tests/os/test_flood.py",
    "tests/os/test_boot.py",
    "tests/os/test_drop.py",
    "tests/os/test_new_service.py",
    "tests/unit/test_build.py",
    "tests/unit/test_kernel_host.py",
    "tests/os/test_new_app.py",
    "tests/os/test_bundles.py",
    "tests/guest/test_liars.py",
    "tests/guest/test_frames.py",
    "tests/os/test_uniform.py",
    "tests/unit/test_image_policy.py",
    "tests/unit/test_image_apps.py",
    "tests/os/test_policy.py",
    "tests/unit/test_inspect.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    collecting = session.config.option.collectonly
    if exitstatus == 0 and not collecting and reporter is not None and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
