"""What is exported: one function a table, one line to register it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from functools import cached_property

import numpy as np
import pandas as pd

from featurestore.cohort import Cohort, Folds, patient_groups, short_watermark, watermark
from featurestore.export import ColumnNote, ExportTable
from featurestore.export.package import Known
from featurestore.export.scripts import Survival
from featurestore.outcomes import ENDS, ENTRY, OUTCOME_COLUMNS, TIME, duration_words
from featurestore.outcomes import EVENT as EVENT_CODE
from featurestore.tables import CODES, REASONS, reason_codes
from fusion import metrics
from fusion.endpoints import find_endpoint
from fusion.export.arm_columns import arm_names, column_suffix, prediction_columns
from fusion.export.embeddings import (
    ONE_FOLD,
    Embedded,
    EmbeddingForm,
    FeaturesFor,
    embedded,
    per_patient,
)
from fusion.export.lesions import as_people_read, cluster_note, clusters
from fusion.metrics import survival

EVENT = {0: "no event", 1: "event"}
CODES_OF_ENDS = {int(code): words for code, words in ENDS.items()}
MEANINGS: dict[str, dict[int, str]] = {"binary": EVENT, "time_to_event": CODES_OF_ENDS}
"""By kind of the outcome: what the codes of column outcome mean."""
ROLES = ("train", "test")

KEYS = {
    "patient_id": ColumnNote("Patient", role="patient"),
    "image_id": ColumnNote("Image", role="image"),
    "outcome": ColumnNote("Outcome", values=EVENT),
    TIME: ColumnNote("Time to what ended it", "days"),
    ENTRY: ColumnNote("Under observation from", "days"),
    "site": ColumnNote("Source site"),
    "donor_id": ColumnNote("Person whose clinical row was lent", role="patient"),
    "repeat": ColumnNote("Repeat of the cross-validation"),
    "fold": ColumnNote("Outer fold"),
    "role": ColumnNote("Role of the {patient} in the fold", levels=ROLES),
}

PREDICTIONS = KEYS | {
    "run": ColumnNote("Run"),
    "arm": ColumnNote("Arm: model and modalities"),
    "model": ColumnNote("Model"),
    "modalities": ColumnNote("Modalities, joined by +"),
    "design": ColumnNote("ablation, or without a group, or on a share of the {patients}"),
    "y": ColumnNote("Outcome", values=EVENT),
    "score": ColumnNote("Mean logit over the {patient}'s images", note="out-of-fold"),
    "probability": ColumnNote("Predicted probability", note="out-of-fold"),
    "threshold": ColumnNote("Decision threshold", note="chosen on inner data of the same fold"),
    "event": ColumnNote("What ended the time", values=CODES_OF_ENDS),
    "time": ColumnNote("Time to what ended it", "days"),
    "entry": ColumnNote("Under observation from", "days"),
    "risk_group": ColumnNote("Risk group", note="cut points from inner data of the same fold"),
}

EXCLUSIONS = {
    "entity": ColumnNote("What was left out: image, {patient}, specimen or value"),
    "id": ColumnNote("Its id", role="any_id"),
    "stage": ColumnNote("Where it was left out"),
    "reason": ColumnNote("Why", role="text"),
}

IMAGES = KEYS | {
    "lesion_id": ColumnNote("Lesion", role="lesion"),
    "sha256": ColumnNote("SHA-256 of the image file", role="digest"),
    "width": ColumnNote("Width, upright", unit="pixels"),
    "height": ColumnNote("Height, upright", unit="pixels"),
    "duplicate_cluster": ColumnNote(
        "Images with the same value are copies of one another", role="digest"
    ),
    "file_bytes": ColumnNote("Size of the image file", unit="bytes", role="file_size"),
    "licence": ColumnNote("Licence"),
    "attribution": ColumnNote("Attribution"),
}

CLUSTER = ColumnNote(
    "Patients who share an image or a clinical row",
    note="never split over folds, and drawn together by the bootstrap; cluster standard errors by "
    "it",
    role="patient",
)

MISSING = KEYS | {
    "variable": ColumnNote("Variable of table analysis whose value is missing"),
    "reason": ColumnNote("Why", levels=tuple(reason.label for reason in REASONS)),
}


@dataclasses.dataclass(frozen=True)
class Material:
    """What tables are made of.

    Attributes:
        cohort: The cohort as it was studied.
        folds: Its frozen folds.
        features_for: Features of all patients as the encoders of a repeat and fold embed them.
        predictions: The predictions table; it may have no rows.
        form: How embeddings are exported.
        tuned: Names of the encoders of which every fold has another one.
    """

    cohort: Cohort
    folds: Folds
    features_for: FeaturesFor
    predictions: pd.DataFrame
    form: EmbeddingForm
    tuned: Collection[str] = ()

    @cached_property
    def embedded(self) -> list[Embedded]:
        """Embeddings in the asked form."""
        return embedded(self.form, self.folds, self.features_for, self.tuned)

    @cached_property
    def analysis(self) -> ExportTable:
        """The table of patients, which others refer to."""
        return _analysis(self)


def export_tables(material: Material, names: Collection[str]) -> list[ExportTable]:
    """Makes the named tables; one for which the study has nothing is left out.

    Args:
        material: What they are made of.
        names: Any of `TABLES`.
    """
    made = [table for name in TABLES if name in names for table in TABLES[name](material)]
    return [_marked(as_people_read(table, material.cohort), material.cohort) for table in made]


def known_numbers(material: Material, reference: str) -> tuple[Known, ...]:
    """AUROC, or Harrell's C, of the baseline in each repeat, on the scores of table analysis.

    A report prints a C within folds too; this one is of the exported scores as they are.
    """
    rows = material.predictions[material.predictions["arm"] == reference]
    columns = _survival_columns(material.cohort)
    prefix = find_endpoint(material.cohort.outcome.kind).exported["score"][0]
    known = []
    names = arm_names(material.predictions["arm"])
    for repeat in sorted(rows["repeat"].unique()):
        part = rows[rows["repeat"] == repeat]
        score = part["score"].to_numpy(dtype=float)
        value = _concordance(part, score) if columns else _area(part, score)
        if not np.isnan(value):
            suffix = column_suffix(material.folds, int(repeat))
            column = f"{prefix}_{names[reference]}{suffix}"
            what = f"{reference}{suffix.replace('_r', ', repeat ')}"
            known.append(Known("analysis", "outcome", column, value, what))
    return tuple(known)


def _area(rows: pd.DataFrame, score: np.ndarray) -> float:
    return float(metrics.auroc(rows["y"].to_numpy(dtype=float), score)[0])


def _concordance(rows: pd.DataFrame, score: np.ndarray) -> float:
    if not np.isfinite(score).all():
        return float("nan")
    event = (rows["event"] == EVENT_CODE).to_numpy(dtype=int)
    times = survival.checked_times(rows["time"].to_numpy(), event, rows["entry"].to_numpy())
    return float(survival.harrell_c(times, score)[0])


def survival_columns(material: Material) -> tuple[Survival, ...]:
    """The time to an event in table analysis, where the outcome is one."""
    columns = _survival_columns(material.cohort)
    return (Survival("analysis", *columns),) if columns else ()


def _survival_columns(cohort: Cohort) -> tuple[str, ...]:
    columns = OUTCOME_COLUMNS[cohort.outcome.kind]
    return columns if TIME in columns else ()


def _analysis(material: Material) -> ExportTable:
    """One row an observation: outcome, folds, columns, components, out-of-fold predictions."""
    cohort = material.cohort
    described = {column.name: column for column in cohort.dictionary}
    of_outcome = OUTCOME_COLUMNS[cohort.outcome.kind]
    keys = ["patient_id", *of_outcome, "site"]
    keys += ["donor_id"] if "donor_id" in cohort.patients.columns else []
    patients = cohort.patients.sort_values("patient_id").set_index("patient_id", drop=False)
    images = cohort.images["patient_id"].value_counts().reindex(patients.index).fillna(0)
    parts = [patients[keys].astype({"outcome": "int64"})]
    notes = dict(KEYS)
    groups = patient_groups(cohort.patients, cohort.images)
    extra = pd.DataFrame(
        {
            "cluster": clusters(cohort, groups).reindex(patients.index),
            "n_images": images.astype("int64"),
        }
    )
    notes["outcome"] = _outcome_note(cohort)
    notes["cluster"] = cluster_note(cohort, CLUSTER)
    notes["n_images"] = ColumnNote("Number of images")
    columns, column_notes = _fold_columns(material)
    parts += [extra, columns.reindex(patients.index), patients[list(described)]]
    notes |= column_notes
    reasons = _reasons(cohort, patients)
    if material.form.kind == "pca":
        for found in material.embedded:
            components = per_patient(found, material.folds).reindex(patients.index)
            note = f"mean over the {{patient}}'s images; {ONE_FOLD}"
            notes |= {
                name: dataclasses.replace(entry, note=note)
                for name, entry in found.export_table(KEYS).notes.items()
                if name in found.values
            }
            codes = np.where(images == 0, CODES["no_image"], 0)
            reasons |= dict.fromkeys(found.values, codes)
            parts.append(components)
    columns, column_notes = prediction_columns(
        material.predictions, material.folds, _exported(cohort)
    )
    parts.append(columns.reindex(patients.index))
    notes |= column_notes
    return ExportTable(
        "analysis",
        pd.concat(parts, axis=1).reset_index(drop=True),
        columns=described,
        notes=notes,
        label="One row a {patient}",
        key=("patient_id",),
        repeated=of_outcome,
        reasons=reasons,
    )


def _exported(cohort: Cohort) -> dict[str, tuple[str, str]]:
    """What is exported of predictions, with prefix and words: also the risk at each horizon."""
    risks = {
        column: (f"risk{days:.0f}", f"Risk within {duration_words(days)}")
        for column, days in _risks(cohort).items()
    }
    return {**find_endpoint(cohort.outcome.kind).exported, **risks}


def _risks(cohort: Cohort) -> dict[str, float]:
    """Columns of predictions that hold a risk, and by which day."""
    horizons = cohort.outcome.horizons
    columns = find_endpoint(cohort.outcome.kind).horizon_columns(horizons)
    return dict(zip(columns, horizons, strict=False))


def _outcome_note(cohort: Cohort) -> ColumnNote:
    """What the outcome is called, and what it means."""
    name = cohort.outcome.name.replace("_", " ")
    return ColumnNote(
        f"Outcome: {name[:1].upper()}{name[1:]}",
        values=MEANINGS[cohort.outcome.kind],
        note=cohort.outcome.definition,
    )


def _reasons(cohort: Cohort, patients: pd.DataFrame) -> dict[str, np.ndarray]:
    ids = patients["patient_id"].reset_index(drop=True)
    reasons = reason_codes(cohort.gaps, ids)
    genes = [c.name for c in cohort.dictionary if c.kind == "expression"]
    if genes:
        without = patients[genes].isna().all(axis=1).to_numpy()
        reasons |= dict.fromkeys(genes, np.where(without, CODES["no_record"], 0))
    return reasons


def _fold_columns(material: Material) -> tuple[pd.DataFrame, dict[str, ColumnNote]]:
    columns, notes = {}, {}
    for repeat in material.folds.repeats:
        suffix = column_suffix(material.folds, repeat)
        columns[f"fold{suffix}"] = material.folds.tested(repeat)
        label = "Outer fold that tests the {patient}" + suffix.replace("_r", ", repeat ")
        notes[f"fold{suffix}"] = ColumnNote(label)
    return pd.DataFrame(columns), notes


def _images(material: Material) -> list[ExportTable]:
    frame = material.cohort.images.drop(columns="path").sort_values("image_id").infer_objects()
    plain = {str(c): ColumnNote(f"{c}, as the source names it") for c in frame.columns}
    notes = plain | {name: note for name, note in IMAGES.items() if name in plain}
    return [ExportTable("images", frame, notes=notes, label="One row an image", key=("image_id",))]


def _embeddings(material: Material) -> list[ExportTable]:
    return [found.export_table(KEYS) for found in material.embedded]


def _predictions(material: Material) -> list[ExportTable]:
    label, key = "One row an arm, repeat and {patient}", ("arm", "repeat", "patient_id")
    table = material.predictions
    risks = {
        column: ColumnNote(f"Risk within {duration_words(days)}", note="out-of-fold")
        for column, days in _risks(material.cohort).items()
    }
    return [ExportTable("predictions", table, notes=PREDICTIONS | risks, label=label, key=key)]


def _folds(material: Material) -> list[ExportTable]:
    label, key = "One row a repeat, fold and {patient}", ("repeat", "fold", "patient_id")
    return [ExportTable("folds", material.folds.table, notes=KEYS, label=label, key=key)]


def _exclusions(material: Material) -> list[ExportTable]:
    label, frame = "One row a thing left out", material.cohort.exclusions
    return [ExportTable("exclusions", frame, notes=EXCLUSIONS, label=label)]


def _pairing(material: Material) -> list[ExportTable]:
    frame = material.cohort.pairing
    if frame is None:
        return []
    label = "One row a patient and donor"
    return [ExportTable("pairing", frame, notes=KEYS, label=label, key=("patient_id",))]


def _missing_values(material: Material) -> list[ExportTable]:
    """The reasons as a table, for formats that cannot keep them beside the values."""
    gaps = material.cohort.gaps
    if gaps.empty:
        return []
    names = material.analysis.exported_names()
    labels = {reason.name: reason.label for reason in REASONS}
    frame = gaps.assign(variable=gaps["column"].map(names), reason=gaps["reason"].map(labels))
    frame = frame[["patient_id", "variable", "reason"]]
    label, key = "One row a missing value", ("patient_id", "variable")
    return [ExportTable("missing_values", frame, notes=MISSING, label=label, key=key)]


TABLES: dict[str, Callable[[Material], list[ExportTable]]] = {
    "analysis": lambda material: [material.analysis],
    "images": _images,
    "embeddings": _embeddings,
    "predictions": _predictions,
    "folds": _folds,
    "exclusions": _exclusions,
    "pairing": _pairing,
    "missing_values": _missing_values,
}
"""Tables by the names of `export.tables`."""


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
        label=f"{short}: {table.label[:1].lower()}{table.label[1:]}",
        repeated=(*table.repeated, "watermark"),
    )
