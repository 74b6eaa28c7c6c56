"""The service over real sockets: scores, refusals, limits, and nothing left behind."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import http.client
import io
import json
import os
import zlib

import pytest
from bundle_example import Fitted
from PIL import Image
from scans_example import scanned_jpeg
from serve_example import multipart, running, score, send

from fusion.predict import Predictor, prediction_record
from fusion.serve.app import make_app
from fusion.serve.limits import Limits
from fusion.serve.models import PredictionOut
from fusion.serve.page import policy

pytestmark = pytest.mark.slow


def test_the_service_scores_as_python_does(
    url: str, tiny: Fitted, predictor: Predictor, picture: bytes
) -> None:
    for patient in tiny.study.cohort.patients["patient_id"].tolist()[:4]:
        values, images = tiny.values_of(patient), tiny.images_of(patient)[:2]
        status, _, answer = score(url, [i.read_bytes() for i in images], values)
        assert status == 200
        PredictionOut.model_validate(answer, strict=True)
        own = predictor.predict([predictor.case(values, [i.read_bytes() for i in images])])[0]
        expected = prediction_record(own, predictor.bundle)
        del expected["patient_id"]
        assert answer == json.loads(json.dumps(expected))
    for images_, values_ in (([picture], None), ([], {"age": 50})):
        assert score(url, images_, values_)[0] == 200


def test_explanations_come_with_the_score(url: str, picture: bytes) -> None:
    status, _, answer = score(url, [picture], {"age": 50, "sex": "Male"}, "?explain=true")
    assert status == 200
    PredictionOut.model_validate(answer, strict=True)
    overlays = answer["explanation"]["overlays"]
    assert [o["encoder"] for o in overlays] == ["resnet18", "efficientnet_b0"]
    shown = Image.open(io.BytesIO(base64.b64decode(overlays[0]["png_base64"])))
    assert max(shown.size) == 448
    names = {c["name"] for c in answer["explanation"]["contributions"]}
    assert {"Age at diagnosis", "Sex", "resnet18"} <= names


def _png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def _bomb() -> bytes:
    """A PNG of a few kilobytes that states 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4)
        return len(data).to_bytes(4) + kind + data + crc

    header = (60_000).to_bytes(4) * 2 + bytes([1, 0, 0, 0, 0])
    data = zlib.compress(bytes(1_000_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("empty", 422),
        ("junk", 415),
        ("html", 415),
        ("svg", 415),
        ("zip", 415),
        ("eps", 415),
        ("truncated", 422),
        ("header only", 422),
        ("too many pixels", 413),
        ("bomb", 413),
        ("polyglot", 200),
        ("three", 413),
    ],
)
def test_images_of_all_kinds(kind: str, status: int, url: str, picture: bytes) -> None:
    images = {
        "empty": [b""],
        "junk": [os.urandom(500)],
        "html": [b"<html><script>alert(1)</script>"],
        "svg": [b'<svg xmlns="http://www.w3.org/2000/svg"/>'],
        "zip": [b"PK\x03\x04" + bytes(100)],
        "eps": [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(rm) run\n"],
        "truncated": [picture[: len(picture) // 2]],
        "header only": [picture[:700]],
        "too many pixels": [_png((1200, 900))],
        "bomb": [_bomb()],
        # Whatever is hung on to a picture is never looked at.
        "polyglot": [picture + b"<script>alert(1)</script>PK\x03\x04"],
        "three": [picture] * 3,
    }[kind]
    found, told, answer = score(url, images)
    assert found == status, answer
    if status != 200:
        assert told["content-type"] == "application/problem+json"
        assert answer["status"] == status
        assert "\n" not in answer["detail"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (b"{", "no JSON"),
        (b"[1]", "object"),
        (b"[" * 50_000, "no JSON"),
        (b"\xff\xfe\x00", ""),
        (b'{"age": NaN}', "NaN is no JSON; write null"),
        (b'{"age": 1e999}', "beyond the range of numbers"),
        (b'{"age": 1, "age": 2}', "'age' stands twice"),
        (b'{"sex": "\\ud800"}', "lone surrogate"),
        (b'{"age": "61; DROP TABLE"}', "not a number"),
        (b'{"ages": 61}', "did you mean"),
        (b'{"age": -40}', "cannot be meant"),
        (b'{"sex": {"a": 1}}', "not a level"),
        (b'{"age": ' + b"9" * 5000 + b"}", ""),
        (b'{"__proto__": 1}', "takes no value"),
        (b"{}", "nothing was given"),
    ],
)
def test_absurd_metadata_is_refused_in_one_line(metadata: bytes, said: str, url: str) -> None:
    body, kind = multipart([("metadata", None, metadata)])
    status, _, answer = send(f"{url}/v1/predict", body, kind)
    assert status == 422, answer
    assert said in answer["detail"]
    assert "\n" not in answer["detail"]
    assert len(answer["detail"]) < 700


def test_head_is_get_without_a_body(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    for path, status in (("/health", 200), ("/v1/schema", 200), ("/", 200), ("/none", 404)):
        with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=30)) as asked:
            asked.request("HEAD", path)
            answer = asked.getresponse()
            assert (answer.status, answer.read()) == (status, b"")


def test_schema_health_metrics_documents_and_page(url: str, predictor: Predictor) -> None:
    record = predictor.bundle.record
    status, _, schema = send(f"{url}/v1/schema")
    assert status == 200
    assert [c["name"] for c in schema["inputs"]] == [c.name for c in record.inputs]
    assert schema["arms"][0]["performance"]["metrics"]["auroc"]["value"] is not None
    assert send(f"{url}/health")[2] == {"status": "ok", "bundle": predictor.bundle.digest}
    metrics = send(f"{url}/metrics")[2].decode()
    assert 'melafuse_requests_total{route="/v1/schema",status="200"}' in metrics
    status, told, page = send(f"{url}/")
    text = page.decode()
    assert status == 200
    for said in (record.disclaimer, record.watermark, *record.caveats):
        assert said in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert told["content-security-policy"] == policy(text)["content-security-policy"]
    assert "unsafe" not in told["content-security-policy"]
    assert told["x-content-type-options"] == "nosniff"
    status, _, docs = send(f"{url}/docs")
    assert status == 200
    assert b"/v1/predict" in docs
    assert b"https://" not in docs.replace(b"https://json-schema.org", b"")
    assert "/v1/predict" in send(f"{url}/openapi.json")[2]["paths"]


def test_a_scan_bomb_is_refused_before_it_is_decoded(url: str, picture: bytes) -> None:
    status, _, answer = score(url, [scanned_jpeg(8000, (1000, 1000))])
    assert (status, answer["detail"]) == (422, "image 1: too many scans")
    assert score(url, [picture])[0] == 200


def test_overload_is_said_and_every_request_is_answered(
    predictor: Predictor, picture: bytes
) -> None:
    with running(make_app(predictor, Limits(waiting=3))) as address:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: score(address, [picture], None, "?explain=true"),
                                    range(60)))  # fmt: skip
        codes = [status for status, _, _ in answers]
        assert set(codes) == {200, 503}
        for status, told, answer in answers:
            if status == 503:
                assert int(told["retry-after"]) >= 1
                assert answer["title"] == "Service Unavailable"
        probabilities = {a["probability"] for status, _, a in answers if status == 200}
        assert len(probabilities) == 1
        assert score(address, [picture])[0] == 200
        metrics = send(f"{address}/metrics")[2].decode()
        assert "melafuse_waiting 0.0" in metrics
