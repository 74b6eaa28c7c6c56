"""Trials with damaged files of a finished run: nothing that is read back may be another thing."""

from __future__ import annotations

import dataclasses
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
from featurestore.sealed import SUFFIX
from featurestore.store import FeatureStore
from featurestore.store.maintenance import verify
from fusion.evaluation import predictions_table
from fusion.evaluation.parts import PartStore
from fusion.evaluation.records import read_failures, read_fits, read_records
from fusion.evidence.saved import finished_run, read_table
from fusion.paths import RunPaths
from fusion.report import write_report
from fusion.study import Study

SECONDS = 120.0
_TABLES = (
    "predictions.parquet", "cohort/images.parquet", "cohort/patients.parquet",
    "cohort/exclusions.parquet", "work/history.parquet",
)  # fmt: skip
_WHOLE_RUN = 40  # one trial in so many goes through the commands, the others through the readers


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
        sound = path.read_bytes()
        path.write_bytes(spoil(sound, rng))
        if number % _WHOLE_RUN:
            yield _kind(path), in_child(lambda: _require_same(paths, folds_key, right), SECONDS)
            path.write_bytes(sound)
        else:
            yield (
                f"commands, {_kind(path)}",
                in_child(lambda: _require_same_run(material, paths, report), SECONDS),
            )
            shutil.rmtree(folder)
            shutil.copytree(material.pictured, folder)


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
    is_source = inside.startswith("scratch/") and "inspections" not in inside
    is_output = inside.startswith(("report/", "export"))
    return path.is_file() and path.stat().st_size > 0 and not (is_source or is_output)


def _kind(path: Path) -> str:
    seal = " seal" if path.name.endswith(SUFFIX) else ""
    name = path.name.removesuffix(SUFFIX)
    group = path.parent.name if path.parent.name in ("parts", "tuning", "shards") else name
    return f"{group}{seal}"


def _contents(paths: RunPaths, folds_key: str) -> dict[str, str]:
    """Digest of everything that readers give, by name; without what they refuse."""
    readers: dict[str, Callable[[], object]] = {
        f"part {p.name}": lambda p=p: _part(paths, p) for p in paths.work.glob("parts/*.parquet")
    }
    readers |= {t: lambda t=t: read_table(paths.root / t) for t in _TABLES}
    readers["folds"] = lambda: load_folds(paths.folds, folds_key)
    for read in (read_records, read_fits, read_failures):
        readers[read.__name__] = lambda read=read: read(paths.choices)
    for cache in paths.scratch.glob("inspections*.parquet"):
        readers["inspections"] = lambda cache=cache: _load(cache) or None
    store = FeatureStore(paths.store)
    readers["quarantine"] = store.quarantined
    readers["store"] = lambda: _store(store)
    found = {}
    for name, read in readers.items():
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
    part = PartStore(paths.work / "parts").read(path.stem)
    return None if part is None else (_digest(part.predictions), part.record, part.history)


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


def _require_same(paths: RunPaths, folds_key: str, right: dict[str, str]) -> None:
    now = _contents(paths, folds_key)
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
    expected = predictions_table([pd.read_parquet(material.pictured / "predictions.parquet")])
    if not predictions.equals(expected):
        raise Silent("predictions of the ablation")
    study.evidence(predictions)
