"""Fine-tuned encoders of a study: one an outer fold, trained on that fold's training patients only.

An encoder that learned from labels carries them into its embeddings. So every outer fold has
encoders of its own; each embeds all images, and only its fold reads them (`features.FeatureReader`
refuses anything else). An encoder that learned from other patients (`finetune.external`) serves
every fold.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig, ExtractConfig
from extractor.config_finetune import TUNED_SUFFIX, FinetuneConfig
from extractor.continuing import continuing
from extractor.encoder import Embedder, Encoder
from extractor.extract import embed_images
from extractor.finetune import (
    Finetuned,
    ImageCache,
    TrainingSamples,
    Workplace,
    finetune,
    training_digest,
)
from extractor.finetune.views import views_of
from extractor.stages import one_torch_thread
from featurestore.cohort import Cohort, FoldKey, Folds, inner_split, patient_groups
from featurestore.errors import DataError, LeakageError, name_some
from featurestore.store import EncoderIdentity, FeatureStore
from fusion.features.tuned import FoldEncoders


@dataclasses.dataclass(frozen=True)
class Training:
    """One encoder to train.

    Attributes:
        backbone: Architecture and start weights.
        key: Fold that it belongs to; None for one that serves all folds.
        training: Images to learn from.
        validation: Images that select the epoch.
        seed: Seed of everything that is drawn.
    """

    backbone: BackboneConfig
    key: FoldKey | None
    training: TrainingSamples
    validation: TrainingSamples
    seed: int

    @property
    def name(self) -> str:
        """Name in modalities and arms."""
        return f"{self.backbone.name}{TUNED_SUFFIX}"

    @property
    def fold(self) -> str:
        """`repeat/fold`, or nothing."""
        return "" if self.key is None else f"{self.key[0]}/{self.key[1]}"


def per_fold(
    cohort: Cohort,
    groups: Mapping[str, str],
    folds: Folds,
    config: FinetuneConfig,
    seed: int,
) -> list[Training]:
    """Plans one training a backbone and outer fold, on that fold's training patients.

    Args:
        cohort: Images and outcome.
        groups: Group of each patient; a group is never split.
        folds: Frozen outer folds.
        config: Backbones and the share that validates.
        seed: Seed of the run.

    Raises:
        DataError: A fold has too few patients with images of either outcome.
    """
    plans = []
    for key in folds.keys:
        repeat, fold = key
        people = set(folds.training(key))
        own_seed = int(np.random.SeedSequence([seed, repeat, fold]).generate_state(1)[0])
        where = f"repeat {repeat}, fold {fold}"
        training, validation = _parts(cohort, groups, people, config, own_seed, where)
        plans += [
            Training(backbone, key, training, validation, own_seed) for backbone in config.backbones
        ]
    return plans


def on_everyone(
    cohort: Cohort, groups: Mapping[str, str], config: FinetuneConfig, seed: int
) -> list[Training]:
    """Plans one training a backbone on all patients, for a system that scores others.

    Args:
        cohort: Images and outcome.
        groups: Group of each patient; a group is never split.
        config: Backbones and the share that validates.
        seed: Seed of the run.

    Raises:
        DataError: There are too few patients with images of either outcome.
    """
    people = set(cohort.patients["patient_id"])
    training, validation = _parts(cohort, groups, people, config, seed, f"all {cohort.noun.many}")
    return [Training(b, None, training, validation, seed) for b in config.backbones]


def external(study: Cohort, other: Cohort, config: FinetuneConfig, seed: int) -> list[Training]:
    """Plans one training a backbone on the patients of another cohort.

    Args:
        study: The cohort that is studied.
        other: The cohort to learn from.
        config: Backbones and the share that validates.
        seed: Seed of the run.

    Raises:
        LeakageError: A patient or an image is in both cohorts.
        DataError: The other cohort has too few patients with images of either outcome.
    """
    both = [
        ("patients", _shown(study), _shown(other)),
        ("images", set(study.images["sha256"]), set(other.images["sha256"])),
    ]
    if study.unit == other.unit:
        own = study.images["patient_id"], other.images["patient_id"]
        both.append((study.noun.many, set(own[0]), set(own[1])))
    for what, here, there in both:
        shared = sorted(here & there)
        if shared:
            raise LeakageError(
                f"finetune.external shares {len(shared)} {what} with the study: "
                f"{name_some(shared)}; leave them out of one of the two"
            )
    groups = patient_groups(other.patients, other.images)
    people = set(other.patients["patient_id"])
    training, validation = _parts(other, groups, people, config, seed, "finetune.external")
    return [Training(b, None, training, validation, seed) for b in config.backbones]


def _shown(cohort: Cohort) -> set[str]:
    """Patients of whom there are images."""
    pictured = cohort.patients["patient_id"].isin(cohort.images["patient_id"])
    return set(cohort.patients.loc[pictured, "person_id"])


def fine_tune(
    plans: list[Training],
    images: pd.DataFrame,
    keys: Sequence[FoldKey],
    config: FinetuneConfig,
    extract: ExtractConfig,
    store: FeatureStore,
    place: Workplace,
) -> FoldEncoders:
    """Trains what is planned and embeds all images with each result, in one pass over them.

    Args:
        plans: Encoders to train.
        images: Images of the study: `image_id, path, sha256`.
        keys: All outer folds, for the encoders that serve every one.
        config: How to fine-tune.
        extract: How to embed.
        store: Where embeddings go.
        place: Where; each encoder has a folder in its folder, named by what it is trained on and
            how, so that other runs find it.
    """
    data_root, workers, progress = place.data_root, place.workers, place.progress
    scratch = place.folder / "scratch"
    cache = ImageCache(data_root, scratch, max_megapixels=extract.max_megapixels)
    folders = [_folder(plan, config, place) for plan in plans]
    results = [
        finetune(
            plan.training,
            plan.validation,
            plan.backbone,
            config,
            plan.seed,
            dataclasses.replace(place, folder=folder, cache=cache),
        )
        for plan, folder in zip(plans, folders, strict=True)
    ]
    tuned = [
        plan.backbone.model_copy(update={"weights": str(result.weights.absolute())})
        for plan, result in zip(plans, results, strict=True)
    ]
    compute = workers.plan(extract.device, extract.batch_size, extract.precision, extract.engine)
    with one_torch_thread():
        built = [load_backbone(b, p.seed, data_root) for b, p in zip(tuned, plans, strict=True)]
    encoders = [
        Encoder(
            backbone,
            continuing(compute, store, backbone, result.patients, plan.fold),
            result.patients,
            fold=plan.fold,
            name=f"{plan.name}@{plan.fold}",
        )
        for plan, backbone, result in zip(plans, built, results, strict=True)
    ]
    count = max(config.views, config.test_views)
    views = [views_of(encoder, config.augment, count, data_root) for encoder in encoders]
    embedders: list[Embedder] = [*encoders, *itertools.chain.from_iterable(views)]
    embed_images(images, store, embedders, compute, extract, data_root, progress, workers)
    identities: dict[FoldKey, dict[str, EncoderIdentity]] = {key: {} for key in keys}
    backbones: dict[FoldKey, dict[str, BackboneConfig]] = {key: {} for key in keys}
    varied: dict[FoldKey, dict[str, EncoderIdentity]] = {key: {} for key in keys}
    for plan, backbone, encoder, own in zip(plans, tuned, encoders, views, strict=True):
        for key in keys if plan.key is None else [plan.key]:
            identities[key][plan.name] = encoder.identity
            backbones[key][plan.name] = backbone
            if own:
                varied[key][plan.name] = own[0].identity
    return FoldEncoders(identities, backbones, varied, _history(plans, results))


def _folder(plan: Training, config: FinetuneConfig, place: Workplace) -> Path:
    digest = training_digest(
        plan.training, plan.validation, plan.backbone, config, plan.seed, place.data_root
    )
    return place.folder / f"{plan.backbone.name}-{digest[:16]}"


def image_labels(cohort: Cohort) -> pd.Series:
    """Label of each image (0.0 or 1.0), indexed by image id.

    Where the images carry the label it is each image's own; else it is its patient's outcome.
    """
    images = cohort.images
    if cohort.outcome.of_images(images):
        one_each = images.assign(patient_id=images["image_id"])
        return cohort.outcome.labels(cohort.patients, one_each, cohort.dictionary)
    outcome = cohort.patients.set_index("patient_id")["outcome"]
    return images.set_index("image_id")["patient_id"].map(outcome)


def _parts(
    cohort: Cohort,
    groups: Mapping[str, str],
    people: Collection[str],
    config: FinetuneConfig,
    seed: int,
    where: str,
) -> tuple[TrainingSamples, TrainingSamples]:
    """Images of some patients to learn from, and those that select the epoch."""
    chosen = cohort.images["patient_id"].isin(list(people)) & (cohort.images["width"] > 0)
    images = cohort.images[chosen].sort_values("image_id")
    labels = image_labels(cohort).loc[images["image_id"]].to_numpy(dtype=np.float32)
    known = ~np.isnan(labels)
    images, labels = images[known], labels[known]
    patients = images["patient_id"].to_numpy(dtype=object)
    outcome = cohort.patients.set_index("patient_id")["outcome"]
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"fine-tuning, {where}: the {len(images)} training images have one outcome only"
        )
    validating = inner_split(
        patients,
        np.array([groups[p] for p in patients], dtype=object),
        outcome.loc[patients].to_numpy(dtype=float),
        config.validation_fraction,
        seed,
    )
    return _samples(images, labels, ~validating), _samples(images, labels, validating)


def _samples(images: pd.DataFrame, labels: np.ndarray, rows: np.ndarray) -> TrainingSamples:
    part = images[rows]
    return TrainingSamples(
        image_ids=part["image_id"].to_numpy(dtype=object),
        patient_ids=part["patient_id"].to_numpy(dtype=object),
        paths=part["path"].to_numpy(dtype=object),
        sha256s=part["sha256"].to_numpy(dtype=object),
        labels=labels[rows],
    )


def _history(plans: list[Training], results: list[Finetuned]) -> pd.DataFrame:
    rows = [
        {
            "encoder": plan.name,
            "repeat": plan.key[0] if plan.key else None,
            "fold": plan.key[1] if plan.key else None,
        }
        | dataclasses.asdict(epoch)
        | {"kept": epoch.epoch == result.best_epoch}
        for plan, result in zip(plans, results, strict=True)
        for epoch in result.history
    ]
    return pd.DataFrame(rows)
