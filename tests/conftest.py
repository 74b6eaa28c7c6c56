"""Lets tests import the example builders that lie beside them; what is costly to start, once."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from bundle_example import Fitted

    from fusion.study.study import Study

settings.register_profile("melafuse", deadline=None)  # no test measures time
settings.load_profile("melafuse")

HERE = Path(__file__).parent
for folder in sorted({HERE, *(p.parent for p in HERE.rglob("*_example.py"))}):
    sys.path.insert(0, str(folder))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names every reason for a skip once, with how many tests were skipped for it."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        terminalreporter.section("skipped, by reason")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:4}  {reason}")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A finished tiny study and its bundle; do not change them."""
    from bundle_example import fitted_tiny

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return fitted_tiny(shared / "tiny-bundle")


@pytest.fixture(scope="session")
def times(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A finished tiny study of times to an event and its bundle; do not change them."""
    from times_bundle_example import fitted_times

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return fitted_times(shared / "times-bundle")


@pytest.fixture(scope="session")
def by_role(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two photographs a case, as `init` proposes them; do not change it."""
    from roles_example import derm7pt_study

    return derm7pt_study(tmp_path_factory.mktemp("derm7pt"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser; skips where there is none."""
    executable = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if executable is None:
        pytest.skip("no chromium or google-chrome on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=executable, args=options)
        yield opened
        opened.close()
