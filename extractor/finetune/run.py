"""One fine-tuned encoder: a folder that ends with its weights, whatever happens on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig
from extractor.config_finetune import FinetuneConfig
from extractor.finetune.augment import augmenter, source_size, spec
from extractor.finetune.batches import Pictures
from extractor.finetune.checkpoint import (
    VERSION,
    CheckpointFolder,
    CheckpointRefused,
    require_digest,
    save_tensors,
)
from extractor.finetune.loop import Company, train
from extractor.finetune.samples import ImageCache, TrainingSamples
from extractor.finetune.state import EpochRow
from extractor.finetune.tensorboard import event_files, record_nothing
from extractor.finetune.workplace import Workplace
from extractor.images import Geometry
from extractor.workers import Workers
from featurestore.atomic import make_folder
from featurestore.errors import ConfigError, DataError, LeakageError, name_some
from featurestore.locks import holding, if_free
from featurestore.progress import SILENT, Progress
from featurestore.sealed import DamagedFile, read_sealed, write_sealed_text
from featurestore.units import counted

WEIGHTS_FILE = "weights.safetensors"
FINISHED_FILE = "finished.json"
CHECKPOINT_FOLDER = "checkpoints"
EVENT_FOLDER = "events"
LOCK_FILE = "training.lock"

# Settings that say where and how fast, or what is done afterwards, but not what is learned.
_WITHOUT_INFLUENCE = {
    "backbones", "external", "device", "workers", "views", "test_views", "validation_fraction",
    "tensorboard",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Finetuned:
    """A finished training.

    Attributes:
        weights: `.safetensors` file of the backbone without head, for `BackboneConfig.weights`.
        history: All epochs.
        best_epoch: The epoch whose weights these are.
        patients: All patients used, for training and for validation, sorted: those that an
            `EncoderIdentity` must name.
    """

    weights: Path
    history: tuple[EpochRow, ...]
    best_epoch: int
    patients: tuple[str, ...]


class _Finished(pydantic.BaseModel):
    """The content of `finished.json`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    digest: str
    weights_sha256: str
    best_epoch: int
    history: tuple[EpochRow, ...]


def finetune(
    training: TrainingSamples,
    validation: TrainingSamples,
    backbone: BackboneConfig,
    config: FinetuneConfig,
    seed: int,
    place: Workplace,
) -> Finetuned:
    """Fine-tunes one backbone, or takes up what an earlier call with the same arguments left.

    The folder belongs to this training: another process that asks for it waits, and then finds the
    result. What lies there for other arguments is replaced.

    Args:
        training: Images to learn from.
        validation: Images of other patients, which select the epoch.
        backbone: Architecture, start weights and image size.
        config: How to train.
        seed: Seed of everything that is drawn, and of random start weights.
        place: Where, with whom, and who is told; the folder belongs to this training.

    Raises:
        LeakageError: A patient is in both parts.
        DataError: A part has one outcome only, an image cannot be read, or the folder cannot be
            written.
        ConfigError: The backbone, a setting or the device is not available, or the loss diverged.
        WeightsError: The start weights cannot be found, reached, read or fitted.
    """
    training, validation = training.in_order(), validation.in_order()
    _check(training, validation)
    data_root, folder, workers = place.data_root, place.folder, place.workers
    progress = place.progress if workers.is_first else SILENT
    start = load_backbone(backbone, seed, data_root)
    if start.weights.card is not None or backbone.pooling != "own":
        raise ConfigError(
            f"finetune: {backbone.name} is described by a folder or pooled in another way than "
            "its own; only backbones that timm builds by their name can be fine-tuned"
        )
    digest = _digest(training, validation, start.weights.sha256, backbone, config, seed, data_root)
    patients = tuple(sorted({str(p) for s in (training, validation) for p in s.patient_ids}))
    checkpoints = CheckpointFolder(folder / CHECKPOINT_FOLDER, digest)
    unwatched = contextlib.nullcontext(record_nothing)
    watched = config.tensorboard and workers.is_first
    with (
        _writing(folder),
        _sole_trainer(folder, progress, workers),
        event_files(folder / EVENT_FOLDER) if watched else unwatched as record,
    ):
        finished = _read_finished(folder, digest, progress) if workers.is_first else None
        if not workers.from_first(finished is not None):
            cache = place.cache or ImageCache(data_root, folder / "scratch")
            resampling = start.preprocessing.geometry.resampling
            size = start.preprocessing.geometry.size
            larger = Geometry(source_size(config.augment, size), resampling)
            trained = train(
                start,
                _pictures(training, larger, cache, progress),
                _pictures(validation, start.preprocessing.geometry, cache, progress),
                augmenter(config.augment, size, data_root),
                config,
                seed,
                checkpoints,
                Company(workers, progress, record),
            )
            if workers.is_first:
                finished = _Finished(
                    digest=digest,
                    weights_sha256=save_tensors(trained.weights, folder / WEIGHTS_FILE),
                    best_epoch=trained.best_epoch,
                    history=trained.history,
                )
                text = finished.model_dump_json(indent=1) + "\n"
                write_sealed_text(folder / FINISHED_FILE, text)
        if workers.is_first and finished is not None:
            record(finished.history)
            checkpoints.remove()
        workers.barrier()
        if finished is None:
            finished = _read_finished(folder, digest, progress)
    assert finished is not None
    return Finetuned(folder / WEIGHTS_FILE, finished.history, finished.best_epoch, patients)


