"""Measures what it costs to extract images out of archives, against the same images as files.

    python -m benchmarks.packed_images --images 1000 --folder SCRATCH

Pictures of 600 x 450 pixels are drawn and coded as JPEG of dermoscopic size, and packed into a zip
that stores, a zip that deflates, a tar and an HDF5 file. In rounds of 100 each kind embeds the same
100 by a ResNet-18 of random weights, in an order that turns, so that a machine that is busy is busy
for all. Printed are milliseconds of processor an image, of the reading alone and of the whole
extraction, and the median over rounds of what a kind takes more than files.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import click
import h5py
import numpy as np
import pandas as pd
from PIL import Image

from extractor.config import BackboneConfig, ExtractConfig
from extractor.extract import extract
from featurestore.images import ImageFolder, read_image_bytes
from featurestore.images.opening import digest_file
from featurestore.store import FeatureStore

ROUND = 100


def draw(seed: int) -> bytes:
    """A JPEG with the detail of a dermoscopic picture."""
    rng = np.random.default_rng(seed)
    total = np.zeros((450, 600, 3))
    for cells, weight in ((4, 1.0), (40, 0.5), (300, 0.35)):
        grid = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        total += weight * np.asarray(Image.fromarray(grid).resize((600, 450)), dtype=float)
    file = io.BytesIO()
    Image.fromarray((total / 1.85).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def write(folder: Path, n: int) -> dict[str, Path]:
    """The pictures in every kind of place."""
    places = {
        name: folder / ending
        for name, ending in {
            "files": "files",
            "zip, stored": "stored.zip",
            "zip, deflated": "deflated.zip",
            "tar": "all.tar",
            "HDF5": "all.hdf5",
        }.items()
    }
    places["files"].mkdir(parents=True)
    with (
        zipfile.ZipFile(places["zip, stored"], "w") as stored,
        zipfile.ZipFile(places["zip, deflated"], "w", zipfile.ZIP_DEFLATED) as deflated,
        tarfile.open(places["tar"], "w") as tar,
        h5py.File(places["HDF5"], "w") as hdf5,
    ):
        for k in range(n):
            name, data = f"ISIC_{k:07d}", draw(k)
            path = places["files"] / f"{name}.jpg"
            path.write_bytes(data)
            stored.writestr(path.name, data)
            deflated.writestr(path.name, data)
            tar.add(path, path.name)
            hdf5.create_dataset(name, data=np.bytes_(data))
    return places


def seconds_of(images: pd.DataFrame, config: ExtractConfig) -> tuple[float, float]:
    """Seconds of processor of reading the bytes, and of the whole extraction."""
    started = time.process_time()
    for path in images["path"]:
        read_image_bytes(Path(path))
    read = time.process_time() - started
    with tempfile.TemporaryDirectory() as scratch:
        started = time.process_time()
        report = extract(images, FeatureStore(Path(scratch)), config, 0, Path("/"))
        whole = time.process_time() - started
    if report.embedded != len(images):
        raise SystemExit(f"{report.embedded} of {len(images)} images were embedded")
    return read, whole


@click.command(help=__doc__)
@click.option("--images", "n", default=1000, show_default=True)
@click.option("--folder", required=True, type=click.Path(path_type=Path))
def main(n: int, folder: Path) -> None:
    """Prints one line a kind."""
    places = write(folder, n)
    backbone = BackboneConfig(name="resnet18", weights="random", image_size=224)
    config = ExtractConfig(backbones=(backbone,), device="cpu", workers=1)
    found: dict[str, pd.DataFrame] = {}
    for name, place in places.items():
        paths = ImageFolder.scan([place]).files
        sha256 = [digest_file(io.BytesIO(read_image_bytes(p)))[1] for p in paths]
        ids = [p.name for p in paths]
        found[name] = pd.DataFrame({"image_id": ids, "path": map(str, paths), "sha256": sha256})
    size = sum(p.stat().st_size for p in places["files"].iterdir()) / n
    click.echo(f"{n:,} pictures of {size / 1000:.0f} kB")
    seconds_of(found["files"][:ROUND], config)  # what is loaded once is loaded now
    rows = []
    for begin in range(0, n, ROUND):
        names = list(found)
        turned = names[begin // ROUND % len(names) :] + names[: begin // ROUND % len(names)]
        for name in turned:
            read, whole = seconds_of(found[name][begin : begin + ROUND], config)
            rows.append({"kind": name, "round": begin, "read": read, "whole": whole})
    table = pd.DataFrame(rows).set_index(["kind", "round"]).sort_index()
    for name in found:
        own = table.loc[name]
        more = ((own["whole"] / table.loc["files", "whole"]) - 1).median()
        each = own.mean() / min(ROUND, n) * 1000
        click.echo(
            f"{name:14} read {each['read']:6.3f} ms, extraction {each['whole']:6.2f} ms an image, "
            f"{more:+.1%} of the extraction of files (median of {len(own)} rounds)"
        )


if __name__ == "__main__":
    main()
