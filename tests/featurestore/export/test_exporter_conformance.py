"""Every registered export format passes the same tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featurestore.dictionary import Column
from featurestore.errors import DataError, StoreError
from featurestore.export import EXPORTERS, ColumnNote, Exporter, ExportTable, write_tables

texts = st.one_of(st.none(), st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12))
floats = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2.0**53 + 2]),
)
integers = st.integers(-(2**63), 2**63 - 1)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(0, 8))
    return pd.DataFrame(
        {
            "text": pd.Series(draw(st.lists(texts, min_size=n, max_size=n)), dtype="str"),
            "number": pd.Series(draw(st.lists(floats, min_size=n, max_size=n)), dtype="float64"),
            "count": pd.Series(draw(st.lists(integers, min_size=n, max_size=n)), dtype="int64"),
            "flag": pd.Series(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype="bool"),
        }
    )


def noted(frame: pd.DataFrame, name: str = "t") -> ExportTable:
    return ExportTable(name, frame, notes={str(c): ColumnNote(str(c)) for c in frame.columns})


@pytest.fixture(params=sorted(EXPORTERS))
def exporter(request: pytest.FixtureRequest) -> Exporter:
    return EXPORTERS[request.param]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(frame=frames())
def test_what_is_written_reads_back(
    exporter: Exporter, frame: pd.DataFrame, tmp_path: Path
) -> None:
    path = write_tables([noted(frame)], [exporter], tmp_path)[0]
    expected = exporter.normalise(frame)
    read = exporter.read(path, expected)
    pd.testing.assert_frame_equal(read, expected, check_dtype=False, check_exact=True)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_wrong_file_is_never_named(exporter: Exporter, tmp_path: Path) -> None:
    class Lossy:
        name, suffix = exporter.name, exporter.suffix
        normalise, read = exporter.normalise, exporter.read

        def write(self, frame: pd.DataFrame, path: Path) -> None:
            exporter.write(frame.assign(number=frame["number"].round(3)), path)

    with pytest.raises(StoreError, match="column 'number' row 1"):
        write_tables([noted(pd.DataFrame({"number": [1.0, 1 / 3]}))], [Lossy()], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_csv_never_starts_a_formula(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["=1+1", "-2", "@x", "+3", "plain"]}, dtype="str")
    path = write_tables([noted(frame)], [EXPORTERS["csv"]], tmp_path)[0]
    cells = path.read_text(encoding="utf-8").splitlines()[1:]
    assert cells == ["'=1+1", "'-2", "'@x", "'+3", "plain"]


def test_codebook_describes_every_column(tmp_path: Path) -> None:
    stage = Column(
        "stage", "ordinal", "staging", label="AJCC stage", levels=("I", "II"), source_column="S"
    )
    table = ExportTable(
        "patients",
        pd.DataFrame({"patient_id": ["a", "b"], "stage": ["I", np.nan]}),
        columns={"stage": stage},
        notes={"patient_id": ColumnNote("Patient")},
    )
    path = write_tables([table], [EXPORTERS["parquet"]], tmp_path)[-1]
    codebook = pd.read_csv(path, keep_default_na=False)
    assert path.name == "codebook.csv"
    assert codebook["name"].tolist() == ["patient_id", "stage"]
    assert codebook["levels"].tolist() == ["", "I < II"]
    assert codebook["missing"].tolist() == [0, 1]
    assert codebook["source_column"].tolist() == ["", "S"]


def test_an_undescribed_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no codebook entry for x"):
        write_tables([ExportTable("t", pd.DataFrame({"x": [1]}))], [], tmp_path)
