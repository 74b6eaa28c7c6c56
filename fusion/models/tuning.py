"""Optuna inside the outer training part: seeded, pruned by inner fold, resumable.

A study never knows whether it was interrupted. The sampler of every trial is seeded by the study's
seed and by how many trials were finished before it, so the trials that remain after a kill are the
ones that would have come; a trial that a killed process left running is marked as failed, which
sampler and pruner ignore, and asked again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from featurestore.errors import ConfigError, one_line, redacted
from fusion.models.study_location import StudyLocation

Parameters = dict[str, float]
Space = Callable[[optuna.Trial], Parameters]
"""Draws the parameters of a trial."""

RANDOM_TRIALS = 6
"""Trials before the sampler (TPE, Bergstra et al. 2011) and the pruner start to judge."""

BUSY_SECONDS = 60  # how long SQLite waits for another process that holds the file

_ATTRIBUTE, _SEAL = "log_loss", "seal"
_OVER = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclasses.dataclass(frozen=True)
class FoldScore:
    """How parameters did on one inner fold.

    Attributes:
        discrimination: AUROC, or the concordance of times, over the validation patients.
        loss: Mean log-loss, or minus the log partial likelihood an event, over them.
    """

    discrimination: float
    loss: float


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One finished trial.

    Attributes:
        discrimination: Mean over the inner folds that were scored.
        loss: Mean over them.
        pruned: Whether it ended before the last fold.
        parameters: What was tried.
    """

    discrimination: float
    loss: float
    pruned: bool
    parameters: Parameters

    def to_record(self, discrimination: str, loss: str) -> dict[str, Any]:
        """Plain JSON, with the names that the two scores have for the kind of outcome."""
        return {
            "measure": discrimination,
            discrimination: self.discrimination,
            loss: self.loss,
            "pruned": self.pruned,
            "parameters": self.parameters,
        }


@dataclasses.dataclass(frozen=True)
class TuningResult:
    """Outcome of a study.

    Attributes:
        parameters: Of the complete trial with the highest mean inner discrimination; of equal
            ones, the one with the lowest loss; of equal ones, the first.
        best: Index of that trial.
        trials: All finished trials, in order.
    """

    parameters: Parameters
    best: int
    trials: tuple[TrialRecord, ...]


