"""TRIPOD+AI: all parts, in the statement's order, with what the run knows and no more."""

from __future__ import annotations

import dataclasses
import re

import pandas as pd
from evidence_example import everything, example

from fusion.evidence import Evidence
from fusion.report import write_report
from fusion.report.tripod import ANSWERS, ITEMS, tidy_tripod, tripod, tripod_summary
from fusion.report.tripod_answers import AUTHOR, FILLED, NOT_APPLICABLE

# Letters of the items that have parts, as the statement counts them; the others stand alone.
PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc",
         23: "ab", 27: "abc"}  # fmt: skip


def answers(evidence: Evidence) -> pd.DataFrame:
    return tidy_tripod(evidence).set_index("item")


def with_run(**changes: object) -> Evidence:
    base = example()
    return dataclasses.replace(base, run=dataclasses.replace(base.run, **changes))  # type: ignore[arg-type]


def test_there_are_27_items_with_52_parts() -> None:
    numbers = [f"{k}{part}" for k in range(1, 28) for part in PARTS.get(k, " ")]
    assert [item.item for item in ITEMS] == [n.strip() for n in numbers]
    assert len(ITEMS) == 52
    assert {item.item for item in ITEMS if item.status == "computed"} == ANSWERS.keys()
    assert {item.status for item in ITEMS} == {"computed", AUTHOR, NOT_APPLICABLE}
    assert all(bool(item.text) == (item.status != "computed") for item in ITEMS)


def test_every_part_has_a_status_and_a_text() -> None:
    table = answers(example())
    assert set(table["status"]) == {FILLED, AUTHOR, NOT_APPLICABLE}
    assert (table["text"].str.len() > 10).all()
    assert not table["text"].str.contains(r"nan|None\b(?!:)|\{", regex=True).any()
    counts = [int(n) for n in re.findall(r"\d+", tripod_summary(example()))]
    assert sum(counts) == 52


def test_the_runs_own_numbers_are_in_it() -> None:
    table = answers(example())
    assert "AUROC 0.840 [0.800, 0.880]" in table.loc["23a", "text"]
    assert "120 to 120 patients with 38 to 38 events" in table.loc["21", "text"]
    assert "600 patients" in table.loc["10", "text"]
    assert "cdcdcdcdcdcd" in table.loc["12a", "text"]


def test_subgroups_are_named_where_fairness_is_asked_for() -> None:
    assert "shown by" not in answers(example()).loc["14", "text"]
    assert "calibration are shown by Sex." in answers(everything()).loc["14", "text"]


def test_people_need_an_ethics_committee_and_made_up_ones_do_not() -> None:
    assert answers(example()).loc["17", "status"] == NOT_APPLICABLE
    assert answers(with_run(synthetic=False)).loc["17", "status"] == AUTHOR
    assert answers(with_run(linkage="label_matched")).loc["17", "status"] == AUTHOR


def test_it_is_on_the_page_in_markdown_and_a_file(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("report")
    files = write_report(example(), folder)
    written = pd.read_csv(folder / "tripod.csv", dtype=str)
    assert list(written["item"]) == [item.item for item in ITEMS]
    for path in (files.html, files.markdown):
        text = path.read_text(encoding="utf-8")
        assert "e078378" in text
        assert all(row[2] in text for row in tripod(example()).rows)
