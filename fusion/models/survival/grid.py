"""Comparators of scikit-survival that choose among a few settings by inner folds.

Extra `survival`. None of them knows delayed entry.
"""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from featurestore.errors import DataError
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.ledger import witness
from fusion.metrics.survival import Times, harrell_c
from fusion.models.settings import Settings
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.encoding import TrainingData, encode_training
from fusion.models.survival.own_estimator import outcome
from fusion.models.survival.patients import Patients
from fusion.models.threads import limit_new_libraries

Scorer = Callable[[np.ndarray], np.ndarray]
"""Mean encoded rows of patients (p, q) to scores (p,) that rise with the risk."""


class Estimator(Protocol):
    """A way to fit encoded patients, and the settings to choose among.

    Attributes:
        name: Name in `choices_`.
        candidates: Settings; of equally good ones the first is taken.
    """

    name: ClassVar[str]
    candidates: ClassVar[tuple[dict[str, float], ...]]

    def fit(
        self, x: np.ndarray, times: Times, parameters: Mapping[str, float], seed: int
    ) -> Scorer:
        """Fits patients; competing events are censored."""
        ...


class SurvivalGrid(BaseSurvivalModel):
    """Fits every candidate on every inner fold, then the best one on all patients.

    The best candidate has the highest Harrell's C of out-of-fold scores, within folds.

    Attributes:
        encoder_: The encoder of the final fit.
        scorer_: The final fit.
    """

    def __init__(self, arm: Arm, settings: Settings, estimator: str) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Inner folds and preprocessing.
            estimator: What is fitted: key of `ESTIMATORS`.
        """
        super().__init__(arm, settings)
        self.estimator = ESTIMATORS[estimator]

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        if patients.times.delayed:
            raise DataError(
                f"{self.estimator.name} knows no delayed entry, which this outcome has; take "
                f"cox_ridge, lightgbm or a fusion head"
            )
        data = encode_training(rows, patients, self.arm.modalities, self.settings, seed)
        tried = [self._tried(data, c, seed) for c in self.estimator.candidates]
        witness("setting", "selected on", patients.ids)
        reached = [concordance for concordance, _ in tried]
        best = int(np.argmax(reached))
        parameters = self.estimator.candidates[best]
        self.encoder_ = data.encoder
        witness(self.estimator.name, "fitted on", patients.ids)
        self.scorer_ = self.estimator.fit(data.whole.means, patients.times, parameters, seed)
        choices = {
            "estimator": self.estimator.name,
            "parameters": dict(parameters),
            "inner_concordance": reached[best],
            "candidates": [
                {"parameters": dict(c), "inner_concordance": value}
                for c, value in zip(self.estimator.candidates, reached, strict=True)
            ],
            "inputs": len(data.encoder.features_),
            "columns_without_information": sorted(data.encoder.dropped_),
        }
        return SurvivalFit(tried[best][1], choices)

    def _score(self, rows: FeatureTable) -> np.ndarray:
        return self.scorer_(self.encoder_.transform(rows))

    def _tried(
        self, data: TrainingData, parameters: Mapping[str, float], seed: int
    ) -> tuple[float, np.ndarray]:
        """Concordance and out-of-fold scores of one candidate."""
        fold_of = np.empty(len(data.whole.patients))
        scores = []
        for k, fold in enumerate(data.folds):
            training = fold.training
            scorer = self.estimator.fit(training.means, training.patients.times, parameters, seed)
            scores.append(scorer(fold.validation.means))
            fold_of[fold.places] = k
        score = data.out_of_fold(scores)
        times = data.whole.patients.times.cause_specific()
        found = float(harrell_c(times, score, strata=fold_of)[0])
        return float(np.nan_to_num(found, nan=0.5)), score


class ElasticNet:
    """Cox regression with an elastic net (Simon et al. 2011), ties by Breslow.

    `share` is the penalty as a share of the least one that leaves no coefficient.
    """

    name: ClassVar[str] = "elastic_net"
    candidates: ClassVar[tuple[dict[str, float], ...]] = tuple(
        {"l1_ratio": ratio, "share": share}
        for ratio in (0.9, 0.5, 0.1)
        for share in (0.7, 0.4, 0.2, 0.1, 0.05)
    )

    def fit(
        self, x: np.ndarray, times: Times, parameters: Mapping[str, float], seed: int
    ) -> Scorer:
        """Fits by coordinate descent along a short path, which is deterministic."""
        net = _estimator("linear_model:CoxnetSurvivalAnalysis")
        y, ratio = outcome(times), parameters["l1_ratio"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the start of the path has no coefficient
            largest = net(l1_ratio=ratio, n_alphas=2, alpha_min_ratio=0.9).fit(x, y).alphas_[0]
            alpha = parameters["share"] * largest
            fitted = net(l1_ratio=ratio, alphas=[largest, alpha]).fit(x, y)
        weights = fitted.coef_[:, -1]
        return lambda rows: np.asarray((rows * weights).sum(axis=1))


class SurvivalForest:
    """Random survival forest (Ishwaran et al. 2008).

    The score is the log of expected events, against the mean of the training part.
    """

    name: ClassVar[str] = "random_survival_forest"
    candidates: ClassVar[tuple[dict[str, float], ...]] = (
        {"min_samples_leaf": 15},
        {"min_samples_leaf": 6},
    )
    TREES: ClassVar[int] = 200

    def fit(
        self, x: np.ndarray, times: Times, parameters: Mapping[str, float], seed: int
    ) -> Scorer:
        """Fits on one thread."""
        model = _estimator("ensemble:RandomSurvivalForest")(
            n_estimators=self.TREES,
            min_samples_leaf=int(parameters["min_samples_leaf"]),
            max_features="sqrt",
            random_state=seed % 2**32,
            n_jobs=1,
        ).fit(x, outcome(times))

        def expected(rows: np.ndarray) -> np.ndarray:
            return np.asarray(np.log(np.maximum(model.predict(rows), 1e-12)))

        # Events are counted at the times of the training part: more patients, more of them.
        level = float(expected(x).mean())
        return lambda rows: expected(rows) - level


class BoostedCox:
    """Gradient boosting of shallow trees on the Cox partial likelihood (Ridgeway 1999)."""

    name: ClassVar[str] = "gradient_boosting"
    candidates: ClassVar[tuple[dict[str, float], ...]] = (
        {"n_estimators": 50},
        {"n_estimators": 150},
    )

    def fit(
        self, x: np.ndarray, times: Times, parameters: Mapping[str, float], seed: int
    ) -> Scorer:
        """Fits on one thread."""
        model = _estimator("ensemble:GradientBoostingSurvivalAnalysis")(
            n_estimators=int(parameters["n_estimators"]),
            learning_rate=0.05,
            max_depth=2,
            subsample=0.7,
            min_samples_leaf=5,
            random_state=seed % 2**32,
        ).fit(x, outcome(times))
        return lambda rows: np.asarray(model.predict(rows))


ESTIMATORS: dict[str, Estimator] = {
    estimator.name: estimator for estimator in (ElasticNet(), SurvivalForest(), BoostedCox())
}
"""Estimators by name. A new one is a class and its place in this tuple."""


def _estimator(name: str) -> Any:
    found = pkgutil.resolve_name(f"sksurv.{name}")  # whether it is there is asked in planning
    limit_new_libraries()
    return found
