"""The report shows the evidence, all of it, escaped, self-contained and the same every time."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from evidence_example import example
from rich.console import Console

from fusion.evidence import Estimate, Evidence, Finding
from fusion.report import write_report
from fusion.report.ablation import ablation
from fusion.report.answer import answer
from fusion.report.audit import audit_json, print_audit
from fusion.report.figures import draw_all
from fusion.report.html import render_html
from fusion.report.json import render_json
from fusion.report.markdown import render_markdown
from fusion.report.numbers import number, p_value, signed, with_interval
from fusion.report.tables import epochs, tidy_metrics
from fusion.report.terminal import print_evidence

NAN = float("nan")
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use", "rect", "wbr"}


class Page(HTMLParser):
    """Collects what the checks need and that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.graphics: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag == "a":
            self.links.append(str(values.get("href")))
        if tag == "svg":
            self.graphics.append(values)
        for key in ("src", "href", "xlink:href"):
            if values.get(key) and tag != "a":
                self.addresses.append(str(values[key]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return example()


@pytest.fixture(scope="module")
def html(evidence: Evidence) -> str:
    return render_html(evidence, draw_all(evidence))


def test_the_page_is_sound_and_self_contained(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert all(a.startswith(("#", "data:")) for a in page.addresses)
    assert "http" not in re.sub(r"http://www\.w3\.org/[\w/]+", "", html)
    referred = set(re.findall(r"url\(#([^)]+)\)", html)) | {
        a[1:] for a in page.addresses if a.startswith("#")
    }
    assert referred <= set(page.ids)


def test_every_figure_is_described(html: str) -> None:
    graphics = Page(html).graphics
    assert len(graphics) == 11
    for attributes in graphics:
        assert attributes["role"] == "img"
        assert len(str(attributes["aria-label"])) > 20


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x>', "a & b|c"])
def test_names_from_data_are_escaped(hostile: str) -> None:
    base = example(name=hostile)
    evidence = dataclasses.replace(base, findings=(Finding("warning", hostile),))
    html = render_html(evidence, draw_all(evidence))
    assert html.count("<script>") == 1
    assert "<img" not in html
    assert Page(html).open == []
    assert "<script>" not in render_markdown(evidence)


def test_two_renderings_are_the_same_bytes(tmp_path: Path, evidence: Evidence) -> None:
    for name in ("a", "b"):
        write_report(evidence, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) >= 4 + 2 * 10
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_every_form_shows_the_evidences_numbers(evidence: Evidence, html: str) -> None:
    console = Console(file=io.StringIO(), width=100)
    print_evidence(evidence, console)
    terminal = console.file.getvalue()  # type: ignore[attr-defined]
    markdown = render_markdown(evidence)
    tidy = tidy_metrics(evidence).set_index(["arm", "metric"])
    for arm in evidence.arms:
        shown = with_interval(arm.metrics["auroc"])
        assert shown in html.replace("\N{NO-BREAK SPACE}", " ")
        assert shown in markdown
        assert shown in terminal
        assert tidy.loc[(arm.arm, "auroc"), "value"] == arm.metrics["auroc"].value
    sentence = answer(evidence).sentence
    assert sentence.startswith("No claim can be made: the audit found")
    assert "the cohort is synthetic" in sentence
    assert re.sub(r"[│\s]+", " ", terminal).count(sentence) == 1
    assert html.count(sentence) == 1
    assert sentence in markdown
    for text in (html, markdown, terminal):
        assert "0.918" in text
        assert "SYNTHETIC" in text
    assert len(ablation(evidence).rows) == len(evidence.arms)


def test_the_terminal_table_fits_100_columns(evidence: Evidence) -> None:
    console = Console(file=io.StringIO(), width=200)
    print_evidence(evidence, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 100


def test_undefined_numbers_are_dashes(evidence: Evidence, html: str, tmp_path: Path) -> None:
    assert ">nan<" not in html.lower()
    assert "—" in html
    record = json.loads(write_report(evidence, tmp_path).run.read_text(encoding="utf-8"))
    floor = next(a for a in record["arms"] if a["model"] == "prevalence")
    assert floor["metrics"]["calibration_slope"]["value"] is None


def test_reports_without_history_or_with_one_arm(tmp_path: Path) -> None:
    without = example(history=False)
    assert not {"training", "fine_tuning"} & {f.name for f in draw_all(without)}
    files = write_report(example(single=True), tmp_path)
    assert Page(files.html.read_text(encoding="utf-8")).open == []
    metrics = pd.read_csv(files.metrics)
    assert set(metrics["arm"]) == {example().baseline}


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(0.81249), "0.812"),
        (number(-0.5, 1), "\N{MINUS SIGN}0.5"),
        (number(-0.0001), "0.000"),
        (number(NAN), "—"),
        (number(None), "—"),
        (signed(0.05, 2), "+0.05"),
        (signed(-0.05, 2), "\N{MINUS SIGN}0.05"),
        (signed(0.0001), "0.000"),
        (with_interval(Estimate(0.8, 0.7, 0.9), 2), "0.80 [0.70, 0.90]"),
        (with_interval(Estimate(1.0, NAN, NAN), 2), "1.00"),
        (with_interval(Estimate(NAN, NAN, NAN)), "—"),
        (p_value(0.0004), "< 0.001"),
        (p_value(0.04), "0.040"),
        (p_value(None), "—"),
    ],
)
def test_one_place_formats_numbers(shown: str, expected: str) -> None:
    assert shown == expected


def test_every_epoch_of_fine_tuning_is_listed(evidence: Evidence, html: str) -> None:
    table = epochs(evidence)
    assert len(table.rows) == 12
    assert [row[1] for row in table.rows[::4]] == ["0/0", "0/1", "all"]
    assert [row[2] for row in table.rows[:4]] == ["1", "2", "3 ✓", "4"]
    assert "Every epoch of fine-tuning" in html
    assert "## Fine-tuning" in render_markdown(evidence)
    without = dataclasses.replace(evidence, encoder_history=pd.DataFrame())
    assert "Every epoch of fine-tuning" not in render_html(without, draw_all(without))
    assert "## Fine-tuning" not in render_markdown(without)


def test_the_audit_is_in_every_form(evidence: Evidence, html: str, tmp_path: Path) -> None:
    files = write_report(evidence, tmp_path)
    assert html.index('id="audit"') < html.index('id="ablation"')
    for text in (html, render_markdown(evidence)):
        assert "The numbers below mean nothing until this is resolved: Copy." in text
        assert "Status is the outcome." in text
        assert "Split by site." in text
        assert "S1 has more." in text
    table = pd.read_csv(files.html.parent / "audit.csv")
    assert table["status"].tolist() == ["clear", "fired", "accepted", "not_applicable"]
    assert table.loc[1, ["severity", "subjects"]].tolist() == ["invalidates", "status"]
    record = json.loads(files.run.read_text())["audit"]
    assert [r["status"] for r in record] == table["status"].tolist()
    assert record[1]["hits"][0]["text"] == "Status is the outcome."


def test_the_audit_by_itself(evidence: Evidence) -> None:
    assert evidence.audit is not None
    console = Console(file=io.StringIO(), width=100)
    print_audit(evidence.audit, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.split() for line in said.splitlines()]
    assert ["check", "severity", "status", "hits"] in lines
    assert ["copy", "invalidates", "fired", "1"] in lines
    assert "copy: Copy\n    Status is the outcome. [status]\n    -> Split by site." in said
    assert "1 of 4 checks fired; what fired invalidates the numbers" in said
    record = json.loads(audit_json({"melanoma": evidence.audit}))
    assert record["invalidated"] is True
    assert len(record["results"]) == 4


def test_without_an_audit_nothing_is_said(evidence: Evidence) -> None:
    bare = dataclasses.replace(evidence, audit=None)
    assert 'id="audit"' not in render_html(bare, draw_all(bare))
    assert "## Audit" not in render_markdown(bare)
    assert json.loads(render_json(bare))["audit"] is None


def test_the_ladder_is_in_every_form(evidence: Evidence, html: str, tmp_path: Path) -> None:
    matched = dataclasses.replace(
        evidence, run=dataclasses.replace(evidence.run, linkage="label_matched")
    )
    files = write_report(matched, tmp_path)
    console = Console(file=io.StringIO(), width=100)
    print_evidence(matched, console)
    terminal = console.file.getvalue()  # type: ignore[attr-defined]
    page = files.html.read_text()
    for text in (page, files.markdown.read_text(), terminal):
        assert "LABEL-MATCHED" in text
        assert "0.9905" in text
    assert page.index('id="ladder"') < page.index('id="ablation"')
    assert "Claimed: A paper." in page
    assert "takes away" in page
    rungs = pd.read_csv(files.html.parent / "ladder.csv")
    assert rungs["rung"].unique().tolist() == ["first", "second"]
    assert set(rungs["watermark"]) == {"LABEL-MATCHED SYNTHETIC"}
    assert set(pd.read_csv(files.metrics)["watermark"]) == {"LABEL-MATCHED SYNTHETIC"}
    record = json.loads(files.run.read_text())
    assert record["watermark"].startswith("LABEL-MATCHED")
    assert record["ladder"]["rungs"][0]["metrics"]["auroc"]["value"] == 0.98
    assert "ladder" in {f.name for f in draw_all(matched)}


def test_without_lent_rows_there_is_no_ladder(evidence: Evidence) -> None:
    bare = dataclasses.replace(evidence, ladder=None)
    assert 'id="ladder"' not in render_html(bare, draw_all(bare))
    assert "## Linkage ladder" not in render_markdown(bare)
    assert "LABEL-MATCHED" not in render_markdown(bare)
