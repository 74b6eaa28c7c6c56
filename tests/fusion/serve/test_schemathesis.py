"""What a stranger can make of the OpenAPI document: no request ends with a 5xx."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_example import Fitted
from serve_example import running

from fusion.predict import Predictor
from fusion.serve.app import make_app

pytestmark = pytest.mark.slow
# A file that is an image cannot be guessed from a schema, and numbers are taken as text too.
EXCLUDED = "positive_data_acceptance,negative_data_rejection"


@pytest.mark.parametrize("seed", [1])
def test_schemathesis_finds_no_failure(seed: int, tiny: Fitted, tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("schemathesis")
    with running(make_app(Predictor.load(tiny.bundle))) as address:
        done = subprocess.run(
            [str(tool), "run", f"{address}/openapi.json", "--max-examples", "30",
             "--seed", str(seed), "--exclude-checks", EXCLUDED],
            capture_output=True, text=True, check=False, timeout=250, cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert "3 selected" in done.stdout
