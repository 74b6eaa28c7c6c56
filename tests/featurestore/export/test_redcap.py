"""What REDCap is given: a dictionary in its own columns, and rows with the codes that it names."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd

from featurestore.export import EXPORTERS
from featurestore.export.package import write_package
from featurestore.export.scripts.redcap import COLUMNS
from tests.featurestore.export.test_package import about, study

OFFICIAL = (
    '"Variable / Field Name","Form Name","Section Header","Field Type","Field Label",'
    '"Choices, Calculations, OR Slider Labels","Field Note",'
    '"Text Validation Type OR Show Slider Number","Text Validation Min","Text Validation Max",'
    'Identifier?,"Branching Logic (Show field only if...)","Required Field?","Custom Alignment",'
    '"Question Number (surveys only)","Matrix Group Name","Matrix Ranking?","Field Annotation"'
)
"""The header of a dictionary that REDCap itself exports."""


def exported(folder: Path, limit: int = 2000) -> pd.DataFrame:
    write_package(study(), [EXPORTERS["redcap"]], folder, about(), limit)
    found = pd.read_csv(folder / "redcap_dictionary.csv", dtype=str, keep_default_na=False)
    return found.set_index("Variable / Field Name")


def test_the_columns_are_those_of_redcap() -> None:
    (header,) = csv.reader([OFFICIAL])
    assert tuple(header) == COLUMNS


def test_every_variable_is_a_field_that_its_values_fit(tmp_path: Path) -> None:
    fields = exported(tmp_path)
    rows = pd.read_csv(tmp_path / "analysis.redcap.csv", dtype=str, keep_default_na=False)
    assert set(fields.index) == set(rows.columns)
    assert fields.index[0] == "patient_id", "the first field names the record"
    assert fields.loc["patient_id", "Identifier?"] == "y"
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in fields.index)
    assert set(fields["Form Name"]) == {"analysis"}
    for name, field in fields.iterrows():
        known = {value for value in rows[str(name)] if value}
        if field["Field Type"] == "radio":
            choices = dict(
                choice.split(", ", 1)
                for choice in field["Choices, Calculations, OR Slider Labels"].split(" | ")
            )
            assert known <= set(choices)
        elif field["Field Type"] == "yesno":
            assert known <= {"0", "1"}
        elif field["Text Validation Type OR Show Slider Number"] == "integer":
            assert all(re.fullmatch(r"-?\d+", value) for value in known)
        elif field["Text Validation Type OR Show Slider Number"] == "number":
            assert all(re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value) for value in known)
        elif field["Text Validation Type OR Show Slider Number"] == "date_ymd":
            assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) for value in known)
    stage = fields.loc["stage"]
    assert stage["Field Type"] == "radio"
    assert stage["Choices, Calculations, OR Slider Labels"] == "1, I | 2, II | 3, III"
    assert fields.loc["mut_braf", "Field Type"] == "yesno"
    assert fields.loc["breslow", "Field Label"].endswith(", mm")


def test_parts_of_a_wide_table_are_forms_with_no_field_twice(tmp_path: Path) -> None:
    whole = exported(tmp_path / "whole")
    fields = exported(tmp_path / "parts", limit=4)
    assert fields.index.is_unique
    assert set(fields.index) == set(whole.index)
    assert fields["Form Name"].nunique() > 1


def test_without_patients_there_is_a_header_alone(tmp_path: Path) -> None:
    others = [table for table in study() if table.name != "analysis"]
    write_package(others, [EXPORTERS["redcap"]], tmp_path, about(known=()), 2000)
    found = pd.read_csv(tmp_path / "redcap_dictionary.csv")
    assert tuple(found.columns) == COLUMNS
    assert found.empty
