"""Grad-CAM of the patients of whom the baseline is most and least certain, out of fold.

Each overlay shows what the model saw that had not seen the patient: the one whose fit was kept with
its part (`kept_models`). Where none was, the arm is fitted again on the fold, which on one machine
gives the same model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.images import UnreadableImage, read_image_bytes
from featurestore.progress import SILENT, Progress
from fusion.config import AblationConfig
from fusion.evaluation.designs import training_part
from fusion.evaluation.kept_models import kept_model
from fusion.evaluation.overlays import KINDS, PatientOverlay
from fusion.evaluation.tasks import Plan, Task, split_fold
from fusion.features import FeatureTable, ImageFiles
from fusion.models import Differentiable, make_model, single_thread
from fusion.roles import encoder_of, role_of

_FORMAT = 2  # of overlays; changes when they look different


CERTAINTY = "probability"
"""Column that patients are chosen by; predictions of times to an event have none."""


@dataclasses.dataclass(frozen=True)
class _Chosen:
    kind: str
    rank: int
    patient: str
    fold: int
    probability: float
    outcome: bool


def overlays_of(
    predictions: pd.DataFrame,
    tasks: Sequence[Task],
    features_for: Callable[[int, int], FeatureTable],
    plan: Plan,
    pictured: Iterable[str],
    max_pixels: int,
    progress: Progress = SILENT,
) -> tuple[PatientOverlay, ...]:
    """Draws `plan.config.overlays` patients of each kind, one picture each, for every encoder.

    Args:
        predictions: The predictions table.
        tasks: Of one arm; at least one.
        features_for: Features of all patients by repeat and fold.
        plan: What the tasks share.
        pictured: Patients with an image.
        max_pixels: Larger pictures are not shown; the limit of extraction, so that none is.
        progress: Told fold by fold.

    Returns:
        One an encoder and patient, without picture but with the reason where it cannot be read any
        more or the encoder has no feature map; nothing where the arm's model has no gradient.
    """
    arm = tasks[0].arm
    if CERTAINTY not in predictions:
        return ()
    unfitted = make_model(arm, plan.config)
    if not isinstance(unfitted, Differentiable):
        return ()
    rows = predictions[(predictions["arm"] == arm.name) & (predictions["repeat"] == 0)]
    rows = rows[rows["patient_id"].isin(set(pictured))]
    chosen = _choose(rows, plan.config.overlays)
    by_fold = {task.fold: task for task in tasks if task.repeat == 0}
    folds = sorted({one.fold for one in chosen} & by_fold.keys())
    found: list[PatientOverlay] = []
    progress.start("overlays", len(folds))
    for fold in folds:
        task = by_fold[fold]
        training, test = split_fold(
            features_for(0, fold), task.training_patients, task.test_patients
        )
        model = kept_model(type(unfitted), task.digest, plan.parts)
        if model is None:
            model = fit_again(task, training, plan.config)
        with single_thread():
            for one in (c for c in chosen if c.fold == fold):
                found += _draw(one, model, test.pictures(), max_pixels)
        progress.advance()
    shown = sum(not overlay.reason for overlay in found)
    progress.finish(f"overlays: {shown} of {arm.name}, {len(found) - shown} cannot be shown")
    return tuple(sorted(found, key=lambda o: (KINDS.index(o.kind), o.rank, o.encoder)))


def fit_again(task: Task, training: FeatureTable, config: AblationConfig) -> Differentiable:
    """The model whose scores of the test patients are in the predictions table."""
    with single_thread():
        seen = training.seen_by(task.arm.modalities)
        part = training_part(seen, task.arm.design, task.seed)
        model = make_model(task.arm, config).fit(part, task.seed)
    assert isinstance(model, Differentiable), task.arm.model
    return model


def overlays_key(
    predictions: pd.DataFrame, tasks: Sequence[Task], count: int, max_pixels: int
) -> str:
    """Digest of everything that decides which overlays there are, and how they look."""
    digests = sorted(task.digest for task in tasks)
    shown = predictions[predictions["arm"].isin({task.arm.name for task in tasks})]
    rows = shown[["patient_id", "fold", "probability"]].to_csv(index=False)
    return hashlib.sha256(
        json.dumps([_FORMAT, digests, rows, count, max_pixels]).encode()
    ).hexdigest()


def _choose(rows: pd.DataFrame, count: int) -> list[_Chosen]:
    doubt = (rows["probability"] - rows["threshold"]).abs()
    falling, rising = rows["probability"].rank(ascending=False), rows["probability"].rank()
    # The ends first: of a weak model they may be as doubtful as the middle.
    orders = {KINDS[0]: falling, KINDS[2]: rising, KINDS[1]: doubt.rank()}
    found: list[_Chosen] = []
    taken: set[str] = set()
    for kind, order in orders.items():
        ranked = rows.assign(_order=order).sort_values(["_order", "patient_id"])
        free = ranked[~ranked["patient_id"].isin(taken)].head(count)
        for rank, row in enumerate(free.to_dict("records")):
            patient = str(row["patient_id"])
            taken.add(patient)
            probability, outcome = float(row["probability"]), bool(row["y"])
            found.append(_Chosen(kind, rank, patient, int(row["fold"]), probability, outcome))
    return found


def _draw(
    one: _Chosen, model: Differentiable, test: FeatureTable, max_pixels: int
) -> list[PatientOverlay]:
    """The first picture of the patient by each encoder; of each role where the arm tells them."""
    files = test.files
    if files is None:
        return []
    mine = (test.patient_ids.astype(str) == one.patient) & (files.sha256s.astype(str) != "")
    if not mine.any():
        return []
    row = np.flatnonzero(mine)[:1]
    gradients = model.embedding_gradients(test.take(row))
    found: list[PatientOverlay] = []
    for role in dict.fromkeys(map(role_of, gradients)):
        of_role = mine if not role or test.roles is None else mine & (test.roles == role)
        # Embeddings from elsewhere have no network here that could show where it looks.
        own = {
            name: gradient[0]
            for name, gradient in gradients.items()
            if role_of(name) == role and encoder_of(name) in files.backbones
        }
        if own and of_role.any():
            path = Path(str(files.paths[np.flatnonzero(of_role)[0]]))
            found += _drawn(one, own, files, path, max_pixels)
        found += [] if of_role.any() else [_overlay(one, n, b"", f"no {role} image") for n in own]
    return found


def _drawn(
    one: _Chosen, own: Mapping[str, np.ndarray], files: ImageFiles, path: Path, max_pixels: int
) -> list[PatientOverlay]:
    """One picture by each encoder whose gradient there is."""
    from extractor.saliency import draw_overlays

    backbones = {name: files.load(encoder_of(name)) for name in own}
    drawn: dict[str, bytes] = {}
    try:
        found = draw_overlays(read_image_bytes(path), backbones, own, max_pixels, side=224)
        drawn = found.pictures
        without = (name for name in own if name not in drawn)
        reasons = dict(zip(without, found.notes, strict=True))
    except UnreadableImage as error:  # the file may have gone since it was embedded
        reasons = dict.fromkeys(own, str(error))
    return [_overlay(one, name, drawn.get(name, b""), reasons.get(name, "")) for name in own]


def _overlay(one: _Chosen, name: str, png: bytes, reason: str) -> PatientOverlay:
    return PatientOverlay(one.kind, one.rank, one.probability, one.outcome, name, png, reason)
