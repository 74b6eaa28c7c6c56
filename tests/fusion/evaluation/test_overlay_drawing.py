"""Grad-CAM is drawn of the right patients, by the very models that scored them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from bundle_example import Fitted, predictions_of
from PIL import Image

from featurestore.sealed import seal_of, write_sealed_text
from fusion.evaluation import overlay_drawing
from fusion.evaluation.kept_models import kept_model
from fusion.evaluation.overlay_drawing import fit_again, overlays_key, overlays_of
from fusion.evaluation.overlays import KINDS, PatientOverlay, read_overlays, save_overlays
from fusion.evaluation.tasks import split_fold
from fusion.metrics.logits import logit
from fusion.models.base import Model
from fusion.models.fusion_head import FusionHeadModel

FUSED = "fusion_head[all]"
PIXELS = 200_000_000


def drawn(tiny: Fitted, max_pixels: int = PIXELS) -> tuple[PatientOverlay, ...]:
    study = tiny.study
    tasks = study.tasks([a for a in study.arms if a.name == FUSED])
    pictured = study.cohort.images["patient_id"].astype(str)
    plan = study._plan
    return overlays_of(predictions_of(tiny), tasks, study.features, plan, pictured, max_pixels)


@pytest.fixture(scope="module")
def overlays(tiny: Fitted) -> tuple[PatientOverlay, ...]:
    return drawn(tiny)


def test_the_most_and_least_certain_are_shown_once_by_every_encoder(
    tiny: Fitted, overlays: tuple[PatientOverlay, ...]
) -> None:
    assert [(o.kind, o.rank, o.encoder) for o in overlays] == [
        (kind, rank, encoder)
        for kind in KINDS
        for rank in (0, 1)
        for encoder in ("efficientnet_b0", "resnet18")
    ]
    rows = predictions_of(tiny).query("arm == @FUSED")
    probability = rows["probability"].sort_values().to_numpy()
    by_kind = {k: [o.probability for o in overlays if o.kind == k][::2] for k in KINDS}
    assert by_kind[KINDS[0]] == [probability[-1], probability[-2]]
    assert by_kind[KINDS[2]] == [probability[0], probability[1]]
    doubt = (rows["probability"] - rows["threshold"]).abs()
    ends = rows["probability"].isin(by_kind[KINDS[0]] + by_kind[KINDS[2]])
    assert by_kind[KINDS[1]][0] == rows["probability"].loc[doubt[~ends].idxmin()]
    outcomes = rows.set_index("probability")["y"]
    assert all(o.outcome == bool(outcomes[o.probability]) for o in overlays)


def test_they_are_pictures_without_mirrored_margins(overlays: tuple[PatientOverlay, ...]) -> None:
    for overlay in overlays:
        with Image.open(io.BytesIO(overlay.png)) as image:
            assert image.format == "PNG"
            assert max(image.size) == 224
            assert image.size[0] != image.size[1]


def test_the_model_is_the_one_that_scored_the_patients(tiny: Fitted) -> None:
    study = tiny.study
    task = study.tasks([a for a in study.arms if a.name == FUSED])[1]
    table = study.features(task.repeat, task.fold)
    training, test = split_fold(table, task.training_patients, task.test_patients)
    model = cast(Model, fit_again(task, training, study.config.ablation))
    scores = pd.Series(logit(model.predict_proba(test)), index=test.patient_ids.astype(str))
    rows = predictions_of(tiny).query("arm == @FUSED and fold == @task.fold")
    expected = rows.set_index("patient_id")["score"]
    found = scores.groupby(level=0).mean().loc[expected.index]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_no_head_is_fitted_twice_and_kept_ones_draw_what_others_would(
    tiny: Fitted, overlays: tuple[PatientOverlay, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("fitted again")

    with monkeypatch.context() as patch:
        patch.setattr(overlay_drawing, "fit_again", refused)
        assert drawn(tiny) == overlays
    monkeypatch.setattr(overlay_drawing, "kept_model", lambda *_: None)
    assert drawn(tiny) == overlays


def test_models_are_kept_of_what_is_drawn_and_of_nothing_else(tiny: Fitted) -> None:
    study = tiny.study
    kept = {path.stem for path in study._plan.parts.glob("*.safetensors")}
    assert kept == {task.digest for task in study.tasks(study.arms) if task.arm.name == FUSED}


def test_a_kept_model_of_another_fit_is_none(tiny: Fitted, tmp_path: Path) -> None:
    kept = sorted(tiny.study._plan.parts.glob("*.safetensors"))[0]
    assert kept_model(FusionHeadModel, kept.stem, kept.parent) is not None
    (tmp_path / "ab.safetensors").write_bytes(kept.read_bytes())
    seal_of(tmp_path / "ab.safetensors").write_text(
        seal_of(kept).read_text().replace(kept.name, "ab.safetensors")
    )
    assert kept_model(FusionHeadModel, "ab", tmp_path) is None
    assert kept_model(FusionHeadModel, "absent", tmp_path) is None


def test_the_same_again(tiny: Fitted, overlays: tuple[PatientOverlay, ...]) -> None:
    assert drawn(tiny) == overlays


def test_a_picture_that_cannot_be_shown_is_a_line(
    tiny: Fitted, overlays: tuple[PatientOverlay, ...], tmp_path: Path
) -> None:
    found = drawn(tiny, max_pixels=100)
    assert [(o.kind, o.rank, o.encoder) for o in found] == [
        (o.kind, o.rank, o.encoder) for o in overlays
    ]
    assert {o.png for o in found} == {b""}
    assert {o.reason for o in found} == {"larger than 0.0001 megapixels"}
    save_overlays(found, "k", tmp_path / "overlays.json")
    assert read_overlays(tmp_path / "overlays.json", "k") == found


def test_a_file_that_went_is_a_line(
    tiny: Fitted, overlays: tuple[PatientOverlay, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: Path) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "read_bytes", gone)
    found = drawn(tiny)
    assert len(found) == len(overlays)
    assert {o.reason for o in found} == {"no such file"}, "without the path"


def test_an_arm_without_gradient_has_none(tiny: Fitted) -> None:
    study = tiny.study
    tasks = study.tasks([a for a in study.arms if a.name == "lightgbm[clinical]"])
    rows, plan = predictions_of(tiny), study._plan
    assert overlays_of(rows, tasks, study.features, plan, ["P0000"], PIXELS) == ()


def test_the_key_knows_predictions_and_number(tiny: Fitted) -> None:
    study, rows = tiny.study, predictions_of(tiny)
    tasks = study.tasks([a for a in study.arms if a.name == FUSED])
    other = rows.assign(probability=rows["probability"] * 0.5)
    keys = {
        overlays_key(rows, tasks, 2, PIXELS),
        overlays_key(rows, tasks, 1, PIXELS),
        overlays_key(other, tasks, 2, PIXELS),
        overlays_key(rows, tasks, 2, PIXELS // 2),
    }
    assert len(keys) == 4


def test_saved_overlays_are_read_again(
    overlays: tuple[PatientOverlay, ...], tmp_path: Path
) -> None:
    path = tmp_path / "overlays.json"
    save_overlays(overlays, "k", path)
    assert read_overlays(path) == overlays
    assert read_overlays(path, "k") == overlays
    assert read_overlays(path, "other") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"key": "k", "overlays": [{}]}',
        '{"key": "k", "overlays": 1}',
        '{"key": "k", "overlays": [{"kind": "a", "rank": 0, "probability": 0.5, '
        '"outcome": true, "encoder": "e", "png": "!"}]}',
    ],
)
def test_damaged_files_are_no_overlays(content: str, tmp_path: Path) -> None:
    path = tmp_path / "overlays.json"
    assert read_overlays(path) is None
    write_sealed_text(path, content)
    assert read_overlays(path) is None
