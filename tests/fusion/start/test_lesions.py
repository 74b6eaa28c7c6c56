"""Lesions in a table of images: they stay together, and a label may be theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from propose_example import init, pictures, text_of, written

from featurestore.cohort.assemble import build_cohort
from featurestore.sources.base import ReadContext


def test_lesions_stay_together_and_are_no_numbers(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", [f"i{k}.png" for k in range(40)])
    rows = [f"i{k}.png,{k // 2},{100000 + k * 37},{k % 7},{int(k % 4 < 2)}" for k in range(40)]
    header = "image,lesion_id,accession,spots,melanoma"
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]))
    assert init(tmp_path, "--images", folder, "--table", tmp_path / "t.csv").exit_code == 0
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert cohort.counted.text == "20 lesions of unknown patients"
    assert cohort.dictionary.names == ["spots"]
    assert "accession: an id, by its name" in text_of(tmp_path)


@pytest.mark.parametrize(("of_lesions", "unit"), [(True, "lesion"), (False, "patient")])
def test_a_label_that_differs_between_lesions_is_theirs(
    tmp_path: Path, of_lesions: bool, unit: str
) -> None:
    folder = pictures(tmp_path / "images", [f"i{k}.png" for k in range(40)])
    owner = 2 if of_lesions else 4  # two images a lesion, two lesions a patient
    label = [("no", "yes")[k // owner % 2] for k in range(40)]
    rows = [f"i{k}.png,p{k // 4},L{k // 2},{y}" for k, y in enumerate(label)]
    (tmp_path / "t.csv").write_text("\n".join(["image,patient_id,lesion_id,recurred", *rows]))
    assert init(tmp_path, "--images", folder, "--table", tmp_path / "t.csv").exit_code == 0
    assert written(tmp_path).cohort.unit == unit
