"""The header of a report names every encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from extractor.config import BackboneConfig, ExtractConfig
from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from featurestore.store.lineage import EncoderIdentity
from fusion.config import RunConfig
from fusion.evidence import run_facts
from fusion.report.sentences import encoder_line

FROZEN = EncoderIdentity("net", "imagenet", "a" * 64, "{}", "avg", 12)
CONFIG = validate(
    RunConfig,
    {
        "name": "made",
        "cohort": {
            "outcome": "synthetic_metastasis",
            "sources": [{"kind": "synthetic", "patients": 60}],
        },
    },
    "made",
)


def tuned(fold: str, digest: str) -> EncoderIdentity:
    return dataclasses.replace(
        FROZEN, weights_sha256=digest * 64, training_patients=("P1", "P2"), fold=fold
    )


def lines(cohort: Cohort, tmp_path: Path, *per_fold: EncoderIdentity) -> tuple[str, ...]:
    identities = {(0, k): {"net_ft": identity} for k, identity in enumerate(per_fold)}
    facts = run_facts(
        CONFIG, cohort, {"net": FROZEN}, identities, "f" * 64, "run", tmp_path / "choices.json"
    )
    return tuple(encoder_line(encoder) for encoder in facts.encoders)


def test_frozen_encoders_have_a_line(cohort: Cohort, tmp_path: Path) -> None:
    assert lines(cohort, tmp_path) == (f"net: 12-d, weights imagenet, {FROZEN.short}",)


def test_an_engine_that_computed_is_named_with_its_version(cohort: Cohort, tmp_path: Path) -> None:
    def stated(kind: str) -> dict[str, str]:
        own = {(0, 0): {"net_ft": dataclasses.replace(tuned("0/0", "b"), dtype=kind)}}
        absent = tmp_path / "choices.json"
        return dict(run_facts(CONFIG, cohort, {"net": FROZEN}, own, "f" * 64, "", absent).versions)

    assert not {"openvino", "onnxruntime"} & stated("float32").keys()
    assert "onnxruntime" in stated("float32, onnx")
    assert stated("bfloat16, openvino").keys() - stated("bfloat16, cpu").keys() == {"openvino"}


def test_only_a_frozen_encoder_of_random_weights_was_never_trained(
    cohort: Cohort, tmp_path: Path
) -> None:
    backbones = [{"name": "net", "weights": "random"}]
    config = CONFIG.model_copy(
        update={"extract": ExtractConfig(backbones=tuple(BackboneConfig(**b) for b in backbones))}
    )
    own = {(0, 0): {"net_ft": tuned("0/0", "b")}, (0, 1): {"net_ft": tuned("0/1", "c")}}
    absent = tmp_path / "choices.json"
    facts = run_facts(config, cohort, {"net": FROZEN}, own, "f" * 64, "run", absent)
    assert [(e.name, e.trained) for e in facts.encoders] == [
        ("net", "never"),
        ("net_ft", "training parts"),
    ]


def test_encoders_of_the_folds_have_a_digest_each(cohort: Cohort, tmp_path: Path) -> None:
    first, second = tuned("0/0", "b"), tuned("0/1", "c")
    assert lines(cohort, tmp_path, first, second)[1] == (
        "net_ft: 12-d, fine-tuned on the training patients of each fold, "
        f"0/0 {first.short}, 0/1 {second.short}"
    )


def test_an_encoder_for_all_folds_has_one(cohort: Cohort, tmp_path: Path) -> None:
    other = tuned("", "b")
    assert lines(cohort, tmp_path, other, other)[1] == (
        f"net_ft: 12-d, fine-tuned on other patients, {other.short}"
    )
