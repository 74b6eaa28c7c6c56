"""One patient at a time: what was given, what was missing, and what is to be trusted less."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_example import Fitted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scans_example import scanned_jpeg

from featurestore.errors import DataError
from fusion.predict import Predictor, prediction_record
from fusion.predict.cases import check_case
from fusion.predict.explain import explain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor(tiny: Fitted) -> Predictor:
    """The tiny bundle at work."""
    return Predictor.load(tiny.bundle)


@pytest.fixture(scope="module")
def patient(tiny: Fitted) -> str:
    """A patient with all values and an image."""
    patients = tiny.study.cohort.patients
    return str(patients.loc[patients.notna().all(axis=1), "patient_id"].iloc[0])


def test_image_only_values_only_and_both(tiny: Fitted, predictor: Predictor, patient: str) -> None:
    values, images = tiny.values_of(patient), tiny.images_of(patient)
    both, image, columns = predictor.predict(
        [
            predictor.case(values, images),
            predictor.case({}, images),
            predictor.case(values),
        ]
    )
    assert both.score.used == ("resnet18", "efficientnet_b0", "clinical", "expression")
    assert both.missing == ()
    assert both.imputed == {}
    assert image.score.used == ("resnet18", "efficientnet_b0")
    assert image.score.absent == ("clinical", "expression")
    assert image.imputed == {}  # a mask stands for a modality that is wholly missing
    assert columns.score.used == ("clinical", "expression")
    assert columns.distances == ()
    assert len({both.score.probability, image.score.probability, columns.score.probability}) == 3
    assert [o.arm for o in both.others] == ["logistic_regression[all]", "lightgbm[clinical]"]
    assert [o.arm for o in image.others] == ["logistic_regression[all]"]
    for prediction in (both, image, columns):
        score = prediction.score
        assert score.low is not None
        assert score.high is not None
        assert 0 < score.low < score.probability < score.high < 1
        assert score.ensemble is not None
        assert score.ensemble[0] <= score.probability <= score.ensemble[1]


def test_bytes_and_files_give_the_same_and_order_does_not_matter(
    tiny: Fitted, predictor: Predictor
) -> None:
    images = tiny.study.cohort.images
    several = images["patient_id"].value_counts().index[0]
    files = tiny.images_of(str(several))
    assert len(files) > 1
    by_file = predictor.predict([predictor.case({}, files)])[0]
    by_bytes = predictor.predict([predictor.case({}, [f.read_bytes() for f in files])])[0]
    assert by_file.score == by_bytes.score
    turned = predictor.predict([predictor.case({}, files[::-1])])[0]
    assert turned.score.probability == pytest.approx(by_file.score.probability, abs=1e-7)


def test_a_score_does_not_depend_on_its_company(tiny: Fitted, predictor: Predictor) -> None:
    patients = tiny.study.cohort.patients["patient_id"].tolist()[:9]
    cases = [predictor.case(tiny.values_of(p), tiny.images_of(p), p) for p in patients]
    together = predictor.predict(cases)
    assert [predictor.predict([case])[0] for case in cases] == together
    assert predictor.predict(cases[::-1])[::-1] == together


def test_unusual_values_are_flagged_and_others_are_not(predictor: Predictor) -> None:
    case = predictor.case({"age": 99, "body_site": "Toe", "stage": "stage iib", "braf": "yes"})
    assert [(f.kind, f.what) for f in case.flags] == [
        ("out_of_range", "age"),
        ("unknown_level", "body_site"),
    ]
    assert case.values["stage"] == "Stage IIB"
    assert case.values["braf"] == 1.0
    prediction = predictor.predict([case])[0]
    assert "body_site" not in prediction.missing
    assert "body_site" in prediction.imputed
    assert prediction.imputed["ulceration"] == 0.0
    assert "age" not in prediction.imputed
    record = prediction_record(prediction, predictor.bundle)
    json.dumps(record, allow_nan=False)
    assert record["disclaimer"].startswith("For research use only")
    assert record["watermark"].startswith("SYNTHETIC DATA")
    assert record["bundle"] == predictor.bundle.digest


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"breslo": 2}, "did you mean 'breslow'"),
        ({"age": "old"}, "age: 'old' is not a number years"),
        ({"age": -3}, "cannot be meant"),
        ({"breslow": 2500}, "values from 0 to"),
        ({"age": 1e308}, "cannot be meant"),
        ({"age": float("inf")}, "not a number"),
        ({"age": 10**400}, "not a number"),
        ({"age": True}, "not a number"),
        ({"age": [1]}, "a list is not a number"),
        ({"age": {"a": 1}}, "a dict is not a number"),
        ({"braf": 2}, "yes or no"),
        ({"braf": "perhaps"}, "yes or no"),
        ({"sex": ["Male"]}, "not a level"),
        ({"sex": "x" * 999}, "longer than"),
        ({}, "nothing was given"),
        ({"age": None, "sex": " NA "}, "nothing was given"),
    ],
)
def test_absurd_values_are_one_line(
    predictor: Predictor, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said.replace("(", r"\(")) as caught:
        predictor.case(values)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_json_is_checked_or_refused(data: st.DataObject, predictor: Predictor) -> None:
    record = predictor.bundle.record
    names = st.sampled_from([c.name for c in record.inputs]) | st.text(max_size=12)
    values = data.draw(st.dictionaries(names, WILD, max_size=6))
    try:
        case = check_case(record, values)
    except DataError as error:
        said = str(error)
        assert "\n" not in said
        return
    assert all(isinstance(v, str) or math.isfinite(v) for v in case.values.values())


def _png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind", ["empty", "junk", "truncated", "oversized", "scans", "missing", "folder"]
)
def test_images_that_cannot_be_used_are_one_line(
    kind: str, tiny: Fitted, predictor: Predictor, patient: str, tmp_path: Path
) -> None:
    good = tiny.images_of(patient)[0].read_bytes()
    huge = _png((30_000, 8_000), "1")
    source: Any = {
        "empty": b"",
        "junk": b"no image at all",
        "truncated": good[: len(good) // 2],
        "oversized": huge,
        "scans": scanned_jpeg(8000, (1000, 1000)),
        "missing": tmp_path / "none.jpg",
        "folder": tmp_path,
    }[kind]
    with pytest.raises(DataError, match="image") as caught:
        predictor.predict([predictor.case({}, [source])])
    assert "\n" not in str(caught.value)


def test_a_picture_of_another_kind_is_flagged(predictor: Predictor) -> None:
    noise = np.random.default_rng(0).integers(0, 255, size=(128, 160, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    prediction = predictor.predict([predictor.case({}, [buffer.getvalue()])])[0]
    assert prediction_record(prediction, predictor.bundle)["out_of_distribution"]
    assert {f.kind for f in prediction.flags} == {"out_of_distribution"}


def test_an_arm_that_knows_nothing_of_the_patient_says_so(tiny: Fitted, tmp_path: Path) -> None:
    from fusion.bundle.make import fit_bundle

    fit_bundle(tiny.study, tmp_path / "clinical.zip", ["lightgbm[clinical]"], replicates=0)
    predictor = Predictor.load(tmp_path / "clinical.zip")
    assert predictor.bundle.record.encoders == ()
    with pytest.raises(DataError, match="looks at clinical, of which nothing was given"):
        predictor.predict([predictor.case({}, [b"any"])])
    scored = predictor.predict([predictor.case({"age": 50}, [b"not even looked at"])])[0]
    assert scored.score.low is None  # without replicates there is no interval
    assert scored.score.ensemble is None
    assert len(predictor.bundle.record.inputs) == 10


def test_explanations_name_every_input_and_draw_both_backbones(
    tiny: Fitted, predictor: Predictor, patient: str
) -> None:
    case = predictor.case(tiny.values_of(patient), tiny.images_of(patient)[:1])
    explanation = explain(predictor, predictor.prepare(case))
    assert [o.encoder for o in explanation.overlays] == ["resnet18", "efficientnet_b0"]
    for one in explanation.overlays:
        assert max(Image.open(io.BytesIO(one.png)).size) == 448
    kinds = [c.kind for c in explanation.contributions]
    assert kinds.count("image") == 2
    assert kinds.count("group") == 1
    assert kinds.count("value") == 10
    sizes = [abs(c.change) for c in explanation.contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0
