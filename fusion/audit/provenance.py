"""Where data come from, when that says who has the outcome: site, picture taking, image files.

None of these facts is a feature. They matter because models can read some of them from what they
do see: the camera from pixels, the hospital from which values are missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fusion.audit.acquisition import acquisition_facts, out_of_fold
from fusion.audit.association import (
    associate,
    code_rates,
    level_association,
    quantile_codes,
)
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.file_headers import DATES, LEVELS, header_facts
from fusion.audit.order import NO_EFFECT, SHORTCUT, ordered_association, suspicious
from fusion.audit.subject_views import persons, splits

MOST_SITES = 4
"""Sites whose rates a hit prints."""

MOST_SITES_WITHIN = 30
"""Sites within which picture taking is looked at."""

BINS_WITHIN = 4
"""Intervals of a fact within each site."""

MOST_TRIED = 50
"""Files of which one must be there for headers to be looked at."""

GAIN_WITHIN = 0.1
"""AUROC that picture taking within sites must gain over sites, and over picture taking, alone."""


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
        if found is not None and suspicious(found):
            yield Hit(
                f"The {name} alone, its rates counted in other folds, ranks {{patients}} with "
                f"{found}: {_rates(values[known], rows['outcome'])}.",
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
    return "" if _origins(subject) else "all {patients} come from one site and source"


def _acquisition(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    facts = acquisition_facts(subject.cohort.images)
    people = people[people["patient_id"].isin(facts.index)]
    table = facts.loc[people["patient_id"]]
    y = people["outcome"].to_numpy(float)
    tests = splits(subject, people["patient_id"])
    scores = out_of_fold(table.to_numpy(float), y, tests, subject.seed)
    together = associate(y, scores[None, :], 1, free=False)[0]
    if together is not None and suspicious(together):
        yield Hit(
            f"How images were taken and saved, without their content, ranks {{patients}} out of "
            f"fold with {together}; AUROC of single facts: {_strongest(table, y)}.",
            ("images",),
            together.auroc,
        )
        return
    yield from _within_sites(subject, people, table, tests)


def _within_sites(
    subject: AuditSubject, people: pd.DataFrame, table: pd.DataFrame, tests: list[np.ndarray]
) -> Iterator[Hit]:
    """The same where each site has a shortcut of its own, one fact after the other."""
    sites, names = pd.factorize(people["site"].astype(str), sort=True)
    if not 1 < len(names) <= MOST_SITES_WITHIN:
        return
    y = people["outcome"].to_numpy(float)
    codes = {name: quantile_codes(table[name].to_numpy(float), BINS_WITHIN) for name in table}
    cells = np.stack(
        [code_rates(sites * (code.max() + 1) + code, y, tests) for code in codes.values()]
    )
    alone = np.stack([code_rates(code, y, tests) for code in (sites, *codes.values())])
    apart = max((a.auroc for a in associate(y, alone, 1, free=False) if a), default=NO_EFFECT)
    for name, found in zip(codes, associate(y, cells, len(codes), free=False), strict=True):
        if found is not None and suspicious(found) and found.auroc >= apart + GAIN_WITHIN:
            yield Hit(
                f"How images were taken and saved within each site ({name}), without their "
                f"content, ranks {{patients}} out of fold with {found}; sites, and facts, alone "
                f"with {apart:.3f} at most.",
                ("images",),
                found.auroc,
            )
            return


def _strongest(table: pd.DataFrame, y: np.ndarray) -> str:
    alone = associate(y, table.T.to_numpy(float), table.shape[1])
    ranked = sorted(
        (-found.auroc, name)
        for name, found in zip(table.columns, alone, strict=True)
        if found is not None
    )
    return ", ".join(f"{name} {-auroc:.3f}" for auroc, name in ranked[:3])


def _acquisition_applies(subject: AuditSubject) -> str:
    if subject.cohort.pictures.empty:
        return "the cohort has no pictures"
    if acquisition_facts(subject.cohort.images).empty:
        return "all images have the same size, form and kind of file"
    return ""


def _headers(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    facts = header_facts(subject.cohort.images)
    levels = {name: _levels_of(facts, name) for name in LEVELS}
    levels = {name: values for name, values in levels.items() if values.nunique() > 1}
    dates = {name: facts.groupby("patient_id")[name].min().dropna() for name in DATES}
    dates = {name: values for name, values in dates.items() if values.nunique() > 1}
    many = len(levels) + 2 * len(dates)
    for name, values in (levels | {n: v.astype(int).astype(str) for n, v in dates.items()}).items():
        rows = people[people["patient_id"].isin(values.index)]
        of_rows = rows["patient_id"].map(values)
        found = level_association(subject, rows, of_rows, many)
        how = "the rates of its values"
        if name in dates:
            y, tests = rows["outcome"].to_numpy(float), splits(subject, rows["patient_id"])
            days = of_rows.to_numpy(float)
            best = ordered_association(days, y, tests, many)
            if best is not None and found is not None and best[1].auroc > found.auroc:
                how, found = best
        if found is not None and suspicious(found):
            shown = "" if name in dates else f": {_rates(of_rows, rows['outcome'])}"
            yield Hit(
                f"The {name} in image files, by {how.removeprefix('by ')}, ranks {{patients}} out "
                f"of fold with {found}{shown}.",
                (name,),
                found.auroc,
            )


def _levels_of(facts: pd.DataFrame, name: str) -> pd.Series:
    """One text a patient of what the headers of his images say."""
    texts = facts[name].fillna("none").astype(str)
    return texts.groupby(facts["patient_id"]).agg(lambda found: " + ".join(sorted(set(found))))


def _headers_apply(subject: AuditSubject) -> str:
    if subject.cohort.pictures.empty:
        return "the cohort has no pictures"
    if header_facts(subject.cohort.images.head(MOST_TRIED)).empty:
        return "the image files are not there"
    return ""


CHECKS = (
    Check(
        "site_association",
        "Source site predicts the outcome",
        "AUROC of the rate of the outcome at each {patient}'s site, or source of images, counted "
        f"in other folds; reported from {SHORTCUT} on if its interval excludes {NO_EFFECT}.",
        "warning",
        "Compare arms within sites, or test on sites that were not trained on; do not read a gain "
        "as biology before.",
        _sites,
        _sites_apply,
    ),
    Check(
        "acquisition_shortcut",
        "Picture taking predicts the outcome",
        "A small forest on size, form, bytes and header of image files, out of fold, and "
        "the rate of the outcome by site and each of these; reported "
        f"from an AUROC of {SHORTCUT} on if its interval excludes {NO_EFFECT}.",
        "warning",
        "Take images of one device and pipeline, or show that the effect remains within each.",
        _acquisition,
        _acquisition_applies,
    ),
    Check(
        "file_headers",
        "Headers of image files predict the outcome",
        "AUROC of the rate of the outcome, counted in other folds, by camera, software, "
        "quantisation tables, coding, resolution and colour profile of image files, and of the "
        f"days they were taken and written; reported from {SHORTCUT} on if its interval excludes "
        f"{NO_EFFECT}.",
        "warning",
        "Take images of one device and pipeline, or show that the effect remains within each; "
        "write all files anew in one way.",
        _headers,
        _headers_apply,
    ),
)
