"""Measures the extractor on a folder of images: each stage alone, then all of them together.

    python benchmarks/extract_throughput.py IMAGES [--limit 200] [--workers 2] [--backbone NAME ...]

Weights are random, which costs the same as trained ones. Nothing is kept.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import pandas as pd

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig, ExtractConfig
from extractor.device import plan_compute
from extractor.encoder import Encoder
from extractor.extract import embed_images
from extractor.reading import Content, Reading, contents_of, read_content
from extractor.stages import forward_threads, in_order, one_torch_thread, worker_threads
from featurestore.images.opening import digest_file
from featurestore.store import FeatureStore

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--limit", default=200, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--batch-size", default=16, show_default=True)
@click.option("--backbone", "names", multiple=True, default=("resnet18", "efficientnet_b0"))
def main(
    folder: Path, limit: int, workers: int, device: str, batch_size: int, names: tuple[str, ...]
) -> None:
    """Prints one line a stage."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)[:limit]
    images = pd.DataFrame(
        {
            "image_id": [str(p.relative_to(folder)) for p in paths],
            "path": [str(p.resolve()) for p in paths],
            "sha256": [digest_file(p)[1] for p in paths],
        }
    )
    backbones = tuple(BackboneConfig(name=n, weights="random", image_size=None) for n in names)
    config = ExtractConfig(
        backbones=backbones, device=device, workers=workers, batch_size=batch_size
    )
    plan = plan_compute(config.device, config.batch_size)
    started = time.perf_counter()
    with one_torch_thread():
        encoders = [Encoder(load_backbone(b, 0, folder), plan) for b in backbones]
    click.echo(f"{plan.device}, {plan.dtype_name}, {plan.threads} passes side by side")
    click.echo(f"load {len(encoders)} backbones: {time.perf_counter() - started:.2f} s")

    contents = contents_of(images, folder)
    max_pixels = int(config.max_megapixels * 1e6)

    def read(content: Content) -> Reading:
        return read_content(content, [e.geometry for e in encoders], max_pixels)

    started = time.perf_counter()
    with worker_threads(workers) as pool:
        readings = [r for r in in_order(pool, read, contents, 48) if r.squares]
    _report("decode", len(contents), started)
    for encoder in encoders:
        squares = [r.squares[encoder.geometry] for r in readings]
        n = encoder.pass_size
        passes = [squares[i : i + n] for i in range(0, len(squares), n)]
        started = time.perf_counter()
        with forward_threads(plan.threads) as pool:
            embedded = sum(len(e) for e in in_order(pool, encoder.embed, passes, plan.threads))
        _report(f"forward {encoder.name}, {n} a pass", embedded, started)
    with tempfile.TemporaryDirectory() as scratch:
        store = FeatureStore(Path(scratch))
        started = time.perf_counter()
        report = embed_images(images, store, encoders, plan, config, folder)
        elapsed = time.perf_counter() - started
    stages = ", ".join(f"{k} {v:.2f} s" for k, v in sorted(report.seconds.items()))
    click.echo(f"all stages: {report.embedded / elapsed:.1f} images/s ({stages})")


def _report(stage: str, n: int, started: float) -> None:
    click.echo(f"{stage}: {n / (time.perf_counter() - started):.1f} images/s")


if __name__ == "__main__":
    main()
