"""Embeddings for other tools: raw, or as principal components that no test patient shaped."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection

import numpy as np
import pandas as pd

from featurestore.cohort import FoldKey, Folds
from featurestore.errors import ConfigError
from featurestore.export import ColumnNote, ExportTable
from fusion.features import FeatureTable, PrincipalComponents
from fusion.roles import encoder_of, finest, role_of

FeaturesFor = Callable[[int, int], FeatureTable]

ONE_FOLD = "fitted on the training images of the same repeat and fold; folds have other coordinates"
DESCRIPTIVE = (
    "DESCRIPTION ONLY: fitted on all images, those of test patients too; a model that uses it "
    "cannot be judged on these patients"
)
TUNED = "of the encoder that was trained for the same repeat and fold; folds have other coordinates"
_KEYS = ("patient_id", "image_id", "repeat", "fold", "role")


@dataclasses.dataclass(frozen=True)
class EmbeddingForm:
    """How embeddings are exported.

    Attributes:
        kind: `none`, `raw`, `pca` (per fold) or `pca-cohort` (whole cohort, description only).
        components: Number of principal components.
    """

    kind: str
    components: int = 0

    @classmethod
    def parse(cls, text: str) -> EmbeddingForm:
        """Reads `none`, `raw`, `pca:K` or `pca-cohort:K`."""
        found = re.fullmatch(r"(none|raw)|(pca|pca-cohort):([1-9]\d{0,3})", text)
        if found is None:
            raise ConfigError(f"embeddings {text!r}: none, raw, pca:K or pca-cohort:K")
        plain, kind, number = found.groups()
        return cls(plain) if plain else cls(kind, int(number))


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Embeddings of one encoder name.

    Attributes:
        name: Name of the backbone.
        table: Name of the exported table.
        label: What a row is.
        frame: Key columns, then the values.
        values: Names of the value columns.
        note: Note on each of them.
    """

    name: str
    table: str
    label: str
    frame: pd.DataFrame
    values: tuple[str, ...]
    note: str

    def export_table(self, keys: dict[str, ColumnNote]) -> ExportTable:
        """The table with notes."""
        notes = {key: keys[key] for key in _KEYS}
        marked = "DESCRIPTION ONLY: " if self.note == DESCRIPTIVE else ""
        notes |= {v: ColumnNote(marked + _words(self.name, v), note=self.note) for v in self.values}
        key = tuple(k for k in ("image_id", "repeat", "fold") if k in self.frame)
        return ExportTable(self.table, self.frame, notes=notes, label=self.label, key=key)


def embedded(
    form: EmbeddingForm,
    folds: Folds,
    features_for: FeaturesFor,
    tuned: Collection[str],
) -> list[Embedded]:
    """Embeddings of every encoder in the asked form, one row an image (and fold).

    Args:
        form: How.
        folds: The frozen folds.
        features_for: Features of all patients as the encoders of a repeat and fold embed them.
        tuned: Names of the encoders of which every fold has another one.
    """
    if form.kind == "none":
        return []
    if form.kind == "pca":
        return _per_fold(folds, features_for, form.components)
    first = features_for(*folds.keys[0])
    names = finest(first.embeddings)
    by_fold = [name for name in names if encoder_of(name) in tuned]
    if form.kind == "pca-cohort":
        # A fine-tuned encoder knows outcomes of patients; its coordinates describe no cohort.
        frozen = [name for name in names if name not in by_fold]
        return [_descriptive(first, name, form.components) for name in frozen]
    parts_of: dict[str, list[tuple[pd.DataFrame, tuple[str, ...]]]] = {}
    for key in folds.keys if by_fold else ():
        table = features_for(*key)  # once a fold, however many encoders it has
        for name in by_fold:
            parts_of.setdefault(name, []).append(_raw(table, name, folds, key))
    found = []
    for name in names:
        if name in by_fold:
            parts = parts_of[name]
            label, note = "One row an image and fold", TUNED
        else:
            parts, label, note = [_raw(first, name)], "One row an image", f"of {_called(name)}"
        frame = pd.concat([part for part, _ in parts], ignore_index=True)
        found.append(Embedded(name, f"embeddings_{name}", label, frame, parts[0][1], note))
    return found


