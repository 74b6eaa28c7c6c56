"""The page in a real browser: upload, form, result and errors, wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accessibility_example import grave_findings
from bundle_example import Fitted
from page_example import OVERFLOW, UNNAMED, Visit
from serve_example import running

from fusion.predict import Predictor
from fusion.serve.app import make_app
from fusion.serve.limits import Limits

pytestmark = pytest.mark.slow
TOKEN = "a token of the tests"


@pytest.fixture(scope="module")
def predictor(tiny: Fitted) -> Predictor:
    """The tiny bundle at work."""
    return Predictor.load(tiny.bundle)


@pytest.fixture(scope="module")
def url(predictor: Predictor) -> Iterator[str]:
    """A service without token."""
    with running(make_app(predictor, Limits(upload_bytes=1_000_000))) as address:
        yield address


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (390, "light"), (390, "dark"), (320, "light")]
)
def test_a_patient_is_scored(
    width: int, scheme: str, browser: Any, url: str, tiny: Fitted, predictor: Predictor
) -> None:
    visit = Visit(browser, url, width, scheme)
    page = visit.page
    image = tiny.images_of(str(tiny.study.cohort.patients["patient_id"].iloc[0]))[0]
    page.set_input_files("#image", str(image))
    assert page.locator("#previews img").count() == 1
    page.fill("#f-age", "61")
    page.fill("#f-breslow", "2,5")  # a decimal comma
    page.select_option("#f-ulceration", "1")
    page.select_option("#f-stage", "Stage IIB")
    page.evaluate("document.querySelector('main details').open = true")
    page.fill("#p-1", "SYNECM01 9.5\nSYNPIG01\t7\n")
    visit.score()
    given = {"age": 61, "breslow": 2.5, "ulceration": 1, "stage": "Stage IIB", "SYNECM01": 9.5,
             "SYNPIG01": 7}  # fmt: skip
    same = predictor.predict([predictor.case(given, [image])])[0]
    shown = page.inner_text("#answer")
    assert f"{100 * same.score.probability:.1f} %" in shown
    assert same.score.risk in shown
    for text in (
        predictor.bundle.record.disclaimer,
        predictor.bundle.record.watermark,
        *predictor.bundle.record.caveats,
    ):
        assert text in shown
    assert 0 <= page.locator("#h-result").bounding_box()["y"] < 450  # it came into view
    untrained = page.locator("#answer .untrained")  # both encoders have random weights
    assert untrained.locator("img").count() == 2
    assert page.locator("#answer .overlays img").count() == 2
    assert not untrained.locator("img").first.is_visible()
    assert "never trained" in untrained.inner_text()
    assert page.locator("#answer .change").count() >= 6
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(UNNAMED) == []
    if width != 320:
        assert grave_findings(page) == []
    assert visit.complaints == []
    assert visit.foreign == []
    page.click("#clear")
    assert not page.is_visible("#result")
    assert page.locator("#previews img").count() == 0


def test_errors_stand_beside_what_they_are_about(browser: Any, url: str, tmp_path: Path) -> None:
    visit = Visit(browser, url, 390)
    page = visit.page
    visit.score()
    assert visit.error() == "Give an image or at least one value."
    for text, said in (("old", "is not a number"), ("5000", "values from 0 to 990 are taken")):
        page.fill("#f-age", text)
        visit.score()
        assert said in visit.error()
        assert said in page.inner_text("#f-age + .told")
        assert page.evaluate("document.activeElement.id") == "f-age"
        assert page.get_attribute("#f-age", "aria-invalid") == "true"
    page.fill("#f-age", "50")
    page.evaluate("document.querySelector('main details').open = true")
    page.fill("#p-1", "GENE9000 3")
    visit.score()
    assert "takes no value named" in visit.error()
    page.fill("#p-1", "one two three")
    visit.score()
    assert "not a name and a value" in visit.error()
    page.fill("#p-1", "")
    (tmp_path / "note.jpg").write_text("no picture")
    (tmp_path / "large.jpg").write_bytes(bytes(1_500_000))
    for name, said in (("note.jpg", "not an image"), ("large.jpg", "larger than 1 MB")):
        page.set_input_files("#image", str(tmp_path / name))
        visit.score()
        assert said in visit.error()
    assert page.evaluate(OVERFLOW) <= 0
    page.context.set_offline(True)
    page.set_input_files("#image", [])
    visit.score()
    assert "does not answer" in visit.error()


def test_a_token_is_asked_for_and_kept_in_memory_only(browser: Any, predictor: Predictor) -> None:
    with running(make_app(predictor, Limits(), TOKEN)) as address:
        visit = Visit(browser, address)
        page = visit.page
        assert not page.is_visible("#token")
        page.fill("#f-age", "50")
        visit.score()
        assert "token" in visit.error()
        page.fill("#token", TOKEN)
        visit.score()
        assert page.is_visible("#result")
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        assert page.evaluate("document.cookie") == ""


def test_the_keyboard_is_enough(browser: Any, url: str) -> None:
    visit = Visit(browser, url)
    page = visit.page
    page.focus("#f-age")
    page.keyboard.type("50")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "result"


def test_text_of_a_bundle_cannot_become_markup(predictor: Predictor) -> None:
    from fusion.serve.models import schema_out
    from fusion.serve.page import page

    schema = schema_out(predictor.bundle, Limits())
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    column = schema.inputs[0].model_copy(update={"label": evil, "unit": evil})
    text = page(
        schema.model_copy(
            update={"study": evil, "caveats": [evil], "inputs": [column, *schema.inputs[1:]]}
        )
    )
    assert text.count("<script>") == 1
    assert "<img src=x" not in text
