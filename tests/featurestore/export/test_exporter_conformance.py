"""Every registered export format passes the suite that plug-ins pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from export_example import READERS, cells, noted

from featurestore.export import EXPORTERS, Exporter
from featurestore.export.labelling import labelled
from featurestore.export.stored import Stored
from featurestore.export.variables import Change
from fusion.testing.exporters import ExporterSuite


class TestExporter(ExporterSuite):
    without_labels = ("csv", "redcap", "xlsx")
    rounds_numbers = ("xlsx",)

    @pytest.fixture(params=sorted(EXPORTERS))
    def form(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def read_independently(self, form: str, path: Path) -> pd.DataFrame:
        return READERS[form](path)

    def cells(self, values: pd.Series, column: Stored, form: str) -> list[object]:
        return cells(values, column, form)

    @pytest.mark.slow
    def test_two_thousand_columns(self, form: str, exporter: Exporter, tmp_path: Path) -> None:
        super().test_two_thousand_columns(form, exporter, tmp_path)


def test_an_infinite_number_is_missing_and_told() -> None:
    made, changes = labelled(noted(pd.DataFrame({"x": [1.0, np.inf, -np.inf]})))
    assert made["x"].values.isna().tolist() == [False, True, True]
    assert changes == [Change("all", "t", "x", "an infinite value is missing", 2)]