def per_patient(found: Embedded, folds: Folds) -> pd.DataFrame:
    """Mean of a patient's images in the fold that tests it, first repeat; index patient_id."""
    first = folds.repeats[0]
    rows = found.frame[(found.frame["role"] == "test") & (found.frame["repeat"] == first)]
    return rows.groupby("patient_id")[list(found.values)].mean()


def _per_fold(folds: Folds, features_for: FeaturesFor, k: int) -> list[Embedded]:
    parts: dict[str, list[pd.DataFrame]] = {}
    for key in folds.keys:
        table = features_for(*key)
        training = table.of_patients(folds.training(key))
        for name in finest(table.embeddings):
            components = PrincipalComponents(k).fit(_images(training, name)[1])
            own, matrix = _images(table, name)
            keys = _ids(own, folds, key)
            part, _ = _with_values(keys, components.transform(matrix), name, "pc", k)
            parts.setdefault(name, []).append(part)
    label = "One row an image and fold"
    found = []
    for name, frames in parts.items():
        frame = pd.concat(frames, ignore_index=True)
        values = tuple(c for c in frame.columns if c not in _KEYS)
        found.append(Embedded(name, f"components_{name}", label, frame, values, ONE_FOLD))
    return found


def _descriptive(table: FeatureTable, name: str, k: int) -> Embedded:
    own, matrix = _images(table, name)
    scores = PrincipalComponents(k).fit(matrix).transform(matrix)
    frame, values = _with_values(_ids(own), scores, name, "descriptive", k)
    label = "DESCRIPTION ONLY: one row an image"
    return Embedded(name, f"descriptive_{name}", label, frame, values, DESCRIPTIVE)


def _raw(
    table: FeatureTable,
    name: str,
    folds: Folds | None = None,
    key: FoldKey | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    own, matrix = _images(table, name)
    return _with_values(_ids(own, folds, key), matrix, name, "e", matrix.shape[1])


def _images(table: FeatureTable, name: str) -> tuple[FeatureTable, np.ndarray]:
    """Rows of the images that an embedding is of, each with its own: means come from them."""
    if not role_of(name) or table.roles is None:
        return table, table.embeddings[name]
    own = table.take(table.roles == role_of(name))
    return own, own.embeddings[encoder_of(name)]


def _called(name: str) -> str:
    return f"{encoder_of(name)}, {role_of(name)} images" if role_of(name) else name


def _ids(
    table: FeatureTable,
    folds: Folds | None = None,
    key: FoldKey | None = None,
) -> pd.DataFrame:
    ids = pd.DataFrame(
        {"patient_id": table.patient_ids.astype(str), "image_id": table.row_ids.astype(str)}
    )
    if folds is None or key is None:
        return ids
    tested = np.isin(ids["patient_id"], folds.test(key))
    return ids.assign(repeat=key[0], fold=key[1], role=np.where(tested, "test", "train"))


def _with_values(
    ids: pd.DataFrame, matrix: np.ndarray, name: str, letter: str, most: int
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Ids and values of the rows that have an image."""
    digits = len(str(most))
    columns = tuple(f"{name}_{letter}{i + 1:0{digits}d}" for i in range(matrix.shape[1]))
    values = pd.DataFrame(matrix.astype("float64"), columns=list(columns))
    has_image = ~np.isnan(matrix).all(axis=1)
    return pd.concat([ids, values], axis=1)[has_image].reset_index(drop=True), columns


def _words(name: str, column: str) -> str:
    part = column.removeprefix(f"{name}_")
    number = part.lstrip("abcdefghijklmnopqrstuvwxyz")
    kind = "dimension" if part.startswith("e") else "principal component"
    return f"{_called(name)}, {kind} {int(number)}"
