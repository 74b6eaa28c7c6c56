"""Checks of a study: its data, weights, store and output."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from extractor.cores import usable_cores
from extractor.device import plan_compute, resolve_device
from extractor.offline import WeightsPlace
from extractor.torch_features import ALL_READERS
from featurestore.cohort import studied_dictionary
from featurestore.cohort.outcome_counts import count_outcomes
from featurestore.errors import name_some
from featurestore.images import CONTAINER_SUFFIXES, inspect_image
from featurestore.imports import find_reader, look_for_files
from featurestore.outcomes import Outcome
from featurestore.sources import SourceTables
from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.recognition import guess_format
from featurestore.store import FeatureStore
from featurestore.store.maintenance import info
from featurestore.tables import split_archived
from featurestore.units import NOUNS, counted
from fusion.arms import unseen_roles
from fusion.evaluation.planning import plan_study, roles_in_sources
from fusion.start.doctor.base import Diagnosis, Finding, existing_parent, fail, ok, warn

_SAMPLE = 24
_FEW_EVENTS = 20
_STORE_OVERHEAD = 1.25  # ids, checksums and the virtual file beside the embeddings
_RUN_BYTES = 200e6  # predictions, tuning studies, report and export of a common run


def find_outcome(study: Diagnosis) -> Iterator[Finding]:
    """Reads the tables and counts patients with and without the outcome."""
    if not study.tables:
        yield ok("the cohort is synthetic: the run makes it")
        return
    for cohort in study.config.cohort.by_outcome().values():
        yield _counted(study, cohort.find_outcome())


def _counted(study: Diagnosis, outcome: Outcome) -> Finding:
    counts = count_outcomes(*_patients_of(study), outcome)
    asked = "" if counts.eligible == counts.patients else f"{counts.eligible:,} of them asked, "
    unknown = counts.eligible - counts.events - counts.others
    counted = NOUNS[study.config.cohort.unit].counted(counts.patients)
    text = f"{outcome.name}: {counted}, {asked}{counts.words}, {unknown:,} not known"
    folds = study.config.folds.n_folds
    if counts.least < folds:
        advice = "take another outcome, or see `melafuse cohort describe` for what is left out"
        return fail(f"{text}; too few for {folds} folds", advice)
    if counts.least < _FEW_EVENTS:
        return warn(text, "intervals will be wide; few predictors can be told apart")
    return ok(text)


def find_arms(study: Diagnosis) -> Iterator[Finding]:
    """Whether the arms can be planned: by the code that a run plans them with."""
    if not study.tables:
        yield ok("the cohort is synthetic: the run plans its arms")
        return
    has_pictures = any(len(table.images) for table in study.tables)
    roles = roles_in_sources(study.config, study.tables)
    for outcome, config in study.config.studies().items():
        dictionary = studied_dictionary(config.cohort, study.tables)
        kind = config.cohort.find_outcome().kind
        plan = plan_study(config, has_pictures, dictionary, kind, roles)
        seen = ", ".join(modality.name for modality in plan.ablation.modalities)
        which = f"{outcome}: " if study.config.cohort.outcomes else ""
        arms = counted(len(plan.arms), "arm")
        yield ok(f"{which}{arms} on {seen}; the reference is {plan.ablation.reference}")
    for text in unseen_roles(plan.ablation.modalities, roles):
        yield warn(
            text, "name a modality of theirs under ablation.modalities, if that is not meant"
        )


def _patients_of(study: Diagnosis) -> tuple[list[SourceTables], str]:
    """The tables whose patients are studied, and how they are joined."""
    linkage = study.config.cohort.linkage
    if linkage != "label_matched":
        return list(study.tables), linkage
    return [table for table in study.tables if len(table.images)], "patient"


def find_paths(study: Diagnosis) -> Iterator[Finding]:
    """Whether every file and folder of the sources exists, is readable and of its format."""
    if not study.paths:
        yield ok("the sources name no file")
    for kind, key, path in study.paths:
        yield _path(kind, key, path)


def _path(kind: str, key: str, path: Path) -> Finding:
    where = f"{kind}.{key}: {path}"
    inside = split_archived(path)
    file = path if inside is None else inside[0]
    if not file.exists():
        near = existing_parent(file)
        return fail(f"{where} does not exist", f"{near} exists; set --data-root, or mend the path")
    if not os.access(file, os.R_OK | (os.X_OK if file.is_dir() else 0)):
        return fail(f"{where} may not be read", f"chmod u+r {file}")
    if file.is_dir():
        return ok(f"{where} is a folder")
    size = _bytes(file.stat().st_size) + (" packed with others" if inside is not None else "")
    if path.suffix.lower() in CONTAINER_SUFFIXES:
        return ok(f"{where} is readable, {size}, searched for images")
    guess = guess_format(path)
    if kind == "table":  # its reader knows of comment lines, and says under `cohort` what is wrong
        return ok(f"{where} is readable, {size}")
    if guess is None:
        return fail(f"{where} is no table", explain_mismatch(path, f"{kind}.{key}"))
    if (guess.kind, guess.role) != (kind, key):
        place = f"it belongs under {guess.kind}.{guess.role}" if guess.is_read else "it is not read"
        return warn(f"{where} looks like {guess.name}", place)
    return ok(f"{where} is readable, {size}, {guess.name}")


def find_images(study: Diagnosis) -> Iterator[Finding]:
    """Decodes some image files, spread over all folders."""
    if not study.names_images:
        yield ok("the sources name no images")
        return
    files = study.image_files
    if not files:
        synthetic = all(kind == "synthetic" for kind, _, _ in study.paths)
        if synthetic:
            yield ok("the images are synthetic: the run makes them")
        else:
            yield fail("no image file under the folders of the sources", "mend `images`")
        return
    places = np.unique(np.linspace(0, len(files) - 1, _SAMPLE).round().astype(int))
    sample = [files[k] for k in places]
    limit = round(study.config.cohort.max_megapixels * 1e6)
    facts = [inspect_image(path, limit) for path in sample]
    bad = [
        f"{path.name} ({fact.reason})"
        for path, fact in zip(sample, facts, strict=True)
        if fact.reason is not None
    ]
    text = f"{len(sample) - len(bad)} of {len(sample)} sampled images decode, of {len(files):,}"
    if len(bad) == len(sample):
        yield fail(f"{text}; {name_some(bad, 3)}", "are these images?")
    elif bad:
        yield warn(f"{text}; {name_some(bad, 3)}", "a run puts these into quarantine and goes on")
    else:
        sides = sorted((fact.width, fact.height) for fact in facts)
        shown = [f"{width} × {height}" for width, height in (sides[0], sides[-1])]
        yield ok(f"{text}, {' to '.join(dict.fromkeys(shown))} pixels")


def find_embeddings(study: Diagnosis) -> Iterator[Finding]:
    """Whether the files of embeddings from elsewhere are there and of a known format."""
    if not study.config.embeddings:
        yield ok("no embeddings from elsewhere")
    for one in study.config.embeddings:
        files = look_for_files(one, study.data_root)
        reader = find_reader(one, files, ALL_READERS)
        text = f"{one.name}: {counted(len(files), f'{reader.name} file')}"
        if one.trained_on == "unknown":
            advice = "find out, and set trained_on to none or the list of patients"
            yield warn(f"{text}; nobody says whom the encoder learned from", advice)
        else:
            yield ok(text)


def find_device(study: Diagnosis) -> Iterator[Finding]:
    """Whether the configured device and engine are there, and workers fit the cores."""
    extract = study.config.extract
    plan = plan_compute(extract.device, extract.batch_size, extract.precision, extract.engine)
    yield ok(f"extract.device {extract.device} is {plan.device}")
    head = study.config.ablation.head
    if head.batched:
        yield ok(f"ablation.head.device {head.device} is {resolve_device(head.device)}")
    cores, jobs = usable_cores(), study.config.ablation.jobs
    if study.config.ablation.scheduler is None and jobs > cores:
        advice = f"set ablation.jobs={cores}; results do not depend on it"
        yield warn(f"ablation.jobs is {jobs} with {cores} usable cores", advice)


def find_weights(study: Diagnosis) -> Iterator[Finding]:
    """Whether the weights of every backbone are there; nothing is downloaded."""
    if not study.backbones:
        yield ok("no images, so no backbone is needed")
    for backbone, place in study.weights.items():
        yield _weights(f"{backbone.name}, weights {backbone.weights}", place)


def _weights(name: str, place: WeightsPlace) -> Finding:
    if place.state == "download":
        return warn(f"{name}: {place.text}", place.advice)
    if place.state == "missing":
        return fail(f"{name}: {place.text}", place.advice)
    return ok(f"{name}: {place.text}")


def find_disk(study: Diagnosis) -> Iterator[Finding]:
    """Free space against what the store and the run will take."""
    n_images = len(study.image_files) if study.names_images else 0
    width = {"float32": 4, "float16": 2}[study.config.extract.storage_dtype]
    dimensions = sum(place.dimension for place in study.weights.values())
    store_bytes = _STORE_OVERHEAD * width * dimensions * n_images
    for what, folder, need in (
        ("the store", study.store, store_bytes),
        ("the run", study.out, _RUN_BYTES),
    ):
        free = shutil.disk_usage(existing_parent(folder)).free
        text = f"{what} takes about {_bytes(need)} in {folder}, {_bytes(free)} are free"
        if free < need:
            yield fail(text, "free space, or name another folder (--out, store)")
        elif free < 3 * need:
            yield warn(text, "that is narrow; free space, or name another folder (--out, store)")
        else:
            yield ok(text)


def _bytes(n: float) -> str:
    unit, size = next(((u, s) for u, s in (("GB", 1e9), ("MB", 1e6)) if n >= s), ("kB", 1e3))
    return f"{n / size:,.1f} {unit}"


def find_store(study: Diagnosis) -> Iterator[Finding]:
    """Damaged shards and left-over files of the store; bytes are checked by `store verify`."""
    if not study.store.exists():
        yield ok(f"{study.store} is not there yet: the run makes it")
        return
    found = info(FeatureStore(study.store))
    damaged = sum(encoder.damaged for encoder in found.encoders)
    images = {encoder.identity.backbone: encoder.images for encoder in found.encoders}
    held = (
        ", ".join(f"{counted(n, 'image')} of {name}" for name, n in images.items()) or "nothing yet"
    )
    if damaged:
        yield fail(
            f"{study.store} has {counted(damaged, 'damaged shard')}",
            f"`melafuse store verify {study.store} --repair` sets them aside, extract refills",
        )
    if found.temporary_files:
        yield warn(
            f"{study.store} has {found.temporary_files} left-over files",
            f"`melafuse store gc {study.store}` removes those that no process writes",
        )
    yield ok(f"{study.store} holds {held}; {found.quarantined:,} in quarantine")


def find_output(study: Diagnosis) -> Iterator[Finding]:
    """Whether the run's folder and the store can be written."""
    for what, folder in (("the run", study.out), ("the store", study.store)):
        parent = existing_parent(folder)
        try:
            with tempfile.TemporaryFile(dir=parent):
                pass
        except OSError as error:
            advice = "name another folder (--out, store)"
            yield fail(f"{what} cannot be written in {parent}: {error.strerror}", advice)
        else:
            yield ok(f"{what} can be written in {parent}")
