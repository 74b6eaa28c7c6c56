"""What the checklist and the model card claim is true of the run: five runs, as unlike as can."""

from __future__ import annotations

import pytest
from claims_example import MAKERS, Run

from fusion.report.model_card import model_card_markdown


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return {maker.__name__: maker() for maker in MAKERS}


@pytest.fixture(params=[maker.__name__ for maker in MAKERS])
def one(runs: dict[str, Run], request: pytest.FixtureRequest) -> Run:
    return runs[request.param]


def test_predictors_are_those_of_fitted_arms(one: Run) -> None:
    used = one.evidence.used
    assert {name for names in used.columns.values() for name in names} == one.seen
    usable = {column.name for column in one.cohort.dictionary.features()}
    assert set(used.idle) == usable - one.seen
    idle = {"year", "depth"} & set(used.idle)
    for name in idle:
        assert name not in one.tripod["9a"].partition("No fitted arm")[0]
    assert ("died" in one.tripod["9a"]) == ("died" in one.cohort.dictionary)
    embedded = {n for a in one.evidence.arms for m in a.modalities if m in one.modalities
                for n in one.modalities[m].embeddings}  # fmt: skip
    assert set(used.embeddings) == embedded


def test_columns_that_were_not_read_are_counted(one: Run) -> None:
    unread = len(one.cohort.unmapped)
    assert ("not read" in one.text) == (unread > 0)
    if unread:
        assert f"{unread} columns of the files were not read" in one.tripod["9a"]


def test_images_are_spoken_of_where_there_are_any(one: Run) -> None:
    pictured = not one.cohort.images.empty
    text = one.text.lower()
    assert pictured == any(w in text for w in ("image", "picture", "embedding", "encoder"))
    several = pictured and bool(one.cohort.images["patient_id"].duplicated().any())
    assert ("mean logit over the patient's images" in one.tripod["12g"]) == several
    assert ("skin tones" in text) == pictured


def test_patients_without_image_are_counted_and_handled_as_their_models_do(one: Run) -> None:
    without = len(set(one.cohort.patients["patient_id"]) - set(one.cohort.images["patient_id"]))
    pictured = not one.cohort.images.empty
    assert ("have no image" in one.tripod["11"]) == (pictured and without > 0)
    if pictured and without:
        assert f"{without} patients have no image" in one.tripod["11"]
        heads = {m for m in one.fitted if "head" in m or m == "joint"}
        assert ("is masked in" in one.tripod["11"]) == bool(heads)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("fusion_head", "Neural networks of"),
        ("fusion_head_gated", "Neural networks of fusion_head_gated, fusion_head_low_rank stop"),
        ("lightgbm", "trials by Optuna"),
        ("joint", "encoders and head are trained together"),
        ("random_forest", "random_forest, clinical_reference, permuted_labels: a fixed grid"),
    ],
)
def test_models_are_described_where_they_were_fitted(one: Run, model: str, said: str) -> None:
    building = one.tripod["12c"]
    assert (model in one.fitted) == (said in building) or (
        model == "fusion_head" and "fusion_head_gated" in one.fitted
    )
    for name in ("fusion_head_low_rank", "lightgbm", "joint", "svm", "stacked"):
        assert (name in building) == (name in one.fitted)


def test_failed_arms_are_not_described(runs: dict[str, Run]) -> None:
    told = runs["other_heads"]
    assert "lightgbm" in {a for arm in told.failed for a in [arm.split("[")[0]]}
    assert "Optuna" not in told.text
    assert "averages of" not in told.text, "an ensemble of one is none"
    assert "averages of 3" in runs["images_and_columns"].tripod["12c"]


