"""The time ladder: what a result on times to an event is made of, when predictors came late.

One Cox regression with a ridge penalty, on principal components that are fitted inside training
parts, on rungs that differ in nothing but the time zero and who stands on them. A patient is in the
same fold on every rung. On each rung the model sees the columns that were known at time zero, then
what became known with the specimen, then both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from featurestore.cohort import Cohort, Folds, make_folds
from featurestore.errors import DataError
from featurestore.outcomes import ExpressionRule, Target
from featurestore.progress import SILENT, Progress
from featurestore.tables import DataDictionary, known_later
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, TimeLadderConfig
from fusion.evaluation.rung_scores import Scored, Scores, score_rung
from fusion.evaluation.time_rungs import RungRows, time_rungs
from fusion.evaluation.workers import run_all
from fusion.features import FeatureTable
from fusion.metrics import Estimate, draw_weights
from fusion.metrics.survival import EVENT, checked_times
from fusion.models import make_model
from fusion.roles import encoder_of

EARLY, BOTH = "clinical", "both"
MODEL = "cox_ridge"
FEWEST_EVENTS = 10
"""Events below which a rung is not climbed: with five folds each has two to rank."""


@dataclasses.dataclass(frozen=True)
class Predictors:
    """What models see, by when it became known.

    Attributes:
        early: Patient columns known at time zero.
        late: Patient columns that became known with the specimen.
        embeddings: Encoders of what was taken with it.
        day: Column with the day of the specimen; empty where the data have none.
        early_embeddings: Encoders of what was taken earlier, or nobody says when.
        unsaid: Those among the early ones of which nobody says when.
    """

    early: tuple[str, ...]
    late: tuple[str, ...]
    embeddings: tuple[str, ...]
    day: str
    early_embeddings: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()

    @property
    def late_name(self) -> str:
        """Name of what became known with the specimen."""
        return "specimen" if self.late else "image"


@dataclasses.dataclass(frozen=True)
class TimeRung:
    """One step of the ladder.

    Attributes:
        name: Short name.
        title: What the rung is.
        takes_away: What it takes away from the rung above; empty on the first.
        n: Patients on it.
        events: Of these with the event.
        at_once: Of the events those that came before the rung's time zero and count at it.
        left_out: How many patients are left out, by reason.
        until: Days since the rung's time zero up to which events count in C; NaN if not climbed.
        concordance: Uno's C of pairs within one fold with its interval, by what the model sees.
        gains: What both have over each alone, paired, with its interval.
        why_not: Why the rung was not climbed; empty if it was.
    """

    name: str
    title: str
    takes_away: str
    n: int
    events: int
    at_once: int
    left_out: Mapping[str, int]
    until: float
    concordance: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]
    why_not: str = ""


@dataclasses.dataclass(frozen=True)
class TimeLadder:
    """All rungs, the highest first.

    Attributes:
        outcome: Name of the outcome, counted from its own time zero.
        time_zero: What that is, in words.
        predictors: What models see, by when it became known.
        median_day: Median day of the specimen among those in whom it is recorded.
        folds: Folds on every rung.
        repeats: Repeats.
        rungs: The rungs.
    """

    outcome: str
    time_zero: str
    predictors: Predictors
    median_day: float
    folds: int
    repeats: int
    rungs: tuple[TimeRung, ...]


def predictors_of(
    cohort: Cohort, modalities: Sequence[Modality], encoders: Collection[str], zero: str
) -> Predictors | None:
    """Sorts what models see by when it became known.

    Args:
        cohort: Says when each column and encoder did.
        modalities: What models of the study see.
        encoders: Encoders that embed for all folds; others cannot be used on other folds.
        zero: Time up to which it would have to be known (`Outcome.as_of_time`).

    Returns:
        None where nothing became known later.
    """
    columns = dict.fromkeys(n for m in modalities for n in m.columns(cohort.dictionary))
    late = tuple(n for n in columns if known_later(cohort.dictionary[n].measured, zero))
    seen = dict.fromkeys(n for m in modalities for n in m.embeddings if encoder_of(n) in encoders)
    embeddings = tuple(n for n in seen if known_later(cohort.measured_of(encoder_of(n)), zero))
    if not late and not embeddings:
        return None
    measured: dict[str, str] = {n: cohort.dictionary[n].measured for n in columns}
    measured |= {n: cohort.measured_of(encoder_of(n)) for n in seen}
    return Predictors(
        tuple(n for n in columns if n not in late),
        late,
        embeddings,
        cohort.known_on.get("specimen", ""),
        tuple(n for n in seen if n not in embeddings),
        tuple(n for n, when in measured.items() if when == "unknown"),
    )


def climb_time(
    cohort: Cohort,
    table: FeatureTable,
    predictors: Predictors,
    config: TimeLadderConfig,
    ablation: AblationConfig,
    seed: int,
    progress: Progress = SILENT,
) -> TimeLadder:
    """Computes every rung that can be climbed.

    Args:
        cohort: Patients whose times count from the outcome's own time zero, none of whom enters
            late.
        table: Their features.
        predictors: What models see.
        config: Components, folds, repeats, and who is a primary.
        ablation: Encoding of patient columns, inner folds, and bootstrap draws.
        seed: Seed of folds, models and draws.
        progress: Told of every fit.

    Raises:
        DataError: There are too few patients with the event for so many folds, or
            `time_ladder.primaries` compares a column with what it cannot be.
    """
    people = cohort.patients.sort_values("patient_id", ignore_index=True)
    ids = people["patient_id"].to_numpy(dtype=object)
    target = cohort.target(ids)
    assert target.time is not None  # its outcome is a time
    times = checked_times(target.time, target.event, codes=(0, EVENT, 2))
    day = np.full(len(ids), np.nan)
    if predictors.day:
        day = cohort.day_on_clock(predictors.day).loc[list(ids)].to_numpy(dtype=float)
    rungs = time_rungs(times, day, _primaries(cohort, ids, config.primaries))
    groups = dict(zip(table.patient_ids, table.groups, strict=True))
    folds = make_folds(people, groups, config.folds, config.repeats, seed)
    seen, arms = _narrowed(table, predictors), arms_of(predictors)
    encoding = ablation.metadata.model_copy(update={"embedding_components": config.components})
    settings = ablation.model_copy(update={"metadata": encoding})
    calls = [
        (rung.name, repeat, _on_rung(seen, ids, rung), folds, arms, settings, seed)
        for rung in rungs
        if not _why_not(rung, predictors)
        for repeat in range(config.repeats)
    ]
    progress.start("time ladder", len(calls))
    scored: dict[str, list[Scored | str]] = {}
    for name, repeat, found in run_all(_fit, calls, config.jobs):
        scored.setdefault(name, [""] * config.repeats)[repeat] = found
        progress.advance(1, detail=name)
    weights = draw_weights(np.array([groups[i] for i in ids]), ablation.bootstrap_draws, seed)
    made = []
    for rung in rungs:
        clusters = np.array([groups[i] for i in ids[rung.kept]], dtype=object)
        why, of_rung = _why_not(rung, predictors), scored.get(rung.name, [])
        why = why or next((found for found in of_rung if isinstance(found, str)), "")
        scores = None
        if not why:
            parts = [found for found in of_rung if not isinstance(found, str)]
            scores = score_rung(
                rung.times, parts, cohort.outcome.horizons, weights[:, rung.kept], clusters
            )
            why = scores.why_not
        made.append(_made(rung, scores, why))
    progress.finish(f"time ladder: {sum(not r.why_not for r in made)} of {len(made)} rungs climbed")
    return TimeLadder(
        cohort.outcome.name,
        cohort.outcome.time_zero,
        predictors,
        float(np.nanmedian(day)) if np.isfinite(day).any() else float("nan"),
        config.folds,
        config.repeats,
        tuple(made),
    )


def arms_of(predictors: Predictors) -> dict[str, tuple[Modality, ...]]:
    """What models see, by name."""
    early = Modality(EARLY, predictors.early_embeddings, (EARLY,) if predictors.early else ())
    groups = (predictors.late_name,) if predictors.late else ()
    late = Modality(predictors.late_name, predictors.embeddings, groups)
    if not predictors.early and not predictors.early_embeddings:
        return {late.name: (late,)}
    return {EARLY: (early,), late.name: (late,), BOTH: (early, late)}


def _made(rung: RungRows, scores: Scores | None, why: str) -> TimeRung:
    climbed = scores is not None and not why
    return TimeRung(
        rung.name,
        rung.title,
        rung.takes_away,
        len(rung.times),
        int((rung.times.event == EVENT).sum()),
        rung.at_once,
        rung.left_out,
        scores.until if climbed and scores else float("nan"),
        scores.concordance if climbed and scores else {},
        scores.gains if climbed and scores else {},
        why,
    )


def _why_not(rung: RungRows, predictors: Predictors) -> str:
    """Why a rung is not tried."""
    events = int((rung.times.event == EVENT).sum())
    if rung.left_out and not predictors.day:
        return "no column holds the day of the specimen, and a day is not guessed"
    if events < FEWEST_EVENTS:
        return f"{events} of {len(rung.times)} patients have the event; {FEWEST_EVENTS} are needed"
    return ""


def _primaries(cohort: Cohort, ids: np.ndarray, expression: str) -> np.ndarray:
    """1, 0 or NaN for each patient, by an expression; NaN where its columns are not there."""
    rule = ExpressionRule(expression)
    if not set(rule.columns) <= set(cohort.patients.columns):
        return np.full(len(ids), np.nan)
    found = rule.labels(cohort.patients, cohort.dictionary, cohort.outcome.name)
    by_id = found.set_axis(cohort.patients["patient_id"].to_numpy())
    return np.asarray(by_id.loc[list(ids)].to_numpy(dtype=float))


def _narrowed(table: FeatureTable, predictors: Predictors) -> FeatureTable:
    """The table with the columns of the ladder, grouped by when they became known."""
    place = dict.fromkeys(predictors.early, EARLY)
    place |= dict.fromkeys(predictors.late, predictors.late_name)
    columns = [
        dataclasses.replace(c, group=place[c.name]) for c in table.dictionary if c.name in place
    ]
    return dataclasses.replace(table, dictionary=DataDictionary(columns), files=None)


def _on_rung(table: FeatureTable, ids: np.ndarray, rung: RungRows) -> FeatureTable:
    rows = table.of_patients(ids[rung.kept])
    place = {patient: k for k, patient in enumerate(ids[rung.kept])}
    at = np.array([place[p] for p in rows.patient_ids])
    times = rung.times
    target = Target.time_to_event(times.event[at].astype(float), times.time[at], times.entry[at])
    return dataclasses.replace(rows, target=target)


def _fit(
    name: str,
    repeat: int,
    table: FeatureTable,
    folds: Folds,
    arms: Mapping[str, tuple[Modality, ...]],
    settings: AblationConfig,
    seed: int,
) -> tuple[str, int, Scored | str]:
    """Name, repeat and out-of-fold scores of patients sorted by id; or why there are none."""
    ids = np.unique(table.patient_ids.astype(str))
    fold = folds.tested(repeat).loc[ids].to_numpy()
    score = {arm: np.empty(len(ids)) for arm in arms}
    for key in folds.keys:
        if key[0] != repeat or not (fold == key[1]).any():
            continue
        training = table.of_patients(ids[fold != key[1]])
        test = table.of_patients(ids[fold == key[1]])
        first = np.unique(test.patient_ids.astype(str), return_index=True)[1]
        for arm, modalities in arms.items():
            try:
                model = make_model(Arm(arm, MODEL, modalities), settings, kind="time_to_event")
                model.fit(training, _derived(seed, *key))
                found = model.predict(test, np.empty(0)).score[first]
            except DataError as error:
                return name, repeat, f"{arm} cannot be fitted in fold {key[1]}: {error}"
            score[arm][fold == key[1]] = found
    return name, repeat, Scored(fold, score)


def _derived(seed: int, repeat: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, repeat, fold, 17]).generate_state(1)[0] % 2**31)
