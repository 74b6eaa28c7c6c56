"""Fits arms on all rows that are given, as the evaluation fits them on a fold's training rows.

Beside each model come bootstrap replicates: the same fit on patients that were drawn with
replacement (whole groups of patients that share an image), each with a seed of its own. How far
their predictions lie apart shows what other patients and other seeds would have changed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from featurestore.errors import DataError
from featurestore.progress import SILENT, Progress
from fusion.arms import Arm
from fusion.bundle.codecs import find_codec
from fusion.bundle.kinds import BUNDLED, Decided
from fusion.config import AblationConfig, SpaceConfig
from fusion.features import FeatureTable
from fusion.models import make_model, single_thread

REPLICATES = 20
_TRIES = 3  # draws a replicate that may fail, because one of small cohorts can lack an outcome


@dataclasses.dataclass(frozen=True)
class FittedArm:
    """One arm of a final system.

    Attributes:
        arm: The arm.
        model: Fitted on all rows.
        decided: What was decided on the model's inner predictions (`kinds.BundledKind.decide`).
        replicates: Bootstrap replicates; may be fewer than asked for in very small cohorts.
    """

    arm: Arm
    model: Any
    decided: Decided
    replicates: tuple[Any, ...]


def fit_arms(
    table: FeatureTable,
    arms: tuple[Arm, ...],
    config: AblationConfig,
    seed: int,
    replicates: int = REPLICATES,
    progress: Progress = SILENT,
) -> tuple[FittedArm, ...]:
    """Fits every arm.

    Args:
        table: The rows to learn from.
        arms: Arms whose models can be bundled.
        config: Settings of the models.
        seed: Seed of everything random; with that of a fold's task and the fold's training rows,
            models are the evaluation's, and so is what is decided after them.
        replicates: Bootstrap replicates an arm.
        progress: Told of every fit.

    Raises:
        ConfigError: A model cannot be bundled.
        DataError: An arm cannot be fitted on these rows.
    """
    kind = table.target.kind
    for arm in arms:
        find_codec(arm.model, kind)
    progress.start("fit", len(arms) * (1 + replicates))
    fitted = []
    for arm in arms:
        rows = table.seen_by(arm.modalities)
        with single_thread():
            model = make_model(arm, config, kind=kind).fit(rows, seed)
            decided = BUNDLED[kind].decide(arm, model, config)
            progress.advance(1, arm.name)
            settings = _settled(config, model)
            found = []
            for k in range(replicates):
                replicate = _replicate(rows, arm, settings, seed, k)
                found += [] if replicate is None else [replicate]
                progress.advance(1, arm.name)
        fitted.append(FittedArm(arm, model, decided, tuple(found)))
    counts = ", ".join(f"{f.arm.name} with {len(f.replicates)} replicates" for f in fitted)
    progress.finish(f"fit: {counts}")
    return tuple(fitted)


def resample(table: FeatureTable, rng: np.random.Generator) -> FeatureTable:
    """Draws whole groups of patients with replacement.

    A patient that is drawn again becomes another patient of the same group, so that no inner split
    parts them.
    """
    names, member = np.unique(table.groups.astype(str), return_inverse=True)
    order = np.argsort(member, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(member, minlength=len(names)))[:-1])
    parts, marks = [], []
    drawn = np.zeros(len(names), dtype=int)
    for group in rng.integers(len(names), size=len(names)):
        parts.append(rows_of[group])
        marks.append(np.full(len(rows_of[group]), f"#{drawn[group]}", dtype=object))
        drawn[group] += 1
    rows, mark = np.concatenate(parts), np.concatenate(marks)
    copies = table.take(rows)
    return dataclasses.replace(
        copies, patient_ids=copies.patient_ids + mark, row_ids=copies.row_ids + mark
    )


def _replicate(table: FeatureTable, arm: Arm, config: AblationConfig, seed: int, k: int) -> Any:
    """A bootstrap replicate; None where no draw can be fitted."""
    for attempt in range(_TRIES):
        own = int(np.random.SeedSequence([seed, 1 + k, attempt]).generate_state(1)[0])
        try:
            drawn = resample(table, np.random.default_rng(own))
            return make_model(arm, config, kind=table.target.kind).fit(drawn, own)
        except DataError:  # a draw without enough patients of one outcome
            continue
    return None


def _settled(config: AblationConfig, model: Any) -> AblationConfig:
    """Settings of the replicates: one head instead of an ensemble, and no tuning anew."""
    head = config.head.model_copy(update={"ensemble": 1})
    tuning = config.tuning
    chosen = model.choices_.get("parameters")
    if isinstance(chosen, dict) and chosen.keys() == SpaceConfig.model_fields.keys():
        space = SpaceConfig.model_validate({name: (v, v) for name, v in chosen.items()})
        tuning = tuning.model_copy(update={"trials": 1, "space": space})
    return config.model_copy(update={"head": head, "tuning": tuning})
