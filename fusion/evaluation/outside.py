"""Out-of-fold predictions that were made outside of the study, as rows of its predictions table.

What the study decides on inner data of a fold (thresholds, scales of risk, cut points) an outsider
has not told. Here it is decided on his out-of-fold predictions of the patients of all other folds
of the same repeat, so that no patient takes part in what his own prediction is judged by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from featurestore.cohort import Folds
from featurestore.errors import DataError, name_some
from featurestore.outcomes import Target
from featurestore.units import as_kept, counted
from fusion.arms import ABLATION
from fusion.config import AblationConfig
from fusion.endpoints import TIME_TO_EVENT, find_endpoint
from fusion.evaluation.predictions import predictions_table
from fusion.metrics import logit
from fusion.metrics.survival import EVENT, checked_times
from fusion.models import InnerPredictions, inner_threshold
from fusion.models.survival import cut_points, fit_risk_scale, groups_of

KEYS = ("patient_id", "repeat", "fold")


@dataclasses.dataclass(frozen=True)
class Outsider:
    """Who predicted, and what the study knows of the patients.

    Attributes:
        name: Name of the arm.
        run: Name of the run.
        modalities: What it looked at, joined by `+`; empty where nothing is said.
        kind: Kind of the outcome.
        horizons: Of times to an event: days by which risks are predicted.
        config: Rules of thresholds and of risk groups.
    """

    name: str
    run: str
    modalities: str
    kind: str
    horizons: tuple[float, ...]
    config: AblationConfig


def outside_rows(
    predictions: pd.DataFrame,
    who: Outsider,
    folds: Folds,
    target_of: Callable[[np.ndarray], Target],
) -> pd.DataFrame:
    """Checks an outsider's predictions and makes rows of the predictions table of them.

    Args:
        predictions: `patient_id` (of lesions `lesion_id`), `repeat`, `fold` and `probability` (of
            the event, 0 to 1) or, of times to an event, `score` (rises with the risk); of these
            all risks by horizon, too, where the outsider has them. Row order means nothing.
        who: The outsider.
        folds: Frozen outer folds.
        target_of: Outcomes of patients by their ids.

    Raises:
        DataError: Patients, repeats, folds or values are not those of a whole set of out-of-fold
            predictions of these folds; one line that says how many and who.
    """
    value = "probability" if who.kind == "binary" else "score"
    risks = find_endpoint(who.kind).horizon_columns(who.horizons)
    if isinstance(predictions, pd.DataFrame):
        predictions = as_kept(predictions).drop(columns="person_id", errors="ignore")
    rows = _checked_columns(predictions, value, risks, who.name)
    _require_folds(rows, folds, who.name)
    parts = []
    for repeat in folds.repeats:
        one = rows[rows["repeat"] == repeat].sort_values("patient_id", ignore_index=True)
        target = target_of(one["patient_id"].to_numpy())
        for fold in sorted(set(one["fold"])):
            tested = (one["fold"] == fold).to_numpy()
            known = _BY_KIND[who.kind](one, target, tested, who)
            keys = {
                "run": who.run,
                "arm": who.name,
                "model": who.name,
                "modalities": who.modalities,
                "design": ABLATION,
                "repeat": repeat,
                "fold": fold,
                "patient_id": one["patient_id"].to_numpy()[tested],
            }
            parts.append(pd.DataFrame({**keys, **known}))
    return predictions_table(parts, who.kind)


def _checked_columns(
    predictions: pd.DataFrame, value: str, risks: Sequence[str], name: str
) -> pd.DataFrame:
    """Columns of the right types with values that can be predictions."""
    if not isinstance(predictions, pd.DataFrame):
        raise DataError(
            f"{name}: predictions are a pandas table with the columns {', '.join(KEYS)} and "
            f"{value}, because rows are told apart by id; this is a {type(predictions).__name__}"
        )
    wanted = [*KEYS, value]
    lacking = [column for column in wanted if column not in predictions.columns]
    if lacking:
        raise DataError(f"{name}: the predictions lack the column {name_some(lacking)}")
    given = [column for column in risks if column in predictions.columns]
    if given and len(given) < len(risks):
        absent = [column for column in risks if column not in given]
        raise DataError(f"{name}: the predictions have risks at some horizons but lack {absent[0]}")
    other = [str(c) for c in predictions.columns if c not in (*wanted, *risks)]
    if other:
        raise DataError(
            f"{name}: nothing is done with the column {name_some(other)}; leave it out (columns "
            f"are {', '.join((*wanted, *risks))})"
        )
    try:
        rows = predictions.astype(
            {"patient_id": "str", **dict.fromkeys([value, *given], "float64")}
        )
        numbers = rows[["repeat", "fold"]].apply(pd.to_numeric)
        if not (numbers % 1 == 0).all(axis=None):
            raise ValueError("repeat and fold are whole numbers")
        rows[["repeat", "fold"]] = numbers.astype("int64")
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: a column is not of numbers ({str(error)[:120]})") from None
    for column in (value, *given):
        bounded = column != "score"
        number = rows[column].to_numpy()
        odd = ~np.isfinite(number)
        what = "NaN or infinite"
        if not odd.any() and bounded:
            odd, what = (number < 0) | (number > 1), "outside 0 to 1"
        if odd.any():
            ids = rows.loc[odd, "patient_id"].tolist()
            raise DataError(f"{name}: {odd.sum()} values of {column} are {what}: {name_some(ids)}")
    if given and (np.diff(rows[given].to_numpy(), axis=1) < 0).any():
        raise DataError(f"{name}: a risk falls with the horizon; risks are cumulative")
    return rows


def _require_folds(rows: pd.DataFrame, folds: Folds, name: str) -> None:
    """Refuses all but one prediction a patient and repeat, in the fold that tests him."""
    strange = sorted(set(rows["patient_id"]) - folds.patients)
    if strange:
        raise DataError(
            f"{name}: {counted(len(strange), 'id is', 'ids are')} not of this study: "
            f"{name_some(strange)}"
        )
    repeats = sorted(set(rows["repeat"]))
    if repeats != list(folds.repeats):
        raise DataError(
            f"{name}: predictions are of the repeats {name_some(repeats)}; the study has "
            f"{name_some(folds.repeats)}, and all are compared"
        )
    twice = rows.duplicated(["repeat", "patient_id"])
    if twice.any():
        ids = sorted(set(rows.loc[twice, "patient_id"]))
        raise DataError(
            f"{name}: {counted(len(ids), 'id is', 'ids are')} predicted twice in a repeat: "
            f"{name_some(ids)}"
        )
    for repeat in folds.repeats:
        tested = folds.tested(repeat)
        own = rows[rows["repeat"] == repeat].set_index("patient_id")["fold"]
        absent = sorted(set(tested.index) - set(own.index))
        if absent:
            raise DataError(
                f"{name}: {counted(len(own), 'id is', 'ids are')} predicted in repeat {repeat}, "
                f"{len(tested)} are tested; {len(absent)} without prediction: {name_some(absent)}"
            )
        differ = own.index[own != tested.reindex(own.index)]
        if len(differ):
            patient = str(differ.sort_values()[0])
            raise DataError(
                f"{name}: {counted(len(differ), 'id is', 'ids are')} said to be tested in other "
                "folds than those "
                f"of repeat {repeat}; {patient} is tested in fold {tested[patient]}, not "
                f"{own[patient]}"
            )


def _of_binary(
    rows: pd.DataFrame, target: Target, tested: np.ndarray, who: Outsider
) -> dict[str, Any]:
    probability = rows["probability"].to_numpy()
    ids = rows["patient_id"].to_numpy(dtype=object)
    others = InnerPredictions(ids[~tested], target.event[~tested], probability[~tested])
    return {
        "y": target.event[tested].astype(np.int64),
        "score": logit(probability[tested]),
        "probability": probability[tested],
        "threshold": inner_threshold(others, who.config.threshold),
    }


def _of_times(
    rows: pd.DataFrame, target: Target, tested: np.ndarray, who: Outsider
) -> dict[str, Any]:
    assert target.time is not None
    assert target.entry is not None
    names = TIME_TO_EVENT.horizon_columns(who.horizons)
    ids, score = rows["patient_id"].to_numpy(dtype=object), rows["score"].to_numpy()
    other = ~tested
    if set(names) <= set(rows.columns):
        risk = rows.loc[tested, names].to_numpy()
    else:
        times = checked_times(
            target.time[other], target.event[other], target.entry[other], codes=(0, EVENT, 2)
        )
        scale = fit_risk_scale(ids[other], times, score[other])
        score = scale.log_hazard_ratio(score)
        at = np.asarray(who.horizons, dtype=float)
        risk = scale.risk(score[tested], at, target.entry[tested])
    cuts = cut_points(ids[other], score[other], who.config.risk_groups)
    return {
        "event": target.event[tested].astype(np.int64),
        "time": target.time[tested],
        "entry": target.entry[tested],
        "score": score[tested],
        "risk_group": groups_of(score[tested], cuts),
        **dict(zip(names, risk.T, strict=True)),
    }


_BY_KIND: dict[str, Callable[[pd.DataFrame, Target, np.ndarray, Outsider], dict[str, Any]]] = {
    "binary": _of_binary,
    "time_to_event": _of_times,
}
