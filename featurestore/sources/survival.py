"""Times to death and progression out of the columns in which clinical tables keep them apart.

The rules are those of the TCGA Pan-Cancer Clinical Data Resource (Liu et al. 2018, Cell 173:400,
table 3 and STAR Methods), with two differences. Where a site said that there was a new tumour event
and no day of any is known, the resource counts the patient as free of progression (47 of 326
patients compared); here it is an event without a time, and whoever studies progression leaves the
patient out. A new tumour event on the day of diagnosis is none after it (4 patients).

- `os`: death of any cause; to death, else to last contact.
- `dss`: death with tumour; a death free of tumour is another death, and one of which this is not
  known says nothing.
- `pfi`: the first new tumour event of any kind that has a day, else death with tumour.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.sources.base import SourceTables
from featurestore.tables import Column, DataDictionary
from featurestore.tables.vocabulary import VOCABULARY

_NEEDED = {
    "os_event": ("vital_status",),
    "os_days": ("vital_status", "days_to_death", "days_to_last_followup"),
    "dss_event": ("vital_status", "tumour_status"),
    "dss_days": ("vital_status", "days_to_death", "days_to_last_followup"),
    "pfi_event": ("vital_status", "tumour_status", "new_tumor_event", "days_to_new_tumor_event"),
    "pfi_days": ("vital_status", "tumour_status", "new_tumor_event", "days_to_new_tumor_event"),
}
ENDPOINTS_OF_CDR = {
    "os_event": ("OS",),
    "os_days": ("OS.time", "os_time"),
    "dss_event": ("DSS",),
    "dss_days": ("DSS.time", "dss_time"),
    "pfi_event": ("PFI",),
    "pfi_days": ("PFI.time", "pfi_time"),
}
"""What TCGA-CDR, and Xena's survival table that is made of it, call these columns."""
_MONTHS = ("vital_status", "os_months")
MONTH = 30.44
"""Days in a month of cBioPortal: with this number its months give back the days of the biotab
tables of TCGA-SKCM, of all 455 patients whose reports agree."""


def with_survival(tables: SourceTables) -> SourceTables:
    """Adds the columns of survival that the others allow, where the files do not give them."""
    patients = tables.patients
    have = set(tables.dictionary.names)
    by_months = not {"days_to_death", "days_to_last_followup"} <= have and {*_MONTHS} <= have
    needed = dict(_NEEDED)
    if by_months:  # the last contact or death of everyone, in months with two decimals
        needed |= {"os_days": _MONTHS, "dss_days": _MONTHS}
    made = _made(patients, by_months)
    entries: list[Column] = []
    values: dict[str, pd.Series] = {}
    for name, inputs in needed.items():
        if name in have or not set(inputs) <= have:
            continue
        if name.endswith("_days") and name.replace("_days", "_event") not in {*values, *have}:
            continue
        column = dataclasses.replace(VOCABULARY[name].column, source_column=" | ".join(inputs))
        entries.append(column)
        values[name] = made[name]
    return dataclasses.replace(
        tables,
        patients=patients.assign(**values),
        dictionary=tables.dictionary.merged(DataDictionary(entries)),
    )


def _made(patients: pd.DataFrame, by_months: bool) -> dict[str, pd.Series]:
    def column(name: str) -> pd.Series:
        values = patients[name] if name in patients.columns else pd.Series(np.nan, patients.index)
        return values.astype(float)

    died, tumour = column("vital_status"), column("tumour_status")
    event, first = column("new_tumor_event"), column("days_to_new_tumor_event")
    last = column("days_to_death").where(died == 1, column("days_to_last_followup"))
    if by_months:
        last = (column("os_months") * MONTH).round()
    of_disease = (died * tumour).where(died == 1, died)  # 0 if alive, else whether with tumour
    progressed = pd.Series(np.nan, patients.index)
    progressed[(event == 0) & (died == 0)] = 0.0
    progressed[(event == 0) & (died == 1)] = of_disease
    progressed[(event == 1) | first.notna()] = 1.0
    dated = first.where(~((died == 1) & (tumour == 1) & first.isna()), last)
    until = last.where(progressed != 1, dated)
    return {
        "os_event": died,
        "os_days": last,
        "dss_event": of_disease,
        "dss_days": last,
        "pfi_event": progressed,
        "pfi_days": until,
    }
