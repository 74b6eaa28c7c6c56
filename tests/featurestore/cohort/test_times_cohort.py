"""A cohort whose outcome is a time: what it holds, whom it leaves out, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from locations import SHARED
from times_example import OUTCOME, ROWS, times_cohort

from featurestore.cohort.assemble import CohortConfig, build_cohort
from featurestore.cohort.availability import availability
from featurestore.cohort.folds import inner_folds, inner_split, make_folds
from featurestore.cohort.table_one import table_one
from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext
from featurestore.tables.exclusions import OUTCOME_STAGE

TCGA = SHARED / "tcga_skcm"
needs_shared = pytest.mark.skipif(
    not TCGA.is_dir(), reason="needs the TCGA tables in ../shared/data, which are not part of this"
)
BIOTAB = {
    "kind": "biotab",
    "patient": "tcga_skcm/gdc_biotab/gdc_clinical_patient_skcm.txt",
    "new_tumor_events": "tcga_skcm/gdc_biotab/gdc_clinical_nte_skcm.txt",
    "follow_up": ["tcga_skcm/gdc_biotab/gdc_clinical_follow_up_v2.0_skcm.txt"],
}


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return times_cohort(tmp_path)


def test_patients_have_code_time_and_entry(cohort: Cohort) -> None:
    target = cohort.target(["a", "c", "d", "g"])
    assert target.kind == "time_to_event"
    assert target.event.tolist() == [1, 2, 1, 0]
    assert target.time is not None
    assert target.entry is not None
    assert target.time.tolist() == [400, 900, 1500, 2500]
    assert target.entry.tolist() == [0, 0, 300, 0]
    assert cohort.outcome.horizons == (730.5,)


def test_a_competing_event_is_no_event(cohort: Cohort) -> None:
    assert cohort.n_patients == 7
    assert cohort.n_events == 3
    assert cohort.prevalence == pytest.approx(3 / 7)
    assert availability(cohort)["events"].sum() == 3


def test_who_is_left_out_has_a_reason(cohort: Cohort) -> None:
    (row,) = cohort.exclusions.to_dict("records")
    assert row == {
        "entity": "patient",
        "id": "h",
        "stage": OUTCOME_STAGE,
        "reason": "relapse_free is unknown: whether the event came is not known",
    }


def test_the_digest_depends_on_times_and_horizons(cohort: Cohort, tmp_path: Path) -> None:
    assert times_cohort(tmp_path).digest() == cohort.digest()
    later = times_cohort(tmp_path, ROWS.replace("2500", "2501"))
    assert (
        len({cohort.digest(), later.digest(), times_cohort(tmp_path, horizons=["1y"]).digest()})
        == 3
    )


def test_table_one_has_times_and_competing_events(cohort: Cohort) -> None:
    table = table_one(cohort).set_index("variable")
    assert table.loc["patients", ["all", "no event", "event"]].tolist() == ["7", "4", "3"]
    assert table.loc["competing event first", ["no event", "event"]].tolist() == ["1", "0"]
    assert table.loc["time observed", "event"] == "400 [250, 800]"


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "code that is not declared": (
        ROWS + "i,7,80,0,50\n",
        {},
        r"'state' holds values that are neither .*: 7",
    ),
    "all censored": (
        "a,0,1000,0,50\nb,0,2000,0,60\nc,0,1500,0,70\n",
        {},
        "none of the 3 patients of the cohort has the event",
    ),
    "ties everywhere": (
        "a,0,1000,0,50\nb,1,1000,0,60\nc,0,1000,0,70\n",
        {},
        r"all 3 times of relapse_free are 2\.7 years: ties everywhere",
    ),
    "horizon beyond follow-up": (
        ROWS,
        {"horizons": ["2y", "10y"]},
        r"horizon of 10 years lies beyond the longest follow-up, 6\.8 years",
    ),
    "years named as days": (
        "a,1,1.5,0,50\nb,0,8,0,60\nc,1,3,0,70\n",
        {},
        r"longest follow-up, 8 days; .*are its numbers days\? \(cohort.outcome.unit\)",
    ),
    "days named as years": (
        ROWS,
        {"unit": "years"},
        r"column 't' in years makes times of up to 2500\.0 years, longer than a life",
    ),
    "nobody left": (
        "a,1,-5,0,50\nb,0,0,0,60\nc,1,10,20,70\n",
        {},
        r"the cohort has no patient \(1 left out: relapse_free is unknown: .*; 1 left out: .*; 1 ",
    ),
    "no such column": (ROWS, {"entry": "randomised"}, "needs the column 'randomised'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    rows, changes, message = REFUSED[name]
    with pytest.raises(DataError, match=message) as raised:
        times_cohort(tmp_path, rows, **changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizons": ["5"]}, r"horizons\.0 = 5: '5' is no duration; write it as 2y"),
        ({"horizons": []}, "horizons"),
        ({"unit": "weeks"}, "unit = 'weeks'"),
        ({"kind": "survival"}, "kind = 'survival'.*'time_to_event'"),
        ({"event": "state =="}, "event = 'state ==': expression"),
        ({"within": "2y"}, "`within` takes no late entry"),
        ({"competing": OUTCOME["event"]}, "the event and the competing event are the same"),
        ({"censoring": "t"}, r"unknown key 'outcome\.censoring'"),
        ({"time": {"event": "t"}}, "key 'outcome.time.censoring' is required"),
    ],
)
def test_a_wrong_definition_is_one_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        times_cohort(tmp_path, **changes)
    assert "\n" not in str(raised.value)


def test_states_are_columns_expressions_or_values(tmp_path: Path) -> None:
    changes = {"event": "age == 50", "competing": None}
    cohort = times_cohort(tmp_path, ROWS, **changes)
    assert cohort.patients.loc[cohort.has_event, "patient_id"].tolist() == ["a", "h"]
    by_name = {"event": "state", "competing": None}
    with pytest.raises(DataError, match="neither positive"):
        times_cohort(tmp_path, **by_name)


def test_within_a_time_the_cohort_is_binary(tmp_path: Path) -> None:
    cohort = times_cohort(tmp_path, within="3y", entry="")
    assert cohort.outcome.kind == "binary"
    assert list(cohort.patients["outcome"]) == [1, 0, 0, 0, 1, 0]
    assert "followed for less than 3 years" in " ".join(cohort.exclusions["reason"])


def test_lent_rows_need_yes_or_no() -> None:
    record = {
        "sources": [{"kind": "synthetic"}],
        "outcome": "overall_survival",
        "linkage": "label_matched",
        "label_matched": {"outcome": "stage_iv"},
    }
    with pytest.raises(ConfigError, match="outcomes that are there or not"):
        validate(CohortConfig, record, "config")


def patients(codes: list[float]) -> pd.DataFrame:
    n = len(codes)
    ids = [f"P{k:03d}" for k in range(n)]
    return pd.DataFrame(
        {"patient_id": ids, "outcome": codes, "outcome_time": 100.0, "outcome_entry": 0.0}
    )


def test_folds_are_stratified_by_the_event() -> None:
    table = patients([1.0] * 10 + [0.0] * 15 + [2.0] * 15)
    folds = make_folds(table, {p: p for p in table["patient_id"]}, 5, 2, seed=0).table
    tested = folds[folds["role"] == "test"].merge(table)
    events = (tested["outcome"] == 1).groupby([tested["repeat"], tested["fold"]]).sum()
    assert events.tolist() == [2] * 10


def test_folds_need_events_and_nobody_without() -> None:
    everyone = patients([1.0] * 12)
    groups = {p: p for p in everyone["patient_id"]}
    assert len(make_folds(everyone, groups, 3, 1, seed=0).keys) == 3
    few = patients([1.0] * 2 + [0.0] * 10)
    with pytest.raises(DataError, match=r"3 folds need 3 independent groups with"):
        make_folds(few, groups, 3, 1, seed=0)


def test_inner_parts_are_stratified_by_the_event() -> None:
    codes = np.array([1.0] * 9 + [2.0] * 9 + [0.0])
    ids = np.array([f"P{k:02d}" for k in range(len(codes))], dtype=object)
    for training, held_out in inner_folds(ids, ids, codes, 3, 0, "time_to_event"):
        assert (codes[held_out] == 1).sum() == 3
        assert (codes[training] == 1).sum() == 6
    all_events = np.ones(len(ids))
    mask = inner_split(ids, ids, all_events, 0.25, 0, "time_to_event")
    assert mask.sum() == round(0.25 * len(ids))
    with pytest.raises(DataError, match="outcome 0, it needs 2"):
        inner_split(ids, ids, all_events, 0.25, 0)


def real(outcome: object, *sources: dict[str, Any], folder: Path) -> Cohort:
    config = validate(CohortConfig, {"sources": sources, "outcome": outcome}, "config")
    return build_cohort(config, "tcga", ReadContext(SHARED, folder))


@needs_shared
@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        ("overall_survival", (236, 220, 0)),  # TCGA-CDR, frozen earlier: 216 events of 470
        ("disease_specific_survival", (236, 193, 21)),  # 190
        ("progression_free_survival", (78, 308, 10)),  # 309; undated events are left out here
        ("distant_metastasis_free_survival", (112, 199, 36)),
    ],
)
def test_events_of_tcga(outcome: str, counts: tuple[int, ...], tmp_path: Path) -> None:
    cohort = real(outcome, BIOTAB, folder=tmp_path)
    found = cohort.patients["outcome"].value_counts()
    assert tuple(found.reindex([0.0, 1.0, 2.0], fill_value=0)) == counts
    left = cohort.exclusions.query("entity == 'patient'")
    assert len(left) + cohort.n_patients == 470
    assert left["reason"].str.contains(f"{outcome} is unknown: ").all()
    usable = {c.name for c in cohort.dictionary.features()}
    assert not usable & {"days_to_specimen", "vital_status", "os_days", "pfi_event"}


@needs_shared
def test_nobody_is_at_risk_before_the_specimen(tmp_path: Path) -> None:
    late_entry = {
        "registered": "overall_survival",
        "entry": "days_to_specimen",
        "horizons": ["3y"],
    }
    cohort = real(late_entry, BIOTAB, folder=tmp_path)
    late = cohort.patients["outcome_entry"]
    assert (late < cohort.patients["outcome_time"]).all()
    assert (late > 0).sum() == 336
    assert cohort.outcome.horizons == (1095.75,)
    assert cohort.outcome.as_of_time == "specimen"


@needs_shared
def test_negatives_of_the_binary_outcome_were_hardly_followed(tmp_path: Path) -> None:
    (note,) = real("distant_metastasis", BIOTAB, folder=tmp_path).notes
    assert "Of the 153 patients without distant_metastasis" in note
    assert "87 for less than 2 years" in note


def asked(**keys: Any) -> Any:
    record = {"sources": [{"kind": "synthetic"}], "outcome": keys}
    return validate(CohortConfig, record, "config").find_outcome()


def test_a_registered_time_is_asked_from_another_zero() -> None:
    outcome = asked(registered="overall_survival", origin="days_to_specimen", horizons=["3y", "1y"])
    assert outcome.name == "overall_survival_from_days_to_specimen"
    assert outcome.time_zero == outcome.as_of == "days_to_specimen"
    assert outcome.as_of_time == "specimen"
    assert outcome.horizons == (365.25, 1095.75)
    assert outcome.caveats[0] == (
        "Time is counted from days_to_specimen, not as the definition says."
    )
    assert "days_to_specimen" in outcome.denied(["days_to_specimen", "age"])


def test_a_registered_time_is_asked_as_yes_or_no() -> None:
    outcome = asked(registered="disease_specific_survival", within="18m")
    assert outcome.kind == "binary"
    assert outcome.name == "disease_specific_survival_within_18_months"
    assert "or in whom a competing event came first" in outcome.caveats[0]
    assert asked(registered="overall_survival", within="2y", name="dead").name == "dead"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"registered": "survival"}, "unknown outcome 'survival'"),
        ({"registered": "stage_iv", "within": "2y"}, "outcome 'stage_iv' has no times"),
        (
            {"registered": "overall_survival", "within": "2y", "entry": "days_to_specimen"},
            "takes no late entry",
        ),
        ({"registered": "overall_survival", "unit": "years"}, "unknown key 'outcome.unit'"),
    ],
)
def test_a_registered_time_asked_wrongly_is_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        asked(**keys)
    assert "\n" not in str(raised.value)
