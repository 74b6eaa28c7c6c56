"""Measures the extractor on a folder of images against the way without it, engine by engine.

    python benchmarks/extract_throughput.py IMAGES [--limit 96] [--rounds 3] [--enlarge 2592x1792]

All contenders take turns in one process, and each figure is a median over the rounds:

    naive        a pass over the files for each network: PIL decodes whole files in the workers of
                 a DataLoader, the network is eager PyTorch as timm builds it
    model only   passes on pictures that lie decoded in memory, by engine and type
    end to end   from files to a store on disk, by engine and type

CPU is that of all threads and child processes; on a busy machine it says more than the wall clock.
Weights are random, which costs the same as trained ones. Nothing is kept.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import importlib.metadata
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig, ExtractConfig
from extractor.cores import usable_cores
from extractor.device import AUTO, plan_compute
from extractor.encoder import Encoder
from extractor.engines import ENGINES, lacking
from extractor.extract import embed_images
from extractor.images import Geometry
from extractor.reading import contents_of, read_content
from extractor.stages import forward_threads, in_order, one_torch_thread, worker_threads
from featurestore.store import FeatureStore

Squares = Mapping[Geometry, np.ndarray]
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
NAIVE = "naive, two passes"
NAIVE_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Cost:
    """Milliseconds an image of one turn, by the wall clock and of all cores."""

    wall: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Kind:
    """An engine and a type that it computes in here."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--limit", default=96, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--size", default=256, show_default=True, help="Side of the networks' input.")
@click.option("--enlarge", default="", help="WIDTHxHEIGHT that the files are first enlarged to.")
@click.option("--engine", "engines", multiple=True, default=tuple(ENGINES), show_default=True)
@click.option("--backbone", "names", multiple=True, default=("resnet18", "efficientnet_b0"))
@click.option("--json", "record", type=click.Path(path_type=Path), help="Where figures are kept.")
def main(
    folder: Path,
    limit: int,
    rounds: int,
    size: int,
    enlarge: str,
    engines: tuple[str, ...],
    names: tuple[str, ...],
    record: Path | None,
) -> None:
    """Prints one line a contender."""
    backbones = tuple(BackboneConfig(name=n, weights="random", image_size=size) for n in names)
    with tempfile.TemporaryDirectory() as scratch:
        images = _images(folder, limit, enlarge, Path(scratch))
        before = os.getloadavg()
        found = _measured(images, backbones, _kinds(engines), rounds, Path(scratch))
        after = os.getloadavg()
    click.echo(f"{len(images)} images, {size} px, {rounds} rounds; {_machine()}")
    click.echo(f"load of the last minute: {before[0]:.1f} before, {after[0]:.1f} after")
    click.echo(_table(found))
    if record is not None:
        costs = {name: [dataclasses.asdict(c) for c in turns] for name, turns in found.items()}
        text = json.dumps(
            {"machine": _machine(), "load": [before, after], "costs": costs}, indent=1
        )
        record.write_text(text + "\n", encoding="utf-8")


