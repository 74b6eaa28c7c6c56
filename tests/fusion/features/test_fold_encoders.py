"""Fold k's encoder never saw fold k's test patients, and nothing can make it embed elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import extractor.finetune.run
from extractor.backbones import load_backbone
from extractor.config import BackboneConfig
from extractor.config_finetune import AugmentConfig, FinetuneConfig
from extractor.device import plan_compute
from extractor.encoder import Encoder
from extractor.extract import embed_images
from extractor.finetune import ImageCache, TrainingSamples, Workplace, finetune
from extractor.stages import one_torch_thread
from featurestore.errors import DataError, LeakageError
from fusion import metrics
from fusion.features.fold_encoders import external, per_fold
from fusion.features.table import ViewPlan
from fusion.metrics.logits import by_patient
from fusion.study.study import Study

NETWORK = "{name: test_efficientnet, weights: random, image_size: 32}"
CONFIG = f"""
name: tuned
seed: 3
cohort:
  outcome: synthetic_metastasis
  require_images: true
  sources:
    - kind: synthetic
      patients: 70
      image_pixels: [64, 80]
      prevalence: 0.4
      effects: {{image: EFFECT, clinical: 0, expression: 0}}
folds: {{n_folds: 2}}
extract: {{backbones: [{NETWORK}]}}
finetune:
  backbones: [{NETWORK}]
  epochs: 2
  batch_size: 16
  threads: 1
ablation:
  modalities:
    frozen: {{embeddings: [test_efficientnet]}}
    tuned: {{embeddings: [test_efficientnet_ft]}}
  models: [logistic_regression]
  arms: []
  jobs: 1
  bootstrap_draws: 200
"""
PLAIN = AugmentConfig(
    flips=False, rotation=0, brightness=0, contrast=0, saturation=0, hue=0,
    crop_scale=(1.0, 1.0), blur=0, dropout=0,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A study that was fine-tuned while someone watched which pictures were opened.

    Attributes:
        study: The study.
        opened: For each training (name of its folder) the SHA-256 of all pictures it decoded.
    """

    study: Study
    opened: dict[str, set[str]]


