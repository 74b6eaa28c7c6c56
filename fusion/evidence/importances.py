"""Explanations of all folds together: what the report says about the inputs of each model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class BlockImportance:
    """How much an arm leans on one backbone or group of columns.

    Attributes:
        arm: Name of the arm.
        block: Name of the backbone or group.
        lost: AUROC lost when the block's values are exchanged between test patients; mean over
            the folds.
        least: Lowest fold.
        most: Highest fold.
        share: Share of the block in the mean absolute contributions of all blocks; None where the
            model has no contributions.
    """

    arm: str
    block: str
    lost: float
    least: float
    most: float
    share: float | None


@dataclasses.dataclass(frozen=True)
class InputSize:
    """One of the inputs with the largest contributions.

    Attributes:
        arm: Name of the arm.
        name: Name of the input as the model sees it.
        block: Its backbone or group.
        size: Mean absolute contribution in log odds; mean over the folds, 0 in folds where it was
            not among the largest.
        folds: In how many folds it was among the largest.
    """

    arm: str
    name: str
    block: str
    size: float
    folds: int


def block_importances(fits: Iterable[Mapping[str, Any]]) -> tuple[BlockImportance, ...]:
    """By arm, the most important block first.

    Args:
        fits: Records of `choices.json`.
    """
    found = []
    for arm, explanations in _by_arm(fits).items():
        shares = _shares(explanations)
        blocks = dict.fromkeys(block for e in explanations for block in e["importance"])
        rows = []
        for block in blocks:
            lost = [e["importance"].get(block, 0.0) for e in explanations]
            rows.append(
                BlockImportance(
                    arm,
                    block,
                    float(np.mean(lost)),
                    float(np.min(lost)),
                    float(np.max(lost)),
                    shares.get(block),
                )
            )
        found += sorted(rows, key=lambda row: (-row.lost, row.block))
    return tuple(found)


def top_inputs(fits: Iterable[Mapping[str, Any]], count: int = 15) -> tuple[InputSize, ...]:
    """The inputs with the largest mean contributions of each arm that has them.

    Args:
        fits: Records of `choices.json`.
        count: Inputs an arm.
    """
    found: list[InputSize] = []
    for arm, explanations in _by_arm(fits).items():
        sizes: dict[tuple[str, str], list[float]] = {}
        for explanation in explanations:
            for one in explanation.get("inputs", ()):
                sizes.setdefault((one["name"], one["block"]), []).append(float(one["size"]))
        rows = [
            InputSize(arm, name, block, sum(values) / len(explanations), len(values))
            for (name, block), values in sizes.items()
        ]
        found += sorted(rows, key=lambda row: (-row.size, row.name))[:count]
    return tuple(found)


def _by_arm(fits: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for fit in fits:
        if fit.get("explanation") is not None:
            found.setdefault(str(fit["arm"]), []).append(fit["explanation"])
    return found


def _shares(explanations: list[dict[str, Any]]) -> dict[str, float]:
    known = [e["contributions"] for e in explanations if "contributions" in e]
    if not known:
        return {}
    blocks = dict.fromkeys(block for sizes in known for block in sizes)
    mean = {b: float(np.mean([sizes.get(b, 0.0) for sizes in known])) for b in blocks}
    total = sum(mean.values())
    return {b: size / total for b, size in mean.items()} if total > 0 else {}
