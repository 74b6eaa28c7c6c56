"""Five runs, as unlike as can, with predictions that are made up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
