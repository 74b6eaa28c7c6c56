"""Where data come from, when that says who has the outcome: site, picture taking, order of rows.

None of these facts is a feature. They matter because models can read some of them from what they
do see: the camera from pixels, the hospital from which values are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from featurestore.tables.barcodes import parse_barcode
from fusion.audit.acquisition import acquisition_facts, out_of_fold
from fusion.audit.association import Association, associate, level_association
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import persons, splits

SHORTCUT = 0.65
"""AUROC from which on a fact that cannot cause the outcome is reported, if its interval excludes
0.5. Below it a shortcut could lift a model by little: the reference models of this field reach 0.7
(Lo et al. 2020)."""

NO_EFFECT = 0.5

MOST_SITES = 4
"""Sites whose rates a hit prints."""


def _suspicious(found: Association | None) -> bool:
    return found is not None and found.suspicious(SHORTCUT, NO_EFFECT)


def _origins(subject: AuditSubject) -> dict[str, pd.Series]:
    """Where each person's row or images come from, by name; facts with one value are left out."""
    people = persons(subject)
    facts = {"site": people["site"].astype(str)}
    images = subject.cohort.images
    for column in ("source", "attribution"):
        text = images[column].astype("str").fillna("")
        of_patient = text.groupby(images["patient_id"]).agg(lambda v: " + ".join(sorted(set(v))))
        facts[column] = people["patient_id"].map(of_patient)
    return {name: values for name, values in facts.items() if values.nunique() > 1}


def _sites(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    origins = _origins(subject)
    for name, values in origins.items():
        known = values.notna().to_numpy()
        rows = people[known]
        found = level_association(subject, rows, values[known], len(origins))
        if found is not None and _suspicious(found):
            yield Hit(
                f"The {name} alone, its rates counted in other folds, ranks patients with {found}: "
                f"{_rates(values[known], rows['outcome'])}.",
                (name,),
                found.auroc,
            )


def _rates(levels: pd.Series, outcome: pd.Series) -> str:
    """The largest levels with their events."""
    counted = outcome.groupby(levels).agg(["size", "sum"])
    largest = counted.sort_index().sort_values("size", ascending=False, kind="stable")
    shown = [
        f"{level} {int(events)} of {size}"
        for level, size, events in largest.head(MOST_SITES).itertuples(name=None)
    ]
    rest = len(largest) - len(shown)
    return "; ".join(shown) + (f"; {rest} more" if rest > 0 else "")


def _sites_apply(subject: AuditSubject) -> str:
    return "" if _origins(subject) else "all patients come from one site and source"


def _acquisition(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    facts = acquisition_facts(subject.cohort.images)
    people = people[people["patient_id"].isin(facts.index)]
    table = facts.loc[people["patient_id"]]
    y = people["outcome"].to_numpy(float)
    tests = splits(subject, people["patient_id"])
    scores = out_of_fold(table.to_numpy(float), y, tests, subject.seed)
    together = associate(y, scores[None, :], 1, free=False)[0]
    if together is None or not _suspicious(together):
        return
    alone = associate(y, table.T.to_numpy(float), table.shape[1])
    ranked = sorted(
        (-found.auroc, name)
        for name, found in zip(table.columns, alone, strict=True)
        if found is not None
    )
    named = ", ".join(f"{name} {-auroc:.3f}" for auroc, name in ranked[:3])
    yield Hit(
        f"How images were taken and saved, without their content, ranks patients out of fold with "
        f"{together}; AUROC of single facts: {named}.",
        ("images",),
        together.auroc,
    )


def _acquisition_applies(subject: AuditSubject) -> str:
    if subject.cohort.images.empty:
        return "the cohort has no images"
    if acquisition_facts(subject.cohort.images).empty:
        return "all images have the same size, form and kind of file"
    return ""


def _orders(subject: AuditSubject) -> dict[str, tuple[str, pd.Series]]:
    """What each fact of order is called in a sentence, and its value of each person."""
    people = persons(subject)
    ids = people["patient_id"].astype(str)
    numbers = ids.map(_number)
    images = subject.cohort.images
    first = images["image_id"].astype(str).map(_number).groupby(images["patient_id"]).min()
    facts: dict[str, tuple[str, pd.Series]] = {
        "file order": ("The place in the file", ids.map(dict(subject.cohort.file_order))),
        "patient_id": ("The number in the patient id", numbers),
        "patient_id parity": ("Whether the number in the patient id is odd", numbers % 2),
        "image_id": ("The number in the image id", ids.map(first)),
    }
    return {name: fact for name, fact in facts.items() if fact[1].nunique() > 1}


def _number(text: str) -> float:
    """The last number in an id, NaN without one; TCGA barcodes have letters for numbers."""
    found = None if parse_barcode(text) else re.search(r"(\d+)\D*$", text)
    return float(found.group(1)) if found else np.nan


def _order(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    y = people["outcome"].to_numpy(float)
    orders = _orders(subject)
    for name, (words, values) in orders.items():
        known = values.notna().to_numpy()
        score = values[known].to_numpy(float)
        found = associate(y[known], score[None, :], len(orders))[0]
        if found is not None and _suspicious(found):
            yield Hit(f"{words} ranks patients with {found}.", (name,), found.auroc)


def _order_applies(subject: AuditSubject) -> str:
    return "" if _orders(subject) else "neither the order of rows nor numbers in ids are known"


CHECKS = (
    Check(
        "site_association",
        "Source site predicts the outcome",
        "AUROC of the rate of the outcome at each patient's site, or source of images, counted in "
        f"other folds; reported from {SHORTCUT} on if its interval excludes {NO_EFFECT}.",
        "warning",
        "Compare arms within sites, or test on sites that were not trained on; do not read a gain "
        "as biology before.",
        _sites,
        _sites_apply,
    ),
    Check(
        "acquisition_shortcut",
        "Picture taking predicts the outcome",
        "A small forest on size, form, bytes and header of image files, out of fold; reported "
        f"from an AUROC of {SHORTCUT} on if its interval excludes {NO_EFFECT}.",
        "warning",
        "Take images of one device and pipeline, or show that the effect remains within each.",
        _acquisition,
        _acquisition_applies,
    ),
    Check(
        "order_leak",
        "Order of rows or ids predicts the outcome",
        "AUROC of the place in the file and of the numbers in ids; reported from "
        f"{SHORTCUT} on if its interval excludes {NO_EFFECT}.",
        "warning",
        "No model here sees order or ids. Ask how the file was made: cases and controls collected "
        "apart differ in more than the outcome.",
        _order,
        _order_applies,
    ),
)