def tune(
    evaluate_fold: Callable[[Parameters, int], FoldScore],
    n_folds: int,
    space: Space,
    first: Parameters,
    trials: int,
    seed: int,
    location: StudyLocation | None = None,
) -> TuningResult:
    """Runs the trials that a study still lacks and returns the best of the first `trials`.

    The objective is the mean discrimination over inner folds. A trial is pruned when its mean so
    far is below the median of complete trials at the same fold; all trials share the folds.

    Args:
        evaluate_fold: Scores parameters on an inner fold, given by its index.
        n_folds: Number of inner folds.
        space: Draws parameters.
        first: Parameters of the first trial: a sane default that search must beat.
        trials: Finished trials wanted.
        seed: Seed of the study.
        location: Where the study is kept; by default in memory.

    Raises:
        ConfigError: The storage cannot be reached or used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _opened(location) as study:
        _fail_abandoned(study)
        _require_sound(study, location)
        for index in range(len(_finished(study)), trials):
            study.sampler = _sampler(seed, index)
            if index == 0 and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                study.enqueue_trial(dict(first))
            _run(study, study.ask(), evaluate_fold, n_folds, space)
        records = tuple(_record(t) for t in _finished(study)[:trials])
    best = max(
        (i for i, r in enumerate(records) if not r.pruned),
        key=lambda i: (records[i].discrimination, -records[i].loss, -i),
    )
    return TuningResult(records[best].parameters, best, records)


def _run(
    study: optuna.Study,
    trial: optuna.Trial,
    evaluate_fold: Callable[[Parameters, int], FoldScore],
    n_folds: int,
    space: Space,
) -> None:
    parameters = space(trial)
    scores: list[FoldScore] = []
    reported: dict[int, float] = {}
    for fold in range(n_folds):
        scores.append(evaluate_fold(parameters, fold))
        mean = float(np.mean([s.discrimination for s in scores]))
        trial.report(mean, fold)
        reported[fold] = mean
        if fold + 1 < n_folds and trial.should_prune():
            break
    loss = float(np.mean([s.loss for s in scores]))
    trial.set_user_attr(_ATTRIBUTE, loss)
    trial.set_user_attr(_SEAL, _seal(trial.number, trial.params, reported, loss))
    if len(scores) < n_folds:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, mean)


def _seal(
    number: int, parameters: Mapping[str, float], reported: Mapping[int, float], loss: float
) -> str:
    """Digest of a trial: a study is resumed from its file, and a number depends on it."""
    content = [number, sorted(parameters.items()), sorted(reported.items()), loss]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _require_sound(study: optuna.Study, location: StudyLocation | None) -> None:
    for trial in _finished(study):
        values, attributes = trial.intermediate_values, trial.user_attrs
        complete = trial.state == TrialState.COMPLETE
        own = _seal(trial.number, trial.params, values, attributes.get(_ATTRIBUTE, math.nan))
        if attributes.get(_SEAL) != own or (complete and trial.value != values[max(values)]):
            where = "the study" if location is None else redacted(location.storage)
            raise ConfigError(
                f"ablation.tuning.storage: trial {trial.number} in {where} is damaged; remove it, "
                f"and the study is made anew"
            )


@contextlib.contextmanager
def _opened(location: StudyLocation | None) -> Iterator[optuna.Study]:
    """Creates or continues a study, and lets go of its database at the end."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS)
    if location is None:
        yield optuna.create_study(direction="maximize", pruner=pruner)
        return
    options: dict[str, Any] = {}
    if location.storage.startswith("sqlite"):
        options = {"connect_args": {"timeout": BUSY_SECONDS}}
    try:
        storage = optuna.storages.RDBStorage(with_driver(location.storage), engine_kwargs=options)
        study = optuna.create_study(
            storage=storage,
            study_name=location.name,
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    # SQLAlchemy, the database's driver and Optuna each have errors of their own.
    except Exception as error:
        raise _unusable(location, error) from None
    try:
        yield study
    except Exception as error:
        if not type(error).__module__.startswith(("sqlalchemy", "optuna")):
            raise
        raise _unusable(location, error) from None
    finally:
        storage.remove_session()
        storage.engine.dispose()


def with_driver(url: str) -> str:
    """Names the driver that the extra `cluster` has, where a URL of PostgreSQL names none."""
    scheme, separator, rest = url.partition("://")
    if scheme == "postgresql" and importlib.util.find_spec("psycopg") is not None:
        return f"postgresql+psycopg{separator}{rest}"
    return url


def _unusable(location: StudyLocation, error: BaseException) -> ConfigError:
    cause = error.__cause__ or error  # Optuna's own words name no reason
    reason = redacted(one_line(cause))
    return ConfigError(
        f"ablation.tuning.storage: cannot use {redacted(location.storage)}: {reason}"
    )


def _sampler(seed: int, index: int) -> optuna.samplers.BaseSampler:
    state = np.random.SeedSequence([seed, index]).generate_state(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=int(state[0]), n_startup_trials=RANDOM_TRIALS)


def _fail_abandoned(study: optuna.Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return sorted(study.get_trials(deepcopy=False, states=_OVER), key=lambda t: t.number)


def _record(trial: FrozenTrial) -> TrialRecord:
    parameters: Mapping[str, float] = trial.params
    values = trial.intermediate_values
    return TrialRecord(
        discrimination=float(values[max(values)]),
        loss=float(trial.user_attrs[_ATTRIBUTE]),
        pruned=trial.state == TrialState.PRUNED,
        parameters=dict(parameters),
    )
