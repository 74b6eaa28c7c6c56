"""Trials with damaged files of a finished run: nothing that is read back may be another thing."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from benchmarks.torture.children import Outcome, Silent, in_child
from benchmarks.torture.material import Material
from featurestore.cohort import load_folds
from featurestore.errors import MelafuseError
from featurestore.images.inspection import _load
from featurestore.sealed import SUFFIX, seal_of
from featurestore.store import FeatureStore
from featurestore.store.maintenance import verify
from fusion.evaluation import predictions_table, read_overlays
from fusion.evaluation.parts import PartStore
from fusion.evaluation.records import read_failures, read_fits, read_records
from fusion.evidence.saved import _read_saved, finished_run, load_own_config, read_table
from fusion.paths import ProjectPaths, RunPaths
from fusion.report import write_report
from fusion.study import Study

SECONDS = 120.0
_TABLES = (
    "predictions.parquet", "cohort/images.parquet", "cohort/patients.parquet",
    "cohort/exclusions.parquet", "work/history.parquet",
)  # fmt: skip
_TOGETHER = 25  # trials in one process
_WHOLE_RUN = 20  # one process in so many runs the commands, the others the readers


def trials(material: Material, rng: random.Random) -> Iterator[tuple[str, Outcome]]:
    """Damages one file after another, for ever; yields the kind of file and what came of it."""
    folder = material.root / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(material.pictured, folder)
    paths = RunPaths(folder)
    folds_key = finished_run(paths).evidence.run.folds_digest
    right = _contents(paths, folds_key)
    report = _report(paths, folder.with_name("right-report"))
    files = [p for p in sorted(folder.rglob("*")) if _counts(p, folder)]
    number = 0
    while True:
        number += 1
        path = rng.choice(files)
        if number % _WHOLE_RUN:
            own = random.Random(rng.randrange(1 << 30))
            trial = functools.partial(_many, path, own, paths, folds_key, right)
            outcome = in_child(trial, SECONDS)
            count = _TOGETHER if outcome.fate == "right" else 1
            yield _kind(path), dataclasses.replace(outcome, count=count)
            shutil.copyfile(material.pictured / path.relative_to(folder), path)
        else:
            path.write_bytes(spoil(path.read_bytes(), rng))
            yield (
                f"commands, {_kind(path)}",
                in_child(lambda: _require_same_run(material, paths, report), SECONDS),
            )
            shutil.rmtree(folder)
            shutil.copytree(material.pictured, folder)


def _many(
    path: Path, rng: random.Random, paths: RunPaths, folds_key: str, right: dict[str, str]
) -> None:
    """Damages one file again and again, and reads it with everything that reads it."""
    sound = path.read_bytes()
    for _ in range(_TOGETHER):
        path.write_bytes(spoil(sound, rng))
        _require_same(paths, folds_key, right, path)
    path.write_bytes(sound)


def spoil(data: bytes, rng: random.Random) -> bytes:
    """A flipped bit, a lost end, a zeroed or doubled block, or nothing left."""
    changed = bytearray(data)
    at = rng.randrange(max(1, len(data)))
    what = rng.randrange(8)
    if what < 4 and data:
        changed[at] ^= 1 << rng.randrange(8)
    elif what == 4:
        del changed[at:]
    elif what == 5:
        changed[at : at + 512] = bytes(len(changed[at : at + 512]))
    elif what == 6:
        changed[at:at] = changed[at : at + 64]
    else:
        changed.clear()
    return bytes(changed)


def _counts(path: Path, folder: Path) -> bool:
    """Whether a number depends on a file; the pictures of the source are found by content."""
    inside = path.relative_to(folder).as_posix()
    is_source = inside.startswith("scratch/")
    is_output = inside.startswith(("report/", "export"))
    return path.is_file() and path.stat().st_size > 0 and not (is_source or is_output)


def _kind(path: Path) -> str:
    seal = " seal" if path.name.endswith(SUFFIX) else ""
    name = path.name.removesuffix(SUFFIX)
    group = path.parent.name if path.parent.name in ("parts", "tuning", "shards") else name
    return f"{group}{seal}"


def _readers(paths: RunPaths, folds_key: str) -> Iterator[tuple[str, Path, Callable[[], object]]]:
    """Name of what is read, the file or folder it is read from, and what reads it."""
    for part in ProjectPaths(paths.root).shared.glob("parts/*.parquet"):
        yield f"part {part.name}", part, functools.partial(_part, paths, part)
    for table in _TABLES:
        yield table, paths.root / table, functools.partial(read_table, paths.root / table)
    yield "folds", paths.folds, functools.partial(load_folds, paths.folds, folds_key)
    for read in (read_records, read_fits, read_failures):
        yield read.__name__, paths.choices, functools.partial(read, paths.choices)
    for cache in ProjectPaths(paths.root).shared.glob("inspections*.parquet"):
        yield "inspections", cache, functools.partial(_inspected, cache)
    yield "configuration", paths.config, functools.partial(load_own_config, paths)
    yield "report inputs", paths.report_inputs, functools.partial(_read_saved, paths)
    yield "overlays", paths.overlays, functools.partial(read_overlays, paths.overlays)
    kept = ProjectPaths(paths.root).store("float32")
    store = FeatureStore(kept)
    yield "quarantine", kept / "quarantine.csv", store.quarantined
    yield "store", kept, lambda: _store(FeatureStore(kept))


def _contents(paths: RunPaths, folds_key: str, of: Path | None = None) -> dict[str, str]:
    """Digest of what readers give, by name; without what they refuse.

    Args:
        paths: The run.
        folds_key: What its folds were frozen for.
        of: Only what is read from this file; by default everything.
    """
    found = {}
    for name, source, read in _readers(paths, folds_key):
        if of is not None and of not in (source, seal_of(source)) and source not in of.parents:
            continue
        try:
            value = read()
        except MelafuseError as error:
            if "\n" in str(error):
                raise RuntimeError(f"{name}: {error}") from error
            continue
        if value is not None:
            found[name] = _digest(value)
    return found


def _part(paths: RunPaths, path: Path) -> object:
    part = PartStore(ProjectPaths(paths.root).shared / "parts").read(path.stem)
    return None if part is None else (_digest(part.predictions), part.record, part.history)


def _inspected(cache: Path) -> object:
    return _load(cache) or None


def _store(store: FeatureStore) -> object:
    damaged = verify(store).damaged
    return (
        None
        if damaged
        else [(identity.digest, sorted(store.present(identity))) for identity in store.encoders()]
    )


def _digest(value: object) -> str:
    if isinstance(value, pd.DataFrame):
        text = value.to_csv() + repr(value.dtypes.to_dict())
    elif dataclasses.is_dataclass(value):
        text = repr(value)
    else:
        text = repr(value)
    return hashlib.sha256(text.encode()).hexdigest()


def _require_same(paths: RunPaths, folds_key: str, right: dict[str, str], of: Path) -> None:
    now = _contents(paths, folds_key, of)
    other = [name for name, digest in now.items() if right.get(name) != digest]
    if other:
        raise Silent(f"{other[0]} is read as something else")


def _report(paths: RunPaths, out: Path) -> dict[str, bytes]:
    write_report(finished_run(paths).evidence, out)
    return {p.name: p.read_bytes() for p in sorted(out.glob("*.*"))}


def _require_same_run(material: Material, paths: RunPaths, report: dict[str, bytes]) -> None:
    """The report again, and then the ablation again: the same numbers, or a line."""
    try:
        again = _report(paths, paths.root.with_name("again-report"))
        if again != report:
            raise Silent("report")
    except MelafuseError as error:
        if "\n" in str(error):
            raise RuntimeError(str(error)) from error
    study = Study.open(material.config, paths.root)
    predictions = study.ablate()
    expected = predictions_table(
        [pd.read_parquet(material.pictured / "predictions.parquet")], "binary"
    )
    if not predictions.equals(expected):
        raise Silent("predictions of the ablation")
    study.evidence(predictions)
