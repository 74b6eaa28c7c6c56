"""Processor cores that this process may use: the machine's, less what was taken from it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def usable_cores(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int:
    """Cores by affinity, and by the processor time that a container may take (cgroups 1 and 2).

    Args:
        groups: Where the control groups are mounted.
        own_group: File that names the group of this process.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(groups, own_group))]))


def _quotas(groups: Path, own_group: Path) -> Iterator[float]:
    """Quotas in cores, of the group of this process and of those that it is in."""
    for controllers, name in _named_groups(own_group):
        if not controllers:
            yield from _each_quota(groups, name, _quota_of_version_2)
        elif "cpu" in controllers.split(","):
            yield from _each_quota(groups / "cpu", name, _quota_of_version_1)


def _named_groups(own_group: Path) -> list[tuple[str, str]]:
    """Controllers and name of each group; a line is `0::/name` or `4:cpu,cpuacct:/name`."""
    try:
        lines = own_group.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    parts = [line.split(":", 2) for line in lines]
    return [(part[1], part[2]) for part in parts if len(part) == 3]


def _each_quota(root: Path, name: str, quota_of: Callable[[Path], float | None]) -> Iterator[float]:
    """Quotas of a group and its parents; in a container only its root may be there."""
    own = root / name.strip("/")
    for folder in (own, *own.parents):
        if folder.is_relative_to(root):
            quota = quota_of(folder)
            if quota is not None:
                yield quota


def _quota_of_version_2(folder: Path) -> float | None:
    return _ratio(_words(folder / "cpu.max"))


def _quota_of_version_1(folder: Path) -> float | None:
    return _ratio(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []


def _ratio(words: list[str]) -> float | None:
    """Quota over period, both in microseconds; `max` and -1 are none."""
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])
