"""Designs beside the plain ablation: arms without one group, on fewer patients, and others.

The others handle missing values in another way (`fusion.evaluation.sensitivity`).

An arm belongs to one design; the predictions table names it in its column `design`, so that the
ablation table, which compares arms that differ in model and modalities only, can leave it out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from featurestore.errors import ConfigError
from featurestore.tables import DataDictionary
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.evaluation.sensitivity import COMPLETE, complete_cases, sensitivity_arms
from fusion.features import FeatureTable
from fusion.roles import encoder_of, encoders_of

_WITHOUT, _SHARE = "without ", "share "


def left_out(design: str) -> str | None:
    """The group that arms of a design lack; None for other designs."""
    return design.removeprefix(_WITHOUT) if design.startswith(_WITHOUT) else None


def training_share(design: str) -> float | None:
    """The share of training patients that arms of a design see; None for other designs."""
    return float(design.removeprefix(_SHARE)) if design.startswith(_SHARE) else None


def with_designs(
    arms: Iterable[Arm],
    modalities: tuple[Modality, ...],
    dictionary: DataDictionary,
    config: AblationConfig,
) -> tuple[Arm, ...]:
    """Appends the arms of the configured designs.

    Args:
        arms: The planned arms; each design's model must have one on all modalities among them.
        modalities: All modalities.
        dictionary: Patient columns.
        config: The ablation.

    Raises:
        ConfigError: A model has no such arm, or a group to leave out is unknown.
    """
    planned = tuple(arms)
    found = list(planned)
    if config.leave_out is not None:
        parts = _parts(modalities, dictionary)
        groups = config.leave_out.groups or parts
        for group in groups:
            if group not in (*parts, *encoders_of(parts)):
                raise ConfigError(
                    f"ablation.leave_out: group {group!r} is unknown; known: {', '.join(parts)}"
                )
        for model in config.leave_out.models:
            whole = _whole(planned, model, modalities, "leave_out")
            found += [_without(whole, group) for group in groups if len(parts) > 1]
    if config.learning_curve is not None:
        for model in config.learning_curve.models:
            whole = _whole(planned, model, modalities, "learning_curve")
            found += [_on_share(whole, share) for share in sorted(config.learning_curve.shares)]
    if config.sensitivity:
        found += sensitivity_arms(planned, config)
    return tuple(found)


def training_part(table: FeatureTable, design: str, seed: int) -> FeatureTable:
    """The rows of the training patients that an arm of a design learns from.

    Groups that must not be split come or stay as a whole; events and others are drawn alike; and a
    smaller share is a part of every larger one of the same seed.

    Args:
        table: All training rows.
        design: Of the arm.
        seed: Of the fold.
    """
    if design == COMPLETE:
        known = complete_cases(table.columns, table.dictionary).to_numpy(dtype=bool)
        return table.take(known)
    share = training_share(design)
    if share is None:
        return table
    patients, first = np.unique(table.patient_ids.astype(str), return_index=True)
    groups, y = table.groups[first].astype(str), table.y[first]
    rng = np.random.default_rng(seed)
    kept: list[str] = []
    names = np.unique(groups)
    has_event = np.array([(y[groups == name] == 1).any() for name in names])
    for stratum in (names[has_event], names[~has_event]):
        drawn = rng.permutation(stratum)
        kept += list(drawn[: int(np.ceil(share * len(drawn)))])
    return table.of_patients(patients[np.isin(groups, kept)])


def _parts(modalities: tuple[Modality, ...], dictionary: DataDictionary) -> tuple[str, ...]:
    """Every backbone, and every group that has a usable column."""
    usable = set(dictionary.groups)
    named = ((*m.embeddings, *(g for g in m.groups if g in usable)) for m in modalities)
    return tuple(dict.fromkeys(name for names in named for name in names))


def _whole(arms: tuple[Arm, ...], model: str, modalities: tuple[Modality, ...], key: str) -> Arm:
    for arm in arms:
        if arm.model == model and set(arm.modalities) == set(modalities):
            return arm
    raise ConfigError(
        f"ablation.{key}: {model!r} has no arm on all modalities; add it to ablation.models or "
        "ablation.arms"
    )


def _without(whole: Arm, group: str) -> Arm:
    rest = (
        dataclasses.replace(
            m,
            embeddings=tuple(e for e in m.embeddings if group not in (e, encoder_of(e))),
            groups=tuple(g for g in m.groups if g != group),
        )
        for m in whole.modalities
    )
    return dataclasses.replace(
        whole,
        name=f"{whole.name} without {group}",
        modalities=tuple(m for m in rest if m.embeddings or m.groups),
        design=f"{_WITHOUT}{group}",
    )


def _on_share(whole: Arm, share: float) -> Arm:
    return dataclasses.replace(
        whole, name=f"{whole.name} on {share:.0%} of patients", design=f"{_SHARE}{share:g}"
    )
