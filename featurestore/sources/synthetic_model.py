"""The planted model of the synthetic cohort: who the patients are and what decides the outcome.

Three standardised factors enter a logistic model,

    logit P(metastasis) = intercept + image + clinical + expression,

each times its effect. Because the probability of every patient is known, so is the AUROC of the
best possible predictor (the oracle): that of the true probability against the drawn outcome.
Nothing here is estimated from patients.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pydantic
from scipy.optimize import brentq
from scipy.special import expit, ndtr
from scipy.stats import rankdata

from featurestore.config import Section

FACTORS = ("image", "clinical", "expression")
SIGNS = ("asymmetry", "border_irregularity", "colour_variegation", "blue_white_veil")
STAGES = tuple(f"Stage {s}" for s in ("IA", "IB", "IIA", "IIB", "IIC", "IIIA", "IIIB", "IIIC"))
SITES = ("S1", "S2", "S3", "S4", "S5", "S6")

_SIGN_WEIGHTS = {
    "asymmetry": 0.7,
    "border_irregularity": 0.8,
    "colour_variegation": 1.0,
    "blue_white_veil": 1.0,
}
_CLINICAL_WEIGHTS = {
    "log_breslow": 1.0,
    "ulceration": 0.9,
    "log_mitoses": 0.7,
    "age": 0.7,
    "stage": 0.6,
}
# Gene programmes by name and weight in the expression factor; those of weight 0 are distractors.
_PROGRAMMES = {"PRO": 1.0, "IMM": -1.0, "PIG": 0.7, "ECM": 0.0, "STR": 0.0, "KER": 0.0}
_PROGRAMME_GENES = 20
# Share of values missing; all are missing at random given the tissue source site.
_MISSING = {
    "breslow": 0.15,
    "ulceration": 0.12,
    "mitoses": 0.30,
    "stage": 0.06,
    "age": 0.01,
    "braf": 0.08,
    "nras": 0.08,
    "tmb": 0.08,
    "expression": 0.10,
}
_SITE_MISSINGNESS = dict(zip(SITES, (0.4, 0.7, 0.9, 1.1, 1.3, 1.6), strict=True))


class Effects(Section):
    """Effect of each standardised factor on the logit of the outcome.

    Attributes:
        image: Effect of the signs that can be seen in the images.
        clinical: Effect of Breslow thickness, ulceration, mitoses, age and stage.
        expression: Effect of the gene programmes.
    """

    image: float = pydantic.Field(1.7, ge=0, le=10)
    clinical: float = pydantic.Field(1.6, ge=0, le=10)
    expression: float = pydantic.Field(1.5, ge=0, le=10)


@dataclasses.dataclass(frozen=True)
class PlantedPatients:
    """Patients as they truly are; all tables share one index of patient ids.

    Attributes:
        clinical: site, age (years), sex, body_site, breslow (mm), ulceration (0/1), mitoses
            (1/mm²), stage (of `STAGES`), braf, nras (0/1), tmb (mutations/Mb); complete.
        signs: `SIGNS`, 0 to 1, and skin (0 fair to 1 tan).
        expression: RSEM-like normalised counts, patients × genes; complete.
        missing: Which values are not recorded: the incomplete columns of `clinical`, and
            `expression` (the whole profile).
        truth: image_factor, clinical_factor, expression_factor, probability, metastasis (0/1).
    """

    clinical: pd.DataFrame
    signs: pd.DataFrame
    expression: pd.DataFrame
    missing: pd.DataFrame
    truth: pd.DataFrame


def draw_patients(
    patients: int,
    genes: int,
    prevalence: float,
    effects: Effects,
    missingness: bool,
    seed: np.random.SeedSequence,
) -> PlantedPatients:
    """Draws patients, their outcome and which values are missing.

    Args:
        patients: Number of patients.
        genes: Number of genes of the expression profile.
        prevalence: Expected share of patients with the outcome.
        effects: Effects of the factors.
        missingness: Whether any value is missing.
        seed: Seed of everything drawn.

    Returns:
        The patients, in an order that means nothing.
    """
    rng_id, rng_clinical, rng_signs, rng_genes, rng_outcome, rng_missing = map(
        np.random.default_rng, seed.spawn(6)
    )
    numbers = 1_000_000 + rng_id.choice(9_000_000, size=patients, replace=False)
    index = pd.Index([f"IP_{n}" for n in numbers], name="patient_id")
    clinical = _draw_clinical(index, rng_clinical)
    signs = _draw_signs(index, rng_signs)
    programmes, expression = _draw_expression(index, genes, rng_genes)
    factors = pd.DataFrame(
        {
            "image_factor": _weighted(signs, _SIGN_WEIGHTS),
            "clinical_factor": _weighted(_clinical_terms(clinical), _CLINICAL_WEIGHTS),
            "expression_factor": _weighted(programmes, _PROGRAMMES),
        }
    )
    truth = _draw_outcome(factors, prevalence, effects, rng_outcome)
    missing = _draw_missing(clinical["site"], rng_missing) & missingness
    return PlantedPatients(clinical, signs, expression, missing, truth)


def oracle_facts(truth: pd.DataFrame) -> dict[str, float]:
    """AUROC that the true probability, and each true factor alone, reaches on the drawn outcome."""
    outcome = truth["metastasis"].to_numpy()
    facts = {"oracle_auroc": _auroc(outcome, truth["probability"].to_numpy())}
    for factor in FACTORS:
        facts[f"oracle_auroc_{factor}"] = _auroc(outcome, truth[f"{factor}_factor"].to_numpy())
    return facts


def _draw_clinical(index: pd.Index, rng: np.random.Generator) -> pd.DataFrame:
    n = len(index)
    depth = rng.standard_normal(n)
    breslow = np.clip(np.round(2.0 * np.exp(0.9 * depth), 1), 0.2, 40)
    ulceration = (rng.random(n) < expit(-0.6 + 1.1 * depth)).astype(int)
    mitoses = rng.poisson(np.exp(0.8 + 0.4 * depth + 0.8 * rng.standard_normal(n)))
    node_positive = rng.random(n) < expit(-1.2 + 0.7 * depth)
    braf = rng.random(n) < 0.5
    nras = rng.random(n) < np.where(braf, 0.03, 0.5)  # almost mutually exclusive
    return pd.DataFrame(
        {
            "site": rng.choice(SITES, size=n),
            "age": np.clip(np.round(rng.normal(58, 15, size=n)), 18, 90).astype(int),
            "sex": np.where(rng.random(n) < 0.58, "Male", "Female"),
            "body_site": rng.choice(
                ["Trunk", "Extremities", "Head and Neck"], size=n, p=[0.42, 0.44, 0.14]
            ),
            "breslow": breslow,
            "ulceration": ulceration,
            "mitoses": mitoses,
            "stage": _ajcc_stage(breslow, ulceration == 1, node_positive),
            "braf": braf.astype(int),
            "nras": nras.astype(int),
            "tmb": np.round(np.exp(rng.normal(2.2, 1.1, size=n)), 2),
        },
        index=index,
    )


def _ajcc_stage(breslow: np.ndarray, ulcerated: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Stage I to IIIC after the AJCC 8th edition (Gershenwald et al. 2017), N subclasses merged."""
    t_class = 2 * np.digitize(breslow, [1.0, 2.0, 4.0], right=True) + ulcerated
    t_class[(breslow >= 0.8) & (breslow <= 1.0)] = 1  # T1b without ulceration
    node_negative = np.array([0, 1, 1, 2, 2, 3, 3, 4])[t_class]  # T1a, T1b, T2a, ... T4b
    node_positive = np.array([5, 5, 5, 6, 6, 7, 7, 7])[t_class]
    return np.array(STAGES)[np.where(nodes, node_positive, node_negative)]


