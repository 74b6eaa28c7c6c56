"""Nobody of a cohort gets through, wherever a sentence names them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from featurestore.errors import DataError
from fusion.audit.base import Hit
from fusion.evidence import Finding, finished_run
from fusion.paths import RunPaths
from fusion.publish.people import LEFT_OUT, People, require_nobody, without_people
from fusion.report import write_report

if TYPE_CHECKING:
    from bundle_example import Fitted

IDS = pd.DataFrame(
    {
        "patient_id": ["TCGA-AB-1234", "p12", "7", "Smith, J. 1960", "10023456"],
        "image_id": ["ISIC_0000012", "a/b 1.jpg", "42", None, "IMG_1.png"],
    }
)
PEOPLE = People.of([IDS])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ISIC_0000012 = TCGA-AB-1234.", "[id] = [id]."),
        ("see ISIC_0000012.jpg", "see [id]"),
        ("TCGA-AB-1234-01A, p12", "[id], [id]"),
        ("of Smith, J. 1960 and a/b 1.jpg", "of [id] and [id]"),
        ("10023456", "[id]"),
        ("IMG_1.png", "[id]"),
        ("p123 has 7 of 42 at 0.7", "p123 has 7 of 42 at 0.7"),
        ("p=0.12, CD42", "p=0.12, CD42"),
    ],
)
def test_ids_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert PEOPLE.hide(text) == shown


def test_plain_numbers_are_looked_for_in_doubtful_sentences_only() -> None:
    assert PEOPLE.may_name_by_number("patients 3 and 7")
    assert not PEOPLE.may_name_by_number("0.7 of 8")


def test_what_would_name_somebody_is_refused() -> None:
    require_nobody({"a.csv": b"age,61\n", "b.bin": b"\xff\xfeISIC_0000012"}, PEOPLE)
    inside = b'<img src="data:image/png;base64,ISIC/TCGA-AB+1234==">'
    require_nobody({"page.html": inside}, PEOPLE)
    with pytest.raises(DataError, match=r"report\.md would name TCGA-AB-1234 of the cohort"):
        require_nobody({"report.md": b"| site | TCGA-AB-1234 |"}, PEOPLE)


def test_ids_planted_everywhere_in_the_evidence_reach_no_file(tiny: Fitted, tmp_path: Path) -> None:
    evidence = finished_run(RunPaths(tiny.out)).evidence
    assert evidence.audit is not None
    planted = ("PLANT_0001", "PLANT_0002", "31")
    text = "Rows of PLANT_0001 and PLANT_0002 and 31 agree."
    hit = Hit(text, ("PLANT_0001", "31"), severity="warning")
    results = tuple(
        dataclasses.replace(r, hits=(hit,), accepted=(hit,), status="fired", note=text)
        for r in evidence.audit.results[:2]
    )
    run = dataclasses.replace(
        evidence.run,
        notes=(text,),
        caveats=("PLANT_0001 is a caveat",),
        licences=("CC-0 by PLANT_0002",),
        arms_left_out=("x: PLANT_0001",),
        command="melafuse run PLANT_0002.yaml",
    )
    named = dataclasses.replace(
        evidence,
        run=run,
        audit=dataclasses.replace(evidence.audit, results=results),
        findings=(Finding("warning", text), Finding("note", f"{text} Accepted: {text}.")),
    )
    people = People.of([pd.DataFrame({"patient_id": planted})])
    shown = without_people(named, people)
    assert shown.overlays == ()
    assert {f.text for f in shown.findings} == {LEFT_OUT}
    assert shown.run.notes == (LEFT_OUT,)
    write_report(shown, tmp_path)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) > 10
    for path in files:
        assert b"PLANT" not in path.read_bytes(), path.name
        assert b"and 31 agree" not in path.read_bytes(), path.name
