"""Times to metastasis of the synthetic cohort: a planted model whose true risks are known.

The three factors of the cohort enter a proportional-hazards model with a Weibull baseline,

    P(metastasis within t | patient) = 1 - exp(-(t / scale)^shape · exp(w · factors)),

with the weights of the logistic model of the yes-or-no outcome, halved. The scale is such that
as many are expected to have the event within five years as have the yes-or-no outcome. Follow-up
ends at a time that depends on nothing. All of it comes from a random stream of its own, so that
files and the yes-or-no outcome are those of a cohort without times (inversion method: Bender et
al. 2005, Statistics in Medicine 24:1713).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import logit
from scipy.stats import rankdata

from featurestore.outcomes import DAYS_IN, duration_words

EVENT_COLUMN, TIME_COLUMN = "synthetic_event", "synthetic_days"
SHAPE = 1.2
WEIGHT = 0.5
"""Log hazard ratio of one unit of the logit of the yes-or-no outcome."""
FOLLOW_UP = (0.5, 9.0)
"""Follow-up ends between these many years, equally likely at any time."""
_STREAM = 11
_ANCHOR = 5 * DAYS_IN["years"]


def draw_times(truth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draws times of patients.

    Args:
        truth: `probability` of the yes-or-no outcome, by patient id.
        seed: Seed of the run.

    Returns:
        By patient id, sorted: `latent` (days to the metastasis, whenever it would come),
        `log_hazard` (over the baseline), and what is observed: `EVENT_COLUMN` (1.0 or 0.0) and
        `TIME_COLUMN` (whole days, at least one).
    """
    people = truth.sort_index()
    rng_event, rng_follow_up = map(
        np.random.default_rng, np.random.SeedSequence([seed, _STREAM]).spawn(2)
    )
    log_hazard = WEIGHT * logit(people["probability"].to_numpy())
    log_hazard = log_hazard - log_hazard.mean()
    scale = _scale(log_hazard, float(people["probability"].mean()))
    unit = rng_event.exponential(size=len(people))
    latent = scale * (unit * np.exp(-log_hazard)) ** (1 / SHAPE)
    followed = rng_follow_up.uniform(*FOLLOW_UP, size=len(people)) * DAYS_IN["years"]
    return pd.DataFrame(
        {
            "latent": latent,
            "log_hazard": log_hazard,
            "scale": scale,
            EVENT_COLUMN: (latent <= followed).astype(float),
            TIME_COLUMN: np.ceil(np.minimum(latent, followed)),
        },
        index=people.index,
    )


def true_risk(times: pd.DataFrame, days: float) -> np.ndarray:
    """Probability of each patient to have the event within so many days. Shape (n,)."""
    cumulative = (days / times["scale"].to_numpy()) ** SHAPE * np.exp(times["log_hazard"])
    return np.asarray(-np.expm1(-cumulative.to_numpy()))


def oracle_times(times: pd.DataFrame, horizons: tuple[float, ...]) -> dict[str, float]:
    """What the true risk reaches on the latent times, which no censoring hides.

    Args:
        times: Table of `draw_times`.
        horizons: Days since time zero, ascending.

    Returns:
        `oracle_c` (of the pairs whose first event comes within the last horizon), and for each
        horizon `oracle_auc_DAYS` and `oracle_brier_DAYS`.
    """
    latent, score = times["latent"].to_numpy(), times["log_hazard"].to_numpy()
    facts = {"oracle_c": _concordance(latent, score, horizons[-1])}
    for days in horizons:
        came = latent <= days
        facts[f"oracle_auc_{days:g}"] = _auc(came, score)
        facts[f"oracle_brier_{days:g}"] = float(np.mean((true_risk(times, days) - came) ** 2))
    return facts


def note(facts: dict[str, float], horizons: tuple[float, ...]) -> str:
    """What every report says of the times."""
    reached = "; ".join(
        f"at {duration_words(days)} an AUC of {facts[f'oracle_auc_{days:g}']:.3f} and a Brier "
        f"score of {facts[f'oracle_brier_{days:g}']:.3f}"
        for days in horizons
    )
    return (
        "SYNTHETIC cohort: patients, images and outcome were made by a program. Times were drawn "
        "from a planted proportional-hazards model; its true risk reaches a C of "
        f"{facts['oracle_c']:.3f} within {duration_words(horizons[-1])}, {reached} (oracle: on the "
        "times that censoring hides too; no predictor can be expected to do better)."
    )


def _scale(log_hazard: np.ndarray, share: float) -> float:
    """Scale of the baseline, in days, for this expected share of events within five years."""

    def excess(log_scale: float) -> float:
        cumulative = (_ANCHOR / np.exp(log_scale)) ** SHAPE * np.exp(log_hazard)
        return float(-np.expm1(-cumulative).mean() - share)

    return float(np.exp(brentq(excess, -20, 40)))


def _concordance(latent: np.ndarray, score: np.ndarray, limit: float) -> float:
    """Share of pairs, the first event within `limit`, in which the earlier has the higher score."""
    concordant = pairs = 0.0
    for k in np.flatnonzero(latent <= limit):
        later = score[latent > latent[k]]
        concordant += (later < score[k]).sum() + 0.5 * (later == score[k]).sum()
        pairs += len(later)
    return float(concordant / pairs) if pairs else float("nan")


def _auc(came: np.ndarray, score: np.ndarray) -> float:
    events, others = int(came.sum()), int((~came).sum())
    if not events or not others:
        return float("nan")
    ranks = rankdata(score)[came].sum()
    return float((ranks - events * (events + 1) / 2) / (events * others))
