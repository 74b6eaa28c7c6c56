"""Table 1 by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.cohort.table_one import table_one
from featurestore.cohort.tables import IMAGE_COLUMNS, Cohort
from featurestore.outcomes import OUTCOMES
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table


def _cohort() -> Cohort:
    patients = pd.DataFrame(
        {
            "patient_id": list("abcde"),
            "person_id": list("abcde"),
            "outcome": [0.0, 0.0, 0.0, 1.0, 1.0],
            "site": "",
            "breslow": [1.0, 2.0, 3.0, 4.0, np.nan],
            "ulceration": [0.0, 1.0, np.nan, 1.0, 1.0],
            "stage": ["I", "II", "I", "II", None],
            "metastases": [0.0, 0.0, 0.0, 1.0, 1.0],
            "GENE1": [1.0, np.nan, 2.0, 3.0, np.nan],
            "GENE2": [1.0, np.nan, np.nan, 3.0, np.nan],
        }
    )
    dictionary = DataDictionary(
        [
            Column("breslow", "numeric", "histopathology", "Breslow thickness", "mm"),
            Column("ulceration", "binary", "histopathology"),
            Column("stage", "ordinal", "staging", "Stage", levels=("I", "II", "III")),
            Column("metastases", "binary", "staging", leaks=True),
            Column("GENE1", "expression", "expression"),
            Column("GENE2", "expression", "expression"),
        ]
    )
    images = pd.DataFrame(columns=list(IMAGE_COLUMNS), dtype="str")
    return Cohort("c", OUTCOMES["melanoma"], images, patients, dictionary, exclusions_table())


def test_every_column_is_described_by_outcome() -> None:
    rows = [tuple(row) for row in table_one(_cohort()).itertuples(index=False)]
    assert rows == [
        ("patients", "", "n", "5", "3", "2", ""),
        ("Breslow thickness", "", "mm", "2.5 [1.75, 3.25]", "2 [1.5, 2.5]", "4 [4, 4]", "1 (20%)"),
        ("ulceration", "yes", "n (%)", "3 (75%)", "1 (50%)", "2 (100%)", "1 (20%)"),
        ("Stage", "I", "n (%)", "2 (50%)", "2 (67%)", "0 (0%)", "1 (20%)"),
        ("", "II", "n (%)", "2 (50%)", "1 (33%)", "1 (100%)", ""),
        ("", "III", "n (%)", "0 (0%)", "0 (0%)", "0 (0%)", ""),
        (
            "metastases (reveals the outcome; not used)",
            "yes",
            "n (%)",
            "2 (40%)",
            "0 (0%)",
            "2 (100%)",
            "0 (0%)",
        ),
        ("expression known (2 genes)", "", "n", "3", "2", "1", "2"),
    ]


def test_row_order_means_nothing_and_empty_columns_are_dashes() -> None:
    cohort = _cohort()
    shuffled = Cohort(
        "c",
        cohort.outcome,
        cohort.images,
        cohort.patients.sample(frac=1, random_state=0).assign(breslow=np.nan),
        cohort.dictionary,
        cohort.exclusions,
    )
    table = table_one(shuffled)
    assert table.loc[1, "all"] == "—"
    pd.testing.assert_frame_equal(table.drop(index=1), table_one(cohort).drop(index=1))


def test_years_keep_their_digits() -> None:
    cohort = _cohort()
    patients = cohort.patients.assign(breslow=[1998.0, 2004.0, 2004.0, 2011.0, np.nan])
    table = table_one(dataclasses.replace(cohort, patients=patients))
    assert "2004 [2002, 2006]" in set(table["all"])
