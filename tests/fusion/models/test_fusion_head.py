"""The fusion head behind the model protocol: what it learns from, what it gives back."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import fusion.models.head_inputs
from featurestore.errors import DataError
from featurestore.outcomes import Target
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.config import HeadConfig, MetadataConfig
from fusion.features.table import FeatureTable
from fusion.metrics.logits import by_patient, sigmoid
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.settings import Settings

CLINICAL = [
    Column("age", "numeric", "clinical"),
    Column("breslow", "numeric", "clinical"),
    Column("stage", "ordinal", "clinical", levels=("I", "II", "III")),
    Column("site", "nominal", "clinical"),
]
GENES = [Column(f"G{i}", "expression", "expression", unit="log2(x+1)") for i in range(12)]
MODALITIES = (
    Modality("resnet18", embeddings=("resnet18",)),
    Modality("clinical", groups=("clinical",)),
    Modality("expression", groups=("expression",)),
)
ARM = Arm("fusion_head[all]", "fusion_head", MODALITIES)
SMALL = HeadConfig(projection=8, hidden=(8,), epochs=6, batch_size=32, ensemble=1)
METADATA = MetadataConfig(expression_components=4)


def settings(head: HeadConfig) -> Settings:
    return Settings({"head": head, "metadata": METADATA})


def make_table(n: int, seed: int, rows_each: int = 2, width: int = 24) -> FeatureTable:
    """Patients whose outcome depends on an image factor, a clinical one and an expression one."""
    world = np.random.default_rng(7)
    loadings, gene_loadings = world.normal(size=(3, width)), world.normal(size=(3, 12))
    rng = np.random.default_rng(seed)
    image, clinical, gene = (rng.normal(size=(n, 3)) for _ in range(3))
    eta = 1.6 * (image[:, 0] + clinical[:, 0] + gene[:, 0]) - 0.5
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    columns = pd.DataFrame(
        {
            "age": 50 + 10 * clinical[:, 1],
            "breslow": np.exp(clinical[:, 0]),
            "stage": np.array(["I", "II", "III"])[np.digitize(clinical[:, 0], [-0.5, 0.7])],
            "site": rng.choice(["trunk", "limb"], n),
        }
    ).mask(rng.random((n, 4)) < 0.1)
    genes = gene @ gene_loadings + 0.5 * rng.normal(size=(n, 12))
    genes[rng.random(n) < 0.2] = np.nan
    columns[[g.name for g in GENES]] = genes
    rows = np.repeat(np.arange(n), rows_each)
    embedding = image[rows] @ loadings + rng.normal(size=(len(rows), width))
    embedding[rng.random(len(rows)) < 0.05] = np.nan
    ids = np.array([f"P{seed}_{i:04d}" for i in range(n)], dtype=object)
    return FeatureTable(
        row_ids=np.array([f"I{seed}_{i:05d}" for i in range(len(rows))], dtype=object),
        patient_ids=ids[rows],
        groups=ids[rows],
        target=Target.binary(y[rows]),
        embeddings={"resnet18": embedding.astype(np.float32)},
        columns=columns.iloc[rows].reset_index(drop=True),
        dictionary=DataDictionary([*CLINICAL, *GENES]),
    )


@pytest.fixture(scope="module")
def table() -> FeatureTable:
    return make_table(80, 1)


@pytest.fixture(scope="module")
def fitted(table: FeatureTable) -> FusionHeadModel:
    return FusionHeadModel(ARM, settings(SMALL)).fit(table, 0)


def patient_auroc(table: FeatureTable, probability: np.ndarray) -> float:
    _, y, score = by_patient(table.patient_ids, table.y, probability)
    return float(roc_auc_score(y, score))


def test_it_keeps_the_protocol(fitted: FusionHeadModel, table: FeatureTable) -> None:
    probability = fitted.predict_proba(table)
    assert probability.shape == (len(table),)
    assert ((probability > 0) & (probability < 1)).all()
    assert fitted.predict_proba(table.take(np.arange(0))).shape == (0,)
    assert len(fitted.inner_.patient_ids) == len(np.unique(fitted.inner_.patient_ids)) == 16
    truth = dict(zip(table.patient_ids, table.y, strict=True))
    assert [truth[p] for p in fitted.inner_.patient_ids] == fitted.inner_.y.tolist()
    (member,) = fitted.choices_["members"]
    assert (member["training_patients"], member["validation_patients"]) == (64, 16)
    assert len(fitted.history_) == member["epochs"]
    assert fitted.choices_["parameters"] > 0


def test_inner_predictions_are_those_of_the_fitted_head(
    fitted: FusionHeadModel, table: FeatureTable
) -> None:
    held_out = table.of_patients(fitted.inner_.patient_ids)
    _, _, score = by_patient(held_out.patient_ids, held_out.y, fitted.predict_proba(held_out))
    np.testing.assert_allclose(fitted.inner_.probability, sigmoid(score), atol=1e-6)


def test_row_order_means_nothing(fitted: FusionHeadModel, table: FeatureTable) -> None:
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = FusionHeadModel(ARM, settings(SMALL)).fit(table.take(order), 0)
    assert shuffled.history_ == fitted.history_
    expected = fitted.predict_proba(table)
    assert shuffled.predict_proba(table).tobytes() == expected.tobytes()
    assert shuffled.predict_proba(table.take(order)).tobytes() == expected[order].tobytes()


def test_same_seed_same_bytes_other_seed_other_split(
    fitted: FusionHeadModel, table: FeatureTable
) -> None:
    again = FusionHeadModel(ARM, settings(SMALL)).fit(table, 0)
    assert again.predict_proba(table).tobytes() == fitted.predict_proba(table).tobytes()
    other = FusionHeadModel(ARM, settings(SMALL)).fit(table, 1)
    assert set(other.inner_.patient_ids) != set(fitted.inner_.patient_ids)


def test_preprocessing_and_weights_never_see_the_inner_validation_rows(
    fitted: FusionHeadModel, table: FeatureTable
) -> None:
    """Absurd values in the held-out rows change when training ends, and nothing that is fitted."""
    held_out = np.isin(table.patient_ids, fitted.inner_.patient_ids)
    columns = table.columns.copy()
    columns.loc[held_out, "age"] = 1e6
    columns.loc[held_out, "site"] = "unheard of"
    embedding = table.embeddings["resnet18"].copy()
    embedding[held_out] = 1e6
    spiked = dataclasses.replace(table, columns=columns, embeddings={"resnet18": embedding})
    once = SMALL.model_copy(update={"epochs": 1})  # one epoch: nothing to stop
    clean = FusionHeadModel(ARM, settings(once)).fit(table, 0)
    dirty = FusionHeadModel(ARM, settings(once)).fit(spiked, 0)
    assert dirty.predict_proba(table).tobytes() == clean.predict_proba(table).tobytes()


def test_an_ensemble_averages_logits_of_members_with_their_own_splits(
    table: FeatureTable,
) -> None:
    config = SMALL.model_copy(update={"ensemble": 3, "epochs": 2})
    model = FusionHeadModel(ARM, settings(config)).fit(table, 0)
    assert {h["member"] for h in model.history_} == {0.0, 1.0, 2.0}
    assert len({m["seed"] for m in model.choices_["members"]}) == 3
    assert 16 < len(model.inner_.patient_ids) <= 48
    ordered = table.take(np.lexsort((table.row_ids.astype(str), table.patient_ids.astype(str))))
    logits = [member.logits(ordered) for member in model._members]
    np.testing.assert_allclose(
        model.predict_proba(ordered), sigmoid(np.mean(logits, axis=0)), atol=1e-7
    )


def test_a_model_rebuilt_from_its_state_predicts_the_same_bytes(
    fitted: FusionHeadModel, table: FeatureTable
) -> None:
    record, arrays = fitted.to_state()
    again = FusionHeadModel.from_state(json.loads(json.dumps(record)), arrays)
    assert again.predict_proba(table).tobytes() == fitted.predict_proba(table).tobytes()
    assert (again.arm, again.settings) == (ARM, settings(SMALL))
    twice, same = again.to_state()
    assert json.dumps(twice) == json.dumps(record)
    assert {k: v.tobytes() for k, v in same.items()} == {k: v.tobytes() for k, v in arrays.items()}
    assert not any(str(p) in json.dumps(record) for p in table.patient_ids)


def test_embedding_gradients_are_those_of_small_steps(
    fitted: FusionHeadModel, table: FeatureTable
) -> None:
    rows = table.take(np.arange(12))
    gradients = fitted.embedding_gradients(rows)
    rng = np.random.default_rng(0)
    for name, gradient in gradients.items():
        matrix = rows.embeddings[name].astype(np.float64)
        step = 1e-3 * rng.normal(size=matrix.shape)
        ends = [
            fitted.member_logits(
                dataclasses.replace(
                    rows, embeddings={**rows.embeddings, name: (matrix + sign * step)}
                )
            ).mean(axis=0)
            for sign in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / 2
        present = ~np.isnan(matrix).all(axis=1)
        found = np.nansum(gradient * step, axis=1)
        np.testing.assert_allclose(found[present], expected[present], rtol=0.05, atol=2e-6)
        assert (gradient[~present] == 0).all()


def test_patients_without_any_modality_get_a_probability(
    fitted: FusionHeadModel, table: FeatureTable
) -> None:
    nothing = table.columns.mask(np.ones(table.columns.shape, dtype=bool))
    empty = dataclasses.replace(
        table,
        embeddings={"resnet18": np.full_like(table.embeddings["resnet18"], np.nan)},
        columns=nothing,
    )
    probability = fitted.predict_proba(empty)
    assert np.isfinite(probability).all()
    np.testing.assert_allclose(probability, probability[0], rtol=1e-5)
    image_only = dataclasses.replace(
        table, columns=table.columns.mask(np.ones(table.columns.shape, dtype=bool))
    )
    assert not np.allclose(fitted.predict_proba(image_only), fitted.predict_proba(table))


def test_a_modality_may_hold_several_backbones(table: FeatureTable) -> None:
    both = dataclasses.replace(
        table, embeddings=table.embeddings | {"other": -table.embeddings["resnet18"][:, :5]}
    )
    arm = Arm("a", "fusion_head", (Modality("images", embeddings=("resnet18", "other")),))
    model = FusionHeadModel(arm, settings(SMALL)).fit(both, 0)
    assert model._members[0].dims == {"images": 29}
    assert np.isfinite(model.predict_proba(both)).all()


def test_absent_or_mute_modalities_are_named(fitted: FusionHeadModel, table: FeatureTable) -> None:
    with pytest.raises(DataError, match="resnet18"):
        fitted.predict_proba(dataclasses.replace(table, embeddings={}))
    narrow = {"resnet18": table.embeddings["resnet18"][:, 1:]}
    with pytest.raises(DataError, match="24 columns"):
        fitted.predict_proba(dataclasses.replace(table, embeddings=narrow))
    with pytest.raises(DataError, match="breslow"):
        fitted.predict_proba(
            dataclasses.replace(table, columns=table.columns.drop(columns="breslow"))
        )
    mute = table.columns.assign(age=1.0, breslow=None, stage="I", site="trunk")
    with pytest.raises(DataError, match="modality 'clinical'"):
        FusionHeadModel(ARM, settings(SMALL)).fit(dataclasses.replace(table, columns=mute), 0)
    blind = {"resnet18": np.full_like(table.embeddings["resnet18"], np.nan)}
    with pytest.raises(DataError, match="no training patient has an embedding of resnet18"):
        FusionHeadModel(ARM, settings(SMALL)).fit(dataclasses.replace(table, embeddings=blind), 0)


def test_every_fit_sees_the_given_table_only(
    table: FeatureTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    original = fusion.models.head_inputs.HeadInputs.transform

    def spy(inputs: object, rows: FeatureTable) -> object:
        seen.update(rows.patient_ids)
        return original(inputs, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(fusion.models.head_inputs.HeadInputs, "transform", spy)
    some = table.of_patients(sorted(set(table.patient_ids))[:60])
    FusionHeadModel(ARM, settings(SMALL)).fit(some, 0)
    assert seen == set(some.patient_ids)


@pytest.mark.slow
def test_fusion_beats_the_best_single_modality_and_nears_the_linear_reference() -> None:
    training, test = make_table(480, 2, 1, width=256), make_table(1500, 3, 1, width=256)
    head = FusionHeadModel(ARM, settings(HeadConfig())).fit(training, 0)
    fused = patient_auroc(test, head.predict_proba(test))

    def linear(modalities: tuple[Modality, ...]) -> float:
        inputs = fusion.models.head_inputs.HeadInputs.fit(modalities, METADATA, training)
        x, z = (
            np.hstack([v.numpy() for v in inputs.transform(t).inputs.values()])
            for t in (training, test)
        )
        scaler = StandardScaler().fit(x)
        fits = (
            LogisticRegression(C=c, max_iter=500).fit(scaler.transform(x), training.y)
            for c in (1e-3, 1e-2, 1e-1)
        )
        # The best C on the test part: the reference is favoured on purpose.
        return max(
            float(roc_auc_score(test.y, m.predict_proba(scaler.transform(z))[:, 1])) for m in fits
        )

    singles = [linear((modality,)) for modality in MODALITIES]
    assert fused > max(singles) + 0.05
    assert fused > linear(MODALITIES) - 0.02
