"""The linkage ladder on cohorts whose parts have nothing to do with each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from featurestore.cohort.groups import patient_groups
from featurestore.cohort.matching import label_matched
from featurestore.cohort.tables import IMAGE_COLUMNS, Cohort
from featurestore.errors import DataError
from featurestore.outcomes import Outcome, Target, ValueRule
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.config import AblationConfig, LadderConfig
from fusion.evaluation.ladder import METRICS, Claim, Ladder, _rung, _Setting, climb
from fusion.features.table import FeatureTable
from fusion.metrics import auroc as auroc_of
from fusion.metrics import draw_weights, percentile_interval
from fusion.metrics.cross_validated import spread

OUTCOME = Outcome("lesion", "Invented.", "lesion", "now", ValueRule("x"))
NAMES = [f"m{k}" for k in range(6)]
CONFIG = LadderConfig(components=4, folds=3, repeats=2, jobs=1)


def people(prefix: str, n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient_id": pd.Series([f"{prefix}{k:04d}" for k in range(n)], dtype="str"),
            "person_id": pd.Series([f"{prefix}{k:04d}" for k in range(n)], dtype="str"),
            "outcome": (rng.random(n) < 0.4).astype(float),
            "site": "S",
        }
    )


def image_cohort(n: int = 400) -> Cohort:
    patients = people("P", n, 1).assign(age=50.0)
    images = pd.DataFrame(dict.fromkeys(IMAGE_COLUMNS, patients["patient_id"])).assign(
        image_id="I" + patients["patient_id"], width=1, height=1
    )
    dictionary = DataDictionary([Column("age", "numeric", "demographic")])
    return Cohort("images", OUTCOME, images, patients, dictionary, exclusions_table())


def donor_cohort(n: int = 90, strength: float = 0.0) -> Cohort:
    """Donors whose columns are noise (or follow their outcome), each row unlike any other."""
    rng = np.random.default_rng(2)
    patients = people("D", n, 3)
    for name in NAMES:
        patients[name] = rng.normal(size=n) + strength * patients["outcome"]
    images = pd.DataFrame({c: pd.Series(dtype="str") for c in IMAGE_COLUMNS})
    dictionary = DataDictionary(Column(name, "numeric", "staging") for name in NAMES)
    return Cohort("donors", OUTCOME, images, patients, dictionary, exclusions_table())


def tables(cohort: Cohort, donors: Cohort) -> tuple[FeatureTable, FeatureTable]:
    """Embeddings that are noise; columns of the donors."""
    rng = np.random.default_rng(4)
    patients = cohort.patients.sort_values("patient_id")
    ids = patients["patient_id"].to_numpy(dtype=object)
    table = FeatureTable(
        row_ids=ids,
        patient_ids=ids,
        groups=ids,
        target=Target.binary(patients["outcome"].to_numpy()),
        embeddings={"net": rng.normal(size=(len(ids), 8)).astype(np.float32)},
        columns=patients[donors.dictionary.names].reset_index(drop=True),
        dictionary=donors.dictionary,
    )
    own = donors.patients
    own_ids = own["patient_id"].to_numpy(dtype=object)
    rows = FeatureTable(
        row_ids=own_ids,
        patient_ids=own_ids,
        groups=own_ids,
        target=Target.binary(own["outcome"].to_numpy()),
        embeddings={},
        columns=own[donors.dictionary.names],
        dictionary=donors.dictionary,
    )
    return table, rows


def ladder_of(donors: Cohort, claim: Claim | None = None, seed: int = 0) -> Ladder:
    cohort = label_matched(image_cohort(), donors, True, seed)
    table, rows = tables(cohort, donors)
    return climb(cohort, table, rows, CONFIG, AblationConfig(bootstrap_draws=200), claim, seed)


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    return ladder_of(donor_cohort(), Claim("a paper", {"auroc": 0.99}))


def auroc(ladder: Ladder, name: str) -> float:
    return next(r for r in ladder.rungs if r.name == name).metrics["auroc"].value


def test_noise_and_noise_make_a_wonderful_first_rung(ladder: Ladder) -> None:
    """Nothing in either modality knows the outcome; the pairing does, and rows are remembered."""
    assert auroc(ladder, "row folds") > 0.95
    assert auroc(ladder, "grouped folds") < 0.65
    assert auroc(ladder, "random pairing") < 0.6
    assert auroc(ladder, "image alone") < 0.6
    assert auroc(ladder, "clinical alone") < 0.65


def test_a_clinical_row_that_knows_its_own_outcome_lends_it() -> None:
    found = ladder_of(donor_cohort(strength=1.5))
    assert auroc(found, "grouped folds") > 0.85
    assert auroc(found, "clinical alone") > 0.85
    assert auroc(found, "random pairing") < 0.6
    assert auroc(found, "image alone") < 0.6


def test_every_rung_is_complete(ladder: Ladder) -> None:
    assert [r.name for r in ladder.rungs] == [
        "row folds", "grouped folds", "one to one", "random pairing", "image alone",
        "clinical alone",
    ]  # fmt: skip
    for rung in ladder.rungs:
        assert tuple(rung.metrics) == METRICS
        for estimate in rung.metrics.values():
            assert estimate.low <= estimate.value <= estimate.high
        assert all(estimate.method == "repeats" for estimate in rung.metrics.values())
    once = ladder.rungs[2]
    assert once.n == once.donors <= 90
    assert ladder.rungs[0].takes_away == ""
    assert ladder.claim == Claim("a paper", {"auroc": 0.99})


def test_intervals_of_rungs_are_widened_for_training() -> None:
    """Rebuilt from the predictions of one rung: percentiles, stretched on the log odds."""
    rng = np.random.default_rng(0)
    n = 120
    y = (np.arange(n) % 3 == 0).astype(float)
    ids = [f"P{k:03d}" for k in range(n)]
    repeats = [
        pd.DataFrame({"patient_id": ids, "y": y, "score": y + rng.normal(size=n)}) for _ in range(2)
    ]
    clusters = {p: f"C{k // 2:03d}" for k, p in enumerate(ids)}
    setting = _Setting("made", "", "", None, (), clusters, clusters, 0)  # type: ignore[arg-type]
    weights = draw_weights([clusters[p] for p in ids], 400, 0)
    held = _rung(setting, repeats, weights, 1).metrics["auroc"]
    drawn = np.array([auroc_of(y, r["score"].to_numpy(), weights.astype(float)) for r in repeats])
    plain = percentile_interval(held.value, drawn.mean(axis=0))
    assert (held.low, held.high) == (plain.low, plain.high)
    assert held.method == "percentile"
    found = _rung(setting, repeats, weights, 5).metrics["auroc"]
    assert found.method == "repeats"
    assert found.value == held.value
    values = np.array([auroc_of(y, r["score"].to_numpy())[0] for r in repeats])
    units = len({clusters[p] for p, event in zip(ids, y, strict=True) if event})
    stretch = spread(values, drawn, 5, units).stretch
    assert stretch > 1.1
    assert logit(found.low) == pytest.approx(
        logit(found.value) + stretch * (logit(held.low) - logit(found.value))
    )


def test_the_same_seed_gives_the_same_ladder(ladder: Ladder) -> None:
    again = ladder_of(donor_cohort(), Claim("a paper", {"auroc": 0.99}))
    assert again == ladder


def test_the_matched_cohort_ties_those_who_share_a_row() -> None:
    donors = donor_cohort()
    cohort = label_matched(image_cohort(), donors, True, 0)
    assert cohort.linkage == "label_matched"
    assert cohort.dictionary == donors.dictionary
    assert "age" not in cohort.patients.columns
    lent = donors.patients.set_index("patient_id")
    for row in cohort.patients.itertuples():
        assert lent.loc[row.donor_id, "outcome"] == row.outcome
        assert lent.loc[row.donor_id, "m0"] == row.m0
    groups = patient_groups(cohort.patients, cohort.images)
    shared = cohort.patients.groupby("donor_id")["patient_id"].agg(list)
    assert all(len({groups[p] for p in ids}) == 1 for ids in shared)
    assert any("is lent up to" in note for note in cohort.notes)


def test_without_replacement_the_rest_is_left_out_and_said() -> None:
    cohort = label_matched(image_cohort(), donor_cohort(), False, 0)
    assert cohort.pairing is not None
    assert cohort.pairing["donor_id"].is_unique
    gone = cohort.exclusions[cohort.exclusions["stage"] == "link"]
    assert (gone["entity"] == "patient").sum() == 400 - cohort.n_patients
    assert set(cohort.images["patient_id"]) == set(cohort.patients["patient_id"])


def test_patients_of_both_sources_are_linked_by_patient() -> None:
    images = image_cohort(20)
    own = dataclasses.replace(
        donor_cohort(),
        patients=donor_cohort().patients.replace({"patient_id": {"D0000": "P0000"}}),
    )
    with pytest.raises(DataError, match="have images and clinical rows: P0000"):
        label_matched(images, own, True, 0)