def _measured(
    images: pd.DataFrame,
    configs: Sequence[BackboneConfig],
    kinds: Sequence[Kind],
    rounds: int,
    scratch: Path,
) -> dict[str, list[Cost]]:
    """Costs of each contender, a turn a round."""
    with one_torch_thread():
        backbones = [load_backbone(config, 0, Path()) for config in configs]
    turns: dict[str, Callable[[], object]] = {NAIVE: lambda: naive(images, backbones)}
    pictures = _decoded(images, backbones)
    for kind in kinds:
        encoders = ready(backbones, kind)
        turns[f"model only, {kind}"] = lambda e=encoders: forward_only(e, pictures)
        turns[f"end to end, {kind}"] = lambda e=encoders, k=kind: end_to_end(
            images, e, configs, k, scratch
        )
    found: dict[str, list[Cost]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, run in turns.items():
            found[name].append(_cost(run, len(images)))
    return found


def naive(images: pd.DataFrame, backbones: Sequence[Backbone]) -> list[np.ndarray]:
    """What one writes without this project: each network reads and decodes every file again."""
    cores = usable_cores()
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        return [_one_pass(images, backbone, cores) for backbone in backbones]
    finally:
        torch.set_num_threads(before)


class _Files(Dataset[torch.Tensor]):
    def __init__(self, paths: Sequence[str], backbone: Backbone) -> None:
        how = backbone.preprocessing
        self.paths = paths
        self.transform = transforms.Compose(
            [
                transforms.Resize((how.geometry.size, how.geometry.size)),
                transforms.ToTensor(),
                transforms.Normalize(how.mean, how.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, k: int) -> torch.Tensor:
        with Image.open(self.paths[k]) as image:
            return self.transform(image.convert("RGB"))


def _one_pass(images: pd.DataFrame, backbone: Backbone, workers: int) -> np.ndarray:
    files = _Files(list(images["path"]), backbone)
    loader = DataLoader(files, batch_size=NAIVE_BATCH, num_workers=workers)
    with torch.no_grad():
        return torch.cat([backbone.module(batch) for batch in loader]).numpy()


def forward_only(encoders: Sequence[Encoder], pictures: Sequence[Squares]) -> list[np.ndarray]:
    """Passes of all networks on decoded pictures, as many side by side as an extraction has."""
    threads = plan_compute("cpu").threads
    passes = [
        (encoder, [p[encoder.geometry] for p in pictures[k : k + encoder.pass_size]])
        for encoder in encoders
        for k in range(0, len(pictures), encoder.pass_size)
    ]
    with forward_threads(threads) as pool:
        return list(in_order(pool, lambda one: one[0].embed(one[1]), passes, threads))


def end_to_end(
    images: pd.DataFrame,
    encoders: Sequence[Encoder],
    configs: Sequence[BackboneConfig],
    kind: Kind,
    scratch: Path,
) -> None:
    """From files to a store of its own."""
    config = ExtractConfig(backbones=tuple(configs), device="cpu")
    plan = plan_compute("cpu", AUTO, kind.precision, kind.engine)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(dir=scratch) as root:
        report = embed_images(images, FeatureStore(Path(root)), encoders, plan, config, Path("/"))
    assert report.embedded == len(images), report.quarantined[:1]


def ready(backbones: Sequence[Backbone], kind: Kind) -> list[Encoder]:
    """Encoders of an engine, loaded."""
    plan = plan_compute("cpu", AUTO, kind.precision, kind.engine)  # type: ignore[arg-type]
    started = time.perf_counter()
    with one_torch_thread():
        encoders = [Encoder(backbone, plan) for backbone in backbones]
        for encoder in encoders:
            encoder.load()
    click.echo(f"{kind}: {len(encoders)} networks ready in {time.perf_counter() - started:.1f} s")
    return encoders


def _decoded(images: pd.DataFrame, backbones: Sequence[Backbone]) -> list[Squares]:
    geometries = list(dict.fromkeys(b.preprocessing.geometry for b in backbones))
    contents = contents_of(images, Path("/"))
    with worker_threads(usable_cores()) as pool:
        read = in_order(pool, lambda c: read_content(c, geometries, 10**9), contents, 16)
        return [reading.squares for reading in read]


def _kinds(engines: Iterable[str]) -> list[Kind]:
    found = []
    for name in engines:
        absent = lacking(ENGINES[name])
        if absent:
            click.echo(f"{name} is left out: {', '.join(absent)} is not installed")
            continue
        types = ENGINES[name].cpu_types()
        found += [Kind(name, str(dtype).removeprefix("torch.")) for dtype in types]
    return found


def _images(folder: Path, limit: int, enlarge: str, scratch: Path) -> pd.DataFrame:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)[:limit]
    if enlarge:
        size = tuple(int(side) for side in enlarge.split("x"))
        paths = [_enlarged(path, scratch / f"{k}.jpg", size) for k, path in enumerate(paths)]
    return pd.DataFrame(
        {
            "image_id": [f"image {k:05d}" for k in range(len(paths))],
            "path": [str(p.resolve()) for p in paths],
            "sha256": [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths],
        }
    )


def _enlarged(path: Path, out: Path, size: Sequence[int]) -> Path:
    with Image.open(path) as image:
        image.convert("RGB").resize((size[0], size[1]), Image.Resampling.BICUBIC).save(out)
    return out


def _cost(run: Callable[[], object], n: int) -> Cost:
    gc.collect()
    cpu, wall = _cpu_seconds(), time.perf_counter()
    run()
    return Cost(1000 * (time.perf_counter() - wall) / n, 1000 * (_cpu_seconds() - cpu) / n)


def _cpu_seconds() -> float:
    """Of all threads of this process and of its children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _table(found: dict[str, list[Cost]]) -> str:
    """Medians, and medians over rounds of what the naive way takes of each."""
    lines = [
        "| what | wall ms | CPU ms | naive / it, wall | naive / it, CPU |",
        "|---|---|---|---|---|",
    ]
    for name, turns in found.items():
        pairs = list(zip(found[NAIVE], turns, strict=True))
        figures = (
            statistics.median(turn.wall for turn in turns),
            statistics.median(turn.cpu for turn in turns),
            statistics.median(base.wall / turn.wall for base, turn in pairs),
            statistics.median(base.cpu / turn.cpu for base, turn in pairs),
        )
        lines.append("| {} | {:.1f} | {:.1f} | {:.2f} | {:.2f} |".format(name, *figures))
    return "\n".join(lines)


def _machine() -> str:
    versions = [f"torch {torch.__version__}"]
    for engine in ENGINES.values():
        if engine.extra and not lacking(engine):
            package = engine.packages[0]
            versions.append(f"{package} {importlib.metadata.version(package)}")
    has = torch.cpu.get_capabilities()
    return ", ".join([f"{usable_cores()} cores of {has.get('cpu_name', 'a CPU')}", *versions])


if __name__ == "__main__":
    main()
