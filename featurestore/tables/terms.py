"""The canonical columns: names, units, levels, spellings and when each becomes known.

A new column is one line in `_TERMS`.

Staging follows the AJCC manual (levels of editions 6 to 8). Values that name no level on purpose
(TX, NX, MX, `Stage X`) are missing; values that are too coarse (`I/II NOS`) or wrong are missing
too and reported.
"""

from __future__ import annotations

from featurestore.tables.dictionary import Column, Kind, Measured
from featurestore.tables.term_readers import (
    Reader,
    Term,
    binary,
    binary_with,
    choices,
    levels_by_pattern,
    numbers_between,
)

STAGES: tuple[str, ...] = (
    *("0", "I", "IA", "IB", "IC", "II", "IIA", "IIB", "IIC"),
    *("III", "IIIA", "IIIB", "IIIC", "IIID", "IV"),
)
T_STAGES: tuple[str, ...] = (
    *("T0", "Tis", "T1", "T1a", "T1b", "T2", "T2a", "T2b"),
    *("T3", "T3a", "T3b", "T4", "T4a", "T4b"),
)
N_STAGES = ("N0", "N1", "N1a", "N1b", "N1c", "N2", "N2a", "N2b", "N2c", "N3", "N3a", "N3b", "N3c")
M_STAGES = ("M0", "M1", "M1a", "M1b", "M1c", "M1d")
CLARK_LEVELS = ("I", "II", "III", "IV", "V")

_SEX = choices({"female": "female", "f": "female", "male": "male", "m": "male"})
_RACE = choices(
    {
        "white": "white",
        "asian": "asian",
        "black or african american": "black or african american",
        "american indian or alaska native": "american indian or alaska native",
        "native hawaiian or other pacific islander": "pacific islander",
        "other": "other",
    }
)
_BODY = {
    "extremities": "extremities",
    "extremity": "extremities",
    "upper extremity": "extremities",
    "lower extremity": "extremities",
    "trunk": "trunk",
    "head and neck": "head and neck",
    "head & neck": "head and neck",
    "other specify": "other",
    "other": "other",
}
_SPECIMEN = {
    "primary": "primary",
    "primary tumor": "primary",
    "primary solid tumor": "primary",
    "additional - new primary": "primary",
    "metastasis": "metastatic",
    "metastatic": "metastatic",
    "additional metastatic": "metastatic",
}
_SPECIMEN_SITES = {
    "primary tumor": "primary tumour",
    "regional cutaneous or subcutaneous tissue (includes satellite and in-transit metastasis)": (
        "regional skin"
    ),
    "regional lymph node": "regional lymph node",
    "distant metastasis": "distant",
}
_DEAD = (("dead", "deceased", "1:deceased"), ("alive", "living", "0:living"))
_TUMOUR = (("with tumor", "1:with tumor"), ("tumor free", "0:tumor free"))
_DISEASE = (("1:dead with tumor", "dead with tumor"), ("0:alive or dead tumor free",))
_EVENT = (
    ("1:recurred/progressed", "1:recurrence/progression", "1:progression"),
    ("0:diseasefree", "0:censored"),
)


def _term(
    name: str,
    kind: Kind,
    group: str,
    label: str,
    measured: Measured,
    read: Reader,
    unit: str = "",
    levels: tuple[str, ...] = (),
) -> Term:
    return Term(Column(name, kind, group, label, unit, levels, measured=measured), read)