def training_digest(
    training: TrainingSamples,
    validation: TrainingSamples,
    backbone: BackboneConfig,
    config: FinetuneConfig,
    seed: int,
    data_root: Path,
) -> str:
    """Names everything that the weights of a training depend on; arguments as of `finetune`."""
    start = load_backbone(backbone, seed, data_root).weights.sha256
    ordered = training.in_order(), validation.in_order()
    return _digest(*ordered, start, backbone, config, seed, data_root)


def _check(training: TrainingSamples, validation: TrainingSamples) -> None:
    training.require_both_outcomes("training")
    validation.require_both_outcomes("inner validation")
    both = np.intersect1d(training.patient_ids.astype(str), validation.patient_ids.astype(str))
    if len(both):
        raise LeakageError(
            f"{counted(len(both), 'id is', 'ids are')} in the training and in the inner validation "
            "part of a "
            f"fine-tuning: {name_some(list(both))}"
        )


def _pictures(
    samples: TrainingSamples, geometry: Geometry, cache: ImageCache, progress: Progress
) -> Pictures:
    squares = cache.squares(samples, geometry, progress)
    return Pictures(squares, samples.labels, samples.patient_ids)


def _digest(
    training: TrainingSamples,
    validation: TrainingSamples,
    start_sha256: str,
    backbone: BackboneConfig,
    config: FinetuneConfig,
    seed: int,
    data_root: Path,
) -> str:
    settings: dict[str, Any] = config.model_dump(mode="json", exclude=_WITHOUT_INFLUENCE)
    settings["augment"] = spec(config.augment, data_root)
    settings["compile"] = config.compile is True  # `auto` follows the device, as the type does
    samples = [
        [column.astype(str).tolist() for column in (s.image_ids, s.patient_ids, s.sha256s)]
        + [s.labels.tolist()]
        for s in (training, validation)
    ]
    size = backbone.image_size
    parts = [VERSION, backbone.name, size, start_sha256, settings, seed, samples]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read_finished(folder: Path, digest: str, progress: Progress) -> _Finished | None:
    """The result of an earlier call, if it is whole and of the same training."""
    path = folder / FINISHED_FILE
    if not path.exists():
        return None
    try:
        finished = _Finished.model_validate_json(read_sealed(path, "it is trained again"))
        if finished.digest != digest:
            raise CheckpointRefused("it belongs to other images, labels or settings")
        require_digest(folder / WEIGHTS_FILE, finished.weights_sha256)
    except (CheckpointRefused, DamagedFile, pydantic.ValidationError, OSError) as error:
        reason = "it is damaged" if isinstance(error, pydantic.ValidationError) else str(error)
        progress.start("finetune", 1)
        progress.finish(f"finetune: the result in {folder} is not used: {reason}")
        return None
    return finished


@contextlib.contextmanager
def _sole_trainer(folder: Path, progress: Progress, workers: Workers) -> Iterator[None]:
    """The first process holds the folder's lock, for all, until all are done."""
    with contextlib.ExitStack() as stack:
        if workers.is_first:
            make_folder(folder)
            with if_free(folder / LOCK_FILE) as free:
                pass
            if not free:
                progress.start("finetune", 1)
                progress.finish(f"finetune: waiting for the process that trains in {folder}")
            stack.enter_context(holding(folder / LOCK_FILE))
        workers.barrier()
        yield


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write the fine-tuning to {folder}: {error.strerror}") from None
