"""Lets tests import the example builders that lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in sorted({p.parent for p in Path(__file__).parent.rglob("*_example.py")}):
    sys.path.insert(0, str(folder))
