"""Checks of the machine: they need no configuration."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator
from typing import get_args

import torch

from extractor.cores import usable_cores
from extractor.engines import ENGINES, TORCH, lacking
from featurestore.plugins import Group, plugins
from fusion.provenance import versions
from fusion.start.doctor.base import Finding, fail, ok, warn

_MIN_PYTHON = (3, 11)
_MIN_MEMORY = 4e9  # bytes; a run on two small backbones peaks below 3 GB
# torchvision 0.15 belongs to torch 2.0, 0.16 to 2.1, and so on.
_TORCHVISION_AHEAD = 15
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def find_versions() -> Iterator[Finding]:
    """Python and the packages that a run imports."""
    found = versions()
    if sys.version_info < _MIN_PYTHON:
        yield fail(f"Python {found['python']}", "melafuse needs Python 3.11 or newer")
    absent = [name for name, v in found.items() if v == "not installed" and name != "melafuse"]
    if absent:
        yield fail(f"not installed: {', '.join(absent)}", f"pip install {' '.join(absent)}")
    shown = ", ".join(f"{name} {v}" for name, v in found.items() if v != "not installed")
    yield ok(shown)


def find_torch_line() -> Iterator[Finding]:
    """Torch and torchvision of one release line."""
    found = versions()
    vision, own = found["torchvision"], found["torch"]
    if _matches(own, vision):
        yield ok(f"torch {own} and torchvision {vision} belong together")
    else:
        yield fail(
            f"torch {own} and torchvision {vision} are of different release lines",
            "install both from one index in one command: pip install 'torch>=2.14,<2.15' "
            "'torchvision>=0.29,<0.30'",
        )


def find_plugins() -> Iterator[Finding]:
    """What other packages register; they are listed by name, and not imported."""
    groups: tuple[Group, ...] = get_args(Group)
    if not any(plugins(group) for group in groups):
        yield ok("no other package registers models, sources or exports")
    for group in groups:
        found = plugins(group).values()
        torn = [plugin for plugin in found if plugin.rivals]
        for plugin in torn:
            packages = ", ".join((plugin.distribution, *plugin.rivals))
            yield warn(f"{group}: {plugin.name} is of {packages}", "uninstall all but one of them")
        shown = [f"{p.name} ({p.distribution} {p.version})" for p in found if p not in torn]
        if shown:
            yield ok(f"{group}: {', '.join(shown)}")


def find_engines() -> Iterator[Finding]:
    """What can compute embeddings on this CPU, in which types; nothing is computed."""
    for name, engine in ENGINES.items():
        absent = lacking(engine)
        if absent:
            extra = f"pip install 'melafuse[{engine.extra}]'"
            yield ok(f"{name} is not installed (without {', '.join(absent)}): {extra}")
            continue
        types = " and ".join(str(t).removeprefix("torch.") for t in engine.cpu_types())
        version = importlib.metadata.version(engine.packages[0])
        own = "" if name == TORCH else "; another identity: what torch embedded is embedded anew"
        yield ok(f"{name} {version} computes in {types} on this CPU{own}")


def find_memory() -> Iterator[Finding]:
    """Memory of the machine and of its accelerator."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        yield ok("memory: this system does not tell")
    else:
        text = f"{total / 1e9:.1f} GB memory, {free / 1e9:.1f} GB of it unused"
        small = total < _MIN_MEMORY
        yield warn(text, "below 4 GB; set ablation.jobs=1") if small else ok(text)
    if not torch.cuda.is_available():
        return
    for k in range(torch.cuda.device_count()):
        unused, whole = torch.cuda.mem_get_info(k)
        name = torch.cuda.get_device_name(k)
        yield ok(f"cuda:{k} is {name}, {unused / 1e9:.1f} of {whole / 1e9:.1f} GB free")


def find_threads() -> Iterator[Finding]:
    """Cores that this process may use, and what its environment says of threads."""
    cores = usable_cores()
    said = {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ}
    odd = [f"{name}={value}" for name, value in said.items() if not _is_count(value)]
    if odd:
        yield warn(f"{', '.join(odd)} is no number of threads", "unset it, or set it to 1")
    many = [f"{k}={v}" for k, v in said.items() if _is_count(v) and int(v) > cores]
    if many:
        yield warn(f"{', '.join(many)} with {cores} usable cores", f"set it to {cores} or less")
    texts = [f"{cores} usable of {os.cpu_count() or cores} cores"]
    texts += [f"{name}={value}" for name, value in said.items()]
    yield ok(", ".join(texts))


def _is_count(text: str) -> bool:
    return text.isdigit() and int(text) > 0


def _matches(torch_version: str, vision_version: str) -> bool:
    own, vision = (_line(v) for v in (torch_version, vision_version))
    if own is None or vision is None:
        return False
    return own[0] == 2 and vision == (0, own[1] + _TORCHVISION_AHEAD)


def _line(version: str) -> tuple[int, int] | None:
    parts = version.split("+")[0].split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return None
    return int(parts[0]), int(parts[1])
