"""A study of times to an event that is killed in the middle ends with the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from bundle_example import Fitted
from locations import ROOT

from fusion.paths import ProjectPaths, RunPaths
from fusion.study.study import Study

CHILD = """
import sys
from fusion.study.study import Study
Study.open(sys.argv[1], sys.argv[2]).ablate()
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(times: Fitted, tmp_path: Path) -> None:
    config, out = times.out.parent / "study" / "config.yaml", RunPaths(tmp_path / "run")
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(config), str(out.root)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and child.poll() is None:
        if len(list((ProjectPaths.of(out).shared / "parts").glob("*.parquet"))) > 1:
            break
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not out.predictions.exists()
    Study.open(config, out.root).ablate()
    whole = RunPaths(times.out)
    for name in ("predictions", "choices"):
        assert getattr(out, name).read_bytes() == getattr(whole, name).read_bytes(), name
