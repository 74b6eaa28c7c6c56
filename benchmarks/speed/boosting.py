"""Tuned LightGBM, beside Optuna over LightGBM's own classifier.

Two baselines, on the same encoded inner folds, in the same space, with the same sampler and as many
trials, all on one thread: the classifier with our cap of rounds and early stopping, and the
classifier as it comes, with 100 trees and no stopping.
"""

from __future__ import annotations

import lightgbm
import numpy as np
import optuna

from benchmarks.speed.figures import Figure, Took, details, timed
from fusion import metrics
from fusion.arms import Arm
from fusion.config import AblationConfig, TuningConfig
from fusion.models import make_model
from fusion.models.boosting import MAX_ROUNDS, PATIENCE, search_space
from fusion.models.inner import InnerFold, TrainingData, encode_training
from fusion.testing.tables import MODALITIES, feature_table

TRIALS, FOLDS, GOAL = 50, 5, 8.0


def classifiers(folds: tuple[InnerFold, ...], trials: int, rounds: int | None) -> float:
    """The best mean AUROC of a search over LightGBM's classifier.

    Args:
        folds: Encoded inner folds.
        trials: Number of trials.
        rounds: Cap of trees, with early stopping; None for the class's default without.
    """
    draw = search_space(TuningConfig().space)

    def objective(trial: optuna.Trial) -> float:
        return float(np.mean([_auroc(fold, draw(trial), rounds) for fold in folds]))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=trials)
    return study.best_value


def _auroc(fold: InnerFold, parameters: dict[str, float], rounds: int | None) -> float:
    names = {
        "feature_fraction": "colsample_bytree",
        "bagging_fraction": "subsample",
        "lambda_l2": "reg_lambda",
    }
    chosen = {names.get(name, name): value for name, value in parameters.items()}
    training, validation = fold.training, fold.validation
    model = lightgbm.LGBMClassifier(
        **chosen, subsample_freq=1, n_jobs=1, verbosity=-1, n_estimators=rounds or 100
    )
    if rounds is None:
        model.fit(training.x, training.y)
    else:
        model.fit(
            training.x,
            training.y,
            eval_X=validation.x,
            eval_y=validation.y,
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
    probability = np.asarray(model.predict_proba(validation.x))[:, 1]
    return float(metrics.auroc(validation.y, probability)[0])


def own(data: TrainingData, trials: int) -> float:
    """The best mean AUROC of ours; its final fit is in the time too."""
    config = AblationConfig(tuning=TuningConfig(trials=trials, inner_folds=FOLDS))
    model = make_model(Arm("all", "lightgbm", MODALITIES), config)
    record = model.fit_encoded(data, 0)
    return max(t["auroc"] for t in record.choices["trials"] if not t["pruned"])


def measure(quick: bool) -> list[Figure]:
    """Row 5, against both baselines."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials, patients = (5, 200) if quick else (TRIALS, 1000)
    config = AblationConfig()
    table = feature_table(patients, dims=64)
    data = encode_training(table, MODALITIES, config.metadata, FOLDS, 0)
    best: dict[str, float] = {}

    def run(name: str, rounds: int | None) -> Took:
        return timed(lambda: best.update({name: classifiers(data.folds, trials, rounds)}))

    stopped, plain = run("stopped", MAX_ROUNDS), run("plain", None)
    ours = timed(lambda: best.update(ours=own(data, trials)))
    figures = []
    for name, base, baseline in (
        ("stopped", stopped, f"LGBMClassifier, {MAX_ROUNDS} rounds and early stopping"),
        ("plain", plain, "LGBMClassifier as it comes, 100 trees"),
    ):
        found = details(base, ours) | {"baseline_best": best[name], "own_best": best["ours"]}
        ratio = base.cpu / ours.cpu
        met = None if quick else ratio >= GOAL and best["ours"] >= best[name]
        what = f"{trials} trials x {FOLDS} folds, {patients:,} patients"
        figures.append(Figure(5, what, f"{GOAL:.0f}x", ratio, "x", met, baseline, found))
    return figures