def _draw_signs(index: pd.Index, rng: np.random.Generator) -> pd.DataFrame:
    """Correlated signs, each uniform on [0, 1] except the veil, which half of the lesions lack."""
    shared = rng.standard_normal((len(index), 1))
    own = rng.standard_normal((len(index), len(SIGNS)))
    signs = pd.DataFrame(ndtr(0.7 * shared + 0.714 * own), index=index, columns=list(SIGNS))
    signs["blue_white_veil"] = np.clip(2 * signs["blue_white_veil"] - 1, 0, 1)
    return signs.assign(skin=rng.random(len(index)))


def _draw_expression(
    index: pd.Index, genes: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Activity of each programme (patients × programmes) and counts (patients × genes)."""
    n, names = len(index), list(_PROGRAMMES)
    activity = pd.DataFrame(rng.standard_normal((n, len(names))), index=index, columns=names)
    size = min(_PROGRAMME_GENES, genes // len(names))
    symbols = [f"SYN{name}{g + 1:02d}" for name in names for g in range(size)]
    symbols += [f"SYN{g + 1:04d}" for g in range(genes - len(symbols))]
    log2 = rng.normal(8, 2, size=genes) + 0.8 * rng.standard_normal((n, genes))
    log2 += 0.15 * rng.standard_normal((n, 1))  # depth of sequencing
    for k, name in enumerate(names):
        loading = rng.uniform(0.5, 1.1, size=size)
        log2[:, k * size : (k + 1) * size] += activity[name].to_numpy()[:, None] * loading
    counts = np.clip(2.0**log2 - 1, 0, None)
    return activity, pd.DataFrame(counts.round(4), index=index, columns=symbols)


def _clinical_terms(clinical: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "log_breslow": np.log(clinical["breslow"]),
            "ulceration": clinical["ulceration"],
            "log_mitoses": np.log1p(clinical["mitoses"]),
            "age": clinical["age"],
            "stage": clinical["stage"].map(STAGES.index),
        }
    )


def _weighted(terms: pd.DataFrame, weights: dict[str, float]) -> pd.Series:
    """Standardised sum of the weighted, standardised terms."""
    share = pd.Series(weights)
    return _standardised(terms[share.index].apply(_standardised) @ share)


def _standardised(values: pd.Series) -> pd.Series:
    return (values - values.mean()) / values.std()


def _draw_outcome(
    factors: pd.DataFrame, prevalence: float, effects: Effects, rng: np.random.Generator
) -> pd.DataFrame:
    logit = sum(getattr(effects, f) * factors[f"{f}_factor"] for f in FACTORS).to_numpy()
    intercept = brentq(lambda c: expit(logit + c).mean() - prevalence, -100, 100)
    probability = expit(logit + intercept)
    drawn = (rng.random(len(logit)) < probability).astype(int)
    return factors.assign(probability=probability, metastasis=drawn)


def _draw_missing(site: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    rate = site.map(_SITE_MISSINGNESS).to_numpy()
    missing = pd.DataFrame(
        {name: rng.random(len(site)) < share * rate for name, share in _MISSING.items()},
        index=site.index,
    )
    return missing.assign(nras=missing["braf"])  # one assay reports both genes


def _auroc(outcome: np.ndarray, score: np.ndarray) -> float:
    """Mann-Whitney form of the AUROC; ties count one half. NaN without both classes."""
    events = int(outcome.sum())
    others = len(outcome) - events
    if not events or not others:
        return float("nan")
    ranks = rankdata(score)[outcome == 1].sum()
    return float((ranks - events * (events + 1) / 2) / (events * others))
