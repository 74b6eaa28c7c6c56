"""Specimens of the synthetic cohort that were taken late, and deaths that could only follow them.

A patient is in the cohort because he lived until his specimen was taken, as in most collections of
tissue. The later it was taken, the more its picture shows: the image factor moves the day. From
there on the hazard of death is constant and proportional,

    hazard(t | patient) = exp(w · factors) / scale        for every t after the specimen,

so that the log hazard ratio of each factor is the same whether time is counted from diagnosis with
late entry or from the specimen, and is known. Counted from diagnosis with everyone at risk from
there, whoever was sampled late seems to have lived long: the effect of the image factor comes out
too small, by an amount that only the design decides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from featurestore.outcomes import DAYS_IN
from featurestore.sources.synthetic_model import FACTORS, Effects
from featurestore.sources.synthetic_times import WEIGHT
from featurestore.tables import VOCABULARY, Column

DEATH_COLUMN, SURVIVAL_COLUMN = "synthetic_death", "synthetic_survival"
DAY_COLUMN, TYPE_COLUMN = "days_to_specimen", "specimen_type"
LATE_COLUMNS = (DAY_COLUMN, TYPE_COLUMN, DEATH_COLUMN, SURVIVAL_COLUMN)
MEDIAN_DAY = 600.0
SPREAD = 0.7
"""Standard deviation of the logarithm of the day at a given image factor."""
BY_IMAGE = 0.6
"""By how much a standard deviation of the image factor moves the logarithm of the day."""
MEDIAN_SURVIVAL = 3.0
"""Years from the specimen to death at average factors, in median."""
FOLLOW_UP = (1.0, 10.0)
"""Follow-up ends between these many years after the specimen, equally likely at any time."""
_STREAM = 23


def draw_late_specimens(truth: pd.DataFrame, late: float, seed: int) -> pd.DataFrame:
    """Draws specimens and deaths of patients.

    Args:
        truth: `image_factor`, `clinical_factor` and `expression_factor`, by patient id, and
            `probability`, whose log odds are their weighted sum.
        late: Share of patients whose specimen was taken after diagnosis.
        seed: Seed of the run.

    Returns:
        By patient id, sorted: `LATE_COLUMNS`, in whole days since diagnosis, and `log_hazard`.
    """
    people = truth.sort_index()
    rng = np.random.default_rng(np.random.SeedSequence([seed, _STREAM]))
    n = len(people)
    log_day = np.log(MEDIAN_DAY) + BY_IMAGE * people["image_factor"].to_numpy()
    drawn = np.ceil(np.exp(log_day + SPREAD * rng.standard_normal(n)))
    day = np.where(rng.random(n) < late, drawn, 0.0)
    odds = people["probability"].to_numpy()
    log_hazard = WEIGHT * (np.log(odds) - np.log1p(-odds))
    log_hazard = log_hazard - log_hazard.mean()
    scale = MEDIAN_SURVIVAL * DAYS_IN["years"] / np.log(2)
    lived = scale * rng.exponential(size=n) * np.exp(-log_hazard)
    followed = rng.uniform(*FOLLOW_UP, size=n) * DAYS_IN["years"]
    return pd.DataFrame(
        {
            DAY_COLUMN: day,
            TYPE_COLUMN: np.where(day > 0, "metastatic", "primary"),
            DEATH_COLUMN: (lived <= followed).astype(float),
            SURVIVAL_COLUMN: day + np.ceil(np.minimum(lived, followed)),
            "log_hazard": log_hazard,
        },
        index=people.index,
    )


def late_columns() -> list[Column]:
    """What the columns are that models and readers see."""
    return [VOCABULARY[name].column for name in (DAY_COLUMN, TYPE_COLUMN)]


def late_facts(effects: Effects) -> dict[str, float]:
    """True log hazard ratio of one standard deviation of each factor, given the others."""
    return {f"log_hazard_ratio_{name}": WEIGHT * getattr(effects, name) for name in FACTORS}


def late_note(effects: Effects) -> str:
    """What every report says of the specimens."""
    known = ", ".join(
        f"{value:.3f} for the {name.rsplit('_', 1)[-1]} factor"
        for name, value in late_facts(effects).items()
    )
    return (
        "SYNTHETIC cohort: patients, images and outcome were made by a program. Deaths were drawn "
        "from a planted model with a constant hazard after the specimen; true log hazard ratios "
        f"are {known}."
    )