def study_in(folder: Path, effect: float) -> Study:
    config = folder / "config.yaml"
    config.write_text(CONFIG.replace("EFFECT", str(effect)))
    return Study.open(config, folder / "out")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Two folds of a cohort whose images show the outcome."""
    study = study_in(tmp_path_factory.mktemp("tuned"), effect=4.0)
    opened: dict[str, set[str]] = {}
    real_train, real_squares = extractor.finetune.run.finetune, ImageCache.squares
    now: list[str] = []

    def watched_train(*args: Any) -> object:
        now.append(args[5].folder.name)
        return real_train(*args)

    def watched_squares(cache: ImageCache, samples: TrainingSamples, *rest: object) -> object:
        opened.setdefault(now[-1], set()).update(samples.sha256s)
        return real_squares(cache, samples, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fusion.features.fold_encoders.finetune", watched_train)
        patch.setattr(ImageCache, "squares", watched_squares)
        study.finetune()
    return Tuned(study, opened)


def side(study: Study, key: tuple[int, int], role: str) -> set[str]:
    return set(study.folds.test(key) if role == "test" else study.folds.training(key))


def test_the_record_of_each_encoder_names_training_patients_only(tuned: Tuned) -> None:
    study = tuned.study
    keys = study.folds.keys
    assert len(keys) == 2
    for key in keys:
        identity = study.encoders(*key)["test_efficientnet_ft"]
        assert identity.fold == f"{key[0]}/{key[1]}"
        assert set(identity.training_patients) == side(study, key, "train")
        assert not set(identity.training_patients) & side(study, key, "test")
    first, second = (study.encoders(*key)["test_efficientnet_ft"] for key in keys)
    assert first.digest != second.digest
    assert first.training_digest != second.training_digest


def test_no_training_opened_a_test_patients_picture(tuned: Tuned) -> None:
    images = tuned.study.cohort.images
    assert len(tuned.opened) == 2
    for key, backbones in tuned.study.fold_encoders.backbones.items():
        opened = tuned.opened[Path(backbones["test_efficientnet_ft"].weights).parent.name]
        patients = set(images.loc[images["sha256"].isin(opened), "patient_id"])
        assert patients == side(tuned.study, key, "train")


def test_every_fold_reads_its_own_encoder(tuned: Tuned) -> None:
    first, second = (tuned.study.features(*key) for key in tuned.study.folds.keys)
    assert first.row_ids.tolist() == second.row_ids.tolist()
    np.testing.assert_array_equal(
        first.embeddings["test_efficientnet"], second.embeddings["test_efficientnet"]
    )
    tuned_name = "test_efficientnet_ft"
    assert not np.allclose(first.embeddings[tuned_name], second.embeddings[tuned_name])


def test_an_encoder_of_another_fold_is_refused(tuned: Tuned) -> None:
    study = tuned.study
    here, other = study.folds.keys
    with pytest.raises(LeakageError, match=r"was trained on .* of those to be scored"):
        study._reader.read(study.encoders(*other), sorted(side(study, here, "test")), "0/0")
    # Even for patients that neither was trained on: it is another coordinate system.
    with pytest.raises(LeakageError, match="was trained for fold 0/1"):
        study._reader.read(study.encoders(*other), [], "0/0")


def test_a_matrix_comes_from_one_encoder_only(tuned: Tuned) -> None:
    """Encoders of two folds cannot stand side by side either, whatever they are called."""
    study = tuned.study
    first, second = (study.encoders(*key)["test_efficientnet_ft"] for key in study.folds.keys)
    with pytest.raises(LeakageError):
        study._reader.read({"a_ft": first, "b_ft": second}, [], "0/0")
    digests = study.cohort.images["sha256"].tolist()[:3]
    apart = [study.store.read(identity, digests) for identity in (first, second)]
    assert not np.allclose(*apart)


def test_a_second_time_nothing_is_trained(tuned: Tuned) -> None:
    again = Study.open(tuned.study.paths.root.parent / "config.yaml", tuned.study.paths.root)
    history = tuned.study.fold_encoders.history
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("extractor.finetune.run.train", None)  # would raise if it were called
        encoders = again.finetune()
    pd.testing.assert_frame_equal(encoders.history, history)
    assert encoders.identities == tuned.study.fold_encoders.identities


def test_history_has_a_row_an_epoch_and_marks_what_was_kept(tuned: Tuned) -> None:
    history = tuned.study.fold_encoders.history
    assert history.groupby(["repeat", "fold"])["kept"].sum().tolist() == [1, 1]
    assert history["validation_auroc"].between(0, 1).all()
    assert set(history["encoder"]) == {"test_efficientnet_ft"}


def test_the_ablation_has_frozen_and_fine_tuned_arms(tuned: Tuned) -> None:
    predictions = tuned.study.ablate()
    arms = set(predictions["arm"])
    assert {"logistic_regression[frozen]", "logistic_regression[tuned]"} <= arms
    scored = predictions[predictions["arm"] == "logistic_regression[tuned]"]
    assert set(scored["patient_id"]) == set(tuned.study.cohort.patients["patient_id"])


def test_views_are_learned_from_and_averaged(tuned: Tuned) -> None:
    """The same encoders with two views to learn from and one to score."""
    root = tuned.study.paths.root
    study = Study.open(
        root.parent / "config.yaml",
        root,
        overrides=["finetune.views=2", "finetune.test_views=1"],
    )
    plain, table = tuned.study.features(0, 0), study.features(0, 0)
    assert study.encoders(0, 0) == tuned.study.encoders(0, 0)  # nothing was trained anew
    assert table.views is not None
    assert (table.views.learned, table.views.scored) == (2, 1)
    n = len(plain)
    assert np.bincount(table.views.number).tolist() == [n, n, n]
    assert len(table.learned_rows()) == 3 * n
    assert len(table.scored_rows()) == 2 * n
    pictures = table.pictures()
    assert pictures.row_ids.tolist() == plain.row_ids.tolist()
    name = "test_efficientnet_ft"
    np.testing.assert_array_equal(pictures.embeddings[name], plain.embeddings[name])
    first = table.take(table.views.number == 1)
    assert not np.allclose(first.embeddings[name], plain.embeddings[name])
    frozen = "test_efficientnet"
    np.testing.assert_array_equal(first.embeddings[frozen], plain.embeddings[frozen])
    # Every patient counts once, however many views there are.
    weights = pd.Series(table.learned_rows().row_weights()).groupby(table.patient_ids).sum()
    np.testing.assert_allclose(weights, 1.0)
    predictions = study.ablate()
    patients = predictions[predictions["arm"] == "logistic_regression[tuned]"]["patient_id"]
    assert patients.is_unique
    assert set(patients) == set(study.cohort.patients["patient_id"])


def test_views_of_another_fold_are_refused(tuned: Tuned) -> None:
    study = tuned.study
    here, other = study.folds.keys
    views = ViewPlan({"test_efficientnet_ft": study.encoders(*other)["test_efficientnet_ft"]}, 1, 0)
    with pytest.raises(LeakageError):
        study._reader.read(
            study.encoders(*here), sorted(side(study, here, "test")), "0/0", views=views
        )


def test_external_patients_must_be_others(tuned: Tuned) -> None:
    cohort = tuned.study.cohort
    with pytest.raises(LeakageError, match="shares 70 patients"):
        external(cohort, cohort, FinetuneConfig(), 0)
    renamed = cohort.images.assign(patient_id="X" + cohort.images["patient_id"])
    own = "X" + cohort.patients["patient_id"]
    patients = cohort.patients.assign(patient_id=own, person_id=own)
    same_pictures = dataclasses.replace(cohort, images=renamed, patients=patients)
    with pytest.raises(LeakageError, match=r"shares \d+ images"):
        external(cohort, same_pictures, FinetuneConfig(), 0)
    others = dataclasses.replace(
        same_pictures, images=renamed.assign(sha256=renamed["sha256"].str[::-1])
    )
    (plan,) = external(cohort, others, FinetuneConfig(), 0)
    assert (plan.key, plan.fold) == (None, "")
    assert not set(plan.training.patient_ids) & set(plan.validation.patient_ids)


def test_one_outcome_among_the_images_is_named(tuned: Tuned) -> None:
    study = tuned.study
    patients = study.cohort.patients.assign(outcome=0.0)
    one = dataclasses.replace(study.cohort, patients=patients)
    with pytest.raises(DataError, match=r"repeat 0, fold 0.*one outcome only"):
        per_fold(one, study.groups, study.folds, FinetuneConfig(), 0)


@pytest.fixture(scope="module")
def all_patients_encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Encoder]:
    """THE MISTAKE: one encoder, fine-tuned on all patients, the later test patients among them.

    The images show nothing of the outcome (its effect is 0), so every AUROC above one half is
    made of leakage.
    """
    folder = tmp_path_factory.mktemp("mistake")
    study = study_in(folder, effect=0.0)
    cohort = study.cohort
    outcome = cohort.patients.set_index("patient_id")["outcome"]
    images = cohort.images.sort_values("image_id")
    validates = images["patient_id"].isin(sorted(set(images["patient_id"]))[:14]).to_numpy()

    def samples(part: pd.DataFrame) -> TrainingSamples:
        return TrainingSamples(
            part["image_id"].to_numpy(dtype=object),
            part["patient_id"].to_numpy(dtype=object),
            part["path"].to_numpy(dtype=object),
            part["sha256"].to_numpy(dtype=object),
            outcome.loc[part["patient_id"]].to_numpy(dtype=np.float32),
        )

    config = FinetuneConfig(
        epochs=25, patience=25, batch_size=16, learning_rate=3e-3, head_learning_rate=3e-3,
        layer_decay=1.0, warmup_epochs=0, ema_decay=0, label_smoothing=0, weight_decay=0,
        plateau_patience=1000, threads=1, augment=PLAIN,
    )  # fmt: skip
    backbone = BackboneConfig(name="test_efficientnet", weights="random", image_size=32)
    # The epoch is selected on patients that are trained on too, as the mistake is made: once as
    # themselves, and once more under another name.
    copies = images[validates].assign(
        image_id="copy " + images["image_id"], patient_id="copy " + images["patient_id"]
    )
    shadow = samples(images[validates])
    validation = dataclasses.replace(
        shadow,
        image_ids=copies["image_id"].to_numpy(dtype=object),
        patient_ids=copies["patient_id"].to_numpy(dtype=object),
    )
    result = finetune(
        samples(images), validation, backbone, config, 0, Workplace(Path(), folder / "mistake")
    )
    tuned = backbone.model_copy(update={"weights": str(result.weights)})
    plan = plan_compute("cpu", 32)
    with one_torch_thread():
        patients = tuple(sorted(set(images["patient_id"])))
        encoder = Encoder(load_backbone(tuned, 0, Path()), plan, patients)
    return study, encoder


def out_of_fold_auroc(study: Study, embeddings: np.ndarray) -> float:
    """AUROC of a ridge logistic regression on embeddings, over the study's own folds."""
    table = study.features(0, 0)
    ids, y, scores = [], [], []
    for key in study.folds.keys:
        train = np.isin(table.patient_ids.astype(str), sorted(side(study, key, "train")))
        model = LogisticRegression(C=0.01, max_iter=2000)
        model.fit(embeddings[train], table.y[train])
        ids.append(table.patient_ids[~train])
        y.append(table.y[~train])
        scores.append(model.predict_proba(embeddings[~train])[:, 1])
    _, truth, score = by_patient(*(np.concatenate(part) for part in (ids, y, scores)))
    return float(metrics.auroc(truth, score).item())


