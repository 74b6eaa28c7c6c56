"""Files to cases: one patient, a table of patients, or a folder of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from featurestore import bounded
from featurestore.cohort import IMAGE_ROLE
from featurestore.errors import DataError, name_some, one_line
from featurestore.images import ImageFolder, image_key
from featurestore.json_text import parse_json
from featurestore.tables import MISSING_TOKENS, known_text, read_table, spelled_ids
from featurestore.tables.numbers import find_marks, read_numbers
from fusion.bundle.record import BundleRecord
from fusion.predict.cases import Case, Picture, asked_beside, check_case, roles_of_each

IMAGE, ROLE = "image", IMAGE_ROLE
"""Columns of a table beside those of the bundle, all optional; the role is read only for a bundle
that tells roles of images apart."""

MAX_JSON_BYTES = 200_000_000


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A patient who cannot be scored, and why."""

    patient_id: str
    reason: str


@dataclasses.dataclass(frozen=True)
class CaseList:
    """What files hold.

    Attributes:
        cases: Patients in the order of the files; those that cannot be scored as refusals.
        single: Whether the files describe one patient.
        notes: What of the files is not used.
    """

    cases: tuple[Case | Refusal, ...]
    single: bool
    notes: tuple[str, ...] = ()


def read_cases(
    record: BundleRecord,
    images: Sequence[Path] = (),
    metadata: Path | None = None,
    roles: Sequence[str] = (),
) -> CaseList:
    """Reads what is to be scored.

    Without metadata, images that are named are those of one patient; in a folder every image is a
    patient, called as the file is. With metadata of one patient all images are hers. In a table,
    rows with the same `patient_id` (of a bundle of lesions `lesion_id`) are one patient, who must
    have the same values in all of them; a column `image` names the image of a row (several are
    parted by `;`), relative to the folder that `--image` names, or to the table; else the image is
    the file called as the patient is. A column `image_role` says the role of each of them,
    one for all or as many, parted by `;`.

    Args:
        record: What the bundle takes.
        images: Image files and folders.
        metadata: JSON (an object, or a list of them), CSV, TSV or Parquet.
        roles: Role of each image, or one for all; of images that are named in no table.

    Raises:
        DataError: A file cannot be read, or nothing of it fits; one patient cannot be scored; or
            images belong to no row.
    """
    if metadata is None:
        return _images_only(record, images, roles)
    rows, notes = _rows(record, metadata)
    if len(rows) == 1 and IMAGE not in rows[0]:
        values = dict(rows[0])
        patient = str(values.pop(record.id_column, "") or "")
        stated = _names(values.pop(ROLE, None)) if record.image.roles else ()
        pictures = _pictures(_files(images), roles or stated)
        return CaseList((check_case(record, values, pictures, patient),), True, notes)
    if roles:
        raise DataError(f"the images are of a table: say their roles in its column {ROLE!r}")
    return CaseList(tuple(_table(record, rows, images, metadata)), False, notes)


def _images_only(record: BundleRecord, images: Sequence[Path], roles: Sequence[str]) -> CaseList:
    if not images:
        raise DataError("nothing to score: name an image, metadata, or both")
    if any(path.is_dir() for path in images):
        files = _files(images)
        if not files:
            raise DataError(f"there is no image in {', '.join(map(str, images))}")
        pictures = _pictures(files, roles)
        cases = tuple(
            check_case(record, {}, (one,), file.stem)
            for one, file in zip(pictures, files, strict=True)
        )
        masks = len(ImageFolder.scan([p for p in images if p.is_dir()]).masks)
        notes = (f"{masks} masks are no photographs and are not scored",) if masks else ()
        return CaseList(cases, False, notes)
    pictures = _pictures(images, roles)
    return CaseList((check_case(record, {}, pictures, images[0].stem),), True)


def _pictures(files: Sequence[Path], roles: Sequence[str]) -> tuple[Picture, ...]:
    return tuple(
        Picture(path.name, path, role)
        for path, role in zip(files, roles_of_each(len(files), roles), strict=True)
    )


