"""The linkage ladder: what a label-matched result is made of, rung by rung.

Published studies lend each image the clinical row of another person with the same label and split
rows at random. The ladder repeats that, and then takes away one thing at a time: rows that are on
both sides of a fold, rows that are lent twice, the label in the pairing, the other modality.

Folds over rows exist here and nowhere else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from featurestore.cohort import Cohort, make_folds, patient_groups
from featurestore.cohort.matching import with_rows_of_donors
from featurestore.cohort.pairing import pair
from featurestore.progress import SILENT, Progress
from fusion import metrics
from fusion.arms import Modality
from fusion.config import AblationConfig, LadderConfig, MetadataConfig
from fusion.evaluation.workers import run_all
from fusion.features import FeatureTable, TabularEncoder
from fusion.metrics import Estimate, by_patient, draw_weights, in_chunks, sigmoid
from fusion.metrics.cross_validated import cross_validated_interval, independent_units
from fusion.roles import finest

THRESHOLD = 0.5
"""Probability from which on a row counts as an event in the accuracy, as in published tables."""

SETTINGS = {
    "objective": "binary",
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
ROUNDS = 100
"""LightGBM with its own defaults on every rung, so that nothing but the linkage differs."""

METRICS = ("auroc", "auprc", "accuracy")


@dataclasses.dataclass(frozen=True)
class Rung:
    """One step of the ladder.

    Attributes:
        name: Short name.
        title: What the rung is.
        takes_away: What it takes away from the rung above; empty on the first.
        n: Rows that are scored.
        events: Of these with the outcome.
        donors: Donors whose rows were lent; 0 where none were.
        metrics: AUROC, AUPRC and accuracy with intervals, by name.
    """

    name: str
    title: str
    takes_away: str
    n: int
    events: int
    donors: int
    metrics: Mapping[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A published result to stand beside the ladder; None where it states none.

    Attributes:
        source: Where it was published.
        values: By metric name.
    """

    source: str
    values: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Ladder:
    """All rungs, the highest first, and the claim."""

    rungs: tuple[Rung, ...]
    claim: Claim | None


@dataclasses.dataclass(frozen=True)
class _Setting:
    """Rows of one rung and how they are split.

    Attributes:
        table: Rows.
        modalities: What the model sees.
        groups: Group of each patient that a fold never splits.
        clusters: Cluster of each patient that the bootstrap draws.
        donors: Donors whose rows were lent.
    """

    name: str
    title: str
    takes_away: str
    table: FeatureTable
    modalities: tuple[Modality, ...]
    groups: Mapping[str, str]
    clusters: Mapping[str, str]
    donors: int


def climb(
    cohort: Cohort,
    table: FeatureTable,
    own_rows: FeatureTable,
    config: LadderConfig,
    ablation: AblationConfig,
    claim: Claim | None,
    seed: int,
    progress: Progress = SILENT,
) -> Ladder:
    """Computes every rung.

    Args:
        cohort: The label-matched cohort, with its donors and pairing.
        table: Its features: embeddings of the images, columns of the donors.
        own_rows: Features of the donors as patients of their own.
        config: Components, folds and repeats.
        ablation: Encoding of patient columns, and bootstrap draws.
        claim: Published result.
        seed: Seed of folds, pairs, models and draws.
        progress: Told of every fit.
    """
    settings = _settings(cohort, table, own_rows, seed)
    draws = ablation.bootstrap_draws
    encoding = ablation.metadata.model_copy(update={"embedding_components": config.components})
    calls = [
        (setting, repeat, encoding, config.folds, seed)
        for setting in settings
        for repeat in range(config.repeats)
    ]
    progress.start("ladder", len(calls))
    scored: dict[tuple[str, int], pd.DataFrame] = {}
    for name, repeat, rows in run_all(_score, calls, config.jobs):
        scored[name, repeat] = rows
        progress.advance(1, detail=name)
    rungs = tuple(
        _rung(
            setting,
            [scored[setting.name, r] for r in range(config.repeats)],
            draw_weights(_clusters(setting, scored[setting.name, 0]), draws, seed),
            config.folds,
        )
        for setting in settings
    )
    progress.finish(f"ladder: {len(rungs)} rungs")
    return Ladder(rungs, claim)


