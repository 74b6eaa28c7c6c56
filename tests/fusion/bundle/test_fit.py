"""From a study to a bundle: which arms, on whom, and what it says about itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bundle_example import ARMS, Fitted, predictions_of
from door_example import called
from locations import ROOT

from featurestore.errors import ConfigError, DataError
from fusion import metrics
from fusion.arms import Arm, Modality
from fusion.bundle import read_bundle
from fusion.bundle.fitting import fit_arms, resample
from fusion.bundle.make import choose_arms, fit_bundle
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.predict import Predictor
from fusion.study.study import Study

ONE = (Modality("net", embeddings=("net",)),)
TWO = (*ONE, Modality("clinical", groups=("clinical",)))


def arms(*pairs: tuple[str, tuple[Modality, ...]]) -> tuple[Arm, ...]:
    return tuple(Arm(f"{model}[{len(m)}]", model, m) for model, m in pairs)


def test_the_reference_arm_and_the_widest_trees_are_chosen() -> None:
    planned = arms(("lightgbm", ONE), ("lightgbm", TWO), ("fusion_head", TWO), ("svm", TWO))
    named = [a.name for a in choose_arms(planned, "fusion_head[2]")]
    assert named == ["fusion_head[2]", "lightgbm[2]"]
    assert [a.name for a in choose_arms(planned, "lightgbm[2]")] == ["lightgbm[2]", "lightgbm[1]"]
    assert [a.name for a in choose_arms(planned, "svm[2]", ["lightgbm[1]"])] == ["lightgbm[1]"]
    with pytest.raises(ConfigError, match=r"svm.* cannot be bundled; choose one with --arm"):
        choose_arms(planned, "svm[2]")
    for wanted, said in (
        (["svm[2]"], "cannot be bundled"),
        (["magic"], "is no arm"),
        (["lightgbm[1]"] * 2, "twice"),
    ):
        with pytest.raises(ConfigError, match=said):
            choose_arms(planned, "lightgbm[2]", wanted)


def test_a_draw_takes_whole_groups_and_keeps_copies_apart(table: FeatureTable) -> None:
    drawn = resample(table, np.random.default_rng(0))
    owner = np.array([p.partition("#")[0] for p in drawn.patient_ids])
    assert len(set(drawn.row_ids)) == len(drawn)
    assert set(owner) < set(table.patient_ids)
    assert 0.55 < len(set(owner)) / len(set(table.patient_ids)) < 0.7
    rows_of = {p: int((table.patient_ids == p).sum()) for p in set(owner)}
    for patient in set(drawn.patient_ids):
        whose = patient.partition("#")[0]
        assert (drawn.patient_ids == patient).sum() == rows_of[whose]
        assert set(drawn.groups[drawn.patient_ids == patient]) == {whose}


def test_replicates_differ_and_are_the_same_again(
    table: FeatureTable, modalities: tuple[Modality, ...]
) -> None:
    config = AblationConfig.model_validate(
        {"tuning": {"trials": 2, "inner_folds": 2}, "metadata": {"embedding_components": 4}}
    )
    arm = Arm("trees", "lightgbm", modalities)
    first, again = (fit_arms(table, (arm,), config, 5, replicates=2)[0] for _ in range(2))
    drawn = [r.predict_proba(table) for r in first.replicates]
    assert not np.allclose(drawn[0], drawn[1])
    for a, b in zip(first.replicates, again.replicates, strict=True):
        assert a.predict_proba(table).tobytes() == b.predict_proba(table).tobytes()
    assert first.replicates[0].choices_["parameters"] == first.model.choices_["parameters"]
    with pytest.raises(ConfigError, match="random_forest cannot be bundled"):
        fit_arms(table, (Arm("f", "random_forest", modalities),), config, 0)
    with pytest.raises(DataError):
        fit_arms(table.take(table.y == 1), (arm,), config, 0)


@pytest.mark.slow
def test_a_bundle_says_what_the_study_measured(tiny: Fitted) -> None:
    record = read_bundle(tiny.bundle).record
    predictions = predictions_of(tiny)
    assert [m.arm for m in record.models] == list(ARMS)
    for model in record.models:
        own = predictions[predictions["arm"] == model.arm]
        auroc = float(metrics.auroc(own["y"].to_numpy(float), own["score"].to_numpy())[0])
        stated = model.performance.metrics["auroc"]
        assert stated.value == pytest.approx(auroc)
        assert stated.low is not None
        assert stated.low < auroc < (stated.high or 0)
        assert "measured on nobody" in model.performance.what
    assert record.cohort.patients == tiny.study.cohort.n_patients
    assert record.watermark.startswith("SYNTHETIC")
    assert any("random weights" in f.text for f in record.findings)
    columns = {c.name: c for c in record.inputs}
    ages = tiny.study.cohort.patients["age"]
    assert columns["age"].training_range == (ages.min(), ages.max())
    assert columns["age"].typical == ages.median()
    assert columns["breslow"].unit == "mm"
    assert columns["stage"].levels[0] == "Stage IA"
    assert "metastasis" not in columns


@pytest.mark.slow
def test_a_bundle_names_no_patient_and_no_place(tiny: Fitted) -> None:
    bundle = read_bundle(tiny.bundle)
    assert {f.level for f in bundle.record.findings} <= {"invalidates", "warning"}
    whole = b"".join(bundle.contents.values()) + (tiny.bundle / "bundle.json").read_bytes()
    cohort = tiny.study.cohort
    ids = [*cohort.patients["patient_id"], *cohort.images["image_id"]]
    assert re.search("|".join(map(re.escape, ids)).encode(), whole) is None
    assert str(tiny.out).encode() not in whole
    assert {Path(name).suffix for name in bundle.contents} == {".json", ".safetensors", ".txt"}


@pytest.mark.slow
def test_fit_is_the_same_again_and_never_overwrites(tiny: Fitted, tmp_path: Path) -> None:
    made = fit_bundle(tiny.study, tmp_path / "again.zip", ARMS, replicates=3)
    assert made.digest == read_bundle(tiny.bundle).digest
    config = ROOT / "tests" / "tiny.yaml"
    done = called("fit", config, "--run", tiny.out, "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "exists" in done.stderr


@pytest.mark.slow
def test_fine_tuned_encoders_learn_from_everyone_and_come_along(tmp_path: Path) -> None:
    backbone = {"name": "test_resnet", "weights": "random", "image_size": 32}  # a tiny one of timm
    finetune = {"backbones": [backbone], "epochs": 1, "batch_size": 32, "views": 1, "threads": 1}
    study = Study.open(
        ROOT / "tests" / "tiny.yaml",
        out=tmp_path / "run",
        overrides=[
            "cohort.sources.0.image_pixels=[64, 72]",
            f"extract.backbones={json.dumps([backbone])}",
            f"finetune={json.dumps(finetune)}",
            "ablation.subsets=[[test_resnet_ft, clinical]]",
            "ablation.models=[fusion_head]",
            "ablation.arms=[]",
            "ablation.reference=null",
        ],
    )
    made = fit_bundle(study, tmp_path / "b.zip", replicates=0)
    (encoder,) = made.record.encoders
    assert encoder.name == "test_resnet_ft"
    assert encoder.training_digest
    identity = study.final_features().identities["test_resnet_ft"]
    assert identity.weights_sha256 == encoder.weights_sha256
    assert set(identity.training_patients) == set(study.cohort.images["patient_id"])
    predictor = Predictor.load(tmp_path / "b.zip")
    image = study.data_root / study.cohort.images["path"].iloc[0]
    scored = predictor.predict([predictor.case({}, [image])])[0]
    assert scored.score.used == ("test_resnet_ft",)
    cached = study.store.read(identity, [study.cohort.images["sha256"].iloc[0]])
    batch = predictor.batch([predictor.prepare(predictor.case({}, [image]))])
    assert batch.table.embeddings["test_resnet_ft"].tobytes() == cached.tobytes()
