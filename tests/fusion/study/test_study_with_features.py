"""A study whose embeddings came from elsewhere: no picture, no network, the same rules."""

from __future__ import annotations

import importlib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from featurestore.errors import ConfigError, LeakageError
from fusion.features.table import shared_within
from fusion.models import make_model
from fusion.models.attention_head import top_tiles
from fusion.start.doctor import examine
from fusion.study.study import Study

N = 60
CONFIG = {
    "name": "slides",
    "cohort": {
        "outcome": {"name": "event", "column": "event", "as_of_time": "diagnosis"},
        "sources": [
            {
                "kind": "table",
                "path": "patients.csv",
                "id": "id",
                "columns": {"age": {"source": "age", "kind": "numeric", "measured": "diagnosis"}},
                "labels": {"event": "event"},
            }
        ],
    },
    "embeddings": [
        {"name": "uni", "path": "tiles/*.h5", "patient_from": "slides.csv", "pool": "none"},
        {"name": "hif", "path": "hif.csv", "id": "slide", "patient": "case", "columns": ["f*"]},
    ],
    "folds": {"n_folds": 2},
    "ablation": {
        "models": ["logistic_regression"],
        "arms": [
            {"model": "rank_average"},
            {"model": "fusion_head_attention", "modalities": ["uni", "clinical"]},
        ],
        "head": {"projection": 4, "hidden": [4], "epochs": 2, "ensemble": 1},
        "bootstrap_draws": 200,
        "jobs": 1,
    },
    "export": {"formats": ["csv"], "embeddings": "raw"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 patients; the first ten have two slides, the last five none; hif knows every other."""
    base = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    event = np.arange(N) % 2
    ids = [f"p{k:02d}" for k in range(N)]
    age = 60 + rng.normal(size=N).round(3)
    pd.DataFrame({"id": ids, "age": age, "event": event}).to_csv(base / "patients.csv", index=False)
    owners = [(f"s{k:02d}a", k) for k in range(N - 5)] + [(f"s{k:02d}b", k) for k in range(10)]
    slides = pd.DataFrame({"slide": [s for s, _ in owners], "patient": [ids[k] for _, k in owners]})
    slides.to_csv(base / "slides.csv", index=False)
    (base / "tiles").mkdir()
    hif = []
    for name, k in owners:
        tiles = rng.normal(size=(6, 4)).astype(np.float32)
        tiles[:, 0] += 2 * event[k]
        with h5py.File(base / "tiles" / f"{name}.h5", "w") as file:
            file["features"], file["coords"] = tiles, np.zeros((6, 2))
        if k % 2 and name.endswith("a"):
            hif.append({"slide": name, "case": ids[k], "f_a": rng.normal(), "f_b": rng.normal()})
    for k in (0, 2, 4):
        hif.append({"slide": f"s{k:02d}a", "case": ids[k], "f_a": 0.1 * k, "f_b": rng.normal()})
    pd.DataFrame(hif).to_csv(base / "hif.csv", index=False)
    (base / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return base


@pytest.fixture(scope="module")
def done(folder: Path) -> Study:
    study = Study.open(folder / "config.yaml", folder / "out")
    study.run()
    return study


def test_an_embedding_from_elsewhere_is_a_modality_by_its_name(done: Study) -> None:
    arms = {a.arm for a in done.evidence(done.ablate()).arms}
    assert {f"logistic_regression[{m}]" for m in ("uni", "hif", "clinical", "all")} <= arms
    assert {"rank_average[all]", "fusion_head_attention[uni+clinical]"} <= arms


def test_the_signal_that_was_planted_is_found(done: Study) -> None:
    by_arm = {a.arm: a.metrics["auroc"].value for a in done.evidence(done.ablate()).arms}
    assert by_arm["logistic_regression[uni]"] > 0.9
    assert by_arm["logistic_regression[clinical]"] < 0.75


def test_rows_are_slides_and_hold_what_was_imported(done: Study, folder: Path) -> None:
    table = done.features(0, 0)
    assert len(table) == N + 10
    assert (table.row_ids == "s03a").sum() == 1
    with h5py.File(folder / "tiles" / "s03a.h5", "r") as file:
        pooled = file["features"][:].astype(np.float64).mean(axis=0).astype(np.float32)
    np.testing.assert_array_equal(table.embeddings["uni"][table.row_ids == "s03a"][0], pooled)
    without = np.isin(table.patient_ids, [f"p{k}" for k in range(55, 60)])
    assert np.isnan(table.embeddings["uni"][without]).all()
    assert not np.isnan(table.embeddings["uni"][~without]).any()
    # A slide without hif of a patient who has another with it takes that one's.
    np.testing.assert_array_equal(
        table.embeddings["hif"][table.row_ids == "s02b"],
        table.embeddings["hif"][table.row_ids == "s02a"],
    )
    (key,) = table.bags["uni"].keys[table.row_ids == "s03a"][0]
    assert table.bags["uni"].files.read(key).shape == (6, 4)
    assert [len(keys) for keys in table.bags["uni"].keys[without]] == [0] * 5
    assert table.files is not None
    assert set(table.files.sha256s) == {""}


def test_the_report_warns_of_encoders_that_nobody_knows(done: Study) -> None:
    evidence = done.evidence(done.ablate())
    said = [f.text for f in evidence.findings if f.level == "warning"]
    for name in ("hif", "uni"):
        assert any(text.startswith(f"Embeddings {name} came from elsewhere, and") for text in said)
    assert any(r.check.name == "encoder_training" for r in done.audit().fired)
    assert (evidence.run.n_images, evidence.run.n_slides) == (0, 65)
    assert "65 slides" in (done.paths.report / "report.md").read_text()
    assert {e.trained for e in evidence.run.encoders} == {"unknown"}


def test_a_stated_encoder_is_no_finding(folder: Path) -> None:
    known = [f"embeddings.{k}.trained_on=none" for k in range(2)]
    study = Study.open(folder / "config.yaml", folder / "known", overrides=known)
    study.extract()
    results = study.audit(study.ablate()).results
    (result,) = [r for r in results if r.check.name == "encoder_training"]
    assert result.status == "clear"


def test_patients_that_the_encoder_has_seen_are_refused(folder: Path) -> None:
    listed = ["embeddings.0.trained_on=[P03, x]"]
    study = Study.open(folder / "config.yaml", folder / "seen", overrides=listed)
    with pytest.raises(LeakageError, match=r"uni, .* was trained on 1 of those to be scored: p03"):
        study.ablate()


def test_exports_hold_the_embeddings(done: Study) -> None:
    table = pd.read_csv(done.paths.export / "embeddings_uni.csv")
    assert len(table) == N + 10 - 5
    images = pd.read_csv(done.paths.export / "images.csv")
    assert set(images["source"]) == {"features uni", "features uni, hif"}


def test_a_fitted_model_says_which_tiles_it_looked_at(done: Study) -> None:
    """As docs/embeddings.md has it."""
    table = done.features(repeat=0, fold=0)
    arm = next(arm for arm in done.arms if arm.model == "fusion_head_attention")
    training = table.of_patients(done.folds.training((0, 0)))
    model = make_model(arm, done.config.ablation).fit(training, seed=0)
    test = table.of_patients(done.folds.test((0, 0)))
    weights = model.attention_weights(test)["uni"]
    slides = test.bags["uni"].present
    assert [len(own) for own in weights] == [6 * int(present) for present in slides]
    assert len(top_tiles(weights[int(np.flatnonzero(slides)[0])], 5)) == 5


def test_a_bundle_is_refused_with_the_reason(done: Study, folder: Path) -> None:
    make = importlib.import_module("fusion.bundle.make")
    with pytest.raises(ConfigError, match=r"the baseline .* \(it looks at hif, uni, which came"):
        make.fit_bundle(done, folder / "bundle")
    with pytest.raises(ConfigError, match=r"\[uni\]' cannot be bundled \(it looks at uni"):
        make.fit_bundle(done, folder / "bundle", ["logistic_regression[uni]"])


def test_the_same_run_again_imports_nothing(done: Study, folder: Path) -> None:
    again = Study.open(folder / "config.yaml", folder / "out")
    assert {n: (i.embedded, i.reused) for n, i in again.imported.items()} == {
        "uni": (0, 65),
        "hif": (0, 30),
    }
    assert again.cohort.digest() == done.cohort.digest()


def test_an_arm_that_trains_encoders_is_refused_before_anything_is_done(folder: Path) -> None:
    joint = ["ablation.arms=[{model: joint, modalities: [uni, clinical]}]"]
    study = Study.open(folder / "config.yaml", folder / "joint", overrides=joint)
    with pytest.raises(ConfigError, match=r"joint\[uni\+clinical\] trains encoders"):
        study.extract()


def test_attention_needs_bags_that_are_kept(folder: Path) -> None:
    pooled = ["embeddings.0.pool=mean"]
    study = Study.open(folder / "config.yaml", folder / "pooled", overrides=pooled)
    with pytest.raises(ConfigError, match=r"\[uni\+clinical\] attends over tiles, and no embedd"):
        study.extract()


def test_the_doctor_looks_for_the_files(folder: Path) -> None:
    found = [e.finding for e in examine(folder / "config.yaml") if e.check == "features"]
    assert [(f.status, f.text.partition(";")[0]) for f in found] == [
        ("warn", "uni: 65 trident files"),
        ("warn", "hif: 1 csv file"),
    ]


def test_names_must_differ(folder: Path) -> None:
    with pytest.raises(ConfigError, match="two embeddings are called 'uni'"):
        Study.open(folder / "config.yaml", folder / "x", overrides=["embeddings.1.name=uni"])


def test_rows_share_within_a_patient_only() -> None:
    matrix = np.array([[1, 2], [np.nan] * 2, [3, 4], [np.nan] * 2, [np.nan] * 2, [5, 6]])
    filled = shared_within(matrix, np.array([0, 0, 0, 1, 1, 2]))
    np.testing.assert_array_equal(
        filled, [[1, 2], [2, 3], [3, 4], [np.nan] * 2, [np.nan] * 2, [5, 6]]
    )
