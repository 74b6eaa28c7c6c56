"""What the checklist and the model card claim is true of the run: five runs, as unlike as can."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from extractor.config_finetune import fine_tuned_names
from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from featurestore.store.lineage import EncoderIdentity
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import OUTCOME_STAGE, exclusions_table
from fusion.arms import Modality, find_modalities, plan_arms, reference_arm
from fusion.config import RunConfig
from fusion.evaluation.predictions import predictions_table
from fusion.evidence import Evidence, ReportInputs, collect, run_facts
from fusion.metrics.logits import sigmoid
from fusion.models.floors import with_floors
from fusion.report.methods import methods
from fusion.report.model_card import model_card_markdown
from fusion.report.tripod import tidy_tripod
from tests.fusion.conftest import cohort_of, feature_table

N = 160
MORE = (
    Column("year", "numeric", "administrative", "Year of diagnosis", "year", measured="diagnosis"),
    Column("depth", "numeric", "lesion", measured="diagnosis"),
    Column("died", "binary", "follow_up", leaks=True, measured="follow_up"),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as it was: what was configured and studied, and what came of it.

    Attributes:
        config: Its configuration.
        cohort: Its cohort.
        failed: Arms that could not be fitted.
        evidence: What is said of it.
    """

    config: RunConfig
    cohort: Cohort
    failed: tuple[str, ...]
    evidence: Evidence

    @property
    def tripod(self) -> pd.Series:
        """Text by item."""
        return tidy_tripod(self.evidence).set_index("item")["text"]

    @property
    def text(self) -> str:
        """All that is claimed, the command aside, in one piece."""
        card = model_card_markdown(self.evidence)
        return "\n".join([*self.tripod, card, *methods(self.evidence)])

    @property
    def modalities(self) -> dict[str, Modality]:
        """All modalities by name."""
        names: list[str] = []
        if not self.cohort.images.empty:
            names = [b.name for b in self.config.extract.backbones]
            names += fine_tuned_names(self.config.finetune)
        found = find_modalities(self.config.ablation, names, self.cohort.dictionary)
        return {m.name: m for m in found}

    @property
    def fitted(self) -> set[str]:
        """Models with predictions."""
        return {arm.model for arm in self.evidence.arms}

    @property
    def seen(self) -> set[str]:
        """Columns that fitted arms looked at, found the plain way."""
        names: set[str] = set()
        for arm in self.evidence.arms:
            if arm.model == "clinical_reference":
                names |= {"breslow", "ulceration", "age_at_diagnosis"} & {*self.cohort.patients}
                continue
            for name in arm.modalities:
                names |= set(self.modalities[name].columns(self.cohort.dictionary))
        return names


def run(
    cohort: Cohort, ablation: dict[str, Any], failed: tuple[str, ...] = (), **sections: Any
) -> Run:
    """Plans the arms as a study does and makes up predictions of those that did not fail."""
    record = {
        "name": "made",
        "cohort": {
            "outcome": "synthetic_metastasis",
            "sources": [{"kind": "synthetic", "patients": 60}],
        },
        "ablation": {"arms": [], **ablation},
        **sections,
    }
    config = validate(RunConfig, record, "made")
    made = Run(config, cohort, failed, None)  # type: ignore[arg-type]
    modalities = tuple(made.modalities.values())
    planned = plan_arms(config.ablation, modalities)
    arms = [
        arm for arm in with_floors(planned, modalities, cohort.dictionary) if arm.name not in failed
    ]
    rng = np.random.default_rng(0)
    y = cohort.patients["outcome"].to_numpy()
    parts = []
    for arm in arms:
        for repeat in range(config.folds.repeats):
            score = y + rng.normal(size=len(y))
            parts.append(
                pd.DataFrame(
                    {
                        "run": "made",
                        "arm": arm.name,
                        "model": arm.model,
                        "modalities": arm.modality_text,
                        "design": arm.design,
                        "repeat": repeat,
                        "fold": np.arange(len(y)) % config.folds.n_folds,
                        "patient_id": cohort.patients["patient_id"],
                        "y": y,
                        "score": score,
                        "probability": sigmoid(score - 1),
                        "threshold": 0.4,
                    }
                )
            )
    names = [b.name for b in config.extract.backbones] if len(cohort.images) else []
    identity = EncoderIdentity("net", "imagenet", "a" * 64, "{}", "avg", 12)
    own = dataclasses.replace(identity, weights_sha256="b" * 64)
    tuned: Mapping[str, EncoderIdentity] = dict.fromkeys(
        fine_tuned_names(config.finetune) if names else (), own
    )
    folds = {
        (0, k): {n: dataclasses.replace(e, fold=f"0/{k}", training_patients=(f"P{k}",))
                 for n, e in tuned.items()}
        for k in range(config.folds.n_folds)
    }  # fmt: skip
    inputs = ReportInputs(
        run_facts(
            config, cohort, dict.fromkeys(names, identity), folds, "f" * 64, "run",
            Path("nowhere.json"),
        ),
        cohort,
        reference_arm(config.ablation, planned),
        60,
        0,
        config=config.ablation,
    )  # fmt: skip
    return dataclasses.replace(made, evidence=collect(inputs, predictions_table(parts, "binary")))


