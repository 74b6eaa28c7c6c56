"""What a kept result is bound to beside its inputs: installed packages, and our own code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""Where our packages lie."""


def digest_of(*parts: Any) -> str:
    """Names a kept result by what it depends on: SHA-256 of plain JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Version of each package, or `not installed`."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def code_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents of files of ours; a checkout moves on under one version.

    Args:
        paths: Files under `ROOT`; folders among them count as nothing.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():
            name = path.relative_to(ROOT).as_posix()
            digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
