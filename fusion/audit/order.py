"""Order of rows and ids, when it says who has the outcome, in whatever way.

Models do not see them. They matter because files that were collected by outcome differ in more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from featurestore.tables.barcodes import parse_barcode
from fusion.audit.association import Association, associate, level_rates
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import persons, splits

SHORTCUT = 0.65
"""AUROC from which on a fact that cannot cause the outcome is reported, if its interval excludes
0.5. Below it a shortcut could lift a model by little: the reference models of this field reach 0.7
(Lo et al. 2020)."""

NO_EFFECT = 0.5

FINER = 0.03
"""AUROC by which a fact of an id must exceed those that were reported before it."""

NEIGHBOURS = (5, 20)
"""Patients before and after each, by whose outcomes he is scored."""

READINGS = 3
"""Ways to score an ordered fact, for the correction: in order, by near and by far neighbours."""


def suspicious(found: Association | None) -> bool:
    """Whether a fact that cannot cause the outcome predicts it."""
    return found is not None and found.suspicious(SHORTCUT, NO_EFFECT)


def ordered_association(
    values: np.ndarray, y: np.ndarray, tests: Sequence[np.ndarray], facts: int
) -> tuple[str, Association] | None:
    """The strongest association of an ordered fact: in its order, or with its neighbourhoods.

    Args:
        values: Without missing values. Shape (n,).
        y: Outcomes. Shape (n,).
        tests: Test masks of the outer folds.
        facts: Number of facts that are looked at in all.

    Returns:
        How it was read, in words, and the association; None with too few patients.
    """
    many = facts * READINGS
    found = {"by its order": associate(y, values[None, :], many)[0]}
    for reach in NEIGHBOURS:
        if len(np.unique(values)) > 2 * reach:
            score = neighbour_rates(values, y, tests, reach)
            words = f"by {reach} neighbours on either side"
            found[words] = associate(y, score[None, :], many, free=False)[0]
    known = [(words, a) for words, a in found.items() if a is not None]
    return max(known, key=lambda pair: pair[1].auroc) if known else None


def neighbour_rates(
    values: np.ndarray, y: np.ndarray, tests: Sequence[np.ndarray], reach: int
) -> np.ndarray:
    """Rate of the outcome in the neighbours of each patient who are in other folds; shape (n,)."""
    order = np.argsort(values, kind="stable")
    score = np.full(len(y), y.mean())
    for test in tests:
        others = order[~test[order]]
        if len(others) < 2 * reach:
            continue
        sums = np.append(0, np.cumsum(y[others]))
        # Of equal values none is nearer: from the first to the last of them, and `reach` beyond.
        low = np.searchsorted(values[others], values[test], side="left") - reach
        high = np.searchsorted(values[others], values[test], side="right") + reach
        low, high = np.maximum(low, 0), np.minimum(high, len(others))
        score[test] = (sums[high] - sums[low]) / (high - low)
    return score


def _number(text: str) -> float:
    """The last number in an id, NaN without one; TCGA barcodes have letters for numbers."""
    found = None if parse_barcode(text) else re.search(r"(\d{1,15})\D*$", text)
    return float(found.group(1)) if found else np.nan


def _digits(text: str) -> list[int]:
    """Digits of the last number in an id, from its end."""
    found = None if parse_barcode(text) else re.search(r"(\d+)\D*$", text)
    return [int(d) for d in reversed(found.group(1))] if found and found.group(1).isascii() else []


def _luhn(text: str) -> str | None:
    """What the digits add up to by Luhn's rule (ISO/IEC 7812), modulo 10."""
    digits = _digits(text)
    doubled = (d if k % 2 == 0 else 2 * d - 9 * (d > 4) for k, d in enumerate(digits))
    return str(sum(doubled) % 10) if digits else None


def _digit_sum(text: str) -> str | None:
    digits = _digits(text)
    return str(sum(digits) % 10) if digits else None


def _remainder(divisor: int) -> Callable[[str], str | None]:
    def remainder(text: str) -> str | None:
        digits = _digits(text)
        return str(int("".join(map(str, reversed(digits[:18])))) % divisor) if digits else None

    return remainder


