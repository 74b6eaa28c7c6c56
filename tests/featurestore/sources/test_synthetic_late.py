"""Late specimens as planted: known effects on every clock, and a first rung that misses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from statsmodels.duration.hazard_regression import PHReg

from benchmarks.time_ladder import cohort as drawn_cohort
from benchmarks.time_ladder import coverage, estimates
from featurestore.outcomes import OUTCOMES
from featurestore.sources.base import ReadContext
from featurestore.sources.synthetic import SyntheticSource
from featurestore.sources.synthetic_late import (
    MEDIAN_DAY,
    draw_late_specimens,
    late_facts,
    late_note,
)
from featurestore.sources.synthetic_model import FACTORS, Effects, draw_patients
from fusion.evaluation.time_rungs import FROM_ZERO

TRUTH = draw_patients(6000, 24, 0.4, Effects(), False, np.random.SeedSequence(3)).truth
LATE = draw_late_specimens(TRUTH, 0.7, 3)
ALL = ["image_factor", "clinical_factor", "expression_factor"]


def test_nobody_dies_before_the_specimen_and_days_are_as_planted() -> None:
    assert (LATE["synthetic_survival"] > LATE["days_to_specimen"]).all()
    late = LATE["days_to_specimen"] > 0
    assert late.mean() == pytest.approx(0.7, abs=0.02)
    assert (LATE["specimen_type"] == np.where(late, "metastatic", "primary")).all()
    assert LATE.loc[late, "days_to_specimen"].median() == pytest.approx(MEDIAN_DAY, rel=0.1)


def test_the_hazard_after_the_specimen_is_constant_and_proportional() -> None:
    """Cumulative hazards at death are exponential (Cox & Snell 1968), among those surely seen."""
    since = LATE["synthetic_survival"] - LATE["days_to_specimen"]
    hazard = since * np.exp(LATE["log_hazard"]) * np.log(2) / (3 * 365.25)
    quick = hazard[since <= 365]  # nobody is lost in the first year
    limit = 365 * np.exp(LATE.loc[quick.index, "log_hazard"]) * np.log(2) / (3 * 365.25)
    uniform = -np.expm1(-quick) / -np.expm1(-limit)  # truncated at the year
    assert kstest(uniform, "uniform").pvalue > 0.001


def test_another_program_finds_the_planted_effects_with_late_entry_only() -> None:
    some = LATE.iloc[:1500]
    status, x = some["synthetic_death"].to_numpy(), TRUTH.loc[some.index, ALL].to_numpy()
    entry, time = some["days_to_specimen"].to_numpy(), some["synthetic_survival"].to_numpy()
    delayed = PHReg(time, x, status=status, entry=entry, ties="efron").fit()
    truth = list(late_facts(Effects()).values())
    assert (np.abs(delayed.params - truth) < 4 * delayed.bse).all()
    naive = PHReg(time, x, status=status, ties="efron").fit()
    assert naive.params[0] < truth[0] - 10 * naive.bse[0]


def test_a_few_cohorts_of_the_benchmark_already_tell() -> None:
    truth = late_facts(Effects())["log_hazard_ratio_image"]
    rows = [row for seed in range(20) for row in estimates(*drawn_cohort(300, 0.7, seed))]
    table = coverage(pd.DataFrame(rows), truth).set_index("rung")
    assert table.loc[FROM_ZERO, "held"] == 0
    assert (table.drop(FROM_ZERO)["high"] > 0.95).all()
    assert table.loc[FROM_ZERO, "high"] == pytest.approx(1 - 0.025 ** (1 / 20))  # Clopper-Pearson


def test_order_means_nothing_and_the_seed_does() -> None:
    pd.testing.assert_frame_equal(draw_late_specimens(TRUTH.iloc[::-1], 0.7, 3), LATE)
    assert not draw_late_specimens(TRUTH, 0.7, 4).equals(LATE)


def test_files_are_those_of_a_cohort_without_late_specimens(tmp_path: Path) -> None:
    plain = SyntheticSource(patients=40, genes=24, image_pixels=(64, 80), troubles=False)
    late = plain.model_copy(update={"late_specimens": 0.5})
    named = OUTCOMES["synthetic_survival"].named
    context = ReadContext(tmp_path, tmp_path, seed=2, named=named)
    assert plain.folder(context) == late.folder(context)
    found = late.read(context)
    assert found.dictionary["days_to_specimen"].measured == "specimen"
    known = OUTCOMES["synthetic_survival"].known(found.patients, found.images, found.dictionary)
    assert (known["outcome_time"] > found.patients["days_to_specimen"].to_numpy()).all()
    assert found.notes == (late_note(Effects()),)
    assert found.facts == late_facts(Effects())
    assert list(found.facts) == [f"log_hazard_ratio_{name}" for name in FACTORS]
