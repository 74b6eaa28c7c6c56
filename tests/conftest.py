"""Lets tests import the example builders that lie beside them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bundle_example import Fitted

for folder in sorted({p.parent for p in Path(__file__).parent.rglob("*_example.py")}):
    sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A finished tiny study and its bundle; do not change them."""
    from bundle_example import fitted_tiny

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return fitted_tiny(shared / "tiny-bundle")
