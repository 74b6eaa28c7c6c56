"""One specimen a patient: the rule, stated once and reported for every specimen left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from featurestore.tables import exclusions_table
from featurestore.tables.barcodes import SPECIMEN_TYPES, TUMOUR_TYPES, parse_barcode

Preferred = Literal["primary", "metastatic"]


def one_specimen(
    rows: pd.DataFrame, prefer: Preferred, path: Path, stage: str = "read"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keeps one specimen of every patient.

    Normal tissue and controls go first. Of the tumour specimens the preferred type counts, and of
    several of one type the one that comes first by id. The order of the remaining rows is that of
    the file.

    Args:
        rows: Table with `patient_id`, `sample_id` and `sample_type` (two-digit code) and whatever
            else; one row a specimen.
        prefer: Type to take where a patient has both.
        path: The file, for the exclusions.
        stage: Stage for the exclusions.

    Returns:
        The rows kept, and an exclusions table with one `specimen` row for each one left out.
    """
    tumour = rows["sample_type"].isin(list(TUMOUR_TYPES))
    excluded = [
        (
            "specimen",
            str(sample),
            stage,
            f"{SPECIMEN_TYPES.get(int(kind), f'type {kind}')}, not a tumour specimen ({path.name})",
        )
        for sample, kind in rows.loc[~tumour, ["sample_id", "sample_type"]].itertuples(index=False)
    ]
    kinds = rows["sample_type"].map(lambda kind: SPECIMEN_TYPES.get(int(kind), ""))
    ordered = rows[tumour].assign(_other=(kinds != prefer)[tumour])
    ordered = ordered.sort_values(["patient_id", "_other", "sample_id"], kind="stable")
    second = ordered.duplicated("patient_id")
    excluded += [
        (
            "specimen",
            str(sample),
            stage,
            f"its patient counts once, with another specimen ({prefer} preferred, then the "
            f"lowest id; {path.name})",
        )
        for sample in ordered.loc[second, "sample_id"]
    ]
    chosen = ordered.index[~second]
    return rows[rows.index.isin(chosen)], exclusions_table(excluded)


def specimen_of(name: str) -> str:
    """The specimen that a barcode of any length names, or its patient; else the name itself."""
    code = parse_barcode(name)
    return name if code is None else code.sample or code.patient


def chosen_specimens(
    samples: Mapping[str, str | None], listed: Sequence[Collection[str]], prefer: Preferred
) -> dict[str, str]:
    """The specimen that each patient counts with, where the clinical table may not name one.

    A patient whose specimen is known keeps it. Of a patient who is known as a person only, the
    tumour specimens of the genomic files are looked at: one that all files have comes first, then
    the preferred type, then the lowest id. So all files speak of one specimen.

    Args:
        samples: Specimen of each patient, or None.
        listed: Specimens (`specimen_of`) of each genomic file.
        prefer: Type to take where a patient has both.

    Returns:
        The specimen of each patient; her own id where no file has one of hers.
    """
    of_patient: dict[str, list[tuple[int, bool, str]]] = {}
    for sample in set().union(*listed):
        code = parse_barcode(sample)
        if code is None or code.sample_type not in TUMOUR_TYPES:
            continue
        absent = sum(sample not in names for names in listed)
        kind = SPECIMEN_TYPES.get(code.sample_type or 0, "")
        of_patient.setdefault(code.patient, []).append((absent, kind != prefer, sample))
    return {
        patient: sample or min(of_patient.get(patient, [(0, False, patient)]))[2]
        for patient, sample in samples.items()
    }