def _form(text: str) -> str | None:
    """What an id is written in: runs of letters and digits, and its length."""
    if parse_barcode(text):
        return None
    runs = re.sub(r"[^\W\d_]+", lambda m: "A" if m.group().isupper() else "a", text)
    runs = re.sub(r"\d+", "9", runs)
    return f"{runs if len(runs) <= 3 else 'mixed'} {len(text)}"


def _beginning(text: str) -> str | None:
    return None if parse_barcode(text) else text[:2]


LEVELS: dict[str, tuple[str, Callable[[str], str | None]]] = {
    "parity": ("Whether the number in the {patient} id is odd", _remainder(2)),
    "last digit": ("The last digit of the {patient} id", _remainder(10)),
    "modulo 11": ("The number in the {patient} id modulo 11", _remainder(11)),
    "digit sum": ("The last digit of the sum of digits in the {patient} id", _digit_sum),
    "check digit": ("What the {patient} id leaves by Luhn's rule", _luhn),
    "form": ("The form of the {patient} id", _form),
    "beginning": ("How the {patient} id begins", _beginning),
}
"""Facts of an id without order."""


def _ordered(subject: AuditSubject, people: pd.DataFrame) -> dict[str, tuple[str, pd.Series]]:
    """What each ordered fact is called in a sentence, and its value of each person."""
    ids = people["patient_id"].astype(str)
    images = subject.cohort.images
    first = images["image_id"].astype(str).map(_number).groupby(images["patient_id"]).min()
    facts: dict[str, tuple[str, pd.Series]] = {
        "file order": ("The place in the file", ids.map(dict(subject.cohort.file_order))),
        "patient_id": ("The number in the {patient} id", ids.map(_number)),
        "image_id": ("The number in the image id", ids.map(first)),
    }
    return {name: fact for name, fact in facts.items() if fact[1].nunique() > 1}


def _levels(people: pd.DataFrame) -> dict[str, tuple[str, pd.Series]]:
    """The same of facts without order."""
    ids = people["patient_id"].astype(str)
    facts = {f"patient_id {name}": (words, ids.map(of)) for name, (words, of) in LEVELS.items()}
    return {name: fact for name, fact in facts.items() if 1 < fact[1].nunique() <= len(ids) // 4}


def _order(subject: AuditSubject) -> Iterator[Hit]:
    people = persons(subject)
    y = people["outcome"].to_numpy(float)
    tests = splits(subject, people["patient_id"])
    ordered, levels = _ordered(subject, people), _levels(people)
    facts = len(ordered) + len(levels)
    for name, (words, values) in ordered.items():
        known = values.notna().to_numpy()
        here = [test[known] for test in tests]
        best = ordered_association(values[known].to_numpy(float), y[known], here, facts)
        if best is not None and suspicious(best[1]):
            how, found = best
            yield Hit(f"{words}, {how}, ranks {{patients}} with {found}.", (name,), found.auroc)
    said = 0.0  # a finer reading of the same digits is worth a line only if it says more
    for name, (words, values) in levels.items():
        known = values.notna().to_numpy()
        score = level_rates(values[known], y[known], [test[known] for test in tests])
        alone = associate(y[known], score[None, :], facts, free=False)[0]
        if alone is not None and suspicious(alone) and alone.auroc > said + FINER:
            said = alone.auroc
            yield Hit(f"{words} ranks {{patients}} with {alone}.", (name,), alone.auroc)


def _applies(subject: AuditSubject) -> str:
    people = persons(subject)
    if _ordered(subject, people) or _levels(people):
        return ""
    return "neither the order of rows nor numbers in ids are known"


CHECKS = (
    Check(
        "order_leak",
        "Order of rows or ids predicts the outcome",
        "AUROC of the place in the file and of the numbers in ids, in order and by the outcomes of "
        "neighbours in other folds, and of the form, digits and check digits of ids; reported from "
        f"{SHORTCUT} on if its interval excludes {NO_EFFECT}.",
        "warning",
        "No model here sees order or ids. Ask how the file was made: cases and controls collected "
        "apart differ in more than the outcome.",
        _order,
        _applies,
    ),
)
