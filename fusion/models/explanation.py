"""Which inputs a fitted model uses, asked of the outer test part after it was predicted.

Nothing is chosen by these numbers, so the test patients stay unseen by every fit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fusion import metrics
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.metrics import by_patient
from fusion.metrics.survival import harrell_c
from fusion.models.survival.patients import patients_of

SHUFFLES = 10
"""Shuffles a block; their mean is the block's importance on one fold."""

TOP = 30
"""Inputs of a fit whose contributions are kept."""


@dataclasses.dataclass(frozen=True)
class Contributions:
    """How much each input moves each prediction.

    Attributes:
        names: Of the inputs.
        blocks: Backbone or group of columns of each input.
        values: In log odds, without the constant. Shape (n, inputs).
    """

    names: tuple[str, ...]
    blocks: tuple[str, ...]
    values: np.ndarray


@runtime_checkable
class Contributing(Protocol):
    """A model that can say exactly what each input adds to each prediction."""

    def contributions(self, table: FeatureTable) -> Contributions:
        """Contributions whose sum over inputs, with a constant, is the log odds of each row."""
        ...


def _auroc(model: Any, table: FeatureTable) -> float:
    _, y, score = by_patient(table.patient_ids, table.y, model.predict_proba(table))
    return float(metrics.auroc(y, score)[0])


def _concordance(model: Any, table: FeatureTable) -> float:
    patients = patients_of(table)
    score = model.predict(table, np.empty(0)).score
    return float(harrell_c(patients.times.cause_specific(), patients.mean(score))[0])


MEASURES: dict[str, tuple[str, Callable[[Any, FeatureTable], float]]] = {
    "binary": ("auroc", _auroc),
    "time_to_event": ("concordance", _concordance),
}
"""By kind of the outcome: what importance is a loss of, and how a fitted model has it on rows."""


def explain(model: Any, arm: Arm, test: FeatureTable, seed: int) -> dict[str, Any] | None:
    """Importance of each block of inputs, and contributions where the model has them.

    Importance is the AUROC, or Harrell's C of times to an event, that is lost when a block's values
    are exchanged between test patients (permutation importance: Breiman 2001; by groups: Gregorutti
    et al. 2015). Blocks that carry the same information cover for one another and look less
    important than they are.

    Args:
        model: Fitted; of the protocol that its kind of outcome has.
        arm: Its modalities name the blocks.
        test: Rows of the outer test part.
        seed: Seed of the shuffles.

    Returns:
        Plain JSON; None where there is nothing to tell apart or nothing to lose.
    """
    blocks = list(_blocks(arm, test))
    name_of, measure = MEASURES[test.target.kind]
    whole = measure(model, test)
    if len(blocks) < 2 or not np.isfinite(whole):
        return None
    rng = np.random.default_rng(seed)
    lost = {
        name: float(
            np.mean([whole - measure(model, _shuffled(test, name, rng)) for _ in range(SHUFFLES)])
        )
        for name in blocks
    }
    record: dict[str, Any] = {name_of: whole, "importance": lost}
    if isinstance(model, Contributing):
        record |= _summary(model.contributions(test), test.row_weights())
    return record


def _summary(found: Contributions, weights: np.ndarray) -> dict[str, Any]:
    """Mean absolute contribution by block and of the largest inputs, over patients."""
    blocks = np.array(found.blocks)
    together = {
        str(block): _mean_size(found.values[:, blocks == block].sum(axis=1), weights)
        for block in dict.fromkeys(found.blocks)
    }
    sizes = np.average(np.abs(found.values), axis=0, weights=weights)
    largest = np.argsort(-sizes, kind="stable")[:TOP]
    inputs = [
        {"name": found.names[i], "block": found.blocks[i], "size": float(sizes[i])}
        for i in largest
        if sizes[i] > 0
    ]
    return {"contributions": together, "inputs": inputs}


def _mean_size(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(np.abs(values), weights=weights))


def _blocks(arm: Arm, table: FeatureTable) -> Iterator[str]:
    for modality in arm.modalities:
        yield from modality.embeddings
        columns = modality.columns(table.dictionary)
        yield from dict.fromkeys(table.dictionary[name].group for name in columns)


def _shuffled(table: FeatureTable, block: str, rng: np.random.Generator) -> FeatureTable:
    """The table with the values of one block exchanged between patients."""
    if block in table.embeddings:
        rows = rng.permutation(len(table))
        embeddings = dict(table.embeddings) | {block: table.embeddings[block][rows]}
        bags = dict(table.bags)
        if block in bags:
            bags[block] = bags[block].take(rows)
        return dataclasses.replace(table, embeddings=embeddings, bags=bags)
    _, first, patient = np.unique(
        table.patient_ids.astype(str), return_index=True, return_inverse=True
    )
    lender = first[rng.permutation(len(first))][patient]
    names = [c.name for c in table.dictionary if c.group == block and c.name in table.columns]
    columns = table.columns.copy()
    columns[names] = table.columns[names].iloc[lender].set_axis(table.columns.index)
    return dataclasses.replace(table, columns=columns)
