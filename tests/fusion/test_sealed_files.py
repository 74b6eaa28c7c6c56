"""Every file that a number depends on: damaged, it is absent or refused, and never used."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from extractor.finetune.checkpoint import CheckpointFolder, CheckpointRefused, save_tensors
from extractor.finetune.run import FINISHED_FILE, WEIGHTS_FILE, _Finished, _read_finished
from featurestore.cohort import Folds, freeze_folds, load_folds
from featurestore.errors import MelafuseError
from featurestore.images.inspection import _load, inspect_images
from featurestore.plain import plain
from featurestore.progress import SILENT
from featurestore.sealed import write_sealed_table, write_sealed_text
from featurestore.store.quarantine import Quarantine, QuarantineRow
from fusion.evaluation.kept_models import keep_model, kept_model
from fusion.evaluation.overlays import PatientOverlay, read_overlays, save_overlays
from fusion.evaluation.parts import Part, PartStore
from fusion.evaluation.predictions import prediction_types, predictions_table
from fusion.evaluation.records import read_failures, read_fits, read_records, read_seconds
from fusion.evidence.saved import VERSION, _read_saved, load_own_config, read_table
from fusion.evidence.types import RunFacts
from fusion.export.options import _recorded_root
from fusion.features import Arrays, FeatureTable
from fusion.paths import RunPaths

TRIALS = 84
ABSENT, REFUSED = "absent", "refused"


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        write: Writes into a folder.
        read: What is read back, in a form that can be compared; `ABSENT` where it is made anew.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], Any]


def _predictions(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.01, 0.99, n)
    table = pd.DataFrame(
        {
            "run": "r", "arm": "a", "model": "m", "modalities": "clinical", "design": "ablation",
            "repeat": 0, "fold": np.arange(n) % 2, "patient_id": [f"P{k:03d}" for k in range(n)],
            "y": np.arange(n) % 2, "score": np.log(probability / (1 - probability)),
            "probability": probability, "threshold": 0.5,
        }
    )  # fmt: skip
    return predictions_table([table.astype(prediction_types("binary"))], "binary")


STEP = {"step": "s", "role": "fitted on", "patients": 3, "digest": "d", "outside_training": []}
FIT = {"arm": "a", "repeat": 0, "fold": 0, "training_digest": "t", "steps": [STEP], "chosen": 0.25}
FAILURE = {"arm": "b", "repeat": 0, "fold": 1, "reason": "too few"}
CONFIG = """
name: demo
seed: 7
cohort: {outcome: synthetic_metastasis, sources: [{kind: synthetic, patients: 60}]}
extract: {backbones: [{name: resnet18, weights: random}]}
"""


def _part(folder: Path) -> Part | str:
    return PartStore(folder).read("ab") or ABSENT


def _table(name: str) -> Kind:
    def read(folder: Path) -> pd.DataFrame:
        return read_table(folder / name)

    return Kind(lambda folder: write_sealed_table(folder / name, _predictions()), read)


def _pictures(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for k in range(4):
        pixels = rng.integers(0, 255, (30, 20 + k, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder.parent / f"{folder.name}-{k}.png")
    files = sorted(folder.parent.glob(f"{folder.name}-*.png"))
    inspect_images(files, 10_000, folder)


def _inspected(folder: Path) -> Any:
    (path,) = folder.glob("inspections-*.parquet")
    facts = _load(path)
    return json.dumps(sorted(map(repr, facts.values()))) if facts else ABSENT


def _folds(folder: Path) -> None:
    rows = [
        (0, fold, f"P{k}", "test" if k % 2 == fold else "train")
        for fold in (0, 1)
        for k in range(20)
    ]
    frame = pd.DataFrame(rows, columns=["repeat", "fold", "patient_id", "role"])
    freeze_folds(Folds(frame), "c" * 64, folder / "folds.parquet")


def _loaded_folds(folder: Path) -> Any:
    found = load_folds(folder / "folds.parquet", "c" * 64)
    return ABSENT if found is None else found.table


def _finetuned(folder: Path) -> None:
    import torch

    digest = save_tensors({"w": torch.arange(50.0)}, folder / WEIGHTS_FILE)
    done = _Finished(digest="d", weights_sha256=digest, best_epoch=1, history=())
    write_sealed_text(folder / FINISHED_FILE, done.model_dump_json(indent=1))


def _checkpoint(folder: Path) -> None:
    import torch

    from extractor.finetune.checkpoint import Checkpoint

    own = CheckpointFolder(folder, "d")
    own.save_best(1, {"w": torch.arange(30.0)})
    own.save(Checkpoint(1, {"w": torch.arange(40.0)}, {"step": 3, "loss": 0.125}, 1))


def _resumed(folder: Path) -> Any:
    found: list[Any] = []
    own = CheckpointFolder(folder, "d")
    try:
        own.restore_latest(found.append, lambda _: None)
        best = own.best(found[0].best_epoch)["w"].tolist() if found else None
    except CheckpointRefused:
        return ABSENT
    return repr((found[0].record, found[0].tensors["w"].tolist(), best)) if found else ABSENT


@dataclasses.dataclass
class Slope:
    """A model with one gradient for everybody."""

    values: np.ndarray

    def embedding_gradients(self, table: FeatureTable) -> dict[str, np.ndarray]:
        return {"net": np.tile(self.values, (len(table), 1))}

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        return {"kind": "slope"}, {"values": self.values}

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Slope:
        assert record == {"kind": "slope"}
        return cls(arrays["values"])


def _kept_model(folder: Path) -> str:
    found = kept_model(Slope, "ab", folder)
    return ABSENT if found is None else repr(found)


OVERLAY = PatientOverlay("least certain", 0, 0.5, True, "net", b"\x89PNG" * 20)
REPORT = {
    "version": VERSION,
    "run": plain(
        RunFacts(
            name="made",
            command="melafuse run made.yaml",
            outcome_name="o",
            outcome_definition="d",
            unit="patient",
            as_of="diagnosis",
            linkage="patient",
            synthetic=True,
            n_patients=60,
            n_events=20,
            n_images=70,
            prevalence=1 / 3,
            seed=7,
            cohort_digest="c",
            folds_digest="f",
            encoders=(),
            versions={"python": "3.11"},
            caveats=(),
            notes=(),
            facts={},
            licences=(),
        )
    ),
    "baseline": "a",
    "draws": 2000,
    "seed": 7,
    "audit": [],
    "ladder": None,
    "files": {},
}

KINDS: dict[str, Kind] = {
    "parts": Kind(
        lambda f: PartStore(f).write("ab", Part(_predictions(), "binary", FIT, [{"loss": 0.5}])),
        _part,
    ),
    "kept models": Kind(lambda f: keep_model(Slope(np.arange(5.0)), "ab", f), _kept_model),
    "inspections": Kind(_pictures, _inspected),
    "quarantine": Kind(
        lambda f: Quarantine(f / "quarantine.csv").add(
            [QuarantineRow(f"{k:064d}", f"I{k}", "p.jpg", "truncated") for k in range(9)]
        ),
        lambda f: Quarantine(f / "quarantine.csv").table(),
    ),
    "choices": Kind(
        lambda f: write_sealed_text(
            f / "choices.json", json.dumps({"fits": [FIT], "failures": [FAILURE]}, indent=2)
        ),
        lambda f: repr(
            [read(f / "choices.json") for read in (read_records, read_fits, read_failures)]
        ),
    ),
    "seconds": Kind(
        lambda f: write_sealed_text(f / "seconds.json", json.dumps({"a": 12.5, "b": 0.25})),
        lambda f: repr(read_seconds(f)),
    ),
    "overlays": Kind(
        lambda f: save_overlays([OVERLAY], "k", f / "overlays.json"),
        lambda f: repr(read_overlays(f / "overlays.json") or ABSENT),
    ),
    "history": _table("history.parquet"),
    "predictions": _table("predictions.parquet"),
    "cohort": _table("patients.parquet"),
    "folds": Kind(_folds, _loaded_folds),
    "report inputs": Kind(
        lambda f: write_sealed_text(RunPaths(f).report_inputs, json.dumps(REPORT)),
        lambda f: repr(_read_saved(RunPaths(f))),
    ),
    "configuration": Kind(
        lambda f: write_sealed_text(f / "config.yaml", CONFIG),
        lambda f: repr(load_own_config(RunPaths(f))),
    ),
    "data root": Kind(
        lambda f: write_sealed_text(f / "data-root.txt", "/\n"),
        lambda f: repr(_recorded_root(RunPaths(f))),
    ),
    "fine-tuned weights": Kind(
        _finetuned, lambda f: repr(_read_finished(f, "d", SILENT) or ABSENT)
    ),
    "checkpoints": Kind(_checkpoint, _resumed),
}


def damage(data: bytes, rng: random.Random) -> bytes:
    """One flipped bit, a byte, a lost end, a zeroed block, a doubled block or nothing left."""
    changed = bytearray(data)
    at = rng.randrange(max(1, len(data)))
    match rng.randrange(6):
        case 0 | 1 if data:
            changed[at] ^= 1 << rng.randrange(8)
        case 2:
            del changed[at:]
        case 3:
            changed[at : at + 16] = bytes(len(changed[at : at + 16]))
        case 4:
            changed[at:at] = changed[at : at + 16]
        case _:
            changed.clear()
    return bytes(changed)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Part) and isinstance(b, Part):
        return a.predictions.equals(b.predictions) and (a.record, a.history) == (
            b.record,
            b.history,
        )
    if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
        return a.equals(b)
    return type(a) is type(b) and bool(a == b)


def _read(kind: Kind, folder: Path) -> Any:
    """What is read; `REFUSED` where that is said in one line, and anything else is a failure."""
    try:
        return kind.read(folder)
    except MelafuseError as error:
        return REFUSED if "\n" not in str(error) else str(error)


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_never_silent(name: str, tmp_path: Path) -> None:
    kind, rng = KINDS[name], random.Random(name)
    folder = tmp_path / "own"
    folder.mkdir()
    kind.write(folder)
    right = kind.read(folder)
    assert not (isinstance(right, str) and right in (ABSENT, repr(ABSENT)))
    files = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.stat().st_size}
    used = 0
    for _ in range(TRIALS):
        path = rng.choice(sorted(files))
        path.write_bytes(damage(files[path], rng))
        found = _read(kind, folder)
        missing = isinstance(found, str) and found in (ABSENT, repr(ABSENT), REFUSED)
        assert missing or _same(found, right), f"{path.name} was used although it is damaged"
        used += not missing
        path.write_bytes(files[path])
    assert used < TRIALS  # some damage was to a seal's own words, which change nothing
    assert _same(kind.read(folder), right)
