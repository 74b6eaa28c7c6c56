from __future__ import annotations

from pathlib import Path

import pytest

import extractor.cores as module
from extractor.cores import usable_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def group(root: Path, line: str, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    own = root / "own"
    own.write_text(line)
    return own


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/job/step\n", {"job/cpu.max": "300000 100000\n"}, 3),
        (
            "0::/job/step\n",
            {"job/cpu.max": "300000 100000", "job/step/cpu.max": "150000 100000"},
            2,
        ),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/hidden/by/the/container\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/\n", {"cpu.max": "1600000 100000"}, 8),
        ("0::/\n", {"cpu.max": "what is this"}, 8),
        (
            "4:cpu,cpuacct:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "250000", "cpu/job/cpu.cfs_period_us": "100000"},
            3,
        ),
        (
            "4:cpu,cpuacct:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"},
            8,
        ),
    ],
)
def test_cores_are_those_of_affinity_and_quota(
    tmp_path: Path, line: str, files: dict[str, str], cores: int
) -> None:
    assert usable_cores(tmp_path, group(tmp_path, line, files)) == cores


def test_without_control_groups_affinity_is_all(tmp_path: Path) -> None:
    assert usable_cores(tmp_path, tmp_path / "nothing") == 8
