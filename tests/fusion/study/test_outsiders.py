"""What outsiders predicted is kept by name, and only for the data that it was made for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.errors import DataError
from fusion.study.outsiders import drop, keep, kept


def test_rows_come_back_by_name_for_the_same_data_only(tmp_path: Path) -> None:
    rows = pd.DataFrame({"arm": "a/b", "patient_id": ["P1", "P2"], "score": [0.1, 0.2]})
    keep(tmp_path, "a/b", rows.iloc[:1], "one")
    keep(tmp_path, "a/b", rows, "one")
    keep(tmp_path, "other", rows.assign(arm="other"), "two")
    found = dict(kept(tmp_path, "one"))
    assert set(found) == {"a/b", "other"}
    assert found["other"] is None
    pd.testing.assert_frame_equal(found["a/b"], rows, check_dtype=False)
    assert list(kept(tmp_path / "absent", "one")) == []
    assert drop(tmp_path, "a/b")
    assert not drop(tmp_path, "a/b")
    assert [name for name, _ in kept(tmp_path, "one")] == ["other"]
    assert len(list(tmp_path.glob("*.parquet*"))) == 2  # the other file and its seal


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    keep(tmp_path, "a", pd.DataFrame({"arm": ["a"]}), "one")
    path = next(tmp_path.glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match="score the predictions again"):
        list(kept(tmp_path, "one"))
