"""One conformance suite for every registered model, and what each promises on its own."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from featurestore.errors import ConfigError, DataError
from featurestore.outcomes import Target
from featurestore.tables.dictionary import Column, DataDictionary
from fusion import metrics
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig, JointConfig, MetadataConfig, TuningConfig
from fusion.features.table import FeatureTable
from fusion.metrics.logits import by_patient
from fusion.models.base import Model
from fusion.models.calibration import MIN_SLOPE, cross_fitted_platt, fit_platt
from fusion.models.floors import FLOORS, reference_columns, with_floors
from fusion.models.inner import canonical_order, encode_training
from fusion.models.rank_average import RankScale
from fusion.models.registry import MODELS, make_model, relevant_settings
from fusion.models.thresholds import NO_RANKING, inner_threshold

CONFIG = AblationConfig(
    tuning=TuningConfig(trials=3, inner_folds=2),
    head=HeadConfig(projection=4, hidden=(4,), epochs=2, ensemble=1),
    joint=JointConfig(epochs=1),
    metadata=MetadataConfig(embedding_components=4, expression_components=2),
)
NAMES = sorted(MODELS)
COUNT_ROWS = (
    "fusion_head",
    "fusion_head_gated",
    "fusion_head_low_rank",
    "joint",
    "lightgbm",
    "random_forest",
    "stacked",
)
"""Weights balance their losses, but batches, bagging and leaf sizes count rows."""


def arm(model: str, modalities: tuple[Modality, ...]) -> Arm:
    """The arm; models that train on pictures look at those of the table (`net_p`)."""
    if model == "joint":
        pictures = Modality("net_p", embeddings=("net_p",))
        modalities = tuple(pictures if m.embeddings else m for m in modalities)
    return Arm(f"{model}[all]", model, modalities)


def fit(model: str, table: FeatureTable, modalities: tuple[Modality, ...], seed: int = 0) -> Model:
    return make_model(arm(model, modalities), CONFIG).fit(table, seed)


@pytest.fixture(scope="module")
def parts(table: FeatureTable) -> tuple[FeatureTable, FeatureTable]:
    """90 training and 30 test patients."""
    ids = np.unique(table.patient_ids.astype(str))
    return table.of_patients(ids[:90]), table.of_patients(ids[90:])


@pytest.fixture(scope="module")
def fits(
    parts: tuple[FeatureTable, FeatureTable], modalities: tuple[Modality, ...]
) -> dict[str, Model]:
    """Every model, fitted once."""
    return {name: fit(name, parts[0], modalities) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
class TestConformance:
    def test_probabilities(
        self, name: str, fits: dict[str, Model], parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        probability = fits[name].predict_proba(parts[1])
        assert probability.shape == (len(parts[1]),)
        assert np.isfinite(probability).all()
        assert ((probability >= 0) & (probability <= 1)).all()
        assert fits[name].predict_proba(parts[1].take(np.array([], dtype=int))).shape == (0,)

    def test_inner_predictions_are_on_training_patients_with_their_outcome(
        self, name: str, fits: dict[str, Model], parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        inner = fits[name].inner_
        outcome = dict(zip(parts[0].patient_ids, parts[0].y, strict=True))
        assert len(inner.patient_ids) == len(inner.y) == len(inner.probability) > 0
        assert len(set(inner.patient_ids)) == len(inner.patient_ids)
        assert set(inner.patient_ids) <= set(outcome)
        assert ((inner.probability >= 0) & (inner.probability <= 1)).all()
        assert set(np.unique(inner.y)) == {0.0, 1.0}
        assert [outcome[p] for p in inner.patient_ids] == inner.y.tolist()
        assert 0 <= inner_threshold(inner) <= 1

    def test_choices_and_history_are_plain_json(self, name: str, fits: dict[str, Model]) -> None:
        choices = fits[name].choices_
        assert choices
        assert json.loads(json.dumps(choices)) == choices
        assert isinstance(fits[name].history_, list)

    def test_same_seed_same_bytes_whatever_the_order_of_rows(
        self,
        name: str,
        fits: dict[str, Model],
        parts: tuple[FeatureTable, FeatureTable],
        modalities: tuple[Modality, ...],
    ) -> None:
        rng = np.random.default_rng(1)
        again = fit(name, parts[0].take(rng.permutation(len(parts[0]))), modalities)
        shuffle = rng.permutation(len(parts[1]))
        expected = fits[name].predict_proba(parts[1])
        assert again.predict_proba(parts[1]).tobytes() == expected.tobytes()
        shuffled = again.predict_proba(parts[1].take(shuffle))
        assert shuffled.tobytes() == expected[shuffle].tobytes()
        assert again.choices_ == fits[name].choices_
        inner, other = fits[name].inner_, again.inner_
        assert inner.patient_ids.tolist() == other.patient_ids.tolist()
        assert inner.probability.tobytes() == other.probability.tobytes()

    def test_input_is_never_changed(
        self, name: str, parts: tuple[FeatureTable, FeatureTable], modalities: tuple[Modality, ...]
    ) -> None:
        given = copy.deepcopy(parts[0])
        for array in (given.y, given.row_ids, given.patient_ids, *given.embeddings.values()):
            array.flags.writeable = False
        model = fit(name, given, modalities)
        model.predict_proba(given)
        assert given.y.tobytes() == parts[0].y.tobytes()
        pd.testing.assert_frame_equal(given.columns, parts[0].columns)
        assert given.embeddings["net_a"].tobytes() == parts[0].embeddings["net_a"].tobytes()

    def test_missing_and_unknown_values_are_scored(
        self, name: str, fits: dict[str, Model], parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        test = parts[1]
        columns = test.columns.copy()
        columns["sex"] = "other"
        columns["breslow"] = np.nan
        columns[[f"GENE{i}" for i in range(6)]] = np.nan
        assert test.files is not None
        nowhere = np.full(len(test), "", dtype=object)
        blind = dataclasses.replace(
            test,
            columns=columns,
            embeddings={n: np.full_like(m, np.nan) for n, m in test.embeddings.items()},
            files=dataclasses.replace(test.files, paths=nowhere, sha256s=nowhere),
        )
        probability = fits[name].predict_proba(blind)
        assert np.isfinite(probability).all()
        assert ((probability >= 0) & (probability <= 1)).all()

    def test_one_outcome_is_refused(
        self, name: str, parts: tuple[FeatureTable, FeatureTable], modalities: tuple[Modality, ...]
    ) -> None:
        for y in (0.0, 1.0):
            one = dataclasses.replace(parts[0], target=Target.binary(np.full(len(parts[0]), y)))
            with pytest.raises(DataError):
                fit(name, one, modalities)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in COUNT_ROWS])
def test_rows_of_a_patient_do_not_count_more(
    name: str, parts: tuple[FeatureTable, FeatureTable], modalities: tuple[Modality, ...]
) -> None:
    """Every row twice is the same study: nothing depends on the number of images."""
    once = parts[0]
    doubled = once.take(np.tile(np.arange(len(once)), 2))
    doubled.row_ids[len(once) :] = [f"{r}-copy" for r in once.row_ids]
    expected = fit(name, once, modalities).predict_proba(parts[1])
    np.testing.assert_allclose(
        fit(name, doubled, modalities).predict_proba(parts[1]), expected, atol=2e-3
    )


@pytest.mark.parametrize(
    "name", ["lightgbm", "logistic_regression", "random_forest", "svm", "rank_average"]
)
def test_models_learn_what_is_planted(
    name: str, make_table: Callable[..., FeatureTable], modalities: tuple[Modality, ...]
) -> None:
    table = make_table(600)
    ids = np.unique(table.patient_ids.astype(str))
    model = fit(name, table.of_patients(ids[:300]), modalities)
    test = table.of_patients(ids[300:])
    _, y, score = by_patient(test.patient_ids, test.y, model.predict_proba(test))
    assert metrics.auroc(y, score)[0] > 0.75
    inner = model.inner_
    assert metrics.auroc(inner.y, inner.probability)[0] > 0.7
    # Probabilities are probabilities: their mean is near the prevalence.
    assert abs(float(np.mean(inner.probability - inner.y))) < 0.05


def test_logistic_regression_equals_scikit_learns(
    parts: tuple[FeatureTable, FeatureTable], modalities: tuple[Modality, ...]
) -> None:
    model = fit("logistic_regression", parts[0], modalities)
    data = encode_training(parts[0], modalities, CONFIG.metadata, 2, 0)
    reference = LogisticRegression(
        C=model.choices_["parameters"]["C"], solver="newton-cholesky", tol=1e-10
    ).fit(data.whole.x, data.whole.y, data.whole.weights)
    x = data.encoder.transform(parts[1])
    np.testing.assert_allclose(
        model.predict_proba(parts[1]), reference.predict_proba(x)[:, 1], atol=1e-4
    )


def test_the_candidate_with_the_lowest_inner_loss_is_taken(
    parts: tuple[FeatureTable, FeatureTable], modalities: tuple[Modality, ...]
) -> None:
    choices = fit("logistic_regression", parts[0], modalities).choices_
    losses = {c["parameters"]["C"]: c["inner_log_loss"] for c in choices["candidates"]}
    assert choices["parameters"]["C"] == min(losses, key=lambda c: losses[c])
    assert choices["inner_log_loss"] == min(losses.values())


def test_inner_folds_are_encoded_by_their_own_training_rows(
    parts: tuple[FeatureTable, FeatureTable], modalities: tuple[Modality, ...]
) -> None:
    data = encode_training(parts[0], modalities, CONFIG.metadata, 3, 0)
    rows = np.sort(np.concatenate([fold.rows for fold in data.folds]))
    assert rows.tolist() == list(range(len(parts[0])))
    for fold in data.folds:
        assert not set(fold.training.patient_ids) & set(fold.validation.patient_ids)
        weighted = np.average(fold.training.x, axis=0, weights=fold.training.weights)
        np.testing.assert_allclose(weighted, 0, atol=1e-6)
    scores = [fold.rows.astype(float) for fold in data.folds]
    assert data.out_of_fold(scores).tolist() == list(range(len(parts[0])))


def test_rank_scale_is_the_midrank() -> None:
    scores = np.array([3.0, 1.0, 2.0, 2.0])
    expected = (rankdata(scores) - 0.5) / 4
    np.testing.assert_allclose(RankScale(np.sort(scores))(scores), expected)
    assert RankScale(np.sort(scores))(np.array([-9.0, 9.0])).tolist() == [0.0, 1.0]


def test_rank_average_gives_every_row_of_a_patient_the_same(
    fits: dict[str, Model], parts: tuple[FeatureTable, FeatureTable]
) -> None:
    probability = fits["rank_average"].predict_proba(parts[1])
    per_patient = pd.Series(probability).groupby(parts[1].patient_ids).nunique()
    assert (per_patient == 1).all()
    assert pd.Series(parts[1].patient_ids).duplicated().any()


class TestPlatt:
    def test_recovers_a_known_scaling(self) -> None:
        rng = np.random.default_rng(0)
        score = 3 * rng.normal(size=20_000) + 5
        y = (rng.random(20_000) < 1 / (1 + np.exp(-(0.7 * score - 4)))).astype(float)
        fitted = fit_platt(score, y, np.ones(20_000))
        assert fitted.slope == pytest.approx(0.7, abs=0.03)
        assert fitted.intercept == pytest.approx(-4, abs=0.15)

    def test_stays_finite_where_scores_separate(self) -> None:
        y = np.repeat([0.0, 1.0], 20)
        p = fit_platt(y * 2 - 1, y, np.ones(40))(y * 2 - 1)
        assert 0 < p.min() < 0.1
        assert 0.9 < p.max() < 1

    def test_never_reverses_a_ranking(self) -> None:
        rng = np.random.default_rng(0)
        score = rng.normal(size=100)
        y = (score < 0).astype(float)
        fitted = fit_platt(score, y, np.ones(100))
        assert 0 < fitted.slope <= 2 * MIN_SLOPE
        assert (np.argsort(fitted(score)) == np.argsort(score)).all()

    def test_constant_scores_give_the_prevalence(self) -> None:
        y = np.array([1.0, 0, 0, 0] * 25)
        p = fit_platt(np.full(100, 2.0), y, np.ones(100))(np.array([2.0]))
        assert p[0] == pytest.approx(0.25, abs=0.02)

    def test_cross_fitting_leaves_the_own_fold_out(self) -> None:
        rng = np.random.default_rng(0)
        score, y = rng.normal(size=60), (rng.random(60) < 0.4).astype(float)
        folds = [np.arange(30), np.arange(30, 60)]
        before = cross_fitted_platt(score, y, np.ones(60), folds)
        flipped = np.where(np.arange(60) < 30, 1 - y, y)
        after = cross_fitted_platt(score, flipped, np.ones(60), folds)
        assert before[:30].tobytes() == after[:30].tobytes()
        assert before[30:].tobytes() != after[30:].tobytes()


class TestFloors:
    def test_prevalence_is_that_of_patients(
        self, parts: tuple[FeatureTable, FeatureTable], fits: dict[str, Model]
    ) -> None:
        first = pd.Series(parts[0].y).groupby(parts[0].patient_ids).first()
        assert set(fits["prevalence"].predict_proba(parts[1])) == {first.mean()}

    def test_clinical_reference_uses_its_columns_and_no_others(
        self, parts: tuple[FeatureTable, FeatureTable], fits: dict[str, Model]
    ) -> None:
        model = fits["clinical_reference"]
        assert model.choices_["columns"] == ["breslow", "ulceration", "age_at_diagnosis"]
        assert model.choices_["basis"] == "Breslow thickness + ulceration + age"
        other = parts[1].columns.copy()
        other["stage"] = "I"
        other["sex"] = "male"
        other[[f"GENE{i}" for i in range(6)]] = 1.0
        changed = dataclasses.replace(parts[1], columns=other, embeddings={})
        expected = model.predict_proba(parts[1])
        assert model.predict_proba(changed).tobytes() == expected.tobytes()

    def test_floors_stand_behind_the_arms_once(
        self, table: FeatureTable, modalities: tuple[Modality, ...]
    ) -> None:
        arms = (arm("lightgbm", modalities), arm("clinical_reference", modalities))
        added = with_floors(arms, modalities, table.dictionary)[2:]
        assert [a.model for a in added] == ["prevalence", "permuted_labels"]
        assert [a.modality_text for a in added] == ["", "net_a+clinical+expression"]
        every = with_floors((), modalities, table.dictionary)
        assert tuple(a.model for a in every) == FLOORS
        assert every[0].modality_text == "clinical"
        bare = with_floors((), modalities[:1], DataDictionary([]))
        assert [a.model for a in bare] == ["prevalence", "permuted_labels"]

    def test_reference_columns_are_found_by_name_label_or_source(self) -> None:
        gdc = DataDictionary(
            [
                Column("stage", "ordinal", "staging", levels=("I", "II")),
                Column("depth", "numeric", "histopathology", source_column="breslow_depth_value"),
                Column("ulc", "nominal", "histopathology", "Melanoma ulceration indicator"),
                Column("age_at_initial_pathologic_diagnosis", "numeric", "demographic"),
                Column("breslow_missing_reason", "nominal", "histopathology"),
            ]
        )
        found = reference_columns(gdc)
        assert found is not None
        assert found.names == ("depth", "ulc", "age_at_initial_pathologic_diagnosis")

    def test_demographics_stand_in_and_stage_is_not_age(self) -> None:
        isic = DataDictionary(
            [
                Column("stage", "numeric", "staging"),
                Column("age", "numeric", "demographic"),
                Column("sex", "nominal", "demographic"),
            ]
        )
        found = reference_columns(isic)
        assert found is not None
        assert (found.names, found.basis) == (("age", "sex"), "demographics")
        assert reference_columns(DataDictionary([Column("stage", "numeric", "staging")])) is None
        leaking = DataDictionary([Column("age", "numeric", "demographic", leaks=True)])
        assert reference_columns(leaking) is None

    def test_without_any_such_column_asking_for_it_is_an_error(
        self, table: FeatureTable, modalities: tuple[Modality, ...]
    ) -> None:
        bare = dataclasses.replace(
            table, dictionary=DataDictionary([Column("stage", "numeric", "staging")])
        )
        with pytest.raises(ConfigError, match="clinical_reference needs"):
            fit("clinical_reference", bare, modalities)


def test_unknown_models_are_named_with_the_known_ones(
    modalities: tuple[Modality, ...],
) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown model 'xgboost'; known: fusion_head, fusion_head_gated, "
    ):
        make_model(arm("xgboost", modalities), CONFIG)


def test_settings_that_matter_are_those_of_the_model(modalities: tuple[Modality, ...]) -> None:
    stored = CONFIG.model_copy(
        update={"jobs": 9, "tuning": CONFIG.tuning.model_copy(update={"storage": "sqlite://x"})}
    )
    for name in NAMES:
        given = arm(name, modalities)
        assert relevant_settings(given, stored) == relevant_settings(given, CONFIG)
    assert "head" in relevant_settings(arm("fusion_head", modalities), CONFIG)
    assert "head" not in relevant_settings(arm("lightgbm", modalities), CONFIG)


def test_a_model_that_does_not_rank_has_a_neutral_threshold(
    fits: dict[str, Model],
) -> None:
    inner = fits["logistic_regression"].inner_
    reversed_ = dataclasses.replace(inner, probability=1 - inner.probability)
    assert inner_threshold(reversed_) == NO_RANKING
    constant = dataclasses.replace(inner, probability=np.full(len(inner.y), 0.2))
    assert inner_threshold(constant) == NO_RANKING


def test_canonical_order_sorts_by_patient_then_row(table: FeatureTable) -> None:
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    ordered = shuffled.take(canonical_order(shuffled))
    assert ordered.row_ids.tolist() == table.row_ids.tolist()


def test_fits_are_silent(
    parts: tuple[FeatureTable, FeatureTable],
    modalities: tuple[Modality, ...],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NAMES:
            fit(name, parts[0], modalities)
    assert capfd.readouterr() == ("", "")
