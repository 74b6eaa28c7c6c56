"""Headers of image files: read in part, never believed, silent where damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fusion.audit.file_headers import DATES, LEVELS, MOST_LETTERS, header_facts, read_header


def jpeg(path: Path, **exif: object) -> Path:
    tags = Image.Exif()
    for tag, value in exif.items():
        tags[int(tag.removeprefix("t"), 16)] = value
    Image.new("RGB", (8, 6), "red").save(path, exif=tags, quality=80)
    return path


def test_what_a_header_says(tmp_path: Path) -> None:
    facts = read_header(
        jpeg(tmp_path / "a.jpg", t010f="Maker", t0110="D1", t0132="2014:03:05 10:00")
    )
    assert facts is not None
    assert facts["camera"] == "Maker D1"
    assert facts["date taken"] == (pd.Timestamp("2014-03-05") - pd.Timestamp(0)).days
    assert facts["coding"] == "JPEG RGB"
    assert set(facts) == {*LEVELS, *DATES}
    other = tmp_path / "b.jpg"
    Image.new("RGB", (8, 6), "red").save(other, quality=85)
    again = read_header(other)
    assert again is not None
    assert again["quantisation"] != facts["quantisation"]
    assert again["camera"] is None
    assert np.isnan(again["date taken"])  # type: ignore[arg-type]


def test_long_and_unprintable_words_are_cut(tmp_path: Path) -> None:
    facts = read_header(jpeg(tmp_path / "a.jpg", t0110="x\n\x07" * 500))
    assert facts is not None
    assert str(facts["camera"]).isprintable()
    assert len(str(facts["camera"])) <= MOST_LETTERS


@pytest.mark.parametrize("date", ["2014:13:45 00:00:00", "", "yesterday", "0000:00:00"])
def test_a_date_that_is_none_says_nothing(tmp_path: Path, date: str) -> None:
    facts = read_header(jpeg(tmp_path / "a.jpg", t0132=date))
    assert facts is not None
    assert np.isnan(facts["date taken"])  # type: ignore[arg-type]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200), st.integers(0, 600))
def test_damaged_files_say_nothing_and_never_raise(
    tmp_path: Path, noise: bytes, place: int
) -> None:
    path = jpeg(tmp_path / "a.jpg", t0110="D1", t0132="2014:03:05 10:00:00")
    content = path.read_bytes()
    path.write_bytes(content[:place] + noise + content[place + len(noise) :])
    facts = read_header(path)
    assert facts is None or set(facts) == {*LEVELS, *DATES}


def test_files_that_are_not_there_or_unreadable_are_left_out(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg")
    images = pd.DataFrame(
        {
            "image_id": ["c", "b", "a"],
            "patient_id": ["p3", "p2", "p1"],
            "path": [str(tmp_path / n) for n in ("gone.jpg", "", "a.jpg")],
            "width": 8,
        }
    )
    assert header_facts(images)["patient_id"].tolist() == ["p1"]
    assert header_facts(images.assign(width=0)).empty
