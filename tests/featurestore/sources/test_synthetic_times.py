"""Planted times: as planted, and nothing else of the cohort knows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binomtest

from featurestore.outcomes import OUTCOMES
from featurestore.sources.base import ReadContext
from featurestore.sources.synthetic import HORIZONS, SyntheticSource
from featurestore.sources.synthetic_times import draw_times, oracle_times, true_risk

MANY = pd.DataFrame(
    {"probability": expit(np.random.default_rng(4).normal(-1, 2.5, 4000))},
    index=[f"P{k:05d}" for k in range(4000)],
)


def test_the_share_with_an_event_in_five_years_is_that_of_the_binary_outcome() -> None:
    times = draw_times(MANY, 1)
    assert true_risk(times, 1826.25).mean() == pytest.approx(MANY["probability"].mean(), abs=1e-9)


@pytest.mark.parametrize("days", HORIZONS)
def test_latent_times_have_the_true_risks(days: float) -> None:
    times = draw_times(MANY, 1)
    risk = true_risk(times, days)
    for part in np.array_split(np.argsort(risk), 4):
        came = int((times["latent"].to_numpy()[part] <= days).sum())
        assert binomtest(came, len(part), float(risk[part].mean())).pvalue > 0.001


def test_censoring_depends_on_nothing_and_hides_what_comes_later() -> None:
    times = draw_times(MANY, 1)
    seen = times["synthetic_event"] == 1
    latent = times["latent"]
    np.testing.assert_array_equal(times.loc[seen, "synthetic_days"], np.ceil(latent[seen]))
    assert (times.loc[~seen, "synthetic_days"] < latent[~seen] + 1).all()
    assert times["synthetic_days"].min() >= 1
    lost = times.loc[~seen & (latent > 9 * 365.25)]  # their censoring times are seen whole
    assert abs(np.corrcoef(lost["synthetic_days"], lost["log_hazard"])[0, 1]) < 0.1


def test_the_oracle_is_what_theory_says() -> None:
    times = draw_times(MANY, 1)
    facts = oracle_times(times, HORIZONS)
    for days in HORIZONS:
        risk = true_risk(times, days)
        assert facts[f"oracle_brier_{days:g}"] == pytest.approx(
            (risk * (1 - risk)).mean(), abs=0.01
        )
    # Two patients of hazards r and s: the first event is that of r with probability r / (r + s);
    # it comes within five years with 1 - S_r S_s (Gonen and Heller 2005, truncated).
    score = times["log_hazard"].to_numpy()[:600]
    difference = score[:, None] - score[None, :]
    free = 1 - true_risk(times, HORIZONS[-1])[:600]
    weight = 1 - free[:, None] * free[None, :]
    np.fill_diagonal(weight, 0)
    expected = (weight * expit(np.abs(difference))).sum() / weight.sum()
    assert facts["oracle_c"] == pytest.approx(expected, abs=0.015)


def test_order_means_nothing_and_the_seed_does() -> None:
    again = draw_times(MANY.iloc[::-1], 1)
    pd.testing.assert_frame_equal(draw_times(MANY, 1), again)
    assert not draw_times(MANY, 2)["latent"].equals(again["latent"])


def test_the_binary_outcome_sees_nothing_of_the_times(tmp_path: Path) -> None:
    source = SyntheticSource(patients=40, genes=24, image_pixels=(64, 80))
    plain = source.read(ReadContext(tmp_path, tmp_path, seed=2))
    timed = source.read(
        ReadContext(
            tmp_path,
            tmp_path,
            seed=2,
            named=OUTCOMES["synthetic_metastasis_free_survival"].named,
        )
    )
    pd.testing.assert_frame_equal(plain.patients, timed.patients)
    assert "oracle_auroc" in plain.facts
    assert "oracle_c" in timed.facts
    assert "AUROC" in plain.notes[0]
    assert f"a C of {timed.facts['oracle_c']:.3f} within 5 years" in timed.notes[0]
    assert not {"synthetic_days", "synthetic_event"} & set(plain.dictionary.names)
