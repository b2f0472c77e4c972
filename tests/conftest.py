"""Rules for every test run of this repository. Loaded by pytest; must never skip or rewrite a test.

A run in which nothing passed proves nothing, so it fails, even if every test was skipped for a good reason.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    collecting = session.config.option.collectonly
    if exitstatus == 0 and not collecting and reporter is not None and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
