"""Times to an event on their way out: value labels, and scripts that declare them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from test_other_programs import r_has, rscript
from test_package import about

from featurestore.export import EXPORTERS, ColumnNote, ExportTable
from featurestore.export.package import Known, write_package
from featurestore.export.scripts import Survival

ENDS = {0: "censored", 1: "event", 2: "competing event"}
FRAME = pd.DataFrame(
    {
        "patient_id": [f"p{i}" for i in range(8)],
        "outcome": [1, 0, 2, 1, 0, 1, 1, 0],
        "outcome_time": [400.0, 2000, 900, 1500, 1000, 100, 1500, 2500],
        "outcome_entry": [0.0, 0, 0, 450, 0, 0, 0, 300],
        "lhr_head[all]": [0.9, -0.2, 0.1, 0.3, 0.3, 0.2, -0.4, 0.5],
    }
)


def concordance() -> float:
    """Harrell's C by its definition: pairs whose earlier one had the event and met the other."""
    rows = FRAME.to_dict("records")
    good = pairs = 0.0
    for a in rows:
        for b in rows:
            at = a["outcome_time"]
            later = b["outcome_time"] > at or (b["outcome_time"] == at and b["outcome"] != 1)
            if a["outcome"] == 1 and later and b["outcome_entry"] < at:
                pairs += 1
                difference = a["lhr_head[all]"] - b["lhr_head[all]"]
                good += (difference > 0) + 0.5 * (difference == 0)
    return good / pairs


def exported(folder: Path, *formats: str) -> None:
    notes = {str(c): ColumnNote(f"Label of {c}") for c in FRAME.columns}
    notes["outcome"] = ColumnNote("Outcome", values=ENDS)
    keys = ("outcome", "outcome_time", "outcome_entry")
    table = ExportTable("analysis", FRAME, {}, notes, "One row a patient", ("patient_id",), keys)
    told = dataclasses.replace(
        about(),
        known=(Known("analysis", "outcome", "lhr_head[all]", concordance(), "head[all]"),),
        survival=(Survival("analysis", *keys),),
    )
    write_package([table], [EXPORTERS[form] for form in formats], folder, told, 2000)


@pytest.mark.skipif(not r_has("haven", "survival"), reason="R with haven and survival is needed")
@pytest.mark.parametrize("form", ["csv", "dta", "sav", "xpt"])
def test_r_declares_the_time_and_finds_the_concordance(form: str, tmp_path: Path) -> None:
    exported(tmp_path, form)
    with (tmp_path / "import.R").open("a", encoding="utf-8") as script:
        script.write('cat(class(analysis_surv), attr(analysis_surv, "type"), "\\n")\n')
    said = rscript(tmp_path, "import.R")
    assert f"head[all] C {concordance():.6f}" in said
    assert "Surv counting" in said


@pytest.mark.parametrize("form", ["dta", "sav"])
def test_codes_have_value_labels(form: str, tmp_path: Path) -> None:
    exported(tmp_path, form)
    read = pyreadstat.read_dta if form == "dta" else pyreadstat.read_sav
    frame, meta = read(str(tmp_path / f"analysis.{form}"))
    assert meta.variable_value_labels["outcome"] == ENDS
    np.testing.assert_array_equal(frame["outcome_time"], FRAME["outcome_time"])


def test_other_programs_are_told(tmp_path: Path) -> None:
    exported(tmp_path, "dta", "sav", "xpt")
    texts = {p.suffix: p.read_text(encoding="utf-8") for p in tmp_path.glob("import.*")}
    declared = "stset outcome_time, failure(outcome == 1) enter(time outcome_entry)"
    assert declared in texts[".do"].splitlines()
    assert "COXREG outcome_time /STATUS=outcome(1)" in texts[".sps"]
    assert "model (outcome_entry, outcome_time) * outcome(0, 2)" in texts[".sas"]
    assert not any("roctab" in text or "AUROC" in text for text in texts.values())


def test_other_tables_are_declared_nothing(tmp_path: Path) -> None:
    notes = {str(c): ColumnNote(f"Label of {c}") for c in FRAME.columns}
    write_package(
        [ExportTable("analysis", FRAME, notes=notes)], [EXPORTERS["csv"]], tmp_path, about(), 2000
    )
    assert "surv" not in (tmp_path / "import.R").read_text(encoding="utf-8").casefold()
