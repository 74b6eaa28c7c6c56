"""Named outcomes: what is predicted, for whom, as of when, and which columns give it away.

A new outcome is one `Outcome` and one line in `OUTCOMES`.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from featurestore.dictionary import Measured
from featurestore.errors import DataError, name_some

Unit = Literal["patient", "specimen", "lesion"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A binary outcome.

    Attributes:
        name: Name in configs and reports.
        definition: One sentence that a reader can check.
        unit: What one observation is.
        as_of: The time up to which a predictor may have been measured.
        column: Label column: of the images table if it stands there (a patient is positive if
            any image is), else of the patients table.
        positive: Values that count as an event, compared as text without case.
        negative: Values that count as no event; empty means every other known value.
        deny: Shell-style patterns of columns that reveal the outcome; models never see them.
        caveats: Sentences that every report prints.
    """

    name: str
    definition: str
    unit: Unit
    as_of: str
    column: str
    positive: tuple[str, ...] = ("1",)
    negative: tuple[str, ...] = ("0",)
    deny: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    as_of_time: Measured = "unknown"

    def denied(self, columns: Iterable[str]) -> list[str]:
        """Columns that must not be used as predictors: the label itself and the deny-list."""
        patterns = (self.column, *self.deny)
        return [c for c in columns if any(fnmatch.fnmatch(c, p) for p in patterns)]

    def labels(self, patients: pd.DataFrame, images: pd.DataFrame) -> pd.Series:
        """Computes the outcome of every patient.

        Args:
            patients: Patients table with `patient_id`.
            images: Images table with `patient_id`.

        Returns:
            Series of 0.0, 1.0 and NaN (unknown), indexed by patient id.

        Raises:
            DataError: The label column is in neither table, or holds values that are neither
                positive nor negative.
        """
        if self.column in images.columns:
            known = self._binary(images[self.column])
            return known.groupby(images["patient_id"].to_numpy()).max()
        if self.column in patients.columns:
            return self._binary(patients[self.column]).set_axis(patients["patient_id"].to_numpy())
        have = [c for c in (*images.columns, *patients.columns) if c != "patient_id"]
        raise DataError(
            f"outcome {self.name!r} needs the column {self.column!r}; "
            f"the data has {name_some(have, 12)}"
        )

    def _binary(self, values: pd.Series) -> pd.Series:
        text = values.map(_as_text)
        result = pd.Series(np.nan, index=values.index, dtype=float)
        result[text.isin([p.casefold() for p in self.positive])] = 1.0
        rest = text.notna() & result.isna()
        if self.negative:
            negative = text.isin([n.casefold() for n in self.negative])
            strange = sorted(set(text[rest & ~negative]))
            if strange:
                raise DataError(
                    f"outcome {self.name!r}: column {self.column!r} holds values that are neither "
                    f"positive ({', '.join(self.positive)}) nor negative "
                    f"({', '.join(self.negative)}): {name_some(strange)}"
                )
            result[rest & negative] = 0.0
        else:
            result[rest] = 0.0
        return result


def _as_text(value: object) -> str | None:
    """Text of a label for comparison; whole floats lose their `.0`, missing becomes None."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, int | float | np.number) and float(value).is_integer():
        return str(int(value))
    text = str(value).strip().casefold()
    return text or None


OUTCOMES: dict[str, Outcome] = {
    outcome.name: outcome
    for outcome in (
        Outcome(
            name="melanoma",
            definition="The lesion is a melanoma (invasive or in situ) by the archive's diagnosis.",
            unit="lesion",
            as_of="acquisition of the image",
            column="melanoma",
            deny=(
                "diagnosis*",
                "benign_malignant",
                "melanocytic",
                "mel_*",
                "nevus_type",
                "concomitant_biopsy",
                "seborrheic_keratosis",
                "dx*",
                "target",
            ),
            caveats=(
                "Benign lesions are often diagnosed without a biopsy: the way of confirmation "
                "differs between the classes.",
            ),
        ),
        Outcome(
            name="synthetic_metastasis",
            definition="Metastasis, drawn from the planted logistic model of the synthetic cohort.",
            unit="patient",
            as_of="diagnosis of the primary",
            column="metastasis",
            caveats=(
                "SYNTHETIC DATA: patients, images and outcome were made by a program. "
                "No number in this report says anything about melanoma.",
            ),
        ),
    )
}


def find_outcome(name: str) -> Outcome:
    """Looks a registered outcome up.

    Raises:
        DataError: No outcome has this name.
    """
    try:
        return OUTCOMES[name]
    except KeyError:
        raise DataError(
            f"unknown outcome {name!r}; known: {', '.join(sorted(OUTCOMES))} "
            f"(or define one with a column and its positive values)"
        ) from None