def _settings(
    cohort: Cohort, table: FeatureTable, own_rows: FeatureTable, seed: int
) -> list[_Setting]:
    donors, pairing = cohort.donors, cohort.pairing
    assert donors is not None  # a label-matched cohort has them
    assert pairing is not None
    image = Modality("image", embeddings=finest(table.embeddings))
    rows = Modality("clinical", groups=tuple(donors.dictionary.groups))
    both = (image, rows)
    people = cohort.patients
    alone = {p: p for p in people["patient_id"]}
    tied = patient_groups(people, cohort.images)
    copies = patient_groups(people.drop(columns="donor_id"), cohort.images)
    keys = ["patient_id", "outcome"]

    def lent(rule: Callable[[], pd.DataFrame]) -> tuple[FeatureTable, dict[str, str], int]:
        pairs = rule()
        patients = with_rows_of_donors(people, donors, pairs)
        kept = cohort.images[cohort.images["patient_id"].isin(set(patients["patient_id"]))]
        return (
            _with_columns(table, patients),
            patient_groups(patients, kept),
            pairs["donor_id"].nunique(),
        )

    once, once_groups, once_donors = lent(
        lambda: pair(people[keys], donors.patients[keys], "same outcome", False, seed)
    )
    random, random_groups, random_donors = lent(
        lambda: pair(people[keys], donors.patients[keys], "at random", True, seed)
    )
    n_donors = int(people["donor_id"].nunique())
    donors_alone = {p: p for p in donors.patients["patient_id"]}
    return [
        _Setting("row folds", "label-matched, folds over rows", "", table, both, alone, alone,
                 n_donors),
        _Setting("grouped folds", "label-matched, folds keep image and clinical patients together",
                 "clinical rows on both sides of a fold", table, both, tied, tied, n_donors),
        _Setting("one to one", "label-matched, every row lent once", "rows lent more than once",
                 once, both, once_groups, once_groups, once_donors),
        _Setting("random pairing", "rows lent at random", "the label in the pairing",
                 random, both, random_groups, random_groups, random_donors),
        _Setting("image alone", "image alone", "the clinical row", table, (image,), copies, copies,
                 0),
        _Setting("clinical alone", f"clinical row alone, its own patients "
                 f"({donors.outcome.name})", "the image", own_rows, (rows,), donors_alone,
                 donors_alone, 0),
    ]  # fmt: skip


def _with_columns(table: FeatureTable, patients: pd.DataFrame) -> FeatureTable:
    """The table's rows of some patients, with the columns that they were lent."""
    kept = table.of_patients(patients["patient_id"])
    lent = patients.set_index("patient_id").loc[kept.patient_ids, table.dictionary.names]
    return dataclasses.replace(kept, columns=lent.reset_index(drop=True))


def _score(
    setting: _Setting, repeat: int, encoding: MetadataConfig, folds: int, seed: int
) -> tuple[str, int, pd.DataFrame]:
    """Name, repeat and its out-of-fold predictions: `patient_id, y, score`."""
    import lightgbm  # here, so that who reads a ladder loads no trees

    table = setting.table
    first = np.unique(table.patient_ids.astype(str), return_index=True)[1]
    patients = pd.DataFrame(
        {"patient_id": table.patient_ids[first].astype(str), "outcome": table.y[first]}
    )
    split_seed = int(np.random.SeedSequence([seed, repeat, 11]).generate_state(1)[0])
    split = make_folds(patients, setting.groups, folds, 1, split_seed)
    parts = []
    for key in split.keys:
        training = table.of_patients(split.training(key))
        test = table.of_patients(split.test(key))
        encoder = TabularEncoder(setting.modalities, encoding).fit(training)
        data = lightgbm.Dataset(
            encoder.transform(training), training.y, weight=training.row_weights()
        )
        booster = lightgbm.train(SETTINGS | {"seed": split_seed % 2**31}, data, ROUNDS)
        probability = np.asarray(booster.predict(encoder.transform(test), num_threads=1))
        ids, y, score = by_patient(test.patient_ids, test.y, probability)
        parts.append(pd.DataFrame({"patient_id": ids.astype(str), "y": y, "score": score}))
    rows = pd.concat(parts).sort_values("patient_id", ignore_index=True)
    return setting.name, repeat, rows


def _clusters(setting: _Setting, rows: pd.DataFrame) -> np.ndarray:
    return np.array([setting.clusters[p] for p in rows["patient_id"]], dtype=object)


def _rung(setting: _Setting, repeats: list[pd.DataFrame], weights: np.ndarray, folds: int) -> Rung:
    y, clusters = repeats[0]["y"].to_numpy(dtype=float), _clusters(setting, repeats[0])
    units = independent_units(y, clusters)
    found: dict[str, Estimate] = {}
    for name in METRICS:
        values, drawn = [], []
        for rows in repeats:
            score = rows["score"].to_numpy(dtype=float)
            values.append(float(_metric(name, y, score, None)[0]))
            drawn.append(
                np.concatenate([_metric(name, y, score, part) for part in in_chunks(weights)])
            )
        trials = {"auroc": units, "accuracy": len(np.unique(clusters))}.get(name)
        found[name] = cross_validated_interval(
            np.array(values), np.array(drawn), folds, units, trials, bounded=True
        )
    return Rung(
        setting.name,
        setting.title,
        setting.takes_away,
        len(y),
        int(y.sum()),
        setting.donors,
        found,
    )


def _metric(name: str, y: np.ndarray, score: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    if name == "accuracy":
        return metrics.accuracy(y, (sigmoid(score) >= THRESHOLD).astype(float), weights)
    return (metrics.auroc if name == "auroc" else metrics.auprc)(y, score, weights)
