"""The pages in a real browser, offline: nothing overflows, breaks, is silent or out of reach."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from accessibility_example import grave_findings
from evidence_example import everything, example
from survival_evidence_example import made, predictions_of

from fusion.evidence import Evidence, Finding, FinishedRun, Verdict, collect
from fusion.report import write_report
from fusion.report.comparison import compare
from fusion.report.comparison_page import write_comparison
from fusion.report.outcomes import several_outcomes
from fusion.report.outcomes_page import write_outcomes

pytestmark = pytest.mark.slow

HEIGHTS = {1920: 1080, 1280: 800, 390: 844}
A4_TEXT_WIDTH = 688  # CSS pixels of 210 mm less two margins of 14 mm
LONG = "a_name_without_a_single_space_" * 8

BROKEN_LINKS = """() => [...document.querySelectorAll("a[href]")]
  .filter((a) => !a.hash || !document.getElementById(a.hash.slice(1)))
  .map((a) => a.getAttribute("href"))"""
UNLABELLED = """() => [...document.querySelectorAll("figure, img, svg")]
  .filter((e) => e.tagName === "FIGURE"
    ? !e.querySelector("svg[role=img][aria-label], img[alt]") || !e.querySelector("figcaption")
    : !(e.getAttribute("aria-label") || e.getAttribute("alt") || "").trim())
  .map((e) => e.outerHTML.slice(0, 80))"""
UNSCOPED = """() => [...document.querySelectorAll("table")]
  .filter((t) => !t.caption || [...t.querySelectorAll("th")].some((th) => !th.scope))
  .map((t) => t.outerHTML.slice(0, 80))"""
OUTSIDE = """() => [...document.querySelectorAll("main *, header *")]
  .filter((e) => !e.closest(".scroll, svg, .skip")
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((e) => e.outerHTML.slice(0, 80))"""
FAINT = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const text = "h1, h2, p, li, td, th, dt, dd, a, summary, caption, strong";
  return [...document.querySelectorAll(text)]
    .filter((e) => e.textContent.trim() && !e.closest("svg"))
    .filter((e) => {
      const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    })
    .map((e) => e.outerHTML.slice(0, 80));
}"""


def awkward() -> Evidence:
    """Evidence whose names are as long as they come, with findings of every level."""
    base = everything(name=LONG)
    findings = [Finding(level, f"{LONG} {level}") for level in ("invalidates", "warning", "note")]
    arms = [dataclasses.replace(a, arm=f"{LONG}[{a.arm}]") for a in base.arms]
    per_fold = base.per_fold.assign(arm=[f"{LONG}[{name}]" for name in base.per_fold["arm"]])
    encoder = dataclasses.replace(base.run.encoders[0], name=LONG, weights=LONG)
    run = dataclasses.replace(base.run, encoders=(encoder,), linkage="label_matched", command=LONG)
    return dataclasses.replace(
        base,
        run=run,
        findings=tuple(findings),
        arms=tuple(arms),
        per_fold=per_fold,
        baseline=f"{LONG}[{base.baseline}]",
        verdict=_renamed(base.verdict),
    )


def _renamed(verdict: Verdict) -> Verdict:
    assert verdict.fusion is not None
    fusion = dataclasses.replace(
        verdict.fusion,
        fused=f"{LONG}[{verdict.fusion.fused}]",
        single=f"{LONG}[{verdict.fusion.single}]",
    )
    names = {
        name: f"{LONG}[{getattr(verdict, name)}]"
        for name in ("best", "reference", "subject", "recommended")
    }
    return dataclasses.replace(verdict, fusion=fusion, **names)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = [FinishedRun(example(f"run {k}"), str(k), "") for k in range(3)]
    study = made()
    times = collect(study.inputs(), predictions_of(study))
    outcomes = several_outcomes([(example(name), "#main") for name in ("one", "two")], True)
    return {
        "report": write_report(everything(), folder / "report").html,
        "one arm": write_report(example(history=False, single=True), folder / "single").html,
        "awkward": write_report(awkward(), folder / "awkward").html,
        "times": write_report(times, folder / "times").html,
        "outcomes": write_outcomes(outcomes, folder / "outcomes"),
        "comparison": write_comparison(compare(runs, ["x", "y", "z"]), folder / "comparison"),
    }


@dataclasses.dataclass
class Visit:
    """A page that was opened, what it said and what it asked for."""

    page: Any
    complaints: list[str]
    requests: list[str]


def visit(browser: Any, path: Path, width: int, scheme: str = "light") -> Visit:
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHTS.get(width, 900)},
        color_scheme=scheme,
        offline=True,
    )
    page = context.new_page()
    found = Visit(page, [], [])
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(path.as_uri())
    return found


def unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")


@pytest.mark.parametrize("width", HEIGHTS)
@pytest.mark.parametrize(
    "name", ["report", "one arm", "awkward", "times", "comparison", "outcomes"]
)
def test_a_page_is_sound(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    opened = visit(browser, pages[name], width)
    unfold(opened.page)
    assert opened.complaints == []
    own = pages[name].as_uri()
    assert [url for url in opened.requests if url != own and not url.startswith("data:")] == []
    assert opened.page.evaluate(BROKEN_LINKS) == []
    assert opened.page.evaluate(UNLABELLED) == []
    assert opened.page.evaluate(UNSCOPED) == []
    assert opened.page.evaluate(OUTSIDE) == []
    across = opened.page.evaluate("document.documentElement.scrollWidth")
    assert across <= width
    opened.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(browser: Any, pages: dict[str, Path], scheme: str) -> None:
    opened = visit(browser, pages["awkward"], 1280, scheme)
    unfold(opened.page)
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert opened.page.evaluate(FAINT) == []
    opened.page.context.close()


def test_the_first_key_leads_past_the_header(browser: Any, pages: dict[str, Path]) -> None:
    opened = visit(browser, pages["report"], 1280)
    opened.page.keyboard.press("Tab")
    focused = "document.activeElement.className || document.activeElement.id"
    assert opened.page.evaluate(focused) == "skip"
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate(focused) == "main"
    opened.page.context.close()


def test_tables_sort_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    opened = visit(browser, pages["report"], 1280)
    table = opened.page.locator("table.sortable").first
    heading = table.locator("thead th", has_text="AUROC [95").first
    column = heading.evaluate("(th) => th.cellIndex + 1")
    cells = table.locator(f"tbody tr > :nth-child({column})")
    before = [float(text.split()[0]) for text in cells.all_inner_texts()]
    heading.locator("button").focus()
    for state, backwards in (("ascending", False), ("descending", True)):
        opened.page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == state
        shown = [float(text.split()[0]) for text in cells.all_inner_texts()]
        assert shown == sorted(before, reverse=backwards)
    assert table.locator("th[aria-sort]").count() == 1
    opened.page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report", "times"])
def test_the_answer_and_the_tables_fit(
    browser: Any, pages: dict[str, Path], name: str, width: int
) -> None:
    opened = visit(browser, pages[name], width)
    page = opened.page
    assert page.locator(".contents").evaluate("(e) => e.open") == (width == 1280)
    shown = "#answer" if width == 1280 else ".verdict"
    below = page.locator(shown).evaluate("(e) => e.getBoundingClientRect().bottom")
    assert below < HEIGHTS[width]
    unfold(page)
    fitting = page.locator(".scroll:has([data-arm], #participants)")
    assert fitting.count() >= 3
    for region in fitting.all():
        across = region.evaluate("(e) => e.scrollWidth - e.clientWidth")
        assert across <= 0, region.locator("table").get_attribute("id")
        for cell in region.locator("tbody tr:first-child td:not(.spare)").all():
            assert cell.is_visible()
    page.context.close()


def test_figures_are_dark_where_the_page_is(browser: Any, pages: dict[str, Path]) -> None:
    opened = visit(browser, pages["report"], 1280, "dark")
    style = "(e) => [getComputedStyle(e).fill, getComputedStyle(document.body).%s]"
    drawing = opened.page.locator("#figure-arms svg")
    patch, ground = drawing.locator("path").first.evaluate(style % "backgroundColor")
    assert patch == ground != "rgb(255, 255, 255)"
    words, ink = drawing.locator("text").first.evaluate(style % "color")
    assert words == ink
    opened.page.context.close()


def test_wide_tables_scroll_inside_and_take_the_focus(browser: Any, pages: dict[str, Path]) -> None:
    opened = visit(browser, pages["report"], 390)
    region = opened.page.locator(".scroll", has=opened.page.locator("#gains")).first
    region.focus()
    opened.page.keyboard.press("ArrowRight")
    opened.page.wait_for_function("(e) => e.scrollLeft > 0", arg=region.element_handle())
    assert opened.page.evaluate("window.scrollX") == 0
    opened.page.context.close()


def shown(page: Any, what: str) -> dict[str, str]:
    names = page.locator(f"#{what} dt").all_inner_texts()
    return dict(zip(names, page.locator(f"#{what} dd").all_inner_texts(), strict=True))


def test_the_page_answers_from_what_it_holds(browser: Any, pages: dict[str, Path]) -> None:
    opened = visit(browser, pages["report"], 1280)
    page = opened.page
    assert shown(page, "pair")["ΔAUROC"]  # two arms stand there before one is chosen
    page.emulate_media(media="print")
    assert not page.locator("#filter-named").is_visible()  # nothing was chosen in it
    page.emulate_media(media="screen")
    page.select_option("#pair-one", "lightgbm[clinical]")
    page.select_option("#pair-other", "fusion_head[all]")
    assert page.inner_text("#pair-said") == "fusion_head[all] minus lightgbm[clinical]"
    assert shown(page, "pair")["ΔAUROC"] == "+0.100 [0.060, 0.140]"
    reading = shown(page, "pair")["reading"]
    assert reading == "fusion_head[all] is better; not after adjusting for all pairs"
    page.select_option("#pair-one", "fusion_head[all]")
    assert "two different arms" in page.inner_text("#pair")
    page.focus("#threshold-at")
    page.keyboard.press("Home")
    assert shown(page, "threshold")["threshold"] == "0.20"
    page.keyboard.press("ArrowRight")
    assert shown(page, "threshold")["threshold"] == "0.40"
    assert page.get_attribute("#threshold-at", "aria-valuetext") == "0.40"
    page.select_option("#subgroup-level", "Sex: missing")
    assert shown(page, "subgroup")["AUROC [95 % CI]"] == "—"
    page.fill("#filter-named", "lightgbm")
    page.select_option("#filter-sees", "clinical")
    assert page.inner_text("#filter-said") == "2 of 14 arms are shown"
    assert page.locator("#ablation-table tbody tr:visible").count() == 2
    page.emulate_media(media="print")
    assert page.locator("#ablation-table tbody tr:visible").count() == 2
    assert page.locator("#pair").is_visible()
    assert not page.locator("#threshold-at").is_visible()
    assert opened.complaints == []
    page.context.close()


@pytest.mark.parametrize("name", ["report", "times", "comparison", "outcomes"])
def test_axe_finds_nothing_serious(browser: Any, pages: dict[str, Path], name: str) -> None:
    opened = visit(browser, pages[name], 390, "light")
    unfold(opened.page)
    assert grave_findings(opened.page) == []
    opened.page.emulate_media(color_scheme="dark")
    assert grave_findings(opened.page, "color-contrast") == []
    opened.page.context.close()


def test_paper_shows_what_is_folded(browser: Any, pages: dict[str, Path]) -> None:
    opened = visit(browser, pages["report"], A4_TEXT_WIDTH)
    folded = "document.querySelectorAll('details:not([open])').length"
    before = opened.page.evaluate(folded)
    assert before > 2
    opened.page.evaluate(
        "addEventListener('beforeprint', () => { window.leftFolded = " + folded + "; })"
    )
    assert opened.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    assert opened.page.evaluate("window.leftFolded") == 0
    opened.page.wait_for_function(f"{folded} === {before}")
    opened.page.emulate_media(media="print")
    unfold(opened.page)
    assert not opened.page.locator("nav").is_visible()
    narrow = [name for name in opened.page.evaluate(OUTSIDE) if "wide" not in name]
    assert narrow == []
    opened.page.context.close()
