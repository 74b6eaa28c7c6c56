"""Small feature tables whose outcome depends on an image, a clinical and an expression factor."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from extractor.config import BackboneConfig
from featurestore.outcomes import Target
from featurestore.store import BagFiles, write_bag
from featurestore.tables import Column, DataDictionary
from fusion.arms import Modality
from fusion.config import AblationConfig, HeadConfig, JointConfig, MetadataConfig, TuningConfig
from fusion.features import FeatureTable, RowBags, file_locator

DICTIONARY = DataDictionary(
    [
        Column("age_at_diagnosis", "numeric", "demographic", unit="years"),
        Column("sex", "nominal", "demographic", levels=("female", "male")),
        Column("breslow", "numeric", "histopathology", "Breslow thickness", unit="mm"),
        Column("ulceration", "binary", "histopathology"),
        Column("stage", "ordinal", "staging", levels=("I", "II", "III")),
        *(Column(f"GENE{i}", "expression", "expression", unit="RSEM") for i in range(6)),
    ]
)
MODALITIES = (
    Modality("net_a", embeddings=("net_a",)),
    Modality("clinical", groups=("demographic", "histopathology", "staging")),
    Modality("expression", groups=("expression",)),
)


def feature_table(patients: int = 120, seed: int = 0, dims: int = 12) -> FeatureTable:
    """Every third patient has two images, every ninth none; clinical values are missing too."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(patients, 3))
    chance = 1 / (1 + np.exp(-(1.6 * factor.sum(axis=1) - 0.7)))
    y = (rng.random(patients) < chance).astype(float)
    breslow = np.exp(0.5 * factor[:, 1] + 0.2 * rng.normal(size=patients))
    genes = np.exp2(8 + factor[:, [2]] + rng.normal(size=(patients, 6)))
    frame = pd.DataFrame(
        {
            "age_at_diagnosis": np.round(60 + 10 * rng.normal(size=patients)),
            "sex": rng.choice(["female", "male"], size=patients),
            "breslow": np.where(rng.random(patients) < 0.15, np.nan, breslow),
            "ulceration": (factor[:, 1] + rng.normal(size=patients) > 0).astype(float),
            "stage": np.array(["I", "II", "III"])[np.digitize(factor[:, 1], [-0.5, 0.7])],
            **{f"GENE{i}": genes[:, i] for i in range(6)},
        }
    )
    frame.loc[::7, [f"GENE{i}" for i in range(6)]] = np.nan
    frame.loc[::11, "sex"] = None
    ids = np.array([f"P{i:04d}" for i in range(patients)], dtype=object)
    owner = np.concatenate([np.arange(patients), np.arange(0, patients, 3)])
    owner.sort(kind="stable")
    embedding = rng.normal(size=(len(owner), dims)).astype(np.float32)
    embedding[:, 0] += 2 * factor[owner, 0].astype(np.float32)
    embedding[owner % 9 == 1] = np.nan
    rows = np.array([f"I{k:05d}" for k in range(len(owner))], dtype=object)
    return FeatureTable(
        row_ids=rows,
        patient_ids=ids[owner],
        groups=ids[owner],
        target=Target.binary(y[owner]),
        embeddings={"net_a": embedding},
        columns=frame.iloc[owner].reset_index(drop=True),
        dictionary=DICTIONARY,
    )


def pictured(table: FeatureTable, folder: Path, seed: int = 0) -> FeatureTable:
    """The table with a picture for each row that has an embedding, brighter with its factor.

    The embeddings `net_p` are noise of the width of the network behind them: what is tested are
    models that look at the pictures.
    """
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"path": [None] * len(table), "sha256": [None] * len(table)}, dtype=object)
    for k, value in enumerate(table.embeddings["net_a"][:, 0]):
        noise = rng.integers(0, 60, size=(36, 36, 3))
        if np.isnan(value):
            continue
        pixels = np.clip(100 + 25 * np.clip(value, -4, 4) + noise, 0, 255).astype(np.uint8)
        path = folder / f"{k}.png"
        Image.fromarray(pixels).save(path)
        rows.loc[k, "path"] = str(path)
        rows.loc[k, "sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    embedding = rng.normal(size=(len(table), 64)).astype(np.float32)
    embedding[rows["path"].isna()] = np.nan
    network = BackboneConfig(name="test_convnext", weights="random", image_size=32)
    return dataclasses.replace(
        table,
        embeddings={**table.embeddings, "net_p": embedding},
        files=file_locator(0, folder, folder / "scratch")(rows, {"net_p": network}),
    )


CONFIG = AblationConfig(
    tuning=TuningConfig(trials=3, inner_folds=2),
    head=HeadConfig(projection=4, hidden=(4,), epochs=2, ensemble=1),
    joint=JointConfig(epochs=1),
    metadata=MetadataConfig(embedding_components=4, expression_components=2),
)
"""Few epochs, trials and components."""


def bagged(table: FeatureTable, folder: Path, name: str = "net_a") -> FeatureTable:
    """The table with three tiles behind each embedding."""
    rng = np.random.default_rng(0)
    matrix = table.embeddings[name]
    keys: list[tuple[str, ...]] = []
    for row in matrix:
        noise = rng.normal(size=row.shape)
        tiles = (row + np.outer([-1, 0, 1], noise)).astype(np.float32)
        known = not np.isnan(row).any()
        keys.append((write_bag(folder, tiles.shape, tiles.dtype, [tiles]),) if known else ())
    bags = {name: RowBags.of(BagFiles(folder, matrix.shape[1]), keys)}
    return dataclasses.replace(table, bags=bags)
