"""Scripts say which rows are not independent, and find the clusters again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from test_other_programs import r_has, rscript
from test_package import about

from featurestore.export import EXPORTERS, ColumnNote, ExportTable
from featurestore.export.package import write_package
from featurestore.export.scripts import Clusters

FRAME = pd.DataFrame(
    {
        "lesion_id": ["1", "2", "3"],
        "patient_id": ["P1", "P1", "P2"],
        "cluster": ["P1", "P1", "P2"],
    }
)


def exported(folder: Path, n: int) -> None:
    notes = {str(c): ColumnNote(f"Label of {c}") for c in FRAME.columns}
    table = ExportTable("analysis", FRAME, {}, notes, "One row a lesion", ("lesion_id",))
    clusters = Clusters("analysis", "cluster", n, "Lesions of one patient are not independent")
    told = dataclasses.replace(about(), known=(), clusters=(clusters,))
    write_package([table], [EXPORTERS["csv"]], folder, told, 2000)


def test_scripts_cluster_by_the_patient(tmp_path: Path) -> None:
    exported(tmp_path, 2)
    in_r = (tmp_path / "import.R").read_text(encoding="utf-8")
    assert "Lesions of one patient are not independent, as in sandwich::vcovCL" in in_r
    assert "stopifnot(length(unique(analysis$cluster)) == 2)" in in_r
    in_stata = (tmp_path / "import.do").read_text(encoding="utf-8")
    assert "vce(cluster cluster_number)" in in_stata
    assert "quietly egen cluster_number = group(cluster)\n" in in_stata
    assert "assert r(max) == 2\n" in in_stata


@pytest.mark.skipif(not r_has(), reason="R is needed")
def test_r_finds_them_again_and_stops_where_it_does_not(tmp_path: Path) -> None:
    exported(tmp_path, 2)
    assert "tables are right" in rscript(tmp_path, "import.R")
    exported(tmp_path / "wrong", 3)
    with pytest.raises(AssertionError):
        rscript(tmp_path / "wrong", "import.R")