def test_missing_values_are_filled_as_their_kinds_are(one: Run) -> None:
    kinds = {
        one.cohort.dictionary[name].kind
        for name in one.seen
        if one.cohort.patients[name].isna().any()
    }
    text = one.tripod["11"]
    assert ("median" in text) == bool(kinds & {"numeric", "binary", "ordinal"})
    assert ("no level (zeros)" in text) == ("nominal" in kinds)
    assert ("A missing gene" in text) == ("expression" in kinds)
    assert ("Table 1" in text) == bool(one.seen)


def test_columns_are_handled_as_their_kinds_are(one: Run) -> None:
    kinds = {one.cohort.dictionary[name].kind for name in one.seen}
    text = one.tripod["12b"]
    assert ("scaled" in text) == bool(kinds & {"numeric", "binary", "ordinal"})
    assert ("categories" in text) == ("nominal" in kinds)
    assert ("expression is logarithmic" in text) == ("expression" in kinds)


def test_exclusions_are_counted_by_reason(runs: dict[str, Run]) -> None:
    told = runs["table_alone"].tripod
    assert "outcome is not known: it is unknown (an event): 7; it is unknown: 1." in told["6b"]
    assert "Left out for other reasons: no: 1." in told["6b"]
    assert "9 patients left out, 8 of them because their outcome is not known: it" in told["20a"]
    said = "Who is studied depends on the outcome: 8 patients"
    findings = [f.text for f in runs["table_alone"].evidence.findings]
    assert any(text.startswith(said) for text in findings)
    for name in {*runs} - {"table_alone"}:
        assert "No patient was left out." in runs[name].tripod["6b"]


def test_years_are_said_where_they_are_known(one: Run) -> None:
    known = "year" in one.cohort.dictionary
    assert ("Year of diagnosis 1990 to 2009, known of 150 patients" in one.tripod["5b"]) == known


def test_sites_are_compared_where_they_are_known(one: Run) -> None:
    sites = one.cohort.patients["site"].nunique()
    assert ("over 3 source sites that are large enough" in one.tripod["23b"]) == (sites == 3)
    assert ("Too few source sites" in one.tripod["23b"]) == (sites < 2)
    if sites == 3:
        shown = [
            s.metrics["auroc"].value for s in one.evidence.subgroups if s.column == "Source site"
        ]
        assert f"{min(shown):.3f} to {max(shown):.3f} (intervals" in one.tripod["23b"]


def test_the_split_is_that_of_the_configuration(one: Run) -> None:
    folds = one.config.folds
    assert one.tripod["12a"].startswith(f"{folds.n_folds} outer folds")
    assert ("repeated 2 times" in one.tripod["12a"]) == (folds.repeats == 2)


def test_inner_parts_serve_what_was_done(one: Run) -> None:
    text = one.tripod["12a"].partition("inner parts")[2]
    heads = any("head" in m or m == "joint" for m in one.fitted)
    assert ("early stopping" in text) == heads
    assert "calibration" not in text, "no fit was calibrated"


def test_sampling_is_said_where_a_model_is_sampled(one: Run) -> None:
    sampled = one.config.ablation.head.weighted_sampling
    assert ("events and non-events equally often" in one.tripod["13"]) == sampled


def test_fine_tuning_is_said_where_encoders_were_tuned(one: Run) -> None:
    tuned = one.config.finetune is not None
    assert ("fine-tuned on the training patients of each outer fold" in one.text) == tuned


def test_the_comparison_counts_what_there_is(one: Run) -> None:
    kinds = [arm.kind for arm in one.evidence.arms if arm.arm != one.evidence.baseline]
    for kind, words in (
        ("arm", "other arm"),
        ("reference", "clinical reference"),
        ("floor", "floor"),
    ):
        count = kinds.count(kind)
        assert (f"{count} {words}" in one.tripod["4"]) == (count > 0)
    assert ("fusion adds" in model_card_markdown(one.evidence)) == bool(one.evidence.fusion_gain)


def test_no_sentence_is_torn(one: Run) -> None:
    for text in one.tripod:
        assert not any(bad in text for bad in ("  ", "..", " .", ": .", "; ;", "()", "None", "nan"))