def _files(images: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in images:
        if path.is_dir():
            found += ImageFolder.scan([path]).photographs
        else:
            found.append(path)
    return found


def _rows(record: BundleRecord, path: Path) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Rows of a file, without columns that the bundle does not take."""
    if path.suffix.lower() == ".json":
        return _json_rows(path), ()
    table = read_table(path)
    if table.empty:
        raise DataError(f"{path} has no row")
    known = [c.name for c in record.inputs]
    beside = (*asked_beside(record), *([ROLE] if record.image.roles else []))
    taken = [name for name in table.columns if name in known]
    own_id = record.id_column
    if own_id != "patient_id" and "patient_id" in table.columns and own_id not in table.columns:
        raise DataError(
            f"{path}: what is scored is a {record.noun.one}, and the table has no column {own_id}; "
            f"a patient_id alone does not tell the {record.noun.many} of a patient apart"
        )
    spare = [name for name in table.columns if name not in (*known, *beside, own_id, IMAGE)]
    if not taken and IMAGE not in table.columns:
        raise DataError(
            f"{path}: none of its columns ({name_some(spare)}) is one that the bundle takes: "
            f"{name_some(known, 12)}"
        )
    lacking = [name for name in known if name not in table.columns]
    notes = []
    if spare:
        notes.append(f"{path.name}: not used: {name_some(spare, 12)}")
    if lacking:
        notes.append(f"{path.name}: missing in every row: {name_some(lacking, 12)}")
    kept = [name for name in (own_id, IMAGE, *beside, *taken) if name in table.columns]
    if own_id in kept:
        table[own_id] = spelled_ids(known_text(table[own_id]).values).fillna("")
    for column in record.inputs:
        if column.name in taken and column.kind in ("numeric", "expression"):
            table[column.name] = _numbers(table[column.name])
    rows: list[dict[str, Any]] = table[kept].to_dict("records")  # type: ignore[assignment]
    return rows, tuple(notes)


def _numbers(texts: pd.Series) -> pd.Series:
    """Numbers of a column, whose marks mean in all cells the same; what is no number stays text."""
    marks = find_marks(known_text(texts, guessed=True).values)
    return read_numbers(texts, marks).astype(object).where(lambda n: n.notna(), texts)


def _json_rows(path: Path) -> list[dict[str, Any]]:
    try:
        content = parse_json(bounded.read_bytes(path, MAX_JSON_BYTES))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {one_line(error, 100)}") from None
    rows = content if isinstance(content, list) else [content]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: an object with the values of a patient is wanted, or a list")
    return rows


def _table(
    record: BundleRecord, rows: Sequence[Mapping[str, Any]], images: Sequence[Path], path: Path
) -> Iterable[Case | Refusal]:
    folders = [p for p in images if p.is_dir()] or [path.parent]
    named = any(IMAGE in row for row in rows)
    by_stem: dict[str, list[Path]] = {}
    for file in () if named else _files(images):
        by_stem.setdefault(image_key(file.name), []).append(file)
    patients: dict[str, list[Mapping[str, Any]]] = {}
    for k, row in enumerate(rows):
        patients.setdefault(str(row.get(record.id_column) or f"row {k + 1}"), []).append(row)
    stray = sorted(set(by_stem) - set(patients))
    if stray:
        raise DataError(
            f"{len(stray)} images are called like no {record.noun.one} of {path.name}: "
            f"{name_some(stray)}; name them in a column {IMAGE!r}, or leave them out"
        )
    for patient, own in patients.items():
        try:
            said = dict.fromkeys(r for row in own for r in _names(row.get(ROLE)))
            pictures = list(_pictures(by_stem.get(patient, ()), () if named else tuple(said)))
            for row in own:
                names = _names(row.get(IMAGE))
                stated = roles_of_each(len(names), _names(row.get(ROLE)) if names else ())
                for name, role in zip(names, stated, strict=True):
                    pictures.append(_picture(name, folders, role))
            yield check_case(record, _agreed(own, record), tuple(pictures), patient)
        except DataError as error:
            yield Refusal(patient, str(error))


def _names(cell: Any) -> list[str]:
    if cell is None or str(cell).strip().lower() in MISSING_TOKENS:
        return []
    return [name.strip() for name in str(cell).split(";") if name.strip()]


def _picture(name: str, folders: Sequence[Path], role: str) -> Picture:
    """A file inside one of the folders: what a table names is not trusted beyond them.

    Links that lie in a folder are its owner's, and are followed.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise DataError(f"image {ascii(name)[:100]}: only names inside the folder are taken")
    for folder in folders:
        file = folder / pure
        if file.is_file():
            return Picture(pure.name, file, role)
    raise DataError(f"image {ascii(name)[:100]}: no such file in {name_some(folders)}")


def _agreed(rows: Sequence[Mapping[str, Any]], record: BundleRecord) -> dict[str, Any]:
    """Values of a patient, who has the same in all rows."""
    beside = (record.id_column, IMAGE, *([ROLE] if record.image.roles else []))
    values: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name in beside:
                continue
            if name in values and not _same(values[name], value):
                raise DataError(f"{name} has several values in the rows of one {record.noun.one}")
            values[name] = value
    return values


def _same(a: Any, b: Any) -> bool:
    return bool(a == b or (pd.api.types.is_scalar(a) and pd.isna(a) and pd.isna(b)))