@pytest.mark.slow
def test_the_mistake_inflates_and_is_refused(
    all_patients_encoder: tuple[Study, Encoder],
) -> None:
    study, encoder = all_patients_encoder
    images = study.cohort.images[["image_id", "path", "sha256"]]
    extract = study.config.extract
    embed_images(images, study.store, [encoder], plan_compute("cpu", 32), extract, Path())
    rows = study.features(0, 0)
    digests = study.cohort.images.set_index("image_id").loc[rows.row_ids, "sha256"].tolist()
    frozen = out_of_fold_auroc(study, rows.embeddings["test_efficientnet"])
    honest = out_of_fold_auroc_of_arm(study, "logistic_regression[tuned]")
    mistaken = out_of_fold_auroc(study, study.store.read(encoder.identity, digests))
    assert mistaken > 0.9
    assert frozen < 0.68
    assert honest < 0.68
    with pytest.raises(LeakageError, match="was trained on"):
        study._reader.read({"one": encoder.identity}, sorted(side(study, (0, 0), "test")), "0/0")


def out_of_fold_auroc_of_arm(study: Study, arm: str) -> float:
    predictions = study.ablate()
    rows = predictions[predictions["arm"] == arm]
    return float(metrics.auroc(rows["y"].to_numpy(), rows["score"].to_numpy()).item())
