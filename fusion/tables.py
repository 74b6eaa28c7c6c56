"""What is exported: patients, images, folds, embeddings, predictions and exclusions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd

from featurestore.cohort import Cohort
from featurestore.export import ColumnNote, ExportTable
from fusion.features import FeatureTable
from fusion.reduction import PrincipalComponents
from fusion.watermark import short_watermark, watermark

KEYS = {
    "patient_id": ColumnNote("Patient"),
    "image_id": ColumnNote("Image"),
    "outcome": ColumnNote("Outcome: 1 event, 0 no event"),
    "site": ColumnNote("Source site"),
    "donor_id": ColumnNote("Person whose clinical row was lent"),
    "repeat": ColumnNote("Repeat of the cross-validation"),
    "fold": ColumnNote("Outer fold"),
    "role": ColumnNote("Role of the patient in the fold", note="train or test"),
}

PREDICTIONS = KEYS | {
    "run": ColumnNote("Run"),
    "arm": ColumnNote("Arm: model and modalities"),
    "model": ColumnNote("Model"),
    "modalities": ColumnNote("Modalities, joined by +"),
    "design": ColumnNote("Empty for the ablation table, else without a group or on a share"),
    "y": ColumnNote("Outcome: 1 event, 0 no event"),
    "score": ColumnNote("Mean logit over the patient's images", note="out-of-fold"),
    "probability": ColumnNote("Predicted probability", note="out-of-fold"),
    "threshold": ColumnNote("Decision threshold", note="chosen on inner data of the same fold"),
}

EXCLUSIONS = {
    "entity": ColumnNote("What was left out: image, patient or value"),
    "id": ColumnNote("Its id"),
    "stage": ColumnNote("Where it was left out"),
    "reason": ColumnNote("Why"),
}


def export_tables(
    cohort: Cohort,
    folds: pd.DataFrame,
    features_for: Callable[[int, int], FeatureTable],
    predictions: pd.DataFrame,
    embeddings: str,
) -> list[ExportTable]:
    """Collects all tables of a run.

    Args:
        cohort: The cohort as it was studied.
        folds: Its frozen folds.
        features_for: Features of all patients as the encoders of a repeat and fold embed them.
        predictions: The predictions table; it may have no rows.
        embeddings: `none`, `raw`, or `pca:K` for K components fitted on each fold's training part.
    """
    described = {column.name: column for column in cohort.dictionary}
    keys = ["patient_id", "outcome", "site"]
    keys += ["donor_id"] if "donor_id" in cohort.patients.columns else []
    tables = [
        ExportTable(
            "patients",
            cohort.patients[[*keys, *described]].sort_values("patient_id"),
            columns=described,
            notes=KEYS,
        ),
        ExportTable("images", _images(cohort), notes=_image_notes(cohort)),
        ExportTable("folds", folds, notes=KEYS),
        ExportTable("predictions", predictions, notes=PREDICTIONS),
        ExportTable("exclusions", cohort.exclusions, notes=EXCLUSIONS),
    ]
    if embeddings == "raw":
        tables += _raw_embeddings(folds, features_for)
    elif embeddings.startswith("pca:"):
        tables += _principal_components(folds, features_for, int(embeddings[4:]))
    if cohort.pairing is not None:
        tables.append(ExportTable("pairing", cohort.pairing, notes=KEYS))
    return [_marked(table, cohort) for table in tables]


def _marked(table: ExportTable, cohort: Cohort) -> ExportTable:
    """The table with a column that says what its numbers cannot stand for, where that is so."""
    short = short_watermark(cohort.linkage, cohort.synthetic)
    if not short:
        return table
    long = watermark(cohort.linkage, cohort.synthetic)
    return dataclasses.replace(
        table,
        frame=table.frame.assign(watermark=short),
        notes={**table.notes, "watermark": ColumnNote("What this table is not", note=long)},
    )


def _images(cohort: Cohort) -> pd.DataFrame:
    return cohort.images.drop(columns="path").sort_values("image_id")


def _image_notes(cohort: Cohort) -> dict[str, ColumnNote]:
    notes = KEYS | {
        "lesion_id": ColumnNote("Lesion"),
        "sha256": ColumnNote("SHA-256 of the image file"),
        "width": ColumnNote("Width, upright", unit="pixels"),
        "height": ColumnNote("Height, upright", unit="pixels"),
        "duplicate_cluster": ColumnNote("Images with the same number are copies of one another"),
        "licence": ColumnNote("Licence"),
        "attribution": ColumnNote("Attribution"),
    }
    return {
        str(c): notes.get(str(c), ColumnNote(f"{c}, as the source names it"))
        for c in cohort.images.columns
    }


def _raw_embeddings(
    folds: pd.DataFrame, features_for: Callable[[int, int], FeatureTable]
) -> list[ExportTable]:
    repeat, fold = folds[["repeat", "fold"]].sort_values(["repeat", "fold"]).iloc[0]
    table = features_for(int(repeat), int(fold))
    return [
        _matrix_table(f"embeddings_{name}", _ids(table), matrix, name, "e", f"of {name}")
        for name, matrix in table.embeddings.items()
    ]


def _principal_components(
    folds: pd.DataFrame, features_for: Callable[[int, int], FeatureTable], k: int
) -> list[ExportTable]:
    """One row an image and fold, with components fitted on the fold's own training images.

    Coordinates of different folds differ and must not be mixed in one model.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    keys = folds[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    for repeat, fold in keys.itertuples(index=False, name=None):
        rows = folds[(folds["repeat"] == repeat) & (folds["fold"] == fold)]
        table = features_for(repeat, fold)
        training = table.of_patients(rows.loc[rows["role"] == "train", "patient_id"])
        roles = rows.set_index("patient_id")["role"]
        for name, matrix in table.embeddings.items():
            components = PrincipalComponents(k).fit(training.embeddings[name])
            ids = _ids(table).assign(
                repeat=repeat, fold=fold, role=roles.loc[table.patient_ids].to_numpy()
            )
            part = _matrix_table(name, ids, components.transform(matrix), name, "pc", "").frame
            parts.setdefault(name, []).append(part)
    note = "fitted on the training images of the same repeat and fold"
    return [
        _with_notes(f"components_{name}", pd.concat(frames, ignore_index=True), name, note)
        for name, frames in parts.items()
    ]


def _ids(table: FeatureTable) -> pd.DataFrame:
    return pd.DataFrame(
        {"patient_id": table.patient_ids.astype(str), "image_id": table.row_ids.astype(str)}
    )


def _matrix_table(
    name: str, ids: pd.DataFrame, matrix: np.ndarray, prefix: str, letter: str, note: str
) -> ExportTable:
    digits = len(str(matrix.shape[1]))
    columns = [f"{prefix}_{letter}{i + 1:0{digits}d}" for i in range(matrix.shape[1])]
    has_image = ~np.isnan(matrix).all(axis=1)
    frame = pd.concat([ids, pd.DataFrame(matrix.astype("float64"), columns=columns)], axis=1)
    return _with_notes(name, frame[has_image].reset_index(drop=True), prefix, note)


def _with_notes(name: str, frame: pd.DataFrame, backbone: str, note: str) -> ExportTable:
    notes = {
        str(c): KEYS.get(str(c), ColumnNote(f"{backbone}, {str(c).rsplit('_', 1)[-1]}", note=note))
        for c in frame.columns
    }
    return ExportTable(name, frame, notes=notes)