def _ended(
    name: str, event: str, days: str, words: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[Term, Term]:
    """Whether a time ended with the event, and the time; of TCGA's clinical data resource."""
    return (
        _term(f"{name}_event", "binary", "follow_up", event, "follow_up", binary_with(*words)),
        _term(f"{name}_days", "numeric", "follow_up", days, "follow_up", _DAYS, "days"),
    )


_AGE = numbers_between(0, 120)
_DAYS = numbers_between(-36_500, 36_500)
_WHOLE_LIFE = numbers_between(0, 1_200)
_TERMS = (
    _term("age", "numeric", "demographic", "Age at diagnosis", "diagnosis", _AGE, "years"),
    _term("sex", "nominal", "demographic", "Sex", "diagnosis", _SEX, levels=("female", "male")),
    _term("race", "nominal", "demographic", "Race", "diagnosis", _RACE),
    _term(
        "stage",
        "ordinal",
        "staging",
        "AJCC stage",
        "diagnosis",
        levels_by_pattern(r"(?:stage)?(0|I{1,3}[A-D]?|IV)", STAGES, r"(?:stage)?X"),
        levels=STAGES,
    ),
    _term(
        "t_stage",
        "ordinal",
        "staging",
        "AJCC T",
        "diagnosis",
        levels_by_pattern(r"[pcy]?(T(?:0|is|[1-4][ab]?))", T_STAGES, r"[pcy]?TX"),
        levels=T_STAGES,
    ),
    _term(
        "n_stage",
        "ordinal",
        "staging",
        "AJCC N",
        "diagnosis",
        levels_by_pattern(r"[pcy]?(N(?:0|[1-3][abc]?))", N_STAGES, r"[pcy]?NX"),
        levels=N_STAGES,
    ),
    _term(
        "m_stage",
        "ordinal",
        "staging",
        "AJCC M",
        "diagnosis",
        levels_by_pattern(r"[pcy]?(M(?:0|1[a-d]?))(?:\([01]\))?", M_STAGES, r"[pcy]?MX"),
        levels=M_STAGES,
    ),
    _term(
        "breslow",
        "numeric",
        "histopathology",
        "Breslow thickness",
        "diagnosis",
        numbers_between(0, 500),
        "mm",
    ),
    _term(
        "clark_level",
        "ordinal",
        "histopathology",
        "Clark level",
        "diagnosis",
        levels_by_pattern(r"(?:level|clark)?(I{1,3}|IV|V)", CLARK_LEVELS, r"unknown"),
        levels=CLARK_LEVELS,
    ),
    _term("ulceration", "binary", "histopathology", "Ulceration", "diagnosis", binary),
    _term(
        "mitotic_rate",
        "numeric",
        "histopathology",
        "Mitotic rate",
        "diagnosis",
        numbers_between(0, 500),
        "1/mm²",
    ),
    _term("tumour_site", "nominal", "lesion", "Site of the primary", "diagnosis", choices(_BODY)),
    _term("primary_known", "binary", "lesion", "Primary known", "diagnosis", binary),
    _term(
        "ldh",
        "nominal",
        "laboratory",
        "LDH",
        "diagnosis",
        choices({"normal": "normal", "elevated": "elevated"}),
    ),
    _term(
        "diagnosis_year",
        "numeric",
        "administrative",
        "Year of diagnosis",
        "diagnosis",
        numbers_between(1900, 2100),
        "year",
    ),
    _term("specimen_type", "nominal", "specimen", "Specimen", "specimen", choices(_SPECIMEN)),
    _term(
        "specimen_site",
        "nominal",
        "specimen",
        "Where the specimen is from",
        "specimen",
        choices(_SPECIMEN_SITES),
    ),
    _term(
        "days_to_specimen",
        "numeric",
        "specimen",
        "Diagnosis to specimen",
        "specimen",
        _DAYS,
        "days",
    ),
    _term(
        "mutation_count",
        "numeric",
        "mutation",
        "Mutations",
        "specimen",
        numbers_between(0, 1e6),
        "mutations",
    ),
    _term(
        "tmb",
        "numeric",
        "mutation",
        "Tumour mutation burden",
        "specimen",
        numbers_between(0, 1e5),
        "mutations/Mb",
    ),
    _term(
        "fraction_genome_altered",
        "numeric",
        "mutation",
        "Fraction of the genome altered",
        "specimen",
        numbers_between(0, 1),
        "share",
    ),
    _term("vital_status", "binary", "follow_up", "Died", "follow_up", binary_with(*_DEAD)),
    _term(
        "days_to_death", "numeric", "follow_up", "Diagnosis to death", "follow_up", _DAYS, "days"
    ),
    _term(
        "days_to_last_followup",
        "numeric",
        "follow_up",
        "Diagnosis to last contact",
        "follow_up",
        _DAYS,
        "days",
    ),
    _term(
        "os_months", "numeric", "follow_up", "Overall survival", "follow_up", _WHOLE_LIFE, "months"
    ),
    _term(
        "dfs_months",
        "numeric",
        "follow_up",
        "Disease-free survival",
        "follow_up",
        _WHOLE_LIFE,
        "months",
    ),
    *_ended("os", "Died of any cause", "Diagnosis to death or last contact", _DEAD),
    *_ended(
        "dss", "Died with tumour", "Diagnosis to death or last contact (disease-specific)", _DISEASE
    ),
    *_ended("pfi", "Progressed", "Diagnosis to progression or last contact", _EVENT),
    _term(
        "new_tumor_event",
        "binary",
        "follow_up",
        "New tumour event",
        "follow_up",
        binary_with(*_EVENT),
    ),
    _term(
        "days_to_new_tumor_event",
        "numeric",
        "follow_up",
        "Diagnosis to new tumour event",
        "follow_up",
        _DAYS,
        "days",
    ),
    _term(
        "distant_metastasis",
        "binary",
        "follow_up",
        "Distant metastasis",
        "follow_up",
        binary,
    ),
    _term(
        "days_to_distant_metastasis",
        "numeric",
        "follow_up",
        "Diagnosis to distant metastasis",
        "follow_up",
        _DAYS,
        "days",
    ),
    _term(
        "tumour_status", "binary", "follow_up", "With tumour", "follow_up", binary_with(*_TUMOUR)
    ),
)

VOCABULARY: dict[str, Term] = {term.column.name: term for term in _TERMS}
"""The canonical columns by name."""