def base() -> Cohort:
    """Images of most patients, columns with gaps, three columns that few arms see."""
    cohort = cohort_of(feature_table(N))
    rng = np.random.default_rng(1)
    more = {
        "year": np.where(np.arange(N) < 10, np.nan, 1990.0 + np.arange(N) % 20),
        "depth": rng.normal(size=N),
        "died": cohort.patients["outcome"],
    }
    first = feature_table(N)
    pictured = ~np.isnan(first.embeddings["net_a"]).all(axis=1)
    kept = set(first.row_ids[pictured].astype(str))
    return dataclasses.replace(
        cohort,
        patients=cohort.patients.assign(**more),
        dictionary=DataDictionary([*cohort.dictionary, *MORE]),
        images=cohort.images[cohort.images["image_id"].isin(kept)].reset_index(drop=True),
    )


def images_and_columns() -> Run:
    """Heads and trees on images and columns; a modality for everything but `lesion`."""
    modalities = {
        "net": {"embeddings": ["net_a"]},
        "clinical": {"groups": ["demographic", "histopathology", "staging"]},
        "expression": {"groups": ["expression"]},
    }
    backbones = [{"name": "net_a"}]
    ablation = {"modalities": modalities, "models": ["fusion_head", "lightgbm"]}
    return run(base(), ablation, extract={"backbones": backbones})


def table_alone() -> Run:
    """No image; sites, years, and patients who are left out for their outcome."""
    cohort = base()
    patients = cohort.patients.assign(site=np.array(["A", "B", "C"])[np.arange(N) % 3])
    rows = [("patient", f"X{k}", OUTCOME_STAGE, "it is unknown (an event)") for k in range(7)]
    rows += [
        ("patient", "Y", OUTCOME_STAGE, "it is unknown"),
        ("patient", "Z", "eligibility", "no"),
    ]
    studied = dataclasses.replace(
        cohort,
        images=cohort.images.iloc[:0],
        patients=patients,
        linkage="none",
        outcome=dataclasses.replace(cohort.outcome, name="progression", caveats=()),
        exclusions=exclusions_table(rows),
        unmapped=tuple(f"file.csv: c{k}" for k in range(61)),
    )
    modalities = {"a": {"groups": ["demographic"]}, "b": {"groups": ["histopathology"]}}
    ablation = {"modalities": modalities, "models": ["logistic_regression"]}
    return run(studied, ablation, folds={"n_folds": 4, "repeats": 2})


def other_heads() -> Run:
    """Gated and low-rank heads; every arm of the trees failed."""
    cohort = base()
    dictionary = DataDictionary(c for c in cohort.dictionary if c.kind == "expression")
    studied = dataclasses.replace(cohort, dictionary=dictionary)
    models = ["fusion_head_gated", "fusion_head_low_rank", "lightgbm"]
    failed = tuple(f"lightgbm[{name}]" for name in ("net_a", "expression", "all"))
    ablation = {"models": models, "head": {"ensemble": 1}}
    return run(studied, ablation, failed, extract={"backbones": [{"name": "net_a"}]})


def lent_rows() -> Run:
    """Label-matched and synthetic, with fine-tuned encoders."""
    cohort = dataclasses.replace(base(), linkage="label_matched", synthetic=True)
    return run(
        cohort,
        {"models": ["random_forest"]},
        extract={"backbones": [{"name": "net_a"}]},
        finetune={"backbones": [{"name": "net_b"}]},
    )


def images_alone() -> Run:
    """The joint network on one picture a patient, with weighted sampling."""
    cohort = base()
    images = cohort.images.drop_duplicates("patient_id")
    patients = cohort.patients[cohort.patients["patient_id"].isin(images["patient_id"])]
    studied = dataclasses.replace(
        cohort,
        images=images.reset_index(drop=True),
        patients=patients[["patient_id", "person_id", "outcome", "site"]].reset_index(drop=True),
        dictionary=DataDictionary([]),
        linkage="none",
    )
    ablation = {"models": ["joint"], "head": {"weighted_sampling": True}}
    return run(studied, ablation, extract={"backbones": [{"name": "net_a"}]})


MAKERS = (images_and_columns, table_alone, other_heads, lent_rows, images_alone)


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
