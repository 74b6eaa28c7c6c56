"""What every task chose and did: `choices.json` and the training curves, written and read here."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.errors import DataError
from featurestore.sealed import read_sealed_text, write_sealed_table, write_sealed_text
from fusion.evaluation.fitting import task_names
from fusion.evaluation.parts import Part
from fusion.evaluation.tasks import Task
from fusion.ledger import FitRecord, StepRecord

SECONDS = "seconds.json"
"""Under `work/`."""

HISTORY_KEYS = ("arm", "repeat", "fold")


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a task has no predictions."""

    arm: str
    repeat: int
    fold: int
    reason: str


def write_choices(
    work: Path, tasks: list[Task], done: Mapping[str, Part], failed: list[Failure]
) -> None:
    """Writes what every finished task chose, and why others failed.

    Raises:
        DataError: The disk is full or refuses to write.
    """
    record = {
        "fits": [done[t.digest].record for t in tasks if t.digest in done],
        "failures": [dataclasses.asdict(f) for f in failed],
    }
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    with _writing_under(work):
        write_sealed_text(work / "choices.json", text)


def write_seconds(work: Path, tasks: list[Task], done: Mapping[str, Part]) -> None:
    """Writes how long the fits of each arm took, all folds together, tuning included.

    A file of its own: the same run takes another time tomorrow, and all else is the same bytes.

    Raises:
        DataError: The disk is full or refuses to write.
    """
    found: dict[str, float] = {}
    for task in tasks:
        if task.digest in done:
            found[task.arm.name] = found.get(task.arm.name, 0.0) + done[task.digest].seconds
    known = {arm: seconds for arm, seconds in found.items() if math.isfinite(seconds)}
    with _writing_under(work):
        write_sealed_text(work / SECONDS, json.dumps(known, indent=2, ensure_ascii=False) + "\n")


def read_seconds(work: Path) -> dict[str, float]:
    """Reads how long the fits of each arm took; empty where nobody looked.

    Raises:
        DataError: The file is damaged.
    """
    try:
        content = json.loads(read_sealed_text(work / SECONDS, "run the ablation again"))
        return {str(arm): float(seconds) for arm, seconds in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        raise DataError(f"cannot read {work / SECONDS}; run the ablation again") from None


def write_history(work: Path, tasks: list[Task], done: Mapping[str, Part]) -> None:
    """Writes the training curves of every finished task.

    Raises:
        DataError: The disk is full or refuses to write.
    """
    rows = [
        {key: task_names(task)[key] for key in HISTORY_KEYS} | epoch
        for task in tasks
        if task.digest in done
        for epoch in done[task.digest].history
    ]
    table = pd.DataFrame(rows, columns=None if rows else list(HISTORY_KEYS))
    with _writing_under(work):
        write_sealed_table(work / "history.parquet", table)


@contextlib.contextmanager
def _writing_under(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write to {work}: {error.strerror or error}") from None


def read_records(choices: Path) -> tuple[dict[str, Any], ...]:
    """Reads what every task chose and did from `choices.json`; none where the file is absent.

    Raises:
        DataError: The file is damaged.
    """
    return tuple(dict(fit) for fit in _read_choices(choices)["fits"])


def read_failures(choices: Path) -> tuple[Failure, ...]:
    """Reads why tasks have no predictions; none where the file is absent.

    Raises:
        DataError: The file is damaged.
    """
    return tuple(Failure(**failure) for failure in _read_choices(choices)["failures"])


def _read_choices(choices: Path) -> dict[str, list[dict[str, Any]]]:
    again = "run the ablation again"
    try:
        content = json.loads(read_sealed_text(choices, again))
        return {name: [dict(entry) for entry in content[name]] for name in ("fits", "failures")}
    except FileNotFoundError:
        return {"fits": [], "failures": []}
    except OSError as error:
        raise DataError(f"cannot read {choices}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{choices}: no ledger of fits can be read from it; {again}") from None


def read_fits(choices: Path) -> tuple[FitRecord, ...]:
    """Reads the ledgers of all tasks from `choices.json`; none where the file is absent.

    Raises:
        DataError: The file is damaged or was written without ledgers.
    """
    try:
        return tuple(
            FitRecord(
                str(fit["arm"]),
                int(fit["repeat"]),
                int(fit["fold"]),
                str(fit["training_digest"]),
                tuple(StepRecord.from_record(step) for step in fit["steps"]),
            )
            for fit in read_records(choices)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{choices}: no ledger of fits can be read ({error!r}); run the ablation again"
        ) from None
