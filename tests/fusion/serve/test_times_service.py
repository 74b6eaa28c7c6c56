"""Times to an event behind HTTP, and their page in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from bundle_example import Fitted
from page_example import OVERFLOW, UNNAMED, Visit
from serve_example import running, score, send

from fusion.predict import Predictor, prediction_record
from fusion.serve.app import make_app
from fusion.serve.limits import Limits
from fusion.serve.models import TimesPredictionOut

PATIENT = {"age": 70, "breslow": 3.2, "sex": "male"}


@pytest.fixture(scope="module")
def at_work(times: Fitted) -> Predictor:
    """The bundle at work."""
    return Predictor.load(times.bundle)


@pytest.fixture(scope="module")
def address(at_work: Predictor) -> Iterator[str]:
    """A service without token."""
    with running(make_app(at_work, Limits())) as found:
        yield found


def test_an_answer_is_that_of_predict_and_of_its_schema(address: str, at_work: Predictor) -> None:
    values = {**PATIENT, "entry_days": 200}
    status, _, answer = score(address, values=values, query="?explain=true")
    assert status == 200
    TimesPredictionOut.model_validate(answer)
    explanation = answer.pop("explanation")
    assert "log hazard ratio" in explanation["method"]
    expected = prediction_record(at_work.predict([at_work.case(values)])[0], at_work.bundle)
    del expected["patient_id"]
    assert answer == json.loads(json.dumps(expected))
    schema = send(f"{address}/v1/schema")[2]
    assert schema["outcome"]["horizons"] == [365.25, 1095.75]
    assert schema["beside"] == ["entry_days"]
    assert schema["arms"][0]["cut_rule"].startswith("thirds")
    asked = json.dumps(send(f"{address}/openapi.json")[2])
    assert "entry_days" in asked
    assert "TimesPredictionOut" in asked
    for wrong, said in (({"entry_days": -1, "age": 50}, "entry_days"), ({"ag": 1}, "did you mean")):
        status, _, problem = score(address, values=wrong)
        assert (status, said in problem["detail"]) == (422, True)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_risks_and_a_curve_are_shown(
    width: int, scheme: str, browser: Any, address: str, at_work: Predictor
) -> None:
    visit = Visit(browser, address, width, scheme)
    page = visit.page
    page.fill("#f-age", "70")
    page.fill("#f-breslow", "3,2")
    page.select_option("#f-sex", "male")
    visit.score()
    same = at_work.predict([at_work.case(PATIENT)])[0].score
    shown = page.inner_text("#answer")
    for risk in same.risks:
        assert f"{100 * risk.risk:.1f} %" in shown
    assert same.risk in shown
    assert page.locator("#answer svg.curve polyline").count() == 1
    assert page.locator("#answer svg.curve polygon").count() >= 1
    assert page.locator("#answer svg.curve circle").count() == 2
    points = page.locator("#answer svg.curve polyline").get_attribute("points").split(" ")
    assert len(points) == len(same.curve)
    heights = [float(p.split(",")[1]) for p in points]
    assert heights == sorted(heights)
    assert "Log hazard ratio with the input" in shown
    assert "nothing is said beyond" in page.inner_text("main")
    page.evaluate("document.querySelectorAll('#answer details').forEach((d) => { d.open = true; })")
    assert "cox_ridge[all]" in page.inner_text("#answer")
    page.fill("#f-entry_days", "99999")
    visit.score()
    assert "cannot be meant" in visit.error()
    page.fill("#f-entry_days", "400")
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    assert "0.0 %" in page.inner_text("#answer table")
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(UNNAMED) == []
    assert visit.complaints == []
    assert visit.foreign == []
