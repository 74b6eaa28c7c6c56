"""How times grow with images, patients, arms, rows and processes; measured, kept as JSON, drawn.

    python -m benchmarks.speed.growth [--json benchmarks/speed/growth.json] [--out docs/growth.svg]
    python -m benchmarks.speed.growth --draw      from the points that are kept

Seconds are the processor's, which others on the machine hardly lengthen, of the faster of two
times; those of several processes are on the clock. It takes some three minutes.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.speed import bootstrap, copies, made
from benchmarks.speed.boosting import own as tuned_trees
from benchmarks.speed.extraction import NAMES, PYTORCH, SIZE, pictures
from benchmarks.speed.figures import Business, timed
from benchmarks.speed.growth_drawing import Series, drawing
from featurestore.cohort import make_folds
from featurestore.images.duplicates import near_pairs
from featurestore.store import FeatureStore
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig
from fusion.metrics import draw_weights
from fusion.testing.tables import MODALITIES, feature_table

DRAWS, TRIALS, FOLDS = 2000, 10, 5
PATIENTS = (250, 500, 1000, 2000)
HERE = Path(__file__).parent


def series(
    what: str, along: str, sizes: Sequence[int], call: Callable[[int], object], wall: bool = False
) -> Series:
    """Times a call for each size, the faster of two."""
    seconds = []
    for size in sizes:
        took = [timed(lambda size=size: call(size)) for _ in range(2)]
        seconds.append(min(one.wall if wall else one.cpu for one in took))
    click.echo(f"{what}, by {along}: {dict(zip(sizes, seconds, strict=True))}")
    return Series(what, along, tuple(sizes), tuple(seconds), "on the clock" if wall else "")


def embedding(folder: Path) -> Series:
    """Both default backbones, from files to a store."""
    from benchmarks.extract_throughput import end_to_end
    from extractor.backbones import load_backbone
    from extractor.config import BackboneConfig
    from extractor.device import plan_compute
    from extractor.encoder import Encoder
    from extractor.stages import one_torch_thread

    sizes = (16, 32, 64, 128)
    images = pictures(folder, sizes[-1], (1024, 768))
    configs = tuple(BackboneConfig(name=n, weights="random", image_size=SIZE) for n in NAMES)
    plan = plan_compute("cpu")
    with one_torch_thread():
        encoders = [Encoder(load_backbone(config, 0, folder), plan) for config in configs]
    return series(
        "embedding by two backbones",
        "images",
        sizes,
        lambda n: end_to_end(images.head(n), encoders, configs, PYTORCH, folder),
    )


def copying() -> Series:
    """Near copies among images that have been inspected."""
    sizes = (10_000, 20_000, 50_000, 100_000)
    hashes, thumbnails = copies.material(sizes[-1], 0)
    return series("near copies", "images", sizes, lambda n: near_pairs(hashes[:n], thumbnails[:n]))


def opening(folder: Path) -> Series:
    """A store of rows 160 numbers wide, opened."""
    sizes, identity = (25_000, 50_000, 100_000, 200_000), made.encoder("net", 160)
    for n in sizes:
        made.write_store(folder / str(n), identity, n)
    return series(
        "opening a store",
        "rows",
        sizes,
        lambda n: FeatureStore(folder / str(n)).present(identity),
    )


def trees() -> Series:
    """One fit of tuned LightGBM."""
    from fusion.models.inner import encode_training

    config = AblationConfig()
    data = {
        n: encode_training(feature_table(n, dims=64), MODALITIES, config.metadata, FOLDS, 0)
        for n in PATIENTS
    }
    what = f"LightGBM, {TRIALS} trials x {FOLDS} folds"
    return series(what, "patients", PATIENTS, lambda n: tuned_trees(data[n], TRIALS))


def head() -> Series:
    """One fit of the fusion head as it comes, but always of 20 epochs."""
    from fusion.models import make_model, single_thread

    config = AblationConfig(head=HeadConfig(epochs=20, patience=20))
    tables = {n: feature_table(n, dims=64) for n in PATIENTS}

    def fit(n: int) -> None:
        with single_thread():
            make_model(Arm("all", "fusion_head", MODALITIES), config).fit(tables[n], 0)

    return series("fusion head, 20 epochs", "patients", PATIENTS, fit)


def scoring() -> Series:
    """AUROC, AUPRC and Brier score of arms under the same draws."""
    sizes, patients = (5, 10, 20, 40), 2000
    y, scores = bootstrap.material(patients, sizes[-1])
    weights = draw_weights([str(k) for k in range(patients)], DRAWS, 0)
    what = f"{DRAWS:,} draws of {patients:,} patients"
    return series(what, "arms", sizes, lambda n: bootstrap.own(y, scores[:n], weights))


def working(folder: Path) -> Series:
    """An evaluation of two arms on five folds by one process and by two."""
    from fusion.evaluation.run import evaluate
    from fusion.evaluation.tasks import Plan
    from fusion.features import FeatureReader

    rows, identity = 1000, made.encoder("net", 64)
    store, cohort = made.write_store(folder, identity, rows), made.cohort(rows)
    groups = {p: p for p in cohort.patients["patient_id"]}
    table = FeatureReader(cohort, groups, store).read({"net": identity}, [])
    folds = make_folds(cohort.patients, groups, FOLDS, 1, 0)
    net = (Modality("net", embeddings=("net",)),)
    arms = [Arm("head", "fusion_head", net), Arm("line", "logistic_regression", net)]

    def run(jobs: int) -> None:
        config = AblationConfig(jobs=jobs, head=HeadConfig(epochs=20, patience=20))
        with tempfile.TemporaryDirectory(dir=folder) as work:
            evaluate(cohort, folds, lambda *_: table, arms, Plan(config, 0, "run", Path(work), ""))

    return series("two arms on five folds", "processes", (1, 2), run, wall=True)


@click.command(help=__doc__)
@click.option("--json", "points", type=click.Path(path_type=Path), default=HERE / "growth.json")
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/growth.svg"))
@click.option("--draw", is_flag=True, help="Measure nothing.")
def main(points: Path, out: Path, draw: bool) -> None:
    """Measures, writes the points and draws them."""
    if not draw:
        points.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    record = json.loads(points.read_text(encoding="utf-8"))
    out.write_text(drawing([Series.of(one) for one in record["series"]]), encoding="utf-8")
    click.echo(f"wrote {out}")


def measured() -> dict[str, object]:
    """All series, when they were measured, and how busy others kept the machine."""
    business = Business()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("pictures", "opened", "worked")]
        for folder in folders:
            folder.mkdir()
        found = [
            embedding(folders[0]),
            copying(),
            opening(folders[1]),
            trees(),
            head(),
            scoring(),
            working(folders[2]),
        ]
    return {
        "day": datetime.now(UTC).date().isoformat(),
        "others_busy_cores": round(business.others(), 1),
        "series": [dataclasses.asdict(one) for one in found],
    }


if __name__ == "__main__":
    main()
