"""The sections that follow the ablation are in every form, or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from evidence_example import everything, example

from fusion.evaluation.sensitivity import ANALYSES
from fusion.report import ReportFiles, write_report
from fusion.report.figures_sections import draw_sections
from fusion.report.sections import SECTIONS, sections


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write_report(everything(), tmp_path_factory.mktemp("report"))


def test_every_section_is_on_the_page_and_in_markdown(files: ReportFiles) -> None:
    shown = sections(everything())
    assert len(shown) == len(SECTIONS)
    html = files.html.read_text(encoding="utf-8")
    markdown = files.markdown.read_text(encoding="utf-8")
    for section in shown:
        assert f'<h2 id="{section.anchor}">' in html
        assert f'<a href="#{section.anchor}">' in html
        assert f"## {section.title}" in markdown
        for name in section.figures:
            assert f'id="figure-{name}"' in html


def test_their_figures_are_files_with_data(files: ReportFiles) -> None:
    drawn = draw_sections(everything(), "AUROC")
    assert {f.name for f in drawn} == {name for s in sections(everything()) for name in s.figures}
    for figure in drawn:
        path: Path = files.html.parent / "figures" / f"{figure.name}.svg"
        assert path.read_text(encoding="utf-8") == figure.svg
        assert path.with_suffix(".csv").stat().st_size > 20


def test_without_anything_to_show_there_is_no_section() -> None:
    assert [s.anchor for s in sections(example(single=True))] == ["intervals"]
    assert draw_sections(example(), "AUROC") == []


def test_a_picture_that_cannot_be_shown_is_a_line_in_every_form(tmp_path: Path) -> None:
    base = everything()
    first = dataclasses.replace(base.overlays[0], png=b"", reason="larger than <200> megapixels")
    evidence = dataclasses.replace(base, overlays=(first, *base.overlays[1:]))
    files = write_report(evidence, tmp_path)
    html = files.html.read_text(encoding="utf-8")
    assert html.count(f"{first.encoder}: not shown, larger than &lt;200&gt; megapixels") == 2
    assert "not shown, larger than &lt;200> megapixels" in files.markdown.read_text(
        encoding="utf-8"
    )
    pictures = list((tmp_path / "figures").glob("gradcam*.png"))
    assert len(pictures) == len(base.overlays) - 1
    assert all(path.stat().st_size > 100 for path in pictures)


def test_small_subgroups_have_counts_and_no_numbers() -> None:
    (found,) = (s for s in sections(everything()) if s.anchor == "subgroups")
    assert found.tables[0].rows[2] == ("Sex", "missing", "10", "3", "—", "—", "—")


def test_sensitivity_analyses_say_what_they_are() -> None:
    (found,) = (s for s in sections(everything()) if s.anchor == "sensitivity")
    (table,) = found.tables
    assert [row[1] for row in table.rows] == list(ANALYSES)
    assert all(f"{analysis[0].upper()}{analysis[1:]}:" in table.caption for analysis in ANALYSES)
    alone = dataclasses.replace(everything(), sensitivity=everything().sensitivity[:1])
    (shown,) = (s for s in sections(alone) if s.anchor == "sensitivity")
    assert "imputation" not in shown.tables[0].caption
