"""What axe-core finds on a page."""

from __future__ import annotations

from typing import Any

import pytest


def grave_findings(page: Any, *rules: str) -> list[tuple[str, list[str]]]:
    """Serious and critical findings of all rules or these: the rule, and where it is broken."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page, options={"runOnly": list(rules)} if rules else None).response
    assert len(found["passes"]) >= (len(rules) or 16)
    grave = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    return [(v["id"], [node["html"][:80] for node in v["nodes"]]) for v in grave]
