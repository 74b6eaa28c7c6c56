"""Words that stand for a missing value in a table of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from propose_example import init, text_of, written

from featurestore.cohort.assemble import build_cohort
from featurestore.sources.base import ReadContext


@pytest.mark.parametrize("word", [".", "?", "Unknown", "None", "missing", "not stated"])
def test_words_that_mean_missing_are_said_as_a_guess(tmp_path: Path, word: str) -> None:
    rows = [
        f"P{k:03d},{word if k % 5 == 0 else k / 7},{word if k % 4 == 0 else 'ab'[k % 2]},{k % 2}"
        for k in range(40)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["id,breslow,side,melanoma", *rows]))
    assert init(tmp_path, "--table", tmp_path / "t.csv").exit_code == 0
    config = written(tmp_path)
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert cohort.patients["breslow"].isna().sum() == 8
    assert cohort.dictionary["side"].levels == ("a", "b")
    assert cohort.patients["side"].isna().sum() == 10
    assert f"'side': {word!r} is taken for missing, which is a guess" in text_of(tmp_path)


@pytest.mark.parametrize("word", ["#N/A", "#DIV/0!", "<NA>", "NULL", "NaN", "n/a"])
def test_words_that_programs_write_for_missing_are_missing(tmp_path: Path, word: str) -> None:
    rows = [f"P{k:03d},{word if k % 5 == 0 else k / 7},{k % 2}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id,breslow,melanoma", *rows]))
    assert init(tmp_path, "--table", tmp_path / "t.csv").exit_code == 0
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert cohort.patients["breslow"].isna().sum() == 8


def test_a_word_that_is_one_of_two_values_is_one(tmp_path: Path) -> None:
    rows = [f"P{k:03d},{k / 7},{('none', 'metastasis')[k % 3 == 0]}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id,breslow,metastasis", *rows]))
    assert init(tmp_path, "--table", tmp_path / "t.csv").exit_code == 0
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert (cohort.n_patients, cohort.n_events) == (40, 14)
