"""docs/plugins.md: its package is installed, and passes the suites that it asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from locations import ROOT
from plugin_example import install, page_files


def test_the_package_of_the_page_passes_its_own_tests(tmp_path: Path) -> None:
    folder = install(tmp_path / "site")
    assert set(page_files()) == {"pyproject.toml", "mine.py", "test_mine.py"}
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "failed" not in done.stdout
