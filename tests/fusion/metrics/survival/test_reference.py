"""R itself, where it is installed: the recorded values again, and real data that is not kept."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from locations import SHARED
from survival_example import HERE, R, parsed

from fusion.metrics.survival.baseline import baseline_hazard, cause_specific_risk
from fusion.metrics.survival.brier import brier_over_time
from fusion.metrics.survival.censoring import censoring_distribution
from fusion.metrics.survival.concordance import harrell_c, uno_c
from fusion.metrics.survival.cox import cox_ridge
from fusion.metrics.survival.dynamic_auc import auc_over_time
from fusion.metrics.survival.grambsch_therneau import proportional_hazards
from fusion.metrics.survival.group_tests import log_rank
from fusion.metrics.survival.incidence import cumulative_incidence
from fusion.metrics.survival.kaplan_meier import follow_up, kaplan_meier
from fusion.metrics.survival.restricted_mean import restricted_mean
from fusion.metrics.survival.times import checked_times

PACKAGES = ("survival", "prodlim", "pec", "riskRegression", "cmprsk", "etm", "MASS")
E1684 = SHARED / "ecog" / "E1684.csv"
YEAR = 365.25


def spoken(script: str, *arguments: str) -> dict[str, np.ndarray]:
    """What a script of R prints; skips where R or one of its packages is absent."""
    if shutil.which("Rscript") is None:
        pytest.skip("R is needed")
    names = ", ".join(f'"{package}"' for package in PACKAGES)
    code = f"quit(status = !all(sapply(c({names}), requireNamespace, quietly = TRUE)))"
    if subprocess.run(["Rscript", "-e", code], capture_output=True, check=False).returncode:
        pytest.skip(f"R needs the packages {names}")
    command = ["Rscript", str(HERE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


@pytest.mark.slow
def test_recorded_values_are_what_r_says() -> None:
    found = spoken("reference.R", str(HERE / "cohort.csv"))
    assert found.keys() == R.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, R[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """R's values for the Danish primaries, and for E1684 where it lies; and the primaries."""
    output = tmp_path_factory.mktemp("melanoma") / "melanoma.csv"
    found = spoken("reference_data.R", str(output), *([str(E1684)] if E1684.exists() else []))
    return found, pd.read_csv(output)


@pytest.mark.slow
def test_danish_primaries(real: tuple[dict[str, np.ndarray], pd.DataFrame]) -> None:
    r, table = real
    at = np.array([2, 5, 8]) * YEAR
    times = checked_times(table["time"], table["event"], codes=(0, 1, 2))
    own = times.cause_specific()
    x = table[["log_thickness", "ulcer", "sex", "age"]].to_numpy(float)
    for cause in (1, 2):
        curve = cumulative_incidence(times, cause)
        np.testing.assert_allclose(curve.at(at), r[f"incidence.{cause}"], rtol=1e-10)
        found = np.sqrt(curve.variance_at(at))
        np.testing.assert_allclose(found, r[f"incidence_se.{cause}"], rtol=1e-10)
    np.testing.assert_allclose(
        [r["incidence.1"][1], r["incidence.2"][1]], [0.2235, 0.0442], atol=5e-5
    )
    median = follow_up(times).quantile()
    np.testing.assert_allclose([median.value, median.low, median.high], r["follow_up"])
    fit = cox_ridge(times, x)
    np.testing.assert_allclose(fit.coefficients, r["cox"], rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), r["cox_se"], rtol=1e-6)
    lp = fit.linear_predictor(x)
    np.testing.assert_allclose(harrell_c(own, lp), r["harrell"], rtol=1e-10)
    uno = uno_c(own, lp, censoring_distribution(own), tau=at[1])
    np.testing.assert_allclose(uno, r["uno"], rtol=1e-10)
    assert log_rank(own, table["ulcer"].to_numpy()).chi2 == pytest.approx(r["log_rank"][0])
    for group in (0, 1):
        found = restricted_mean(times.take(table["ulcer"].to_numpy() == group), at[1])
        np.testing.assert_allclose([found.value, found.variance**0.5], r[f"rmst.{group}"])
    zph = proportional_hazards(times, x, fit)
    np.testing.assert_allclose([*zph.chi2, zph.global_chi2], r["zph"], rtol=1e-6)
    fits = [fit, cox_ridge(times, x, cause=2)]
    scores = [one.linear_predictor(x) for one in fits]
    baselines = [baseline_hazard(times, s, cause=c) for c, s in enumerate(scores, start=1)]
    risk = cause_specific_risk(baselines, scores, at)
    censoring = censoring_distribution(times)
    np.testing.assert_allclose(auc_over_time(times, risk, at, censoring)[0], r["auc"], rtol=1e-6)
    found = brier_over_time(times, risk, at, censoring)[0]
    np.testing.assert_allclose(found, r["brier"], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not E1684.exists(), reason="E1684.csv is not here")
def test_e1684(real: tuple[dict[str, np.ndarray], pd.DataFrame]) -> None:
    r, table = real[0], pd.read_csv(E1684)
    names = ["treatment", "sex", "age", "node_bin"]
    table = table.dropna(subset=["failtime", "failcens", *names])
    times, at = checked_times(table["failtime"], table["failcens"]), np.array([1.0, 2.0, 5.0])
    x = table[names].to_numpy(float)
    np.testing.assert_allclose(kaplan_meier(times).at(at), r["e.km"], rtol=1e-10)
    chi2 = log_rank(times, table["treatment"].to_numpy()).chi2
    assert chi2 == pytest.approx(r["e.log_rank"][0])
    fit = cox_ridge(times, x)
    np.testing.assert_allclose(fit.coefficients, r["e.cox"], rtol=1e-6)
    lp, censoring = fit.linear_predictor(x), censoring_distribution(times)
    np.testing.assert_allclose(harrell_c(times, lp), r["e.harrell"], rtol=1e-10)
    np.testing.assert_allclose(uno_c(times, lp, censoring, tau=5.0), r["e.uno"], rtol=1e-10)
    risk = baseline_hazard(times, lp).risk(lp, at)
    np.testing.assert_allclose(auc_over_time(times, risk, at, censoring)[0], r["e.auc"], rtol=1e-6)
    found = brier_over_time(times, risk, at, censoring)[0]
    np.testing.assert_allclose(found, r["e.brier"], rtol=1e-6)
