"""A bundle that tells roles of images apart: each new image says its role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from roles_example import LACKING
from serve_example import multipart, running, send

import cli
from featurestore.errors import ConfigError, DataError
from fusion.arms import Arm, Modality
from fusion.bundle.archive import read_bundle
from fusion.bundle.make import choose_arms, fit_bundle
from fusion.predict import Predictor
from fusion.predict.explain import explain
from fusion.predict.external import validate
from fusion.predict.reading import Refusal, read_cases
from fusion.serve.app import make_app
from fusion.study.study import Study

pytestmark = pytest.mark.slow

ARMS = ("fusion_head[all]", "lightgbm[derm]")


@pytest.fixture(scope="module")
def bundle(by_role: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "roles.zip"
    fit_bundle(by_role, out, ARMS, replicates=1)
    return out


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)


@pytest.fixture(scope="module")
def images(by_role: Study) -> dict[str, Path]:
    """The image of each role of one case."""
    own = by_role.cohort.images
    own = own[own["patient_id"] == "case 1"]
    paths = [by_role.data_root / path for path in own["path"]]
    return dict(zip(own["image_role"], paths, strict=True))


def test_a_bundle_says_the_roles_that_it_takes(bundle: Path) -> None:
    record = read_bundle(bundle).record
    assert record.format == 4
    assert record.image.roles == ("close-up", "dermoscopic")
    assert {(n.encoder, n.role, n.images) for n in record.novelty} == {
        ("resnet18", "close-up", 39),
        ("resnet18", "dermoscopic", 40),
    }


def test_a_score_is_the_fitted_models_own(
    by_role: Study, predictor: Predictor, images: dict[str, Path]
) -> None:
    """Through files, decoding and encoders as through the features that the fit has seen."""
    case = predictor.case({}, list(images.values()), roles=list(images))
    table = by_role.final_features().table
    rows = table.of_patients(["case 1"])
    unknown = rows.columns.copy()
    for name in unknown:
        text = rows.dictionary[name].kind in ("ordinal", "nominal")
        unknown[name] = pd.Series(None if text else np.nan, unknown.index, dtype=object)
    blank = type(rows)(**{**vars(rows), "columns": unknown})
    expected = predictor.arms[0].model.predict_proba(blank).mean()
    batch = predictor.batch([predictor.prepare(case)])
    found = predictor.arms[0].model.predict_proba(batch.table)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_lesion_without_a_role_lacks_the_modality(
    predictor: Predictor, images: dict[str, Path]
) -> None:
    closeup = predictor.case({}, [images["close-up"]], roles=["close-up"])
    (only,) = predictor.predict([closeup])
    assert only.score.used == ("clinic",)
    assert only.score.absent == ("derm", "clinical")
    assert only.others == ()  # lightgbm[derm] knows nothing of it
    assert [d.image for d in only.distances] == [images["close-up"].name]
    both = predictor.case({}, list(images.values()), roles=list(images))
    (whole,) = predictor.predict([both])
    assert whole.score.used == ("clinic", "derm")
    assert len(whole.distances) == 2


def test_roles_are_not_exchangeable(predictor: Predictor, images: dict[str, Path]) -> None:
    files, roles = list(images.values()), list(images)
    right, wrong = predictor.predict(
        [
            predictor.case({}, files, roles=roles),
            predictor.case({}, files, roles=roles[::-1]),
        ]
    )
    assert right.score.probability != wrong.score.probability


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ([], "images by role (close-up, dermoscopic), and none is said"),
        (["clinical", "dermoscopic"], "'clinical' is none of them"),
        (["close-up"] * 3, "3 roles of 2 images"),
    ],
)
def test_an_image_without_a_role_is_refused_in_one_line(
    predictor: Predictor, images: dict[str, Path], roles: list[str], said: str
) -> None:
    with pytest.raises(DataError) as raised:
        predictor.case({}, list(images.values()), roles=roles)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_overlays_and_contributions_are_by_role(
    predictor: Predictor, images: dict[str, Path]
) -> None:
    case = predictor.case({"sex": "male"}, list(images.values()), roles=list(images))
    found = explain(predictor, predictor.prepare(case))
    assert [o.image for o in found.overlays] == [path.name for path in images.values()]
    named = {c.name for c in found.contributions if c.kind == "image"}
    assert named == {"resnet18@close-up", "resnet18@dermoscopic"}


def test_a_table_states_the_role_of_each_image(
    predictor: Predictor, images: dict[str, Path], tmp_path: Path
) -> None:
    for role, path in images.items():
        (tmp_path / f"{role}.jpg").write_bytes(path.read_bytes())
    rows = [
        ("A", "close-up.jpg;dermoscopic.jpg", "close-up; dermoscopic"),
        ("B", "dermoscopic.jpg", "dermoscopic"),
        ("B", "close-up.jpg", "close-up"),
        ("C", "close-up.jpg", ""),
    ]
    file = tmp_path / "cases.csv"
    columns = [predictor.bundle.record.id_column, "image", "image_role"]
    pd.DataFrame(rows, columns=columns).to_csv(file, index=False)
    first, second, third = read_cases(predictor.bundle.record, [], file).cases
    assert isinstance(third, Refusal)
    assert "none is said" in third.reason
    assert not isinstance(first, Refusal)
    assert not isinstance(second, Refusal)
    assert [p.role for p in first.pictures] == ["close-up", "dermoscopic"]
    scores = [p.score.probability for p in predictor.predict([first, second])]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_the_command_takes_a_role_for_each_image(bundle: Path, images: dict[str, Path]) -> None:
    arguments = ["predict", str(bundle), "--quiet"]
    for role, path in images.items():
        arguments += ["--image", str(path), "--role", role]
    result = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["modalities"]["used"] == ["clinic", "derm"]


def test_another_cohort_is_measured_by_its_roles(by_role: Study, predictor: Predictor) -> None:
    cohort = by_role.cohort
    found = validate(predictor, cohort, draws=200, seed=0)
    assert found.refused == {}
    assert found.n == cohort.n_patients
    others = found.predictions[found.predictions["arm"] == "lightgbm[derm]"]
    assert len(others) == 40
    assert LACKING in set(found.predictions["patient_id"])


def test_the_service_has_a_place_for_each_role(
    predictor: Predictor, images: dict[str, Path]
) -> None:
    def asked(url: str, *parts: tuple[str, str]) -> tuple[int, Any]:
        body, kind = multipart([(name, "x", images[role].read_bytes()) for name, role in parts])
        status, _, answer = send(f"{url}/v1/predict", body, kind)
        return status, answer

    same = predictor.case({}, list(images.values()), roles=list(images))
    (expected,) = predictor.predict([same])
    with running(make_app(predictor)) as url:
        status, answer = asked(url, *((f"image:{role}", role) for role in images))
        assert status == 200
        assert answer["probability"] == pytest.approx(expected.score.probability)
        status, answer = asked(url, ("image", "close-up"))
        assert status == 422
        assert "the bundle takes images by role" in answer["detail"]
        _, _, page = send(f"{url}/")
        for role in images:
            assert f'data-part="image:{role}"' in page.decode()
        _, _, schema = send(f"{url}/openapi.json")
    body = schema["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert {"image:close-up", "image:dermoscopic"} <= set(body["schema"]["properties"])


def test_arms_with_and_without_roles_are_no_bundle() -> None:
    derm = Arm("svm[derm]", "lightgbm", (Modality("derm", ("net@dermoscopic",)),))
    plain = Arm("lightgbm[net]", "lightgbm", (Modality("net", ("net",)),))
    with pytest.raises(ConfigError, match="choose with --arm"):
        choose_arms([derm, plain], derm.name, [derm.name, plain.name])
