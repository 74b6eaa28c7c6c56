"""Parts of the patients, designs and the clinical reference of times to an event."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sksurv.metrics import concordance_index_censored
from survival_evidence_example import BASELINE, HORIZONS, Made, made, predictions_of

from featurestore.errors import ConfigError
from fusion.evidence import collect
from fusion.evidence.findings import contradictions
from fusion.evidence.reference_model import directions, reference_model
from fusion.evidence.subgroups import LEAST, Subgroup
from fusion.evidence.survival import SurvivalEvidence, at
from fusion.evidence.survival.predictions import align_times
from fusion.evidence.survival.reference_model import by_concordance
from fusion.evidence.survival.scoring import Stage
from fusion.metrics.survival import brier_at, uno_c


@pytest.fixture(scope="module")
def study() -> Made:
    return made(n=150)


@pytest.fixture(scope="module")
def evidence(study: Made) -> SurvivalEvidence:
    predictions = predictions_of(study)
    whole = predictions[predictions["arm"] == BASELINE]
    half = whole.assign(arm=f"{BASELINE} on half", design="share 0.5", score=-whole["score"])
    without = whole.assign(arm=f"{BASELINE} without net_a", design="without net_a", score=0.0)
    parts = [predictions, half, without]
    found = collect(study.inputs(), type(predictions)(np.concatenate(parts), columns=whole.columns))
    assert isinstance(found, SurvivalEvidence)
    return found


def part_of(evidence: SurvivalEvidence, name: str, level: str) -> Subgroup:
    return next(s for s in evidence.subgroups if (s.name, s.level) == (name, level))


def test_a_subgroup_is_scored_by_its_own_pairs_with_everybodys_censoring(
    study: Made, evidence: SurvivalEvidence
) -> None:
    found = part_of(evidence, "sex", "female")
    aligned = align_times(predictions_of(study), BASELINE)
    women = (study.cohort.patients["sex"] == "female").to_numpy()
    until = HORIZONS[-1]
    concordance, error = [], []
    for repeat in aligned[BASELINE].repeats:
        scene = Stage(aligned.times, None).scene(repeat)
        # Rows that are not there at all, instead of rows that weigh nothing
        times, score = aligned.times.take(women), repeat.score[women]
        assert scene.censoring.part is not None
        own = dataclasses.replace(scene.censoring, part=scene.censoring.part[women])
        concordance.append(uno_c(times, score, own, tau=until, strata=repeat.fold[women])[0])
        error.append(brier_at(times, repeat.risk[women, 1], until, own)[0])
    assert (found.n, found.events) == (women.sum(), (study.times.event[women] == 1).sum())
    assert found.metrics["uno_c"].value == pytest.approx(np.mean(concordance))
    assert found.metrics[at("brier", until)].value == pytest.approx(np.mean(error))
    ratio = found.metrics[at("observed_over_expected", until)]
    assert ratio.low < ratio.value < ratio.high


def test_a_small_part_has_counts_and_no_number(evidence: SurvivalEvidence) -> None:
    small = part_of(evidence, "age", "missing")
    assert small.n == 15
    assert small.events < LEAST
    assert small.metrics == {}


def test_columns_can_be_named_and_unknown_ones_are_refused(study: Made) -> None:
    config = study.inputs().config
    asked = study.inputs(config=config.model_copy(update={"subgroups": ("sex",)}))
    assert {s.name for s in collect(asked, predictions_of(study)).subgroups} == {"sex"}
    wrong = study.inputs(config=config.model_copy(update={"subgroups": ("colour",)}))
    with pytest.raises(ConfigError, match=r"ablation\.subgroups: no patient column 'colour'"):
        collect(wrong, predictions_of(study))


def test_losses_and_the_curve_are_of_concordance(evidence: SurvivalEvidence) -> None:
    (loss,) = evidence.group_losses
    whole = next(a for a in evidence.arms if a.arm == BASELINE).metrics
    assert (loss.group, loss.without.value) == ("net_a", pytest.approx(0.5))
    assert loss.loss.value == pytest.approx(whole["uno_c"].value - 0.5)
    half, everything = evidence.learning_curve
    assert (half.share, everything.share) == (0.5, 1.0)
    assert half.headline.value == pytest.approx(1 - whole["uno_c"].value)
    assert everything.error == whole["integrated_brier"]


def test_directions_are_harrells_c_of_a_column(study: Made) -> None:
    cohort = study.cohort
    groups = {p: p for p in cohort.patients["patient_id"]}
    found = {d.factor: d for d in directions(cohort, groups, 200, 0, by_concordance(cohort))}
    assert set(found) == {"Breslow thickness", "age"}
    for factor, column in (("Breslow thickness", "breslow"), ("age", "age")):
        value = cohort.patients[column].to_numpy(float)
        known = np.isfinite(value)
        expected = concordance_index_censored(
            study.times.event[known] == 1, study.times.time[known], value[known]
        )[0]
        assert found[factor].discrimination.value == pytest.approx(expected)
        assert found[factor].n == known.sum()


def test_thin_tumours_that_metastasise_are_said(study: Made) -> None:
    patients = study.cohort.patients
    wrong = dataclasses.replace(
        study.cohort, patients=patients.assign(breslow=1 / patients["breslow"])
    )
    groups = {p: p for p in patients["patient_id"]}
    choices = {
        "basis": "Breslow thickness",
        "coefficients": [{"feature": "breslow", "per_sd": -0.5}],
    }
    fits = [
        {"model": "clinical_reference", "choices": choices},
        # Another reference has another basis, and is not mixed with it
        {"model": "stage_reference", "choices": {"basis": "AJCC stage", "coefficients": []}},
    ]
    clinical = reference_model(wrong, fits, groups, 200, 0, by_concordance(wrong))
    assert clinical is not None
    assert [c.fits for c in clinical.coefficients] == [1]
    (finding,) = contradictions(clinical, "Harrell's C", "hazard ratio")
    assert finding.level == "warning"
    assert "Breslow thickness is known to raise the risk and goes the other way" in finding.text
    assert "its hazard ratio is 0.61 per standard deviation" in finding.text
