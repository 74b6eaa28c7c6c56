"""The fit ledger: which patients each fitted step inside a task saw, and for what.

Everything that learns or chooses calls `witness`. While a task is being fitted (`recording`), the
ledger keeps the patients of every step; outside a task a call does nothing. The ledger only
listens: no result depends on it.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Self, get_args

import numpy as np

Role = Literal["fitted on", "selected on"]
"""A step is fitted on the patients whose values it learns from, and selected on those whose
outcomes choose between fits: settings, epochs, rounds, thresholds."""


def patients_digest(patient_ids: Iterable[str]) -> str:
    """SHA-256 of distinct patients, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(set(patient_ids))).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class StepRecord:
    """Whom one step of a fit saw, over all its inner folds and ensemble members.

    Attributes:
        step: Name of the step, for example `scaling` or `threshold`.
        role: What the patients were for.
        patients: Number of distinct patients.
        digest: SHA-256 of their sorted ids.
        outside_training: Those who are no training patients of the outer fold, sorted; no step of
            a sound fit has any.
    """

    step: str
    role: Role
    patients: int
    digest: str
    outside_training: tuple[str, ...] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Rebuilds a step from `dataclasses.asdict`, also after a trip through JSON.

        Raises:
            KeyError: A field is absent.
            ValueError: The role is unknown.
        """
        if record["role"] not in get_args(Role):
            raise ValueError(f"unknown role {record['role']!r}")
        return cls(
            str(record["step"]),
            record["role"],
            int(record["patients"]),
            str(record["digest"]),
            tuple(str(patient) for patient in record["outside_training"]),
        )


@dataclasses.dataclass(frozen=True)
class FitRecord:
    """The ledger of one task.

    Attributes:
        arm: Name of the arm.
        repeat: Repeat of the outer folds.
        fold: Outer fold.
        training_digest: `patients_digest` of the training patients that the steps were held
            against; it tells whether the ledger is of the folds at hand.
        steps: One record a step and role, in the order in which they were first seen.
    """

    arm: str
    repeat: int
    fold: int
    training_digest: str
    steps: tuple[StepRecord, ...]


class Ledger:
    """Collects the patients of every step of one task.

    Attributes:
        training_digest: `patients_digest` of who may be seen.
    """

    def __init__(self, training_patients: Iterable[str]) -> None:
        """Stores who may be seen."""
        self._training = frozenset(map(str, training_patients))
        self.training_digest = patients_digest(self._training)
        self._seen: dict[tuple[str, Role], set[str]] = {}

    def note(self, step: str, role: Role, patient_ids: Iterable[str] | np.ndarray) -> None:
        """Adds patients to a step."""
        self._seen.setdefault((step, role), set()).update(map(str, patient_ids))

    def steps(self) -> tuple[StepRecord, ...]:
        """Returns what was seen so far."""
        return tuple(
            StepRecord(
                step, role, len(ids), patients_digest(ids), tuple(sorted(ids - self._training))
            )
            for (step, role), ids in self._seen.items()
        )


_open: contextvars.ContextVar[Ledger | None] = contextvars.ContextVar("ledger", default=None)


@contextlib.contextmanager
def recording(training_patients: Iterable[str]) -> Iterator[Ledger]:
    """Opens the ledger of a task; calls of `witness` inside go to it.

    Args:
        training_patients: Training patients of the outer fold.
    """
    ledger = Ledger(training_patients)
    token = _open.set(ledger)
    try:
        yield ledger
    finally:
        _open.reset(token)


def witness(step: str, role: Role, patient_ids: Iterable[str] | np.ndarray) -> None:
    """Notes that a step saw patients; does nothing outside `recording`.

    Args:
        step: Name of the step.
        role: What the patients were for.
        patient_ids: Patient of each row; repeated ids count once. Shape (n,).
    """
    ledger = _open.get()
    if ledger is not None:
        ledger.note(step, role, patient_ids)
