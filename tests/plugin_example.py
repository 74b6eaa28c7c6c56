"""The package of docs/plugins.md as `pip install` would leave it on a disk."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from locations import ROOT


def page_files() -> dict[str, str]:
    """The files that the page shows, by name."""
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    shown = r"\n\n`([\w.]+)`[^\n]*(?:\n[^\n]+)*\n\n```\w+\n((?:(?!```)[^\n]*\n)*)```"
    return dict(re.findall(shown, page))


def install(folder: Path, version: str = "1.0", files: dict[str, str] | None = None) -> Path:
    """Writes the package and what an installer notes about it; returns the folder for `sys.path`.

    Args:
        folder: Where to.
        version: Of the package.
        files: Its files; by default those of the page.
    """
    files = page_files() if files is None else files
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
    (info / "METADATA").write_text(about, encoding="utf-8")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
